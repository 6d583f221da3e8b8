"""What one drawn product looks like."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_search.demo.catalogue.canvas import Colour, Texture
from hybrid_search.demo.catalogue.textures import patterned


@dataclass(frozen=True, slots=True)
class Look:
    """Colours (RGB), pattern and material grain of a product; ``shape`` picks among the forms that its kind comes in, ``seed`` the small accidents."""

    colour: Colour
    accent: Colour
    pattern: str = "plain"
    grain: str = ""
    gloss: float = 0.2
    shape: int = 0
    seed: int = 0

    def texture(self, size: float = 1.0, *, grain: str | None = None) -> Texture:
        """The product's main surface; ``size`` scales the pattern."""
        return patterned(self.pattern, self.colour, self.accent, grain=self.grain if grain is None else grain, seed=self.seed, size=size)

    def plain(self, colour: Colour | None = None, *, grain: str | None = None) -> Texture:
        """The material without the pattern, in the main colour or another."""
        return patterned("plain", colour or self.colour, self.accent, grain=self.grain if grain is None else grain, seed=self.seed)
