"""Fetches a server once into the user's cache folder. Only Maven is asked, by name, with the user's own settings."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from hybrid_search.errors import SettingsError
from hybrid_search.search_server.java import find_java, remedy
from hybrid_search.search_server.products import Product, Release, release
from hybrid_search.search_server.progress import Progress, silent
from hybrid_search.search_server.unpack import compile_runner, unpack

_MAVEN_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get"


def cache_folder() -> Path:
    """Folder of the servers: under XDG_CACHE_HOME or ~/.cache; where that is closed to the servers' own user (root's), under /var/cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    if os.geteuid() == 0 and not all(folder.stat().st_mode & 0o001 for folder in (base, *base.parents) if folder.exists()):
        base = Path("/var/cache")
    return base / "hybrid-search" / "servers"


def provision(product: Product, version: str | None = None, *, progress: Progress = silent) -> Path:
    """Home folder of a server, fetched and unpacked when it is not there yet.

    Two processes never do it twice: the second waits for the first. What was broken off is begun anew.

    Raises:
        SettingsError: the version is unknown, Java or Maven is missing, or Maven could not fetch it.
    """
    wanted = release(product, version)
    home = cache_folder() / wanted.name
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_name(f"{wanted.name}.lock")):
        if not home.is_dir():
            _fetch_and_unpack(wanted, home, progress)
        if product == "elasticsearch":
            compile_runner(home, find_java(wanted))
    return home


def is_provisioned(product: Product, version: str | None = None) -> bool:
    """Whether the server is there already."""
    return (cache_folder() / release(product, version).name).is_dir()


def _fetch_and_unpack(wanted: Release, home: Path, progress: Progress) -> None:
    java = find_java(wanted)
    with _scratch(home) as scratch:
        archives = [fetch(coordinates, scratch / "maven", wanted, progress) for coordinates in wanted.artifacts]
        progress(f"{wanted.product} {wanted.version}: unpacking")
        unpack(wanted, archives, scratch / "home", java)
        (scratch / "home").rename(home)


@contextmanager
def _scratch(home: Path) -> Iterator[Path]:
    """A folder beside the final one, so that the last step is one rename; left-overs of a killed process go first."""
    for left in home.parent.glob(f".{home.name}-*"):
        shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def fetch(coordinates: str, repository: Path, wanted: Release, progress: Progress = silent) -> Path:
    """One artifact by Maven into a local ``repository`` of its own, which the caller deletes. Raises ``SettingsError``."""
    maven = shutil.which("mvn")
    if maven is None:
        raise SettingsError(
            f"Maven, which fetches {wanted.product} {wanted.version}, is not on the PATH.", field="PATH", remedy=remedy(wanted.product)
        )
    group, artifact, version, kind = coordinates.split(":")
    options = [f"-Dmaven.repo.local={repository}", "-Dtransitive=false", f"-Dartifact={coordinates}"]
    with tempfile.TemporaryFile("w+") as log:
        command = [maven, "-B", "-ntp", "-q", _MAVEN_PLUGIN, *options]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            _watch(process, repository, wanted, progress)
        finally:
            # `mvn` is a script: the JVM it started is to end with it.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        log.seek(0)
        said = [line for line in log.read().splitlines() if line.strip()]
    archive = repository / Path(*group.split(".")) / artifact / version / f"{artifact}-{version}.{kind}"
    if process.returncode or not zipfile.is_zipfile(archive):
        # The first line says what failed, the rest is Maven's advice.
        raise SettingsError(
            f"Maven could not fetch {coordinates}: {''.join(said[:1]) or 'it said nothing.'}",
            field="artifact",
            value=coordinates,
            remedy=remedy(wanted.product),
        )
    return archive


def _watch(process: subprocess.Popen[bytes], repository: Path, wanted: Release, progress: Progress) -> None:
    """Wait for Maven and tell how much it has written so far."""
    told = time.monotonic()
    while True:
        try:
            process.wait(0.2)
            return
        except subprocess.TimeoutExpired:
            if time.monotonic() - told > 1:
                told = time.monotonic()
                # Maven keeps a zip under the final name with a suffix until it is whole.
                megabytes = sum(_size(path) for path in repository.rglob("*.zip*")) / 1e6
                share = min(0.99, megabytes / wanted.download_mb)
                progress(f"{wanted.product} {wanted.version}: fetching {wanted.download_mb} MB", share)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
