"""Where a catalogue's pictures lie: local names become paths inside the catalogue's folder, anything that leads out of it is refused."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

_REMOTE = ("http://", "https://", "data:")
_OTHER_SCHEMES = ("file:", "ftp:", "ftps:", "gopher:", "jar:", "javascript:", "s3:", "gs:")


def is_remote(image: str) -> bool:
    """Whether ``image`` is an http(s) URL or a data URL rather than a local path."""
    return image[:8].lower().startswith(_REMOTE)


@dataclass(slots=True)
class PictureFolder:
    """Resolves image names against a catalogue's folder, or against ``base`` (an http(s) URL prefix, or a folder inside the catalogue's).

    A name is looked up in the folder, then in its ``images/``. Real folders are remembered, so that a row costs one ``lstat`` per name.
    """

    folder: Path
    base: str = ""
    _root: str = field(init=False)
    _places: tuple[str, ...] = field(init=False)
    _inside: dict[str, bool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._root = os.path.realpath(self.folder)
        starts = (os.path.join(self._root, self.base.strip("/")),) if self.base and not is_remote(self.base) else ()
        self._places = (*starts, self._root, os.path.join(self._root, "images"))

    def resolve(self, image: str) -> tuple[str, bool]:
        """The absolute path (or the URL) of ``image`` and whether it is there; a URL counts as there.

        A name that is not found keeps its path in the catalogue's folder, for whoever opens it to report.

        Raises:
            ValueError: the path leads out of the catalogue's folder, by ``..``, as an absolute path or through a link; or the scheme is not http(s).
        """
        if is_remote(image):
            return image, True
        if "\0" in image:
            raise ValueError("holds a NUL byte")
        if image.lower().startswith(_OTHER_SCHEMES):
            raise ValueError("must be a path in the catalogue's folder, an http(s) URL or a data URL")
        if is_remote(self.base):
            return f"{self.base.rstrip('/')}/{image.lstrip('/')}", True
        if image.startswith("/") and not self.base and not image.startswith(self._root + os.sep):
            raise ValueError("is an absolute path: name pictures relative to the catalogue's folder")
        name = image if image.startswith(self._root + os.sep) else image.lstrip("/")
        for place in self._places:
            path = os.path.normpath(os.path.join(place, name))
            if not path.startswith(self._root + os.sep):
                raise ValueError("leads out of the catalogue's folder")
            if self._is_file(path):
                return path, True
        return os.path.normpath(os.path.join(self._root, name)), False

    def _is_file(self, path: str) -> bool:
        parent = os.path.dirname(path)
        inside = self._inside.get(parent)
        if inside is None:
            real = os.path.realpath(parent)
            inside = self._inside[parent] = real == self._root or real.startswith(self._root + os.sep)
        try:
            mode = os.lstat(path).st_mode
        except (OSError, ValueError):
            return False
        if not inside or (stat.S_ISLNK(mode) and not os.path.realpath(path).startswith(self._root + os.sep)):
            raise ValueError("leads out of the catalogue's folder through a link")
        return stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and os.path.isfile(path))
