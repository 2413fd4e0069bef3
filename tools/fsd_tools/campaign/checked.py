"""A checked CEL expression as a tree, read from its protobuf bytes.

``cel.expr.CheckedExpr`` and ``ParsedExpr`` (cel-spec, ``proto/cel/expr/checked.proto`` and ``syntax.proto``) have no
Python package, so the few fields that matter are read from the wire here (protobuf encoding, "Message
structure"); unknown fields are skipped, unknown kinds of expression are refused by who reads the tree.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
MAX_TREE_DEPTH: Final = 200
"""CEL's parser stops at 250; a condition of ours is refused at much less."""


class CheckedExprError(Exception):
    """The bytes are not an expression that this reader knows."""


@dataclass(frozen=True, slots=True)
class Const:
    """A literal; None stands for those that conditions can't hold (null, uint, bytes)."""

    id: int
    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Ident:
    """A name; a checked expression has dotted names of variables in one piece."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.field``, or ``has(operand.field)``."""

    id: int
    operand: Expr
    field: str
    test_only: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator; a method's target is the first of ``args``."""

    id: int
    function: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """``[a, b]``."""

    id: int
    elements: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Comprehension:
    """What the macros ``exists``, ``all``, ``exists_one``, ``filter`` and ``map`` expand to."""

    id: int
    variable: str
    second_variable: str
    over: Expr
    init: Expr
    condition: Expr
    step: Expr
    result: Expr


@dataclass(frozen=True, slots=True)
class Other:
    """A map, a message, or nothing."""

    id: int


Expr = Const | Ident | Select | Call | ListOf | Comprehension | Other


@dataclass(frozen=True, slots=True)
class Tree:
    """An expression with where its parts stand."""

    root: Expr
    positions: dict[int, int]
    """Code point offset in the source, by id."""


def read_tree(data: bytes) -> Tree:
    """Read a serialised expression: a ``google.protobuf.Any`` of a checked or parsed one.

    Raises :class:`CheckedExprError`.
    """
    wrapped = dict(_fields(data))
    kind = _text(wrapped.get(1, b"")).rpartition(".")[2]
    expr_field, info_field = {"CheckedExpr": (4, 5), "ParsedExpr": (2, 3)}.get(kind, (0, 0))
    if not expr_field:
        raise CheckedExprError(f"not an expression but {kind!r}")
    fields = dict(_fields(_message(wrapped.get(2, b""))))
    positions: dict[int, int] = {}
    for number, value in _fields(_message(fields.get(info_field, b""))):
        if number == 4:  # map<int64, int32> positions
            entry = dict(_fields(_message(value)))
            positions[_int(entry.get(1, 0))] = _int(entry.get(2, 0))
    return Tree(_expr(_message(fields.get(expr_field, b"")), 0), positions)


def _expr(data: bytes, depth: int) -> Expr:
    if depth > MAX_TREE_DEPTH:
        raise CheckedExprError("nested too deep")
    at, kind, body = 0, 0, b""
    for number, value in _fields(data):
        if number == 2:
            at = _int(value)
        else:
            kind, body = number, _message(value)
    fields = list(_fields(body))
    one = dict(fields)
    if kind == 3:
        return Const(at, _constant(one))
    if kind == 4:
        return Ident(at, _text(one.get(1, b"")))
    if kind == 5:
        operand = _expr(_message(one.get(1, b"")), depth + 1)
        return Select(at, operand, _text(one.get(2, b"")), bool(one.get(3, 0)))
    if kind == 6:
        target = [value for number, value in fields if number == 1]
        args = target + [value for number, value in fields if number == 3]
        return Call(at, _text(one.get(2, b"")), tuple(_expr(_message(arg), depth + 1) for arg in args))
    if kind == 7:
        elements = (value for number, value in fields if number == 1)
        return ListOf(at, tuple(_expr(_message(element), depth + 1) for element in elements))
    return _comprehension(at, one, depth) if kind == 9 else Other(at)


def _comprehension(at: int, one: dict[int, bytes | int], depth: int) -> Comprehension:
    over, init, condition, step, result = (
        _expr(_message(one.get(number, b"")), depth + 1) for number in (2, 4, 5, 6, 7)
    )
    names = (_text(one.get(1, b"")), _text(one.get(8, b"")))
    return Comprehension(at, *names, over, init, condition, step, result)


def _constant(one: dict[int, bytes | int]) -> bool | int | float | str | None:
    for number, value in one.items():
        if number == 2:
            return bool(value)
        if number == 3:
            return _int(value)
        if number == 5:
            return float(struct.unpack("<d", _message(value))[0])
        if number == 6:
            return _text(value)
    return None


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """(field number, value): an int for varints, bytes for everything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in {_FIXED64, _FIXED32}:
            length = 8 if kind == _FIXED64 else 4
        else:
            raise CheckedExprError(f"wire type {kind} is not in use")
        if at + length > len(data):
            raise CheckedExprError("ends in the middle of a field")
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise CheckedExprError("ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise CheckedExprError("a number has more than ten bytes")


def _int(value: bytes | int) -> int:
    """A signed 64-bit varint: negative numbers are written as their two's complement."""
    if isinstance(value, bytes):
        raise CheckedExprError("expected a number")
    return value - 2**64 if value >= 2**63 else value


def _message(value: bytes | int) -> bytes:
    if isinstance(value, int):
        raise CheckedExprError("expected bytes")
    return value


def _text(value: bytes | int) -> str:
    return _message(value).decode("utf-8")
