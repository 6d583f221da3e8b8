"""The mapping files: JSON under ``mappings/<product>/``, which an operator can read, diff and override one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import orjson

import hybrid_search
from hybrid_search.engines.cluster.dialect import ProductName
from hybrid_search.engines.cluster.layout import ALONE, LEDGER, NEXT_BACKFILL, NEXT_LIVE, NUMERIC_PATHS, PARTS, STATES, TEXT_PATHS
from hybrid_search.errors import SettingsError
from hybrid_search.schema import KEYWORD_FIELDS

ANALYSIS = "text-analysis"
"""The component template that the products' index template is composed of."""
COMPONENTS = (ANALYSIS, "product-fields", "hybrid-fields")
TEMPLATE = "products"
PLAIN = ("chunks", "meta", "towers")
"""Bodies of the other indices."""
SETTINGS = ("bulk-load", "serving")
NAMES = (*COMPONENTS, TEMPLATE, *PLAIN, *SETTINGS)

_PREFIX = "{prefix}"
_NEEDED = frozenset(
    {*TEXT_PATHS.values(), *NUMERIC_PATHS.values(), *KEYWORD_FIELDS, *STATES.values(), f"{PARTS}.text", f"{PARTS}.image"}
    | {LEDGER, NEXT_LIVE, NEXT_BACKFILL, ALONE, "hybrid.facts", "hybrid.attribute_names", "hybrid.category_paths"}
)
"""Paths that the engine reads and writes: an override may add fields, never leave these out."""
_ANALYZER = "shop_text"


@dataclass(frozen=True, slots=True)
class MappingFile:
    """One file: where it came from, and its JSON with ``{prefix}`` filled in."""

    source: str
    body: Mapping[str, Any]

    @property
    def version(self) -> int:
        return int(self.body["_meta"]["version"])


def load_mappings(product: ProductName, prefix: str, overrides: Path | None = None) -> dict[str, MappingFile]:
    """All files of ``product`` by name, those in ``overrides`` standing in for ours.

    Raises ``SettingsError`` naming file and reason for an override that cannot be read or that would break the engine.
    """
    if overrides is not None:
        _require_folder(overrides)
    shipped = _shipped(product)
    made: dict[str, MappingFile] = {}
    for name in NAMES:
        own = overrides / f"{name}.json" if overrides is not None else None
        if own is not None and own.exists():
            made[name] = _read(name, str(own), own.read_bytes(), prefix)
        else:
            made[name] = _read(name, f"mappings/{product}/{name}.json", (shipped / f"{name}.json").read_bytes(), prefix)
    _check_products(made)
    return made


def index_template(files: Mapping[str, MappingFile]) -> dict[str, Any]:
    """The products' index template, with the fields of the other files joined in."""
    template: dict[str, Any] = {}
    for name in (*COMPONENTS[1:], TEMPLATE):
        template = _joined(template, files[name].body.get("template", {}))
    versions = {name: files[name].version for name in (*COMPONENTS, TEMPLATE)}
    template["mappings"] = {**template["mappings"], "_meta": {"versions": versions}}
    return {**files[TEMPLATE].body, "template": template}


def products_template(files: Mapping[str, MappingFile]) -> dict[str, Any]:
    """Settings and mappings of a products index, as the index template and its component give them together."""
    return _joined(files[ANALYSIS].body.get("template", {}), index_template(files)["template"])


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Objects merged key by key, the other's values standing."""
    joined = dict(one)
    for key, value in other.items():
        old = joined.get(key)
        joined[key] = _joined(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return joined


def _shipped(product: ProductName) -> Traversable:
    """In a wheel the files lie inside the package, in a checkout beside it."""
    packaged = files(hybrid_search) / "mappings" / product
    return packaged if packaged.is_dir() else Path(hybrid_search.__file__).parent.parent / "mappings" / product


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise SettingsError(
            f"There is no folder {folder}.", field="server_mappings", value=str(folder), remedy="Give the folder of your own mapping files."
        )
    unknown = sorted(path.name for path in folder.glob("*.json") if path.stem not in NAMES)
    if unknown:
        raise SettingsError(
            f"{folder / unknown[0]} stands in for no mapping file.",
            field="server_mappings",
            value=unknown[0],
            remedy=f"Name it as one of: {', '.join(f'{name}.json' for name in NAMES)}.",
        )


def _read(name: str, source: str, text: bytes, prefix: str) -> MappingFile:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _wrong(source, f"is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise _wrong(source, "is no JSON object")
    meta = body.get("_meta")
    if not isinstance(meta, dict) or not isinstance(meta.get("version"), int):
        raise _wrong(source, 'lacks "_meta": {"version": <number>}')
    inside = "template" if name in (*COMPONENTS, TEMPLATE) else None
    part = body.get(inside, {}) if inside else body
    if not isinstance(part, dict) or not all(isinstance(part.get(key, {}), dict) for key in ("settings", "mappings")):
        raise _wrong(source, f"holds no object {'template with ' if inside else ''}settings or mappings")
    for path, field in _fields(part.get("mappings", {})):
        _check_vector(source, path, field)
    return MappingFile(source, _fill(body, prefix))


def _check_vector(source: str, path: str, field: Mapping[str, Any]) -> None:
    if field.get("type") == "knn_vector" and not (isinstance(field.get("method"), dict) and field["method"].get("engine")):
        raise _wrong(source, f"has the knn_vector {path} without method.engine: the server would take one that may not be there")
    if field.get("type") == "dense_vector" and not field.get("index_options"):
        raise _wrong(source, f"has the dense_vector {path} without index_options: the server would take a lossy one")


def _check_products(made: Mapping[str, MappingFile]) -> None:
    """What the three components give together must have the analyzer and every field the engine uses."""
    analyzers: set[str] = set()
    fields: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for name in (*COMPONENTS, TEMPLATE):
        template = made[name].body.get("template", {})
        settings = template.get("settings", {})
        analysis = settings.get("index", settings).get("analysis", {}) if isinstance(settings.get("index", {}), dict) else {}
        analyzers |= set(analysis.get("analyzer", {}))
        fields |= {path: (name, field) for path, field in _fields(template.get("mappings", {}))}
        excluded = template.get("mappings", {}).get("_source", {})
        if excluded:
            raise _wrong(made[name].source, "sets _source: a partial update would lose what is left out of it")
    if _ANALYZER not in analyzers:
        raise _wrong(made["text-analysis"].source, f"defines no analyzer {_ANALYZER}")
    missing = sorted(_NEEDED - fields.keys())
    if missing:
        guilty = "hybrid-fields" if missing[0].startswith("hybrid.") else "product-fields"
        raise _wrong(made[guilty].source, f"lacks the field {missing[0]}")
    for path, (name, field) in fields.items():
        for key in ("analyzer", "search_analyzer"):
            if (used := field.get(key)) and used not in analyzers and str(used).startswith("shop_"):
                raise _wrong(made[name].source, f"uses the analyzer {used} in {path}, which no file defines")
    for path in TEXT_PATHS.values():
        name, field = fields[path]
        if field.get("type") != "text":
            raise _wrong(made[name].source, f"makes {path} a {field.get('type')}, not a text field")


def _fields(mappings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every field and sub-field with its path."""
    for key in ("properties", "fields"):
        inside = mappings.get(key, {})
        for name, field in inside.items() if isinstance(inside, dict) else ():
            if isinstance(field, dict):
                path = f"{above}.{name}" if above else name
                yield path, field
                yield from _fields(field, path)


def _fill(value: Any, prefix: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill(inner, prefix) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, prefix) for inner in value]
    return value.replace(_PREFIX, prefix) if isinstance(value, str) else value


def _wrong(source: str, reason: str) -> SettingsError:
    return SettingsError(
        f"The mapping file {source} {reason}.",
        field="server_mappings",
        value=source,
        remedy="Correct it, or delete it to have the shipped one (docs/server-engines.md).",
    )
