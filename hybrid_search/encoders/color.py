"""What colours a picture shows: a histogram in CIELAB, where equal distances look about equally different.

sRGB to XYZ as in IEC 61966-2-1, XYZ to CIELAB as in CIE 15:2004 with the D65 white point.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from hybrid_search.types import FloatVector

BINS = (4, 8, 8)
"""Of lightness (0 to 100) and of the two colour axes (-60 to 60; stronger colours fall into the outermost bins)."""
DIM = BINS[0] * BINS[1] * BINS[2]

_SIDE = 64
_LOW = np.array([0.0, -60.0, -60.0])
_HIGH = np.array([100.0, 60.0, 60.0])
_PAPER_LIGHTNESS, _PAPER_CHROMA = 95.0, 4.0
_LEAST_FOREGROUND = 0.01
_RGB_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
_D65 = np.array([0.95047, 1.0, 1.08883])


def lab(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """sRGB ``(..., 3)`` uint8 as CIELAB ``(..., 3)``: L* 0 to 100, a* green to red, b* blue to yellow."""
    v = rgb / 255.0
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    t = linear @ _RGB_TO_XYZ.T / _D65
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def lab_histogram(image: Image.Image) -> FloatVector:
    """The colours of ``image`` (mode RGB) as ``(256,)`` float32 with L2 norm 1: square roots of the shares of its pixels by CIELAB bin.

    White background is left out as long as anything else is to be seen. The root makes the dot product of two histograms their
    Bhattacharyya coefficient, so that one large area does not drown the small ones.
    """
    pixels = lab(np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX))).reshape(-1, 3)
    paper = (pixels[:, 0] > _PAPER_LIGHTNESS) & (np.abs(pixels[:, 1:]) < _PAPER_CHROMA).all(axis=1)
    shown = pixels[~paper] if (~paper).mean() > _LEAST_FOREGROUND else pixels
    cells = ((shown - _LOW) / (_HIGH - _LOW) * BINS).astype(int)
    flat = np.ravel_multi_index(tuple(cells.T), BINS, mode="clip")
    return np.asarray(np.sqrt(np.bincount(flat, minlength=DIM) / len(shown)), dtype=np.float32)
