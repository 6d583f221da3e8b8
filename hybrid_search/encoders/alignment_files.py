"""An alignment on disk: ``alignment.safetensors`` and, written last, ``alignment.json`` with what is known of it."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from pathlib import Path

import orjson

from hybrid_search.encoders.alignment import AlignmentMap
from hybrid_search.errors import EncoderError

FORMAT = 1
_TENSORS, _CARD = "alignment.safetensors", "alignment.json"


def save(alignment: AlignmentMap, folder: Path) -> None:
    """Writes both files into ``folder`` (made if missing); a reader sees the old alignment or the new one, or is told that they do not match."""
    from safetensors.numpy import save as serialised

    folder.mkdir(parents=True, exist_ok=True)
    tensors = serialised({"centers": alignment.centers, "matrices": alignment.matrices, "directions": alignment.directions})
    card = {
        "format": FORMAT,
        "image_model": alignment.image_model,
        "text_model": alignment.text_model,
        "feature_dim": alignment.feature_dim,
        "dim": alignment.dim,
        "alpha": alignment.alpha,
        "pairs": alignment.pairs,
        "recall@10": alignment.recall,
        "mrr": alignment.mrr,
        "created": alignment.created.isoformat(),
        "sha256": hashlib.sha256(tensors).hexdigest(),
    }
    _replace(folder / _TENSORS, tensors)
    _replace(folder / _CARD, orjson.dumps(card, option=orjson.OPT_INDENT_2))


def load(folder: Path) -> AlignmentMap:
    """The alignment that ``save`` wrote. Raises ``EncoderError`` when a file is missing, damaged or of another format."""
    from safetensors.numpy import load as parsed

    try:
        card = orjson.loads((folder / _CARD).read_bytes())
        tensors = (folder / _TENSORS).read_bytes()
        if card["format"] != FORMAT or card["sha256"] != hashlib.sha256(tensors).hexdigest():
            raise ValueError("the two files do not belong together")
        arrays = parsed(tensors)
        return AlignmentMap(
            image_model=card["image_model"],
            text_model=card["text_model"],
            alpha=card["alpha"],
            pairs=card["pairs"],
            recall=card["recall@10"],
            mrr=card["mrr"],
            created=datetime.fromisoformat(card["created"]),
            centers=arrays["centers"],
            matrices=arrays["matrices"],
            directions=arrays["directions"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(f"No usable alignment in {folder}: {error}.", field="alignment", value=folder, remedy="Fit it again.") from error


def to_bytes(folder: Path) -> bytes:
    """Both files that ``save`` wrote as one string, for ``from_bytes``. Raises ``OSError``."""
    return orjson.dumps(orjson.loads((folder / _CARD).read_bytes())) + b"\n" + (folder / _TENSORS).read_bytes()


def from_bytes(content: bytes, folder: Path) -> None:
    """Write the two files that ``to_bytes`` read; ``load`` checks them. Raises ``OSError``."""
    card, _, tensors = content.partition(b"\n")
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / _TENSORS, tensors)
    _replace(folder / _CARD, card)


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    os.replace(draft, path)
