"""The few ONNX messages that we write ourselves, in protobuf's wire format.

Field numbers are those of ``onnx.proto3``.
"""

from __future__ import annotations

from collections.abc import Sequence

FLOAT = 1
ATTRIBUTE_INTS = 7


def varint(value: int) -> bytes:
    """A base-128 number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A field that holds a whole number."""
    return varint(field << 3) + varint(value)


def block(field: int, data: bytes | str) -> bytes:
    """A field that holds text, bytes or a message."""
    raw = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def node(op: str, inputs: Sequence[str], output: str, **ints: Sequence[int]) -> bytes:
    """A ``NodeProto`` with one output and attributes that are lists of integers."""
    named = b"".join(block(1, name) for name in inputs) + block(2, output) + block(4, op)
    for name, values in ints.items():
        listed = b"".join(number(8, value) for value in values)
        named += block(5, block(1, name) + listed + number(20, ATTRIBUTE_INTS))
    return named


def value(name: str, shape: Sequence[int]) -> bytes:
    """A ``ValueInfoProto`` of a float tensor."""
    dims = b"".join(block(1, number(1, size)) for size in shape)
    return block(1, name) + block(2, block(1, number(1, FLOAT) + block(2, dims)))
