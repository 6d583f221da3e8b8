"""How log lines are written: one handler on the root logger, as text for people or as one JSON object per line (``log_format``).

All code logs through the standard library; structlog renders. What is noted for the current request or task (``note``) is on every
line that is written during it. Secrets of the settings are blacked out in whatever is written.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from pydantic import SecretStr

from hybrid_search.settings import Settings

CONSOLE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
HIDDEN = "***"
TALKATIVE = ("opensearchpy.trace", "httpx", "httpcore", "urllib3")
"""Libraries that log every request with its address, or its body: from ``info`` up they are asked for warnings only.

The search servers' clients are quieted by their transports (``hybrid_search.engines.cluster.reaching``)."""


def configure_logging(settings: Settings) -> None:
    """Write this process's log lines to stderr as the settings say. A later call replaces what an earlier one set up."""
    level = settings.log_level.upper()
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Hiding(_json() if settings.log_format == "json" else logging.Formatter(CONSOLE_FORMAT), secrets_of(settings)))
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(settings.log_format == "json")  # else Python writes them to stderr as text
    if settings.log_level != "debug":
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def note(**values: Any) -> None:
    """Put ``values`` on every line that follows in this request or task."""
    structlog.contextvars.bind_contextvars(**values)


def noted() -> dict[str, Any]:
    """What has been noted."""
    return structlog.contextvars.get_contextvars()


def forget_notes() -> None:
    """Begin with nothing noted: threads are used again."""
    structlog.contextvars.clear_contextvars()


@contextmanager
def noting(**values: Any) -> Iterator[None]:
    """``note`` for the length of a block."""
    with structlog.contextvars.bound_contextvars(**values):
        yield


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Every secret that the settings hold: secret fields, API keys, passwords inside URLs; the longest first."""
    found: set[str] = set(settings.api_keys)
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            found.add(value.get_secret_value())
        elif isinstance(value, str) and "://" in value:
            for url in value.split(","):
                password = urlsplit(url.strip()).password or ""
                found |= {password, unquote(password)}
    return tuple(sorted(found - {""}, key=len, reverse=True))


class _Handler(logging.StreamHandler[Any]):
    """Ours, so that it can be told from those of others."""


class _Hiding(logging.Formatter):
    """Another formatter's lines, without ``secrets``."""

    def __init__(self, inner: logging.Formatter, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._inner = inner
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        line = self._inner.format(record)
        for secret in self._secrets:
            line = line.replace(secret, HIDDEN)
        return line


def _json() -> logging.Formatter:
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    )
