"""The encoders by name. A new one is a function from its spec to the encoder and a line in a dict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeVar

from hybrid_search.encoders.base import ImageEncoder, TextEncoder
from hybrid_search.encoders.bert import TransformersTextEncoder
from hybrid_search.encoders.clip import ClipImageEncoder, ClipTextEncoder
from hybrid_search.encoders.e5 import E5Encoder
from hybrid_search.encoders.efficientnet import EfficientNetEncoder, EfficientNetLabEncoder
from hybrid_search.encoders.spec import EncoderSpec, parse_spec
from hybrid_search.encoders.use import UseEncoder
from hybrid_search.encoders.vision import TorchvisionImageEncoder
from hybrid_search.errors import EncoderError

E = TypeVar("E")


def _use(spec: EncoderSpec) -> TextEncoder:
    spec.expect(argument=None, options=())
    return UseEncoder()


def _e5(spec: EncoderSpec) -> TextEncoder:
    spec.expect(argument=None, options=())
    return E5Encoder()


def _efficientnet(spec: EncoderSpec) -> ImageEncoder:
    spec.expect(argument=None, options=())
    return EfficientNetEncoder()


def _efficientnet_lab(spec: EncoderSpec) -> ImageEncoder:
    spec.expect(argument=None, options=())
    return EfficientNetLabEncoder()


TEXT_ENCODERS: dict[str, Callable[[EncoderSpec], TextEncoder]] = {
    "offline-use": _use,
    "offline-e5": _e5,
    "open_clip": ClipTextEncoder,
    "transformers": TransformersTextEncoder,
}

IMAGE_ENCODERS: dict[str, Callable[[EncoderSpec], ImageEncoder]] = {
    "offline-efficientnet": _efficientnet,
    "offline-efficientnet-lab": _efficientnet_lab,
    "open_clip": ClipImageEncoder,
    "torchvision": TorchvisionImageEncoder,
}


@lru_cache(maxsize=32)
def text_encoder(spec: str) -> TextEncoder:
    """The text encoder that ``spec`` names (``hybrid_search.encoders.spec``); the same one for the same spec within a process.

    Weights load at the first encoding. Raises ``EncoderError`` for an unknown name, argument or option.
    """
    return _lookup(TEXT_ENCODERS, "text", spec)


@lru_cache(maxsize=32)
def image_encoder(spec: str) -> ImageEncoder:
    """The image encoder that ``spec`` names, as ``text_encoder`` does for texts."""
    return _lookup(IMAGE_ENCODERS, "image", spec)


def _lookup(known: Mapping[str, Callable[[EncoderSpec], E]], modality: str, text: str) -> E:
    spec = parse_spec(text)
    if spec.name not in known:
        raise EncoderError(
            f"Unknown {modality} encoder {spec.name!r}.", field=f"{modality}_encoder", value=text, remedy=f"Known: {', '.join(known)}."
        )
    return known[spec.name](spec)
