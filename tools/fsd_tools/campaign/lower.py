"""From a checked CEL tree to a :class:`~fsd_agent.records.program.Program`: what the car evaluates.

Everything that CEL allows and the program can't say is refused here by name, with its column. Macros are
recognised by what they expand to. A loop's predicate may use signals, its own variable, and loops that stand by
themselves; it can't use the variable of a loop around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Final

from fsd_agent.records.program import (
    COMPARISONS,
    EQUALITIES,
    FIELDS,
    NAMED,
    OPTIONAL_FIELDS,
    PROGRAM_VERSION,
    SIGNALS,
    Op,
    Program,
    ProgramError,
    ValueType,
)
from fsd_firmware.catalogue import CatalogueEntry
from fsd_tools.campaign.builder import NodeBuilder
from fsd_tools.campaign.checked import Call, Comprehension, Const, Expr, Ident, ListOf, Select, Tree
from fsd_tools.campaign.functions import FUNCTIONS
from fsd_tools.campaign.lower_functions import KINDS, FunctionLowering, Names, Scope, closest
from fsd_tools.campaign.refusals import ConditionError, dotted, where

_ARRIVING: Final = SIGNALS | NAMED | {Op.DETECTIONS}
_OPERATORS: Final = {
    "_&&_": Op.AND,
    "_||_": Op.OR,
    "!_": Op.NOT,
    "-_": Op.NEG,
    "_==_": Op.EQ,
    "_!=_": Op.NE,
    "_<_": Op.LT,
    "_<=_": Op.LE,
    "_>_": Op.GT,
    "_>=_": Op.GE,
    "_+_": Op.ADD,
    "_-_": Op.SUB,
    "_*_": Op.MUL,
    "_/_": Op.DIV,
    "_%_": Op.MOD,
    "_?_:_": Op.IF,
    "size": Op.SIZE,
    "double": Op.TO_DOUBLE,
}
_SIGNAL_OPS: Final = {"double": Op.SIGNAL_DOUBLE, "bool": Op.SIGNAL_BOOL}


@dataclass(frozen=True, slots=True)
class Gates:
    """What a campaign's file adds to its condition."""

    states: tuple[str, ...] = ()
    """In one of these drive modes; empty is any, the unknown one too."""
    inside: tuple[str, ...] = ()
    """In one of these zones; empty is anywhere."""
    outside: tuple[str, ...] = ()
    """In none of these zones."""


def lower(tree: Tree, names: Names, gates: Gates) -> Program:
    """The program of a checked condition. Raises :class:`ConditionError`."""
    builder = NodeBuilder()
    root = _Lowering(tree.positions, names, builder).add(tree.root, ())
    nodes = builder.program_nodes(root)
    if not any(node.op in _ARRIVING for node in nodes):
        raise ConditionError("refers to no signal and to no detection: nothing would ever evaluate it")
    try:
        if gates != Gates():
            Program(
                PROGRAM_VERSION, nodes
            )  # what is wrong with the author's own part is told about that part
            nodes = builder.program_nodes(_gated(builder, root, gates))
        return Program(PROGRAM_VERSION, nodes)
    except ProgramError as error:
        raise ConditionError(str(error)) from None


def _gated(builder: NodeBuilder, root: int, gates: Gates) -> int:
    """``root && (mode(a) || mode(b)) && (within(c) || within(d)) && !within(e)``."""
    modes = [builder.add(Op.MODE, (), state) for state in gates.states]
    inside = [builder.add(Op.ZONE, (), zone) for zone in gates.inside]
    found = [builder.any_of(some) for some in (modes, inside) if some]
    found += [builder.negated(builder.add(Op.ZONE, (), zone)) for zone in gates.outside]
    return reduce(lambda a, b: builder.add(Op.AND, (a, b)), found, root)


class _Lowering:
    def __init__(self, positions: dict[int, int], names: Names, builder: NodeBuilder) -> None:
        self._positions = positions
        self._names = names
        self._rows = names.catalogue.rows
        self._build = builder
        self._functions = FunctionLowering(builder, names, self.add, self._refuse)

    def add(self, expr: Expr, scope: Scope) -> int:
        """Append ``expr`` after what it needs; ``scope`` has the loop variables, innermost last."""
        if isinstance(expr, Const):
            return self._const(expr)
        if isinstance(expr, Ident):
            return self._ident(expr, scope)
        if isinstance(expr, Select):
            return self._select(expr, scope)
        if isinstance(expr, Call):
            return self._call(expr, scope)
        if isinstance(expr, Comprehension):
            return self._loop(expr, scope)
        raise self._refuse(expr, "lists and maps of literals are only possible after 'in'")

    def _const(self, expr: Const) -> int:
        if expr.value is None:
            raise self._refuse(expr, "null, unsigned and bytes literals are not possible")
        return self._build.add(Op.LITERAL, (), expr.value)

    def _ident(self, expr: Ident, scope: Scope) -> int:
        if expr.name in scope:
            raise self._refuse(expr, f"{expr.name!r} is a whole detection; name one of its fields")
        if expr.name == "detections":
            return self._build.add(Op.DETECTIONS)
        if expr.name not in self._rows:
            raise self._refuse(expr, f"{expr.name!r} can't stand in a condition")
        entry = self._names.catalogue.entries[self._rows[expr.name]]
        return self._build.add(_SIGNAL_OPS[entry.type], (), expr.name)

    def _select(self, expr: Select, scope: Scope) -> int:
        operand = expr.operand
        if not isinstance(operand, Ident) or operand.name not in scope:
            raise self._refuse(expr, f"{expr.field!r} is not a field of a loop's variable")
        if operand.name != scope[-1]:
            reason = f"{operand.name!r} belongs to a loop around this one, which conditions can't refer to"
            raise self._refuse(operand, reason)
        if not expr.test_only:
            return self._build.add(Op.FIELD, (), expr.field)
        if expr.field not in OPTIONAL_FIELDS:
            optional = ", ".join(sorted(OPTIONAL_FIELDS))
            reason = f"has({operand.name}.{expr.field}): every detection has it; has() is for {optional}"
            raise self._refuse(expr, reason)
        return self._build.add(Op.HAS, (), expr.field)

    def _call(self, expr: Call, scope: Scope) -> int:
        if expr.function == "@in":
            return self._in(expr, scope)
        if expr.function in FUNCTIONS:
            return self._functions.call(expr, scope)
        op = _OPERATORS.get(expr.function)
        if op is None:
            raise self._refuse(expr, f"function {expr.function!r} is not possible in conditions")
        if op in COMPARISONS | EQUALITIES:
            return self._comparison(expr, op, scope)
        args = tuple(self.add(arg, scope) for arg in expr.args)
        return self._build.negated(args[0]) if op is Op.NOT else self._build.add(op, args)

    def _comparison(self, expr: Call, op: Op, scope: Scope) -> int:
        since = self._functions.since(expr, scope)
        if since is not None:
            return since
        if op in COMPARISONS:
            left, right = (self.add(arg, scope) for arg in expr.args)
            return self._build.add(op, (left, right))
        equal = self._equal(expr, expr.args[0], expr.args[1], scope)
        if op is Op.EQ:
            return equal
        node = self._build.nodes[equal]
        return self._build.add(Op.NE, node.args) if node.op is Op.EQ else self._build.negated(equal)

    def _in(self, expr: Call, scope: Scope) -> int:
        """``x in [a, b]`` is ``x == a || x == b``: of literals, since CEL has no answer where one element has none."""
        needle, hay = expr.args
        if not isinstance(hay, ListOf) or not all(isinstance(one, Const) for one in hay.elements):
            reason = "'in' takes a list of literals, as in d.kind in ['pedestrian', 'cyclist']"
            raise self._refuse(expr, reason)
        return self._build.any_of([self._equal(one, needle, one, scope) for one in hay.elements])

    def _equal(self, expr: Expr, left: Expr, right: Expr, scope: Scope) -> int:
        """``left == right``; with a text, a field's value or one of a signal's named values."""
        if _is_text(left):
            left, right = right, left
        if not _is_text(right):
            return self._build.add(Op.EQ, (self.add(left, scope), self.add(right, scope)))
        entry = self._entry(left)
        if entry is not None:
            return self._named_value(expr, entry, self.add(left, scope), _text(right))
        args = self.add(left, scope), self.add(right, scope)
        self._check_text(expr, args)
        return self._build.add(Op.EQ, args)

    def _entry(self, expr: Expr) -> CatalogueEntry | None:
        """The signal whose values ``expr`` has: itself, or an earlier one of it."""
        while isinstance(expr, Call) and expr.function == "previous":
            expr = expr.args[0]
        if not isinstance(expr, Ident) or expr.name not in self._rows:
            return None
        return self._names.catalogue.entries[self._rows[expr.name]]

    def _named_value(self, expr: Expr, entry: CatalogueEntry, signal: int, name: str) -> int:
        """The signal is at one of the numbers that carry the name."""
        labels = tuple(dict.fromkeys(label for _, label in entry.labels))
        if not labels:
            raise self._refuse(expr, f"{entry.path} has no named values; compare it with a number")
        if name not in labels:
            raise self._refuse(expr, f"{entry.path} has no value {name!r}{closest(name, labels)}")
        codes = (float(code) for code, label in entry.labels if label == name)
        same = [self._build.add(Op.EQ, (signal, self._build.add(Op.LITERAL, (), code))) for code in codes]
        return self._build.any_of(same)

    def _loop(self, expr: Comprehension, scope: Scope) -> int:
        if expr.variable == "detections":
            raise self._refuse(expr, "'detections' is already a name; give the loop's variable another")
        op, predicate = _macro(expr)
        if op is None or predicate is None or expr.second_variable:
            reason = "this loop is not possible; use exists, all, exists_one, or filter with size"
            raise self._refuse(expr, reason)
        over = self.add(expr.over, scope)
        return self._build.add(op, (over, self.add(predicate, (*scope, expr.variable))))

    def _check_text(self, expr: Expr, args: tuple[int, int]) -> None:
        """A kind or camera that does not exist is a mistake, not a condition that is never true."""
        named, literal = (self._build.nodes[arg] for arg in args)
        field, text = str(named.value), str(literal.value)
        if named.op is not Op.FIELD or FIELDS[field] is not ValueType.TEXT:
            reason = "text is compared as a field with a literal, or with a signal that has named values"
            raise self._refuse(expr, reason)
        known = {"kind": KINDS, "camera": self._names.cameras}.get(field)
        if known is not None and text not in known:
            raise self._refuse(expr, f"unknown {field} {text!r}{closest(text, known)}")

    def _refuse(self, expr: Expr, reason: str) -> ConditionError:
        return ConditionError(f"{where(self._positions, expr)}: {reason}")


def _macro(loop: Comprehension) -> tuple[Op | None, Expr | None]:
    """Which loop a comprehension is, and its predicate, by the shapes that CEL's standard macros expand to."""
    init, step = loop.init, loop.step
    if not isinstance(step, Call) or not step.args:
        return None, None
    start = init.value if isinstance(init, Const) else None
    if (step.function, start) in {("_||_", False), ("_&&_", True)}:
        return (Op.ALL if start else Op.EXISTS), step.args[1]
    grown = step.args[1]
    if step.function != "_?_:_" or not isinstance(grown, Call) or grown.function != "_+_":
        return None, None
    added = grown.args[1]
    if isinstance(start, int) and isinstance(added, Const):
        return Op.EXISTS_ONE, step.args[0]
    keeps = isinstance(added, ListOf) and [dotted(one) for one in added.elements] == [loop.variable]
    return (Op.FILTER, step.args[0]) if isinstance(init, ListOf) and keeps else (None, None)


def _is_text(expr: Expr) -> bool:
    return isinstance(expr, Const) and isinstance(expr.value, str)


def _text(expr: Expr) -> str:
    return str(expr.value) if isinstance(expr, Const) else ""
