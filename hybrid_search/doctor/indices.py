"""Checks of our indices on a search server: aliases, mappings and templates as our files have them, analyzers that give our tokens."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from hybrid_search.doctor.finding import Finding
from hybrid_search.engines import analysis
from hybrid_search.engines.cluster.indices import behind_aliases
from hybrid_search.engines.cluster.layout import Indices
from hybrid_search.engines.cluster.mappings import ANALYSIS, PLAIN, MappingFile, index_template
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.errors import EngineUnavailable

SAMPLES = (
    "Women's Nike running shoes, size 8.5 — the waterproof ones",
    "红色 运动鞋 女款 2026新款",
    "ＸＬ Café crème 500ml, 3-in-1 USB‑C cable",
    "universities’ T-shirts and knives",
)
"""Texts of both languages in which analyzers usually differ."""
_CROWDED = 0.8
_SHOWN = 5
Flat = Mapping[str, str]


def check_aliases(transport: Transport, indices: Indices) -> Iterator[Finding]:
    """Whether each of our aliases stands for one index. Raises nothing for an installation that is not there yet."""
    try:
        held = behind_aliases(transport, indices)
    except EngineUnavailable as err:
        yield Finding("indices.aliases", "fail", err.message, err.remedy or "")
        return
    missing = [alias for alias in indices.aliases if alias not in held]
    if not held:
        yield Finding(
            "indices.aliases",
            "warn",
            f"There are no indices of {indices.prefix!r} yet.",
            "They are made when the API, a worker or ingest first starts.",
        )
    elif missing:
        yield Finding(
            "indices.aliases",
            "fail",
            f"Aliases are missing: {', '.join(missing)}.",
            "Point them to the indices in use (POST /_aliases), or restore a snapshot.",
        )
    else:
        yield Finding("indices.aliases", "ok", "Every alias stands for one index.")


def check_mappings(transport: Transport, indices: Indices, files: Mapping[str, MappingFile]) -> Iterator[Finding]:
    """Whether the indices have the fields and the analysis of our files. Fields that are there besides are let be."""
    held = behind_aliases(transport, indices)
    for name in ("products", *PLAIN):
        index = held.get(str(getattr(indices, name)))
        if index is None:
            continue
        told = transport.request("GET", f"/{index}").body[index]
        if name == "products":
            wanted = index_template(files)["template"]
            analyzers = _flat(_analysis(files[ANALYSIS].body["template"]["settings"])) | _flat(_analysis(wanted.get("settings", {})))
            drift = _drift(_fields(wanted["mappings"]), _fields(told["mappings"])) + _drift(
                analyzers, _flat(_analysis(told["settings"])), "analysis."
            )
            ours, theirs = wanted["mappings"]["_meta"], told["mappings"].get("_meta", {})
        else:
            drift = _drift(_fields(files[name].body["mappings"]), _fields(told["mappings"]))
            ours, theirs = {"version": files[name].version}, {"version": told["mappings"].get("_meta", {}).get("version")}
        yield from _finding(
            "indices.mappings", index, drift, ours == theirs, "hybrid-search reindex builds an index by the files and moves the alias."
        )
        if name == "products":
            yield _crowding(index, told)


def check_templates(transport: Transport, indices: Indices, files: Mapping[str, MappingFile]) -> Iterator[Finding]:
    """Whether the templates are what our files say: a new index is made by them."""
    if indices.products not in behind_aliases(transport, indices):
        return
    remedy = "Restore it: PUT the file's content, or open the engine on a fresh prefix."
    wanted = {
        f"/_index_template/{indices.products}": ("index_templates", "index_template", index_template(files)),
        f"/_component_template/{indices.prefix}-{ANALYSIS}": ("component_templates", "component_template", files[ANALYSIS].body),
    }
    for path, (several, one, body) in wanted.items():
        name = path.rpartition("/")[2]
        told = transport.request("GET", path, ignore=(404,))
        if not told.ok:
            yield Finding(
                "indices.templates",
                "fail",
                f"The template {name} is missing.",
                "Open the engine once on a server without products, or PUT it from mappings/.",
            )
            continue
        held = told.body[several][0][one]
        fields = _drift(_fields(body["template"].get("mappings", {})), _fields(held["template"].get("mappings", {})))
        settings = _drift(
            _flat(_analysis(body["template"].get("settings", {}))), _flat(_analysis(held["template"].get("settings", {}))), "analysis."
        )
        yield from _finding("indices.templates", name, fields + settings, body.get("_meta") == held.get("_meta"), remedy)


def check_analyzers(transport: Transport, indices: Indices) -> Iterator[Finding]:
    """Whether the server cuts texts as we cut queries."""
    index = behind_aliases(transport, indices).get(indices.products)
    if index is None:
        return
    for text in SAMPLES:
        told = transport.request("POST", f"/{index}/_analyze", {"analyzer": "shop_text", "text": text}).body
        theirs, ours = [token["token"] for token in told["tokens"]], analysis.terms(text)
        if theirs != ours:
            differing = next((pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]), (len(ours), len(theirs)))
            yield Finding(
                "indices.analyzers",
                "fail",
                f"{index} cuts {text!r} differently: {differing[0]!r} is {differing[1]!r} there.",
                "Rebuild the index with our text-analysis.json (hybrid-search reindex).",
            )
            return
    yield Finding("indices.analyzers", "ok", f"{index} cuts {len(SAMPLES)} sample texts as we do.")


def _finding(check: str, name: str, drift: list[str], same_version: bool, remedy: str) -> Iterator[Finding]:
    if drift:
        more = f" and {len(drift) - _SHOWN} more" if len(drift) > _SHOWN else ""
        yield Finding(check, "fail", f"{name} differs from our files: {'; '.join(drift[:_SHOWN])}{more}.", remedy)
    elif not same_version:
        yield Finding(check, "warn", f"{name} has the content of our files under another _meta version.", remedy)
    else:
        yield Finding(check, "ok", f"{name} is as our files have it.")


def _drift(wanted: Flat, held: Flat, prefix: str = "") -> list[str]:
    return [
        f"{prefix}{path} is {held[path]} instead of {value}" if path in held else f"{prefix}{path} is missing"
        for path, value in sorted(wanted.items())
        if held.get(path) != value
    ]


def _fields(mappings: Mapping[str, Any]) -> Flat:
    """Field parameters by path; ``object`` is what a server leaves out."""
    flat = _flat(mappings.get("properties", {}))
    return {path.replace(".properties.", "."): value for path, value in flat.items() if not (path.endswith(".type") and value == "object")}


def _analysis(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    inside = settings.get("index", settings)
    found: Mapping[str, Any] = inside.get("analysis", {})
    return found


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """Leaves as texts by path: a server gives settings back as texts. Lists are leaves."""
    if isinstance(value, Mapping):
        return {p: leaf for key, inner in value.items() for p, leaf in _flat(inner, f"{path}.{key}" if path else str(key)).items()}
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)
    return {path: shown if len(shown) <= 200 else f"{shown[:80]}… ({len(shown)} characters, {zlib.crc32(shown.encode()):08x})"}


def _crowding(index: str, told: Mapping[str, Any]) -> Finding:
    limit = int(told["settings"]["index"].get("mapping", {}).get("total_fields", {}).get("limit", 1_000))
    count = _count(told["mappings"])
    if count > _CROWDED * limit:
        return Finding(
            "indices.fields",
            "warn",
            f"{index} has {count} of at most {limit} fields.",
            "Raise index.mapping.total_fields.limit, or drop embedding spaces that are no longer used.",
        )
    return Finding("indices.fields", "ok", f"{index} has {count} of at most {limit} fields.")


def _count(mapping: Mapping[str, Any]) -> int:
    inside = [*mapping.get("properties", {}).values(), *mapping.get("fields", {}).values()]
    return len(inside) + sum(_count(one) for one in inside)
