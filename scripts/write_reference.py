"""Write docs/reference/*.md from the code: settings, control document, commands, fusion methods, endpoints. ``--check`` only compares."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer.main
from flask import Flask
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hybrid_search.api.app import BLUEPRINTS
from hybrid_search.api.openapi import describe
from hybrid_search.cli.main import app
from hybrid_search.control import Control
from hybrid_search.query.fuse import METHODS
from hybrid_search.settings import PREFIX, Settings
from hybrid_search.telemetry.metrics import SPECS, Spec

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
NOTE = "<!-- Written by `make docs` from the code: change the code, not this page. -->\n\n"


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    return f"`{value}`" if value not in ("", (), {}) else "empty"


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    yield from model.model_fields.items()


def settings_page() -> str:
    """Every setting with its variable, default and meaning."""
    rows = [f"| `{name}` | `{PREFIX}{name.upper()}` | {_default(info)} | {info.description} |" for name, info in _fields(Settings)]
    return (
        "# Settings\n\nRead once when a process starts. First wins: command-line options, environment variables, the TOML file that\n"
        f"`{PREFIX}CONFIG` names (else `hybrid-search.toml` in the working folder), the defaults. `REDIS_URL` is read too.\n\n"
        "| key | variable | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def control_page() -> str:
    """Every member of the control document."""
    rows = [f"| `{name}` | {_default(info)} | {info.description} |" for name, info in _fields(Control)]
    return (
        "# The control document\n\nWhat may change while everything runs: `GET` and `PUT /v1/control`, or `hybrid-search control`. All processes follow\n"
        "within about a second, and keep the last known document when it cannot be read.\n\n| key | default | meaning |\n|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def fusion_page() -> str:
    """Every fusion method with its docstring."""
    parts = [f"## `{name}`\n\n{inspect.getdoc(function)}\n" for name, function in METHODS.items()]
    return "# Fusion methods\n\nChosen by `fusion` in a request or in the control document.\n\n" + "\n".join(parts)


def cli_page() -> str:
    """Every command's own help."""
    command = typer.main.get_command(app)
    sections = "\n".join(_command_help(command, ["hybrid-search"]))
    return "# Commands\n\nExit codes: 0 done, 1 done but not all well, 2 wrong input or settings, 130 interrupted.\n\n" + sections


def _command_help(command: Any, path: list[str]) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, sub in command.commands.items():
            yield from _command_help(sub, [*path, name])
        return
    options = []
    for parameter in command.params:
        if parameter.name == "help":
            continue
        names = ", ".join(f"`{o}`" for o in parameter.opts) if parameter.param_type_name == "option" else f"`{parameter.name.upper()}`"
        options.append(f"| {names} | {(getattr(parameter, 'help', '') or '').replace('|', '/')} |")
    table = "| option | meaning |\n|---|---|\n" + "\n".join(options) + "\n" if options else ""
    yield f"## `{' '.join(path)}`\n\n{inspect.cleandoc(command.help or '')}\n\n{table}"


def api_page() -> str:
    """Every endpoint of the OpenAPI document."""
    rows = []
    bare = Flask("hybrid_search.api")
    for blueprint in BLUEPRINTS:
        bare.register_blueprint(blueprint)
    for path, methods in sorted(describe(bare)["paths"].items()):
        for method, operation in ((m, o) for m, o in methods.items() if isinstance(o, dict) and "responses" in o):
            rows.append(f"| `{method.upper()} {path}` | {operation.get('summary', '')} |")
    return (
        "# Endpoints\n\nThe full description, with every model, is served at `/openapi.json`.\n\n| endpoint | what it does |\n|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def metrics_page() -> str:
    """Every metric of the API and of the workers."""
    rows = [
        f"| `{spec.shown_name}` | {spec.kind} | {_labels(spec)} | {spec.unit} | {' and '.join(spec.places)} | {spec.meaning} |"
        for spec in SPECS.values()
    ]
    return (
        "# Metrics\n\n`GET /metrics` of the API, and of a worker where `worker_metrics_port` is set. How to scrape them: [Watching it](../observability.md).\n"
        "The API adds `process_*` (CPU seconds, memory, open files) of its own process.\n\n"
        "| metric | type | labels | unit | where | meaning |\n|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _labels(spec: Spec) -> str:
    return "; ".join(f"`{label}`: {values}" for label, values in spec.labels.items())


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "control.md": control_page,
    "fusion.md": fusion_page,
    "cli.md": cli_page,
    "api.md": api_page,
    "metrics.md": metrics_page,
}


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        text = NOTE + page().rstrip() + "\n"
        path = FOLDER / name
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not check:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}: run `make docs`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
