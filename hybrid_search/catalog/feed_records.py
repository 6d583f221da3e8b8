"""Records from a Google Merchant feed: RSS 2.0 or Atom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from hybrid_search.catalog.convert import Record
from hybrid_search.catalog.rows import Fault
from hybrid_search.errors import CatalogError

_ITEMS = ("item", "entry")
_MAX_VALUES = 5_000
"""Elements of one item; more is no product."""


def read_feed(stream: BinaryIO) -> Iterator[tuple[int, Record | Fault]]:
    """One record per ``item`` or ``entry``: element names without namespace to text, to a list when repeated, to a mapping when nested.

    Raises:
        CatalogError: not XML, cut off, with a document type (entities can be used to exhaust memory), or without any item.
    """
    number = 0
    try:
        for item in _items(stream):
            number += 1
            yield (
                number,
                _record(item) if sum(1 for _ in item.iter()) <= _MAX_VALUES else Fault("", None, f"has more than {_MAX_VALUES} elements"),
            )
    except ParseError as err:
        raise CatalogError(
            f"The feed is not well-formed XML: {err} (after {number} items).", field="catalog", remedy="Export it again."
        ) from err
    except DefusedXmlException as err:
        raise CatalogError(
            f"The feed declares a document type or entities ({type(err).__name__}).", field="catalog", remedy="Remove the DOCTYPE."
        ) from err
    if not number:
        raise CatalogError(
            "The feed holds no <item> and no <entry>.", field="catalog", remedy="Give a Google Merchant feed in RSS 2.0 or Atom."
        )


def _items(stream: BinaryIO) -> Iterator[Element]:
    """Each item once it is complete; it is taken out of the tree afterwards, so that the tree stays small."""
    above: list[Element] = []
    for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=True):
        if event == "start":
            above.append(element)
            continue
        above.pop()
        if _name(element) in _ITEMS and not any(_name(parent) in _ITEMS for parent in above):
            yield element
            if above:
                above[-1].remove(element)


def _record(item: Element) -> Record:
    record: Record = {}
    for child in item:
        name, value = _name(child), _value(child)
        if value in (None, ""):
            continue
        if name not in record:
            record[name] = value
        elif isinstance(record[name], list):
            record[name].append(value)
        else:
            record[name] = [record[name], value]
    if isinstance(paths := record.get("product_type"), list):
        record["product_type"] = paths[0]
    if str(record.get("google_product_category", "")).isdigit():
        del record["google_product_category"]
    return record


def _value(element: Element) -> Any:
    if len(element):
        return {_name(child): (child.text or "").strip() for child in element}
    return (element.text or "").strip() or element.get("href", "")


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]
