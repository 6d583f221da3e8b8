"""Weights on disk: who they are, and how to read them without running what is inside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from hybrid_search.errors import EncoderError

_WEIGHT_FILES = ("*.safetensors", "*.bin", "*.pt", "*.pth")


def revision_of(path: Path) -> str:
    """12 hex digits of the SHA-256 of a weight file, or of the weight files of a folder: equal for equal weights, wherever they lie.

    Raises ``EncoderError`` when there are none.
    """
    files = sorted(file for pattern in _WEIGHT_FILES for file in path.glob(pattern)) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise EncoderError(f"No weights at {path}.", value=path, remedy="Name a checkpoint file, or a folder that holds one.")
    digests = [_digest(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return digests[0][:12] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()[:12]


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_state(path: Path) -> Mapping[str, Any]:
    """A state dict of torch tensors, from safetensors or from a torch file read with ``weights_only=True``.

    Raises ``EncoderError`` when the file is missing, damaged, or holds more than tensors.
    """
    import torch
    from safetensors.torch import load_file

    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both libraries raise their own kinds for damaged files, without a public base
        raise EncoderError(f"The weights {path} cannot be read: {error}", value=path, remedy="Give a safetensors file.") from error
    inner = state.get("state_dict", state) if isinstance(state, Mapping) else None
    if not isinstance(inner, Mapping):
        raise EncoderError(f"The weights {path} are no state dict.", value=path, remedy="Save model.state_dict() as safetensors.")
    return {name.removeprefix("module."): tensor for name, tensor in inner.items()}
