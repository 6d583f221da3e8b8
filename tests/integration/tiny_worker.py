"""A real worker with tiny encoders, for tests that kill it: ``python -m tests.integration.tiny_worker LOG``.

Each encoded item takes ``TINY_SECONDS`` and is written to ``LOG`` when it is begun, so that work thrown away by a kill is counted too.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL.Image import Image

from hybrid_search.encoders.base import ModelCard
from hybrid_search.encoders.registry import IMAGE_ENCODERS, TEXT_ENCODERS
from hybrid_search.settings import load_settings
from hybrid_search.types import FloatMatrix
from tests.indexing_parts import DIM, direction
from workers.worker import start_worker

POISONS = ("poison", "endless", "greedy", "faulty")
"""First words of texts that crash their process, loop for ever, want 4 GB, raise."""
_GREED = 4_000_000_000


def _suffer(name: str) -> None:
    """What a text of one of ``POISONS`` does to whoever encodes it."""
    if "poison" in name:
        os._exit(11)
    while "endless" in name:
        pass
    if "greedy" in name:
        np.ones(_GREED, np.uint8)
    if "faulty" in name:
        raise ValueError("the model cannot read this")


class _Tiny:
    """Every item has its own direction, but for ``POISONS``."""

    def __init__(self, log: Path, seconds: float) -> None:
        self._log = log
        self._seconds = seconds

    def _encode(self, names: Sequence[str]) -> FloatMatrix:
        for name in names:
            descriptor = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, f"{name}\n".encode())
            os.close(descriptor)
            _suffer(name)
            time.sleep(self._seconds)
        return np.concatenate([direction(name) for name in names]) if names else np.zeros((0, DIM), np.float32)


class TinyText(_Tiny):
    card = ModelCard("tiny-text", DIM, "text", "CC0-1.0", "1")

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return self._encode(texts)

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        return self._encode(texts)


class TinyImage(_Tiny):
    card = ModelCard("tiny-image", DIM, "image", "CC0-1.0", "1", image_size=4)

    def encode_queries(self, images: Sequence[Image]) -> FloatMatrix:
        return self._encode([str(image.getpixel((0, 0))) for image in images])

    def encode_documents(self, images: Sequence[Image]) -> FloatMatrix:
        return self.encode_queries(images)


def main() -> None:
    if memory := int(os.environ.get("TINY_MEMORY", "0")):  # as the limit of a container would
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    log, seconds = Path(sys.argv[1]), float(os.environ.get("TINY_SECONDS", "0.001"))
    TEXT_ENCODERS["tiny-text"] = lambda spec: TinyText(log, seconds)
    IMAGE_ENCODERS["tiny-image"] = lambda spec: TinyImage(log, seconds)
    start_worker(load_settings(text_encoder="tiny-text", image_encoder="tiny-image"), beat=True)


if __name__ == "__main__":
    main()
