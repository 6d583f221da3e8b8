"""Checks of this machine: home folder, disk, keys, secrets in files."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from hybrid_search.doctor.finding import Finding, Level, is_loopback
from hybrid_search.settings import CONFIG_VARIABLE, DEFAULT_CONFIG, Settings

LITTLE, TOO_LITTLE = 2_000_000_000, 200_000_000
"""Free bytes below which a warning is given, or a failure."""
_SECRETS = ("api_keys", *(name for name, field in Settings.model_fields.items() if field.annotation is SecretStr))
_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH


def check_home(settings: Settings) -> Iterator[Finding]:
    """Whether the home folder is there, can be written, and has room."""
    home = settings.home
    if not home.exists():
        yield Finding(
            "home.writable",
            "warn",
            f"{home} does not exist yet.",
            "Load a catalogue (hybrid-search ingest), or set home to the folder that holds the index.",
        )
        return
    try:
        with tempfile.NamedTemporaryFile(dir=home, prefix=".doctor-"):
            yield Finding("home.writable", "ok", f"{home} can be written.")
    except OSError as err:
        yield Finding(
            "home.writable",
            "fail",
            f"{home} cannot be written: {err.strerror}.",
            "Give the user that runs this the right to, or set home to another folder.",
        )
    free = shutil.disk_usage(home if home.is_dir() else home.parent).free
    level: Level = "fail" if free < TOO_LITTLE else "warn" if free < LITTLE else "ok"
    yield Finding(
        "home.disk", level, f"{free / 1e9:.1f} GB are free at {home}.", "" if level == "ok" else "Free space or move home to a larger disk."
    )


def check_keys(settings: Settings) -> Iterator[Finding]:
    """Whether others could use the API without a key."""
    if settings.api_keys:
        yield Finding("keys", "ok", f"{len(settings.api_keys)} API keys are set.")
    elif is_loopback(settings.host):
        yield Finding("keys", "ok", f"No API keys are set; {settings.host} is reached from this machine only.")
    else:
        yield Finding(
            "keys",
            "fail",
            f"host = {settings.host!r} is reached from other machines, and no API keys are set.",
            'Set api_keys, as in {"a-long-secret": ["search"]}.',
        )


def check_secrets(settings: Settings) -> Iterator[Finding]:
    """Whether other users of this machine can read passwords and keys."""
    config = Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)
    exposed = [
        (path, what)
        for path, what in ((config, _secrets_in(config)), (settings.home / "cursor.key", "the key of page cursors"))
        if what and _others_read(path)
    ]
    for path, what in exposed:
        yield Finding("secrets", "fail", f"{path} holds {what} and can be read by other users.", f"chmod 600 {path}")
    if not exposed:
        yield Finding("secrets", "ok", "No file with secrets can be read by other users.")


def _secrets_in(config: Path) -> str:
    try:
        given = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return ""
    named = [key for key in _SECRETS if given.get(key)]
    named += [key for key in ("redis_url", "opensearch_url", "elasticsearch_url") if urlsplit(str(given.get(key, ""))).password]
    return ", ".join(named)


def _others_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & _OTHERS_READ)
    except OSError:
        return False
