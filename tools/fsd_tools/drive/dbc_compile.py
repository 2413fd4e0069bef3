"""DBC files and a mapping to VSS paths, compiled to a catalogue and a signal table.

The mapping is a TOML file: which message and signal of which bus fills which VSS path, and what the campaign
author may expect there::

    [signals."Vehicle.Speed"]
    bus = 0
    message = "VEHICLE_SPEED"
    signal = "SPEED"
    unit = "km/h"
    range = [0, 250]
    description = "Speed over ground."

``type`` is ``double`` unless it says ``bool``. Only mapped signals are compiled. What can't be decoded
exactly (over 53 bits, floating-point raw values, past the eighth byte) is refused here, by name, and not on
the car.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cantools
import msgspec
from cantools.database.errors import Error as CantoolsError

from fsd_firmware.can.table import MAX_FIELD_BITS, Field, SignalTable, build_table
from fsd_firmware.catalogue import Catalogue, CatalogueEntry, SignalType
from fsd_firmware.samples import CAN_EFF_FLAG
from fsd_tools.errors import ToolError

EXACT = 2**MAX_FIELD_BITS


@dataclass(frozen=True, slots=True)
class DbcSource:
    """One DBC file's text and the bus it describes; several may describe one bus."""

    bus: int
    name: str
    """For messages to people, usually the file's name."""
    text: str


class MappedSignal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one VSS path comes from."""

    bus: int
    message: str
    signal: str
    range: tuple[float, float]
    description: str
    unit: str = ""
    type: SignalType = "double"


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole mapping file; the order of ``signals`` is the order of the catalogue."""

    signals: dict[str, MappedSignal]


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file. Raises :class:`ToolError` naming the file and the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ToolError(f"{path}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ToolError(f"{path}: is not UTF-8 text: {error}") from None
    return parse_mapping(text, str(path))


def parse_mapping(text: str, name: str) -> Mapping:
    """Check a mapping's text. Raises :class:`ToolError` naming ``name`` and the key."""
    try:
        return msgspec.convert(tomllib.loads(text), Mapping, strict=True)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ToolError(f"{name}: {error}") from None


def compile_table(sources: Sequence[DbcSource], mapping: Mapping) -> tuple[Catalogue, SignalTable]:
    """The catalogue in the mapping's order and the table that fills it.

    Raises :class:`ToolError` naming the VSS path and the reason.
    """
    messages = _load(sources)
    entries: list[CatalogueEntry] = []
    fields: list[Field] = []
    for row, (path, wanted) in enumerate(mapping.signals.items()):
        if not wanted.range[0] <= wanted.range[1]:
            raise ToolError(f"mapping: {path}: range: {list(wanted.range)} is empty")
        entries.append(CatalogueEntry(path, wanted.type, wanted.unit, *wanted.range, wanted.description))
        message, signal = _find(path, wanted, messages)
        _add(path, wanted.bus, message, signal, row, fields)
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


def _load(sources: Sequence[DbcSource]) -> dict[tuple[int, str], Any]:
    messages: dict[tuple[int, str], Any] = {}
    for source in sources:
        for message in load_dbc(source).messages:
            key = (source.bus, message.name)
            if key in messages:
                raise ToolError(f"{source.name}: bus {source.bus}: message {message.name} is there twice")
            messages[key] = message
    return messages


def _find(path: str, wanted: MappedSignal, messages: dict[tuple[int, str], Any]) -> tuple[Any, Any]:
    message = messages.get((wanted.bus, wanted.message))
    if message is None:
        raise ToolError(f"mapping: {path}: message: bus {wanted.bus} has no message {wanted.message!r}")
    for signal in message.signals:
        if signal.name == wanted.signal:
            return message, signal
    raise ToolError(f"mapping: {path}: signal: message {wanted.message} has no signal {wanted.signal!r}")


def _add(path: str, bus: int, message: Any, signal: Any, row: int, fields: list[Field]) -> int:
    """Append ``signal``, its selectors before it; the index it got. ``row`` is -1 for a selector."""
    _refuse_inexact(path, message, signal)
    selector, values = -1, ()
    if signal.multiplexer_ids:
        by_name = {other.name: other for other in message.signals}
        chooser = by_name[signal.multiplexer_signal]
        if (chooser.scale, chooser.offset) != (1, 0):
            raise ToolError(f"mapping: {path}: selector {chooser.name} is scaled, which DBC doesn't define")
        selector = _add(path, bus, message, chooser, -1, fields)
        values = tuple(sorted(set(signal.multiplexer_ids)))
    fields.append(
        Field(
            bus=bus,
            can_id=message.frame_id | (CAN_EFF_FLAG if message.is_extended_frame else 0),
            start=signal.start,
            length=signal.length,
            big_endian=signal.byte_order == "big_endian",
            signed=signal.is_signed,
            scale=float(signal.scale),
            offset=float(signal.offset),
            catalogue_row=row,
            selector=selector,
            mux_values=values,
        )
    )
    return len(fields) - 1


def _refuse_inexact(path: str, message: Any, signal: Any) -> None:
    where = f"mapping: {path}: {message.name}.{signal.name}"
    if signal.conversion.is_float:
        raise ToolError(f"{where}: floating-point raw values aren't supported")
    if signal.length > MAX_FIELD_BITS:
        raise ToolError(f"{where}: {signal.length} bits; at most {MAX_FIELD_BITS} are exact")
    start, big = signal.start, signal.byte_order == "big_endian"
    before = 8 * (start // 8) + 7 - start % 8 if big else start
    if before + signal.length > 8 * min(message.length, 8):
        raise ToolError(
            f"{where}: reaches past the message's {message.length} bytes, or past the eighth byte"
        )
    whole = float(signal.scale).is_integer() and float(signal.offset).is_integer()
    if whole and (2**signal.length * abs(signal.scale) + abs(signal.offset)) > EXACT:
        raise ToolError(f"{where}: scaled values pass {MAX_FIELD_BITS} bits and would be rounded")
