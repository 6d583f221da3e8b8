"""Products as documents of a server, mapping files with their overrides, and what vector fields each server is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_search.engines.cluster.dialect import BUILDERS, elasticsearch, opensearch
from hybrid_search.engines.cluster.documents import body, document_id, read_stored_vectors, source, storable, stored_vectors
from hybrid_search.engines.cluster.layout import OWN
from hybrid_search.engines.cluster.mappings import NAMES, index_template, load_mappings
from hybrid_search.errors import SettingsError
from hybrid_search.product import Product

MAPPINGS = Path(__file__).resolve().parents[1] / "mappings"
texts = st.text(max_size=12)


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        Product,
        id=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=30),
        title=texts,
        category=st.lists(texts, max_size=3),
        attributes=st.dictionaries(texts, st.lists(texts, max_size=3), max_size=3),
        price=st.none() | st.floats(0, 1e12),
        rating_count=st.integers(0, 2**53),
        popularity=st.floats(0, 1e300),
        availability=st.sampled_from(["in_stock", "preorder"]),
        created=st.none() | st.datetimes(),
    )
)
def test_a_body_comes_back_from_its_document(product: Product) -> None:
    stored = orjson.loads(orjson.dumps(source(product)))
    assert body(stored) == orjson.loads(orjson.dumps(product.body()))
    assert Product.model_validate(body(stored)) == product


def test_what_is_generated_for_search() -> None:
    product = Product.model_validate(
        {
            "id": "a",
            "category": "Wear > Shoes",
            "attributes": {"fit": ["slim", "long", "slim"], "sole": "rubber"},
            "created": "1970-01-01T00:01:00",
            "updated": "1970-01-01T01:00:00+01:00",
            "popularity": 1e300,
        }
    )
    stored = source(product)
    assert (stored["availability"], stored["rating_count"]) == ("in_stock", 0)
    own = stored[OWN]
    assert own["category_paths"] == ["Wear", "Wear > Shoes"]
    assert own["facts"] == ["fit\x1fslim", "fit\x1flong", "sole\x1frubber"]
    assert own["attribute_names"] == ["fit", "sole"]
    assert own["attribute_values"] == ["slim", "long", "slim", "rubber"]
    assert (own["created"], own["updated"]) == (60.0, 0.0), "a time without a zone is UTC"
    assert np.isfinite(np.float32(own["popularity_rank"]))
    assert "rating_count_rank" not in own, "a rank feature must be positive"


def test_ids_that_are_too_long_for_a_server() -> None:
    assert document_id("é" * 256) == "é" * 256
    assert document_id("é" * 257).startswith("sha256:")
    assert document_id("𝄞" * 200) != document_id("𝄞" * 201)
    assert len(document_id("𝄞" * 256).encode()) <= 512
    assert storable(["a", "\ud800", "", "商"]) == ["a", "商"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=8), st.integers(0, 3))
def test_vectors_are_exact_to_float32(numbers: list[float], count: int) -> None:
    rows = np.array([numbers] * count, np.float32).reshape(count, len(numbers))
    sent = stored_vectors(rows, "image")
    stored = orjson.loads(orjson.dumps({OWN: {"vec_i_1": sent}}, option=orjson.OPT_SERIALIZE_NUMPY))
    found = read_stored_vectors(stored, "i_1", "image")
    if count == 0:
        assert sent is None and found is None
    else:
        assert found is not None and found.tobytes() == rows.tobytes()


# --- vector fields ---------------------------------------------------------------------------------------------------


def vector_bodies(mapping: Any) -> list[dict[str, Any]]:
    """Every vector field inside a mapping."""
    if not isinstance(mapping, dict):
        return []
    own = [mapping] if mapping.get("type") in ("knn_vector", "dense_vector") else []
    return own + [found for inner in mapping.values() for found in vector_bodies(inner)]


def test_every_vector_field_names_how_it_is_searched() -> None:
    for builder, versions in ((opensearch, [(2, 19, 0), (3, 5, 0)]), (elasticsearch, [(8, 15, 0), (9, 4, 0)])):
        for version in versions:
            dialect = builder(version)
            for codec in dialect.vector_bodies:
                for part in ("text", "image"):
                    (field,) = vector_bodies(dialect.vector_mapping(8, part, codec))  # type: ignore[arg-type]
                    assert field.get("method", {}).get("engine") or field.get("index_options", {}).get("type"), (dialect.server, codec)


def test_a_codec_that_a_server_has_not_is_refused() -> None:
    with pytest.raises(SettingsError, match="Elasticsearch 9.4.0 cannot keep vectors as fp16.*float, sq, on_disk"):
        elasticsearch((9, 4, 0)).require_codec("fp16")
    with pytest.raises(SettingsError, match="float, sq"):
        elasticsearch((8, 15, 0)).require_codec("on_disk")


# --- mapping files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("product", list(BUILDERS))
def test_the_shipped_files_are_whole(product: Any) -> None:
    files = load_mappings(product, "shop")
    assert set(files) == set(NAMES) == {path.stem for path in (MAPPINGS / product).glob("*.json")}
    assert all(file.version >= 1 for file in files.values())
    template = index_template(files)
    assert template["index_patterns"] == ["shop-products-*"]
    assert template["composed_of"] == ["shop-text-analysis"]
    assert "_source" not in template["template"]["mappings"], "vectors must survive a partial update"
    assert template["template"]["mappings"]["dynamic"] is False


def edited(folder: Path, name: str, edit: Any) -> Path:
    """A folder with one shipped file, changed by ``edit``."""
    content = json.loads((MAPPINGS / "opensearch" / f"{name}.json").read_text())
    edit(content)
    (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def fields(content: dict[str, Any]) -> dict[str, Any]:
    return content["template"]["mappings"]["properties"]  # type: ignore[no-any-return]


def test_an_own_file_stands_in_by_its_name(tmp_path: Path) -> None:
    edited(tmp_path, "product-fields", lambda content: fields(content).update(shelf={"type": "keyword"}))
    assert index_template(load_mappings("opensearch", "shop", tmp_path))["template"]["mappings"]["properties"]["shelf"] == {
        "type": "keyword"
    }


@pytest.mark.parametrize(
    ("name", "edit", "reason"),
    [
        ("product-fields", lambda c: fields(c).pop("price"), "lacks the field price"),
        ("hybrid-fields", lambda c: fields(c)["hybrid"]["properties"].pop("ledger"), "lacks the field hybrid.ledger"),
        ("product-fields", lambda c: fields(c)["title"].update(analyzer="shop_tex"), "uses the analyzer shop_tex in title"),
        ("product-fields", lambda c: fields(c)["title"].update(type="keyword"), "makes title a keyword"),
        ("product-fields", lambda c: fields(c).update(v={"type": "knn_vector", "dimension": 3}), "knn_vector v without method.engine"),
        ("product-fields", lambda c: fields(c).update(v={"type": "dense_vector", "dims": 3}), "dense_vector v without index_options"),
        ("products", lambda c: c["template"].update(mappings={"_source": {"excludes": ["v"]}}), "sets _source"),
        ("chunks", lambda c: c.pop("_meta"), 'lacks "_meta"'),
        ("towers", lambda c: c.update(mappings=[]), "holds no object"),
        ("text-analysis", lambda c: c["template"]["settings"]["index"]["analysis"].pop("analyzer"), "defines no analyzer shop_text"),
    ],
)
def test_a_wrong_override_is_refused_with_file_and_reason(tmp_path: Path, name: str, edit: Any, reason: str) -> None:
    edited(tmp_path, name, edit)
    with pytest.raises(SettingsError) as caught:
        load_mappings("opensearch", "shop", tmp_path)
    assert f"{name}.json" in str(caught.value)
    assert reason in str(caught.value)


def test_an_override_that_is_no_json_or_no_file_of_ours(tmp_path: Path) -> None:
    (tmp_path / "towers.json").write_text("{'a': 1}")
    with pytest.raises(SettingsError, match=r"towers\.json is no JSON"):
        load_mappings("opensearch", "shop", tmp_path)
    (tmp_path / "towers.json").rename(tmp_path / "tower.json")
    with pytest.raises(SettingsError, match=r"tower\.json stands in for no mapping file"):
        load_mappings("opensearch", "shop", tmp_path)
    with pytest.raises(SettingsError, match="no folder"):
        load_mappings("opensearch", "shop", tmp_path / "none")
