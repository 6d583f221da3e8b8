"""A shop with words only: what the API does with requests needs no models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from hybrid_search.api import create_app
from hybrid_search.bootstrap import Services, build
from hybrid_search.settings import load_settings

KEYS: dict[str, Any] = {"search-key-0123456789": ["search"], "write-key-0123456789": ["write"], "admin-key-0123456789": ["admin"]}

Opener = Callable[..., FlaskClient]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Makes a client of an application with the given settings; everything is closed at the end."""
    services: list[Services] = []

    def make(**settings: Any) -> FlaskClient:
        built = build(load_settings(home=tmp_path / "home", **settings))
        services.append(built)
        return create_app(built).test_client()

    yield make
    for built in services:
        built.close()


@pytest.fixture
def client(opened: Opener) -> FlaskClient:
    """A client of an open application."""
    return opened()
