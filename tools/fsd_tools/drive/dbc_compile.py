"""DBC files and a mapping to VSS paths, compiled to a catalogue and a signal table.

What is mapped here is already resolved: every path has its type, unit, range, labels and conversion. The file that
people write, and the catalogue that says what a path is, are read in :mod:`fsd_tools.catalogue`. Only mapped
signals are compiled. What can't be decoded exactly is refused here, by name, and not on the car.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import cantools
from cantools.database.errors import Error as CantoolsError

from fsd_firmware.can.build import Field, build_table
from fsd_firmware.can.checks import FLOAT_BITS, FRAME_BYTES, MAX_FIELD_BITS, NO_ROW
from fsd_firmware.can.table import SignalTable
from fsd_firmware.can_frames import CAN_EFF_FLAG
from fsd_firmware.catalogue import Catalogue, CatalogueEntry, SignalType
from fsd_tools.catalogue.units import AS_IS, Conversion
from fsd_tools.errors import ToolError


@dataclass(frozen=True, slots=True)
class DbcSource:
    """One DBC file's text and the bus it describes; several may describe one bus."""

    bus: int
    name: str
    """For messages to people, usually the file's name."""
    text: str


@dataclass(frozen=True, slots=True)
class MappedSignal:
    """Where one VSS path comes from, and what it is there."""

    bus: int
    message: str
    signal: str
    range: tuple[float, float]
    description: str
    unit: str = ""
    type: SignalType = "double"
    labels: tuple[tuple[int, str], ...] = ()
    stale_ns: int = 0
    convert: Conversion = AS_IS
    """From the DBC's unit into ``unit``; folded into the signal's scale and offset."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """All signals by path; their order is the order of the catalogue."""

    signals: dict[str, MappedSignal]


Messages = dict[tuple[int, str], Any]
"""cantools' messages by bus and name."""


def compile_table(sources: Sequence[DbcSource], mapping: Mapping) -> tuple[Catalogue, SignalTable]:
    """The catalogue in the mapping's order and the table that fills it.

    Raises :class:`ToolError` naming the VSS path and the reason.
    """
    return compile_messages(load_messages(sources), mapping)


def compile_messages(messages: Messages, mapping: Mapping) -> tuple[Catalogue, SignalTable]:
    """The same from messages that are already read."""
    entries: list[CatalogueEntry] = []
    fields: list[Field] = []
    for row, (path, wanted) in enumerate(mapping.signals.items()):
        if not wanted.range[0] <= wanted.range[1]:
            raise ToolError(f"mapping: {path}: range: {list(wanted.range)} is empty")
        entries.append(
            CatalogueEntry(
                path,
                wanted.type,
                wanted.unit,
                *wanted.range,
                wanted.description,
                wanted.labels,
                wanted.stale_ns,
            )
        )
        message, signal = find_signal(path, wanted.bus, wanted.message, wanted.signal, messages)
        _add(path, wanted.bus, message, signal, row, fields)
        if wanted.convert != AS_IS:
            fields[-1] = _converted(fields[-1], wanted.convert)
    try:
        return Catalogue(tuple(entries)), build_table(fields)
    except ValueError as error:
        raise ToolError(f"mapping: {error}") from None


def load_dbc(source: DbcSource) -> Any:
    """One file as a cantools database, loaded tolerantly: real files overlap signals and miss value tables."""
    try:
        return cantools.database.load_string(source.text, "dbc", strict=False)
    except (CantoolsError, ValueError) as error:
        raise ToolError(f"{source.name}: not a DBC file that can be read: {error}") from None


def load_messages(sources: Sequence[DbcSource]) -> Messages:
    """Every message of every file. Raises :class:`ToolError` on a file that can't be read or one said twice."""
    messages: Messages = {}
    for source in sources:
        for message in load_dbc(source).messages:
            key = (source.bus, message.name)
            if key in messages:
                raise ToolError(f"{source.name}: bus {source.bus}: message {message.name} is there twice")
            messages[key] = message
    return messages


def find_signal(path: str, bus: int, message: str, signal: str, messages: Messages) -> tuple[Any, Any]:
    """The message and the signal as cantools has them. Raises :class:`ToolError` naming the path and what isn't there."""
    found = messages.get((bus, message))
    if found is None:
        raise ToolError(f"mapping: {path}: message: bus {bus} has no message {message!r}")
    for one in found.signals:
        if one.name == signal:
            return found, one
    raise ToolError(f"mapping: {path}: signal: message {message} has no signal {signal!r}")


def _converted(field: Field, convert: Conversion) -> Field:
    """``field`` in another unit: ``(raw * scale + offset) * factor + shift``, each number rounded once."""
    scale, offset = Fraction(repr(field.scale)), Fraction(repr(field.offset))
    return replace(
        field,
        scale=float(scale * convert.factor),
        offset=float(offset * convert.factor + convert.shift),
        integer_scale=False,
    )


def _add(path: str, bus: int, message: Any, signal: Any, row: int, fields: list[Field]) -> int:
    """Append ``signal``, its selectors before it; the index it got. ``row`` is -1 for a selector."""
    _refuse_inexact(path, message, signal)
    selector, values = NO_ROW, ()
    if signal.multiplexer_ids:
        by_name = {other.name: other for other in message.signals}
        chooser = by_name[signal.multiplexer_signal]
        if (chooser.scale, chooser.offset) != (1, 0):
            raise ToolError(f"mapping: {path}: selector {chooser.name} is scaled, which DBC doesn't define")
        selector = _add(path, bus, message, chooser, NO_ROW, fields)
        values = tuple(sorted(set(signal.multiplexer_ids)))
    is_float = bool(signal.conversion.is_float)
    field = Field(
        bus=bus,
        can_id=message.frame_id | (CAN_EFF_FLAG if message.is_extended_frame else 0),
        start=signal.start,
        length=signal.length,
        big_endian=signal.byte_order == "big_endian",
        signed=signal.is_signed and not is_float,
        scale=float(signal.scale),
        offset=float(signal.offset),
        catalogue_row=row,
        selector=selector,
        mux_values=values,
        is_float=is_float,
        integer_scale=not is_float and _scales_integers(signal),
    )
    if row == NO_ROW and field in fields:
        return fields.index(field)  # several signals share a selector
    fields.append(field)
    return len(fields) - 1


def _scales_integers(signal: Any) -> bool:
    """Whether the raw integer is multiplied as one: as cantools does, by how the DBC writes the numbers."""
    whole = float(signal.scale).is_integer() and float(signal.offset).is_integer()
    return whole or isinstance(signal.scale, int)


def _refuse_inexact(path: str, message: Any, signal: Any) -> None:
    where = f"mapping: {path}: {message.name}.{signal.name}"
    if signal.length > MAX_FIELD_BITS:
        raise ToolError(f"{where}: {signal.length} bits; a signal has at most {MAX_FIELD_BITS}")
    if signal.conversion.is_float and signal.length not in FLOAT_BITS:
        raise ToolError(f"{where}: floating-point in {signal.length} bits; it has 32 or 64")
    start, big = signal.start, signal.byte_order == "big_endian"
    before = 8 * (start // 8) + 7 - start % 8 if big else start
    if before + signal.length > 8 * min(message.length, FRAME_BYTES):
        raise ToolError(
            f"{where}: reaches past the message's {message.length} bytes, or past byte {FRAME_BYTES}"
        )
    for name, number in (("factor", signal.scale), ("offset", signal.offset)):
        if float(number) != number:  # Python compares a double and an integer exactly
            raise ToolError(f"{where}: {name} {number} is more than a double holds exactly")
