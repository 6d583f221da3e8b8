"""Scaled decoding of JPEGs against the usual full decode and resize: time per core, and what it does to an embedding.

    python benchmarks/image_decode.py [--data DIR] [--rounds 15] [--collages 200] [--json FILE]

Time: both ways end in the same square of 224 or 260 pixels. They run in turn (A B B A) in one process, processor time is taken, and the
full decode runs once more against itself as a control (A/A): its ratio says how far the others can be trusted. Fidelity: the cosine
between the offline image encoder's vectors (real weights) of both ways, on JPEG collages of 1000 to 3000 pixels made of real photos.
The photos come from ``clothing5k.tar.gz`` and ``grocery_img2prod.tar.gz`` in the folder of evaluation sets.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tarfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from hybrid_search.catalog.images import ImageIntake, ImageLimits
from hybrid_search.encoders.efficientnet import EfficientNetEncoder

SETS = ("clothing5k.tar.gz", "grocery_img2prod.tar.gz")
DATA = Path(os.environ.get("HYBRID_SEARCH_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
Work = Callable[[], Image.Image]


def photos(folder: Path, count: int) -> list[Image.Image]:
    """The first ``count`` pictures of each set."""
    found = []
    for name in SETS:
        with tarfile.open(folder / name) as archive:
            left = count
            for member in archive:
                if left and "/images/" in member.name and (file := archive.extractfile(member)) is not None:
                    found.append(Image.open(io.BytesIO(file.read())).convert("RGB"))
                    left -= 1
    return found


def jpeg(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def collage(pictures: list[Image.Image], width: int, height: int, tile: int, rng: np.random.Generator) -> Image.Image:
    """Photos side by side, each ``tile`` pixels wide and high."""
    page = Image.new("RGB", (width, height), (255, 255, 255))
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            photo = pictures[int(rng.integers(len(pictures)))]
            page.paste(photo.resize((tile, tile), Image.Resampling.LANCZOS), (left, top))
    return page


def full(raw: bytes, side: int) -> Image.Image:
    """The usual way."""
    return Image.open(io.BytesIO(raw)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)


def scaled(intake: ImageIntake, raw: bytes, side: int) -> Image.Image:
    return intake.decode(raw, min_side=side).resize((side, side), Image.Resampling.BICUBIC)


def seconds(work: Work, times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def versus(a: Work, b: Work, rounds: int) -> tuple[float, float, float]:
    """Seconds of ``a`` and of ``b``, and the median over the rounds of a / b, run A B B A."""
    a(), b()
    times = max(1, round(0.04 / seconds(a, 3)))
    rows = []
    for _ in range(rounds):
        first, second, third, fourth = seconds(a, times), seconds(b, times), seconds(b, times), seconds(a, times)
        rows.append((first + fourth, second + third))
    ratio = statistics.median(x / y for x, y in rows)
    return statistics.median(x for x, _ in rows) / 2, statistics.median(y for _, y in rows) / 2, ratio


def speed(pictures: list[Image.Image], intake: ImageIntake, rounds: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(1)
    rows: list[dict[str, object]] = []
    for size in (500, 1_000, 3_000):
        for name, tile in (("one photo", size), ("collage", 220)):
            raw = jpeg(collage(pictures, size, size, tile, rng), quality=85)
            control = versus(partial(full, raw, 224), partial(full, raw, 224), rounds)[2]
            for side in (224, 260):
                a, b, ratio = versus(partial(full, raw, side), partial(scaled, intake, raw, side), rounds)
                row = {"picture": f"{name} {size} px", "kilobytes": len(raw) // 1000, "side": side}
                rows.append(
                    row
                    | {"full_ms": round(1e3 * a, 2), "scaled_ms": round(1e3 * b, 2), "ratio": round(ratio, 2), "control": round(control, 2)}
                )
                print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    return rows


def fidelity(pictures: list[Image.Image], intake: ImageIntake, count: int) -> dict[str, float]:
    """Cosine between the vectors of the full and of the scaled decode."""
    rng = np.random.default_rng(2)
    encoder = EfficientNetEncoder()
    side = encoder.card.image_size
    cosines = []
    for number in range(count):
        width, height = (int(length) for length in rng.integers(1_000, 3_001, 2))
        page = collage(pictures, width, height, int(rng.choice((200, 330, 500, 1_000))), rng)
        raw = jpeg(page, quality=int(rng.integers(70, 96)), subsampling=int(rng.integers(0, 3)), progressive=number % 4 == 0)
        both = encoder.encode_documents([Image.open(io.BytesIO(raw)).convert("RGB"), intake.decode(raw, min_side=side)])
        cosines.append(float(both[0] @ both[1]))
    found = {"mean": np.mean(cosines), "percentile_1": np.percentile(cosines, 1), "least": np.min(cosines), "collages": count}
    return {name: round(float(value), 5) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--collages", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pictures = photos(options.data, 200)
    intake = ImageIntake(ImageLimits())
    report = {"speed": speed(pictures, intake, options.rounds), "fidelity": fidelity(pictures, intake, options.collages)}
    print(report["fidelity"])
    if options.json:
        options.json.write_text(json.dumps(report, indent=2))
    intake.close()


if __name__ == "__main__":
    main()
