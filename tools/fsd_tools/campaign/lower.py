"""From a checked CEL tree to a :class:`~fsd_agent.records.program.Program`: what the car evaluates.

Everything that CEL allows and the program can't say is refused here by name, with its column. Macros are
recognised by what they expand to. A loop's predicate may use signals, its own variable, and loops that stand by
themselves; it can't use the variable of a loop around it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from fsd_agent.records.program import (
    EQUALITIES,
    FIELDS,
    OPTIONAL_FIELDS,
    PROGRAM_VERSION,
    SIGNALS,
    LiteralValue,
    Node,
    Op,
    Program,
    ProgramError,
    ValueType,
)
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.samples import Kind
from fsd_tools.campaign.cel import ConditionError, did_you_mean
from fsd_tools.campaign.checked import Call, Comprehension, Const, Expr, Ident, ListOf, Select, Tree

KINDS: Final = tuple(kind.name.lower() for kind in Kind)
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


def lower(tree: Tree, catalogue: Catalogue, cameras: Collection[str]) -> Program:
    """The program of a checked condition. Raises :class:`ConditionError`."""
    lowering = _Lowering(tree.positions, catalogue, tuple(cameras))
    root = lowering.add(tree.root, ())
    nodes = lowering.nodes
    if root != len(nodes) - 1:
        raise AssertionError("an expression is part of itself")
    if not any(node.op in SIGNALS or node.op is Op.DETECTIONS for node in nodes):
        raise ConditionError("refers to no signal and to no detection: nothing would ever evaluate it")
    try:
        return Program(PROGRAM_VERSION, tuple(nodes))
    except ProgramError as error:
        raise ConditionError(str(error)) from None


def refuse_has_of_signals(parsed: Tree, catalogue: Catalogue) -> None:
    """Refuse ``has(Vehicle.Speed)``: the checker takes it for the signal itself.

    Raises :class:`ConditionError`.
    """
    todo = [parsed.root]
    while todo:
        expr = todo.pop()
        if isinstance(expr, Select):
            if expr.test_only and _dotted(expr) in catalogue.rows:
                where = _where(parsed.positions, expr)
                raise ConditionError(
                    f"{where}: has({_dotted(expr)}): a signal has no has(); what was never received is unknown"
                )
            todo.append(expr.operand)
        elif isinstance(expr, Call):
            todo.extend(expr.args)
        elif isinstance(expr, ListOf):
            todo.extend(expr.elements)
        elif isinstance(expr, Comprehension):
            todo.extend((expr.over, expr.init, expr.condition, expr.step, expr.result))


@dataclass(slots=True)
class _Lowering:
    positions: dict[int, int]
    catalogue: Catalogue
    cameras: tuple[str, ...]
    nodes: list[Node] = field(default_factory=list)
    known: dict[tuple[Node, str], int] = field(default_factory=dict)

    def add(self, expr: Expr, scope: tuple[str, ...]) -> int:
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

    def _node(self, op: Op, args: tuple[int, ...] = (), value: LiteralValue | None = None) -> int:
        node = Node(op, args, value)
        key = (node, type(value).__name__)  # 1, 1.0 and True are equal in Python
        if key not in self.known:
            self.known[key] = len(self.nodes)
            self.nodes.append(node)
        return self.known[key]

    def _const(self, expr: Const) -> int:
        if expr.value is None:
            raise self._refuse(expr, "null, unsigned and bytes literals are not possible")
        return self._node(Op.LITERAL, (), expr.value)

    def _ident(self, expr: Ident, scope: tuple[str, ...]) -> int:
        if expr.name in scope:
            raise self._refuse(expr, f"{expr.name!r} is a whole detection; name one of its fields")
        if expr.name == "detections":
            return self._node(Op.DETECTIONS)
        row = self.catalogue.rows.get(expr.name)
        if row is None:
            raise self._refuse(expr, f"{expr.name!r} can't stand in a condition")
        return self._node(_SIGNAL_OPS[self.catalogue.entries[row].type], (), expr.name)

    def _select(self, expr: Select, scope: tuple[str, ...]) -> int:
        operand = expr.operand
        if not isinstance(operand, Ident) or operand.name not in scope:
            raise self._refuse(expr, f"{expr.field!r} is not a field of a loop's variable")
        if operand.name != scope[-1]:
            reason = f"{operand.name!r} belongs to a loop around this one, which conditions can't refer to"
            raise self._refuse(operand, reason)
        if not expr.test_only:
            return self._node(Op.FIELD, (), expr.field)
        if expr.field not in OPTIONAL_FIELDS:
            optional = ", ".join(sorted(OPTIONAL_FIELDS))
            reason = f"has({operand.name}.{expr.field}): every detection has it; has() is for {optional}"
            raise self._refuse(expr, reason)
        return self._node(Op.HAS, (), expr.field)

    def _call(self, expr: Call, scope: tuple[str, ...]) -> int:
        if expr.function == "@in":
            return self._in(expr, scope)
        op = _OPERATORS.get(expr.function)
        if op is None:
            raise self._refuse(expr, f"function {expr.function!r} is not possible in conditions")
        args = tuple(self.add(arg, scope) for arg in expr.args)
        if op in EQUALITIES:
            args = self._field_first(args)
            self._check_text(expr, args)
        return self._node(op, args)

    def _in(self, expr: Call, scope: tuple[str, ...]) -> int:
        """``x in [a, b]`` is ``x == a || x == b``."""
        needle, hay = expr.args
        if not isinstance(hay, ListOf):
            raise self._refuse(
                expr, "'in' takes a list of literals, as in d.kind in ['pedestrian', 'cyclist']"
            )
        found = None
        for element in hay.elements:
            args = self._field_first((self.add(needle, scope), self.add(element, scope)))
            self._check_text(element, args)
            same = self._node(Op.EQ, args)
            found = same if found is None else self._node(Op.OR, (found, same))
        return found if found is not None else self._node(Op.LITERAL, (), value=False)

    def _loop(self, expr: Comprehension, scope: tuple[str, ...]) -> int:
        if expr.variable == "detections":
            raise self._refuse(expr, "'detections' is already a name; give the loop's variable another")
        op, predicate = _macro(expr)
        if op is None or predicate is None or expr.second_variable:
            reason = "this loop is not possible; use exists, all, exists_one, or filter with size"
            raise self._refuse(expr, reason)
        over = self.add(expr.over, scope)
        return self._node(op, (over, self.add(predicate, (*scope, expr.variable))))

    def _field_first(self, args: tuple[int, ...]) -> tuple[int, ...]:
        """Text comparisons have the field first: ``"car" == d.kind`` means ``d.kind == "car"``."""
        first = self.nodes[args[0]]
        return args[::-1] if first.op is Op.LITERAL and isinstance(first.value, str) else args

    def _check_text(self, expr: Expr, args: tuple[int, ...]) -> None:
        """A kind or camera that does not exist is a mistake, not a condition that is never true."""
        named, literal = (self.nodes[arg] for arg in args)
        is_text = named.op is Op.FIELD and FIELDS.get(str(named.value)) is ValueType.TEXT
        if not is_text or not isinstance(literal.value, str):
            return
        names = {"kind": KINDS, "camera": self.cameras}.get(str(named.value))
        if names is not None and literal.value not in names:
            hint = did_you_mean(literal.value, names) or f"; there is {', '.join(names) or 'none'}"
            raise self._refuse(expr, f"unknown {named.value} {literal.value!r}{hint}")

    def _refuse(self, expr: Expr, reason: str) -> ConditionError:
        return ConditionError(f"{_where(self.positions, expr)}: {reason}")


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
    keeps = isinstance(added, ListOf) and [_dotted(one) for one in added.elements] == [loop.variable]
    return (Op.FILTER, step.args[0]) if isinstance(init, ListOf) and keeps else (None, None)


def _dotted(expr: Expr) -> str:
    if isinstance(expr, Select):
        return f"{_dotted(expr.operand)}.{expr.field}"
    return expr.name if isinstance(expr, Ident) else ""


def _where(positions: dict[int, int], expr: Expr) -> str:
    at = positions.get(expr.id)
    return f"character {at + 1}" if at is not None else "condition"
