"""Pictures that shoppers bring to the search page: kept small and without metadata for a day, so that an address can name them.

The name is the hash of the kept picture: who does not have the picture cannot guess it.
"""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path

from flask import Blueprint, Response, redirect, request, url_for

from hybrid_search.api.context import json_response, services
from hybrid_search.api.operations import page
from hybrid_search.api.problems import Problem
from hybrid_search.api.thumbnails import keep

blueprint = Blueprint("pictures", __name__, url_prefix="/pictures")

SIDE = 768
MAX_KEPT = 1_000
MAX_AGE = 24 * 3_600
_NAME = re.compile(r"[0-9a-f]{32}")


def folder() -> Path:
    """Where they are."""
    return services().settings.home / "query-pictures"


def picture_path(name: str) -> Path | None:
    """The file of a kept picture, ``None`` when there is none of that name (any more)."""
    path = folder() / f"{name}.webp"
    return path if _NAME.fullmatch(name) and path.is_file() else None


@blueprint.post("")
@page("search")
def bring_picture() -> Response:
    """Keep an uploaded picture. Answers JSON to scripts, a redirect to the results to a plain form."""
    file = request.files.get("picture")
    content = file.stream.read() if file else b""
    if not content:
        raise Problem(422, "There is no picture in the form.", field="picture", remedy="Choose a JPEG, PNG, WEBP, GIF or AVIF file.")
    small = services().intake.thumbnail(content, SIDE)
    name = hashlib.blake2b(small, digest_size=16).hexdigest()
    _forget_old(folder())
    keep(folder() / f"{name}.webp", small)
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        return json_response({"picture": name, "url": url_for("pictures.brought_picture", name=name)}, 201)
    return redirect(url_for("page.search_page", picture=name, q=request.form.get("q") or None), 303)  # type: ignore[return-value]


@blueprint.get("/<name>")
@page("search")
def brought_picture(name: str) -> Response:
    """A kept picture, for its preview."""
    path = picture_path(name)
    if path is None:
        raise Problem(404, "This picture is no longer here.", field="picture", value=name, remedy="Bring it again.")
    return Response(path.read_bytes(), content_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})


def _forget_old(kept: Path) -> None:
    """Pictures over a day old go, and the oldest ones beyond a thousand."""
    if not kept.is_dir():
        return
    ages: list[tuple[float, Path]] = []
    for path in kept.glob("*.webp"):
        try:
            ages.append((path.stat().st_mtime, path))
        except FileNotFoundError:  # another process was faster
            continue
    ages.sort(reverse=True)
    oldest = time.time() - MAX_AGE
    for number, (modified, path) in enumerate(ages):
        if number >= MAX_KEPT - 1 or modified < oldest:
            path.unlink(missing_ok=True)
