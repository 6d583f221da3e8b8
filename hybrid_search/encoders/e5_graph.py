"""The BERT encoder of multilingual E5 small as an ONNX graph over its 4-bit weights.

ONNX Runtime's ``MatMulNBits`` multiplies by the packed weights as they are and keeps activations in float32: one passage costs a quarter of
what the package's own engine takes, its vector does not depend on its neighbours, and nothing is lost to 8-bit activations.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hybrid_search.encoders.e5_weights import BLOCK, E5Weights, Quantised
from hybrid_search.encoders.onnx_graph import Graph

_FUSED = "com.microsoft"


def build_graph(weights: E5Weights) -> bytes:
    """The ONNX model. Inputs: ``words`` ``(n, length, 384)`` float32, embedded tokens; ``mask`` ``(n, length)`` int32, 1 for a token and 0 for
    padding; ``pool`` ``(n, 1, length)`` float32, the weight of each token in the mean. Output ``(n, 1, 384)``, not normalised."""
    graph = Graph("multilingual-e5-small")
    hidden = weights.vectors["emb.ln.w"].size
    x = graph.input("words", ("n", "length", hidden))
    mask = graph.input("mask", ("n", "length"), "int32")
    pool = graph.input("pool", ("n", 1, "length"))
    scale, shift = _vector(graph, weights, "emb.ln.w"), _vector(graph, weights, "emb.ln.b")
    x = graph.node("LayerNormalization", x, scale, shift, attributes={"epsilon": weights.epsilon, "axis": -1})
    for layer in range(weights.layers):
        x = _layer(graph, weights, x, mask, f"l{layer}")
    return graph.model(graph.node("MatMul", pool, x), ("n", 1, hidden))


def _layer(graph: Graph, weights: E5Weights, x: str, mask: str, layer: str) -> str:
    query, key, value = (_multiply(graph, weights, x, f"{layer}.{part}.w") for part in "qkv")
    bias = graph.constant(f"{layer}.qkv.b", np.concatenate([weights.vectors[f"{layer}.{part}.b"] for part in "qkv"]))
    attended = graph.node("MultiHeadAttention", query, key, value, bias, mask, domain=_FUSED, attributes={"num_heads": weights.heads})
    x = _add_and_normalise(graph, weights, _multiply(graph, weights, attended, f"{layer}.ao.w"), x, f"{layer}.aln", f"{layer}.ao.b")
    inner = graph.node("BiasGelu", _multiply(graph, weights, x, f"{layer}.fi.w"), _vector(graph, weights, f"{layer}.fi.b"), domain=_FUSED)
    return _add_and_normalise(graph, weights, _multiply(graph, weights, inner, f"{layer}.fo.w"), x, f"{layer}.oln", f"{layer}.fo.b")


def _add_and_normalise(graph: Graph, weights: E5Weights, x: str, skip: str, norm: str, bias: str) -> str:
    vectors = (_vector(graph, weights, name) for name in (f"{norm}.w", f"{norm}.b", bias))
    return graph.node("SkipLayerNormalization", x, skip, *vectors, domain=_FUSED, attributes={"epsilon": weights.epsilon})


def _vector(graph: Graph, weights: E5Weights, name: str) -> str:
    return graph.constant(name, weights.vectors[name])


def _multiply(graph: Graph, weights: E5Weights, x: str, name: str) -> str:
    matrix = weights.matrices[name]
    rows, blocks, _ = matrix.nibbles.shape
    inputs = (graph.constant(name, interleaved(matrix)), graph.constant(f"{name}.scales", matrix.scales.astype(np.float32).reshape(-1)))
    sizes = {"K": blocks * BLOCK, "N": rows, "bits": 4, "block_size": BLOCK, "accuracy_level": 0}
    return graph.node("MatMulNBits", x, *inputs, domain=_FUSED, attributes=sizes)


def interleaved(matrix: Quantised) -> npt.NDArray[np.uint8]:
    """The nibbles as ``MatMulNBits`` reads them, two neighbouring weights to a byte: ``(rows, blocks, 16)``."""
    nibbles = np.concatenate([matrix.nibbles & 15, matrix.nibbles >> 4], axis=-1)
    return np.asarray(nibbles[..., 0::2] | nibbles[..., 1::2] << 4, dtype=np.uint8)
