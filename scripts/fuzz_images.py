"""Throws hostile files at the image intake and counts what happens.

    python scripts/fuzz_images.py                              # 200 bombs and 20,000 mutated files, the full counts
    python scripts/fuzz_images.py --bombs 40 --mutants 500     # a quick look

A bomb is a small file that claims or holds far more than it should; a mutated file is a valid one with damaged bytes. Everything must
end in a picture or in a refusal with a known reason code. Exit code 1 when anything crashed, took over 2 s, or needed over 200 MB
beside what the two processes held before. Files are made in one process and decoded in another, so that the making costs no memory
there; memory is the peak resident size of the decoding process and of its children, read from /proc (Linux only).
"""

from __future__ import annotations

import argparse
import io
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from hybrid_search.catalog.images import REASONS, ImageIntake, ImageLimits
from hybrid_search.errors import ImageError

MAX_SECONDS = 2.0
MAX_EXTRA = 200e6
Named = tuple[str, bytes]
Bomb = tuple[str, Callable[[], bytes]]


# --- bombs -----------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def zeros(count: int) -> bytes:
    """``count`` zero bytes as a zlib stream, put together from one deflated mebibyte."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = packer.compress(bytes(count & 0xFFFFF)) + packer.flush()
    checksum = (count % 65_521) << 16 | 1  # Adler-32 of nothing but zeros
    return b"\x78\xda" + block * (count >> 20) + rest + struct.pack(">I", checksum)


def png(width: int, height: int, depth: int, colour: int, count: int, *, extra: bytes = b"", interlace: int = 0) -> bytes:
    """A PNG whose pixels are ``count`` zero bytes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + header + extra + palette + chunk(b"IDAT", zeros(count)) + chunk(b"IEND", b"")


def png_with(kind: bytes, head: bytes, count: int, repeats: int) -> bytes:
    """A little PNG with chunks that hold ``count`` deflated zero bytes each."""
    return png(64, 64, 8, 2, 64 * 193, extra=chunk(kind, head + zeros(count)) * repeats)


def png_bombs() -> Iterator[Bomb]:
    for colour, channels in {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.items():
        for side in (6_000, 12_000, 20_000, 30_000, 65_000):
            whole = (side * channels + 1) * side
            yield f"png_{colour}_{side}", partial(png, side, side, 8, colour, whole if whole < 500_000_000 else 1 << 24)
    most = 2**31 - 1
    for width, height in ((most, 1), (1, most), (most, most), (65_535, 65_535), (10**6, 100), (100, 10**6), (0, 0), (0, 9), (2**32 - 1, 7)):
        yield f"png_claims_{width}x{height}", partial(png, width, height, 8, 2, 1 << 20)
    for side in (9_900, 40_000, 100_000):
        yield f"png_bit_{side}", partial(png, side, side, 1, 0, (side // 8 + 2) * min(side, 20_000))
    for side in (7_000, 16_000):
        yield f"png_deep_{side}", partial(png, side, side, 16, 0, (2 * side + 1) * side)
        yield f"png_interlaced_{side}", partial(png, side, side, 8, 0, (side + 8) * side, interlace=1)
    yield "png_edge_rgb", partial(png, 5_770, 5_770, 8, 2, (3 * 5_770 + 1) * 5_770)
    yield "png_edge_rgba", partial(png, 5_000, 5_000, 8, 6, 20_001 * 5_000)
    yield "png_edge_grey", partial(png, 10_000, 10_000, 8, 0, 10_001 * 10_000)
    yield "png_edge_palette", partial(png, 10_000, 10_000, 8, 3, 10_001 * 10_000)
    yield "png_edge_deep", partial(png, 7_071, 7_071, 16, 0, 14_143 * 7_071)
    yield "png_edge_line", partial(png, 10**7, 2, 8, 2, 60_000_002)
    yield "png_too_much_data", partial(png, 64, 64, 8, 2, 1 << 30)
    yield "png_profile", partial(png_with, b"iCCP", b"p\0\0", 1 << 29, 1)
    yield "png_text", partial(png_with, b"zTXt", b"Comment\0\0", 1 << 29, 1)
    yield "png_unicode_text", partial(png_with, b"iTXt", b"Comment\0\1\0\0\0", 1 << 29, 1)
    yield "png_many_texts", partial(png_with, b"zTXt", b"k\0\0", 1_000_000, 400)
    yield "png_many_chunks", partial(png, 64, 64, 8, 2, 64 * 193, extra=chunk(b"tEXt", b"k\0v") * 200_000)
    yield "png_animated", partial(png, 64, 64, 8, 2, 64 * 193, extra=chunk(b"acTL", struct.pack(">II", most, 0)))


def gif(screen: tuple[int, int], frame: tuple[int, int], body: bytes, *, extra: bytes = b"") -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0xF0, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + extra + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02" + body + b"\0;"


def gif_bombs() -> Iterator[Bomb]:
    blocks = b"\xfe" + b"\x44" * 254
    for screen in ((65_535, 65_535), (30_000, 30_000), (10_000, 10_000), (9, 9), (65_535, 3), (1, 65_535)):
        for frame in ((65_535, 65_535), (20_000, 20_000), (9, 9)):
            yield f"gif_{screen[0]}x{screen[1]}_{frame[0]}", partial(gif, screen, frame, blocks * 40)
    yield "gif_comments", partial(gif, (64, 64), (64, 64), blocks, extra=(b"!\xfe\xff" + b"c" * 255 + b"\0") * 30_000)
    yield "gif_flat", partial(flat, "P", 8_000, "GIF")
    yield "gif_frames", partial(frames, "GIF", 200, 100)
    for disposal in (0, 1, 2, 3):
        control = b"!\xf9\x04" + bytes([disposal << 2 | 1]) + b"\0\0\0\0"
        yield f"gif_disposal_{disposal}", partial(gif, (64, 64), (50_000, 50_000), blocks * 40, extra=control)


def flat(mode: str, side: int, form: str, **options: object) -> bytes:
    return saved(Image.new(mode, (side, side), 90 if mode in "LP" else (90,) * len(mode)), form, **options)


def frames(form: str, side: int, count: int, **options: object) -> bytes:
    colours = [Image.new("RGB", (side, side), (i % 250, 9, 0)) for i in range(count)]
    return saved(colours[0], form, save_all=True, append_images=colours[1:], **options)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def webp(kind: bytes, body: bytes, more: bytes = b"") -> bytes:
    inner = b"WEBP" + kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1) + more
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def webp_bombs() -> Iterator[Bomb]:
    for side in (2_500, 3_400, 3_600, 3_700, 6_000):
        for lossless in (False, True):
            yield f"webp_flat_{side}_{lossless}", partial(flat, "RGB", side, "WEBP", lossless=lossless, method=0)
    small = saved(Image.new("RGB", (64, 64), (9, 200, 90)), "WEBP")
    for side in (16_383, 16_384, 1 << 24):
        size = (side - 1).to_bytes(3, "little")
        for flags in (0, 0x02, 0x10, 0x12):
            yield f"webp_canvas_{side}_{flags}", partial(webp, b"VP8X", bytes([flags, 0, 0, 0]) + size + size, small[12:])
    yield "webp_lossless_claims", partial(webp, b"VP8L", b"\x2f" + struct.pack("<I", 16_383 | 16_383 << 14) + bytes(40))
    yield "webp_lossy_claims", lambda: small[:26] + struct.pack("<HH", 16_383, 16_383) + small[30:]
    yield "webp_frames", partial(frames, "WEBP", 400, 60, method=0)
    yield "webp_exif", partial(flat, "RGB", 64, "WEBP", exif=b"Exif\0\0" + bytes(8_000_000))


def avif_bombs() -> Iterator[Bomb]:
    small = saved(Image.new("RGB", (64, 64), (9, 200, 90)), "AVIF", speed=10)
    at = small.index(b"ispe") + 8
    most = 2**32 - 1
    for width, height in ((65_535, 65_535), (most, most), (30_000, 30_000), (16_384, 16_384), (5_000, 5_000), (0, 0), (1, 2**31)):
        yield f"avif_claims_{width}x{height}", partial(bytes, small[:at] + struct.pack(">II", width, height) + small[at + 8 :])
    for side in (3_000, 4_000, 4_500, 5_500):
        yield f"avif_flat_{side}", partial(flat, "RGB", side, "AVIF", speed=10)
    yield "avif_alpha_3000", partial(flat, "RGBA", 3_000, "AVIF", speed=10, subsampling="4:4:4")
    yield "avif_frames", partial(frames, "AVIF", 300, 40, speed=10)
    yield "avif_boxes", partial(bytes, small[:32] + (struct.pack(">I", 8) + b"free") * 500_000 + small[32:])
    nested = b""
    for _ in range(2_000):
        nested = struct.pack(">I", 12 + len(nested)) + b"meta" + bytes(4) + nested
    yield "avif_nested", partial(bytes, small[:32] + nested + small[32:])


def jpeg_resized(raw: bytes, width: int, height: int) -> bytes:
    """The same bytes with another size in the frame header."""
    at = next(raw.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in raw)
    return raw[: at + 5] + struct.pack(">HH", height, width) + raw[at + 9 :]


def jpeg_bombs() -> Iterator[Bomb]:
    base = saved(Image.new("RGB", (64, 64), (200, 90, 9)), "JPEG")
    slow = saved(Image.new("RGB", (64, 64), (200, 90, 9)), "JPEG", progressive=True)
    wide, tall = (
        ((65_535, 65_535), (65_535, 3_000), (65_500, 3_050), (65_535, 446)),
        ((14_142, 14_142), (3_000, 65_535), (1, 65_535), (2, 65_535)),
    )
    for width, height in (*wide, *tall, (0, 0), (64, 0)):
        yield f"jpeg_claims_{width}x{height}", partial(jpeg_resized, base, width, height)
        yield f"jpeg_progressive_claims_{width}x{height}", partial(jpeg_resized, slow, width, height)
    yield "jpeg_grey_200mp", partial(flat, "L", 14_142, "JPEG")
    yield "jpeg_grey_200mp_turned", lambda: with_exif(flat("L", 14_142, "JPEG"), 6)
    for side in (2_000, 4_000, 6_000, 8_000):
        yield f"jpeg_progressive_{side}", partial(flat, "RGB", side, "JPEG", progressive=True)
        for repeats in (10, 50, 2_000):
            yield f"jpeg_scans_{side}_{repeats}", partial(scans, side, repeats)
    yield "jpeg_scans_small", partial(more_scans, slow, 60_000)
    yield "jpeg_rgb_64mp", partial(flat, "RGB", 8_000, "JPEG")
    yield "jpeg_rgb_64mp_turned", lambda: with_exif(flat("RGB", 8_000, "JPEG"), 8)
    yield "jpeg_cmyk_36mp", partial(flat, "CMYK", 6_000, "JPEG")
    tables = base[base.index(b"\xff\xdb") : base.index(b"\xff\xc0")]
    yield "jpeg_many_tables", partial(bytes, base[:2] + tables * 40_000 + base[2:])
    yield "jpeg_many_comments", partial(bytes, base[:2] + b"\xff\xfe\0\x04ab" * 500_000 + base[2:])
    yield "jpeg_fill_bytes", partial(bytes, base[:2] + b"\xff" * 9_000_000 + base[2:])
    yield "jpeg_junk", partial(bytes, base[:2] + bytes(9_000_000) + base[2:])
    yield "jpeg_tail", partial(bytes, base + bytes(9_900_000))
    yield "jpeg_restarts", partial(bytes, base[:-2] + b"\xff\xd0" * 4_000_000 + base[-2:])


def with_exif(raw: bytes, orientation: int) -> bytes:
    return raw[:2] + exif_segment(orientation) + raw[2:]


def exif_segment(orientation: int) -> bytes:
    body = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def scans(side: int, repeats: int) -> bytes:
    return more_scans(flat("RGB", side, "JPEG", progressive=True), repeats)


def more_scans(progressive: bytes, repeats: int) -> bytes:
    """A progressive JPEG whose last scan (a refinement, legal any number of times for most decoders) comes ``repeats`` times."""
    last = progressive.rindex(b"\xff\xda")
    return progressive[:last] + (progressive[last:-2] * repeats)[:9_500_000] + b"\xff\xd9"


def stranger_bombs() -> Iterator[Bomb]:
    """Formats that Pillow would read, and files that are none."""
    tile = Image.new("RGB", (64, 64))
    for form in ("BMP", "TIFF", "PPM", "TGA", "ICO", "PCX", "SGI", "DIB", "JPEG2000", "ICNS", "EPS", "PDF", "MSP", "XBM", "IM", "SPIDER"):
        image = tile.convert("1") if form in ("MSP", "XBM") else tile.convert("F") if form == "SPIDER" else tile
        yield f"format_{form}", partial(saved, image, form)
    for name, raw in {
        "ppm": b"P6 99999 99999 255\n" + bytes(99),
        "svg": b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><svg>&b;</svg>',
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n{ } loop\n",
        "gzip": b"\x1f\x8b\x08" + bytes(7) + zeros(1 << 28),
        "zip": b"PK\3\4" + bytes(60),
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90),
        "html": b"<html><body>404</body></html>",
        "zeros": bytes(9_999_999),
        "one": b"\xff",
        "jpeg_start": b"\xff\xd8\xff",
        "png_start": b"\x89PNG\r\n\x1a\n",
        "gif_start": b"GIF89a",
        "webp_start": b"RIFF\xff\xff\xff\xffWEBP",
        "avif_start": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
        "icns": b"icns\x7f\xff\xff\xff" + bytes(64),
        "psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 4, 30_000, 30_000, 8, 3) + bytes(99),
        "tiff": b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHII", 256, 4, 1, 2**31) + struct.pack("<HHII", 257, 4, 1, 2**31) + bytes(99),
        "jxl": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40),
    }.items():
        yield f"format_{name}", partial(bytes, raw)


BOMBS: tuple[Callable[[], Iterator[Bomb]], ...] = (png_bombs, gif_bombs, webp_bombs, avif_bombs, jpeg_bombs, stranger_bombs)


# --- mutated files ---------------------------------------------------------------------------------------------------


def seeds() -> list[Named]:
    """Valid little files of every format and of the kinds that take other ways through the decoders."""
    x, y = np.meshgrid(np.arange(160), np.arange(120))
    noise = np.random.default_rng(7).integers(0, 90, (120, 160))
    rgb = Image.fromarray(np.stack([x + noise, y + noise, 200 - y], axis=-1).clip(0, 255).astype(np.uint8))
    rgba = rgb.copy()
    rgba.putalpha(rgb.convert("L"))
    deep = Image.fromarray((x * 300 + y).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[str, Image.Image, str, dict[str, object]]] = [
        ("jpeg", rgb, "JPEG", {}),
        ("jpeg_444", rgb, "JPEG", {"subsampling": 0, "quality": 95, "exif": exif.tobytes()}),
        ("jpeg_progressive", rgb, "JPEG", {"progressive": True}),
        ("jpeg_grey", rgb.convert("L"), "JPEG", {}),
        ("jpeg_cmyk", rgb.convert("CMYK"), "JPEG", {}),
        ("jpeg_restarts", rgb, "JPEG", {"restart_marker_blocks": 3}),
        ("png", rgb, "PNG", {}),
        ("png_alpha", rgba, "PNG", {"exif": exif.tobytes()}),
        ("png_palette", rgb.convert("P"), "PNG", {"transparency": 3}),
        ("png_bits", rgb.convert("1"), "PNG", {}),
        ("png_deep", deep, "PNG", {}),
        ("gif", rgb.convert("P"), "GIF", {}),
        ("gif_frames", rgb.convert("P"), "GIF", {"save_all": True, "append_images": [rgb.rotate(90).convert("P")]}),
        ("webp", rgb, "WEBP", {}),
        ("webp_lossless", rgba, "WEBP", {"lossless": True}),
        ("webp_alpha", rgba, "WEBP", {"exif": exif.tobytes()}),
        ("webp_frames", rgb, "WEBP", {"save_all": True, "append_images": [rgb.rotate(9)]}),
        ("avif", rgb, "AVIF", {"speed": 10}),
        ("avif_alpha", rgba, "AVIF", {"speed": 10, "exif": exif.tobytes()}),
        ("avif_frames", rgb, "AVIF", {"speed": 10, "save_all": True, "append_images": [rgb.rotate(9)]}),
    ]
    return [(name, saved(image, form, **options)) for name, image, form, options in kinds]


WORDS = [
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\xff\xff",
    b"\0\0",
    b"\x7f\xff",
    b"\x80\0",
    b"\0\1",
    b"\x10\0\0\0",
]


def mutated(raw: bytes, other: bytes, rng: random.Random) -> bytes:
    """``raw`` after one to eight random injuries; the headers are hurt as often as the rest."""
    file = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        end = min(len(file), 200) if rng.random() < 0.5 else len(file)
        at = rng.randrange(max(1, end))
        match rng.randrange(8):
            case 0:
                file[at : at + 1] = bytes([file[at] ^ 1 << rng.randrange(8)]) if at < len(file) else b"\0"
            case 1:
                file[at : at + 1] = rng.randbytes(1)
            case 2:
                word = rng.choice(WORDS)
                file[at : at + len(word)] = word
            case 3:
                del file[at : at + rng.choice((1, 2, 4, 16, 200))]
            case 4:
                file[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16, 200)))
            case 5:
                piece = file[at : at + rng.choice((4, 16, 64, 500))]
                file[at:at] = piece * rng.choice((1, 2, 9))
            case 6:
                start = rng.randrange(len(other))
                file[at : at + 64] = other[start : start + rng.choice((8, 64, 400))]
            case _:
                if rng.random() < 0.3:
                    del file[at + 20 :]
                else:
                    file[at : at + 8] = bytes(b ^ 0xFF for b in file[at : at + 8])
        if not file:
            file = bytearray(raw[:9])
    return checksummed(bytes(file)) if rng.random() < 0.7 else bytes(file)


def checksummed(raw: bytes) -> bytes:
    """A PNG with right checksums again, so that damage reaches the code behind them; other files as they are."""
    if raw[:4] != b"\x89PNG":
        return raw
    out, at = [raw[:8]], 8
    while at + 12 <= len(raw):
        length = int.from_bytes(raw[at : at + 4], "big")
        if at + 12 + length > len(raw):
            break
        out.append(chunk(raw[at + 4 : at + 8], raw[at + 8 : at + 8 + length]))
        at += 12 + length
    return b"".join([*out, raw[at:]])


# --- decoding them ---------------------------------------------------------------------------------------------------


class Gauge:
    """Peak resident memory of this process and its children beyond what they held when it was last set."""

    def __init__(self) -> None:
        self._before: dict[int, float] = {}

    def set(self) -> None:
        self._before = {pid: field(pid, "VmRSS") for pid in family()}
        for pid in self._before:
            with open(f"/proc/{pid}/clear_refs", "w") as file:
                file.write("5")

    def extra(self, fresh: float) -> float:
        """Bytes; a child born since then counts with what exceeds ``fresh``, its size before its first picture."""
        return sum(max(0.0, field(pid, "VmHWM") - self._before.get(pid, fresh)) for pid in family())


def family() -> list[int]:
    return [own(), *(int(pid) for pid in Path(f"/proc/{own()}/task/{own()}/children").read_text().split())]


def own() -> int:
    return int(Path("/proc/self").resolve().name)


def field(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0.0)


def decode_all(files: Iterator[tuple[str, bytes, int]]) -> dict[str, object]:
    """Decodes every file and reports outcomes, crashes, the slowest and the largest."""
    intake = ImageIntake(ImageLimits())
    intake.decode(saved(Image.new("RGB", (9, 9)), "PNG"))
    fresh = max(field(pid, "VmRSS") for pid in family()[1:])
    gauge, outcomes, crashes = Gauge(), Counter[str](), []
    slowest, largest, count = (0.0, ""), (0.0, ""), 0
    for name, raw, min_side in files:
        count += 1
        gauge.set()
        start = time.perf_counter()
        try:
            image = intake.decode(raw, min_side=min_side)
            outcome = "picture" if image.mode == "RGB" and min(image.size) > 0 else "crash"
        except ImageError as err:
            outcome = err.reason if err.reason in REASONS else "crash"
        except Exception as err:  # what this script looks for
            outcome = "crash"
            crashes.append(f"{name}: {type(err).__name__}: {err}")
        seconds = time.perf_counter() - start
        outcomes[outcome] += 1
        slowest = max(slowest, (seconds, name))
        largest = max(largest, (gauge.extra(fresh), name))
        if outcome in ("decoder_died", "decode_timeout", "decode_memory"):
            print(f"  {name}: {outcome} after {seconds:.2f} s", file=sys.stderr)
    intake.close()
    return {
        "files": count,
        "crashes": outcomes["crash"],
        "crash_list": crashes[:20],
        "slowest_seconds": round(slowest[0], 3),
        "slowest": slowest[1],
        "extra_megabytes": round(largest[0] / 1e6, 1),
        "largest": largest[1],
        "outcomes": dict(outcomes.most_common()),
    }


def stored(folder: Path) -> Iterator[tuple[str, bytes, int]]:
    for path in sorted(folder.iterdir()):
        for min_side in (224, 0):
            yield f"{path.name}@{min_side}", path.read_bytes(), min_side


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes, int]]:
    rng = random.Random(seed)
    known = seeds()
    for number in range(count):
        name, raw = known[number % len(known)]
        yield f"{name}#{number}", mutated(raw, rng.choice(known)[1], rng), rng.choice((0, 32, 100))


def make_bombs(folder: Path, count: int) -> int:
    """Writes up to ``count`` bombs, evenly from all kinds; returns how many."""
    named = [bomb for kind in BOMBS for bomb in kind()]
    chosen = named if count >= len(named) else [named[i * len(named) // count] for i in range(count)]
    for name, make in chosen:
        (folder / name).write_bytes(make())
    return len(chosen)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bombs", type=int, default=10_000, help="at most so many bombs (default: all there are)")
    parser.add_argument("--mutants", type=int, default=20_000, help="so many mutated files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_bombs(options.make, options.bombs)
        return 0
    with tempfile.TemporaryDirectory() as name:
        subprocess.run([sys.executable, __file__, "--make", name, "--bombs", str(options.bombs)], check=True)
        report = {"bombs": decode_all(stored(Path(name))), "mutants": decode_all(mutants(options.mutants, options.seed))}
    print(json.dumps(report, indent=2))
    good = all(
        part["crashes"] == 0
        and float(str(part["slowest_seconds"])) <= MAX_SECONDS
        and float(str(part["extra_megabytes"])) <= MAX_EXTRA / 1e6
        for part in report.values()
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
