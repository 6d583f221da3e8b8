"""A look at a JPEG before any decoder sees it: its frame, what decoding it would cost, and the file without its metadata."""

from __future__ import annotations

import itertools
import re
import struct
from dataclasses import dataclass

from hybrid_search.catalog.images.exif import orientation
from hybrid_search.catalog.images.reasons import refuse

_SOF = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_DECODABLE = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
"""Baseline, extended, progressive, and the arithmetic-coded two: what libjpeg-turbo decodes."""
_PROGRESSIVE = {0xC2, 0xCA}
_SCAN_OR_END = re.compile(rb"\xff[\xd9\xda]")
"""Entropy-coded bytes never hold either: there a zero follows every 0xff that is no marker."""
_MAX_SEGMENTS = 4_000
"""Before the first scan; 10 MB of metadata in full segments are 153."""
_MAX_FILL = 1_024
"""Bytes between two segments that belong to neither."""
_KEPT = {0xC4, 0xCC, 0xDB, 0xDD}
"""Huffman and arithmetic tables, quantisation tables, restart interval: all that decoding needs besides frame and scans."""


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """What the headers say.

    ``plain`` is an 8-bit Huffman-coded single-scan file of one or three components.
    ``coefficient_bytes`` is what a file of several scans keeps in memory at once, whatever the output's scale.
    ``lean`` is the file without metadata: tables, frame, scans and the markers that name its colours.
    """

    width: int
    height: int
    components: int
    plain: bool
    scans: int
    coefficient_bytes: int
    orientation: int
    lean: bytes


def survey(raw: bytes) -> JpegFrame:
    """Walks the markers of a JPEG up to its first scan; entropy-coded bytes are only searched for further scans.

    Raises:
        ImageError: ``truncated`` or ``broken``.
    """
    kept: list[bytes | memoryview] = [b"\xff\xd8"]
    turned = 1
    frame: bytes | None = None
    marker_of_frame = 0
    position = 2
    for number in itertools.count():
        if number > _MAX_SEGMENTS:
            raise refuse("too_complex", raw, f"over {_MAX_SEGMENTS:,} segments")
        marker, position = _marker(raw, position)
        if marker in (0x01, *range(0xD0, 0xD8)):
            continue
        if marker == 0xD9:
            raise refuse("truncated", raw, "no scan")
        if position + 2 > len(raw):
            raise refuse("truncated", raw)
        length = struct.unpack_from(">H", raw, position)[0]
        if length < 2:
            raise refuse("broken", raw, "a segment of no length")
        if position + length > len(raw):
            raise refuse("truncated", raw)
        if marker == 0xDA:
            break
        segment = raw[position + 2 : position + length]
        whole = raw[position - 2 : position + length]
        if marker in _SOF:
            if frame is not None:
                raise refuse("broken", raw, "two frames")
            frame, marker_of_frame = segment, marker
            kept.append(whole)
        elif marker in _KEPT or (marker == 0xE0 and segment[:5] == b"JFIF\0") or (marker == 0xEE and segment[:5] == b"Adobe"):
            kept.append(whole)
        elif marker == 0xE1 and segment[:6] == b"Exif\0\0":
            turned = orientation(segment[6:])
        position += length
    if frame is None or len(frame) < 6:
        raise refuse("broken", raw, "no frame")
    kept.append(memoryview(raw)[position - 2 :])
    return _frame(raw, frame, marker_of_frame, position + 2, turned, b"".join(kept))


def _marker(raw: bytes, position: int) -> tuple[int, int]:
    """The next marker's code and the position after it; fill bytes before it are skipped."""
    gap = raw[position : position + _MAX_FILL]
    start = gap.find(b"\xff")
    code = gap[start:].lstrip(b"\xff") if start >= 0 else b""
    if not code:
        raise refuse("broken" if len(gap) == _MAX_FILL else "truncated", raw, "no marker where one belongs")
    return code[0], position + len(gap) - len(code) + 1


def _frame(raw: bytes, frame: bytes, marker: int, scan: int, turned: int, lean: bytes) -> JpegFrame:
    precision, height, width, components = struct.unpack_from(">BHHB", frame)
    sampling = frame[7::3][:components]
    if marker not in _DECODABLE or precision != 8:
        raise refuse("format", raw, f"JPEG of kind {marker:#x} with {precision} bits")
    if len(frame) != 6 + 3 * components or components not in (1, 3, 4) or not width or not height:
        raise refuse("broken", raw, "a frame header that contradicts itself")
    factors = [(s >> 4, s & 15) for s in sampling]
    if any(not 1 <= h <= 4 or not 1 <= v <= 4 for h, v in factors):
        raise refuse("broken", raw, "sampling factors out of range")
    widest, tallest = max(h for h, _ in factors), max(v for _, v in factors)
    across, down = -(-width // (8 * widest)), -(-height // (8 * tallest))
    blocks = sum(across * h * down * v for h, v in factors)
    # libjpeg reads a sequential file whose first scan holds all components row by row, and no scan after that one.
    sequential = marker in (0xC0, 0xC1, 0xC9) and raw[scan] == components
    plain = sequential and marker != 0xC9 and components != 4
    scans = 1 if sequential else _scans(raw, scan)
    return JpegFrame(width, height, components, plain, scans, 0 if sequential else blocks * 128, turned, lean)


def _scans(raw: bytes, position: int) -> int:
    """How many scans start from ``position - 2`` up to the end of the image."""
    scans = 1
    for found in _SCAN_OR_END.finditer(raw, position):
        if found[0] == b"\xff\xd9":
            break
        scans += 1
    return scans
