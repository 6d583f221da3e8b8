"""Settings: where they come from, and how a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_search.errors import SettingsError
from hybrid_search.settings import CONFIG_VARIABLE, Settings, load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("HYBRID_SEARCH_") or name == "REDIS_URL"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_arguments_win_over_the_environment_over_the_file_over_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load_settings().port == 8080
    (tmp_path / "hybrid-search.toml").write_text("port = 1001\nhost = '127.0.0.2'\n")
    assert (load_settings().port, load_settings().host) == (1001, "127.0.0.2")
    monkeypatch.setenv("HYBRID_SEARCH_PORT", "1002")
    assert load_settings().port == 1002
    assert load_settings(port=1003).port == 1003


@pytest.mark.parametrize("name", ["REDIS_URL", "HYBRID_SEARCH_REDIS_URL"])
def test_redis_is_found_under_both_names(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "redis://127.0.0.1:7000/1")
    assert load_settings().redis_url == "redis://127.0.0.1:7000/1"


def test_lists_are_comma_separated_and_keys_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_SEARCH_IMAGE_ROOTS", "/srv/a, /srv/b")
    monkeypatch.setenv("HYBRID_SEARCH_API_KEYS", '{"k1": ["search"], "k2": ["search", "admin"]}')
    settings = load_settings()
    assert settings.image_roots == (Path("/srv/a"), Path("/srv/b"))
    assert settings.api_keys == {"k1": ("search",), "k2": ("search", "admin")}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("PORT", "eighty"),
        ("CHUNK_SIZE", "0"),
        ("VECTOR_DTYPE", "float8"),
        ("ENGINE", "solr"),
        ("FEED_EVERY", "-1"),
    ],
)
def test_a_wrong_value_is_told_with_key_value_and_place(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"HYBRID_SEARCH_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert name.lower() in str(caught.value) and value in str(caught.value) and "docs/reference/settings.md" in str(caught.value)


def test_a_mistyped_variable_is_told_with_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_SEARCH_MAX_QUERY_CHAR", "3")
    with pytest.raises(SettingsError, match="Did you mean HYBRID_SEARCH_MAX_QUERY_CHARS"):
        load_settings()


def test_a_secret_is_never_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_SEARCH_API_KEYS", '{"my-very-secret-key": ["fly"]}')
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "my-very-secret-key" not in str(caught.value)


def test_broken_files_and_json_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hybrid-search.toml").write_text("port = \n")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings()
    (tmp_path / "hybrid-search.toml").write_text("no_such_key = 1\n")
    with pytest.raises(SettingsError, match="no_such_key"):
        load_settings()
    (tmp_path / "hybrid-search.toml").unlink()
    monkeypatch.setenv("HYBRID_SEARCH_API_KEYS", "{not json")
    with pytest.raises(SettingsError):
        load_settings()
    monkeypatch.delenv("HYBRID_SEARCH_API_KEYS")
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "absent.toml"))
    with pytest.raises(SettingsError, match="absent.toml"):
        load_settings()


def test_every_setting_is_described() -> None:
    assert [name for name, info in Settings.model_fields.items() if not info.description] == []
