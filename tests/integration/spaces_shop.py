"""The product's own worker, API and commands with tiny encoders: ``python -m tests.integration.spaces_shop worker|api|cli …``.

Settings name ``tiny-text``; a second text model, ``tiny-two``, can be made from the spec ``tiny:two`` and is in nobody's settings. A query
that is a product's text meets it at cosine 1.0 by the first model and at 0.8 by the second: an answer shows which one made it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hybrid_search.bootstrap import Services
from hybrid_search.encoders.base import ModelCard
from hybrid_search.encoders.registry import IMAGE_ENCODERS, TEXT_ENCODERS
from hybrid_search.settings import Settings, load_settings
from hybrid_search.types import FloatMatrix
from tests.indexing_parts import DIM, direction
from tests.integration.tiny_worker import TinyImage, TinyText

SECOND_COSINE = 0.8


def second_document(text: str) -> FloatMatrix:
    """``(1, DIM)``: where the second model puts a product's text."""
    return direction(f"second {text}")


def second_query(text: str) -> FloatMatrix:
    """``(1, DIM)`` at cosine ``SECOND_COSINE`` of ``second_document``."""
    to, aside = second_document(text)[0], direction(f"aside {text}")[0]
    aside = aside - (aside @ to) * to
    aside /= np.linalg.norm(aside)
    query = SECOND_COSINE * to + np.sqrt(1 - SECOND_COSINE**2) * aside
    return np.asarray(query[None, :], dtype=np.float32)


class SecondText(TinyText):
    card = ModelCard("tiny-two", DIM, "text", "CC0-1.0", "1")

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return np.concatenate([second_query(text) for text in texts]) if texts else np.zeros((0, DIM), np.float32)

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        return np.concatenate([second_document(text) for text in texts]) if texts else np.zeros((0, DIM), np.float32)


def register() -> None:
    log = Path(os.environ["TINY_LOG"])
    TEXT_ENCODERS["tiny-text"] = lambda spec: TinyText(log, 0.001)
    TEXT_ENCODERS["tiny"] = lambda spec: SecondText(log, 0.001)
    IMAGE_ENCODERS["tiny-image"] = lambda spec: TinyImage(log, 0.001)


def build_services(settings: Settings) -> Services:
    from hybrid_search.bootstrap import build

    register()
    return build(settings, follow=True)


def main() -> None:
    register()
    role = sys.argv.pop(1)
    if role == "worker":
        from workers.worker import start_worker

        start_worker(load_settings(), beat=True)
    elif role == "api":
        from hybrid_search.api.server import serve

        serve(load_settings(), build_services=build_services)
    else:
        from hybrid_search.cli import main as command

        command()


if __name__ == "__main__":
    main()
