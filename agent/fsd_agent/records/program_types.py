"""Type rules of programs: what each node takes and gives, its level, and how deep it lies.

A node's arguments are earlier nodes, so one pass from first to last finds every type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from fsd_agent.records.nodes import (
    ARITHMETIC,
    COMPARISONS,
    EQUALITIES,
    FIELDS,
    INT_LIMIT,
    LOOPS,
    MAX_TEXT,
    MAX_WINDOW_NS,
    MODES,
    NAMED,
    OPTIONAL_FIELDS,
    SIGNALS,
    TEMPORAL,
    WINDOWED,
    LiteralValue,
    Node,
    Op,
    ProgramError,
    ValueType,
)

_NAMED_TYPES: Final = {
    Op.MODE: ValueType.BOOL,
    Op.ZONE: ValueType.BOOL,
    Op.HEAD: ValueType.DOUBLE,
    Op.SEEN: ValueType.INT,
}
_LEAVES: Final = SIGNALS | NAMED | {Op.LITERAL, Op.FIELD, Op.HAS, Op.DETECTIONS}
_NUMBERS: Final = frozenset({ValueType.INT, ValueType.DOUBLE})


def depths(nodes: Sequence[Node]) -> list[int]:
    """Length of the longest chain of arguments below each node. Raises :class:`ProgramError` on a bad position."""
    found: list[int] = []
    for at, node in enumerate(nodes):
        if any(not 0 <= arg < at for arg in node.args):
            raise ProgramError(f"node {at} ({node.op}): an argument is not an earlier node")
        found.append(1 + max((found[arg] for arg in node.args), default=0))
    return found


def written_out(nodes: Sequence[Node]) -> int:
    """Operations of the result where what is shared is written out wherever it is used.

    A temporal node is a leaf of what is above it: its result is kept, and it is computed apart.
    """
    sizes: list[int] = []
    apart = 0
    for node in nodes:
        size = 1 + sum(sizes[arg] for arg in node.args)
        apart += size if node.op in TEMPORAL else 0
        sizes.append(1 if node.op in TEMPORAL else size)
    return apart + sizes[-1]


def temporal_levels(nodes: Sequence[Node]) -> list[int]:
    """How many temporal nodes lie on the longest chain that ends at each node, itself included."""
    found: list[int] = []
    for node in nodes:
        below = max((found[arg] for arg in node.args), default=0)
        found.append(below + (node.op in TEMPORAL))
    return found


def infer(nodes: Sequence[Node]) -> list[tuple[ValueType, bool]]:
    """Type and box level of each node, whose arguments are earlier nodes. Raises :class:`ProgramError`."""
    found: list[tuple[ValueType, bool]] = []
    for at, node in enumerate(nodes):
        try:
            _check_window(node)
            found.append(_leaf(node) if node.op in _LEAVES else _typed(node, nodes, found))
        except ProgramError as error:
            raise ProgramError(f"node {at} ({node.op}): {error}") from None
    return found


def _leaf(node: Node) -> tuple[ValueType, bool]:
    value = node.value
    if node.args:
        raise ProgramError("takes no arguments")
    if node.op is Op.LITERAL:
        return _literal(value), False
    if node.op is Op.DETECTIONS:
        _no_value(node)
        return ValueType.LIST, False
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise ProgramError("needs a name")
    if node.op is Op.FIELD and value in FIELDS:
        return FIELDS[value], True
    if node.op is Op.HAS and value in OPTIONAL_FIELDS:
        return ValueType.BOOL, True
    if node.op in SIGNALS:
        return (ValueType.BOOL if node.op is Op.SIGNAL_BOOL else ValueType.DOUBLE), False
    if node.op is Op.MODE and value not in MODES:
        raise ProgramError(f"no such drive mode: {value!r}; there is {', '.join(MODES)}")
    if node.op in _NAMED_TYPES:
        return _NAMED_TYPES[node.op], False
    raise ProgramError(f"no such field: {value!r}")


def _check_window(node: Node) -> None:
    if node.op in WINDOWED:
        if not 1 <= node.window_ns <= MAX_WINDOW_NS:
            raise ProgramError(
                f"a window of {node.window_ns} ns; 1 ns to {MAX_WINDOW_NS // 10**9} s are possible"
            )
    elif node.window_ns:
        raise ProgramError("takes no window")


def _literal(value: LiteralValue | None) -> ValueType:
    if isinstance(value, bool):
        return ValueType.BOOL
    if isinstance(value, int):
        if abs(value) >= INT_LIMIT:
            raise ProgramError(f"{value}: integers stay below 2**53")
        return ValueType.INT
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ProgramError(f"{value}: not a finite number")
        return ValueType.DOUBLE
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ProgramError(f"text of {len(value)} characters; at most {MAX_TEXT}")
        return ValueType.TEXT
    raise ProgramError("needs a value")


def _typed(
    node: Node, nodes: Sequence[Node], found: Sequence[tuple[ValueType, bool]]
) -> tuple[ValueType, bool]:
    _no_value(node)
    types = tuple(found[arg][0] for arg in node.args)
    box = any(found[arg][1] for arg in node.args)
    op = node.op
    if op in EQUALITIES and ValueType.TEXT in types:
        _text_equality(tuple(nodes[arg] for arg in node.args))
        return ValueType.BOOL, box
    if op in LOOPS and types == (ValueType.LIST, ValueType.BOOL):
        return (ValueType.LIST if op is Op.FILTER else ValueType.BOOL), False
    if op is Op.BOX_MAX and types in {(ValueType.LIST, ValueType.DOUBLE), (ValueType.LIST, ValueType.INT)}:
        return types[1], False
    if op in TEMPORAL and box:
        raise ProgramError("looks back at a single detection, which has no past of its own")
    result = _RESULTS.get((op, types))
    if result is None:
        raise ProgramError(f"does not take ({', '.join(types)})")
    return result, box


def _results() -> dict[tuple[Op, tuple[ValueType, ...]], ValueType]:
    """The type rules as a table: operation and argument types to the result's type."""
    boolean, integer, double, listing = ValueType.BOOL, ValueType.INT, ValueType.DOUBLE, ValueType.LIST
    table = {
        (Op.NOT, (boolean,)): boolean,
        (Op.TO_DOUBLE, (integer,)): double,
        (Op.TO_DOUBLE, (double,)): double,
        (Op.SIZE, (listing,)): integer,
        (Op.MOD, (integer, integer)): integer,
    }
    for op in (Op.AND, Op.OR, *EQUALITIES):
        table[op, (boolean, boolean)] = boolean
    for number in _NUMBERS:
        table[Op.NEG, (number,)] = number
        for op in ARITHMETIC - {Op.MOD}:
            table[op, (number, number)] = number
        for other in _NUMBERS:
            for op in EQUALITIES | COMPARISONS:
                table[op, (number, other)] = boolean
    for either in (boolean, integer, double):
        table[Op.IF, (boolean, either, either)] = either
    return table | _temporal_results()


def _temporal_results() -> dict[tuple[Op, tuple[ValueType, ...]], ValueType]:
    boolean = ValueType.BOOL
    table: dict[tuple[Op, tuple[ValueType, ...]], ValueType] = {
        (op, (boolean,)): boolean for op in (Op.ONCE, Op.RISE, Op.PREVIOUS)
    }
    table[Op.COUNT_OVER, (boolean,)] = ValueType.INT
    for number in _NUMBERS:
        table |= {(op, (number,)): ValueType.DOUBLE for op in (Op.RATE, Op.MEAN_OVER, Op.STD_OVER)}
        table |= {(op, (number,)): number for op in (Op.MAX_OVER, Op.MIN_OVER, Op.PREVIOUS)}
    return table


_RESULTS: Final = _results()


def _text_equality(args: Sequence[Node]) -> None:
    field, literal = args if len(args) == 2 else (None, None)
    if field is None or literal is None or field.op is not Op.FIELD or literal.op is not Op.LITERAL:
        raise ProgramError("text is compared as a field with a literal")
    if FIELDS[str(field.value)] is not ValueType.TEXT or not isinstance(literal.value, str):
        raise ProgramError("text is compared with text")


def _no_value(node: Node) -> None:
    if node.value is not None:
        raise ProgramError("takes no value")
