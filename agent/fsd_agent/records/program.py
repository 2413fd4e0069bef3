"""A checked condition as a flat program: nodes in order, each naming earlier nodes as its arguments, the last is the result.

Flat, so that it is bounded by counting and decoded without recursion; equal sub-expressions are one node. A
:class:`Program` that exists is well-typed: building one checks versions, bounds, argument order and types, and
raises :class:`ProgramError`.

Values have a type and a *level*. A value of box level differs from detection to detection (``d.score``); the
loops ``filter``, ``exists``, ``all`` and ``exists_one`` take a predicate of either level and give a value that is
no longer of box level. The result is a boolean that is not of box level. A loop's predicate therefore sees the
variable of its own loop only, and no variable needs a name here.

*Temporal* nodes look back: their value at an instant depends on their argument's values up to ``window_ns`` before
it (``rules.triggers.temporal`` has the definitions). They are few, so that CEL's many functions stay few on the
car: ``held(c, d)`` is ``!once(!c, d)``, ``fell(c)`` is ``rose(!c)``, ``since(c) < d`` is ``once(c, d)``; the compiler
writes them so.

Integers are held as doubles and are exact below 2**53; what reaches that is an error, as overflow is in CEL.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PROGRAM_VERSION: Final = 2
MAX_NODES: Final = 256
"""Bounds the work of one evaluation; the families that ship need under 30."""
MAX_DEPTH: Final = 32
"""Longest chain of arguments."""
INT_LIMIT: Final = 2**53
"""First magnitude at which a double no longer holds every integer."""
MAX_TEXT: Final = 256
"""Characters of a path or a text literal."""
MAX_TEMPORAL: Final = 16
"""Temporal nodes of one program: each keeps what it saw in its window."""
MAX_TEMPORAL_DEPTH: Final = 4
"""Temporal nodes on one chain of arguments: each is a pass of its own over the batch."""
MAX_WINDOW_NS: Final = 60 * 1_000_000_000
"""A window further back than the longest clip is a statistic, not an event."""


class ProgramError(ValueError):
    """The nodes are not a program; the message names the node and the reason."""


class ValueType(StrEnum):
    """What a node gives."""

    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    TEXT = "text"
    LIST = "list"
    """Some of the detections of an instant."""


class Op(StrEnum):
    """What a node does. The value is its name on the wire."""

    LITERAL = "lit"
    SIGNAL_DOUBLE = "sig"
    """``value`` is a VSS path; the newest sample at the instant, unknown before the first."""
    SIGNAL_BOOL = "sigb"
    FIELD = "field"
    """``value`` names a field of :data:`FIELDS`; of box level."""
    HAS = "has"
    """Whether an optional field is known; of box level."""
    NOT = "not"
    NEG = "neg"
    TO_DOUBLE = "double"
    AND = "and"
    OR = "or"
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    MOD = "mod"
    IF = "if"
    DETECTIONS = "dets"
    """Boxes of the newest frame of every camera and source."""
    FILTER = "filter"
    EXISTS = "exists"
    EXISTS_ONE = "one"
    ALL = "all"
    SIZE = "size"
    BOX_MAX = "boxmax"
    """The largest value of a number over a list of detections; unknown over none, or where one can't be decided."""
    SEEN = "seen"
    """``value`` names a camera or a source: how many pedestrians and cyclists its newest frame shows; unknown where
    it has none that is fresh."""
    MODE = "mode"
    """``value`` is a :class:`~fsd_firmware.samples.DriveMode` in lower case: whether it is the present one."""
    ZONE = "zone"
    """``value`` names a zone of the campaign: whether the newest position fix lies in it."""
    HEAD = "head"
    """``value`` names a trigger head of the campaign: its score for the newest features."""
    ONCE = "once"
    """Temporal: the argument was true at some instant of the window that ends now, its far end not included."""
    RISE = "rise"
    """Temporal: the argument became true from false at this very instant."""
    PREVIOUS = "prev"
    """Temporal: the argument's value at the arrival before the newest."""
    RATE = "rate"
    """Temporal: change over the window, per second."""
    MAX_OVER = "maxo"
    MIN_OVER = "mino"
    MEAN_OVER = "meano"
    STD_OVER = "stdo"
    COUNT_OVER = "counto"
    """Temporal: how often the argument became true in the window."""


FIELDS: Final[dict[str, ValueType]] = {
    "kind": ValueType.TEXT,
    "camera": ValueType.TEXT,
    "source": ValueType.TEXT,
    "score": ValueType.DOUBLE,
    "x1": ValueType.DOUBLE,
    "y1": ValueType.DOUBLE,
    "x2": ValueType.DOUBLE,
    "y2": ValueType.DOUBLE,
    "width_px": ValueType.DOUBLE,
    "height_px": ValueType.DOUBLE,
    "distance_m": ValueType.DOUBLE,
    "track_id": ValueType.INT,
    "center_x": ValueType.DOUBLE,
    "center_y": ValueType.DOUBLE,
    "dwell_s": ValueType.DOUBLE,
    "ttc_s": ValueType.DOUBLE,
    "closing_mps": ValueType.DOUBLE,
    "vx_px_s": ValueType.DOUBLE,
    "vy_px_s": ValueType.DOUBLE,
    "speed_px_s": ValueType.DOUBLE,
    "direction_deg": ValueType.DOUBLE,
    "lateral_heights_s": ValueType.DOUBLE,
    "growth_per_s": ValueType.DOUBLE,
    "jitter": ValueType.DOUBLE,
}
"""Fields of a detection. Those from ``center_x`` on are derived from cameras and tracks: see ``rules.triggers.tracks``."""
OPTIONAL_FIELDS: Final = frozenset(
    {
        "distance_m",
        "ttc_s",
        "closing_mps",
        "vx_px_s",
        "vy_px_s",
        "speed_px_s",
        "direction_deg",
        "lateral_heights_s",
        "growth_per_s",
        "jitter",
    }
)
"""Fields that a detection may lack; reading one that is not there is unknown."""

COMPARISONS: Final = frozenset({Op.LT, Op.LE, Op.GT, Op.GE})
EQUALITIES: Final = frozenset({Op.EQ, Op.NE})
ARITHMETIC: Final = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MOD})
SIGNALS: Final = frozenset({Op.SIGNAL_DOUBLE, Op.SIGNAL_BOOL})
LOOPS: Final = frozenset({Op.FILTER, Op.EXISTS, Op.EXISTS_ONE, Op.ALL})
NAMED: Final = frozenset({Op.MODE, Op.ZONE, Op.HEAD, Op.SEEN})
WINDOWED: Final = frozenset(
    {Op.ONCE, Op.RATE, Op.MAX_OVER, Op.MIN_OVER, Op.MEAN_OVER, Op.STD_OVER, Op.COUNT_OVER}
)
TEMPORAL: Final = WINDOWED | {Op.RISE, Op.PREVIOUS}
_NAMED_TYPES: Final = {
    Op.MODE: ValueType.BOOL,
    Op.ZONE: ValueType.BOOL,
    Op.HEAD: ValueType.DOUBLE,
    Op.SEEN: ValueType.INT,
}
_LEAVES: Final = SIGNALS | NAMED | {Op.LITERAL, Op.FIELD, Op.HAS, Op.DETECTIONS}
_NUMBERS: Final = frozenset({ValueType.INT, ValueType.DOUBLE})

LiteralValue = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Node:
    """One step."""

    op: Op
    args: tuple[int, ...] = ()
    """Positions of earlier nodes."""
    value: LiteralValue | None = None
    """Of a literal; the path of a signal; the name of a field, mode, zone, head, camera or source."""
    window_ns: int = 0
    """Of a windowed node."""


@dataclass(frozen=True, slots=True)
class Program:
    """A checked condition. Raises :class:`ProgramError` when it is not one."""

    version: int
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if self.version != PROGRAM_VERSION:
            raise ProgramError(f"version {self.version}; this software reads {PROGRAM_VERSION}")
        if not 1 <= len(self.nodes) <= MAX_NODES:
            raise ProgramError(f"{len(self.nodes)} nodes; 1 to {MAX_NODES} are allowed")
        depth = max(depths(self.nodes))
        if depth > MAX_DEPTH:
            raise ProgramError(f"nested {depth} deep; at most {MAX_DEPTH} is allowed")
        if sum(node.op in TEMPORAL for node in self.nodes) > MAX_TEMPORAL:
            raise ProgramError(f"more than {MAX_TEMPORAL} functions that look back")
        if max(temporal_levels(self.nodes)) > MAX_TEMPORAL_DEPTH:
            raise ProgramError(f"functions that look back, nested more than {MAX_TEMPORAL_DEPTH} deep")
        result = infer(self.nodes)[-1]
        if result != (ValueType.BOOL, False):
            level = " of a single detection" if result[1] else ""
            raise ProgramError(f"the result is {result[0]}{level}; a condition is bool")


def depths(nodes: Sequence[Node]) -> list[int]:
    """Length of the longest chain of arguments below each node. Raises :class:`ProgramError` on a bad position."""
    found: list[int] = []
    for at, node in enumerate(nodes):
        if any(not 0 <= arg < at for arg in node.args):
            raise ProgramError(f"node {at} ({node.op}): an argument is not an earlier node")
        found.append(1 + max((found[arg] for arg in node.args), default=0))
    return found


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


def signal_types(program: Program) -> dict[str, ValueType]:
    """The type that the program takes each of its signals for, by path. Empty when it reads none.

    Raises :class:`ProgramError` when one path is taken for two types.
    """
    types: dict[str, ValueType] = {}
    for node in program.nodes:
        if node.op in SIGNALS:
            wanted = ValueType.BOOL if node.op is Op.SIGNAL_BOOL else ValueType.DOUBLE
            if types.setdefault(str(node.value), wanted) is not wanted:
                raise ProgramError(f"signal {node.value}: taken for bool and for double")
    return types


def texts(program: Program, field: str) -> tuple[str, ...]:
    """Text literals that a text field is compared with, sorted: the kinds or cameras that a condition names."""
    nodes = program.nodes
    return tuple(
        sorted(
            {
                str(nodes[node.args[1]].value)
                for node in nodes
                if node.op in EQUALITIES and nodes[node.args[0]] == Node(Op.FIELD, (), field)
            }
        )
    )


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
