"""The one thing of EXIF that matters here: which way up the picture is."""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
_SHORT = 3


def orientation(tiff: bytes) -> int:
    """The orientation, 1 to 8, of an EXIF block (a TIFF header and its first directory); 1 where it is absent or damaged.

    Source: EXIF 2.32, sections 4.5 and 4.6.4.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(tiff[:4]))
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, offset)
        for entry in range(count):
            tag, kind, length = struct.unpack_from(f"{order}HHI", tiff, offset + 2 + 12 * entry)
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(f"{order}H", tiff, offset + 2 + 12 * entry + 8)
                return int(value) if kind == _SHORT and length == 1 and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
