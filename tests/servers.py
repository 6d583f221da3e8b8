"""Pytest plugin: real search servers, one of each for a whole test session, whatever number of processes run it.

``opensearch_url`` and ``elasticsearch_url`` name a server that runs: the one in OPENSEARCH_URL or ELASTICSEARCH_URL when given, else one
of our own, started as soon as the collected tests show that somebody needs it and ended with the session. ``opensearch_cluster`` is three
nodes, started at its first use (keep its tests in one file: every pytest process would start its own). Tests share the servers: name your
indices with a prefix of your own and delete them.

A test belongs to a server when it uses one of these fixtures or is marked ``engine("opensearch")``; mark parameters whose fixture asks
for the server only by name. HYBRID_SEARCH_TEST_ENGINES (``make test ENGINES=embedded``) leaves whole engines out, which the report says.
A server that cannot be had fails its tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock

from hybrid_search.errors import HybridSearchError
from hybrid_search.search_server import Cluster, start_cluster

ENGINES = ("embedded", "opensearch", "elasticsearch")
SERVERS = ENGINES[1:]
_FIXTURES = {"opensearch": {"opensearch_url", "opensearch_cluster"}, "elasticsearch": {"elasticsearch_url"}}
_PATIENCE_SECONDS = 280.0
_ROOT = Path(__file__).resolve().parents[1]

_owner = pytest.StashKey[int]()
_folder = pytest.StashKey[Path]()
_starters = pytest.StashKey[dict[int, "subprocess.Popen[bytes]"]]()
_left_out = pytest.StashKey[dict[str, int]]()


def chosen_engines() -> tuple[str, ...]:
    """The engines that are tested. Raises ``pytest.UsageError`` for one that does not exist."""
    named = [name.strip() for name in os.environ.get("HYBRID_SEARCH_TEST_ENGINES", ",".join(ENGINES)).split(",") if name.strip()]
    if unknown := set(named) - set(ENGINES):
        raise pytest.UsageError(f"HYBRID_SEARCH_TEST_ENGINES names {', '.join(sorted(unknown))}; it may name {', '.join(ENGINES)}.")
    return tuple(named)


def given_url(product: str) -> str:
    """URL of a server that the user brought along, or empty."""
    return os.environ.get(f"{product.upper()}_URL", "")


def engines_of(item: pytest.Item) -> set[str]:
    """The server engines that a test needs."""
    marked = {name for mark in item.iter_markers("engine") for name in mark.args}
    used = set(getattr(item, "fixturenames", ()))
    return {name for name in SERVERS if name in marked or used & _FIXTURES[name]}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "engine(*names): needs these engines; left out with them (tests/servers.py)")
    config.stash[_left_out] = {}
    config.stash[_starters] = {}
    chosen_engines()
    # A process of pytest-xdist shares what the process that started it made.
    if worker := getattr(config, "workerinput", None):
        config.stash[_owner], config.stash[_folder] = worker["servers_owner"], Path(worker["servers_folder"])
    else:
        config.stash[_owner], config.stash[_folder] = os.getpid(), Path(tempfile.mkdtemp(prefix="hybrid-search-tests-"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    config: pytest.Config = node.config  # type: ignore[attr-defined]
    shared = {"servers_owner": config.stash[_owner], "servers_folder": str(config.stash[_folder])}
    node.workerinput.update(shared)  # type: ignore[attr-defined]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = set(chosen_engines())
    out = [item for item in items if engines_of(item) - chosen]
    if out:
        items[:] = [item for item in items if not engines_of(item) - chosen]
        config.hook.pytest_deselected(items=out)
    for item in out:
        for name in engines_of(item) - chosen:
            config.stash[_left_out][name] = config.stash[_left_out].get(name, 0) + 1


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly:
        for product in SERVERS:
            if any(f"{product}_url" in getattr(item, "fixturenames", ()) or _marked(item, product) for item in session.items):
                request_server(session.config, product)


def _marked(item: pytest.Item, product: str) -> bool:
    return any(product in mark.args for mark in item.iter_markers("engine"))


def request_server(config: pytest.Config, product: str) -> None:
    """Begin to start the server of this session, unless one was given or it was begun before."""
    folder = config.stash[_folder]
    if given_url(product):
        return
    with FileLock(folder / "lock"):
        begun = folder / f"{product}.pid"
        if not begun.exists():
            with (folder / f"{product}.log").open("wb") as log:
                command = [sys.executable, "-m", "tests.start_server", product, str(config.stash[_owner]), str(folder / f"{product}.json")]
                starter = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            config.stash[_starters][starter.pid] = starter
            begun.write_text(str(starter.pid))


def server_url(config: pytest.Config, product: str) -> str:
    """The running server's URL; fails the test when there is none, saying why and what would help."""
    if product not in chosen_engines():
        pytest.fail(f"HYBRID_SEARCH_TEST_ENGINES leaves {product} out; mark this test engine({product!r}).", pytrace=False)
    if url := given_url(product):
        return url
    request_server(config, product)
    folder = config.stash[_folder]
    state, starter = folder / f"{product}.json", int((folder / f"{product}.pid").read_text())
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not state.exists():
        if time.monotonic() > deadline or not _runs(config, starter):
            if state.exists():
                break
            pytest.fail(f"{product} could not be started: {(folder / f'{product}.log').read_text()[-2_000:]}", pytrace=False)
        time.sleep(0.1)
    told = json.loads(state.read_text())
    if "error" in told:
        pytest.fail(f"{told['error']}\nOr leave it out: make test ENGINES=embedded", pytrace=False)
    return str(told["url"])


def _runs(config: pytest.Config, pid: int) -> bool:
    """Whether the process that starts a server, ours or that of another pytest process, still does."""
    if starter := config.stash[_starters].get(pid):
        return starter.poll() is None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="session")
def opensearch_url(request: pytest.FixtureRequest) -> str:
    """URL of a running OpenSearch with k-NN, shared by all tests of the session."""
    return server_url(request.config, "opensearch")


@pytest.fixture(scope="session")
def elasticsearch_url(request: pytest.FixtureRequest) -> str:
    """URL of a running Elasticsearch, shared by all tests of the session."""
    return server_url(request.config, "elasticsearch")


@pytest.fixture(scope="session")
def opensearch_cluster() -> Iterator[Cluster]:
    """Three OpenSearch nodes that tests may kill and pause; put them back as they were."""
    try:
        cluster = start_cluster(3)
    except HybridSearchError as error:
        pytest.fail(f"{error}\nOr leave it out: make test ENGINES=embedded", pytrace=False)
    with cluster:
        yield cluster


def pytest_sessionfinish(session: pytest.Session) -> None:
    if output := getattr(session.config, "workeroutput", None):
        output["left_out"] = session.config.stash[_left_out]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    config: pytest.Config = node.config  # type: ignore[attr-defined]
    # Every process collects the same tests.
    config.stash[_left_out].update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, count in sorted(config.stash[_left_out].items()):
        terminalreporter.write_line(f"{name} was left out by HYBRID_SEARCH_TEST_ENGINES: {count} tests deselected", yellow=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or _folder not in config.stash:
        return
    folder = config.stash[_folder]
    for product in SERVERS:
        begun, state = folder / f"{product}.pid", folder / f"{product}.json"
        if begun.exists() and _runs(config, pid := int(begun.read_text())):
            # Still on its way: what it has launched ends with this process.
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        if state.exists() and (guard := json.loads(state.read_text()).get("guard")):
            with suppress(ProcessLookupError):
                os.kill(guard, signal.SIGTERM)
    for starter in config.stash[_starters].values():
        starter.wait()
    shutil.rmtree(folder)
