"""Text towers of the BERT family through ``transformers``, from a local folder or a hub id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import orjson

from hybrid_search.encoders.arrays import by_length, normalised
from hybrid_search.encoders.base import ModelCard
from hybrid_search.encoders.checkpoints import revision_of
from hybrid_search.encoders.lazy import PerProcess
from hybrid_search.encoders.spec import EncoderSpec
from hybrid_search.encoders.torch_runtime import precision, single_process_torch
from hybrid_search.errors import EncoderError
from hybrid_search.types import FloatMatrix

OPTIONS = ("pooling", "query_prefix", "document_prefix", "max_length", "revision", "precision", "license", "languages")
POOLINGS = ("mean", "cls", "pooler")
DEFAULT_MAX_LENGTH = 256
BATCH_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class _Loaded:
    torch: Any
    model: Any
    tokenizer: Any


class TransformersTextEncoder:
    """Texts to the mean of the last layer over their tokens, to its first token (``cls``), or to the model's own pooled output.

    ``query_prefix`` and ``document_prefix`` are put in front as the model was trained; texts are cut at ``max_length`` tokens.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        spec.expect(argument="folder or hub id", options=OPTIONS)
        self._spec = spec
        self._path = Path(spec.argument)
        self._pooling = spec.choice("pooling", POOLINGS, "mean")
        self._max_length = spec.integer("max_length", DEFAULT_MAX_LENGTH)
        self._precision = precision(spec)
        self._model = PerProcess(self._load)
        self._card: ModelCard | None = None

    @property
    def card(self) -> ModelCard:
        if self._card is None:
            revision = revision_of(self._path) if self._path.is_dir() else self._spec.options.get("revision", "main")
            choices = {"pooling": self._pooling, "max_length": str(self._max_length)}
            choices |= {key: self._spec.options[key] for key in ("query_prefix", "document_prefix") if self._spec.options.get(key)}
            self._card = ModelCard(
                name=f"transformers:{self._path.name if self._path.is_dir() else self._spec.argument}@{revision}?{urlencode(choices)}",
                dim=self._hidden_size(),
                modality="text",
                license=self._spec.options.get("license", "as its weights"),
                revision=revision,
                languages=tuple(filter(None, self._spec.options.get("languages", "").split(","))),
                max_tokens=self._max_length,
            )
        return self._card

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        prefix = self._spec.options.get("query_prefix", "")
        return self._encode([prefix + text for text in texts])

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        prefix = self._spec.options.get("document_prefix", "")
        return self._encode([prefix + text for text in texts])

    def _encode(self, texts: Sequence[str]) -> FloatMatrix:
        rows = np.zeros((len(texts), self.card.dim), dtype=np.float32)
        if not texts:
            return rows
        loaded = self._model.get()
        clean = [text.encode("utf-8", "ignore").decode() for text in texts]
        tokens = loaded.tokenizer(clean, truncation=True, max_length=self._max_length)["input_ids"]
        for group in by_length(tokens, len, BATCH_TOKENS):
            batch = loaded.tokenizer.pad({"input_ids": [tokens[i] for i in group]}, padding=True, return_tensors="pt")
            with loaded.torch.inference_mode():
                rows[group] = self._pooled(loaded.model(**batch), batch["attention_mask"]).float().numpy()
        return normalised(rows)

    def _pooled(self, output: Any, mask: Any) -> Any:
        if self._pooling == "pooler":
            if getattr(output, "pooler_output", None) is None:
                raise EncoderError(
                    f"{self._spec.argument!r} has no pooled output.", value=self._spec.text, remedy="Use pooling=mean or pooling=cls."
                )
            return output.pooler_output
        if self._pooling == "cls":
            return output.last_hidden_state[:, 0]
        weights = mask.unsqueeze(-1).to(output.last_hidden_state.dtype)
        return (output.last_hidden_state * weights).sum(dim=1) / weights.sum(dim=1)

    def _load(self) -> _Loaded:
        torch = single_process_torch()
        from transformers import AutoModel, AutoTokenizer

        where = {"local_files_only": True} if self._path.is_dir() else {"revision": self._spec.options.get("revision", "main")}
        dtype = torch.bfloat16 if self._precision == "bf16" else torch.float32
        try:
            tokenizer = AutoTokenizer.from_pretrained(self._spec.argument, **where)
            # Pickled weights are read by transformers with weights_only=True; code from a hub repository is never run.
            model = AutoModel.from_pretrained(self._spec.argument, dtype=dtype, trust_remote_code=False, **where)
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise EncoderError(
                f"transformers cannot load {self._spec.argument!r}: {error}",
                value=self._spec.text,
                remedy="Name a folder with config.json, tokenizer and weights, or a hub id that can be reached.",
            ) from error
        model.eval().requires_grad_(False)
        return _Loaded(torch, model, tokenizer)

    def _hidden_size(self) -> int:
        if self._path.is_dir():
            try:
                return int(orjson.loads((self._path / "config.json").read_bytes())["hidden_size"])
            except (OSError, ValueError, KeyError) as error:
                raise EncoderError(
                    f"{self._path} has no usable config.json: {error}.", value=self._path, remedy="Name a model folder."
                ) from error
        return int(self._model.get().model.config.hidden_size)
