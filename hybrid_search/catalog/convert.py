"""One record of a catalogue, whatever its columns are called, as the fields of a product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hybrid_search.catalog.mappings import ATTRIBUTE, ColumnMapping
from hybrid_search.catalog.pictures import PictureFolder
from hybrid_search.catalog.rows import Fault
from hybrid_search.catalog.values import CONVERT, attribute, from_json, is_absent, price, split, split_images, word
from hybrid_search.product import CATEGORY_SEPARATOR

Record: TypeAlias = dict[str, Any]

_Rule: TypeAlias = tuple[str, int, Callable[[Any], Any] | None]
"""Target field, rank among the columns that may fill it, conversion."""
_JOINED = ("category", "description", "reviews", "attributes", "images")
"""Fields that several columns fill together, or that need more than one value's conversion."""


class UnusableValue(ValueError):
    """A value that cannot become a product field; carries the fault. Raised and caught inside this package."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


class Converter:
    """A mapping made ready for many records.

    Args:
        mapping: which column fills which field.
        pictures: resolves local image names.
    """

    def __init__(self, mapping: ColumnMapping, pictures: PictureFolder) -> None:
        self._mapping = mapping
        self._pictures = pictures
        self._plain: dict[str, list[_Rule]] = {}
        for target, columns in mapping.fields.items():
            if target not in _JOINED and not target.startswith(ATTRIBUTE):
                for rank, column in enumerate(columns):
                    self._plain.setdefault(column, []).append((target, rank, CONVERT.get(target)))
        self._nested = tuple(column for column in self._plain if "." in column)
        self._attributes = tuple(
            (target.removeprefix(ATTRIBUTE), columns) for target, columns in mapping.fields.items() if target.startswith(ATTRIBUTE)
        )
        self._joined = {target: mapping.fields.get(target, ()) for target in _JOINED}
        self._separators = mapping.separators
        self._known = frozenset(
            (
                *mapping.ignore,
                *(name for columns in mapping.fields.values() for column in columns for name in (column, column.split(".", 1)[0])),
            )
        )

    def product_fields(self, record: Record) -> tuple[Record, tuple[str, ...]]:
        """The fields of a product, not yet validated, and the local pictures that are not there. Raises ``UnusableValue``."""
        fields: Record = {}
        ranks: dict[str, int] = {}
        for column, value in record.items():
            if (rules := self._plain.get(column)) and not is_absent(value):
                _fill(fields, ranks, rules, value)
        for column in self._nested:
            if not is_absent(value := reach(record, column)):
                _fill(fields, ranks, self._plain[column], value)
        if isinstance(fields.get("price"), str):
            self._add_price(fields)
        self._add_category(record, fields)
        self._add_description(record, fields)
        self._add_reviews(record, fields)
        self._add_attributes(record, fields)
        missing = self._add_images(record, fields)
        if self._mapping.constants:
            self._add_constants(fields)
        return fields, missing

    def _values(self, record: Record, target: str) -> list[Any]:
        """What the columns of a joined field hold, in the mapping's order."""
        found = []
        for column in self._joined[target]:
            value = record.get(column)
            if value is None and "." in column:
                value = reach(record, column)
            if value is not None and not is_absent(value):
                found.append(value)
        return found

    def _add_price(self, fields: Record) -> None:
        fields["price"], currency = price(fields["price"])
        if currency and fields.setdefault("currency", currency) != currency:
            raise UnusableValue(Fault("currency", fields["currency"], f"differs from the currency in the price, {currency}"))

    def _add_constants(self, fields: Record) -> None:
        for target, value in self._mapping.constants.items():
            if target.startswith(ATTRIBUTE):
                fields.setdefault("attributes", {}).setdefault(target.removeprefix(ATTRIBUTE), value)
            elif not fields.get(target):
                fields[target] = value

    def _add_category(self, record: Record, fields: Record) -> None:
        if values := self._values(record, "category"):
            fields["category"] = split(values[0], self._separators.get("category", CATEGORY_SEPARATOR))

    def _add_description(self, record: Record, fields: Record) -> None:
        if parts := [word(value) for value in self._values(record, "description")]:
            fields["description"] = "\n".join(parts) if all(isinstance(part, str) for part in parts) else parts[0]

    def _add_reviews(self, record: Record, fields: Record) -> None:
        reviews: list[Any] = []
        for value in self._values(record, "reviews"):
            given = from_json(value)
            if not isinstance(given, (list, tuple)):
                raise UnusableValue(Fault("reviews", value, "must be a list"))
            reviews.extend(given)
        if reviews:
            fields["reviews"] = reviews

    def _add_attributes(self, record: Record, fields: Record) -> None:
        attributes: Record = {}
        for value in self._values(record, "attributes"):
            given = from_json(value)
            if not isinstance(given, dict):
                raise UnusableValue(Fault("attributes", value, "must be a mapping of names to values"))
            attributes.update(given)
        for name, columns in self._attributes:
            found = [value for column in columns if not is_absent(value := reach(record, column))]
            if found:
                attributes[name] = [piece for value in found for piece in split(value, self._separators.get(ATTRIBUTE + name, ""))]
        unknown = record.keys() - self._known
        if unknown and self._mapping.unknown != "ignore":
            self._add_unknown(record, sorted(unknown), attributes)
        if attributes:
            fields["attributes"] = {name: attribute(value) for name, value in attributes.items() if value is not None}

    def _add_unknown(self, record: Record, columns: list[str], attributes: Record) -> None:
        for column in columns:
            value = record[column]
            if is_absent(value):
                continue
            if self._mapping.unknown == "reject":
                raise UnusableValue(Fault(column, value, "is a column that the mapping does not name"))
            if isinstance(value, dict) or (isinstance(value, (list, tuple)) and any(isinstance(item, (dict, list)) for item in value)):
                raise UnusableValue(
                    Fault(column, value, "is no product field and holds more than texts: name it in a mapping file, under fields or ignore")
                )
            attributes.setdefault(column, value)

    def _add_images(self, record: Record, fields: Record) -> tuple[str, ...]:
        images: list[str] = []
        missing: list[str] = []
        separator = self._separators.get("images", "")
        for value in self._values(record, "images"):
            for given in split_images(value, separator):
                image = _image_name(given)
                try:
                    path, there = self._pictures.resolve(image)
                except ValueError as err:
                    raise UnusableValue(Fault("images", image, str(err))) from err
                if path not in images:
                    images.append(path)
                    if not there:
                        missing.append(image)
        if images:
            fields["images"] = images
        return tuple(missing)


def reach(record: Record, column: str) -> Any:
    """The value of a column; ``a.b`` is the key ``b`` inside the mapping ``a`` unless a column has that very name."""
    if column in record or "." not in column:
        return record.get(column)
    value: Any = record
    for part in column.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _fill(fields: Record, ranks: dict[str, int], rules: list[_Rule], value: Any) -> None:
    """Gives the value to each field that its column fills, unless a column that comes before it did."""
    for target, rank, convert in rules:
        if ranks.get(target, rank) >= rank:
            ranks[target] = rank
            fields[target] = convert(value) if convert else value


def _image_name(given: object) -> str:
    """An image as its path or URL: a text, or a mapping that holds one as ``url``, ``src``, ``link``, ``path`` or ``file``."""
    if isinstance(given, dict):
        given = next((given[key] for key in ("url", "src", "link", "path", "file") if given.get(key)), given)
    if not isinstance(given, str) or not given.strip():
        raise UnusableValue(Fault("images", given, "must be a path, a URL or a data URL, or a list of them"))
    return given.strip()
