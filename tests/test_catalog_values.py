"""Single values: markup, spellings, numbers, pictures, and the words of a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from hybrid_search.catalog.faults import faults_of
from hybrid_search.catalog.markup import plain_text
from hybrid_search.catalog.pictures import PictureFolder
from hybrid_search.catalog.rows import Accepted, CatalogSummary, Reject, RejectsFile, Row, shown
from hybrid_search.catalog.values import availability, gtin, is_absent, price, split_images, word
from hybrid_search.errors import CatalogError
from hybrid_search.product import Product


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("plain", "plain"),
        ('a < b and c > d, 5" <3', 'a < b and c > d, 5" <3'),
        ("one<br>two<br/>three", "one two three"),
        ("<p>Soft</p><p>warm</p>", "Soft warm"),
        ("in<b>visible</b> seam", "invisible seam"),
        ("<style>p{color:red}</style><p>seen</p><script>alert('x < y')</script>", "seen"),
        ("Fish &amp; chips, caf&eacute; &#8364;5", "Fish & chips, café €5"),
        ("AT&T & more", "AT&T & more"),
        ("EverCool&trade;", "EverCool™"),
        ("<!-- hidden --><i>shown</i>", "shown"),
        ("<P CLASS='x'>Upper", "Upper"),
        ("List<int> of things", "List<int> of things"),
        ("<a href='https://x.example/?a=1&b=2'>link</a>", "link"),
    ],
)
def test_markup_becomes_text(given: str, text: str) -> None:
    assert plain_text(given) == text


@pytest.mark.parametrize(
    ("given", "meaning"),
    [
        ("in stock", "in_stock"), ("In Stock", "in_stock"), ("https://schema.org/InStock", "in_stock"), (True, "in_stock"), (1, "in_stock"),
        ("out_of_stock", "out_of_stock"), ("SoldOut", "out_of_stock"), ("false", "out_of_stock"), ("0", "out_of_stock"),
        ("pre-order", "preorder"), ("backorder", "backorder"), ("maybe", "maybe"),
    ],
)  # fmt: skip
def test_availability_spellings(given: object, meaning: str) -> None:
    assert availability(given) == meaning


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("19.99", ("19.99", "")), ("19.99 USD", ("19.99", "USD")), ("EUR19.99", ("19.99", "EUR")), (" 5 CNY ", ("5", "CNY")), (7.5, (7.5, "")),
        ("19,99", ("19,99", "")), ("1,299.00 USD", ("1,299.00 USD", "")), ("$5", ("$5", "")), ("", ("", "")),
    ],
)  # fmt: skip
def test_price_spellings(given: object, parts: tuple[object, str]) -> None:
    assert price(given) == parts


@pytest.mark.parametrize(
    ("given", "digits"),
    [
        ("4006 3813-33931", "4006381333931"),
        (4006381333931, "4006381333931"),
        (["x", "1234567", "0095205603217"], "0095205603217"),
        ([], ""),
        ("4.00638E+12", "4.00638E+12"),
    ],
)
def test_gtin_spellings(given: object, digits: str) -> None:
    assert gtin(given) == digits


def test_words_and_absence() -> None:
    mixed: list[object] = [38, 38.0, 38.5, True, ["red", "blue"], "a&amp;b"]
    assert [word(value) for value in mixed] == ["38", "38", "38.5", "true", "red, blue", "a&b"]
    nothing: list[object] = [None, "", "  \t", [], {}, float("nan")]
    assert all(is_absent(value) for value in nothing)
    assert not any(is_absent(value) for value in (0, 0.0, False, "0"))


def test_a_comma_inside_a_url_does_not_cut_it() -> None:
    assert split_images("https://x.example/w_1,h_2/a.jpg, https://x.example/b.jpg", ",") == [
        "https://x.example/w_1,h_2/a.jpg",
        "https://x.example/b.jpg",
    ]
    assert split_images("a.jpg,b.jpg", ",") == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"price": "19,99"}, "price", "decimal point"),
        ({"price": "-1"}, "price", "greater than or equal to 0"),
        ({"price": "nan"}, "price", "finite"),
        ({"price": "1,299.00"}, "price", "no thousands separator"),
        ({"rating": 7}, "rating", "less than or equal to 5"),
        ({"rating_count": "many"}, "rating_count", "whole number"),
        ({"gtin": "12345"}, "gtin", "8, 12, 13 or 14 digits"),
        ({"currency": "euro"}, "currency", "ISO 4217"),
        ({"language": "English!"}, "language", "language tag"),
        ({"created": "yesterday"}, "created", "2024-05-31"),
        ({"availability": "maybe"}, "availability", "'in_stock'"),
        ({"reviews": [{"rating": 3}, {"rating": 9}]}, "reviews.1.rating", "less than or equal to 5"),
        ({"title": "x" * 2001}, "title", "at most 2000 characters"),
        ({"images": ["x"] * 51}, "images", "at most 50 values"),
        ({"titel": "x"}, "titel", "no field of a product"),
    ],
)
def test_refusals_name_field_and_remedy(fields: dict[str, object], field: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Product.model_validate({"id": "1", **fields})
    (fault,) = faults_of(caught.value)
    assert fault.field == field and reason in fault.reason


def test_numbers_as_texts_are_numbers() -> None:
    product = Product.model_validate({"id": "1", "price": " 19.99 ", "rating": "4", "rating_count": "12", "created": 1_700_000_000})
    assert (product.price, product.rating, product.rating_count) == (19.99, 4.0, 12)
    assert product.created is not None and product.created.timestamp() == 1_700_000_000


def test_pictures_stay_inside_the_folder(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    (shop / "images").mkdir(parents=True)
    (shop / "images" / "a.jpg").write_bytes(b"x")
    (shop / "b.jpg").write_bytes(b"x")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (shop / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (shop / "inner.jpg").symlink_to(shop / "b.jpg")
    (shop / "out").symlink_to(tmp_path)
    folder = PictureFolder(shop)
    assert (
        folder.resolve("a.jpg")
        == folder.resolve("images/a.jpg")
        == folder.resolve("./images/../images/a.jpg")
        == (str(shop / "images/a.jpg"), True)
    )
    assert folder.resolve("b.jpg") == (str(shop / "b.jpg"), True)
    assert folder.resolve("inner.jpg") == (str(shop / "inner.jpg"), True)
    assert folder.resolve(str(shop / "b.jpg")) == (str(shop / "b.jpg"), True)
    assert folder.resolve("none.jpg") == (str(shop / "none.jpg"), False)
    assert folder.resolve("images") == (str(shop / "images"), False)
    for name in (
        "../secret.jpg",
        "images/../../secret.jpg",
        "/etc/passwd",
        "link.jpg",
        "out/secret.jpg",
        "file:///etc/passwd",
        "ftp://x.example/a",
        "a\0.jpg",
        str(tmp_path / "shopping/x.jpg"),
    ):
        with pytest.raises(ValueError):
            folder.resolve(name)
    for url in ("https://x.example/a.jpg", "HTTP://x.example/a.jpg", "data:image/png;base64,AA=="):
        assert folder.resolve(url) == (url, True)


def test_a_picture_base_is_a_folder_inside_or_a_url(tmp_path: Path) -> None:
    (tmp_path / "media" / "w").mkdir(parents=True)
    (tmp_path / "media" / "w" / "a.jpg").write_bytes(b"x")
    assert PictureFolder(tmp_path, "media").resolve("/w/a.jpg") == (str(tmp_path / "media/w/a.jpg"), True)
    assert PictureFolder(tmp_path, "https://x.example/m/").resolve("/w/a.jpg") == ("https://x.example/m/w/a.jpg", True)
    with pytest.raises(ValueError):
        PictureFolder(tmp_path, "../elsewhere").resolve("a.jpg")


def test_shown_values_are_short_single_lines() -> None:
    assert shown("a\n b\0\ud800") == "a b\ufffd?"
    assert len(shown("x" * 10_000_000)) == 200 and shown("x" * 201).endswith("…")
    assert (shown(None), shown(b"caf\xe9"), shown({"a": 1})) == ("", "caf\ufffd", "{'a': 1}")


def test_the_rejects_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rejects.jsonl"
    with RejectsFile(path) as rejects:
        rejects.write(Reject(3, "price", "19,99", "must be a number", "p1"))
        rejects.write(Reject(4, "", "", "is not valid JSON", file="reviews.jsonl"))
        assert not path.exists()
    assert rejects.count == 2
    assert path.read_bytes().split(b"\n") == [
        b'{"line":3,"field":"price","value":"19,99","reason":"must be a number","id":"p1"}',
        b'{"line":4,"field":"","value":"","reason":"is not valid JSON","file":"reviews.jsonl"}',
        b"",
    ]
    with RejectsFile(path):
        pass
    assert not path.exists() and list(path.parent.iterdir()) == []


def test_a_rejects_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CatalogError, match="cannot be written"), RejectsFile(tmp_path / "file" / "rejects.jsonl") as rejects:
        rejects.write(Reject(1, "", "", "x"))


def test_the_summary_counts_by_field() -> None:
    summary = CatalogSummary()
    product = Product(id="1", title="x", images=("a", "b"))
    rows: list[Row] = [
        Accepted(product, 1, ("b",)),
        Accepted(Product(id="2"), 2),
        Reject(3, "price", "", ""),
        Reject(4, "price", "", ""),
        Reject(5, "", "", ""),
    ]
    assert list(summary.watch(rows)) == rows
    assert (summary.accepted, summary.rejected, dict(summary.by_field)) == (2, 3, {"price": 2, "": 1})
    assert (summary.with_text, summary.with_images, summary.images, summary.missing_images) == (1, 1, 2, 1)
