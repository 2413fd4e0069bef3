"""What a mutation is: one small change to one node of a syntax tree, as a pair (node, what stands there instead).

    comparison      < becomes <= and >=, == becomes !=, in becomes not in, ...
    condition       of if, while, ?: and comprehensions: always true, always false
    boolean         and becomes or; each operand is left out; not is left out
    arithmetic      + - * / // % ** & | ^ << >>: the opposite; a sign is left out
    number, text    one more, one less; a tenth more and less for fractions; True and False; a longer text; in a regular
                    expression: without an anchor, a repetition one longer and shorter, any character for a class
    member          another member of the same enumeration
    element         of a list, set, tuple or dict is left out; one end of a slice is open
    call            min and max, any and all, floor and ceil, ... change places; a keyword argument is left out; the
                    argument stands instead of the call
    statement       a call, raise, continue, break, del or assignment to a member is left out; return gives None
    loop            over nothing
    handler         catches nothing

What can't decide anything is left alone: :mod:`hil_tests.mutation.mutants` says what.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any

Change = tuple[str, ast.AST, ast.AST]
"""Kind, the node, what stands there instead."""
Enums = Mapping[str, Sequence[str]]
"""Names of the members of each enumeration."""

_COMPARISONS: Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: Mapping[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_PAIRS = (
    ("min", "max"), ("any", "all"), ("floor", "ceil"), ("minimum", "maximum"), ("argmin", "argmax"),
    ("startswith", "endswith"), ("lstrip", "rstrip"), ("lower", "upper"), ("partition", "rpartition"),
    ("popleft", "pop"), ("removeprefix", "removesuffix"),
)  # fmt: skip
_OPPOSITE = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}
LAYOUT_ONLY = frozenset({"frozen", "slots", "eq"})
"""Keywords that say how a value is built, and nothing of what is decided."""
TEXT_NAMES = frozenset({"detail", "why", "source"})
"""What is given or assigned under these names is for people, where it is literal text."""
_CONVERSIONS = frozenset(
    {"bool", "bytes", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple"}
)
"""What they are given behaves the same in most places: leaving them out tells nothing."""
_WORDS = {"left": "right", "right": "left", "big": "little", "little": "big"}
"""Arguments of which any other text would only be refused."""


def changes_of(node: ast.AST, enums: Enums) -> Iterator[Change]:
    """Every mutation of this node alone; its children have their own."""
    for kind in type(node).__mro__:
        if kind in _OF:
            yield from _OF[kind](node)
    if isinstance(node, ast.Attribute):
        yield from _member(node, enums)


def _with(node: Any, **members: Any) -> Any:
    changed = copy(node)
    for name, value in members.items():
        setattr(changed, name, value)
    return changed


def _without(values: Sequence[Any], at: int) -> list[Any]:
    return [*values[:at], *values[at + 1 :]]


def _compare(node: ast.Compare) -> Iterator[Change]:
    for at, operator in enumerate(node.ops):
        for other in _COMPARISONS[type(operator)]:
            yield "comparison", node, _with(node, ops=[*node.ops[:at], other(), *node.ops[at + 1 :]])


def _boolean(node: ast.BoolOp) -> Iterator[Change]:
    yield "boolean", node, _with(node, op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())
    for at in range(len(node.values)):
        rest = _without(node.values, at)
        yield "boolean", node, rest[0] if len(rest) == 1 else _with(node, values=rest)


def _unary(node: ast.UnaryOp) -> Iterator[Change]:
    kind = "boolean" if isinstance(node.op, ast.Not) else "arithmetic"
    yield kind, node, node.operand


def _arithmetic(node: ast.BinOp | ast.AugAssign) -> Iterator[Change]:
    yield "arithmetic", node, _with(node, op=_ARITHMETIC[type(node.op)]())


def _condition(node: ast.If | ast.While | ast.IfExp) -> Iterator[Change]:
    if not isinstance(node, ast.While):
        yield "condition", node.test, ast.Constant(value=True)
    yield "condition", node.test, ast.Constant(value=False)


def _comprehension(node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> Iterator[Change]:
    for part in node.generators:
        yield "loop", part.iter, ast.Tuple([], ast.Load())
        for test in part.ifs:
            yield "condition", test, ast.Constant(value=True)


def _loop(node: ast.For) -> Iterator[Change]:
    yield "loop", node.iter, ast.Tuple([], ast.Load())


def _constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    others: tuple[Any, ...] = ()
    if isinstance(value, bool):
        others = (not value,)
    elif isinstance(value, int):
        others = value + 1, value - 1
    elif isinstance(value, float):
        others = (value * 1.1, value * 0.9) if value else (1.0, -1.0)
    elif isinstance(value, str):
        others = (_WORDS.get(value, value + "X"), *_patterns(value))
    elif isinstance(value, bytes):
        others = (value + b"X",)
    for other in others:
        yield "constant", node, ast.Constant(value=other)


def _patterns(text: str) -> Iterator[str]:
    """Of what looks like a regular expression: it ends in an anchor."""
    if not text.endswith("\\Z"):
        return
    yield text.removesuffix("\\Z")
    if text.startswith("^"):
        yield text[1:]
    for found in re.finditer(r"\{(\d+)(?:,(\d+))?\}", text):
        for group in (1, 2):
            if found[group] is not None:
                begin, end = found.span(group)
                number = int(found[group])
                for other in (number + 1, *([number - 1] if number else [])):
                    yield f"{text[:begin]}{other}{text[end:]}"
    for found in re.finditer(r"\[[^\]]+\]", text):
        yield f"{text[: found.start()]}.{text[found.end() :]}"


def _text(node: ast.JoinedStr) -> Iterator[Change]:
    yield "text", node, ast.Constant(value="")


def _elements(node: ast.List | ast.Set | ast.Tuple) -> Iterator[Change]:
    if isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
        return
    for at in range(len(node.elts)):
        rest = _without(node.elts, at)
        empty = isinstance(node, ast.Set) and not rest
        yield "element", node, ast.Call(ast.Name("set"), [], []) if empty else _with(node, elts=rest)


def _entries(node: ast.Dict) -> Iterator[Change]:
    for at in range(len(node.keys)):
        yield "element", node, _with(node, keys=_without(node.keys, at), values=_without(node.values, at))


def _slice(node: ast.Slice) -> Iterator[Change]:
    if node.lower is not None:
        yield "element", node, _with(node, lower=None)
    if node.upper is not None:
        yield "element", node, _with(node, upper=None)


def _call(node: ast.Call) -> Iterator[Change]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _OPPOSITE:
        member = "attr" if isinstance(node.func, ast.Attribute) else "id"
        yield "call", node, _with(node, func=_with(node.func, **{member: _OPPOSITE[name]}))
    for at, keyword in enumerate(node.keywords):
        if keyword.arg is not None and keyword.arg not in LAYOUT_ONLY | TEXT_NAMES:
            yield "call", node, _with(node, keywords=_without(node.keywords, at))
    if node.keywords or any(isinstance(one, ast.Starred) for one in node.args):
        return
    if len(node.args) == 1 and name not in _CONVERSIONS and _is_function(node.func):
        yield "call", node, node.args[0]
    if not node.args and isinstance(node.func, ast.Attribute):
        yield "call", node, node.func.value


def _is_function(func: ast.expr) -> bool:
    """By the way it is written: ``name(...)`` or ``np.name(...)``; a class makes something of another kind."""
    if isinstance(func, ast.Attribute):
        return isinstance(func.value, ast.Name) and func.value.id in {"np", "math"}
    return isinstance(func, ast.Name) and func.id.islower()


def _statement(node: ast.stmt) -> Iterator[Change]:
    yield "statement", node, ast.Pass()


def _expression(node: ast.Expr) -> Iterator[Change]:
    if isinstance(node.value, ast.Call):
        yield "statement", node, ast.Pass()


def _assignment(node: ast.Assign) -> Iterator[Change]:
    if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
        yield "statement", node, ast.Pass()


def _return(node: ast.Return) -> Iterator[Change]:
    if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
        yield "statement", node.value, ast.Constant(value=None)


def _handler(node: ast.ExceptHandler) -> Iterator[Change]:
    if node.type is not None:
        yield "handler", node.type, ast.Tuple([], ast.Load())


def _member(node: ast.Attribute, enums: Enums) -> Iterator[Change]:
    members = enums.get(node.value.id, ()) if isinstance(node.value, ast.Name) else ()
    if node.attr in members:
        other = members[(members.index(node.attr) + 1) % len(members)]
        yield "member", node, _with(node, attr=other)


_OF: Mapping[type[ast.AST], Callable[[Any], Iterator[Change]]] = {
    ast.Compare: _compare,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.BinOp: _arithmetic,
    ast.AugAssign: _arithmetic,
    ast.If: _condition,
    ast.While: _condition,
    ast.IfExp: _condition,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.DictComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.For: _loop,
    ast.Constant: _constant,
    ast.JoinedStr: _text,
    ast.List: _elements,
    ast.Set: _elements,
    ast.Tuple: _elements,
    ast.Dict: _entries,
    ast.Slice: _slice,
    ast.Call: _call,
    ast.Expr: _expression,
    ast.Raise: _statement,
    ast.Continue: _statement,
    ast.Break: _statement,
    ast.Delete: _statement,
    ast.Assign: _assignment,
    ast.Return: _return,
    ast.ExceptHandler: _handler,
}
