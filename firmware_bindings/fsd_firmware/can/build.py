"""From fields as a compiler states them, one by one, to a signal table.

A field that no frame can hold is refused here, by name of the column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can.checks import FRAME_BYTES, MAX_FIELD_BITS, NO_ROW, bad
from fsd_firmware.can.table import SignalTable


@dataclass(frozen=True, slots=True)
class Field:
    """One signal of one message; see :mod:`table` for what its parts mean."""

    bus: int
    can_id: int
    """11-bit identifier, or 29-bit with ``CAN_EFF_FLAG`` set."""
    start: int
    length: int
    big_endian: bool
    signed: bool
    scale: float
    offset: float
    catalogue_row: int = NO_ROW
    selector: int = NO_ROW
    """Index in the sequence given to :func:`build_table`, before this field."""
    mux_values: tuple[int, ...] = ()
    is_float: bool = False
    integer_scale: bool = False


def first_network_bit(start: int, *, big_endian: bool) -> int:
    """Bits before the field's first bit, counted from the frame's first byte in the field's own order."""
    return 8 * (start // 8) + 7 - start % 8 if big_endian else start


def needed_bytes(start: int, length: int, *, big_endian: bool) -> int:
    """Bytes that a frame must have to hold the field."""
    return (first_network_bit(start, big_endian=big_endian) + length + 7) // 8


def build_table(entries: Sequence[Field]) -> SignalTable:
    """Group ``entries`` by (bus, id), keeping their order inside a message.

    Raises ``ValueError`` when a field doesn't fit a frame, is longer than 64 bits, or selects wrongly.
    """
    order = sorted(range(len(entries)), key=lambda i: (entries[i].bus, entries[i].can_id))
    place = {old: new for new, old in enumerate(order)}
    rows = [entries[i] for i in order]
    _refuse_oversized(rows)
    keys = np.array([row.bus << 32 | row.can_id for row in rows], np.int64)
    message_key, first = np.unique(keys, return_index=True)
    return SignalTable(
        message_key=message_key,
        first=np.append(first, len(rows)).astype(np.int32),
        start=np.array([row.start for row in rows], np.uint16),
        length=np.array([row.length for row in rows], np.uint8),
        big_endian=_flags([row.big_endian for row in rows]),
        signed=_flags([row.signed for row in rows]),
        is_float=_flags([row.is_float for row in rows]),
        integer_scale=_flags([row.integer_scale for row in rows]),
        scale=np.array([row.scale for row in rows], np.float64),
        offset=np.array([row.offset for row in rows], np.float64),
        min_bytes=np.array(
            [needed_bytes(row.start, row.length, big_endian=row.big_endian) for row in rows], np.uint8
        ),
        catalogue_row=np.array([row.catalogue_row for row in rows], np.int32),
        selector=np.array([place.get(row.selector, row.selector) for row in rows], np.int32),
        mux_first=np.cumsum([0, *(len(row.mux_values) for row in rows)]).astype(np.int32),
        mux_value=np.array([v for row in rows for v in sorted(row.mux_values)], np.int64),
    )


def _refuse_oversized(rows: Sequence[Field]) -> None:
    """Before they are narrowed to the columns' types."""
    for row in rows:
        if not 1 <= row.length <= MAX_FIELD_BITS:
            raise bad("length", f"{row.length}; must be 1 to {MAX_FIELD_BITS} bits")
        if row.start < 0 or needed_bytes(row.start, row.length, big_endian=row.big_endian) > FRAME_BYTES:
            raise bad("start", f"{row.start}; the field doesn't lie within a frame of {FRAME_BYTES} bytes")


def _flags(values: Sequence[bool]) -> NDArray[np.uint8]:
    return np.array(values, np.uint8)
