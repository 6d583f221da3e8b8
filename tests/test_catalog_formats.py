"""The same products in every format, and the ways in which files are broken."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid_search.catalog.mappings import parse_mapping
from hybrid_search.catalog.read import read_catalog
from hybrid_search.catalog.rows import Accepted, Reject, Row
from hybrid_search.errors import CatalogError

PRODUCTS: list[dict[str, Any]] = [
    {
        "id": "a1",
        "title": "Red mug",
        "description": "Holds, about; 350 ml",
        "category": "Home > Mugs",
        "price": 12.5,
        "currency": "EUR",
        "rating": 4.5,
    },
    {
        "id": "a2",
        "title": "蓝色 “杯子”\u2028two\x0clines\x85here",
        "description": 'say "hi"\nnext line',
        "category": "家居 > 杯子",
        "price": 8,
        "currency": "CNY",
    },
    {"id": "a3", "title": "Plain", "description": "", "category": "", "price": None, "currency": ""},
]


def _jsonl(path: Path) -> None:
    path.write_bytes(b"".join(json.dumps(product, ensure_ascii=False).encode() + b"\n" for product in PRODUCTS))


def _json(path: Path) -> None:
    path.write_text(json.dumps(PRODUCTS, ensure_ascii=False, indent=1), encoding="utf-8")


def _table(delimiter: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        names = list(dict.fromkeys(name for product in PRODUCTS for name in product))
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, names, delimiter=delimiter)
            writer.writeheader()
            writer.writerows(PRODUCTS)

    return write


def _parquet(path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist(PRODUCTS), path)


def _feed(path: Path) -> None:
    items = "".join(
        f"<item><g:id>{p['id']}</g:id><title><![CDATA[{p['title']}]]></title><g:description><![CDATA[{p['description']}]]></g:description>"
        + (f"<g:product_type>{p['category'].replace('>', '&gt;')}</g:product_type>" if p["category"] else "")
        + (f"<g:price>{p['price']:.2f} {p['currency']}</g:price>" if p["price"] else "")
        + "<g:shipping><g:country>DE</g:country><g:price>4.90 EUR</g:price></g:shipping></item>"
        for p in PRODUCTS
    ).replace("\x0c", " ")
    path.write_text(
        f'<?xml version="1.0"?><rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>{items}</channel></rss>',
        encoding="utf-8",
    )


WRITERS: dict[str, Callable[[Path], None]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _table(","),
    "tsv": _table("\t"),
    "parquet": _parquet,
    "xml": _feed,
}


def rows_of(path: Path, **options: Any) -> list[Row]:
    return list(read_catalog(path, **options))


def accepted(rows: list[Row]) -> list[Accepted]:
    return [row for row in rows if isinstance(row, Accepted)]


def rejected(rows: list[Row]) -> list[Reject]:
    return [row for row in rows if isinstance(row, Reject)]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("format", WRITERS)
def test_every_format_gives_the_same_products(tmp_path: Path, format: str, packed: bool) -> None:
    path = tmp_path / f"shop.{format}"
    WRITERS[format](path)
    if packed:
        path = Path(f"{path}.gz")
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
    rows = rows_of(path)
    assert rejected(rows) == []
    products = [row.product for row in accepted(rows)]
    assert [(p.id, p.price, p.currency) for p in products] == [("a1", 12.5, "EUR"), ("a2", 8.0, "CNY"), ("a3", None, "")]
    assert [p.category for p in products] == [("Home", "Mugs"), ("家居", "杯子"), ()]
    assert products[0].description == "Holds, about; 350 ml"
    assert products[1].title == "蓝色 “杯子” two lines here"
    assert products[1].description == 'say "hi" next line'


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("format", ["jsonl", "json", "csv", "xml"])
def test_a_byte_order_mark_is_skipped(tmp_path: Path, format: str, mark: bytes) -> None:
    path = tmp_path / f"shop.{format}"
    WRITERS[format](path)
    path.write_bytes(mark + path.read_bytes())
    assert [row.product.id for row in accepted(rows_of(path))] == ["a1", "a2", "a3"]


def test_json_lines_end_at_newline_only(tmp_path: Path) -> None:
    path = tmp_path / "shop.jsonl"
    path.write_bytes('{"id":"1","title":"one\u2028\u0085still one"}\n\n  \n{"id":"2"}\r\n{"id":"3"}'.encode())
    assert [(row.product.id, row.line) for row in accepted(rows_of(path))] == [("1", 1), ("2", 4), ("3", 5)]


def test_one_bad_row_never_stops_a_load(tmp_path: Path) -> None:
    path = tmp_path / "shop.jsonl"
    lines = [
        b'{"id":"1"}',
        b"{broken",
        b'{"id":"caf\xe9"}',
        b"[1,2]",
        b'{"title":"no id"}',
        b'{"id":"2","price":"19,99"}',
        b'{"id":"1","title":"again"}',
        b'{"id":"3"}',
    ]
    path.write_bytes(b"\n".join(lines))
    rows = rows_of(path)
    assert [row.product.id for row in accepted(rows)] == ["1", "3"]
    found = {row.line: (row.field, row.reason) for row in rejected(rows)}
    assert "not valid JSON" in found[2][1]
    assert "not UTF-8" in found[3][1] and "0xe9" in found[3][1]
    assert "JSON object" in found[4][1]
    assert found[5] == ("id", "is missing")
    assert found[6][0] == "price" and "decimal point" in found[6][1]
    assert found[7] == ("id", "was already given in line 1")


def test_ragged_rows_are_rejected_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text('id,title,price\n1,"two\nlines",1\n2,short\n3,long,1,extra\n4,fine,2\n5,padded,3,,\n', encoding="utf-8")
    rows = rows_of(path)
    assert [(row.product.id, row.line) for row in accepted(rows)] == [("1", 2), ("4", 6), ("5", 7)]
    assert [(row.line, row.reason) for row in rejected(rows)] == [
        (4, "has 2 cells, the header has 3"),
        (5, "has 4 cells, the header has 3"),
    ]


def test_an_unclosed_quote_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text(
        'id,title\n1,"never closed\n' + "".join(f"{i},fine\n" for i in range(2, 50)) + '50,"5" screen"\n51,fine\n', encoding="utf-8"
    )
    rows = rows_of(path)
    assert [row.product.id for row in accepted(rows)] == [str(i) for i in range(2, 50)] + ["51"]
    assert [row.line for row in rejected(rows)] == [2, 51]


def test_a_quote_that_closes_in_a_later_row_swallows_none(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text('id,title\n1,"a\n2,b",c\n3,fine\n', encoding="utf-8")
    rows = rows_of(path)
    assert [row.product.id for row in accepted(rows)] == ["3"]
    assert [row.line for row in rejected(rows)] == [2, 3]


def test_latin_1_in_a_table_is_rejected_by_row_or_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes("id;title\n1;Café\n2;Tea\n".encode("latin-1"))
    rows = rows_of(path)
    assert [row.product.id for row in accepted(rows)] == ["2"]
    assert [(row.line, row.field) for row in rejected(rows)] == [(2, "title")]
    assert [row.product.title for row in accepted(rows_of(path, mapping=parse_mapping({"encoding": "latin-1"})))] == ["Café", "Tea"]


def test_nul_bytes_and_huge_cells(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("id,title,description\n1,nul\0byte,x\n2,big," + "y" * 1_000_000 + "\nn\0ul,bad,x\n3,fine,x\n", encoding="utf-8")
    rows = rows_of(path)
    assert [(row.product.id, row.product.title) for row in accepted(rows)] == [("1", "nulbyte"), ("3", "fine")]
    assert [(row.line, row.field) for row in rejected(rows)] == [(3, "description"), (4, "id")]
    assert all(len(row.value) <= 200 for row in rejected(rows))


def test_a_million_byte_data_url_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "shop.jsonl"
    image = "data:image/png;base64," + "A" * 1_000_000
    path.write_text(json.dumps({"id": "1", "image": image}) + "\n", encoding="utf-8")
    assert [row.product.images for row in accepted(rows_of(path))] == [(image,)]


def test_json_lines_under_the_name_of_json_are_read(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    _jsonl(path)
    assert [row.product.id for row in accepted(rows_of(path))] == ["a1", "a2", "a3"]


def test_a_json_list_inside_an_object(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    path.write_text(json.dumps({"shop": {"stock": [{"id": "1"}, 7, {"id": "2"}]}}, indent=1), encoding="utf-8")
    rows = rows_of(path, mapping=parse_mapping({"records": "shop.stock"}))
    assert [(row.product.id, row.line) for row in accepted(rows)] == [("1", 1), ("2", 3)]
    assert [row.line for row in rejected(rows)] == [2]
    with pytest.raises(CatalogError, match="no list at 'products'"):
        rows_of(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("shop.json", b'[{"id": "1"}, {"id": "2"', "not valid JSON after 1 products"),
        ("shop.xml", b"<rss><channel><item><id>1</id></item><item>", "not well-formed XML"),
        ("shop.xml", b'<!DOCTYPE r [<!ENTITY a "x">]><rss><channel><item><id>&a;</id></item></channel></rss>', "document type"),
        ("shop.xml", b"<html><body></body></html>", "holds no <item>"),
        ("shop.parquet", b"PAR1 this is not parquet PAR1", "Parquet"),
        ("shop.csv", b"", "no header row"),
        ("shop.csv", b"id,id\n1,2\n", "'id' is there twice"),
        ("shop.jsonl", "id".encode("utf-16"), "UTF-16"),
        ("shop.jsonl.gz", gzip.compress(b'{"id":"1"}\n' * 50_000)[:-40], "damaged or cut off"),
        ("shop.docx", b"PK", "format of 'shop.docx' is unknown"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=message):
        rows_of(path)


def test_a_missing_file_and_an_empty_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="There is no catalogue at"):
        rows_of(tmp_path / "nothing.jsonl")
    with pytest.raises(CatalogError, match="holds no products file"):
        rows_of(tmp_path)


def test_parquet_nesting_times_and_missing_numbers(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = arrow.table(
        {
            "id": arrow.array([1, 2]),
            "price": arrow.array([float("nan"), 2.5]),
            "images": arrow.array([["http://shop.example/a.jpg"], None]),
            "attributes": arrow.array([[("fit", "slim")], []], type=arrow.map_(arrow.string(), arrow.string())),
            "created": arrow.array([1_700_000_000_123_456_789, None], type=arrow.timestamp("ns", tz="UTC")),
        }
    )
    path = tmp_path / "shop.parquet"
    parquet.write_table(table, path)
    first, second = (row.product for row in accepted(rows_of(path)))
    assert (first.id, first.price, second.price) == ("1", None, 2.5)
    assert (first.images, first.attributes) == (("http://shop.example/a.jpg",), {"fit": ("slim",)})
    assert first.created is not None and first.created.isoformat() == "2023-11-14T22:13:20.123456+00:00"


def test_progress_grows_to_one(tmp_path: Path) -> None:
    path = tmp_path / "shop.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(b'{"id":"%d","title":"%d"}\n' % (i, i * 7919) for i in range(30_000))))
    seen: list[float] = []
    rows_of(path, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0 and len(set(seen)) > 1
