"""CLIP and its kin through ``open_clip``: words and pictures in one space, any architecture, local checkpoint or hub id.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021). Both towers of one model are loaded once.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from PIL.Image import Image

from hybrid_search.encoders.arrays import batches, by_length, normalised
from hybrid_search.encoders.base import ModelCard
from hybrid_search.encoders.checkpoints import revision_of
from hybrid_search.encoders.clip_text import ClipTextTower
from hybrid_search.encoders.lazy import PerProcess
from hybrid_search.encoders.spec import EncoderSpec
from hybrid_search.encoders.torch_runtime import precision, single_process_torch
from hybrid_search.errors import EncoderError
from hybrid_search.types import FloatMatrix, Modality

OPTIONS = ("pretrained", "precision", "license", "languages")
TEXT_BATCH_TOKENS = 2048
IMAGE_BATCH = 16


@dataclass(frozen=True, slots=True)
class _Source:
    """What to load: ``architecture`` may carry open_clip's schemas ``hf-hub:`` and ``local-dir:``; ``pretrained`` is a tag or a file."""

    architecture: str
    pretrained: str
    precision: str

    def revision(self) -> str:
        if self.architecture.startswith("local-dir:"):
            return revision_of(Path(self.architecture.removeprefix("local-dir:")))
        is_file = "/" in self.pretrained or Path(self.pretrained).suffix in (".pt", ".pth", ".bin", ".safetensors")
        return revision_of(Path(self.pretrained)) if is_file else self.pretrained

    def name(self) -> str:
        architecture = "local" if self.architecture.startswith("local-dir:") else self.architecture
        return f"open_clip:{architecture}@{self.revision()}" if self.revision() else f"open_clip:{architecture}"


@dataclass(frozen=True, slots=True)
class _Loaded:
    torch: Any
    model: Any
    preprocess: Any
    tokenizer: Any
    text: ClipTextTower
    dtype: Any


class _ClipTower:
    def __init__(self, spec: EncoderSpec, modality: Modality) -> None:
        spec.expect(argument="architecture", options=OPTIONS)
        self._source = _Source(spec.argument, spec.options.get("pretrained", ""), precision(spec))
        if ":" not in spec.argument and not self._source.pretrained:
            raise EncoderError(
                f"The encoder {spec.text!r} names no weights.",
                value=spec.text,
                remedy=f"Write 'open_clip:{spec.argument}?pretrained=<tag or file>', or an architecture 'hf-hub:…' or 'local-dir:…'.",
            )
        self._spec = spec
        self._modality: Modality = modality
        self._model = _shared(self._source)
        self._card: ModelCard | None = None

    @property
    def card(self) -> ModelCard:
        """Facts from the architecture's configuration; reading them loads no weights, but hashes those of a local checkpoint."""
        if self._card is None:
            config = _configuration(self._source.architecture)
            size = config["vision_cfg"].get("image_size", 224)
            is_text = self._modality == "text"
            self._card = ModelCard(
                name=self._source.name(),
                dim=config["embed_dim"],
                modality=self._modality,
                license=self._spec.options.get("license", "as its weights"),
                revision=self._source.revision(),
                languages=tuple(filter(None, self._spec.options.get("languages", "").split(","))) if is_text else (),
                image_size=0 if is_text else max(size) if isinstance(size, list) else size,
                max_tokens=config["text_cfg"].get("context_length", 77) if is_text else 0,
            )
        return self._card


class ClipTextEncoder(_ClipTower):
    """Words in the pictures' space. Texts are cut after their end token instead of padded, and batched with others of their length."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(spec, "text")

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return self.encode_documents(texts)

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        rows = np.zeros((len(texts), self.card.dim), dtype=np.float32)
        if not texts:
            return rows
        loaded = self._model.get()
        tokens = loaded.tokenizer([text.encode("utf-8", "ignore").decode() for text in texts])
        lengths = loaded.text.lengths(tokens)
        for group in by_length(lengths, int, TEXT_BATCH_TOKENS):
            with loaded.torch.inference_mode():
                rows[group] = loaded.text.forward(tokens[group, : lengths[group[-1]]]).float().numpy()
        return normalised(rows)


class ClipImageEncoder(_ClipTower):
    """Pictures in the words' space, prepared as the model's own configuration says."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(spec, "image")

    def encode_queries(self, images: Sequence[Image]) -> FloatMatrix:
        return self.encode_documents(images)

    def encode_documents(self, images: Sequence[Image]) -> FloatMatrix:
        rows = np.zeros((len(images), self.card.dim), dtype=np.float32)
        for part in batches(len(images), IMAGE_BATCH):
            loaded = self._model.get()
            pixels = loaded.torch.stack([loaded.preprocess(image) for image in images[part]]).to(loaded.dtype)
            with loaded.torch.inference_mode():
                rows[part] = loaded.model.encode_image(pixels).float().numpy()
        return normalised(rows)


@lru_cache(maxsize=8)
def _shared(source: _Source) -> PerProcess[_Loaded]:
    return PerProcess(lambda: _load(source))


def _load(source: _Source) -> _Loaded:
    torch = single_process_torch()
    import open_clip

    try:
        model, _, preprocess = open_clip.create_model_and_transforms(
            source.architecture, pretrained=source.pretrained or None, precision=source.precision, weights_only=True
        )
        tokenizer = open_clip.get_tokenizer(source.architecture)
    except Exception as error:  # open_clip raises RuntimeError, OSError, KeyError and the hub client's own kinds alike
        raise EncoderError(
            f"open_clip cannot load {source.name()!r}: {error}",
            value=source.architecture,
            remedy="Check architecture and weights; without internet access, give a local checkpoint.",
        ) from error
    model.eval().requires_grad_(False)
    dtype = torch.bfloat16 if source.precision == "bf16" else torch.float32
    return _Loaded(torch, model, preprocess, tokenizer, ClipTextTower(model), dtype)


@lru_cache(maxsize=32)
def _configuration(architecture: str) -> dict[str, Any]:
    """An architecture's ``model_cfg``, read without importing ``open_clip`` (and with it torch) where it is one of its own."""
    if architecture.startswith("local-dir:"):
        return _model_cfg(Path(architecture.removeprefix("local-dir:")) / "open_clip_config.json")
    if architecture.startswith("hf-hub:"):
        from open_clip import download_pretrained_from_hf

        return _model_cfg(Path(download_pretrained_from_hf(architecture.removeprefix("hf-hub:"), filename="open_clip_config.json")))
    found = importlib.util.find_spec("open_clip")
    if found is None or not found.origin:
        raise EncoderError("open_clip is not installed.", value=architecture, remedy="Install it: pip install open_clip_torch.")
    folder = Path(found.origin).parent / "model_configs"
    path = folder / f"{architecture.replace('/', '-')}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("ViT-*.json"))[:8])
        raise EncoderError(f"open_clip knows no architecture {architecture!r}.", value=architecture, remedy=f"It knows {known} and others.")
    return dict(orjson.loads(path.read_bytes()))


def _model_cfg(path: Path) -> dict[str, Any]:
    try:
        return dict(orjson.loads(path.read_bytes())["model_cfg"])
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(
            f"{path} is no open_clip configuration: {error}.", value=path, remedy="Save the model with open_clip's push tools."
        ) from error
