"""A child process that decodes pictures, with its own memory limit, and a time limit kept by its parent.

``python -m hybrid_search.catalog.images.sandbox`` reads requests from standard input and answers on standard output until its input
ends, so it never outlives its parent. A child that hangs or dies is replaced at the next picture.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import resource
import selectors
import struct
import subprocess
import sys
import time
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hybrid_search.catalog.images.decode import decode_any
from hybrid_search.catalog.images.limits import ImageLimits
from hybrid_search.catalog.images.reasons import REASONS, refuse
from hybrid_search.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

_REQUEST = struct.Struct(">II")
"""Length of the file, and ``min_side``."""
_REPLY = struct.Struct(">III")
"""Width and height of the RGB rows that follow, or 0, 0 and the length of a JSON refusal."""
_BLOCK = 1 << 20
_STRIP_BYTES = 4_000_000
_START_SECONDS = 15.0
_LIMITS = ("max_jpeg_pixels", "max_decoded_bytes", "max_output_pixels", "min_side", "sandbox_memory")


class Sandbox:
    """Up to ``limits.decoders`` children, started when first needed; threads that find none idle wait.

    A forked process lets go of its parent's children and starts its own.
    """

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._fill()
        _ALIVE.add(self)

    def decode(self, raw: bytes, min_side: int) -> Image:
        """The upright RGB picture in ``raw``.

        Raises:
            ImageError: with a reason of the picture group; ``decode_timeout`` and ``decoder_missing`` are transient.
        """
        child = self._idle.get()
        try:
            return child.decode(raw, min_side)
        finally:
            self._idle.put(child)

    def close(self) -> None:
        """Ends the children; the next picture starts another."""
        for child in [self._idle.get() for _ in self._children]:
            child.stop()
            self._idle.put(child)

    def _fill(self) -> None:
        self._children = [_Child(self._limits) for _ in range(self._limits.decoders)]
        # last in, first out: one thread keeps using one child
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        for child in self._children:
            self._idle.put(child)

    def _forked(self) -> None:
        for child in self._children:
            child.forget()
        self._fill()


_ALIVE: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def _after_fork() -> None:
    for sandbox in list(_ALIVE):
        sandbox._forked()


os.register_at_fork(after_in_child=_after_fork)


class _Child:
    """One decoding process and the two pipes to it; used by one thread at a time."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[[subprocess.Popen[bytes]], _Child] | None = None
        self._used = False

    def decode(self, raw: bytes, min_side: int) -> Image:
        worn = self._used
        try:
            return self._try(raw, min_side)
        except ImageError as err:
            if err.reason != "decode_memory" or not worn:
                raise
        # what earlier pictures left behind must not decide: once more, in a fresh process
        self.stop()
        return self._try(raw, min_side)

    def _try(self, raw: bytes, min_side: int) -> Image:
        process = self._started()
        self._used = True
        try:
            return self._exchange(process, raw, min_side, time.monotonic() + self._limits.decode_timeout)
        except TimeoutError as err:
            self.stop()
            raise refuse("decode_timeout", raw, f"{self._limits.decode_timeout:g} s", transient=True) from err
        except (OSError, EOFError, ValueError) as err:
            self.stop()
            raise refuse("decoder_died", raw) from err
        except ImageError:
            raise
        except BaseException:
            self.stop()  # an interrupted exchange leaves bytes in the pipes
            raise

    def _exchange(self, process: subprocess.Popen[bytes], raw: bytes, min_side: int, deadline: float) -> Image:
        from PIL import Image as pillow

        assert process.stdin is not None and process.stdout is not None
        _send(process.stdin, _REQUEST.pack(len(raw), min_side), deadline)
        _send(process.stdin, raw, deadline)
        width, height, length = _REPLY.unpack(_receive(process.stdout, _REPLY.size, deadline))
        if not width:
            raise _refusal(_receive(process.stdout, min(length, _BLOCK), deadline))
        if length != width * height * 3 or width * height > self._limits.max_output_pixels:
            raise ValueError("the child's answer contradicts itself")
        image = pillow.new("RGB", (width, height))
        for top, rows in _strips(width, height):
            pixels = _receive(process.stdout, width * rows * 3, deadline)
            image.paste(pillow.frombuffer("RGB", (width, rows), pixels, "raw", "RGB", 0, 1), (0, top))
        return image

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.stop()
        root = Path(__file__).resolve().parents[3]
        settings = json.dumps({name: getattr(self._limits, name) for name in _LIMITS})
        try:
            process = subprocess.Popen(
                [sys.executable, "-E", "-s", "-c", _COMMAND, str(root), settings],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
                start_new_session=True,  # Ctrl-C is the parent's business; the child ends when its input does
            )
        except OSError as err:
            raise refuse("decoder_missing", None, str(err), transient=True) from err
        self._process = process
        self._finalizer = weakref.finalize(self, _end, process)
        assert process.stdin is not None and process.stdout is not None
        for stream in (process.stdin, process.stdout):
            os.set_blocking(stream.fileno(), False)
            _widen(stream)
        try:
            _receive(process.stdout, 1, time.monotonic() + _START_SECONDS)
        except (OSError, EOFError) as err:
            self.stop()
            raise refuse("decoder_missing", None, type(err).__name__, transient=True) from err
        return process

    def stop(self) -> None:
        """Kills the process, if one runs, and waits for its end."""
        if self._finalizer is not None:
            self._finalizer()
        self._process = self._finalizer = None
        self._used = False

    def forget(self) -> None:
        """In a forked process: closes the pipes to the parent's child without ending it."""
        if self._finalizer is not None and self._process is not None:
            self._finalizer.detach()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process.returncode = 0  # not ours to wait for
        self._process = self._finalizer = None


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    child.wait()


def _refusal(reply: bytes | bytearray) -> ImageError:
    parts = json.loads(reply)
    reason = parts["reason"]
    if reason not in REASONS:
        raise ValueError("the child's answer is unknown")
    return ImageError(reason, str(parts["message"])[:500], transient=False)


def _widen(stream: IO[bytes]) -> None:
    """A larger pipe, where the system has that: fewer switches between the two processes per picture."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, _BLOCK)


def _strips(width: int, height: int) -> Iterator[tuple[int, int]]:
    """First row and number of rows of the pieces that a picture crosses the pipe in; no piece is larger than needed."""
    step = max(1, _STRIP_BYTES // (3 * width))
    for top in range(0, height, step):
        yield top, min(step, height - top)


def _wait(stream: IO[bytes], event: int, deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, event)
        left = deadline - time.monotonic()
        if left <= 0 or not selector.select(left):
            raise TimeoutError


def _send(stream: IO[bytes], payload: bytes, deadline: float) -> None:
    left = memoryview(payload)
    while left:
        try:
            left = left[os.write(stream.fileno(), left[:_BLOCK]) :]
        except BlockingIOError:
            _wait(stream, selectors.EVENT_WRITE, deadline)


def _receive(stream: IO[bytes], length: int, deadline: float) -> bytearray:
    found = bytearray(length)
    view = memoryview(found)
    while view:
        try:
            count = os.readv(stream.fileno(), [view])
        except BlockingIOError:
            _wait(stream, selectors.EVENT_READ, deadline)
            continue
        if not count:
            raise EOFError
        view = view[count:]
    return found


# --- the child -------------------------------------------------------------------------------------------------------

_COMMAND = "import sys; sys.path.insert(0, sys.argv[1]); from hybrid_search.catalog.images import sandbox; sandbox.serve(sys.argv[2])"


def serve(settings: str) -> None:
    """The child's life: limits itself, says that it is ready, and decodes until its input ends."""
    warnings.simplefilter("ignore")
    limits = ImageLimits(**json.loads(settings))
    _import_parsers()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    _confine(limits.sandbox_memory)
    sink.write(b"+")
    sink.flush()
    while len(head := source.read(_REQUEST.size)) == _REQUEST.size:
        length, min_side = _REQUEST.unpack(head)
        raw = source.read(length)
        if len(raw) < length:
            return
        _answer(raw, min_side, limits, sink)
        del raw


def _answer(raw: bytes, min_side: int, limits: ImageLimits, sink: IO[bytes]) -> None:
    try:
        image = decode_any(raw, limits, min_side)
    except ImageError as err:
        reply = json.dumps({"reason": err.reason, "message": err.message}).encode()
    else:
        width, height = image.size
        sink.write(_REPLY.pack(width, height, width * height * 3))
        for top, rows in _strips(width, height):
            sink.write(image.crop((0, top, width, top + rows)).tobytes())
        sink.flush()
        return
    sink.write(_REPLY.pack(0, 0, len(reply)))
    sink.write(reply)
    sink.flush()


def _import_parsers() -> None:
    from PIL import AvifImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

    del AvifImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin


def _confine(memory: int) -> None:
    """No files, no core dumps, no more address space than now and ``memory`` bytes (only Linux tells how much that is)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    statm = Path("/proc/self/statm")
    if statm.exists():
        limit = int(statm.read_text().split()[0]) * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
