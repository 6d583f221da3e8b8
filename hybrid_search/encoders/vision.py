"""Image towers of ``torchvision`` (VGG, ResNet, ViT and the rest), cut at any layer, prepared as their weights' own metadata says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from hybrid_search.encoders.arrays import batches, normalised
from hybrid_search.encoders.base import ModelCard
from hybrid_search.encoders.checkpoints import read_state, revision_of
from hybrid_search.encoders.lazy import PerProcess
from hybrid_search.encoders.spec import EncoderSpec
from hybrid_search.encoders.torch_runtime import precision, single_process_torch
from hybrid_search.errors import EncoderError
from hybrid_search.types import FloatMatrix

OPTIONS = ("weights", "layer", "precision", "license")
BATCH = 16


@dataclass(frozen=True, slots=True)
class _Loaded:
    torch: Any
    tower: Any
    transforms: Any
    dtype: Any


class TorchvisionImageEncoder:
    """Pictures to what a layer of a classifier makes of them: a feature map by its mean, a row of tokens by its first (the class token).

    ``weights`` is one of torchvision's tags (downloaded at first use) or a local file; ``layer`` a module or node of the traced model, by
    default the input of the last linear layer.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        spec.expect(argument="model", options=OPTIONS)
        self._spec = spec
        self._weights = spec.options.get("weights", "")
        if not self._weights:
            raise EncoderError(
                f"The encoder {spec.text!r} names no weights.",
                value=spec.text,
                remedy=f"Write 'torchvision:{spec.argument}?weights=<file or DEFAULT>'.",
            )
        self._is_file = "/" in self._weights or Path(self._weights).suffix in (".safetensors", ".pt", ".pth")
        self._precision = precision(spec)
        self._model = PerProcess(self._load)
        self._card: ModelCard | None = None

    @property
    def card(self) -> ModelCard:
        """Facts from an empty copy of the model: no weights are loaded, but those of a local file are hashed."""
        if self._card is None:
            torch = single_process_torch()
            with torch.device("meta"), torch.inference_mode():
                model = self._build()
                size = self._transforms().crop_size[0]
                dim = _vector(self._cut(model)(torch.zeros(1, 3, size, size))).shape[1]
            revision = revision_of(Path(self._weights)) if self._is_file else self._weights
            layer = self._spec.options.get("layer", "")
            self._card = ModelCard(
                name=f"torchvision:{self._spec.argument}@{revision}" + (f"?layer={layer}" if layer else ""),
                dim=int(dim),
                modality="image",
                license=self._spec.options.get("license", "as its weights"),
                revision=revision,
                image_size=max(self._transforms().resize_size),
            )
        return self._card

    def encode_queries(self, images: Sequence[Image]) -> FloatMatrix:
        return self.encode_documents(images)

    def encode_documents(self, images: Sequence[Image]) -> FloatMatrix:
        rows = np.zeros((len(images), self.card.dim), dtype=np.float32)
        for part in batches(len(images), BATCH):
            loaded = self._model.get()
            pixels = loaded.torch.stack([loaded.transforms(image) for image in images[part]]).to(loaded.dtype)
            with loaded.torch.inference_mode():
                rows[part] = _vector(loaded.tower(pixels)).float().numpy()
        return normalised(rows)

    def _load(self) -> _Loaded:
        torch = single_process_torch()
        model = self._build()
        state = read_state(Path(self._weights)) if self._is_file else self._downloaded()
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise EncoderError(
                f"The weights {self._weights} do not fit {self._spec.argument!r}: {error}",
                value=self._spec.text,
                remedy="Name the model they are of.",
            ) from error
        dtype = torch.bfloat16 if self._precision == "bf16" else torch.float32
        return _Loaded(torch, self._cut(model.eval().requires_grad_(False)).to(dtype), self._transforms(), dtype)

    def _build(self) -> Any:
        from torchvision.models import get_model, list_models

        if self._spec.argument not in list_models():
            raise EncoderError(
                f"torchvision knows no model {self._spec.argument!r}.",
                value=self._spec.text,
                remedy="See torchvision.models.list_models().",
            )
        # Only the ViTs are built for one picture size, and it differs between their weights.
        size = {"image_size": self._tag().meta["min_size"][0]} if self._spec.argument.startswith("vit_") else {}
        return get_model(self._spec.argument, weights=None, **size).eval()

    def _tag(self) -> Any:
        """The weights that the tag names; for a local file the model's default ones, whose preprocessing it is taken to share."""
        from torchvision.models import get_model_weights

        known = get_model_weights(self._spec.argument)
        tag = "DEFAULT" if self._is_file else self._weights
        if tag not in known.__members__:
            raise EncoderError(
                f"{self._spec.argument!r} has no weights {tag!r}.", value=self._spec.text, remedy=f"Known: {', '.join(known.__members__)}."
            )
        return known[tag]

    def _transforms(self) -> Any:
        return self._tag().transforms()

    def _downloaded(self) -> Any:
        try:
            return self._tag().get_state_dict(check_hash=True)
        except (OSError, RuntimeError) as error:
            raise EncoderError(
                f"The weights {self._weights!r} of {self._spec.argument!r} cannot be had: {error}",
                value=self._spec.text,
                remedy="Give a local file.",
            ) from error

    def _cut(self, model: Any) -> Any:
        from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

        layer = self._spec.options.get("layer")
        if layer is None:
            return _without_classifier(model)
        nodes = get_graph_node_names(model)[1]
        if not any(node == layer or node.startswith(f"{layer}.") for node in nodes):
            known = ", ".join(dict.fromkeys(".".join(node.split(".")[:2]) for node in nodes))
            raise EncoderError(f"{self._spec.argument!r} has no layer {layer!r}.", value=self._spec.text, remedy=f"Its layers: {known}.")
        return create_feature_extractor(model, {layer: "features"})


def _without_classifier(model: Any) -> Any:
    """``model`` with its last linear layer replaced by nothing."""
    import torch

    name = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)][-1]
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, torch.nn.Identity())
    return model


def _vector(output: Any) -> Any:
    """``(n, dim)`` of a feature map ``(n, dim, height, width)`` or of tokens ``(n, tokens, dim)``."""
    features = output["features"] if isinstance(output, dict) else output
    if features.ndim == 4:
        return features.mean(dim=(2, 3))
    return features[:, 0] if features.ndim == 3 else features
