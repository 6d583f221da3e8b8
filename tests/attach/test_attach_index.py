"""Foreign indexes on real servers: looked at, proposed, checked, and refused where they cannot be used."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from hybrid_search.attach.check import check_attach
from hybrid_search.attach.config import SourceTable, load_config
from hybrid_search.attach.connect import find_product, open_source
from hybrid_search.attach.propose import propose
from hybrid_search.attach.reading import ProductReader
from hybrid_search.attach.source import Source, SourceIndex, describe
from hybrid_search.attach.writing import attach_file
from hybrid_search.catalog.rows import Accepted
from hybrid_search.cli.main import app
from hybrid_search.errors import EngineError, EngineUnavailable, NotFoundError, SettingsError
from hybrid_search.settings import load_settings
from tests.attach.conftest import Server
from tests.attach.shops import COUNT, SHOPS, Shop, Thing

EXPECTED: dict[str, dict[str, list[str]]] = {
    "magento": {
        "id": ["_id"],
        "title": ["name"],
        "description": ["description", "short_description"],
        "category": ["name_category_*"],
        "brand": ["manufacturer_value"],
        "color": ["color_value"],
        "price": ["price_0_1"],
        "availability": ["is_in_stock"],
        "rating": ["rating_summary"],
        "rating_count": ["reviews_count"],
        "sku": ["sku"],
        "updated": ["updated_at"],
        "images": ["image"],
        "attributes.climate": ["climate_value"],
    },
    "elasticpress": {
        "id": ["ID"],
        "title": ["post_title"],
        "description": ["post_content", "post_excerpt"],
        "category": ["terms.product_cat.name"],
        "brand": ["terms.product_brand.name"],
        "color": ["terms.pa_color.name"],
        "price": ["meta._price.double"],
        "availability": ["meta._stock_status.raw"],
        "rating": ["meta._wc_average_rating.double"],
        "rating_count": ["meta._wc_review_count.long"],
        "sku": ["meta._sku.raw"],
        "group_id": ["post_parent"],
        "created": ["post_date_gmt"],
        "updated": ["post_modified_gmt"],
        "images": ["thumbnail.src"],
        "popularity": ["meta.total_sales.long"],
    },
    "nested": {
        "id": ["productId"],
        "title": ["title.en"],
        "description": ["body.html"],
        "category": ["taxonomy.path"],
        "brand": ["maker.name"],
        "price": ["offers.amount"],
        "currency": ["offers.currency"],
        "availability": ["offers.status"],
        "rating": ["feedback.stars"],
        "rating_count": ["feedback.reviewCount"],
        "gtin": ["ean"],
        "group_id": ["itemGroupId"],
        "images": ["media.url"],
    },
}
"""What a person who knows each shop would write down."""

EXAMPLE: dict[str, dict[str, Any]] = {
    "magento": {
        "id": "1005",
        "description": "A red wool scarf for every day, model 5. Halm & Co Wool scarf red 5",
        "category": ["Jackets"],
        "brand": "Halm & Co",
        "color": "red",
        "price": 11.25,
        "rating": 2.25,
        "images": ["https://shop.example/media/catalog/product/k/e/ke05_main.jpg"],
        "attributes": {"climate": ["Mild", "Cool"]},
    },
    "elasticpress": {
        "id": "505",
        "category": ["Clothing", "Jackets"],
        "brand": "Halm & Co",
        "color": "red",
        "price": 11.25,
        "rating": 4.0,
        "images": ["https://shop.example/wp-content/uploads/5.jpg"],
    },
    "nested": {
        "id": "N-005",
        "category": ["Clothing", "Jackets"],
        "brand": "Halm & Co",
        "price": 11.25,
        "currency": "EUR",
        "gtin": "4006381333005",
        "group_id": "G-2",
        "images": ["https://pictures.example/5-0.webp", "https://pictures.example/5-1.webp"],
        "attributes": {"Colour": ["red"], "Season": ["spring", "autumn"]},
    },
}
"""Thing number 5 as a product."""


def proposed(server: Server, index: str, path: Path, **replace: str) -> tuple[SourceIndex, Any]:
    """The proposal of an index, also written to ``path`` with some texts replaced as a person would."""
    told = describe(server.transport, index)
    made = propose(told, Source(server.transport, told).sample(200))
    text = attach_file(server.url, told, made)
    for old, new in replace.items():
        text = re.sub(rf'^{old} = "".*$', f'{old} = "{new}"', text, flags=re.M)
    path.write_text(text)
    return told, made


BASE = {"image_base": "https://shop.example/media/catalog/product"}


@pytest.mark.parametrize("shop", SHOPS.values(), ids=SHOPS)
def test_a_shops_fields_are_recognised_and_its_products_converted(server: Server, shop: Shop, tmp_path: Path) -> None:
    index = server.make(shop)
    before = server.fingerprint(index)
    told, made = proposed(server, index, tmp_path / "attach.toml", **BASE)
    assert {target: [guess.path for guess in guesses] for target, guesses in made.fields.items()} == EXPECTED[shop.name]
    config = load_config(tmp_path / "attach.toml")
    source = Source(server.transport, told, config.source.filter)
    checked = check_attach(source, config)
    products = COUNT - 1 if shop.name == "elasticpress" else COUNT  # one of its documents is a page
    assert (checked.documents, checked.summary.accepted, checked.rejects, checked.problems) == (products, products, [], [])
    assert checked.filled["title"] == products
    assert server.fingerprint(index) == before


@pytest.mark.parametrize("shop", SHOPS.values(), ids=SHOPS)
def test_a_product_comes_out_as_the_shop_meant_it(server: Server, shop: Shop, tmp_path: Path) -> None:
    from hybrid_search.attach.reading import ProductReader
    from hybrid_search.catalog.rows import Accepted

    index = server.make(shop, count=8)
    told, _ = proposed(server, index, tmp_path / "attach.toml", **BASE)
    reader = ProductReader(load_config(tmp_path / "attach.toml"))
    id_, _body = shop.document(5)
    (document,) = Source(server.transport, told).by_ids([id_])
    row = reader.read(document)
    assert isinstance(row, Accepted)
    body = row.product.body()
    assert body["title"] == Thing(5).title
    assert {key: body.get(key) for key in EXAMPLE[shop.name]} == EXAMPLE[shop.name]


def test_the_same_index_gives_the_same_file(server: Server, tmp_path: Path) -> None:
    index = server.make(SHOPS["nested"])
    texts = set()
    for _ in range(2):
        proposed(server, index, tmp_path / "attach.toml")
        texts.add((tmp_path / "attach.toml").read_text())
    assert len(texts) == 1


def test_the_command_writes_a_file_and_checks_it(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    index = server.make(SHOPS["nested"])
    done = CliRunner().invoke(app, ["attach", "--url", server.url, "--index", index, "--json"])
    assert done.exit_code == 0, done.output
    told = orjson.loads(done.stdout)
    assert (told["accepted"], told["rejected"], told["filled"]["title"]) == (COUNT, 0, COUNT)
    assert told["in_place"] == "possible"
    again = CliRunner().invoke(app, ["attach", "--check", "attach.toml", "--json"])
    assert orjson.loads(again.stdout)["ok"] is True
    text = Path("attach.toml").read_text()
    Path("attach.toml").write_text(text.replace('"offers.amount"', '"title.de"'))
    broken = CliRunner().invoke(app, ["attach", "--check", "attach.toml", "--json"])
    assert broken.exit_code == 1
    assert orjson.loads(broken.stdout)["rejected_by_field"] == {"price": COUNT}
    assert "title.de" in orjson.loads(broken.stdout)["rejects"][0]["reason"]


def test_in_place_is_offered_only_where_vectors_can_be_added(server: Server) -> None:
    from hybrid_search.attach.check import in_place

    assert in_place(describe(server.transport, server.make(SHOPS["nested"]))) == ""
    answer = in_place(describe(server.transport, server.make(SHOPS["magento"])))
    assert ("index.knn" in answer) == (server.product == "opensearch")


def test_an_index_of_4000_fields_is_read_within_bounds(server: Server, tmp_path: Path) -> None:
    index = server.make(SHOPS["magento"], count=3)
    many = {f"position_category_{n}": {"type": "integer"} for n in range(100, 4_100)}
    server.transport.request("PUT", f"/{index}/_mapping", {"properties": many})
    told, made = proposed(server, index, tmp_path / "attach.toml")
    assert len(told.fields) > 4_000
    assert made.fields["title"][0].path == "name"
    assert len((tmp_path / "attach.toml").read_text()) < 20_000


def test_an_alias_of_two_indices_is_refused_and_both_are_named(server: Server) -> None:
    one, two = server.make(SHOPS["magento"], count=1, name="one"), server.make(SHOPS["magento"], count=1, name="two")
    alias = f"{server.prefix}-both"
    server.transport.request("POST", "/_aliases", {"actions": [{"add": {"index": name, "alias": alias}} for name in (one, two)]})
    with pytest.raises(EngineError, match="2 indices") as caught:
        describe(server.transport, alias)
    assert one in str(caught.value) and two in str(caught.value)


def test_an_alias_of_one_index_is_followed(server: Server) -> None:
    index, alias = server.make(SHOPS["magento"], count=1), f"{server.prefix}-alias"
    server.transport.request("POST", "/_aliases", {"actions": [{"add": {"index": index, "alias": alias}}]})
    assert describe(server.transport, alias).name == index


@pytest.mark.parametrize("name", ["{prefix}-none", "{prefix}-*", "", "a,b", "_all"])
def test_what_is_no_index_is_refused(server: Server, name: str) -> None:
    with pytest.raises(NotFoundError):
        describe(server.transport, name.format(prefix=server.prefix))


def test_a_closed_index_is_refused_with_the_way_to_open_it(server: Server) -> None:
    index = server.make(SHOPS["magento"], count=1)
    server.transport.request("POST", f"/{index}/_close")
    with pytest.raises(EngineError, match="closed.*_open"):
        describe(server.transport, index)


def test_the_wrong_product_is_told(server: Server) -> None:
    from hybrid_search.attach.connect import find_product
    from hybrid_search.settings import load_settings

    other = "elasticsearch" if server.product == "opensearch" else "opensearch"
    with pytest.raises(EngineError, match=f"is {server.product}.*not {other}"):
        find_product(load_settings(), server.url, other)  # type: ignore[arg-type]


def test_a_page_that_is_not_whole_is_never_taken_for_all(server: Server) -> None:
    """A search that fails on some shards answers 200; a comparison of ids would delete what those hold."""
    index = server.make(SHOPS["nested"])
    told = describe(server.transport, index)
    broken = {
        "script": {
            "script": {"lang": "painless", "source": "if (doc['productId'].value == 'N-005') { throw new RuntimeException('no') } true"}
        }
    }
    with pytest.raises(EngineError, match="shards"):
        list(Source(server.transport, told, broken).read(fields=[]))


def test_a_long_read_has_every_document_once_and_leaves_nothing_open(server: Server) -> None:
    index = server.make(SHOPS["magento"])
    told = describe(server.transport, index)
    pages = list(Source(server.transport, told).read(page=7))
    assert sum(map(len, pages)) == COUNT
    assert len({document.id for page in pages for document in page}) == COUNT
    assert server.transport.request("GET", f"/{index}/_stats/search").body["_all"]["total"]["search"]["open_contexts"] == 0


def stocked(number: int) -> tuple[str, dict[str, Any]]:
    """A hand-made shop that tells how many there are, and of one document not when it changed."""
    it = Thing(number)
    body = {"titel": it.title, "preis": it.price, "lagerstand": number % 3 - 1, "bewertung": 3.5, "geaendert_am": "2026-03-01T10:00:00Z"}
    return str(number), {key: value for key, value in body.items() if (key, number) != ("geaendert_am", 7)}


STOCKED = Shop("stocked", stocked)


def make_stocked(server: Server) -> str:
    index = f"{server.prefix}-stocked"
    kinds = {"titel": "text", "preis": "double", "lagerstand": "integer", "bewertung": "float", "geaendert_am": "date"}
    mapping = {"properties": {name: {"type": kind} for name, kind in kinds.items()}}
    server.transport.request("PUT", f"/{index}", {"mappings": mapping})
    server.write(index, STOCKED.documents(60))
    return index


def test_a_stock_number_tells_the_availability(server: Server, tmp_path: Path) -> None:
    index = make_stocked(server)
    told = describe(server.transport, index)
    source = Source(server.transport, told)
    made = propose(told, source.sample(200))
    assert [guess.path for guess in made.fields["availability"]] == ["lagerstand"]
    assert [guess.path for guess in made.fields["rating"]] == ["bewertung"]
    path = tmp_path / "attach.toml"
    path.write_text(attach_file(server.url, told, made))
    config = load_config(path)
    assert config.availability == {">0": "in_stock", "<=0": "out_of_stock"}
    assert check_attach(source, config).summary.rejected == 0
    reader = ProductReader(config)
    states = [row.product.availability for row in map(reader.read, source.sample(60)) if isinstance(row, Accepted)]
    assert [states.count("in_stock"), states.count("out_of_stock")] == [20, 40]  # one of three has one, the others none or less


def test_a_field_that_one_document_lacks_is_followed(server: Server) -> None:
    told = describe(server.transport, make_stocked(server))
    made = propose(told, Source(server.transport, told).sample(200))
    assert made.follow is not None and made.follow.path == "geaendert_am"
    assert [note for note in made.notes if note.startswith("1 of 60 sampled have no geaendert_am")]


def test_a_path_that_is_nowhere_is_a_problem(server: Server, tmp_path: Path) -> None:
    told = describe(server.transport, make_stocked(server))
    source = Source(server.transport, told)
    path = tmp_path / "attach.toml"
    path.write_text(attach_file(server.url, told, propose(told, source.sample(200))))
    assert check_attach(source, load_config(path)).problems == []
    path.write_text(path.read_text().replace('title = "titel"', 'title = "titelx"'))
    (problem,) = check_attach(source, load_config(path)).problems
    assert problem == "fields.title: neither the mapping nor a sampled document has 'titelx'; near to it are 'titel'."


class Refusing(BaseHTTPRequestHandler):
    """A server that knows nobody."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.mark.parametrize("engine", ["opensearch", "elasticsearch"])
def test_errors_of_their_server_name_the_attach_file_s_keys(engine: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong")
    with HTTPServer(("127.0.0.1", 0), Refusing) as theirs:
        thread = threading.Thread(target=theirs.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{theirs.server_port}"
        source = {"url": url, "index": "shop", "engine": engine}
        try:
            with pytest.raises(EngineUnavailable, match=r"Check source\.user and source\.password_file, or source\.api_key_file\."):
                open_source(load_settings(), SourceTable(**source, user="shop", password_file=secret)).request("GET", "/")
            with pytest.raises(EngineUnavailable, match=r"server_user .*of the settings, or name .*source\.user"):
                open_source(load_settings(), SourceTable(**source)).request("GET", "/")
            with pytest.raises(EngineUnavailable, match="give user and password within --url"):
                find_product(load_settings(), url)
        finally:
            theirs.shutdown()
            thread.join()
    with pytest.raises(EngineUnavailable, match=r"correct source\.url"):
        open_source(load_settings(server_timeout=0.2), SourceTable(**source)).request("GET", "/")
    with pytest.raises(SettingsError, match=r"is no address") as refused:
        find_product(load_settings(), "shop.example")
    assert refused.value.field == "--url"
