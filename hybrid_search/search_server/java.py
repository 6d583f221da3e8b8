"""Finds a Java development kit that a server runs on."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from hybrid_search.errors import SettingsError
from hybrid_search.search_server.products import Product, Release

FOLDERS = (
    "/usr/lib/jvm",
    "/usr/java",
    "/opt/java",
    "/opt/jdk",
    "/Library/Java/JavaVirtualMachines",
    "~/.sdkman/candidates/java",
    "~/.jdks",
)


def find_java(release: Release) -> Path:
    """Home of the newest kit that suits ``release``. Raises ``SettingsError`` naming what would help when there is none."""
    suitable = {home: major for home, major in installed_kits().items() if major in release.java}
    if not suitable:
        found = ", ".join(str(major) for major in sorted(set(installed_kits().values()))) or "none"
        raise SettingsError(
            f"{release.product} {release.version} needs a Java development kit, version {wanted(release)}; found: {found}.",
            field="JAVA_HOME",
            value=os.environ.get("JAVA_HOME"),
            remedy=remedy(release.product),
        )
    return max(suitable, key=lambda home: suitable[home])


def installed_kits() -> dict[Path, int]:
    """Homes of the kits on this machine (with ``javac``) and their major versions: JAVA_HOME, the PATH, the usual folders."""
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    if compiler := shutil.which("javac"):
        homes.append(Path(compiler).resolve().parents[1])
    for folder in FOLDERS:
        for home in sorted(Path(folder).expanduser().glob("*")):
            homes += [home, home / "Contents" / "Home"]
    kits = {home.resolve(): _major(home) for home in homes if (home / "bin" / "javac").is_file()}
    return {home: major for home, major in kits.items() if major}


def _major(home: Path) -> int:
    """Major version as the kit's ``release`` file tells it, or 0."""
    try:
        found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', (home / "release").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def wanted(release: Release) -> str:
    """The versions of Java that suit, in words."""
    return f"{release.java.start} or newer" if release.java.stop >= 100 else f"{release.java.start} to {release.java.stop - 1}"


def remedy(product: Product) -> str:
    """What helps whoever cannot start the server."""
    return (
        "Install Java and Maven (on Debian and Ubuntu scripts/install_servers.sh does), or start the server with a Docker engine "
        f"(`docker compose up {product}`) or elsewhere and set {product.upper()}_URL to it."
    )
