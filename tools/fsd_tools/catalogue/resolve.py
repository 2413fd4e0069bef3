"""From a mapping file to columns: each path's type, unit, range, labels and age, out of tree, mapping and DBC.

Every path is judged for itself, so that one run names all that is wrong. The rules:

============  ==========================================================================================
number        ``double``, in the catalogue's unit; the DBC's unit converts into it or is refused
boolean       ``bool``, 0 or 1, without a unit
text          one of a list of names only: ``double`` with a label for each of the DBC's codes
range         the catalogue's, narrowed by the mapping's; infinite where neither sets a limit
labels        only of signals that are their raw number (scale 1, offset 0), one code a name
age           the mapping's ``stale``, else five cycles of a message that the DBC sends cyclically
============  ==========================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fsd_firmware.can.table import SignalTable
from fsd_firmware.catalogue import Catalogue
from fsd_tools.catalogue.labels import labels_of
from fsd_tools.catalogue.mapping import MappingFile, SignalFile, load_mapping
from fsd_tools.catalogue.tree import NUMBERS, Node, SignalTree
from fsd_tools.catalogue.units import AS_IS, Conversion, conversion
from fsd_tools.catalogue.vss import BUILT_IN, load_tree
from fsd_tools.drive.dbc_compile import (
    DbcSource,
    MappedSignal,
    Mapping,
    Messages,
    compile_messages,
    find_signal,
    load_messages,
)
from fsd_tools.errors import ToolError

STALE_CYCLES: Final = 5
"""A cyclic message that is missing for this many of its cycles no longer says what is. One or two frames are lost to
arbitration and bus errors; four in a row are a control unit that has gone quiet."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one path can't be filled."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def compile_line(
    mapping: Path, sources: Sequence[DbcSource], *, standard: Path = BUILT_IN, overlays: Sequence[Path] = ()
) -> tuple[Catalogue, SignalTable]:
    """A vehicle line's catalogue and the table that fills it.

    ``overlays`` go on top of the mapping's own. Raises :class:`ToolError` naming file, path and reason.
    """
    wanted = load_mapping(mapping)
    messages = load_messages(sources)
    resolved, problems = resolve(wanted, tree_of(mapping, wanted, standard, overlays), messages)
    if problems:
        raise ToolError("\n".join(f"{mapping}: {problem}" for problem in problems))
    return compile_messages(messages, resolved)


def tree_of(mapping: Path, wanted: MappingFile, standard: Path, overlays: Sequence[Path]) -> SignalTree:
    """The standard under the mapping's overlays, which lie beside it, and those given."""
    own = [mapping.parent / name for name in wanted.overlays]
    return load_tree(standard, [*own, *overlays])


def resolve(
    wanted: MappingFile, tree: SignalTree, messages: Messages | None
) -> tuple[Mapping, tuple[Problem, ...]]:
    """What can be filled, and what can't. Without ``messages`` only the tree is asked."""
    signals: dict[str, MappedSignal] = {}
    problems: list[Problem] = []
    for path, one in wanted.signals.items():
        try:
            signals[path] = _resolve_one(path, one, tree.node(path), messages)
        except ToolError as error:
            reason = str(error).removeprefix(f"mapping: {path}: ")
            problems.append(Problem(path, reason))
    return Mapping(signals), tuple(problems)


def _resolve_one(path: str, one: SignalFile, node: Node, messages: Messages | None) -> MappedSignal:
    stale_ns = one.stale_ns()
    if node.datatype not in NUMBERS and node.datatype != "boolean" and not node.allowed:
        raise ToolError(
            f"{node.datatype} can't come from a CAN signal: a number, a boolean or a list of names can"
        )
    if one.labels and not node.allowed:
        raise ToolError(f"labels: the catalogue allows any {node.datatype} ({node.where})")
    message, signal = None, None
    if messages is not None:
        message, signal = find_signal(path, one.bus, one.message, one.signal, messages)
        if stale_ns is None:
            stale_ns = _cycles_ns(message)
    labels = labels_of(node, one.labels, signal)
    return MappedSignal(
        one.bus,
        one.message,
        one.signal,
        _range(node, one, labels),
        node.description,
        unit=node.unit,
        type="bool" if node.datatype == "boolean" else "double",
        labels=labels,
        stale_ns=stale_ns or 0,
        convert=AS_IS if signal is None else _conversion(node, one, signal),
    )


def _range(node: Node, one: SignalFile, labels: tuple[tuple[int, str], ...]) -> tuple[float, float]:
    low, high = node.minimum, node.maximum
    if node.datatype == "boolean":
        low, high = 0.0, 1.0
    if node.allowed and labels:
        low, high = float(labels[0][0]), float(labels[-1][0])
    if one.range is None:
        return low, high
    if node.allowed or node.datatype == "boolean":
        raise ToolError(f"range: a {node.datatype} has none of its own")
    a, b = one.range
    if math.isnan(a) or math.isnan(b) or a > b:
        raise ToolError(f"range: [{a:g}, {b:g}] is empty")
    if a < low or b > high:
        raise ToolError(
            f"range: [{a:g}, {b:g}] is not inside the catalogue's [{low:g}, {high:g}] ({node.where})"
        )
    return a, b


def _conversion(node: Node, one: SignalFile, signal: Any) -> Conversion:
    """From the unit of the DBC signal into the catalogue's. Raises :class:`ToolError` naming both."""
    stated = (signal.unit or "").strip() if one.unit is None else one.unit.strip()
    where = "the DBC says" if one.unit is None else "the mapping says"
    if stated == node.unit or node.datatype not in NUMBERS:
        return AS_IS  # what a DBC writes beside a flag or a code is no unit
    if not node.unit:
        raise ToolError(
            f'unit: {where} {stated!r}, the catalogue has none ({node.where}); if it is a plain number: unit = ""'
        )
    if not stated:
        raise ToolError(
            f'unit: the DBC states none, the catalogue wants {node.unit}; say what it is: unit = "{node.unit}"'
        )
    found = conversion(stated, node.unit)
    if found is None:
        raise ToolError(f"unit: {where} {stated!r}, the catalogue {node.unit!r}: these don't convert")
    return found


def _cycles_ns(message: Any) -> int:
    """Five cycles of a cyclic message; 0 (never) where the DBC states no cycle or another way of sending."""
    cycle_ms, way = message.cycle_time, message.send_type
    if not cycle_ms or (way is not None and "cyclic" not in str(way).lower()):
        return 0
    return int(cycle_ms) * 1_000_000 * STALE_CYCLES
