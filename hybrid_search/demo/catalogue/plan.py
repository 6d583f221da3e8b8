"""Which products the demo shop has: a fixed list, drawn up from a seed, before anything is painted."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hybrid_search.demo.catalogue import texts
from hybrid_search.demo.catalogue.kinds import KINDS, Kind, Material
from hybrid_search.demo.catalogue.look import Look
from hybrid_search.demo.catalogue.shades import SHADES, Shade

_DESIGNS = 6
_COLOURS = 3
_TEXTLESS = 2
_CHINESE_DESIGN = 4
_SIZED_DESIGN = 1
_PRIOR_RATING, _PRIOR_WEIGHT = 3.9, 8
_VIEWS = ("main", "angle", "detail", "swatch")


@dataclass(frozen=True, slots=True)
class Planned:
    """A product to be: its record as written to the catalogue, and what to draw. ``pictures`` are ``(file name, view)``."""

    record: dict[str, Any]
    kind: Kind
    look: Look
    tint: tuple[int, int, int]
    pictures: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Design:
    kind: Kind
    number: int
    shape: int
    pattern: str
    material: Material
    shades: tuple[Shade, ...]
    price: float
    quality: float
    seed: int
    facts: dict[str, str]


_TINTS = ((250, 248, 245), (247, 249, 250), (251, 247, 243), (248, 249, 246))


def plan(seed: int) -> Iterator[Planned]:
    """The products in catalogue order; the same seed gives the same list."""
    for kind in KINDS:
        rng = random.Random(zlib.crc32(f"{seed} {kind.code}".encode()))
        shades = list(kind.shades or SHADES)
        rng.shuffle(shades)
        for number in range(_DESIGNS + 1):
            yield from _products(_design(kind, number, shades, rng), rng)


def _design(kind: Kind, number: int, shades: list[str], rng: random.Random) -> _Design:
    patterns = kind.patterns
    start = number * _COLOURS
    return _Design(
        kind=kind,
        number=number,
        shape=number % len(kind.shapes),
        pattern=patterns[(number * 3 + rng.randrange(2)) % len(patterns)] if number else "plain",
        material=kind.materials[number % len(kind.materials)],
        shades=tuple(SHADES[shades[(start + i) % len(shades)]] for i in range(_COLOURS)),
        price=round(rng.uniform(*kind.price)) - rng.choice((0.05, 0.01, 0.5)),
        quality=min(4.9, max(2.6, rng.gauss(4.1, 0.45))),
        seed=rng.randrange(1, 10_000),
        facts={name: rng.choice(values) for name, values in kind.facts.items()},
    )


def _products(design: _Design, rng: random.Random) -> Iterator[Planned]:
    if design.number == _DESIGNS:
        for i in range(_TEXTLESS):
            yield _planned(design, i, design.shades[i], "", rng)
    elif design.number == _SIZED_DESIGN and design.kind.sizes:
        for i, size in enumerate(design.kind.sizes):
            yield _planned(design, i, design.shades[0], size, rng)
    else:
        for i, shade in enumerate(design.shades):
            yield _planned(design, i, shade, "", rng)


def _planned(design: _Design, i: int, shade: Shade, size: str, rng: random.Random) -> Planned:
    kind = design.kind
    code = f"{kind.code}-{design.number}{i}"
    partner = SHADES[shade.partners[design.number % len(shade.partners)]]
    look = Look(
        shade.rgb,
        partner.rgb,
        design.pattern,
        design.material.grain,
        design.material.gloss,
        design.shape,
        design.seed if size else design.seed + i,
    )
    first = f"images/{kind.code}-{design.number}0.jpg" if size else f"images/{code}.jpg"
    pictures = [(first, "main")]
    if not size and rng.random() < 0.3:
        view = _VIEWS[1 + rng.randrange(3)] if design.pattern != "plain" else rng.choice(_VIEWS[1:3])
        pictures.append((f"images/{code}-{view}.jpg", view))
    record: dict[str, Any] = {"id": code, "price": round(design.price * (1 + 0.15 * (i if size else 0)), 2), "currency": "USD"}
    if design.number != _DESIGNS:
        record |= _worded(design, shade, partner, rng) | _facts(design, code, size, shade, rng)
    record["images"] = [name for name, _ in pictures]
    return Planned(record, kind, look, _TINTS[(design.number + len(kind.code + kind.category[0])) % len(_TINTS)], tuple(pictures))


def _worded(design: _Design, shade: Shade, partner: Shade, rng: random.Random) -> dict[str, Any]:
    kind, shape, pattern, material = design.kind, design.shape, design.pattern, design.material
    series = random.Random(design.seed)
    if design.number == _CHINESE_DESIGN:
        return {
            "title": texts.chinese_title(kind, shape, pattern, material, shade),
            "description": texts.chinese_description(kind, pattern, material, shade),
            "brand": series.choice(texts.CHINESE_BRANDS),
            "language": "zh",
        }
    return {
        "title": texts.title(kind, shape, pattern, material, shade, partner, series),
        "description": texts.description(kind, shape, pattern, material, shade, partner, design.facts),
        "brand": series.choice(texts.BRANDS),
        "language": "en",
    }


def _facts(design: _Design, code: str, size: str, shade: Shade, rng: random.Random) -> dict[str, Any]:
    kind = design.kind
    facts: dict[str, Any] = {
        "category": list(kind.category),
        "color": shade.family,
        "material": design.material.name.capitalize(),
        "attributes": {"pattern": [design.pattern], **{name: [value] for name, value in design.facts.items()}},
        "availability": rng.choices(("in_stock", "out_of_stock", "preorder", "backorder"), (88, 8, 3, 1))[0],
        "sku": f"{kind.code.upper()}-{design.number}{shade.name[:3].upper()}{code[-1]}",
        "gtin": gtin(f"20{zlib.crc32(code.encode()) % 10**10:010d}"),
        "group_id": f"{kind.code}-{design.number}",
        "created": f"{2023 + rng.randrange(2)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}T09:00:00Z",
        "updated": f"2025-{rng.randint(1, 9):02d}-{rng.randint(1, 28):02d}T09:00:00Z",
    }
    if size:
        facts["size"] = size
    count = int(rng.lognormvariate(3.2, 1.3)) if rng.random() > 0.12 else 0
    if count:
        rating = (_PRIOR_RATING * _PRIOR_WEIGHT + design.quality * count) / (_PRIOR_WEIGHT + count)
        facts |= {"rating": round(rating, 1), "rating_count": count}
        if rng.random() < 0.4:
            facts["reviews"] = texts.reviews(kind, rating, rng)
    facts["popularity"] = round(count * rng.uniform(4, 12), 1)
    return facts


def gtin(digits: str) -> str:
    """``digits`` with the check digit of a GTIN (GS1: weights 3 and 1 from the right). Numbers that start with 20 are for a shop's own use."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)
