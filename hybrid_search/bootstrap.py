"""The one place that joins the parts: settings in, engine, encoders, intake and query layer out. API, CLI and workers all start here."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hybrid_search.catalog.images import ImageIntake, ImageLimits
from hybrid_search.catalog.roots import ImageRoots
from hybrid_search.control import ControlReader
from hybrid_search.encoders.registry import image_encoder, text_encoder
from hybrid_search.engines.base import Engine
from hybrid_search.engines.changes import ChangeStore
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.engines.embedded.changes import EmbeddedChanges
from hybrid_search.errors import EngineUnavailable
from hybrid_search.indexing.spaces import ensure_spaces
from hybrid_search.query.parts import Encoders, SearchParts, SpaceReader
from hybrid_search.settings import Settings

FeedRequest = Callable[[], bool]
"""Asks the workers to look for pending products now; False when the broker cannot be reached (the feeder will look by itself)."""


def _nobody_to_ask() -> bool:
    return False


@dataclass(frozen=True)
class Services:
    """The joined parts of one process. ``close`` stops background threads and gives locks back."""

    settings: Settings
    engine: Engine
    intake: ImageIntake
    encoders: Encoders
    search_parts: SearchParts
    changes: ChangeStore
    request_feed: FeedRequest = _nobody_to_ask

    def close(self) -> None:
        self.changes.close()
        self.engine.close()


def build(settings: Settings, *, index: bool = True, make_spaces: bool = True, request_feed: FeedRequest = _nobody_to_ask) -> Services:
    """Join the parts for one process (after a fork, never before).

    Args:
        settings: as read at the edge.
        index: whether this process may take the embedded engine's indexing over when nobody else does it.
        make_spaces: whether missing spaces of these encoders are made; off for whoever only looks.
        request_feed: how a write asks the workers to begin at once.

    Raises:
        EngineUnavailable: the home folder cannot be used.
        EncoderError: an encoder's name or option is wrong.
    """
    intake = open_intake(settings)
    text, image = text_encoder(settings.text_encoder), image_encoder(settings.image_encoder)
    encoders = Encoders({text.card.name: text}, {image.card.name: image})
    engine = open_engine(settings, index=index)
    if make_spaces:
        ensure_spaces(engine, text.card, image.card)
    parts = SearchParts(
        engine=engine,
        control=ControlReader(engine),
        spaces=SpaceReader(engine, (text.card.name, image.card.name)),
        encoders=encoders,
        intake=intake,
        secret=cursor_secret(settings.home),
        max_query_chars=settings.max_query_chars,
        max_window=settings.max_window,
        timeout=settings.search_timeout,
    )
    return Services(settings, engine, intake, encoders, parts, open_changes(settings), request_feed)


def open_for_loading(settings: Settings, *, index: bool = True) -> tuple[Engine, ImageIntake]:
    """The engine with its spaces made, and the intake: all that loading a catalogue needs. Raises as ``build`` does."""
    engine = open_engine(settings, index=index)
    ensure_spaces(engine, text_encoder(settings.text_encoder).card, image_encoder(settings.image_encoder).card)
    return engine, open_intake(settings)


def open_engine(settings: Settings, *, index: bool = True) -> Engine:
    """The engine that the settings name. Raises ``EngineUnavailable``."""
    return EmbeddedEngine(
        settings.home,
        vector_dtype=settings.vector_dtype,
        max_attempts=settings.max_attempts,
        retry_pause=settings.retry_pause,
        index=index,
    )


def open_changes(settings: Settings) -> ChangeStore:
    """Where the engine keeps the newest version of each product that a change feed told."""
    return EmbeddedChanges(settings.home)


def image_roots(settings: Settings) -> ImageRoots:
    """The folders that image paths may lie in: those set, and those that a catalogue was loaded from."""
    return ImageRoots(settings.home, settings.image_roots)


def open_intake(settings: Settings) -> ImageIntake:
    """The image intake within the limits set."""
    return ImageIntake(image_limits(settings), roots=image_roots(settings))


def image_limits(settings: Settings) -> ImageLimits:
    """The intake's limits as set."""
    return ImageLimits(
        max_bytes=settings.image_max_bytes,
        timeout=settings.image_timeout,
        max_redirects=settings.image_max_redirects,
        max_jpeg_pixels=settings.image_max_jpeg_pixels,
        max_decoded_bytes=settings.image_max_decoded_bytes,
        allow_hosts=settings.image_allow_hosts,
        proxy=settings.image_proxy or None,
    )


def cursor_secret(home: Path) -> bytes:
    """The key that signs page cursors: 32 random bytes kept in the home folder, the same for every process on it."""
    path = home / "cursor.key"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            fresh = path.with_name(f".cursor.key.{os.getpid()}.{secrets.token_hex(4)}")
            fresh.touch(mode=0o600)
            fresh.write_bytes(secrets.token_bytes(32))
            try:
                os.link(fresh, path)  # whoever links first wins; all processes read the winner's
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return path.read_bytes()
    except OSError as err:
        raise EngineUnavailable(
            f"The home folder {home} cannot be used: {err.strerror}.",
            field="home",
            value=str(home),
            remedy="Set home to a folder that can be written.",
        ) from err
