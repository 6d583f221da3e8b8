"""Every metric, said once: what Prometheus reads, what ``docs/reference/metrics.md`` lists, and the objects that are counted on.

Labels take few values: route templates, leg, space and reason names; never a path, an id or a query. Counts of the engine (``ENGINE``)
are read at scrape time by ``hybrid_search.api.metrics``; nothing is counted for them here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

Place = Literal["api", "worker"]
API: tuple[Place, ...] = ("api",)
WORKER: tuple[Place, ...] = ("worker",)
BOTH: tuple[Place, ...] = ("api", "worker")

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LEG_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
CHUNK_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


@dataclass(frozen=True, slots=True)
class Spec:
    """One metric. ``name`` is the family's (a counter's samples end in ``_total``); ``labels`` maps each label to what it may say."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: Mapping[str, str]
    unit: str
    places: tuple[Place, ...]

    @property
    def shown_name(self) -> str:
        """As a query names it."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


SPECS: dict[str, Spec] = {}
"""By family name, in the order of the reference page."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series of its own for the birth of each other one

REGISTRY = CollectorRegistry()


def _spec(
    kind: Literal["counter", "gauge", "histogram"], name: str, meaning: str, labels: Mapping[str, str], unit: str, places: tuple[Place, ...]
) -> Spec:
    spec = SPECS[f"hybrid_search_{name}"] = Spec(f"hybrid_search_{name}", kind, meaning, labels, unit, places)
    return spec


def _counter(name: str, meaning: str, unit: str, places: tuple[Place, ...], **labels: str) -> Counter:
    spec = _spec("counter", name, meaning, labels, unit, places)
    return Counter(spec.name, meaning, tuple(labels), registry=REGISTRY)


def _histogram(name: str, meaning: str, places: tuple[Place, ...], buckets: tuple[float, ...], **labels: str) -> Histogram:
    spec = _spec("histogram", name, meaning, labels, "seconds", places)
    return Histogram(spec.name, meaning, tuple(labels), buckets=buckets, registry=REGISTRY)


def _read(
    name: str, meaning: str, unit: str, kind: Literal["counter", "gauge"] = "gauge", places: tuple[Place, ...] = API, **labels: str
) -> Spec:
    return _spec(kind, name, meaning, labels, unit, places)


_ROUTE = "route template, as in `/v1/products/<path:product_id>`, or `(no route)`"
_METHOD = "`GET`, `POST`, …, `other`"
_LEG = "`bm25`, `text`, `cross`, `image`, `all`"
_RESULT = "`hit`, `miss`"

# requests
HTTP_REQUESTS = _counter("http_requests", "HTTP requests answered.", "requests", API, method=_METHOD, route=_ROUTE, status="HTTP status")
HTTP_SECONDS = _histogram(
    "http_request_duration_seconds", "Time to answer a request.", API, REQUEST_BUCKETS, method=_METHOD, route=_ROUTE, status="HTTP status"
)
PROBLEMS = _counter("problems", "Problem replies.", "replies", API, kind="kind of problem, as in `/problems`")

# searches
SEARCHES = _counter("searches", "Searches answered.", "searches", API, by="`text`, `image`, `text+image`, `product`, `everything`, `next`")
SEARCH_SECONDS = _histogram("search_duration_seconds", "Time of a search, all stages.", API, LEG_BUCKETS)
LEG_SECONDS = _histogram(
    "search_leg_duration_seconds",
    "Time of one leg of a search: making its query vector, and the engine's answer where the engine tells it by leg.",
    API,
    LEG_BUCKETS,
    leg=_LEG,
    stage="`encode`, `engine`",
)
ENGINE_SECONDS = _histogram(
    "engine_request_duration_seconds", "Time of a search's requests to the engine.", API, LEG_BUCKETS, request="`search`, `fetch`"
)
DEGRADED = _counter(
    "search_legs_degraded",
    "Legs that a search had to leave out.",
    "legs",
    API,
    leg=_LEG,
    reason="`encoder`, `engine`, `not_embedded`, `not_answered`",
)
SEARCHES_DEGRADED = _counter("searches_degraded", "Searches that left out at least one leg.", "searches", API)

# caches
QUERY_VECTOR_CACHE = _read(
    "query_vector_cache", "Query vectors asked for, by whether they were kept.", "look-ups", "counter", result=_RESULT
)
THUMBNAIL_CACHE = _counter("thumbnail_cache", "Thumbnails asked for, by whether they were kept.", "look-ups", API, result=_RESULT)
TOWER_OUTPUT_CACHE = _counter(
    "tower_output_cache", "Texts and pictures of chunks, by whether a tower's output was kept from before.", "parts", WORKER, result=_RESULT
)

# pictures
IMAGE_REFUSALS = _counter(
    "image_refusals", "Pictures refused by the intake, each time that one is.", "refusals", BOTH, reason="reason code, see docs/images.md"
)

# embedding work
EMBEDDED = _counter("embedded_products", "Products whose vectors were written.", "products", WORKER, space="space key, as in `text_1`")
EMBED_FAILURES = _counter("embedding_failures", "Failed tries to embed a product.", "tries", WORKER, space="space key")
CHUNKS_DONE = _counter("chunks_worked", "Chunks that a worker ended.", "chunks", WORKER, outcome="`done`, `dropped`, `lost`, `error`")
CHUNK_SECONDS = _histogram("chunk_duration_seconds", "Time of a chunk.", WORKER, CHUNK_BUCKETS)
FEED_CHUNKS = _counter("feeder_chunks", "What the feeder did with chunks.", "chunks", WORKER, action="`sent`, `sent_again`, `given_up`")

# read at scrape time
ENGINE_UP = _read("engine_up", "1 when the engine told its counts within the time, else 0; the counts below are then left out.", "")
PRODUCTS = _read("products", "Products in the index.", "products")
EMBEDDINGS = _read(
    "embeddings", "Products by state in a space: the ledger.", "products", space="space key", state="`pending`, `ready`, `failed`"
)
CHUNKS = _read("chunks", "Open chunks.", "chunks", state="`queued`, `running`")
OLDEST_QUEUED = _read("oldest_queued_chunk_age_seconds", "Age of the chunk that has waited longest, 0 without any.", "seconds")
STALEST_RUNNING = _read("stalest_running_chunk_age_seconds", "Time since the beat of the stalest running chunk, 0 without any.", "seconds")
CHANGES = _read("changes", "Changes acknowledged, and changes that searches see.", "changes", of="`acknowledged`, `searchable`")
CONTROL_VERSION = _read("control_version", "Version of the control document that this process follows.", "")
CONTROL_READABLE = _read("control_readable", "1 when the control document could last be read and understood, else 0.", "")
BUILD = _read("build_info", "Always 1.", "", "gauge", BOTH, version="of this program", python="version", engine="engine of the settings")


class _Source(Protocol):
    def collect(self) -> Iterable[Metric]: ...


class Shown(Collector):
    """Of ``source``, the metrics that are documented for ``place``: a process does not show what only others count."""

    def __init__(self, source: _Source, place: Place) -> None:
        self._source = source
        self._place = place

    def collect(self) -> Iterator[Metric]:
        for family in self._source.collect():
            spec = SPECS.get(family.name)
            if spec is not None and self._place in spec.places:
                yield family
