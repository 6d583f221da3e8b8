"""CLIP's text tower on texts that are cut, not padded.

In a causal tower no token sees what follows it, and the vector is read at the end token: what stands behind it cannot change the result.
A tower that masks its padding allows the same. Towers that attend to their padding (SigLIP) keep it, because they were trained with it.
"""

from __future__ import annotations

from typing import Any


class ClipTextTower:
    """``model`` is what ``open_clip.create_model`` gives."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._tower = getattr(model, "text", model)
        self._pad = self._padding()
        self._cuts = self._is_causal() or self._pad is not None

    def lengths(self, tokens: Any) -> list[int]:
        """How many leading tokens of each row ``(n, context)`` must be computed."""
        if not self._cuts:
            return [int(tokens.shape[1])] * len(tokens)
        if self._pad is not None:
            return [max(1, int(n)) for n in (tokens != self._pad).sum(dim=1)]
        return [int(i) + 1 for i in self._end(tokens)]

    def forward(self, tokens: Any) -> Any:
        """Vectors ``(n, dim)`` of rows that are cut to a common length; not normalised."""
        if not self._cuts or self._pad is not None:
            return self._model.encode_text(tokens)
        tower, length = self._tower, tokens.shape[1]
        dtype = tower.transformer.get_cast_dtype()
        x = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[:length].to(dtype)
        x = tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask[:length, :length]))
        x = x[range(len(tokens)), self._end(tokens)]
        projection = tower.text_projection
        if projection is None:
            return x
        return projection(x) if callable(projection) else x @ projection

    def _end(self, tokens: Any) -> Any:
        if self._pool() == "eos":
            return (tokens == self._eos()).int().argmax(dim=-1)
        return tokens.argmax(dim=-1)  # the end token has the highest id

    def _pool(self) -> str:
        return str(getattr(self._tower, "text_pool_type", getattr(self._tower, "pool_type", "")))

    def _eos(self) -> Any:
        return getattr(self._tower, "text_eos_id", getattr(self._tower, "eos_id", None))

    def _is_causal(self) -> bool:
        tower = self._tower
        return (
            getattr(tower, "attn_mask", None) is not None and getattr(tower, "cls_emb", None) is None and self._pool() in ("argmax", "eos")
        )

    def _padding(self) -> int | None:
        """The padding token of a tower from ``transformers``, which masks it."""
        config = getattr(self._tower, "config", None)
        pad = getattr(config, "pad_token_id", None)
        return int(pad) if pad is not None else None
