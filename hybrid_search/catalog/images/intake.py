"""The one way from an image reference to bytes and pixels. No other code of the project opens a URL or an image."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import re
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from hybrid_search.catalog.images.decode import decode_jpeg
from hybrid_search.catalog.images.fetch import fetch, parse_proxy
from hybrid_search.catalog.images.jpeg import survey
from hybrid_search.catalog.images.limits import ImageLimits
from hybrid_search.catalog.images.reasons import refuse
from hybrid_search.catalog.images.sandbox import Sandbox
from hybrid_search.catalog.images.sniff import sniff
from hybrid_search.errors import ImageError
from hybrid_search.telemetry.metrics import IMAGE_REFUSALS

if TYPE_CHECKING:
    from PIL.Image import Image

_URL = re.compile(r"https?:", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:|//", re.IGNORECASE)


def _is_unicode(text: str) -> bool:
    """False where half a surrogate pair stands alone, which no encoding can write."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _refusals_counted() -> Iterator[None]:
    try:
        yield
    except ImageError as err:
        IMAGE_REFUSALS.labels(err.reason).inc()
        raise


class ImageIntake:
    """Reads, checks and decodes images within ``limits``. One per process; threads may share it, and it may cross a fork.

    ``roots`` gives further folders that paths may lie in, asked at each path, so that a catalogue loaded later is readable at once.
    """

    def __init__(self, limits: ImageLimits, *, roots: Callable[[], tuple[Path, ...]] = tuple) -> None:
        if limits.proxy is not None:
            parse_proxy(limits.proxy)
        self.limits = limits
        self._roots = tuple(Path(root).resolve() for root in limits.roots)
        self._more_roots = roots
        self._sandbox = Sandbox(limits)
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def load(self, reference: str, *, min_side: int = 0) -> Image:
        """``decode(read(reference))``."""
        return self.decode(self.read(reference), min_side=min_side)

    @_refusals_counted()
    def read(self, reference: str) -> bytes:
        """The encoded bytes that a path, an http(s) URL or a data URL leads to, at most ``max_bytes``.

        Raises:
            ImageError: with a reason of the reference or transfer group.
        """
        if not reference.strip() or "\0" in reference or not _is_unicode(reference):
            raise refuse("reference", reference)
        if _URL.match(reference):
            return fetch(reference, self.limits, self._tls())
        if reference[:5].lower() == "data:":
            return self._read_data_url(reference)
        if _SCHEME.match(reference):
            raise refuse("scheme", reference)
        return self._read_path(reference)

    @_refusals_counted()
    def decode(self, raw: bytes, *, min_side: int = 0) -> Image:
        """An upright picture in mode ``RGB``, transparency on white, first frame only, without any metadata.

        With ``min_side`` the picture may be scaled down as long as its shortest side keeps at least ``min_side`` pixels; smaller
        pictures are never enlarged. Plain JPEGs are decoded here, all else in a child process.

        Raises:
            ImageError: with a reason of the picture group.
        """
        if not raw:
            raise refuse("empty")
        if len(raw) > self.limits.max_bytes:
            raise refuse("too_many_bytes", raw, f"allowed are {self.limits.max_bytes:,}")
        form = sniff(raw)
        if form is None:
            raise refuse("format", raw)
        if form == "JPEG" and (frame := survey(raw)).plain:
            return decode_jpeg(frame, self.limits, min_side)
        return self._sandbox.decode(raw, min_side)

    def thumbnail(self, reference_or_bytes: str | bytes, side: int) -> bytes:
        """The picture as WEBP without metadata, at most ``side`` pixels wide and high.

        Raises:
            ImageError: as ``read`` and ``decode`` do.
        """
        raw = self.read(reference_or_bytes) if isinstance(reference_or_bytes, str) else reference_or_bytes
        image = self.decode(raw, min_side=side)
        image.thumbnail((side, side))
        out = io.BytesIO()
        image.save(out, "WEBP", quality=80, method=2)
        return out.getvalue()

    def content_hash(self, reference: str) -> str:
        """What the ledger compares: 32 hex digits. Never raises.

        BLAKE2b of a path's or data URL's bytes; of an http(s) URL itself, which is not fetched; of reason and reference where the
        bytes cannot be read, so that the hash changes when they appear.
        """
        if _URL.match(reference):
            content = f"url:{reference}".encode("utf-8", "surrogatepass")
        else:
            try:
                content = self.read(reference)
            except ImageError as err:
                content = f"unreadable:{err.reason}:{reference}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(content, digest_size=16).hexdigest()

    def close(self) -> None:
        """Ends the decoding child; the intake may be used again afterwards."""
        self._sandbox.close()

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = ssl.create_default_context()
            return self._context

    def _read_data_url(self, reference: str) -> bytes:
        header, comma, payload = reference[5:].partition(",")
        if not comma:
            raise refuse("data_url", reference, "no comma")
        if len(payload) > 4 * self.limits.max_bytes:
            raise refuse("too_many_bytes", reference)
        raw = unquote_to_bytes(payload)
        if header.lower().replace(" ", "").endswith(";base64"):
            try:
                raw = base64.b64decode(b"".join(raw.split()), validate=True)
            except (binascii.Error, ValueError) as err:
                raise refuse("data_url", reference, "not base64") from err
        return self._capped(raw, reference)

    def _read_path(self, reference: str) -> bytes:
        path = self._found(reference)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as err:
            raise refuse("path_unreadable", reference, err.strerror or "") from err
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise refuse("path_unreadable", reference, "no regular file")
            with open(descriptor, "rb", closefd=False) as file:
                raw = file.read(self.limits.max_bytes + 1)
        except OSError as err:
            raise refuse("path_unreadable", reference, err.strerror or "", transient=True) from err
        finally:
            os.close(descriptor)
        return self._capped(raw, reference)

    def _found(self, reference: str) -> Path:
        """The real path, inside a root."""
        inside = False
        for root in (*self._roots, *self._more_roots()):
            try:
                path = (root / reference).resolve()
                if not path.is_relative_to(root):
                    continue
                inside = True
                if path.exists():
                    return path
            except (OSError, RuntimeError, ValueError) as err:
                raise refuse("path_unreadable", reference, type(err).__name__) from err
        if inside:
            raise refuse("path_missing", reference)
        raise refuse("path_outside", reference, remedy="List the folder that holds the pictures in roots.")

    def _capped(self, raw: bytes, reference: str) -> bytes:
        if not raw:
            raise refuse("empty", reference)
        if len(raw) > self.limits.max_bytes:
            raise refuse("too_many_bytes", reference, f"over {self.limits.max_bytes:,} bytes")
        return raw
