"""The demo: every process of a small shop on this machine, from an empty folder to a search page."""

from __future__ import annotations

import hashlib
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from rich.markup import escape

from hybrid_search.bootstrap import image_roots, open_for_loading
from hybrid_search.catalog.images import ImageIntake
from hybrid_search.catalog.read import read_catalog
from hybrid_search.catalog.rows import Accepted, RejectsFile
from hybrid_search.console import emit, progress, say
from hybrid_search.demo.catalogue import write_demo_catalogue
from hybrid_search.demo.queries import Trial, built_in_trials, trials_from
from hybrid_search.demo.supervisor import Child, Supervisor
from hybrid_search.demo.trials import ask, show
from hybrid_search.engines.base import Engine
from hybrid_search.errors import HybridSearchError, SettingsError
from hybrid_search.indexing.ingest import IngestSummary, ingest
from hybrid_search.indexing.maps import MapShelf
from hybrid_search.product import Product
from hybrid_search.redis_server import RedisServer
from hybrid_search.search_server import start_node
from hybrid_search.search_server.progress import shown
from hybrid_search.settings import Settings, load_settings
from hybrid_search.types import State

START_SECONDS = 90.0
"""How long the API may take to answer for the first time."""

MAP_SECONDS = 180.0
"""How long the picture map may take to appear after the last product was embedded."""


def run_demo(*, catalog: Path | None, once: bool, port: int | None, home: Path | None, engine: str | None = None, as_json: bool) -> int:
    """Run everything until Ctrl-C, or with ``once`` until three searches were answered. Returns the exit code.

    Raises:
        HybridSearchError: something could not start, with the end of its log.
    """
    base = home or Path("var/demo") / _slug(catalog)
    given = {name: value for name, value in (("port", port), ("engine", engine)) if value is not None}
    load_settings(**given)  # a wrong one is told before anything starts
    given["port"] = chosen_port = _free_port(port)
    settings = load_settings(**given, home=base / "index", host="127.0.0.1", index_prefix=f"demo-{_slug(catalog)}".lower())
    with ExitStack() as stack:
        stack.enter_context(_interruptible())
        settings = stack.enter_context(_with_server(settings, base))
        redis_url = settings.redis_url or stack.enter_context(RedisServer(base / "redis")).url
        supervisor = stack.enter_context(Supervisor(base / "logs"))
        if catalog is None:
            folder = base / "catalogue"
            with progress("drawing the catalogue", None, quiet=as_json) as advance:
                write_demo_catalogue(folder, progress=advance)
        else:
            folder = catalog
        environment = {
            "HYBRID_SEARCH_HOME": str(settings.home.resolve()),
            "HYBRID_SEARCH_HOST": settings.host,
            "HYBRID_SEARCH_PORT": str(chosen_port),
            "HYBRID_SEARCH_ENGINE": settings.engine,
            "HYBRID_SEARCH_OPENSEARCH_URL": settings.opensearch_url,
            "HYBRID_SEARCH_ELASTICSEARCH_URL": settings.elasticsearch_url,
            "HYBRID_SEARCH_INDEX_PREFIX": settings.index_prefix,
            "REDIS_URL": redis_url,
            "OMP_NUM_THREADS": "1",
        }
        indexer = [("indexer", ("indexer",))] if settings.engine == "embedded" else []  # a server indexes by itself
        for name, arguments in (*indexer, ("worker", ("worker", "--beat")), ("api", ("serve",))):
            supervisor.start(Child(name, arguments, environment))
        store, intake = open_for_loading(settings, index=False)
        stack.callback(store.close)
        summary = load_catalogue(store, intake, settings, folder, quiet=as_json)
        url = f"http://127.0.0.1:{chosen_port}"
        _wait_for_api(url, supervisor)
        wait_until_embedded(store, settings, supervisor, quiet=as_json)
        queries = built_in_trials(folder) if catalog is None else trials_from(_products(folder))
        if once:
            return _answer_once(url, queries, summary, store, as_json=as_json)
        _invite(url, queries, summary)
        while True:
            time.sleep(0.5)
            supervisor.check()


@contextmanager
def _with_server(settings: Settings, base: Path) -> Iterator[Settings]:
    """The settings with the address of a search server, one of the demo's own where the engine needs one and none is set."""
    urls = {"opensearch": settings.opensearch_url, "elasticsearch": settings.elasticsearch_url}
    if settings.engine == "embedded" or urls[settings.engine]:
        yield settings
    else:
        with shown() as progress:
            name = hashlib.sha256(str(base.resolve()).encode()).hexdigest()[:12]
            server = start_node(settings.engine, heap="1g", kept=f"demo-{name}", progress=progress)
        with server:
            yield settings.model_copy(update={f"{settings.engine}_url": server.url})


def load_catalogue(engine: Engine, intake: ImageIntake, settings: Settings, folder: Path, *, quiet: bool) -> IngestSummary:
    """Put a catalogue into the engine with a progress bar; rejects go to a file beside the index."""
    root = folder if folder.is_dir() else folder.parent
    image_roots(settings).add(root)
    rejects = RejectsFile(settings.home / "rejects.jsonl")
    with progress("reading the catalogue", 100, quiet=quiet) as advance:
        rows = read_catalog(folder, progress=lambda fraction: advance(int(fraction * 100)))
        with rejects:
            return ingest(engine, rows, intake, rejects=rejects)


def wait_until_embedded(engine: Engine, settings: Settings, supervisor: Supervisor, *, quiet: bool) -> None:
    """Wait, with a progress bar, until nothing is pending, the picture map included."""
    with progress("embedding words and pictures", None, quiet=quiet) as advance:
        quiet_since: float | None = None
        while True:
            supervisor.check()
            states = engine.status().states
            done, pending = _count(states)
            advance(done, done + pending)
            if pending:
                quiet_since = None
            elif quiet_since is None:
                quiet_since = time.monotonic()
            elif (
                any(key.startswith("cross") for key in states)
                or not _map_expected(states, settings)
                or MapShelf(settings.home, engine).refused() is not None
                or time.monotonic() - quiet_since > MAP_SECONDS
            ):
                break
            time.sleep(0.25)
    engine.refresh()


def _map_expected(states: Mapping[str, Mapping[State, int]], settings: Settings) -> bool:
    """Whether enough products have words and enough have pictures for the map to be fitted by itself (towers of one family need none)."""
    if settings.text_encoder == settings.image_encoder:
        return False
    ready = {
        name: max((n.get(State.READY, 0) for key, n in states.items() if key.startswith(name)), default=0) for name in ("text", "image")
    }
    return min(ready.values()) >= settings.align_pairs


def _count(states: Mapping[str, Mapping[State, int]]) -> tuple[int, int]:
    """Entries that are through, and entries that are pending, over all spaces."""
    pending = sum(counts.get(State.PENDING, 0) for counts in states.values())
    return sum(sum(counts.values()) for counts in states.values()) - pending, pending


def _products(folder: Path) -> Iterator[Product]:
    return (row.product for row in read_catalog(folder) if isinstance(row, Accepted))


def _answer_once(url: str, queries: tuple[Trial, ...], summary: IngestSummary, engine: Engine, *, as_json: bool) -> int:
    """Run the queries through the API, print what came back; 0 when each found what it should."""
    outcomes = [ask(url, query) for query in queries]
    states = {key: {state.value: n for state, n in counts.items()} for key, counts in engine.status().states.items()}
    if as_json:
        emit(
            {
                "url": url,
                "accepted": summary.accepted,
                "rejected": summary.rejected,
                "states": states,
                "queries": [o.as_json() for o in outcomes],
            }
        )
    else:
        say(f"{summary.accepted} products, {summary.rejected} rejected; {states}")
        for outcome in outcomes:
            show(outcome)
    return 0 if outcomes and all(outcome.met for outcome in outcomes) else 1


def _invite(url: str, queries: tuple[Trial, ...], summary: IngestSummary) -> None:
    say(f"\n{summary.accepted} products are searchable. Open  [bold cyan]{url}[/bold cyan]  and try:\n")
    for number, query in enumerate(queries, 1):
        words = escape(f'"{query.text}"') if query.text else ""
        picture = f"the picture {escape(str(query.image))}" if query.image else ""
        say(f"  {number}. {' with '.join(part for part in (words, picture) if part)}  [dim]should find {escape(query.expectation)}[/dim]")
    say("\nCtrl-C stops everything.")


def _wait_for_api(url: str, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        supervisor.check()
        try:
            if httpx.get(f"{url}/readyz", timeout=5.0, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(0.2)
    raise HybridSearchError(
        f"The API did not answer within {START_SECONDS:.0f} seconds.", field="api", value=url, remedy="See logs/api.log."
    )


def _free_port(wanted: int | None) -> int:
    """The port asked for, 8080 when it is free, else any free one. Raises ``SettingsError`` when the one asked for is taken."""
    reason: str | None = None
    for candidate in (wanted,) if wanted else (8080, 0) if wanted is None else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate or 0))
            except OSError as err:
                reason = err.strerror
                continue
            return int(probe.getsockname()[1])
    raise SettingsError(
        f"Port {wanted} cannot be served on: {reason}.",
        field="port",
        value=wanted,
        remedy="Choose another with --port, or --port 0 for a free one.",
    )


def _slug(catalog: Path | None) -> str:
    """A folder name for a catalogue, so that two catalogues never share an index."""
    if catalog is None:
        return "built-in"
    path = catalog.resolve()
    if not path.exists():
        raise SettingsError(
            f"There is no catalogue at {catalog}.", field="catalog", value=str(catalog), remedy="Give the path of a file or folder."
        )
    return f"{path.stem[:40]}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal stop the demo as Ctrl-C does, children first."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
