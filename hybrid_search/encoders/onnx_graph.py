"""Writes an ONNX model as bytes: just enough of the format for the graphs built here, without the ``onnx`` package.

Field numbers are those of ``onnx.proto`` (ONNX IR version 9); the wire format is protocol buffers', encoded by hand.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Attribute: TypeAlias = int | float | str | Sequence[int]
Shape: TypeAlias = Sequence[int | str]
"""Sizes, or names for the ones that vary from call to call."""

_ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_ATTRIBUTE_FLOAT, _ATTRIBUTE_INT, _ATTRIBUTE_STRING, _ATTRIBUTE_INTS = 1, 2, 3, 7
_IR_VERSION = 9


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers travel as 64-bit two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _message(field: int, payload: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(payload)) + payload


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _attribute(name: str, value: Attribute) -> bytes:
    out = _text(1, name)
    if isinstance(value, int):
        return out + _integer(3, value) + _integer(20, _ATTRIBUTE_INT)
    if isinstance(value, float):
        return out + _varint(2 << 3 | _FIXED32) + struct.pack("<f", value) + _integer(20, _ATTRIBUTE_FLOAT)
    if isinstance(value, str):
        return out + _text(4, value) + _integer(20, _ATTRIBUTE_STRING)
    return out + b"".join(_integer(8, v) for v in value) + _integer(20, _ATTRIBUTE_INTS)


def _tensor(name: str, array: npt.NDArray[Any]) -> bytes:
    dims = b"".join(_integer(1, size) for size in array.shape)
    return dims + _integer(2, _ELEMENT_TYPES[array.dtype.name]) + _text(8, name) + _message(9, np.ascontiguousarray(array).tobytes())


def _value(name: str, shape: Shape, dtype: str) -> bytes:
    dims = b"".join(_message(1, _text(2, size) if isinstance(size, str) else _integer(1, size)) for size in shape)
    tensor_type = _integer(1, _ELEMENT_TYPES[dtype]) + _message(2, dims)
    return _text(1, name) + _message(2, _message(1, tensor_type))


class Graph:
    """A graph under construction: add constants and nodes in order, then take the bytes."""

    def __init__(self, name: str, *, opset: int = 17) -> None:
        self._name = name
        self._opset = opset
        self._nodes: list[bytes] = []
        self._constants: dict[str, bytes] = {}
        self._inputs: list[bytes] = []

    def input(self, name: str, shape: Shape, dtype: str = "float32") -> str:
        self._inputs.append(_value(name, shape, dtype))
        return name

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """A fixed tensor under ``name``; float64 is stored as float32. Naming one twice keeps the first."""
        if name not in self._constants:
            self._constants[name] = _tensor(name, array.astype(np.float32) if array.dtype == np.float64 else array)
        return name

    def node(self, op: str, *inputs: str, domain: str = "", attributes: Mapping[str, Attribute] | None = None) -> str:
        """Adds one operator with one output and gives that output's name."""
        output = f"{op.lower()}_{len(self._nodes)}"
        parts = [_text(1, name) for name in inputs] + [_text(2, output), _text(3, output), _text(4, op)]
        parts += [_message(5, _attribute(name, value)) for name, value in (attributes or {}).items()]
        self._nodes.append(b"".join(parts) + (_text(7, domain) if domain else b""))
        return output

    def model(self, output: str, shape: Shape) -> bytes:
        """The finished model whose only result is ``output``, float32."""
        graph = b"".join(_message(1, node) for node in self._nodes) + _text(2, self._name)
        graph += b"".join(_message(5, tensor) for tensor in self._constants.values())
        graph += b"".join(_message(11, value) for value in self._inputs) + _message(12, _value(output, shape, "float32"))
        opsets = _message(8, _text(1, "") + _integer(2, self._opset)) + _message(8, _text(1, "com.microsoft") + _integer(2, 1))
        return _integer(1, _IR_VERSION) + _message(7, graph) + opsets
