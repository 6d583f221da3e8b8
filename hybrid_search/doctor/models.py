"""Whether the models are on this machine and load in time. They are loaded in a process of their own that may not download anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from hybrid_search.doctor.finding import Finding
from hybrid_search.settings import Settings

SLOW, TOO_SLOW = 30.0, 300.0
"""Seconds of loading that are warned of, and after which it is given up."""
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def check_models(settings: Settings) -> Iterator[Finding]:
    """Load both encoders and encode one thing with each."""
    for modality, spec in (("text", settings.text_encoder), ("image", settings.image_encoder)):
        yield _check(modality, spec)


def _check(modality: str, spec: str) -> Finding:
    name = f"models.{modality}"
    command = [sys.executable, "-m", "hybrid_search.doctor.models", modality, spec]
    try:
        done = subprocess.run(command, env={**os.environ, **_OFFLINE}, capture_output=True, text=True, timeout=TOO_SLOW)
    except subprocess.TimeoutExpired:
        return Finding(name, "fail", f"{spec} did not load within {TOO_SLOW:.0f} s.", "Look at the disk and the memory of this machine.")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1][:300]
        return Finding(
            name,
            "fail",
            f"{spec} cannot be used without a download: {reason}",
            "Put its weights on this machine before it serves (docs/encoders.md).",
        )
    told = json.loads(done.stdout.splitlines()[-1])
    shown = f"{spec} loads in {told['seconds']:.1f} s and gives {told['dim']} numbers"
    if told["seconds"] > SLOW:
        return Finding(name, "warn", f"{shown}: slow.", "Keep the weights on a local disk.")
    return Finding(name, "ok", f"{shown}.")


def main(modality: str, spec: str) -> None:
    """Load, encode, print time and dimension as JSON."""
    from PIL import Image

    from hybrid_search.encoders.registry import image_encoder, text_encoder

    started = time.perf_counter()
    picture = Image.new("RGB", (64, 64), "red")
    found = text_encoder(spec).encode_queries(["a red mug"]) if modality == "text" else image_encoder(spec).encode_queries([picture])
    print(json.dumps({"seconds": time.perf_counter() - started, "dim": int(found.shape[1])}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
