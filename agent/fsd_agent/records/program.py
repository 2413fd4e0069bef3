"""A checked condition as a flat program: nodes in order, each naming earlier nodes as its arguments, the last is the result.

Flat, so that it is bounded by counting and decoded without recursion; equal sub-expressions are one node. A
:class:`Program` that exists is well-typed: building one checks versions, bounds, argument order and types, and
raises :class:`ProgramError`.

Values have a type and a *level*. A value of box level differs from detection to detection (``d.score``); the
loops ``filter``, ``exists``, ``all`` and ``exists_one`` take a predicate of either level and give a value that is
no longer of box level. The result is a boolean that is not of box level. A loop's predicate therefore sees the
variable of its own loop only, and no variable needs a name here.

*Temporal* nodes look back: their value at an instant depends on their argument's values up to ``window_ns`` before
it (``rules.triggers.past.temporal`` has the definitions). They are few, so that CEL's many functions stay few on the
car: ``held(c, d)`` is ``!once(!c, d)``, ``fell(c)`` is ``rose(!c)``, ``since(c) < d`` is ``once(c, d)``; the compiler
writes them so.

Integers are held as doubles and are exact below 2**53; what reaches that is an error, as overflow is in CEL.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from fsd_agent.records.nodes import (
    ARITHMETIC,
    COMPARISONS,
    EQUALITIES,
    FIELDS,
    INT_LIMIT,
    LOOPS,
    MAX_DEPTH,
    MAX_NODES,
    MAX_TEMPORAL,
    MAX_TEMPORAL_DEPTH,
    MAX_TEXT,
    MAX_WINDOW_NS,
    MAX_WRITTEN_OUT,
    MODES,
    NAMED,
    OPTIONAL_FIELDS,
    PROGRAM_VERSION,
    SIGNALS,
    TEMPORAL,
    WINDOWED,
    LiteralValue,
    Node,
    Op,
    ProgramError,
    ValueType,
    is_source,
)
from fsd_agent.records.program_types import depths, infer, temporal_levels, written_out

__all__ = [
    "ARITHMETIC",
    "COMPARISONS",
    "EQUALITIES",
    "FIELDS",
    "INT_LIMIT",
    "LOOPS",
    "MAX_DEPTH",
    "MAX_NODES",
    "MAX_TEMPORAL",
    "MAX_TEMPORAL_DEPTH",
    "MAX_TEXT",
    "MAX_WINDOW_NS",
    "MAX_WRITTEN_OUT",
    "MODES",
    "NAMED",
    "OPTIONAL_FIELDS",
    "PROGRAM_VERSION",
    "SIGNALS",
    "TEMPORAL",
    "WINDOWED",
    "LiteralValue",
    "Node",
    "Op",
    "Program",
    "ProgramError",
    "ValueType",
    "depths",
    "infer",
    "is_source",
    "names",
    "signal_types",
    "temporal_levels",
    "texts",
    "written_out",
]


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
        if (operations := written_out(self.nodes)) > MAX_WRITTEN_OUT:
            raise ProgramError(
                f"{operations:,} operations with what is shared written out; at most {MAX_WRITTEN_OUT:,}"
            )
        if sum(node.op in TEMPORAL for node in self.nodes) > MAX_TEMPORAL:
            raise ProgramError(f"more than {MAX_TEMPORAL} functions that look back")
        if max(temporal_levels(self.nodes)) > MAX_TEMPORAL_DEPTH:
            raise ProgramError(f"functions that look back, nested more than {MAX_TEMPORAL_DEPTH} deep")
        result = infer(self.nodes)[-1]
        if result != (ValueType.BOOL, False):
            level = " of a single detection" if result[1] else ""
            raise ProgramError(f"the result is {result[0]}{level}; a condition is bool")


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


def texts(program: Program, field: str, by: Collection[Op] = EQUALITIES) -> tuple[str, ...]:
    """Text literals that a text field is compared with (``by`` these), sorted: the kinds or cameras that a condition names."""
    nodes = program.nodes
    return tuple(
        sorted(
            {
                str(nodes[node.args[1]].value)
                for node in nodes
                if node.op in by and nodes[node.args[0]] == Node(Op.FIELD, (), field)
            }
        )
    )


def names(program: Program, op: Op) -> tuple[str, ...]:
    """Names that nodes of one kind refer to, sorted: the zones, heads, modes or cameras that a condition uses."""
    return tuple(sorted({str(node.value) for node in program.nodes if node.op is op}))
