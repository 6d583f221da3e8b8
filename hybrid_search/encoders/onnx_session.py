"""ONNX Runtime sessions: one place for their threading, and a folder of graphs that need not be built twice."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hybrid_search.encoders.lazy import threads
from hybrid_search.errors import EncoderError


def default_cache_dir() -> Path:
    """``$XDG_CACHE_HOME/hybrid-search``, or ``~/.cache/hybrid-search`` (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hybrid-search"


def cached_model(key: str, build: Callable[[], bytes], cache_dir: Path | None = None) -> bytes:
    """The ONNX model that ``build`` makes, from ``cache_dir`` when an earlier call with this ``key`` left it there.

    ``key`` names weights and builder version; files appear whole or not at all. A folder that cannot be written only costs the building.
    """
    path = (cache_dir or default_cache_dir()) / f"{key}.onnx"
    try:
        return path.read_bytes()
    except OSError:
        model = build()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".onnx-", delete=False) as file:
            file.write(model)
        os.replace(file.name, path)
    except OSError:
        return model
    return model


def session(model: bytes, name: str) -> Any:
    """An ``onnxruntime.InferenceSession`` on the processor with ``threads()`` threads. Raises ``EncoderError`` when it is refused."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exception classes share no public base
        raise EncoderError(f"ONNX Runtime refuses the model {name!r}: {error}", value=name, remedy="Update onnxruntime.") from error
