"""Small models with seeded random weights, saved the way real checkpoints are: they prove shapes and conventions, not meaning."""

from __future__ import annotations

from pathlib import Path

import orjson
import torch
from safetensors.torch import save_file

SEED = 11
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "red",
    "shoe",
    "running",
    "jacket",
    "##s",
    "a",
    "water",
    "##proof",
    "2",
    "usb",
    "cable",
]

CLIP_CONFIG = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 3},
}
PREPROCESS = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28], "interpolation": "bicubic", "resize_mode": "shortest"}


def bert_folder(folder: Path) -> Path:
    """A two-layer BERT with 32 hidden units."""
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, max_position_embeddings=128
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def clip_folder(folder: Path) -> Path:
    """A CLIP with two image layers and three causal text layers, in open_clip's own folder format."""
    import open_clip

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_bytes(orjson.dumps({"model_cfg": CLIP_CONFIG, "preprocess_cfg": PREPROCESS}))
    torch.manual_seed(SEED)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    # The tower starts with weights so small that all texts look alike; larger ones tell them apart.
    state = {name: (tensor * 3 if tensor.ndim > 1 else tensor).contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def resnet_file(path: Path) -> Path:
    """ResNet-18 with random weights."""
    from torchvision.models import resnet18

    torch.manual_seed(SEED)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(resnet18(weights=None).state_dict(), path)
    return path
