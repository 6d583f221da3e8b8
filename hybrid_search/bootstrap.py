"""The one place that joins the parts: settings in, engine, encoders, intake and query layer out. API, CLI and workers all start here."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hybrid_search.catalog.images import ImageIntake, ImageLimits
from hybrid_search.catalog.roots import ImageRoots
from hybrid_search.control import ControlReader
from hybrid_search.encoders.registry import image_encoder, text_encoder
from hybrid_search.engines.base import Engine
from hybrid_search.engines.changes import ChangeStore
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.engines.embedded.changes import EmbeddedChanges
from hybrid_search.errors import EngineUnavailable
from hybrid_search.indexing.spaces import ensure_spaces, remember_encoders
from hybrid_search.query.following import Follower
from hybrid_search.query.parts import Encoders, SearchParts, SpaceReader
from hybrid_search.settings import Settings
from hybrid_search.types import Space

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
    follower: Follower | None = None

    def close(self) -> None:
        if self.follower is not None:
            self.follower.close()
        self.changes.close()
        self.engine.close()


def build(
    settings: Settings,
    *,
    index: bool = True,
    make_spaces: bool = True,
    request_feed: FeedRequest = _nobody_to_ask,
    follow: bool = False,
) -> Services:
    """Join the parts for one process (after a fork, never before).

    Args:
        settings: as read at the edge.
        index: whether this process may take the embedded engine's indexing over when nobody else does it.
        make_spaces: whether missing spaces of these encoders are made; off for whoever only looks.
        request_feed: how a write asks the workers to begin at once.
        follow: whether this process serves queries and therefore loads the models of a cut-over ahead of it.

    Raises:
        EngineUnavailable: the home folder cannot be used.
        EncoderError: an encoder's name or option is wrong.
    """
    intake = open_intake(settings)
    text, image = text_encoder(settings.text_encoder), image_encoder(settings.image_encoder)
    engine = open_engine(settings, index=index)
    control = ControlReader(engine)
    encoders = Encoders({text.card.name: text}, {image.card.name: image}, partial(_encoder_specs, control))
    if make_spaces:
        make_default_spaces(engine, settings)
    parts = SearchParts(
        engine=engine,
        control=control,
        spaces=SpaceReader(engine, encoders.at_hand if follow else partial(_asks, encoders, control)),
        encoders=encoders,
        intake=intake,
        secret=settings.cursor_secret.get_secret_value().encode() or cursor_secret(settings.home),
        max_query_chars=settings.max_query_chars,
        max_window=settings.max_window,
        timeout=settings.search_timeout,
    )
    changes = open_changes(settings, engine)
    return Services(settings, engine, intake, encoders, parts, changes, request_feed, Follower(parts) if follow else None)


def _encoder_specs(control: ControlReader, fresh: bool) -> Mapping[str, str]:
    return (control.read_now() if fresh else control.current())[1].encoders


def _asks(encoders: Encoders, control: ControlReader, space: Space) -> bool:
    """Which versions a process asks that prepares nothing: those of its settings' models, and a pinned one whose model it can make."""
    pinned = space.key in control.current()[1].active_spaces.values()
    return encoders.at_hand(space) or (pinned and encoders.can_ask(space))


def open_for_loading(settings: Settings, *, index: bool = True) -> tuple[Engine, ImageIntake]:
    """The engine with its spaces made, and the intake: all that loading a catalogue needs. Raises as ``build`` does."""
    engine = open_engine(settings, index=index)
    make_default_spaces(engine, settings)
    return engine, open_intake(settings)


def make_default_spaces(engine: Engine, settings: Settings) -> None:
    """The spaces of the settings' encoders, where they are missing, and a note of how other processes make these encoders.

    A name that is pinned in the control document gets no new version by itself: somebody has taken it in hand.
    """
    text, image = text_encoder(settings.text_encoder).card, image_encoder(settings.image_encoder).card
    _, control = ControlReader(engine).current()
    ensure_spaces(engine, text, image, pinned=control.active_spaces)
    remember_encoders(engine, {text.name: settings.text_encoder, image.name: settings.image_encoder})


def open_engine(settings: Settings, *, index: bool = True) -> Engine:
    """The engine that the settings name. Raises ``EngineUnavailable``, and ``SettingsError`` where its address or extra is missing."""
    if settings.attach is not None:
        from hybrid_search.attach.config import load_config
        from hybrid_search.attach.in_place import open_in_place

        return open_in_place(settings, load_config(settings.attach), open_intake(settings))
    if settings.engine == "embedded":
        return EmbeddedEngine(
            settings.home,
            vector_dtype=settings.vector_dtype,
            max_attempts=settings.max_attempts,
            retry_pause=settings.retry_pause,
            index=index,
        )
    options = server_options(settings)
    if settings.engine == "opensearch":
        from hybrid_search.engines.opensearch import open_opensearch

        return open_opensearch(settings.opensearch_url, **options)
    from hybrid_search.engines.elasticsearch import open_elasticsearch

    return open_elasticsearch(settings.elasticsearch_url, **options)


@contextmanager
def first_load(engine: Engine, settings: Settings) -> Iterator[None]:
    """An index of a search server under the settings of ``bulk-load.json`` for the block: nothing is searchable until its end, and the
    server does less. The embedded engine needs none of it."""
    if isinstance(engine, EmbeddedEngine):
        yield
        return
    from hybrid_search.engines.cluster.bulk_loading import bulk_loading
    from hybrid_search.engines.cluster.engine import ClusterEngine
    from hybrid_search.engines.cluster.mappings import load_mappings

    assert isinstance(engine, ClusterEngine)
    server = engine.server
    files = load_mappings(server.dialect.product, settings.index_prefix, settings.server_mappings)
    with bulk_loading(server.transport, server.indices.products, settings=files["bulk-load"].body["settings"]["index"]):
        yield


def server_options(settings: Settings) -> dict[str, Any]:
    """What the engines on a search server take from the settings, address aside."""
    return server_access(settings) | {
        "prefix": settings.index_prefix,
        "max_attempts": settings.max_attempts,
        "retry_pause": settings.retry_pause,
        "knn_exact_up_to": settings.knn_exact_up_to,
        "shards": settings.server_shards,
        "replicas": settings.server_replicas,
        "codec": settings.server_vector_codec,
        "mappings": settings.server_mappings,
    }


def server_access(settings: Settings) -> dict[str, Any]:
    """How a search server is signed in to and talked to."""
    return {
        "user": settings.server_user,
        "password": settings.server_password.get_secret_value(),
        "api_key": settings.server_api_key.get_secret_value(),
        "sigv4_region": settings.server_sigv4_region,
        "ca": settings.server_ca,
        "verify": settings.server_verify,
        "timeout": settings.server_timeout,
        "pool": settings.server_pool,
        "compress": settings.server_compress,
    }


def open_changes(settings: Settings, engine: Engine) -> ChangeStore:
    """Where the engine keeps the newest version of each product that a change feed told."""
    if settings.attach is not None:
        from hybrid_search.attach.in_place import NoChanges

        return NoChanges()
    if isinstance(engine, EmbeddedEngine):
        return EmbeddedChanges(settings.home)
    from hybrid_search.engines.cluster.change_records import ClusterChanges
    from hybrid_search.engines.cluster.engine import ClusterEngine

    assert isinstance(engine, ClusterEngine)
    return ClusterChanges(engine.server.transport, settings.index_prefix, shards=settings.server_shards, replicas=settings.server_replicas)


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
