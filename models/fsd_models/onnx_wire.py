"""The few ONNX messages that we write ourselves, and the parts of those that others wrote, in protobuf's wire format.

Field numbers are those of ``onnx.proto3``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

FLOAT = 1
ATTRIBUTE_INTS = 7

WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_32 = 0, 1, 2, 5


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


def fields(message: bytes) -> Iterator[tuple[int, bytes, bytes | None]]:
    """Number, whole bytes and, where it holds some, the body of each field, in order: the bytes together are the message.

    Raises ValueError where it is none.
    """
    at = 0
    while at < len(message):
        key, body = read_varint(message, at)
        wire = key & 7
        if wire == WIRE_VARINT:
            _, end = read_varint(message, body)
        elif wire in {WIRE_64, WIRE_32}:
            end = body + (8 if wire == WIRE_64 else 4)
        elif wire == WIRE_BYTES:
            size, body = read_varint(message, body)
            end = body + size
        else:
            raise ValueError(f"byte {at}: no field begins here")
        if end > len(message):
            raise ValueError(f"byte {at}: the field ends behind the message")
        yield key >> 3, message[at:end], message[body:end] if wire == WIRE_BYTES else None
        at = end


def read_varint(message: bytes, at: int) -> tuple[int, int]:
    """The base-128 number at ``at`` and where it ends. Raises ValueError where it doesn't."""
    value = 0
    for place, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError(f"byte {at}: a number without an end")
