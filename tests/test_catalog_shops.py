"""The ready mappings: folders, Google's feed, Shopify's and Magento's exports, and a shop's own mapping file."""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hybrid_search.catalog.mappings import MAGENTO, SHOPIFY, load_mapping, parse_mapping
from hybrid_search.catalog.read import read_catalog
from hybrid_search.catalog.rows import Accepted, CatalogSummary, Reject
from hybrid_search.errors import CatalogError
from hybrid_search.product import Product


def products_of(path: Path, **options: Any) -> list[Product]:
    return [row.product for row in read_catalog(path, **options) if isinstance(row, Accepted)]


def rejects_of(path: Path, **options: Any) -> list[Reject]:
    return [row for row in read_catalog(path, **options) if isinstance(row, Reject)]


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_shopify_rows_of_a_handle_become_variants(tmp_path: Path) -> None:
    option = {"Option1 Name": "Color", "Option2 Name": "Size"}
    path = write_csv(
        tmp_path / "products_export.csv",
        [
            {
                "Handle": "wool-hat", "Title": "Wool hat", "Body (HTML)": "<p>Warm &amp; soft.</p><ul><li>Wool</li><li>Lined</li></ul>", "Vendor": "Nord",
                "Product Category": "Apparel & Accessories > Clothing Accessories > Hats", "Tags": "winter, gift", "Published": "true", **option,
                "Option1 Value": "Red", "Option2 Value": "M", "Variant SKU": "'H-1", "Variant Price": "19.90", "Variant Inventory Tracker": "shopify",
                "Variant Inventory Qty": "0", "Variant Inventory Policy": "deny", "Variant Barcode": "'4006381333931",
                "Image Src": "https://cdn.example/b.jpg", "Image Position": "2", "Variant Image": "https://cdn.example/red.jpg", "Status": "active",
            },
            {"Handle": "wool-hat", "Option1 Value": "Blue", "Option2 Value": "M", "Variant Price": "21.90", "Image Position": "1",
             "Image Src": "https://cdn.example/a.jpg"},
            {"Handle": "wool-hat", "Image Src": "https://cdn.example/c.jpg", "Image Position": "3"},
            {"Handle": "mug", "Title": "Mug", "Type": "Kitchen", "Option1 Name": "Title", "Option1 Value": "Default Title", "Variant Price": "8", "Status": "active"},
            {"Handle": "soon", "Title": "Soon", "Variant Price": "8", "Status": "draft"},
        ],
    )  # fmt: skip
    red, blue, mug = products_of(path, mapping=parse_mapping({"base": "shopify", "constants": {"currency": "EUR"}}))
    assert [(p.id, p.group_id, p.price, p.currency) for p in (red, blue, mug)] == [
        ("wool-hat:Red/M", "wool-hat", 19.9, "EUR"),
        ("wool-hat:Blue/M", "wool-hat", 21.9, "EUR"),
        ("mug", "", 8.0, "EUR"),
    ]
    assert (red.title, red.description, red.brand) == ("Wool hat", "Warm & soft. Wool Lined", "Nord")
    assert (red.color, red.size, red.sku, red.gtin, red.availability) == ("Red", "M", "H-1", "4006381333931", "out_of_stock")
    assert blue.availability == "in_stock"
    assert red.images == tuple(f"https://cdn.example/{name}.jpg" for name in ("red", "a", "b", "c"))
    assert blue.images == tuple(f"https://cdn.example/{name}.jpg" for name in ("a", "b", "c"))
    assert red.category == ("Apparel & Accessories", "Clothing Accessories", "Hats") and mug.category == ("Kitchen",)
    assert red.attributes == {"tags": ("winter", "gift")}
    assert [(row.line, row.field, row.value) for row in rejects_of(path, mapping=SHOPIFY)] == [(6, "Status", "draft")]


def test_magento_variants_take_what_they_lack_from_their_parent(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "red.jpg").write_bytes(b"x")
    common = {"attribute_set_code": "Top", "product_online": "1", "created_at": "6/22/24, 1:22 AM"}
    path = write_csv(
        tmp_path / "catalog_product.csv",
        [
            {
                "sku": "WT-S-Red", "store_view_code": "", "product_type": "simple", "name": "Tee-S-Red", "price": "29.0000", "visibility": "Not Visible Individually",
                "base_image": "/w/red.jpg", "additional_images": "/w/red.jpg,/w/back.jpg", "is_in_stock": "0",
                "additional_attributes": "color=Red,material=Cotton, organic|Linen,size=S,climate=Hot|Mild", **common,
            },
            {"sku": "WT-M-Red", "product_type": "simple", "name": "Tee-M-Red", "price": "29", "visibility": "Not Visible Individually", "is_in_stock": "1", **common},
            {"sku": "WT", "store_view_code": "de", "product_type": "configurable", "name": "Hemd"},
            {
                "sku": "WT", "product_type": "configurable", "name": "Tee", "description": "<p>Soft tee.</p>", "base_image": "/w/main.jpg",
                "categories": "Default Category/Women,Default Category/Women/Tops/Tees", "visibility": "Catalog, Search",
                "configurable_variations": "sku=WT-S-Red,size=S,color=Red|sku=WT-M-Red,size=M,color=Red", **common,
            },
            {"sku": "MUG", "product_type": "simple", "name": "Mug", "price": "9", "visibility": "Catalog, Search", **common},
            {"sku": "OFF", "product_type": "simple", "name": "Off", "price": "9", "visibility": "Catalog", **common, "product_online": "2"},
            {"sku": "LOST", "product_type": "simple", "name": "Lost", "visibility": "Not Visible Individually", **common},
        ],
    )  # fmt: skip
    small, medium, mug = products_of(path, mapping=MAGENTO)
    assert [(p.id, p.group_id) for p in (small, medium, mug)] == [("WT-S-Red", "WT"), ("WT-M-Red", "WT"), ("MUG", "")]
    assert (small.color, small.size, small.material, small.attributes) == (
        "Red",
        "S",
        "Cotton, organic, Linen",
        {"climate": ("Hot", "Mild")},
    )
    assert (small.description, small.category, small.availability, small.price) == (
        "Soft tee.",
        ("Women", "Tops", "Tees"),
        "out_of_stock",
        29.0,
    )
    assert small.created is not None and small.created.isoformat() == "2024-06-22T01:22:00+00:00"
    assert small.images == (str(tmp_path / "w/red.jpg"), str(tmp_path / "w/back.jpg"))
    assert medium.images == (str(tmp_path / "w/main.jpg"),)
    assert [(row.line, row.field) for row in rejects_of(path, mapping=MAGENTO)] == [(7, "product_online"), (8, "visibility")]
    served = parse_mapping({"base": "magento", "image_base": "https://shop.example/media/catalog/product"})
    assert products_of(path, mapping=served)[0].images[0] == "https://shop.example/media/catalog/product/w/red.jpg"


def test_google_feed_fields(tmp_path: Path) -> None:
    path = tmp_path / "feed.xml"
    path.write_text(
        """<?xml version="1.0" encoding="UTF-8"?>
        <feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><title>Shop</title><entry>
        <g:id>TV-1</g:id><g:title>Telly</g:title><g:description>A &lt;b&gt;bright&lt;/b&gt; set</g:description><g:link href="https://shop.example/1"/>
        <g:image_link>https://shop.example/w_100,h_100/1.jpg</g:image_link>
        <g:additional_image_link>https://shop.example/2.jpg</g:additional_image_link><g:additional_image_link>https://shop.example/3.jpg</g:additional_image_link>
        <g:availability>in stock</g:availability><g:price>159.00 USD</g:price><g:gtin>3234 5678 90126</g:gtin><g:brand>ACME</g:brand><g:color>Black</g:color>
        <g:google_product_category>404</g:google_product_category><g:product_type>TV &gt; LED</g:product_type><g:product_type>Sale</g:product_type>
        <g:item_group_id>TV</g:item_group_id><g:age_group>adult</g:age_group><g:tax><g:rate>5</g:rate></g:tax>
        </entry></feed>""",
        encoding="utf-8",
    )
    (product,) = products_of(path)
    assert (product.id, product.description, product.price, product.currency) == ("TV-1", "A bright set", 159.0, "USD")
    assert (product.availability, product.gtin, product.group_id, product.category) == ("in_stock", "3234567890126", "TV", ("TV", "LED"))
    assert product.images == ("https://shop.example/w_100,h_100/1.jpg", "https://shop.example/2.jpg", "https://shop.example/3.jpg")
    assert product.attributes == {"age_group": ("adult",)}


def test_google_text_feed(tmp_path: Path) -> None:
    path = tmp_path / "feed.tsv"
    path.write_text(
        "id\ttitle\timage link\tadditional image link\tprice\tavailability\n"
        "1\tMug\thttps://shop.example/a.jpg\thttps://shop.example/b.jpg,https://shop.example/c.jpg\tEUR 4.50\tpreorder\n",
        encoding="utf-8",
    )
    (product,) = products_of(path, mapping=load_mapping("google"))
    assert product.images == tuple(f"https://shop.example/{name}.jpg" for name in "abc")
    assert (product.price, product.currency, product.availability) == (4.5, "EUR", "preorder")


def test_a_mapping_file_renames_splits_and_fills(tmp_path: Path) -> None:
    mapping = tmp_path / "shop.toml"
    mapping.write_text(
        'image_base = "pics"\nunknown = "ignore"\n'
        '[fields]\nid = "Artikel"\ntitle = ["Name", "Kurzname"]\ndescription = ["Text", "Details"]\nimages = "Bilder"\ncategory = "Gruppe"\n'
        '"attributes.Farbton" = "meta.tone"\n'
        '[separators]\nimages = "|"\ncategory = "/"\n[constants]\nlanguage = "de"\n"attributes.shop" = "Nord"\n',
        encoding="utf-8",
    )
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "1.jpg").write_bytes(b"x")
    path = tmp_path / "shop.jsonl"
    record = {
        "Artikel": 17, "Kurzname": "Becher", "Text": "Aus Ton.", "Details": "350 ml", "Bilder": "1.jpg | 2.jpg",
        "Gruppe": "Küche/Becher", "meta": {"tone": ["rot", "weiß"]}, "intern": 1,
    }  # fmt: skip
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    (row,) = read_catalog(path, mapping=load_mapping(mapping))
    assert isinstance(row, Accepted)
    product = row.product
    assert (product.id, product.title, product.description, product.category) == ("17", "Becher", "Aus Ton. 350 ml", ("Küche", "Becher"))
    assert (product.language, product.attributes) == ("de", {"Farbton": ("rot", "weiß"), "shop": ("Nord",)})
    assert product.images == (str(tmp_path / "pics/1.jpg"), str(tmp_path / "2.jpg")) and row.missing_images == ("2.jpg",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"field": {}}, "Unknown key 'field'"),
        ({"fields": {"titel": "x"}}, "names 'titel'"),
        ({"fields": {"title": 3}}, "column name or a list"),
        ({"constants": {"attributes.": "x"}}, "no product field"),
        ({"base": "magneto"}, "Unknown base 'magneto'"),
        ({"unknown": "maybe"}, "'unknown' is 'maybe'"),
        ({"delimiter": 3}, "must be a text"),
        ([], "must be a table"),
    ],
)
def test_a_wrong_mapping_is_named(given: object, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        parse_mapping(given)


def test_a_mapping_that_is_not_there_or_broken(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read") as caught:
        load_mapping(tmp_path / "no.toml")
    assert "shopify" in str(caught.value)
    broken = tmp_path / "broken.toml"
    broken.write_text("fields = [", encoding="utf-8")
    with pytest.raises(CatalogError, match="not valid TOML"):
        load_mapping(broken)


def test_unknown_columns_become_attributes_are_left_out_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.jsonl"
    path.write_text('{"id":"1","pattern":"striped"}\n{"id":"2","variants":[{"a":1}]}\n', encoding="utf-8")
    assert products_of(path)[0].attributes == {"pattern": ("striped",)}
    assert [(row.line, row.field) for row in rejects_of(path)] == [(2, "variants")]
    assert [p.attributes for p in products_of(path, mapping=parse_mapping({"unknown": "ignore"}))] == [{}, {}]
    assert [row.field for row in rejects_of(path, mapping=parse_mapping({"unknown": "reject"}))] == ["pattern", "variants"]


def test_a_folder_joins_pictures_and_reviews(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"x")
    (tmp_path / "products.jsonl").write_text(
        '{"id":"1","group_id":"g","image":"a.jpg","image_url":"https://x.example/a"}\n{"id":"2","group_id":"g","image":"images/a.jpg"}\n{"id":"3"}\n',
        encoding="utf-8",
    )
    (tmp_path / "reviews.jsonl").write_text(
        '{"group_id":"g","rating":4,"text":"Good"}\n{"product_id":"3","rating":2}\nnot json\n{"rating":1}\n', encoding="utf-8"
    )
    one, two, three = products_of(tmp_path)
    assert one.images == two.images == (str(tmp_path / "images" / "a.jpg"),)
    assert [[review.rating for review in product.reviews] for product in (one, two, three)] == [[4], [4], [2]]
    assert [(row.file, row.line) for row in rejects_of(tmp_path)] == [("reviews.jsonl", 3), ("reviews.jsonl", 4)]


SETS = {
    "magento_luma": (228, 228),
    "esci_us": (6764, 0),
    "icecat": (19406, 0),
    "grocery_img2prod": (81, 81),
    "grocery_photos": (1320, 1320),
    "clothing5k": (1752, 1752),
    "things_zh": (397, 0),
}


@pytest.mark.parametrize("name", SETS)
def test_every_evaluation_set_loads_whole(name: str, data_dir: Path, tmp_path: Path) -> None:
    archive = data_dir / f"{name}.tar.gz"
    if not archive.is_file():
        pytest.skip(f"no {archive.name} in the evaluation data")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    summary = CatalogSummary()
    languages = {row.product.language for row in summary.watch(read_catalog(tmp_path / name)) if isinstance(row, Accepted)}
    assert (summary.accepted, summary.rejected, summary.images, summary.missing_images) == (SETS[name][0], 0, SETS[name][1], 0)
    assert languages == {"zh"} if name == "things_zh" else languages <= {"en", ""}


def test_the_shop_set_has_its_reviews(data_dir: Path, tmp_path: Path) -> None:
    archive = data_dir / "magento_luma.tar.gz"
    if not archive.is_file():
        pytest.skip("no magento_luma.tar.gz in the evaluation data")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    lines = (tmp_path / "magento_luma" / "reviews.jsonl").read_bytes().split(b"\n")
    reviewed = {json.loads(line)["group_id"] for line in lines if line}
    products = products_of(tmp_path / "magento_luma")
    assert {p.group_id for p in products if p.reviews} == reviewed & {p.group_id for p in products}
