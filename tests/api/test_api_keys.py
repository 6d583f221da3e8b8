"""API keys and scopes, the key form of the page, headers, and nothing secret in the log."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from hybrid_search.api.auth import COOKIE, is_loopback
from hybrid_search.api.server import serve
from hybrid_search.errors import SettingsError
from hybrid_search.settings import load_settings
from tests.api.conftest import KEYS, Opener

SEARCH, WRITE, ADMIN = KEYS


@pytest.fixture
def locked(opened: Opener) -> FlaskClient:
    return opened(api_keys=KEYS)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


REQUESTS = [
    ("GET", "/v1/search?q=x", "search"),
    ("POST", "/v1/search", "search"),
    ("GET", "/v1/products/none", "search"),
    ("GET", "/v1/products/none/similar", "search"),
    ("GET", "/v1/products/none/images/0", "search"),
    ("GET", "/v1/status", "search"),
    ("POST", "/pictures", "search"),
    ("POST", "/more", "search"),
    ("GET", "/product/none", "search"),
    ("PUT", "/v1/products/none", "write"),
    ("DELETE", "/v1/products/none", "write"),
    ("POST", "/v1/products", "write"),
    ("GET", "/v1/failures", "admin"),
    ("POST", "/v1/failures/retry", "admin"),
    ("GET", "/v1/control", "admin"),
    ("PUT", "/v1/control", "admin"),
]


@pytest.mark.parametrize(("method", "path", "scope"), REQUESTS)
def test_each_address_asks_for_its_scope(locked: FlaskClient, method: str, path: str, scope: str) -> None:
    assert locked.open(path, method=method).status_code == 401
    assert locked.open(path, method=method, headers=bearer("wrong-key-0123456789")).status_code == 401
    for key, scopes in KEYS.items():
        allowed = scope in scopes or "admin" in scopes
        assert (locked.open(path, method=method, headers=bearer(key)).status_code == 403) is not allowed
        assert (locked.open(path, method=method, headers={"X-API-Key": key}).status_code == 403) is not allowed


def test_every_address_declares_who_may_call_it(locked: FlaskClient) -> None:
    open_to_all = {
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/openapi",
        "/openapi/assets/<name>",
        "/problems",
        "/session",
        "/",
        "/static/<path:filename>",
    }
    for rule in locked.application.url_map.iter_rules():
        if rule.rule == "/session":  # asks for the key itself
            continue
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            path = (
                rule.rule.replace("<path:product_id>", "x")
                .replace("<int:number>", "0")
                .replace("<name>", "x")
                .replace("<path:filename>", "page.css")
            )
            with locked.open(path, method=method) as reply:
                assert (reply.status_code != 401) is (rule.rule in open_to_all), (method, rule.rule, reply.status_code)


def test_a_401_says_how_to_send_a_key(locked: FlaskClient) -> None:
    reply = locked.get("/v1/status")
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    assert "Authorization" in reply.get_json()["remedy"]


def test_odd_credentials_are_just_unknown(locked: FlaskClient) -> None:
    for given in ("Bearer", "Bearer ", "Basic abc", "Bearer é", "Bearer " + "x" * 5_000, "bearer\tx"):
        assert locked.get("/v1/status", headers={"Authorization": given}).status_code == 401
    assert locked.get("/v1/status", headers={"Authorization": f"bearer {SEARCH}"}).status_code == 200


def test_the_page_asks_for_a_key_and_keeps_only_a_token(locked: FlaskClient) -> None:
    assert locked.get("/").headers["Location"] == "/session"
    assert locked.post("/session", data={"key": WRITE}).status_code == 401
    taken = locked.post("/session", data={"key": SEARCH})
    assert taken.status_code == 303
    cookie = taken.headers["Set-Cookie"]
    assert COOKIE in cookie and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert SEARCH not in cookie
    assert locked.get("/v1/status").status_code == 200
    assert locked.put("/v1/products/p1", json={}).status_code == 403


def test_a_cookie_of_an_admin_key_may_only_search(locked: FlaskClient) -> None:
    locked.post("/session", data={"key": ADMIN})
    assert locked.get("/v1/status").status_code == 200
    assert locked.get("/v1/control").status_code == 403


def test_no_key_reaches_the_log(locked: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        locked.get(f"/v1/search?q=private+words&key={SEARCH}", headers=bearer(SEARCH))
        locked.post("/session", data={"key": ADMIN})
    assert "/v1/search" in caplog.text
    assert SEARCH not in caplog.text and ADMIN not in caplog.text and "private" not in caplog.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "shop.example"])
def test_a_public_bind_without_keys_refuses_to_start(host: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        serve(load_settings(home=tmp_path, host=host))
    assert caught.value.field == "api_keys"
    assert caught.value.remedy


def test_a_key_that_can_be_guessed_refuses_to_start_and_is_not_shown(opened: Opener) -> None:
    with pytest.raises(SettingsError) as caught:
        opened(api_keys={"hunter2": ["search"]})
    assert "hunter2" not in str(caught.value)


def test_loopback_is_told_from_other_addresses() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.1", "localhost.example", "")] == [False] * 5


def test_pages_run_no_inline_script_and_load_nothing_from_elsewhere(opened: Opener) -> None:
    client = opened()
    for path in ("/", "/openapi", "/problems", "/session"):
        reply = client.get(path)
        policy = dict(part.split(" ", 1) for part in reply.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy.get("script-src", "'self'") == "'self'"
        text = reply.get_data(as_text=True)
        assert "<script>" not in text and " onclick=" not in text and " style=" not in text
        assert 'src="http' not in text and '<link rel="stylesheet" href="http' not in text
    assert client.get("/healthz").headers["X-Content-Type-Options"] == "nosniff"
