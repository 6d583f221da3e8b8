"""Bytes to an upright RGB picture. Runs in the worker for plain JPEGs and in the child process for all else.

One parser is named by the first bytes and no other is ever tried. Sizes are read and judged before any pixel is decoded.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from hybrid_search.catalog.images.exif import orientation
from hybrid_search.catalog.images.jpeg import JpegFrame, survey
from hybrid_search.catalog.images.limits import ImageLimits
from hybrid_search.catalog.images.reasons import refuse
from hybrid_search.catalog.images.sniff import sniff, webp_size
from hybrid_search.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

COEFFICIENT_BYTES = 160_000_000
"""Most that a progressive or multi-scan JPEG may keep in memory: 53 megapixels at 4:2:0, 26 at 4:4:4."""
SCAN_PIXELS = 600_000_000
"""Most that scans × pixels of a JPEG may come to: each scan visits every block again, however few bytes it has."""
MAX_SCANS = 64
PIXEL_COST = {"AVIF": 9, "WEBP": 14}
"""Peak bytes per pixel of the decoders that keep copies, measured with Pillow 13; the others keep the picture alone."""
_STORAGE = {"1": 1, "L": 1, "P": 1, "I;16": 2}
"""Bytes per pixel of Pillow's modes; all others take four."""
_JPEG_GAPS = {2: 1.0, 4: 1.0, 8: 1.5}
"""How many times ``min_side`` must be left at each scale. An eighth is a mean of 8 × 8 pixels alone: close to ``min_side`` it
costs an embedding .01 of cosine, against little time (docs/images.md)."""
_RESERVE = 16_000_000
"""For strips, the result and the parsers' own tables."""
_STRIP_BYTES = 8_000_000


def decode_any(raw: bytes, limits: ImageLimits, min_side: int) -> Image:
    """Decodes a file of any accepted format; meant for a process that may die of it.

    Raises:
        ImageError: with a reason of the picture group.
    """
    form = sniff(raw)
    if form is None:
        raise refuse("format", raw)
    if form == "JPEG":
        return decode_jpeg(survey(raw), limits, min_side)
    if form == "WEBP" and (size := webp_size(raw)) is not None:
        # libwebp reserves its canvases as soon as the file is opened
        _check_size("WEBP", size, "RGB", limits)
    try:
        image: Image = _parser(form, raw)
        _check_size(form, image.size, image.mode, limits)
        image = _loaded(image)
        turned = orientation(_tiff(image.info.get("exif")))
        return _upright(_reduced(image, _factor(image, limits, min_side)), turned)
    except ImageError:
        raise
    except Exception as err:  # a third party's parser on hostile bytes may raise anything
        raise _damage(err, raw) from err


def decode_jpeg(frame: JpegFrame, limits: ImageLimits, min_side: int) -> Image:
    """Decodes a surveyed JPEG at the smallest scale (1, 1/2, 1/4, 1/8) whose shortest side is still ``min_side`` (1/8: 1.5 times that).

    With ``min_side = 0``, or where that would be too large, at the largest scale within ``max_output_pixels``.

    Raises:
        ImageError: ``too_large``, ``too_small``, ``too_complex``, ``truncated`` or ``broken``.
    """
    from PIL.JpegImagePlugin import JpegImageFile

    check_jpeg(frame, limits)
    scale = _jpeg_scale(frame, limits, min_side)
    try:
        image = JpegImageFile(io.BytesIO(frame.lean))
        if image.size != (frame.width, frame.height):
            raise refuse("broken", frame.lean, "two sizes")
        image.draft(None, (frame.width // scale, frame.height // scale))
        image.load()
        return _upright(_flat(image), frame.orientation)
    except ImageError:
        raise
    except Exception as err:  # a third party's parser on hostile bytes may raise anything
        raise _damage(err, frame.lean) from err


def check_jpeg(frame: JpegFrame, limits: ImageLimits) -> None:
    """Raises ``ImageError`` when a JPEG's size or scans are beyond the limits."""
    pixels = frame.width * frame.height
    if pixels > limits.max_jpeg_pixels:
        raise refuse("too_large", None, f"{frame.width} × {frame.height}; allowed are {limits.max_jpeg_pixels:,} pixels")
    _check_small(frame.width, frame.height, limits)
    if frame.coefficient_bytes > COEFFICIENT_BYTES:
        raise refuse("too_complex", None, f"several scans of {frame.width} × {frame.height}")
    if frame.scans > MAX_SCANS or frame.scans * pixels > max(SCAN_PIXELS, pixels):
        raise refuse("too_complex", None, f"{frame.scans} scans of {frame.width} × {frame.height}")


def _jpeg_scale(frame: JpegFrame, limits: ImageLimits, min_side: int) -> int:
    shortest = min(frame.width, frame.height)
    scale = max((s for s, gap in _JPEG_GAPS.items() if min_side and shortest // s >= gap * min_side), default=1)
    while scale < 8 and (frame.width // scale) * (frame.height // scale) > limits.max_output_pixels:
        scale *= 2
    return scale


def _parser(form: str, raw: bytes) -> ImageFile:
    """Pillow's parser for one format, without its guessing and without its global pixel limit (ours is stricter)."""
    from PIL import AvifImagePlugin, GifImagePlugin, PngImagePlugin, WebPImagePlugin

    stream = io.BytesIO(raw)
    if form == "PNG":
        return PngImagePlugin.PngImageFile(stream)
    if form == "GIF":
        return GifImagePlugin.GifImageFile(stream)
    if form == "WEBP":
        return WebPImagePlugin.WebPImageFile(stream)
    if not AvifImagePlugin.SUPPORTED:
        raise refuse("format", raw, "AVIF needs a Pillow that was built with it")
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    return AvifImagePlugin.AvifImageFile(stream)


def _loaded(image: Image) -> Image:
    """The image with its pixels decoded. A WEBP's frame is taken from the decoder before Pillow copies it once more.

    That way 14 instead of 17 bytes per pixel are needed at the peak, and 12-megapixel photos fit.
    """
    from PIL import Image as pillow
    from PIL.WebPImagePlugin import WebPImageFile

    if not isinstance(image, WebPImageFile):
        image.load()
        return image
    frame, *_ = image._get_next()
    bare = pillow.frombuffer("RGBA" if image.mode == "RGBA" else "RGBX", image.size, frame, "raw", image.rawmode, 0, 1)
    bare.info["exif"] = image.info.get("exif")
    return bare


def _check_size(form: str, size: tuple[int, int], mode: str, limits: ImageLimits) -> None:
    from PIL import Image as pillow

    width, height = size
    channels = pillow.getmodebands(mode) * (2 if mode.startswith("I;16") else 1)
    if width * height * channels > limits.max_decoded_bytes:
        raise refuse("too_large", None, f"{width} × {height} × {channels}; allowed are {limits.max_decoded_bytes:,} bytes")
    allowed = (limits.sandbox_memory - _RESERVE) // PIXEL_COST.get(form, _STORAGE.get(mode, 4))
    if width * height > allowed:
        raise refuse("too_large", None, f"{width} × {height}; {form} within {limits.sandbox_memory:,} bytes of memory: {allowed:,} pixels")
    _check_small(width, height, limits)


def _check_small(width: int, height: int, limits: ImageLimits) -> None:
    if min(width, height) < limits.min_side:
        raise refuse("too_small", None, f"{width} × {height}; the shortest side must have {limits.min_side} pixels")


def _tiff(exif: object) -> bytes:
    return exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""


def _damage(err: Exception, raw: bytes) -> ImageError:
    if isinstance(err, MemoryError):
        return refuse("decode_memory", raw)
    cut = isinstance(err, EOFError) or "truncated" in str(err).lower()
    return refuse("truncated" if cut else "broken", raw, str(err)[:100] or type(err).__name__)


def _factor(image: Image, limits: ImageLimits, min_side: int) -> int:
    """The whole number that both sides may be divided by."""
    width, height = image.size
    factor = max(1, min(width, height) // min_side) if min_side else 1
    while -(-width // factor) * -(-height // factor) > limits.max_output_pixels:
        factor += 1
    return factor


def _reduced(image: Image, factor: int) -> Image:
    """An RGB copy, averaged over squares of ``factor`` pixels; works in strips to need little memory beside the picture's own."""
    from PIL import Image as pillow

    width, height = image.size
    rows = max(1, _STRIP_BYTES // (4 * width * factor)) * factor
    if factor == 1 and rows >= height:
        return _flat(image)
    small = pillow.new("RGB", (-(-width // factor), -(-height // factor)))
    for top in range(0, height, rows):
        strip = _flat(image.crop((0, top, width, min(top + rows, height))))
        small.paste(strip.reduce(factor) if factor > 1 else strip, (0, top // factor))
    return small


def _flat(image: Image) -> Image:
    """Any mode to RGB: transparency on white, 16-bit grey by its high byte."""
    from PIL import Image as pillow

    if image.mode.startswith("I"):
        image = image.point(lambda level: level * (1 / 256) + 0).convert("L")
        image.info.pop("transparency", None)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = pillow.new("RGB", image.size, (255, 255, 255))
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(image: Image, turned: int) -> Image:
    """The picture turned as its EXIF orientation says, with nothing but pixels left."""
    from PIL import Image as pillow

    ways = {
        2: pillow.Transpose.FLIP_LEFT_RIGHT,
        3: pillow.Transpose.ROTATE_180,
        4: pillow.Transpose.FLIP_TOP_BOTTOM,
        5: pillow.Transpose.TRANSPOSE,
        6: pillow.Transpose.ROTATE_270,
        7: pillow.Transpose.TRANSVERSE,
        8: pillow.Transpose.ROTATE_90,
    }
    image = image.transpose(ways[turned]) if turned in ways else image
    image.info.clear()
    return image
