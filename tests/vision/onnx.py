"""Small ONNX models, made byte by byte, since nothing that writes ONNX is installed."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    return _number(number << 3 | 2) + _number(len(value)) + value


def _tensor_type(name: str, shape: Sequence[int]) -> bytes:
    sizes = b"".join(_field(1, _field(1, size)) for size in shape)
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, 1) + _field(2, sizes)))


def _node(kind: str, inputs: Sequence[str], output: str) -> bytes:
    names = b"".join(_field(1, name.encode()) for name in inputs)
    return _field(1, names + _field(2, output.encode()) + _field(4, kind.encode()))


def averages(side: int, weights: Sequence[float], softmax: bool = True) -> bytes:
    """A classifier of [1, 3, side, side]: a class's score is the mean of all samples times its weight."""
    classes = len(weights)
    constant = _field(1, 1) + _field(1, classes) + _field(2, 1) + _field(8, b"w")
    constant += _field(9, struct.pack(f"<{classes}f", *weights))
    nodes = _node("GlobalAveragePool", ["input"], "pooled") + _node("Flatten", ["pooled"], "flat")
    ones = (
        _field(1, 3) + _field(1, 1) + _field(2, 1) + _field(8, b"third") + _field(9, struct.pack("<3f", *[1 / 3] * 3))
    )
    nodes += _node("MatMul", ["flat", "third"], "grey") + _node(
        "MatMul", ["grey", "w"], "scores" if softmax else "prob"
    )
    if softmax:
        nodes += _node("Softmax", ["scores"], "prob")
    graph = nodes + _field(2, b"g") + _field(5, constant) + _field(5, ones)
    graph += _field(11, _tensor_type("input", [1, 3, side, side])) + _field(12, _tensor_type("prob", [1, classes]))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(2, 13))
