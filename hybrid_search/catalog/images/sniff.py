"""What a file says of itself in its first bytes."""

from __future__ import annotations


def sniff(raw: bytes) -> str | None:
    """The format that the first bytes announce: ``JPEG``, ``PNG``, ``WEBP``, ``GIF``, ``AVIF``, or ``None``."""
    if raw[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if raw[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if raw[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "WEBP"
    if raw[4:8] == b"ftyp" and _brands(raw) & {b"avif", b"avis"}:
        return "AVIF"
    return None


def _brands(raw: bytes) -> set[bytes]:
    """Major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3)."""
    end = min(int.from_bytes(raw[:4], "big"), 256)
    return {raw[8:12], *(raw[start : start + 4] for start in range(16, end, 4))}


def webp_size(raw: bytes) -> tuple[int, int] | None:
    """Width and height of the canvas that a WEBP file announces (RFC 9649); ``None`` where the header is damaged."""
    kind, body = raw[12:16], raw[20:30]
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None
