"""Runs one server for as long as another process lives: ``python guard.py OWNER FOLDER UID COMMAND…``.

A server must not outlive its owner, whatever becomes of the owner: kill -9 leaves nobody to clean up. This small process watches OWNER (a
process id; 0 watches nobody) and is itself the server's parent; should it be killed too, the kernel ends the server (Linux). It has one
thread, because to the kernel the parent is the thread that made the child. When the owner is gone, or SIGTERM says that nobody needs the
server any more, it kills the server and deletes FOLDER. UID is the unprivileged user the server runs as, -1 for this one. The server's
process id is written to stdout, its output to stderr. Standard library only, no import of the package: it costs 12 MB.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time

_POLL_SECONDS = 0.3
_PR_SET_PDEATHSIG = 1


def main(owner: int, folder: str, uid: int, command: list[str]) -> int:
    """Run ``command`` until it ends by itself or ``owner`` does; its exit status, as a shell tells it."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    server = _start(command, uid)
    try:
        print(server.pid, flush=True)
        sys.stdout.close()
        _wait(owner, server)
        status = server.poll()
        if status is not None:
            return status if status >= 0 else 128 - status
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _start(command: list[str], uid: int) -> subprocess.Popen[bytes]:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def die_with_parent() -> None:
        # After the change of user, which would take it back.
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    if uid < 0:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, preexec_fn=die_with_parent)
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, preexec_fn=die_with_parent, user=uid, group=uid, extra_groups=[]
    )


def _wait(owner: int, server: subprocess.Popen[bytes]) -> None:
    """Until one of both is gone: without waking up where the kernel tells (Linux), else by looking now and then."""
    try:
        watched = [os.pidfd_open(pid) for pid in (server.pid, owner) if pid]
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        while server.poll() is None and (not owner or _alive(owner)):
            time.sleep(_POLL_SECONDS)
        return
    select.select(watched, [], [])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
