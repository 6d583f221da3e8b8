"""A foreign document as a product, by the field map of an attach file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hybrid_search.attach.availability import state_of
from hybrid_search.attach.config import ATTRIBUTE, DOCUMENT_ID, AttachConfig
from hybrid_search.attach.paths import values_at
from hybrid_search.attach.source import SourceDocument
from hybrid_search.catalog.convert import Converter, UnusableValue
from hybrid_search.catalog.faults import faults_of
from hybrid_search.catalog.mappings import ColumnMapping
from hybrid_search.catalog.pictures import PictureFolder, is_remote
from hybrid_search.catalog.rows import Accepted, Fault, Reject, shown
from hybrid_search.product import Product

LISTS = ("category", "images", "reviews", "attributes")
"""Fields that take all values of a path; the others take the first one."""


class _LinkedPictures(PictureFolder):
    """Pictures of an index are links: there is no folder beside it."""

    def resolve(self, image: str) -> tuple[str, bool]:
        if not is_remote(image) and not is_remote(self.base):
            raise ValueError("is no http(s) URL: set image_base to the URL that it is relative to")
        return PictureFolder.resolve(self, image)


class ProductReader:
    """Makes products of foreign documents; safe to share between threads."""

    def __init__(self, config: AttachConfig) -> None:
        self._config = config
        mapping = ColumnMapping(
            name="attach",
            fields={target: tuple(_column(target, path) for path in paths) for target, paths in config.fields.items()},
            constants=config.constants,
            separators=config.separators,
            unknown="ignore",
            image_base=config.image_base,
        )
        self._converter = Converter(mapping, _LinkedPictures(Path("/nonexistent"), config.image_base))

    @property
    def paths(self) -> tuple[str, ...]:
        """Source paths that are read: what to ask of ``_source``."""
        paths = {path for of_target in self._config.fields.values() for path in of_target if path != DOCUMENT_ID}
        tree = self._config.category_tree
        paths |= {tree.id, tree.parent} if tree else set()
        paths |= {path for pair in self._config.attribute_pairs for path in (pair.name, pair.value)}
        return tuple(sorted(paths))

    def id_of(self, document: SourceDocument) -> str:
        """The product's id, empty when the document has none."""
        path = self._config.id_path
        if path == DOCUMENT_ID:
            return document.id
        found = values_at(document.source, path)
        return str(found[0]).strip() if found else ""

    def read(self, document: SourceDocument, number: int = 0) -> Accepted | Reject:
        """The product, or the reason why there is none; ``number`` is told as its line."""
        fields: dict[str, Any] = {}
        try:
            fields, _ = self._converter.product_fields(self._record(document))
            self._add_pairs(document.source, fields)
            return Accepted(Product.model_validate({**fields, "id": self.id_of(document)}), number)
        except UnusableValue as err:
            fault = err.fault
        except ValidationError as err:
            fault = faults_of(err)[0]
        return self._reject(document, number, fault)

    def _reject(self, document: SourceDocument, number: int, fault: Fault) -> Reject:
        paths = ", ".join(self._config.fields.get(fault.field.partition(".")[0], ()))
        reason = f"{fault.reason} (from {paths})" if paths else fault.reason
        return Reject(number, fault.field, shown(fault.value), reason, document.id)

    def _record(self, document: SourceDocument) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for target, paths in self._config.fields.items():
            if target == "id":
                continue
            several = target in LISTS or target.startswith(ATTRIBUTE)
            for path in paths:
                found = [value for value in values_at(document.source, path) if not self._is_absent(target, value)]
                if not found:
                    continue
                value: Any = found if several and len(found) > 1 else found[0]
                if target in self._config.scales:
                    value = _scaled(value, self._config.scales[target])
                if target == "availability":
                    value = state_of(self._config.availability, value)
                if target == "category" and self._config.category_tree:
                    value = self._branch(document.source, path)
                record[_column(target, path)] = value
        return record

    def _is_absent(self, target: str, value: object) -> bool:
        return str(value) in self._config.absent.get(target, ())

    def _branch(self, source: Mapping[str, Any], path: str) -> list[Any]:
        """The deepest chain of a category list whose entries name their parents; the first one in the list among equals."""
        tree = self._config.category_tree
        assert tree is not None
        names, ids, parents = (values_at(source, p) for p in (path, tree.id, tree.parent))
        if not len(names) == len(ids) == len(parents):
            return names
        entries = dict(zip(ids, zip(names, parents, strict=True), strict=True))
        best: list[Any] = []
        for start in ids:
            chain: list[Any] = []
            at, seen = start, set()
            while at in entries and at not in seen:
                seen.add(at)
                chain.insert(0, entries[at][0])
                at = entries[at][1]
            if len(chain) > len(best):
                best = chain
        return best

    def _add_pairs(self, source: Mapping[str, Any], fields: dict[str, Any]) -> None:
        for pair in self._config.attribute_pairs:
            shared, _, name_step = pair.name.rpartition(".")
            value_step = pair.value.removeprefix(shared + ".")
            for item in values_at(source, shared):
                if isinstance(item, Mapping) and (names := values_at(item, name_step)) and (values := values_at(item, value_step)):
                    attributes = fields.setdefault("attributes", {})
                    attributes[str(names[0])] = [*attributes.get(str(names[0]), ()), *values]


def _column(target: str, path: str) -> str:
    """One column per use of a path, because a field's scale and list-ness are its own."""
    return f"{target}={path}"


def _scaled(value: Any, factor: float) -> Any:
    try:
        return round(float(value) * factor, 6)
    except (TypeError, ValueError):
        return value
