"""The OpenAPI 3.1 description: valid, complete, and true to what is answered."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api.conftest import Opener


@pytest.fixture
def described(client: FlaskClient) -> dict[str, Any]:
    return dict(client.get("/openapi.json").get_json())


def test_the_description_is_valid_openapi_3_1(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(described).validate()


def test_every_address_of_the_api_is_described(client: FlaskClient, described: dict[str, Any]) -> None:
    served = {
        (rule.rule.replace("<path:", "{").replace("<int:", "{").replace("<", "{").replace(">", "}"), method.lower())
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/v1") or rule.rule in ("/healthz", "/readyz", "/metrics")
    }
    assert served == {(path, method) for path, item in described["paths"].items() for method in item}


def schema_of(described: dict[str, Any], path: str, method: str, status: int) -> Draft202012Validator:
    content = described["paths"][path][method]["responses"][str(status)]["content"]
    (media,) = content.values()
    return Draft202012Validator({**media["schema"], "components": described["components"]})


def test_replies_are_as_described(client: FlaskClient, described: dict[str, Any]) -> None:
    put = client.put("/v1/products/p1?refresh=wait", json={"title": "Blue kettle", "category": "Home > Kitchen", "price": 10})
    schema_of(described, "/v1/products/{product_id}", "put", 201).validate(put.get_json())
    asked = {"q": "kettle", "explain": True, "facets": [{"field": "category"}, {"field": "price", "edges": [0, 5, 20]}]}
    found = client.post("/v1/search", json=asked)
    assert found.get_json()["total"] == 1
    schema_of(described, "/v1/search", "post", 200).validate(found.get_json())
    schema_of(described, "/v1/products/{product_id}", "get", 200).validate(client.get("/v1/products/p1").get_json())
    schema_of(described, "/v1/status", "get", 200).validate(client.get("/v1/status").get_json())
    schema_of(described, "/v1/control", "get", 200).validate(client.get("/v1/control").get_json())
    schema_of(described, "/v1/search", "post", 422).validate(client.post("/v1/search", json={"size": 0}).get_json())
    bulk = client.post("/v1/products", data=b'{"id": "a"}\n{', content_type="application/x-ndjson")
    schema_of(described, "/v1/products", "post", 200).validate(bulk.get_json())


def test_the_models_that_validate_are_those_described(described: dict[str, Any]) -> None:
    request = described["components"]["schemas"]["SearchRequest"]
    assert request["properties"]["size"]["maximum"] == 100
    assert request["additionalProperties"] is False
    product = described["components"]["schemas"]["Product"]
    assert product["properties"]["id"]["maxLength"] == 256


def test_the_try_it_page_comes_from_the_package(client: FlaskClient) -> None:
    page = client.get("/openapi").get_data(as_text=True)
    assert "http://" not in page and "https://" not in page
    with client.get("/openapi/assets/swagger-ui-bundle.js") as script:
        assert b"SwaggerUIBundle" in script.data
    assert client.get("/openapi/assets/other.js").status_code == 404


def test_control_is_versioned_and_followed(opened: Opener) -> None:
    client = opened()
    before = client.get("/v1/control")
    assert (before.get_json()["version"], before.headers["ETag"]) == (0, '"0"')
    changed = client.put("/v1/control", json={"weights": {"bm25": 1}}, headers={"If-Match": '"0"'})
    assert changed.get_json()["control"]["weights"] == {"bm25": 1}
    late = client.put("/v1/control", json={"fusion": "rrf"}, headers={"If-Match": '"0"'})
    assert late.status_code == 409
    assert client.get("/v1/control").get_json()["control"]["fusion"] == "min_max"
    assert client.put("/v1/control", json={"weights": {"bm25": -1}}).get_json()["field"] == "weights.bm25"
    assert client.put("/v1/control", json={}, headers={"If-Match": "abc"}).get_json()["field"] == "If-Match"


def test_new_weights_undo_no_cut_over(opened: Opener) -> None:
    client = opened()
    pinned = {"active_spaces": {"text": "text_1"}, "encoders": {"some-model": "some:spec"}}
    client.put("/v1/control", json={**pinned, "fusion": "rrf"})
    for headers in ({}, {"If-Match": '"2"'}):
        reply = client.put("/v1/control", json={"weights": {"bm25": 1}}, headers=headers).get_json()["control"]
        assert {name: reply[name] for name in pinned} == pinned
        assert (reply["fusion"], reply["weights"]) == ("min_max", {"bm25": 1})
    assert client.put("/v1/control", json={"active_spaces": {}}).get_json()["control"]["active_spaces"] == {}
