"""A real worker with tiny encoders, for tests that kill it: ``python -m tests.integration.tiny_worker LOG``.

Each encoded item takes ``TINY_SECONDS`` and is written to ``LOG`` when it is begun, so that work thrown away by a kill is counted too.
"""

from __future__ import annotations

import os
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


class _Tiny:
    """Every item has its own direction; ``poison`` in a text ends the process as a crash in native code would."""

    def __init__(self, log: Path, seconds: float) -> None:
        self._log = log
        self._seconds = seconds

    def _encode(self, names: Sequence[str]) -> FloatMatrix:
        for name in names:
            descriptor = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, f"{name}\n".encode())
            os.close(descriptor)
            if "poison" in name:
                os._exit(11)
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
    log, seconds = Path(sys.argv[1]), float(os.environ.get("TINY_SECONDS", "0.001"))
    TEXT_ENCODERS["tiny-text"] = lambda spec: TinyText(log, seconds)
    IMAGE_ENCODERS["tiny-image"] = lambda spec: TinyImage(log, seconds)
    start_worker(load_settings(text_encoder="tiny-text", image_encoder="tiny-image"), beat=True)


if __name__ == "__main__":
    main()
