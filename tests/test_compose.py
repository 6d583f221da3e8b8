"""docker-compose.yml says what the code reads: settings, commands, ports, health paths."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from flask import Flask

from hybrid_search import __version__
from hybrid_search.api.app import BLUEPRINTS
from hybrid_search.cli.main import app
from hybrid_search.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
OWN = {name: service for name, service in COMPOSE["services"].items() if name != "redis"}
KNOWN = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {"REDIS_URL", "OMP_NUM_THREADS"}


@pytest.mark.parametrize("name", OWN)
def test_every_variable_is_one_that_is_read(name: str) -> None:
    assert set(OWN[name]["environment"]) <= KNOWN


@pytest.mark.parametrize("name", OWN)
def test_every_command_and_option_exists(name: str) -> None:
    command, *options = OWN[name]["command"]
    root: Any = typer.main.get_command(app)
    assert command in root.commands
    known = {option for parameter in root.commands[command].params for option in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= known


def test_the_api_is_asked_on_its_own_port_and_path() -> None:
    api = OWN["api"]
    port = api["environment"]["HYBRID_SEARCH_PORT"]
    assert api["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"http://127.0.0.1:{port}/readyz" in " ".join(api["healthcheck"]["test"])
    bare = Flask("hybrid_search.api")
    for blueprint in BLUEPRINTS:
        bare.register_blueprint(blueprint)
    assert "/readyz" in {rule.rule for rule in bare.url_map.iter_rules()}


def test_there_is_no_default_key_and_the_one_given_is_read() -> None:
    template = OWN["api"]["environment"]["HYBRID_SEARCH_API_KEYS"]
    assert re.search(r"\$\{SEARCH_API_KEY:\?[^}]+\}", template)
    filled = re.sub(r"\$\{[^}]+\}", "a-long-random-key", template)
    assert Settings.model_validate({"api_keys": json.loads(filled)}).api_keys == {"a-long-random-key": ("search", "write", "admin")}


def test_the_broker_keeps_what_it_is_given() -> None:
    command = COMPOSE["services"]["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_the_image_has_the_version_of_the_code() -> None:
    assert OWN["api"]["image"] == f"hybrid-search:{__version__}"
