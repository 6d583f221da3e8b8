"""A small drawing board for product pictures: filled outlines with light, pattern and shadow on a light backdrop.

Coordinates are units of a 1000 × 1000 board, y downwards. Everything is drawn at twice the final size and reduced, which smooths the edges.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIZE = 600
"""Pixels of a finished picture, each way."""
_PX = SIZE * 2
_SCALE = _PX / 1000

Colour = tuple[int, int, int]
Point = tuple[float, float]
Outline = Sequence[Point]
Texture = Callable[[int, int, float], Image.Image]
"""``(width, height, pixels per unit)`` to an RGB image of that size."""


@dataclass(frozen=True, slots=True)
class Light:
    """How a surface takes the light: ``form`` is one of ``FORMS``, ``depth`` how dark its far side gets, ``gloss`` how bright its highlight."""

    form: str = "flat"
    depth: float = 0.35
    gloss: float = 0.0


def path(start: Point, *segments: tuple[float, ...]) -> list[Point]:
    """An outline from lines ``(x, y)`` and cubic curves ``(x1, y1, x2, y2, x, y)``."""
    points = [start]
    for segment in segments:
        if len(segment) == 2:
            points.append((segment[0], segment[1]))
        else:
            x0, y0 = points[-1]
            x1, y1, x2, y2, x3, y3 = segment
            for step in range(1, 15):
                t = step / 14
                a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
                points.append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
    return points


def mirrored(right: Outline) -> list[Point]:
    """A symmetric outline from its right half, given from the top middle to the bottom middle (x = 500 is the axis)."""
    return [*right, *((1000 - x, y) for x, y in reversed(right))]


def oval(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> list[Point]:
    """Points of an ellipse around (x, y), from ``start`` to ``end`` degrees, clockwise from the right."""
    steps = max(12, int(abs(end - start) / 5))
    return [
        (x + rx * math.cos(math.radians(a)), y + ry * math.sin(math.radians(a)))
        for a in (start + (end - start) * i / steps for i in range(steps + 1))
    ]


def rounded(x0: float, y0: float, x1: float, y1: float, radius: float) -> list[Point]:
    """A rectangle with round corners."""
    r = min(radius, (x1 - x0) / 2, (y1 - y0) / 2)
    corners = ((x1 - r, y0 + r, 270), (x1 - r, y1 - r, 0), (x0 + r, y1 - r, 90), (x0 + r, y0 + r, 180))
    return [point for x, y, a in corners for point in oval(x, y, r, r, a, a + 90)]


def ribbon(middle: Outline, width: float) -> list[Point]:
    """The outline of a band of even width along an open line, its ends cut square."""
    left, right = [], []
    for i, (x, y) in enumerate(middle):
        (x0, y0), (x1, y1) = middle[max(0, i - 1)], middle[min(len(middle) - 1, i + 1)]
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        nx, ny = -(y1 - y0) / length * width / 2, (x1 - x0) / length * width / 2
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    return [*left, *reversed(right)]


def turned(points: Outline, degrees: float, around: Point = (500, 500)) -> list[Point]:
    """The outline turned clockwise."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [
        (around[0] + (x - around[0]) * c - (y - around[1]) * s, around[1] + (x - around[0]) * s + (y - around[1]) * c) for x, y in points
    ]


def moved(points: Outline, dx: float, dy: float, scale: float = 1.0, around: Point = (500, 500)) -> list[Point]:
    """The outline scaled around a point, then moved."""
    return [(around[0] + (x - around[0]) * scale + dx, around[1] + (y - around[1]) * scale + dy) for x, y in points]


def shaded(colour: Colour, factor: float) -> Colour:
    """Darker below 1, towards white above."""
    if factor <= 1:
        return (int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor))
    return mixed(colour, (255, 255, 255), factor - 1)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """``one`` with a ``share`` of ``other`` in it."""
    return (
        int(one[0] + (other[0] - one[0]) * share),
        int(one[1] + (other[1] - one[1]) * share),
        int(one[2] + (other[2] - one[2]) * share),
    )


class Canvas:
    """A picture in the making.

    Args:
        tint: colour of the backdrop.
        floor: whether the backdrop has a horizon (a thing that stands) or is plain (a thing that lies and is seen from above).
    """

    def __init__(self, tint: Colour, *, floor: bool = True) -> None:
        self.image = _backdrop(tint, floor).copy()

    def fill(self, outline: Outline, paint: Colour | Texture, light: Light | None = None) -> None:
        """Fills an outline with a colour or a texture under a light."""
        mask, box = _mask(lambda draw, at: draw.polygon(at(outline), fill=255), outline, 0)
        self._put(mask, box, paint, light)

    def stroke(self, outline: Outline, width: float, paint: Colour | Texture, light: Light | None = None) -> None:
        """Draws a line with round ends and joints along an open outline; ``width`` in units."""
        mask, box = _mask(lambda draw, at: _line(draw, at(outline), width * _SCALE), outline, width)
        self._put(mask, box, paint, light)

    def ground(self, x: float, y: float, rx: float, ry: float, strength: float = 0.5) -> None:
        """The soft shadow of a thing that stands on the floor."""
        small = 150
        shadow = Image.new("L", (small, small), 0)
        k = small / 1000
        draw = ImageDraw.Draw(shadow)
        draw.ellipse(((x - rx) * k, (y - ry) * k, (x + rx) * k, (y + ry) * k), fill=int(150 * strength))
        shadow = shadow.filter(ImageFilter.GaussianBlur(4))
        core = Image.new("L", (small, small), 0)
        ImageDraw.Draw(core).ellipse(
            ((x - rx * 0.85) * k, (y - ry * 0.5) * k, (x + rx * 0.85) * k, (y + ry * 0.5) * k), fill=int(170 * strength)
        )
        self._darken(ImageChops.lighter(shadow, core.filter(ImageFilter.GaussianBlur(1.6))))

    def drop(self, outline: Outline, dx: float = 10, dy: float = 22, blur: float = 3.5, strength: float = 0.45) -> None:
        """The soft shadow that a thing lying flat throws to the lower right."""
        small = 150
        k = small / 1000
        shadow = Image.new("L", (small, small), 0)
        ImageDraw.Draw(shadow).polygon([((x + dx) * k, (y + dy) * k) for x, y in outline], fill=int(255 * strength))
        self._darken(shadow.filter(ImageFilter.GaussianBlur(blur)))

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float = 0.6) -> None:
        """A round light in the air."""
        small = 100
        k = small / 1000
        halo = Image.new("L", (small, small), 0)
        ImageDraw.Draw(halo).ellipse(
            ((x - radius / 2) * k, (y - radius / 2) * k, (x + radius / 2) * k, (y + radius / 2) * k), fill=int(255 * strength)
        )
        halo = halo.filter(ImageFilter.GaussianBlur(radius * k * 0.35)).resize((_PX, _PX), Image.Resampling.BILINEAR)
        self.image.paste(colour, (0, 0), halo)

    def finish(self) -> Image.Image:
        """The finished picture, ``SIZE`` × ``SIZE`` RGB."""
        return self.image.reduce(2)

    def _darken(self, shadow: Image.Image) -> None:
        self.image.paste((38, 34, 44), (0, 0), shadow.resize((_PX, _PX), Image.Resampling.BICUBIC))

    def _put(self, mask: Image.Image, box: tuple[int, int, int, int], paint: Colour | Texture, light: Light | None) -> None:
        width, height = mask.size
        surface = paint(width, height, _SCALE) if callable(paint) else Image.new("RGB", mask.size, paint)
        if light is not None:
            dark, bright = _light_maps(light)
            if light.depth:
                veil = dark.resize(mask.size, Image.Resampling.BICUBIC)
                surface = ImageChops.multiply(surface, Image.merge("RGB", (veil, veil, veil)))
            if light.gloss:
                veil = bright.resize(mask.size, Image.Resampling.BICUBIC)
                surface = ImageChops.screen(surface, Image.merge("RGB", (veil, veil, veil)))
        self.image.paste(surface, box[:2], mask)


def _mask(
    draw: Callable[[ImageDraw.ImageDraw, Callable[[Outline], list[Point]]], None], outline: Outline, width: float
) -> tuple[Image.Image, tuple[int, int, int, int]]:
    xs, ys = [x * _SCALE for x, _ in outline], [y * _SCALE for _, y in outline]
    pad = width * _SCALE / 2 + 2
    left, top = int(min(xs) - pad), int(min(ys) - pad)
    right, bottom = int(max(xs) + pad) + 1, int(max(ys) + pad) + 1
    mask = Image.new("L", (max(1, right - left), max(1, bottom - top)), 0)
    draw(ImageDraw.Draw(mask), lambda points: [(x * _SCALE - left, y * _SCALE - top) for x, y in points])
    return mask, (left, top, right, bottom)


def _line(draw: ImageDraw.ImageDraw, points: list[Point], width: float) -> None:
    draw.line(points, fill=255, width=max(1, round(width)), joint="curve")
    radius = width / 2
    for x, y in (points[0], points[-1]):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


@functools.cache
def _light_maps(light: Light) -> tuple[Image.Image, Image.Image]:
    """``dark`` to multiply with (255 leaves as it is) and ``bright`` to screen with (0 leaves as it is), 64 × 64."""
    v, u = np.mgrid[0:1:64j, 0:1:64j]
    shade, shine = FORMS[light.form](u, v)
    dark = 255 * (1 - light.depth * np.clip(shade, 0, 1))
    bright = 255 * light.gloss * np.clip(shine, 0, 1)
    return Image.fromarray(dark.astype(np.uint8)), Image.fromarray(bright.astype(np.uint8))


_Map = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def _cylinder(u: _Map, v: _Map) -> tuple[_Map, _Map]:
    shade = np.abs((u - 0.36) / 0.64) ** 1.7 + 0.08 * v
    return shade, np.exp(-(((u - 0.24) / 0.07) ** 2)) * (0.9 - 0.3 * v) + 0.35 * np.exp(-(((u - 0.9) / 0.04) ** 2))


def _ball(u: _Map, v: _Map) -> tuple[_Map, _Map]:
    distance = np.hypot(u - 0.36, v - 0.3)
    return (distance / 0.82) ** 1.8, np.exp(-((np.hypot((u - 0.31), (v - 0.24)) / 0.13) ** 2))


def _flat(u: _Map, v: _Map) -> tuple[_Map, _Map]:
    return 0.25 * u + 0.6 * v**1.3, np.clip(1 - np.abs(u + v * 0.6 - 0.55) / 0.16, 0, 1) * 0.7


def _folds(u: _Map, v: _Map) -> tuple[_Map, _Map]:
    wave = np.sin(u * 19 + 2.2 * np.sin(v * 4.2) + v * 2.5) * (0.25 + 0.75 * v)
    return 0.42 + 0.35 * wave + 0.8 * np.abs(u - 0.47) ** 1.6, np.clip(-wave, 0, 1) ** 2


def _pleats(u: _Map, v: _Map) -> tuple[_Map, _Map]:
    fan = (u - 0.5) / (0.25 + 0.75 * v)
    wave = np.sin(fan * 34)
    return 0.4 + 0.4 * wave * np.clip(v * 1.6, 0, 1) + 0.5 * np.abs(u - 0.47), np.clip(-wave, 0, 1) ** 2 * v


def _pillow(u: _Map, v: _Map) -> tuple[_Map, _Map]:
    edge = np.maximum(np.abs(u - 0.46), np.abs(v - 0.42)) / 0.58
    return edge**2.6 + 0.18 * v, np.exp(-((np.hypot(u - 0.38, v - 0.32) / 0.3) ** 2))


def _top(u: _Map, v: _Map) -> tuple[_Map, _Map]:
    return v**1.2, np.clip(1 - v * 2.4, 0, 1)


def _under(u: _Map, v: _Map) -> tuple[_Map, _Map]:
    return 1 - v, np.clip(v * 2 - 1.2, 0, 1)


FORMS: dict[str, Callable[[_Map, _Map], tuple[_Map, _Map]]] = {
    "cylinder": _cylinder,
    "ball": _ball,
    "flat": _flat,
    "folds": _folds,
    "pleats": _pleats,
    "pillow": _pillow,
    "top": _top,
    "under": _under,
}
"""Surface forms: shade (0 lit, 1 far side) and shine (0 to 1) over the unit square, light from the upper left."""


@functools.cache
def _backdrop(tint: Colour, floor: bool) -> Image.Image:
    """A studio backdrop: brightest behind the thing, a soft change of tone where wall meets floor."""
    v, u = np.mgrid[0:1:100j, 0:1:100j]
    light = 1.025 - 0.11 * np.hypot((u - 0.45) * 0.9, v - 0.4) ** 1.5
    if floor:
        light = light - 0.026 / (1 + np.exp(-(v - 0.68) * 45)) + 0.09 * np.clip(v - 0.7, 0, 1)
    pixels = np.clip(light[..., None] * np.array(tint, dtype=np.float64), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8)).resize((_PX, _PX), Image.Resampling.BICUBIC)
