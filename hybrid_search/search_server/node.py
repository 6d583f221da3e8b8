"""One server of our own: started on free loopback ports with data of its own, gone when its owner is."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from hybrid_search.errors import EngineUnavailable
from hybrid_search.search_server import launch
from hybrid_search.search_server.java import find_java
from hybrid_search.search_server.launch import NodePlan
from hybrid_search.search_server.products import Product, Release, release
from hybrid_search.search_server.progress import Progress, silent
from hybrid_search.search_server.provision import cache_folder, provision

START_SECONDS = 240.0
"""Patience with a start: 10 to 20 seconds on an idle machine, a minute where three start on two busy cores."""
STOP_SECONDS = 30.0
_NOBODY = 65_534
"""OpenSearch refuses to run as root; root hands its servers to this user."""
_GUARD = Path(__file__).with_name("guard.py")


class SearchServer:
    """A node that lives as long as ``owner`` does (a process id; 0: until ``close``). As a context manager it ends with the block.

    ``kill``, ``pause``, ``resume`` and ``restart`` do to it what happens to servers; data and ports stay the same.
    """

    def __init__(self, plan: NodePlan, *, owner: int) -> None:
        self.plan = plan
        self._owner = owner
        self._guard: subprocess.Popen[bytes] | None = None
        self.pid = 0
        """Process id of the node's JVM while it runs, else 0."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.plan.http_port}"

    @property
    def guard_pid(self) -> int:
        """Process to which SIGTERM ends the node and deletes its data, for whoever holds only numbers; 0 when it does not run."""
        return self._guard.pid if self._guard else 0

    @property
    def log(self) -> Path:
        """What it wrote."""
        return self.plan.folder / "logs" / "output.log"

    def __enter__(self) -> SearchServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Start it and wait until it answers, on the data and ports it had. Raises ``EngineUnavailable`` with the end of its log."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start the process without waiting until it answers."""
        launch.write_files(self.plan)
        uid = _NOBODY if os.geteuid() == 0 else -1
        if uid >= 0:
            launch.hand_over(self.plan.folder, uid)
            launch.hand_over(self.plan.repository, uid)
        guard = [sys.executable, "-I", "-S", str(_GUARD), str(self._owner), str(self.plan.scrap), str(uid)]
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                [*guard, *launch.command(self.plan)],
                cwd=self.plan.folder,
                env=launch.environment(self.plan),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C in the terminal is for the owner, who stops the server last.
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        with self._guard.stdout as told:
            self.pid = int(told.readline() or 0)

    def wait(self, *, nodes: int = 1) -> None:
        """Wait until it answers, every index has its primaries and ``nodes`` have met. Raises ``EngineUnavailable`` with the end of its log."""
        deadline = time.monotonic() + START_SECONDS
        while not self._healthy(nodes):
            ended = None if self._guard is None else self._guard.poll()
            if self._guard is None or ended is not None or time.monotonic() > deadline:
                what = f"did not answer within {START_SECONDS:.0f} s" if ended is None else f"ended with status {ended}"
                raise EngineUnavailable(
                    f"{self.plan.release.name} {what}; the end of its log:\n{self.last_words()}\n",
                    field="server",
                    value=self.url,
                    remedy=f"Free what it lacks, or set {self.plan.release.product.upper()}_URL to a server that runs.",
                )
            time.sleep(0.2)

    def _healthy(self, nodes: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.plan.http_port, timeout=10)
        try:
            connection.request("GET", f"/_cluster/health?wait_for_status=yellow&wait_for_nodes=>={nodes}&timeout=2s")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def last_words(self, lines: int = 25) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """End it as an operator would; its data stays. Safe to call twice."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would (kill -9); its data stays. Safe to call twice."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Make it hang: connections are taken, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused one go on."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Stop it and start it again on its data and ports."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it and delete its data. Safe to call twice."""
        self.kill()
        shutil.rmtree(self.plan.scrap, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._guard is None:
            return
        if self._guard.poll() is None:
            os.kill(self.pid, how)
            os.kill(self.pid, signal.SIGCONT)
        try:
            self._guard.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            self._guard.wait()
        self._guard, self.pid = None, 0


def start_node(
    product: Product,
    version: str | None = None,
    *,
    heap: str = "512m",
    fast_start: bool = True,
    settings: dict[str, str] | None = None,
    owner: int | None = None,
    kept: str | None = None,
    progress: Progress = silent,
) -> SearchServer:
    """A running single node, fetched first where need be.

    Args:
        heap: memory of its JVM, as Java writes it.
        fast_start: see ``NodePlan.fast_start``.
        settings: further settings of the node, as in its yml file.
        owner: process with which the node dies; by default this one, 0 for none.
        kept: name under which its data stays in the cache folder for the next start; by default it is thrown away.
        progress: told what is going on.

    Raises:
        SettingsError: it cannot be had here (``provision``).
        EngineUnavailable: it did not start; the message holds the end of its log.
    """
    wanted = release(product, version)
    home = provision(product, version, progress=progress)
    folder = node_folder()
    if kept is not None:
        settings = {**(settings or {}), "path.data": str(_kept_data(wanted, kept))}
    plan = NodePlan(
        release=wanted,
        home=home,
        java=find_java(wanted),
        folder=folder / "node-1",
        scrap=folder,
        repository=folder / "snapshots",
        http_port=free_port(),
        transport_port=free_port(),
        heap=heap,
        fast_start=fast_start,
        settings=settings or {},
    )
    server = SearchServer(plan, owner=os.getpid() if owner is None else owner)
    progress(f"{wanted.product} {wanted.version}: starting")
    try:
        server.start()
    except BaseException:
        server.close()
        raise
    return server


def _kept_data(wanted: Release, name: str) -> Path:
    """A folder for data that outlives its node, beside the servers: where their user may go."""
    folder = cache_folder().parent / "data" / f"{wanted.name}-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        launch.hand_over(folder, _NOBODY)
    return folder


def node_folder() -> Path:
    """A new temporary folder for nodes, which their user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="hybrid-search-node-"))
    folder.chmod(0o755)
    return folder


def free_port() -> int:
    """A port nobody listens on, below those that the system gives to outgoing connections."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise EngineUnavailable("None of 200 ports between 20000 and 32000 is free.", field="port", remedy="End what listens there.")
