"""Our indices on a server: made where they are missing, checked where they are there, taken back where making them went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hybrid_search.engines.cluster.dialect import Dialect, ProductName, recognise
from hybrid_search.engines.cluster.layout import Indices
from hybrid_search.engines.cluster.mappings import ANALYSIS, COMPONENTS, PLAIN, TEMPLATE, MappingFile, index_template, products_template
from hybrid_search.engines.cluster.transport import ServerError, Transport
from hybrid_search.errors import EngineUnavailable

FIRST = "000001"
"""Number of the first index behind an alias."""
_TRIES = 3
"""Times that what others have taken back is made anew."""
GREETING = 5.0
"""Seconds for the first request: a server that is not there is told soon."""
_TEMPLATE_KEYS = frozenset({"template", "index_patterns", "composed_of", "priority", "version", "_meta"})
"""What is given when a template is put; a server tells more."""
EXISTS = "resource_already_exists_exception"
"""A server's own type of the error of an index that is there."""


@dataclass(slots=True)
class _Made:
    """What this opening has created, to be taken back in reverse."""

    paths: list[str] = field(default_factory=list)


def greet(transport: Transport, product: ProductName, timeout: float = GREETING) -> Dialect:
    """Who answers. Raises ``EngineUnavailable`` where it is not ``product``, too old, or lacks its k-NN plugin."""
    reply = transport.request("GET", "/", timeout=timeout)
    dialect = recognise(reply.body, product, transport.url)
    if product == "opensearch":
        plugins = transport.request("GET", "/_cat/plugins", params={"format": "json", "h": "component"}, ignore=(401, 403, 404))
        # a hosted server that does not tell its plugins has this one
        if plugins.ok and not any(one.get("component") == "opensearch-knn" for one in plugins.body):
            raise EngineUnavailable(
                f"{dialect.server} at {transport.url} lacks the k-NN plugin.",
                field="opensearch_url",
                value=transport.url,
                remedy="Install it on every node: bin/opensearch-plugin install opensearch-knn (the full distribution has it).",
            )
    return dialect


def prepare(
    transport: Transport,
    dialect: Dialect,
    indices: Indices,
    files: Mapping[str, MappingFile],
    *,
    shards: int = 1,
    replicas: int = 0,
    products: bool = True,
) -> None:
    """Make the indices that are missing (without ``products`` only the others: the products are somebody else's).

    Whatever this call made is taken back when one of them cannot be made, unless others that open at the same moment have completed the
    installation with it meanwhile. What they take back themselves is made anew.

    Raises:
        EngineUnavailable: an alias points to two indices, or the server cannot be reached.
        ServerError: the server refuses a mapping.
    """
    for _ in range(_TRIES):
        made = _Made()
        try:
            _make_missing(transport, dialect, indices, files, made, shards=shards, replicas=replicas, products=products)
        except (ServerError, EngineUnavailable):
            if _missing(transport, indices, products):
                for path in reversed(made.paths):
                    transport.request("DELETE", path, ignore=(404,))
            raise
        if not (missing := _missing(transport, indices, products)):
            return
    raise EngineUnavailable(
        f"The alias {missing[0]} disappeared each time it was made.",
        field="index_prefix",
        value=missing[0],
        remedy="Look for another process that opens this installation and fails, or deletes it.",
    )


def _make_missing(
    transport: Transport,
    dialect: Dialect,
    indices: Indices,
    files: Mapping[str, MappingFile],
    made: _Made,
    *,
    shards: int,
    replicas: int,
    products: bool,
) -> None:
    missing = _missing(transport, indices, products)
    if indices.products in missing:
        _make_templates(transport, indices, files, made)
        _make_index(transport, indices.products, _products_body(dialect, files, shards, replicas), made)
    for name in PLAIN:
        alias = str(getattr(indices, name))
        if alias in missing:
            _make_index(transport, alias, _plain_body(files[name], replicas), made)


def _missing(transport: Transport, indices: Indices, products: bool) -> list[str]:
    """Aliases that are not there."""
    held = behind_aliases(transport, indices)
    wanted = [*([indices.products] if products else []), *(str(getattr(indices, name)) for name in PLAIN)]
    return [alias for alias in wanted if alias not in held]


def behind_aliases(transport: Transport, indices: Indices) -> dict[str, str]:
    """The index behind each alias that exists. Raises ``EngineUnavailable`` where one points to several."""
    reply = transport.request("GET", f"/_alias/{','.join(indices.aliases)}", ignore=(404,))
    found: dict[str, list[str]] = {}
    for index, entry in reply.body.items():
        for alias in entry.get("aliases", {}) if isinstance(entry, dict) else ():
            found.setdefault(alias, []).append(index)
    for alias, behind in found.items():
        if len(behind) > 1:
            raise EngineUnavailable(
                f"The alias {alias} points to {len(behind)} indices: {', '.join(sorted(behind))}.",
                field="index_prefix",
                value=alias,
                remedy="Take all but the one in use out of it (POST /_aliases with a remove action).",
            )
    return {alias: behind[0] for alias, behind in found.items()}


def remove_all(transport: Transport, indices: Indices) -> None:
    """Delete the indices with everything in them, and the templates."""
    held = behind_aliases(transport, indices)
    if held:
        transport.request("DELETE", f"/{','.join(sorted(held.values()))}", ignore=(404,))
    transport.request("DELETE", f"/_index_template/{indices.products}", ignore=(404,))
    transport.request("DELETE", f"/_component_template/{indices.prefix}-{ANALYSIS}", ignore=(404,))


def put_templates(transport: Transport, indices: Indices, files: Mapping[str, MappingFile]) -> None:
    """Bring the templates to these files: for the next products index, none that exists is touched. Raises ``ServerError``."""
    _make_templates(transport, indices, files, _Made())


def read_templates(transport: Transport, indices: Indices) -> dict[str, dict[str, Any]]:
    """The templates as they are now, by the path to put them back at."""
    held: dict[str, dict[str, Any]] = {}
    for kind, name in (("component_template", f"{indices.prefix}-{ANALYSIS}"), ("index_template", indices.products)):
        reply = transport.request("GET", f"/_{kind}/{name}", ignore=(404,))
        for found in reply.body.get(f"{kind}s", ()):
            held[f"/_{kind}/{name}"] = {key: value for key, value in found[kind].items() if key in _TEMPLATE_KEYS}
    return held


def _make_templates(transport: Transport, indices: Indices, files: Mapping[str, MappingFile], made: _Made) -> None:
    _put(transport, f"/_component_template/{indices.prefix}-{ANALYSIS}", files[ANALYSIS].body, files[ANALYSIS].source, made)
    sources = ", ".join(files[name].source for name in (*COMPONENTS[1:], TEMPLATE))
    _put(transport, f"/_index_template/{indices.products}", index_template(files), sources, made)


def _put(transport: Transport, path: str, body: Mapping[str, Any], source: str, made: _Made) -> None:
    try:
        # 400 where it is there: only who made it takes it back
        created = transport.request("PUT", path, body, params={"create": "true"}, ignore=(400,)).ok
        if not created:
            transport.request("PUT", path, body)
    except ServerError as error:
        raise ServerError(
            f"The server refuses {source}: {error.message}",
            status=error.status,
            reason=error.reason,
            remedy=error.remedy or "Correct it, or delete it to have the shipped one (docs/server-engines.md).",
        ) from error
    if created:
        made.paths.append(path)


def _make_index(transport: Transport, alias: str, body: Mapping[str, Any], made: _Made) -> None:
    index = f"{alias}-{FIRST}"
    try:
        transport.request("PUT", f"/{index}", {**body, "aliases": {alias: {}}})
    except ServerError as error:
        if error.reason != EXISTS:
            raise
        if alias not in behind_one(transport, index):  # made by nobody who opens at the same time
            raise EngineUnavailable(
                f"The index {index} exists, and the alias {alias} does not point to it.",
                field="index_prefix",
                value=alias,
                remedy=f"Point the alias to the index in use (POST /_aliases), or delete {index} if it is a left-over.",
            ) from error
        return
    made.paths.append(f"/{index}")


def behind_one(transport: Transport, index: str) -> list[str]:
    """Aliases of an index."""
    reply = transport.request("GET", f"/{index}/_alias", ignore=(404,))
    return [alias for entry in reply.body.values() if isinstance(entry, dict) for alias in entry.get("aliases", {})]


def _products_body(dialect: Dialect, files: Mapping[str, MappingFile], shards: int, replicas: int) -> dict[str, Any]:
    """All of the templates is said again: another opening that fails may take them back before this index is made."""
    template = products_template(files)
    own = {"index.number_of_shards": shards, "index.number_of_replicas": replicas, **dialect.index_settings}
    return {**template, "settings": {**template.get("settings", {}), **own}}


def _plain_body(file: MappingFile, replicas: int) -> dict[str, Any]:
    settings = {**file.body.get("settings", {}), "index.number_of_shards": 1, "index.number_of_replicas": replicas}
    return {"settings": settings, "mappings": {**file.body.get("mappings", {}), "_meta": file.body["_meta"]}}
