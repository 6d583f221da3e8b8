"""Whether an ImageNet network sees what the demo's pictures show: the share of same-kind pictures among the five nearest neighbours.

    python benchmarks/demo_neighbours.py [FOLDER]

Encodes every main picture of the demo catalogue (drawn into FOLDER, or a temporary one) with ``offline-efficientnet``; neighbours by cosine,
once among all pictures and once without the variants of a picture's own design.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from hybrid_search.demo.catalogue import write_demo_catalogue
from hybrid_search.demo.catalogue.plan import plan
from hybrid_search.encoders.registry import image_encoder

K = 5


def main(folder: Path) -> None:
    write_demo_catalogue(folder)
    shown = {planned.pictures[0][0]: planned.kind.code for planned in plan(7)}
    names = list(shown)
    kinds = np.array(list(shown.values()))
    designs = np.array([name.removesuffix(".jpg")[:-1] for name in names])
    encoder = image_encoder("offline-efficientnet")
    vectors = encoder.encode_documents([Image.open(folder / name).convert("RGB") for name in names])
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    for title, masked in (("all pictures", scores), ("without own design", np.where(designs[:, None] == designs[None, :], -2, scores))):
        same = kinds[np.argsort(-masked, axis=1)[:, :K]] == kinds[:, None]
        worst = sorted((float(same[kinds == kind].mean()), kind) for kind in set(kinds.tolist()))[:4]
        print(f"{title:20} {same.mean():.3f}   lowest: {', '.join(f'{kind} {share:.2f}' for share, kind in worst)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
