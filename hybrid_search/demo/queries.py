"""Three things to try on a fresh demo: words, a picture, and both; with what a working search must find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid_search.demo.catalogue.canvas import Canvas
from hybrid_search.demo.catalogue.kinds import KINDS
from hybrid_search.demo.catalogue.look import Look
from hybrid_search.demo.catalogue.plan import plan
from hybrid_search.demo.catalogue.shades import SHADES
from hybrid_search.product import Product

_TOP = 10


@dataclass(frozen=True, slots=True)
class Trial:
    """A query and its expectation: at least ``least`` of the first ten hits are among ``wanted`` (product ids)."""

    name: str
    text: str
    image: Path | None
    wanted: frozenset[str]
    least: int
    expectation: str

    def met(self, hit_ids: Sequence[str]) -> bool:
        """Whether the hits, best first, are as expected."""
        return sum(hit in self.wanted for hit in hit_ids[:_TOP]) >= self.least


def built_in_trials(folder: Path, *, seed: int = 7) -> tuple[Trial, ...]:
    """The three trials for the catalogue that ``write_demo_catalogue(folder, seed=seed)`` wrote.

    Their pictures are of things that the shop does not have; they are drawn into ``folder/queries/``.
    """
    ids: dict[str, set[str]] = {}
    for product in plan(seed):
        ids.setdefault(product.kind.code, set()).add(product.record["id"])
    return (
        Trial("text", "polka dot umbrella for the rain", None, frozenset(ids["umb"]), 3, "umbrellas"),
        Trial("image", "", _draw(folder, "pot", "Raspberry Pink", "White", "dotted"), frozenset(ids["pot"]), 4, "teapots"),
        Trial("text+image", "blue", _draw(folder, "sne", "Red", "White", "plain"), frozenset(ids["sne"]), 3, "sneakers"),
    )


def trials_from(products: Iterable[Product]) -> tuple[Trial, ...]:
    """Up to three trials for any other catalogue: each must find the product that its words or its picture are taken from."""
    worded = pictured = None
    for product in products:
        worded = worded or (product if product.title else None)
        pictured = pictured or (product if product.images and Path(product.images[0]).is_file() else None)
        if worded and pictured:
            break
    queries = []
    if worded:
        queries.append(_finds("text", worded, worded.title, None))
    if pictured:
        queries.append(_finds("image", pictured, "", Path(pictured.images[0])))
        if pictured.title:
            queries.append(_finds("text+image", pictured, pictured.title, Path(pictured.images[0])))
    return tuple(queries)


def _finds(name: str, product: Product, text: str, image: Path | None) -> Trial:
    return Trial(name, text, image, frozenset((product.id,)), 1, f"product {product.id}")


def _draw(folder: Path, code: str, shade: str, partner: str, pattern: str) -> Path:
    path = folder / "queries" / f"{code}.jpg"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = next(kind for kind in KINDS if kind.code == code)
        canvas = Canvas((240, 240, 238), floor=kind.floor)
        kind.draw(canvas, Look(SHADES[shade].rgb, SHADES[partner].rgb, pattern, seed=4242))
        canvas.finish().save(path, "JPEG", quality=85)
    return path
