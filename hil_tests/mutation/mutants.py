"""Every mutant of one file: the places, the texts, and names that outlive an edit elsewhere in the file.

Left alone, because nothing of it decides:

- docstrings, imports, and annotations but for the limits inside them (``Meta(ge=1)``, ``Literal[2]``);
- ``frozen``, ``slots``, ``eq``: whether a value can be changed, compared or given members;
- text for people: literal and f-string arguments of errors and refusals, what is assigned to ``detail`` or ``why``, and
  texts given as ``source``.
  That there is an error, and its reason for machines, is not left alone.

A mutant is named by its scope (``Positions.at``; a statement outside of functions by its name), the text that was, the
text that becomes, and a number where a scope has the same change twice. ``code`` is a hash of the scope: it changes with
any change to the scope that is more than layout, and so does whatever was said of the mutant.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

from hil_tests.mutation.operators import LAYOUT_ONLY, TEXT_NAMES, Enums, changes_of

_FOR_PEOPLE = frozenset({"Hold", "Refused", "_refusal", "_tell_refused", "_refuse"})
_ALIASES = frozenset({"Annotated", "tuple", "list", "dict", "set", "frozenset", "Callable", "Final"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of a file."""

    scope: str
    kind: str
    was: str
    becomes: str
    nth: int
    """From 1 on, among those of a scope that change the same text in the same way."""
    code: str
    line: int
    begin: int
    """In bytes of the source, like ``end``."""
    end: int

    def of(self, source: bytes) -> bytes:
        """The mutated file."""
        return source[: self.begin] + self.becomes.encode() + source[self.end :]

    @property
    def name(self) -> tuple[str, str, str, int]:
        """What it is found again by."""
        return self.scope, self.was, self.becomes, self.nth


def mutants_of(source: bytes, enums: Enums) -> tuple[Mutant, ...]:
    """All of a file, in the order of their places. A change that does not compile is none."""
    seen: set[tuple[int, int, str]] = set()
    count: Counter[tuple[str, str, str]] = Counter()
    found = []
    for mutant in sorted(_Walk(source, enums).found(), key=lambda one: (one.begin, one.end)):
        place = mutant.begin, mutant.end, mutant.becomes
        if place in seen or mutant.was == mutant.becomes or not _compiles(mutant.of(source)):
            continue
        seen.add(place)
        count[mutant.name[:3]] += 1
        found.append(replace(mutant, nth=count[mutant.name[:3]]))
    return tuple(found)


def enums_of(sources: Sequence[bytes]) -> dict[str, tuple[str, ...]]:
    """The enumerations that are defined in these files, with their members."""
    found: dict[str, tuple[str, ...]] = {}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases):
                found[node.name] = tuple(
                    target.id
                    for line in node.body
                    if isinstance(line, ast.Assign)
                    for target in line.targets
                    if isinstance(target, ast.Name)
                )
    return found


def _compiles(source: bytes) -> bool:
    try:
        compile(source, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


class _Walk:
    """Goes through a file from the outside in, and knows where it is."""

    def __init__(self, source: bytes, enums: Enums) -> None:
        self._source = source
        self._enums = enums
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._above: list[ast.AST] = []

    def found(self) -> Iterator[Mutant]:
        for statement in ast.parse(self._source).body:
            yield from self._visit(statement, in_type=False)

    def _visit(self, node: ast.AST, *, in_type: bool) -> Iterator[Mutant]:
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node) or self._is_for_people(node):
            return
        if in_type and (isinstance(node, ast.Call) or _subscripts(node, {"Literal"})):
            in_type = False
        self._above.append(node)
        if not in_type and not _subscripts(node, _ALIASES | {"Literal"}):
            for kind, was, becomes in changes_of(node, self._enums):
                yield self._mutant(kind, was, becomes)
        for name, child in ast.iter_fields(node):
            is_type = name in {"annotation", "returns"} or (name == "slice" and _subscripts(node, _ALIASES))
            for one in child if isinstance(child, list) else [child]:
                if isinstance(one, ast.AST):
                    yield from self._visit(one, in_type=in_type or is_type)
        self._above.pop()

    def _is_for_people(self, node: ast.AST) -> bool:
        above = self._above[-1] if self._above else None
        if isinstance(node, ast.keyword):
            return node.arg in LAYOUT_ONLY or (node.arg in TEXT_NAMES and _is_text(node.value))
        if isinstance(above, ast.Assign) and node is above.value:
            return all(isinstance(one, ast.Name) and one.id in TEXT_NAMES for one in above.targets)
        return _is_text(node) and isinstance(above, ast.Call) and _speaks_to_people(above)

    def _mutant(self, kind: str, was: ast.AST, becomes: ast.AST) -> Mutant:
        around = self._anchor(was)
        copies: dict[int, ast.AST] = {}
        changed = deepcopy(around, copies)
        new = deepcopy(becomes)
        changed = new if around is was else _Put(copies[id(was)], new).visit(changed)
        text = ast.unparse(ast.fix_missing_locations(changed))
        if isinstance(around, ast.expr) and not isinstance(changed, ast.Constant | ast.Name | ast.Call):
            text = f"({text})"
        begin, end = self._span(around)
        scope, code = self._scope()
        was_text = self._source[begin:end].decode()
        return Mutant(scope, kind, was_text, text, 1, code, _line(around), begin, end)

    def _anchor(self, was: ast.AST) -> ast.AST:
        """The innermost node around a change whose text can be replaced as a whole."""
        way = [*self._above] if was is self._above[-1] else [*self._above, was]
        outer = next((node for node in way if isinstance(node, ast.JoinedStr)), None)
        if outer is not None:
            return outer
        for at in range(len(way) - 1, -1, -1):
            node, above = way[at], way[at - 1] if at else None
            sliced = isinstance(above, ast.Subscript) and node is above.slice and isinstance(node, ast.Tuple)
            if (
                isinstance(node, ast.expr | ast.stmt)
                and not isinstance(node, ast.Slice | ast.Starred)
                and not sliced
            ):
                return node
        raise AssertionError("a statement is around everything")

    def _span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, ast.expr | ast.stmt)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        begin = self._lines[node.lineno - 1] + node.col_offset
        return begin, self._lines[node.end_lineno - 1] + node.end_col_offset

    def _scope(self) -> tuple[str, str]:
        """The name and the hash of the innermost function, or of the member or statement outside of functions."""
        names: list[str] = []
        inner = self._above[0]
        for node in self._above:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names.append(node.name)
                inner = node
            elif isinstance(node, ast.stmt) and (not names or isinstance(inner, ast.ClassDef)):
                targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                names += [one.id for one in targets if isinstance(one, ast.Name)]
                inner = node
                break
        digest = hashlib.sha256(ast.dump(inner).encode()).hexdigest()[:12]
        return ".".join(names) or type(inner).__name__, digest


class _Put(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        """Replace, or look further inside."""
        return self._new if node is self._old else self.generic_visit(node)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _subscripts(node: ast.AST, names: frozenset[str] | set[str]) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in names


def _speaks_to_people(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name.endswith("Error") or name in _FOR_PEOPLE


def _line(node: ast.AST) -> int:
    assert isinstance(node, ast.expr | ast.stmt)
    return node.lineno
