"""Where search servers differ: by product, and by version. Everything else in ``engines/cluster`` is the same for all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hybrid_search.errors import EngineUnavailable, SettingsError
from hybrid_search.types import FloatVector, Part

ProductName = Literal["opensearch", "elasticsearch"]
Codec = Literal["float", "sq", "fp16", "on_disk"]
Version = tuple[int, int, int]
Clause = dict[str, Any]
"""A part of a query."""

_M, _EF_CONSTRUCTION = 16, 128
"""HNSW: links per node, candidates while building; named, so that a server's change of its defaults changes nothing here."""

_LEGACY_BM25 = 2.2
"""k1 + 1, of the ``k1`` in ``mappings/*/text-analysis.json``."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one version of one product needs said in its own way."""

    product: ProductName
    label: str
    """Its name for people."""
    version: Version
    index_settings: Mapping[str, Any]
    """Settings every index with vectors is created with, besides shards and replicas."""
    max_dim: int
    """Largest dimension of a vector field."""
    vector_bodies: Mapping[str, Callable[[int], dict[str, Any]]]
    """Mapping of a vector field of a dimension, by codec; a codec that is missing is one this server cannot keep."""
    untested: frozenset[str]
    """Codecs that were never run against a real server of this product."""
    licensed: frozenset[str]
    """Codecs that a server with its free licence maps, and then refuses each write of."""
    knn: Callable[[str, FloatVector, int, int, Sequence[Clause]], Clause]
    """Nearest neighbours, from field, vector, k, candidates per segment and filters that come first; ``(1 + cosine) / 2`` as score."""
    most_candidates: int
    """Largest number of candidates that it takes."""
    bm25_factor: float
    """What its BM25 scores are multiplied with; Lucene's were, by k1 + 1, until version 8."""

    @property
    def server(self) -> str:
        """As in ``OpenSearch 3.5.0``."""
        return f"{self.label} {'.'.join(map(str, self.version))}"

    def vector_mapping(self, dim: int, part: Part, codec: Codec) -> dict[str, Any]:
        """Mapping of a space's field: one vector for words, one nested object per picture. Raises ``SettingsError`` for a codec it has not."""
        self.require_codec(codec)
        body = self.vector_bodies[codec](dim)
        return {"type": "nested", "properties": {"vector": body}} if part == "image" else body

    def require_codec(self, codec: Codec) -> None:
        """Raises ``SettingsError`` that lists what this server has."""
        if codec not in self.vector_bodies:
            raise SettingsError(
                f"{self.server} cannot keep vectors as {codec}.",
                field="server_vector_codec",
                value=codec,
                remedy=f"Use one of: {', '.join(self.vector_bodies)}.",
            )


def opensearch(version: Version) -> Dialect:
    """OpenSearch with its k-NN plugin."""
    return Dialect(
        product="opensearch",
        label="OpenSearch",
        version=version,
        # Derived source rebuilds vectors at read time and breaks segments after a scroll (k-NN issue 3191).
        index_settings={"index.knn": True} | ({"index.knn.derived_source.enabled": False} if version >= (3, 0, 0) else {}),
        max_dim=16_000,
        vector_bodies={
            "float": lambda dim: _knn_vector(dim, "lucene"),
            # confidence_interval 1: heavy-tailed vectors lost a fifth of their neighbours with the default
            "sq": lambda dim: _knn_vector(dim, "lucene", encoder={"name": "sq", "parameters": {"bits": 7, "confidence_interval": 1.0}}),
            "fp16": lambda dim: _knn_vector(dim, "faiss", encoder={"name": "sq", "parameters": {"type": "fp16"}}),
            "on_disk": lambda dim: _knn_vector(dim, "faiss") | {"mode": "on_disk", "compression_level": "32x"},
        },
        untested=frozenset({"fp16", "on_disk"}),
        licensed=frozenset(),
        knn=_opensearch_knn,
        most_candidates=1_000_000,
        bm25_factor=1.0 if version >= (3, 0, 0) else _LEGACY_BM25,
    )


def elasticsearch(version: Version) -> Dialect:
    """Elasticsearch, any licence."""
    bodies: dict[str, Callable[[int], dict[str, Any]]] = {
        "float": lambda dim: _dense_vector(dim, {"type": "hnsw", "m": _M, "ef_construction": _EF_CONSTRUCTION}),
        "sq": lambda dim: _dense_vector(dim, {"type": "int8_hnsw", "m": _M, "ef_construction": _EF_CONSTRUCTION}),
    }
    if version >= (9, 2, 0):
        bodies["on_disk"] = lambda dim: _dense_vector(dim, {"type": "bbq_disk"})
    return Dialect(
        product="elasticsearch",
        label="Elasticsearch",
        version=version,
        # From 9.2 on vectors are left out of _source by default, and a partial update has to rebuild them.
        index_settings={"index.mapping.exclude_source_vectors": False} if version >= (9, 2, 0) else {},
        max_dim=4_096,
        vector_bodies=bodies,
        untested=frozenset({"on_disk"}),
        licensed=frozenset({"on_disk"}),
        knn=_elasticsearch_knn,
        most_candidates=10_000,
        bm25_factor=_LEGACY_BM25,
    )


BUILDERS: Mapping[str, Callable[[Version], Dialect]] = {"opensearch": opensearch, "elasticsearch": elasticsearch}
OLDEST: Mapping[str, Version] = {"opensearch": (2, 19, 0), "elasticsearch": (8, 15, 0)}
LABELS: Mapping[str, str] = {"opensearch": "OpenSearch", "elasticsearch": "Elasticsearch"}


def recognise(greeting: Any, wanted: ProductName, url: str) -> Dialect:
    """The dialect of the server that answered ``GET /`` with ``greeting``.

    Raises ``EngineUnavailable`` where something else answered, the other product did, or one that is too old.
    """
    version = greeting.get("version") if isinstance(greeting, Mapping) else None
    number = re.match(r"(\d+)\.(\d+)\.(\d+)", str(version.get("number", ""))) if isinstance(version, Mapping) else None
    if not isinstance(version, Mapping) or number is None:
        raise EngineUnavailable(
            f"What answers at {url} is no search server.", field=f"{wanted}_url", value=url, remedy=f"Give the address of {LABELS[wanted]}."
        )
    found: ProductName = "opensearch" if version.get("distribution") == "opensearch" else "elasticsearch"
    parsed = (int(number[1]), int(number[2]), int(number[3]))
    dialect = BUILDERS[found](parsed)
    if found != wanted:
        raise EngineUnavailable(
            f"The server at {url} is {dialect.server}, not {LABELS[wanted]}.",
            field="engine",
            value=wanted,
            remedy=f"Set engine = {found!r} and {found}_url, or give the address of {LABELS[wanted]}.",
        )
    if parsed < OLDEST[found]:
        oldest = ".".join(map(str, OLDEST[found]))
        raise EngineUnavailable(
            f"The server at {url} is {dialect.server}, too old.", field=f"{wanted}_url", value=url, remedy=f"{oldest} or newer is needed."
        )
    return dialect


def _knn_vector(dim: int, engine: str, encoder: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The engine is always named: without it OpenSearch takes faiss, and a build that lacks its native library dies of the first vector."""
    parameters: dict[str, Any] = {"m": _M, "ef_construction": _EF_CONSTRUCTION}
    if encoder is not None:
        parameters["encoder"] = encoder
    method = {"name": "hnsw", "engine": engine, "space_type": "cosinesimil", "parameters": parameters}
    return {"type": "knn_vector", "dimension": dim, "method": method}


def _dense_vector(dim: int, index_options: Mapping[str, Any]) -> dict[str, Any]:
    """The index options are always named: the default is a lossy one."""
    return {"type": "dense_vector", "dims": dim, "index": True, "similarity": "cosine", "index_options": dict(index_options)}


def _opensearch_knn(field: str, vector: FloatVector, k: int, candidates: int, filters: Sequence[Clause]) -> Clause:
    body: Clause = {"vector": vector, "k": k, "method_parameters": {"ef_search": candidates}}
    return {"knn": {field: body | ({"filter": {"bool": {"filter": list(filters)}}} if filters else {})}}


def _elasticsearch_knn(field: str, vector: FloatVector, k: int, candidates: int, filters: Sequence[Clause]) -> Clause:
    body: Clause = {"field": field, "query_vector": vector, "k": k, "num_candidates": candidates}
    return {"knn": body | ({"filter": list(filters)} if filters else {})}
