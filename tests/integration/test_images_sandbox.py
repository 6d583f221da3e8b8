"""The decoding children as processes: limited, replaced when they die, never shared across a fork, never left behind."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from PIL import Image

from hybrid_search.catalog.images import ImageIntake, ImageLimits
from hybrid_search.errors import ImageError

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc (Linux)")


def png(colour: tuple[int, int, int] = (10, 200, 30), side: int = 50) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(out, "PNG")
    return out.getvalue()


def children(pid: int | None = None) -> set[int]:
    """Process ids of the living children of a process."""
    parent = pid or os.getpid()
    found = set()
    for task in Path(f"/proc/{parent}/task").iterdir():
        found |= {int(child) for child in (task / "children").read_text().split()}
    return {child for child in found if alive(child)}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: set[int]) -> bool:
    """Waits until none of the processes is alive, for ten seconds at most."""
    end = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)


@pytest.fixture
def intake() -> Iterator[ImageIntake]:
    made = ImageIntake(ImageLimits())
    yield made
    made.close()


@pytest.fixture
def child(intake: ImageIntake) -> int:
    """The process id of the intake's decoder."""
    before = children()
    intake.decode(png())
    (pid,) = children() - before
    return pid


def test_one_child_decodes_one_picture_after_another(intake: ImageIntake, child: int) -> None:
    before = children()
    for level in range(20):
        assert intake.decode(png((level, 0, 0))).getpixel((3, 3)) == (level, 0, 0)
    assert children() == before


def test_the_child_is_limited_and_knows_no_secrets(child: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {line[:25].strip(): line[25:].split()[0] for line in Path(f"/proc/{child}/limits").read_text().splitlines()}
    status = dict(line.split(":", 1) for line in Path(f"/proc/{child}/status").read_text().splitlines())
    held = int(status["VmSize"].split()[0]) * 1024
    assert held < int(limits["Max address space"]) <= held + ImageLimits().sandbox_memory
    assert (limits["Max file size"], limits["Max core file size"]) == ("0", "0")
    assert Path(f"/proc/{child}/environ").read_bytes() == b"LC_ALL=C.UTF-8\0"


def test_plain_jpegs_need_no_child(intake: ImageIntake) -> None:
    before = children()
    out = io.BytesIO()
    Image.new("RGB", (50, 50)).save(out, "JPEG")
    intake.decode(out.getvalue())
    assert children() == before


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_died_is_replaced(intake: ImageIntake, child: int, signum: int) -> None:
    os.kill(child, signum)
    assert gone({child})
    assert intake.decode(png()).getpixel((3, 3)) == (10, 200, 30)


def test_a_child_that_hangs_is_killed_in_time(child: int, intake: ImageIntake) -> None:
    os.kill(child, signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(ImageError) as caught:
        intake.decode(png())
    assert (caught.value.reason, caught.value.transient) == ("decode_timeout", True)
    assert time.monotonic() - start < 5
    assert gone({child})
    assert intake.decode(png()).size == (50, 50)


def test_a_child_that_dies_of_a_picture_gives_a_reason(child: int, intake: ImageIntake) -> None:
    os.kill(child, signal.SIGSTOP)
    killer = threading.Timer(0.2, os.kill, (child, signal.SIGKILL))
    killer.start()
    with pytest.raises(ImageError) as caught:
        intake.decode(png())
    killer.join()
    assert caught.value.reason == "decoder_died"


def test_the_memory_limit_holds() -> None:
    """34 MB of pixels pass the estimate, and fail for real where only a little more is allowed."""
    raw = png(side=2_900)
    ample, narrow = ImageIntake(ImageLimits()), ImageIntake(ImageLimits(sandbox_memory=50_000_000))
    try:
        assert ample.decode(raw).size == (1_450, 1_450)
        with pytest.raises(ImageError) as caught:
            narrow.decode(raw)
        assert caught.value.reason in ("decode_memory", "decoder_died")
        assert narrow.decode(png()).size == (50, 50)
    finally:
        ample.close()
        narrow.close()


def test_threads_share_at_most_the_allowed_number_of_children(intake: ImageIntake) -> None:
    before = children()
    with ThreadPoolExecutor(6) as pool:
        images = list(pool.map(lambda level: intake.decode(png((level, 1, 2), side=200)), range(60)))
    assert [image.getpixel((9, 9)) for image in images] == [(level, 1, 2) for level in range(60)]
    assert 1 <= len(children() - before) <= ImageLimits().decoders


def _decode_in_child(intake: ImageIntake, pipe: Connection) -> None:
    image = intake.decode(png((1, 2, 3)))
    pipe.send((image.getpixel((0, 0)), children(os.getpid())))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_daemonic_process_uses_a_child_of_its_own(intake: ImageIntake, child: int) -> None:
    """Celery's prefork children are such: they may start no multiprocessing child, and they share their parent's files."""
    context = multiprocessing.get_context("fork")
    near, far = context.Pipe()
    process = context.Process(target=_decode_in_child, args=(intake, far), daemon=True)
    process.start()
    pixel, grandchildren = near.recv()
    process.join()
    assert (pixel, process.exitcode) == ((1, 2, 3), 0)
    assert len(grandchildren) == 1 and child not in grandchildren
    assert gone(grandchildren)
    assert alive(child)
    assert intake.decode(png()).getpixel((3, 3)) == (10, 200, 30)


SCRIPT = """
import io, os, sys, time
from PIL import Image
from hybrid_search.catalog.images import ImageIntake, ImageLimits
out = io.BytesIO()
Image.new("RGB", (9, 9)).save(out, "PNG")
intake = ImageIntake(ImageLimits())
intake.decode(out.getvalue())
forked = os.fork()
if not forked:
    time.sleep(60)
print(forked, flush=True)
time.sleep({seconds})
"""


@pytest.mark.parametrize("seconds", [0, 60])
def test_no_child_is_left_behind(seconds: int) -> None:
    """At a regular end as at ``kill -9``, even while a forked process lives on."""
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT.format(seconds=seconds)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    forked = int(parent.stdout.readline())
    try:
        if seconds:
            decoders = children(parent.pid) - {forked}
            assert len(decoders) == 1
            parent.kill()
            assert gone(decoders)
        assert parent.wait(20) == (-signal.SIGKILL if seconds else 0)
    finally:
        os.kill(forked, signal.SIGKILL)
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_an_intake_that_is_dropped_ends_its_child() -> None:
    before = children()
    intake = ImageIntake(ImageLimits())
    intake.decode(png())
    started = children() - before
    assert len(started) == 1
    del intake
    assert gone(started)
