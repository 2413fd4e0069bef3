"""CEL against a vehicle's catalogue: parsing and type checks are Google's cel-cpp, through its Python binding.

Names: each signal by its VSS path (``double`` or ``bool``), and ``detections``, a list of messages with the fields
of :data:`~fsd_agent.records.program.FIELDS`. An optional field is a wrapper, so that ``has`` works and that it has no
default to be mistaken for a value. Comparisons of an integer with a double are declared on top of the standard
library's, as the language definition allows ("Numeric values"); arithmetic keeps its types apart. A double compares
with text as well, for signals whose values have names; lowering knows which have. Functions of ours: ``functions``.

The only file that imports the CEL library.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, wrappers_pb2

from fsd_agent.records.program import FIELDS, OPTIONAL_FIELDS, ValueType
from fsd_firmware.catalogue import Catalogue
from fsd_tools.campaign.checked import CheckedExprError, Tree, read_tree
from fsd_tools.campaign.functions import FUNCTIONS
from fsd_tools.campaign.refusals import ConditionError

DETECTION: Final = "fsd.Detection"
_PROTO_FILE: Final = "fsd/detection.proto"
_PROBLEM: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")
_TOO_DEEP: Final = re.compile(r"(?:max recursion depth of|recursion limit exceeded\. limit:) (\d+)")
_UNDECLARED: Final = re.compile(r"undeclared reference to '([^']+)'")
_NO_FIELD: Final = re.compile(r"undefined field '([^']+)' not found in struct")
_NO_OVERLOAD: Final = re.compile(r"found no matching overload for '([^']+)' applied to '([^']+)'")
_MACROS: Final = ("size", "has", "exists", "exists_one", "all", "filter", "double", "duration")
_ARITHMETIC: Final = {"_+_": "+", "_-_": "-", "_*_": "*", "_/_": "/"}
_COMPARE: Final = {
    "_==_": "equals",
    "_!=_": "not_equals",
    "_<_": "less",
    "_<=_": "less_equals",
    "_>_": "greater",
    "_>=_": "greater_equals",
}


class Environment:
    """Checks conditions against one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        types = {"double": cel.Type.DOUBLE, "bool": cel.Type.BOOL}
        variables = {entry.path: types[entry.type] for entry in catalogue.entries}
        self._names = (*variables, "detections")
        self._env = cel.NewEnv(
            descriptor_pool=detection_pool(),
            variables=variables | {"detections": cel.Type.List(cel.Type(DETECTION))},
            extensions=[cel.CelExtension("fsd", [*_mixed_comparisons(), *_functions()])],
        )

    def check(self, source: str) -> tuple[Tree, str]:
        """The checked tree and the name of its type. Raises :class:`ConditionError`."""
        try:
            checked = self._env.compile(source)
            return read_tree(checked.serialize()), str(checked.return_type()).lower()
        except RuntimeError as error:  # the binding raises nothing narrower
            raise ConditionError(self._explain(str(error), source)) from None
        except CheckedExprError as error:
            raise ConditionError(str(error)) from None

    def parse(self, source: str) -> Tree:
        """The tree before names are resolved. Raises :class:`ConditionError`."""
        try:
            return read_tree(self._env.compile(source, disable_check=True).serialize())
        except RuntimeError as error:
            raise ConditionError(self._explain(str(error), source)) from None
        except CheckedExprError as error:
            raise ConditionError(str(error)) from None

    def _explain(self, error: str, source: str) -> str:
        if found := _TOO_DEEP.search(error):
            return f"nested deeper than {found[1]}"
        problems = _PROBLEM.findall(error)
        if not problems:
            return " ".join(error.split())
        lines = source.split("\n")
        return "; ".join(
            f"line {line} column {column}: {self._reason(text, lines[int(line) - 1][int(column) - 1 :])}"
            for line, column, text in problems
            if int(line) <= len(lines)  # what follows from the rest has no place of its own
        )

    def _reason(self, text: str, rest: str) -> str:
        """``rest`` is what the source has from the problem's column on."""
        if found := _UNDECLARED.search(text):
            if rest.startswith("("):  # calls are marked where their arguments begin
                return _unknown_function(found[1])
            return f"unknown signal {found[1]!r}{did_you_mean(found[1], self._names)}"
        if found := _NO_FIELD.search(text):
            return f"a detection has no field {found[1]!r}{did_you_mean(found[1], tuple(FIELDS))}"
        found = _NO_OVERLOAD.search(text)
        if found and found[1] in FUNCTIONS:
            return f"{found[1]} is written {FUNCTIONS[found[1]].usage}; it does not take {found[2]}"
        if (
            found
            and found[1] in _ARITHMETIC
            and sorted(found[2].strip("()").split(", ")) == ["double", "int"]
        ):
            return f"{_ARITHMETIC[found[1]]!r} does not mix {found[2]}; write 2.0 for a double, or double(n)"
        return text.removesuffix(" (in container '')")


def _unknown_function(name: str) -> str:
    if name in FUNCTIONS:
        return f"{name} is written {FUNCTIONS[name].usage}"
    return f"unknown function {name!r}{did_you_mean(name, (*FUNCTIONS, *_MACROS))}"


def did_you_mean(name: str, names: tuple[str, ...]) -> str:
    """`` - did you mean 'x'?`` for the nearest of ``names``, or nothing."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f" - did you mean {near[0]!r}?" if near else ""


@cache
def detection_pool() -> Any:
    """A descriptor pool that holds the message type of a detection."""
    field = descriptor_pb2.FieldDescriptorProto
    types = {
        ValueType.TEXT: field.TYPE_STRING,
        ValueType.DOUBLE: field.TYPE_DOUBLE,
        ValueType.INT: field.TYPE_INT64,
    }
    wrappers = wrappers_pb2.DESCRIPTOR
    package, _, name = DETECTION.rpartition(".")
    file = descriptor_pb2.FileDescriptorProto(
        name=_PROTO_FILE, package=package, syntax="proto3", dependency=[wrappers.name]
    )
    message = file.message_type.add(name=name)
    for number, (field_name, kind) in enumerate(FIELDS.items(), start=1):
        added = message.field.add(name=field_name, number=number, label=field.LABEL_OPTIONAL)
        if field_name in OPTIONAL_FIELDS:
            added.type, added.type_name = field.TYPE_MESSAGE, ".google.protobuf.DoubleValue"
        else:
            added.type = types[kind]
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _mixed_comparisons() -> Iterator[Any]:
    """Integers with doubles, and doubles with text: a signal's number with one of its names."""
    types = {"double": cel.Type.DOUBLE, "int64": cel.Type.INT, "string": cel.Type.STRING}
    for function, name in _COMPARE.items():
        pairs = [("double", "int64"), ("int64", "double")]
        if function in {"_==_", "_!=_"}:
            pairs += [("double", "string"), ("string", "double")]
        overloads = [cel.Overload(f"{name}_{a}_{b}", cel.Type.BOOL, [types[a], types[b]]) for a, b in pairs]
        yield cel.FunctionDecl(function, overloads)
    listed = [
        cel.Overload(f"in_list_{one}_{of}", cel.Type.BOOL, [types[one], cel.Type.List(types[of])])
        for one, of in (("double", "int64"), ("double", "string"), ("int64", "double"))
    ]
    yield cel.FunctionDecl("@in", listed)


def _functions() -> Iterator[Any]:
    types = {
        "bool": cel.Type.BOOL,
        "int": cel.Type.INT,
        "double": cel.Type.DOUBLE,
        "text": cel.Type.STRING,
        "duration": cel.Type.DURATION,
    }
    for name, function in FUNCTIONS.items():
        overloads = [
            cel.Overload(
                "_".join((name, *one.parameters)), types[one.result], [types[kind] for kind in one.parameters]
            )
            for one in function.overloads
        ]
        yield cel.FunctionDecl(name, overloads)
