"""The manifest: one small file that names everything a generation consists of, replaced in one step.

What a manifest names is on disk and never changes (append-only files count up to the sizes it names), so whoever reads a manifest
sees one state of the store across words, columns and vectors. Files that the newest manifest does not name are removed by the indexer
after a while; readers that have them mapped keep them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from hybrid_search.engines.embedded.vector_files import SUFFIXES, SpaceFiles

FORMAT = 2  # 2: stems of Snowball 2
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A text segment: its file is ``<name>.text``."""

    name: str
    number: int
    docs: int
    postings: int


@dataclass(frozen=True, slots=True)
class ColumnFiles:
    """Change records of the columns: all of ``<base>.lines``, then the first ``size`` bytes of ``<log>.lines``.

    Whoever has applied the first ``earlier_size`` bytes of the log called ``earlier`` has all of the base: no need to read it.
    """

    base: str
    base_lines: int
    log: str
    size: int
    lines: int
    earlier: str = ""
    earlier_size: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """``store`` is the random name of the store it was derived from, ``seq`` the last change it holds, ``slots`` the number of rows."""

    store: str
    seq: int
    slots: int
    number: int
    text: tuple[SegmentFile, ...]
    columns: ColumnFiles
    spaces: Mapping[str, SpaceFiles] = field(default_factory=dict)
    format: int = FORMAT

    def stems(self) -> set[str]:
        """Names without suffix of all files that belong to it."""
        named = {segment.name for segment in self.text} | {space.name for space in self.spaces.values()}
        return named | {self.columns.base, self.columns.log}

    def paths(self) -> set[str]:
        """Names of the files that must be there."""
        vectors = {f"{space.name}{suffix}" for space in self.spaces.values() if space.rows for suffix in SUFFIXES[space.dtype]}
        columns = {f"{self.columns.base}.lines", f"{self.columns.log}.lines"}
        return {f"{segment.name}.text" for segment in self.text} | columns | vectors


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make ``manifest`` the current one, whole or not at all."""
    fresh = folder / f"{MANIFEST}.new"
    with fresh.open("wb") as file:
        file.write(orjson.dumps(asdict(manifest)))
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest | None:
    """The current one; ``None`` where there is none, or one that this code does not read (it is then built anew)."""
    try:
        body = orjson.loads((folder / MANIFEST).read_bytes())
        if body["format"] != FORMAT:
            return None
        return Manifest(
            store=body["store"],
            seq=body["seq"],
            slots=body["slots"],
            number=body["number"],
            text=tuple(SegmentFile(**segment) for segment in body["text"]),
            columns=ColumnFiles(**body["columns"]),
            spaces={key: SpaceFiles(**space) for key, space in body["spaces"].items()},
        )
    except (FileNotFoundError, NotADirectoryError, KeyError, TypeError, ValueError):
        return None
