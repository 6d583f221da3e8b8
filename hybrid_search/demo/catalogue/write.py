"""Writes the demo catalogue: draws its pictures and lists its products."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import orjson
from PIL import Image

from hybrid_search.demo.catalogue.canvas import SIZE, Canvas
from hybrid_search.demo.catalogue.plan import Planned, plan
from hybrid_search.demo.catalogue.textures import patterned

VERSION = 1
"""Raised whenever the drawings or the words change, so that an older copy is drawn anew."""
STAMP = "catalogue.json"
_QUALITY = 85


def write_demo_catalogue(folder: Path, *, seed: int = 7, progress: Callable[[int, int], None] | None = None) -> int:
    """Writes ``products.jsonl`` and ``images/`` into ``folder`` and returns the number of products.

    The same seed gives the same catalogue. A second call does nothing, and one after an interruption draws what is missing:
    the stamp says which version and seed the pictures are of, and no picture is ever there in part.

    Args:
        folder: made if absent.
        seed: picks colours, patterns and words.
        progress: called with the number of products done and their total.
    """
    products = list(plan(seed))
    stamp = orjson.dumps({"version": VERSION, "seed": seed}) + b"\n"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    current = _read(folder / STAMP) == stamp
    if not current:
        _write(folder / STAMP, stamp)
    drawn: set[str] = set()
    for done, product in enumerate(products):
        if progress:
            progress(done, len(products))
        _draw(product, folder, drawn, keep=current)
    listing = b"".join(orjson.dumps(product.record) + b"\n" for product in products)
    if _read(folder / "products.jsonl") != listing:
        _write(folder / "products.jsonl", listing)
    if progress:
        progress(len(products), len(products))
    return len(products)


def _draw(product: Planned, folder: Path, drawn: set[str], *, keep: bool) -> None:
    """Draws the pictures of a product that are not yet there; variants in several sizes share one."""
    wanted = [(name, view) for name, view in product.pictures if name not in drawn and not (keep and (folder / name).is_file())]
    drawn.update(name for name, _ in product.pictures)
    if not wanted:
        return
    canvas = Canvas(product.tint, floor=product.kind.floor)
    product.kind.draw(canvas, product.look)
    for name, view in wanted:
        picture = io.BytesIO()
        _view(canvas, product, view).save(picture, "JPEG", quality=_QUALITY, optimize=True)
        _write(folder / name, picture.getvalue())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _write(path: Path, content: bytes) -> None:
    """The file appears in one piece."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _view(canvas: Canvas, product: Planned, view: str) -> Image.Image:
    if view == "main":
        return canvas.finish()
    if view == "swatch":
        look = product.look
        texture = patterned(look.pattern, look.colour, look.accent, grain=look.grain, seed=look.seed, size=1.5)
        return texture(SIZE * 2, SIZE * 2, SIZE * 2 / 1000).reduce(2)
    k = canvas.image.width / 1000
    if view == "detail":
        x, y, width = (value * k for value in product.kind.detail)
        box = (int(x - width / 2), int(y - width / 2), int(x + width / 2), int(y + width / 2))
    else:
        box = (int(60 * k), int(60 * k), int(940 * k), int(940 * k))
    part = canvas.image.crop(box).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    return part if view == "detail" else part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
