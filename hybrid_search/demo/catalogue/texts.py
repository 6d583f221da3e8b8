"""The words of the demo's products: titles and descriptions in English and Chinese, and what shoppers say."""

from __future__ import annotations

import random
from typing import Any

from hybrid_search.demo.catalogue.kinds import Kind, Material
from hybrid_search.demo.catalogue.shades import Shade

BRANDS = (
    "Alderbrook",
    "Kestrel & Co",
    "Nordlund",
    "Maison Perle",
    "Tidewater",
    "Fernhill",
    "Oaken",
    "Lumière",
    "Sato Works",
    "Hollin",
    "Pinecrest",
    "Marlow",
)
CHINESE_BRANDS = ("青禾", "云上", "拾光", "木语")
_SERIES = (
    "Harbour",
    "Meadow",
    "Atlas",
    "Willow",
    "Solstice",
    "Juniper",
    "Pebble",
    "Orchard",
    "Drift",
    "Ember",
    "Cove",
    "Linden",
    "Sierra",
    "Bloom",
    "Quarry",
    "Dune",
)

PATTERNS_CHINESE = {
    "plain": "纯色", "striped": "条纹", "pinstriped": "细条纹", "dotted": "波点", "checked": "格纹", "chevron": "人字纹", "floral": "花卉",
    "leaf": "树叶", "terrazzo": "水磨石纹", "geometric": "几何", "ombre": "渐变", "two-tone": "双色", "star": "星星", "speckled": "斑点", "wave": "波浪",
}  # fmt: skip
_PATTERN_WORDS = {
    "dotted": "Polka Dot", "leaf": "Leaf Print", "star": "Star Print", "wave": "Wave Pattern", "ombre": "Ombre", "two-tone": "Two-Tone",
}  # fmt: skip
_AUTHORS = ("Maya", "Tom", "Ines", "Jonas", "Priya", "Lena", "Marc", "Olga", "Sam", "Yuki", "Ana", "Ben")
_OPENINGS = {
    5: ("Love it.", "Perfect.", "Very happy with this."),
    4: ("Very good.", "Nice.", "Would buy again."),
    3: ("It is fine.", "All right for the price."),
    2: ("Not what I hoped for.",),
}


def title(kind: Kind, shape: int, pattern: str, material: Material, shade: Shade, partner: Shade, rng: random.Random) -> str:
    """An English title such as ``Harbour Striped Stoneware Mug in Navy Blue & White``."""
    words = [rng.choice(_SERIES)]
    if pattern != "plain":
        words.append(_PATTERN_WORDS.get(pattern, pattern.title()))
    words += [_titled(material.name), _titled(kind.shapes[shape][0])]
    return f"{' '.join(words)} in {shade.name}" + (f" & {partner.name}" if pattern != "plain" else "")


def description(kind: Kind, shape: int, pattern: str, material: Material, shade: Shade, partner: Shade, facts: dict[str, str]) -> str:
    """Two or three English sentences."""
    noun = kind.shapes[shape][0]
    several = noun.endswith("s") and not noun.endswith("ss")
    start = f"{material.name[0].upper()}{material.name[1:]} {noun} {kind.use}."
    if several:
        start = start.replace("that goes", "that go")
    coat = f"{shade.name} all over." if pattern == "plain" else f"A {pattern} pattern in {shade.name.lower()} and {partner.name.lower()}."
    details = "; ".join(f"{name.capitalize()}: {value}" for name, value in facts.items())
    return f"{start} {coat} {details}."


def chinese_title(kind: Kind, shape: int, pattern: str, material: Material, shade: Shade) -> str:
    """A Chinese title such as ``藏青色条纹陶瓷马克杯``."""
    return f"{shade.chinese}{PATTERNS_CHINESE[pattern] if pattern != 'plain' else ''}{material.chinese}{kind.shapes[shape][1]}"


def chinese_description(kind: Kind, pattern: str, material: Material, shade: Shade) -> str:
    """One or two Chinese sentences."""
    return f"{material.chinese}材质，{kind.use_chinese}。{shade.chinese}{PATTERNS_CHINESE[pattern]}设计。"


def reviews(kind: Kind, rating: float, rng: random.Random) -> list[dict[str, Any]]:
    """Two to five reviews whose stars lie around ``rating``."""
    written = []
    for author in rng.sample(_AUTHORS, rng.randint(2, 5)):
        stars = max(2, min(5, round(rng.gauss(rating, 0.8))))
        words = kind.complaint if stars <= 3 else rng.choice(kind.praise)
        opening = rng.choice(_OPENINGS[stars])
        created = f"2025-{rng.randint(1, 9):02d}-{rng.randint(1, 28):02d}T12:00:00Z"
        written.append({"rating": stars, "title": opening.rstrip("."), "text": f"{opening} {words}", "author": author, "created": created})
    return written


def _titled(words: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in words.split())
