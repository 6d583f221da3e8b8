"""A picture fitted whole into a square, the rest white: no part of a product is cut off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

WHITE = (255, 255, 255)


def letterbox(image: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    """``image`` (mode RGB) scaled so that its longer side is ``side`` pixels, centred on white: ``(side, side, 3)`` uint8."""
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    square = Image.new("RGB", (side, side), WHITE)
    square.paste(image.resize((width, height), Image.Resampling.BICUBIC), ((side - width) // 2, (side - height) // 2))
    return np.asarray(square)
