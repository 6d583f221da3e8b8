"""Small files beside the store: the processes of an embedded engine share its folder anyway."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import quote


def write_blob(folder: Path, name: str, content: bytes) -> None:
    """``Blobs.write_blob``. Raises ``OSError`` when the disk refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{os.getpid()}-{secrets.token_hex(4)}"
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, folder / quote(name, safe=""))


def read_blob(folder: Path, name: str) -> bytes | None:
    """``Blobs.read_blob``."""
    try:
        return (folder / quote(name, safe="")).read_bytes()
    except FileNotFoundError:
        return None
