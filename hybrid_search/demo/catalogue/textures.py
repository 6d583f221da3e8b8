"""Patterns and materials as textures: functions of width, height and scale that give an RGB image."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from hybrid_search.demo.catalogue.canvas import Colour, Texture, mixed, shaded

Inks = tuple[Colour, Colour]
Painter = Callable[[ImageDraw.ImageDraw, int, int, float, Inks, random.Random], None]
"""Paints onto a ground of the first ink with the second; width, height and pixels per unit come before."""


def patterned(pattern: str, ground: Colour, accent: Colour, *, grain: str = "", seed: int = 0, size: float = 1.0) -> Texture:
    """A texture of ``pattern`` (one of ``PATTERNS``) in two colours, with the ``grain`` of a material (one of ``GRAINS``, "" is smooth).

    ``size`` scales the pattern. The same arguments give the same picture.
    """

    def texture(width: int, height: int, scale: float) -> Image.Image:
        surface = Image.new("RGB", (width, height), ground)
        paint = PATTERNS[pattern]
        if paint is not None:
            paint(ImageDraw.Draw(surface), width, height, scale * size, (ground, accent), random.Random(seed))
        if grain:
            tile = _grain(grain)
            surface = ImageChops.multiply(
                surface, tile.crop((0, 0, width, height)) if width <= tile.width and height <= tile.height else tile.resize((width, height))
            )
        return surface

    return texture


def _stripes(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    accent = inks[1]
    step = 62 * k
    for i in range(int(h / step) + 2):
        draw.rectangle((0, (i + 0.3) * step, w, (i + 0.74) * step), fill=accent)


def _pinstripes(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    accent = inks[1]
    step = 38 * k
    for i in range(int(w / step) + 2):
        draw.rectangle(((i + 0.4) * step, 0, (i + 0.58) * step, h), fill=accent)


def _dots(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    accent = inks[1]
    step, r = 58 * k, 15 * k
    for row in range(int(h / (step * 0.866)) + 2):
        for column in range(int(w / step) + 2):
            x, y = (column + 0.5 * (row % 2)) * step, row * step * 0.866
            draw.ellipse((x - r, y - r, x + r, y + r), fill=accent)


def _check(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    accent = inks[1]
    step = 64 * k
    half = mixed(*inks, 0.5)
    for i in range(int(w / step) + 1):
        draw.rectangle((i * step, 0, (i + 0.5) * step, h), fill=half)
    for j in range(int(h / step) + 1):
        draw.rectangle((0, j * step, w, (j + 0.5) * step), fill=half)
        for i in range(int(w / step) + 1):
            draw.rectangle((i * step, j * step, (i + 0.5) * step, (j + 0.5) * step), fill=accent)


def _chevron(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    accent = inks[1]
    step, tooth = 78 * k, 46 * k
    for row in range(-1, int(h / step) + 2):
        points = [(i * tooth, row * step + (tooth if i % 2 else 0)) for i in range(int(w / tooth) + 2)]
        draw.line(points, fill=accent, width=max(2, int(26 * k)), joint="curve")


def _floral(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    accent = inks[1]
    leaf, heart = (104, 138, 96), shaded(accent, 1.65)
    for x, y in _scatter(w, h, 108 * k, rng):
        turn, r = rng.random() * 6.3, (22 + 10 * rng.random()) * k
        for petal in (1.2, 3.4):
            px, py = x + r * 1.6 * math.cos(turn + petal), y + r * 1.6 * math.sin(turn + petal)
            draw.ellipse((px - r * 0.6, py - r * 0.35, px + r * 0.6, py + r * 0.35), fill=leaf)
        for petal in range(5):
            a = turn + petal * 1.2566
            px, py = x + r * 0.72 * math.cos(a), y + r * 0.72 * math.sin(a)
            draw.ellipse((px - r * 0.55, py - r * 0.55, px + r * 0.55, py + r * 0.55), fill=accent)
        draw.ellipse((x - r * 0.34, y - r * 0.34, x + r * 0.34, y + r * 0.34), fill=heart)


def _leaves(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    for x, y in _scatter(w, h, 118 * k, rng):
        turn, length = rng.random() * 6.3, (58 + 16 * rng.random()) * k
        dx, dy = math.cos(turn), math.sin(turn)
        draw.line(
            ((x - dx * length / 2, y - dy * length / 2), (x + dx * length / 2, y + dy * length / 2)), fill=inks[1], width=max(2, int(3 * k))
        )
        for i, share in enumerate((-0.3, -0.05, 0.2, 0.45)):
            size = (19 - 2.2 * i) * k
            for side in (-0.95, 0.95) if share < 0.45 else (0.0,):
                _leaf(draw, x + dx * length * share, y + dy * length * share, turn + side, size, inks[1])


def _leaf(draw: ImageDraw.ImageDraw, x: float, y: float, turn: float, size: float, colour: Colour) -> None:
    """A pointed leaf that starts at (x, y)."""
    c, s = math.cos(turn), math.sin(turn)
    shape = ((0, 0), (0.35, -0.3), (0.8, -0.34), (1.3, -0.2), (1.7, 0), (1.3, 0.2), (0.8, 0.34), (0.35, 0.3))
    draw.polygon([(x + size * (u * c - v * s), y + size * (u * s + v * c)) for u, v in shape], fill=colour)


def _terrazzo(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    accent = inks[1]
    colours = (accent, shaded(accent, 0.65), shaded(accent, 1.5), (222, 178, 130))
    for x, y in _scatter(w, h, 40 * k, rng):
        r = (7 + 12 * rng.random()) * k
        turn = rng.random() * 6.3
        corners = [(x + r * (0.6 + 0.6 * rng.random()) * math.cos(turn + i * 1.26), y + r * math.sin(turn + i * 1.26)) for i in range(5)]
        draw.polygon(corners, fill=colours[rng.randrange(4)])


def _geometric(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    accent = inks[1]
    step = 96 * k
    other = shaded(accent, 1.45)
    for row in range(int(h / step) + 2):
        for column in range(int(w / step) + 2):
            x, y = column * step, row * step
            draw.polygon(((x, y - step / 2), (x + step / 2, y), (x, y + step / 2), (x - step / 2, y)), fill=accent)
            draw.polygon(((x, y - step / 4), (x + step / 4, y), (x, y + step / 4), (x - step / 4, y)), fill=other)


def _ombre(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    for y in range(h):
        draw.line(((0, y), (w, y)), fill=mixed(*inks, max(0.0, min(1.0, (y / h - 0.25) / 0.6))))


def _block(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    accent = inks[1]
    draw.rectangle((0, int(h * 0.56), w, h), fill=accent)


def _stars(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    accent = inks[1]
    for x, y in _scatter(w, h, 84 * k, rng):
        r = (14 + 10 * rng.random()) * k
        points = [((r if i % 2 == 0 else r * 0.42), i * math.pi / 5 - math.pi / 2) for i in range(10)]
        draw.polygon([(x + q * math.cos(a), y + q * math.sin(a)) for q, a in points], fill=accent)


def _speckle(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    accent = inks[1]
    for x, y in _scatter(w, h, 26 * k, rng):
        r = (1.5 + 3.2 * rng.random() ** 2) * k
        draw.ellipse((x - r, y - r, x + r, y + r), fill=accent)


def _waves(draw: ImageDraw.ImageDraw, w: int, h: int, k: float, inks: Inks, rng: random.Random) -> None:
    accent = inks[1]
    step = 58 * k
    for row in range(-1, int(h / step) + 2):
        points = [(x, row * step + 15 * k * math.sin(x / (24 * k))) for x in range(0, w + 12, 6)]
        draw.line(points, fill=accent, width=max(2, int(15 * k)), joint="curve")


PATTERNS: dict[str, Painter | None] = {
    "plain": None,
    "striped": _stripes,
    "pinstriped": _pinstripes,
    "dotted": _dots,
    "checked": _check,
    "chevron": _chevron,
    "floral": _floral,
    "leaf": _leaves,
    "terrazzo": _terrazzo,
    "geometric": _geometric,
    "ombre": _ombre,
    "two-tone": _block,
    "star": _stars,
    "speckled": _speckle,
    "wave": _waves,
}


def _scatter(w: int, h: int, step: float, rng: random.Random) -> list[tuple[float, float]]:
    """Points about ``step`` apart, shaken off a grid."""
    return [
        ((column + 0.5 * (row % 2) + 0.6 * (rng.random() - 0.5)) * step, (row + 0.6 * (rng.random() - 0.5)) * step)
        for row in range(int(h / step) + 2)
        for column in range(int(w / step) + 2)
    ]


@functools.cache
def _grain(name: str) -> Image.Image:
    """A 1200 × 1200 veil to multiply with."""
    return Image.merge("RGB", [Image.fromarray(np.clip(GRAINS[name](1200, np.random.default_rng(11)), 0, 255).astype(np.uint8))] * 3)


_Field = npt.NDArray[np.float64]


def _places(size: int) -> tuple[_Field, _Field]:
    """Row and column number of every pixel."""
    v, u = np.mgrid[0:size, 0:size].astype(np.float64)
    return v, u


def _noise(size: int, rng: np.random.Generator, cells: tuple[int, int]) -> _Field:
    """Smooth noise in [0, 1] from a grid of ``cells`` (rows, columns)."""
    small = Image.fromarray((rng.random(cells) * 255).astype(np.uint8))
    field: _Field = np.asarray(small.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64)
    return np.divide(field, 255)


def _fabric(size: int, rng: np.random.Generator) -> _Field:
    v, u = _places(size)
    weave: _Field = 3 * np.sin(u * 1.05) + 3 * np.sin(v * 1.05)
    return 244 + weave + 12 * (_noise(size, rng, (300, 300)) - 0.5) + 10 * (_noise(size, rng, (14, 14)) - 0.5)


def _knit(size: int, rng: np.random.Generator) -> _Field:
    v, u = _places(size)
    rows: _Field = np.abs(np.sin(v * 0.22 + 1.2 * np.abs(np.sin(u * 0.11))))
    return 232 + 20 * rows + 8 * (_noise(size, rng, (200, 200)) - 0.5)


def _leather(size: int, rng: np.random.Generator) -> _Field:
    field = np.asarray(
        Image.fromarray((rng.random((size, size)) * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2.2)), dtype=np.float64
    )
    hide: _Field = field - field.mean()
    return 240 + 1.1 * hide + 22 * (_noise(size, rng, (9, 9)) - 0.5)


def _wood(size: int, rng: np.random.Generator) -> _Field:
    rings = _noise(size, rng, (5, 60)) * 9 + _noise(size, rng, (20, 9)) * 2
    return 226 + 26 * np.sin(rings * 6.3) + 12 * (_noise(size, rng, (40, 500)) - 0.5)


def _brushed(size: int, rng: np.random.Generator) -> _Field:
    return 238 + 22 * (_noise(size, rng, (700, 6)) - 0.5) + 10 * (_noise(size, rng, (40, 4)) - 0.5)


def _clay(size: int, rng: np.random.Generator) -> _Field:
    return 244 + 12 * (_noise(size, rng, (160, 60)) - 0.5) + 14 * (_noise(size, rng, (30, 3)) - 0.5)


def _straw(size: int, rng: np.random.Generator) -> _Field:
    v, u = _places(size)
    plait: _Field = np.sin((u + v) * 0.3) * np.sin((u - v) * 0.3)
    return 226 + 18 * plait + 18 * (_noise(size, rng, (240, 240)) - 0.5)


def _pile(size: int, rng: np.random.Generator) -> _Field:
    return 232 + 46 * (_noise(size, rng, (420, 420)) - 0.5) + 14 * (_noise(size, rng, (30, 30)) - 0.5)


GRAINS: dict[str, Callable[[int, np.random.Generator], _Field]] = {
    "fabric": _fabric,
    "knit": _knit,
    "leather": _leather,
    "wood": _wood,
    "brushed": _brushed,
    "clay": _clay,
    "straw": _straw,
    "pile": _pile,
}
