"""What must hold in a signal table before a frame is decoded with it: every index in bounds, every value sound.

Each function raises ``ValueError`` naming the column.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from fsd_firmware.can.table import SignalTable

NO_ROW: Final = -1
"""``catalogue_row`` of a field that only selects, ``selector`` of a field that is always present."""
MAX_FIELD_BITS: Final = 64
FRAME_BYTES: Final = 64
"""The longest CAN FD frame."""
MAX_SELECTOR_BITS: Final = 31
"""A selector's value shares a 64-bit search key with the row it selects."""
MAX_NUMBER: Final = 1e250
"""A scale or offset of this size still gives a double when it meets any integer of 64 bits."""
FLOAT_BITS: Final = (32, 64)


def bad(column: str, reason: str) -> ValueError:
    """The error that every check raises."""
    return ValueError(f"signal table: {column}: {reason}")


def check_shapes(table: SignalTable, dtypes: Mapping[str, str]) -> None:
    """Columns of one length and of the stated types."""
    wanted = {
        "first": table.message_key.shape[0] + 1,
        "mux_first": len(table) + 1,
        "message_key": table.message_key.shape[0],
        "mux_value": table.mux_value.shape[0],
    }
    for name, dtype in dtypes.items():
        column = getattr(table, name)
        if column.shape != (wanted.get(name, len(table)),):
            raise bad(name, f"expected {wanted.get(name, len(table))} values, found shape {column.shape}")
        if column.dtype != np.dtype(dtype).newbyteorder("="):
            raise bad(name, f"expected values of type {dtype}")


def check_messages(table: SignalTable) -> None:
    """Messages in order, each with fields."""
    key = table.message_key
    if (np.diff(key) <= 0).any() or (key < 0).any() or (key >> 32 > 255).any():
        raise bad("message_key", "must increase and hold buses 0 to 255")
    first = table.first
    if first[0] != 0 or first[-1] != len(table) or (np.diff(first) <= 0).any():
        raise bad("first", "must rise from 0 to the number of fields")


def check_bits(table: SignalTable) -> None:
    """Fields that lie in a frame."""
    for name in ("big_endian", "signed", "is_float", "integer_scale"):
        if (getattr(table, name) > 1).any():
            raise bad(name, "must be 0 or 1")
    if (table.length < 1).any() or (table.length > MAX_FIELD_BITS).any():
        raise bad("length", f"must be 1 to {MAX_FIELD_BITS} bits")
    start, length, big = (c.astype(np.int64) for c in (table.start, table.length, table.big_endian))
    before = np.where(big == 1, 8 * (start // 8) + 7 - start % 8, start)
    if (before + length > 8 * FRAME_BYTES).any():
        raise bad("start", f"a field reaches past the frame's byte {FRAME_BYTES}")
    if (table.min_bytes != (before + length + 7) // 8).any():
        raise bad("min_bytes", "doesn't follow from start and length")


def check_values(table: SignalTable) -> None:
    """Numbers that every raw value can be scaled with, and rows."""
    for name in ("scale", "offset"):
        if not (np.abs(getattr(table, name)) <= MAX_NUMBER).all():
            raise bad(name, f"must be finite and at most {MAX_NUMBER:g} in size")
    floats = table.is_float == 1
    if not np.isin(table.length[floats], FLOAT_BITS).all():
        raise bad("is_float", "a floating-point field has 32 or 64 bits")
    if table.signed[floats].any():
        raise bad("signed", "must be 0 for a floating-point field, whose sign is its own")
    whole = table.integer_scale == 1
    if (np.floor(table.scale[whole]) != table.scale[whole]).any() or (whole & floats).any():
        raise bad("integer_scale", "needs a whole scale and an integer field")
    if (table.catalogue_row < NO_ROW).any():
        raise bad("catalogue_row", "must be a row, or -1")


def check_mux(table: SignalTable) -> None:
    """Selectors that stand before what they select, in the same message."""
    counts = np.diff(table.mux_first)
    if table.mux_first[0] != 0 or table.mux_first[-1] != table.mux_value.shape[0] or (counts < 0).any():
        raise bad("mux_first", "must rise from 0 to the number of mux values")
    message = np.repeat(np.arange(table.message_key.shape[0]), np.diff(table.first))
    chosen = np.flatnonzero(table.selector != NO_ROW)
    selector = table.selector[chosen]
    if (selector < 0).any() or (selector >= chosen).any() or (message[selector] != message[chosen]).any():
        raise bad("selector", "must be an earlier field of the same message")
    odd = table.signed[selector] | table.is_float[selector]
    if (table.length[selector] > MAX_SELECTOR_BITS).any() or odd.any():
        raise bad("selector", f"must be an unsigned integer of at most {MAX_SELECTOR_BITS} bits")
    if ((counts > 0) != (table.selector != NO_ROW)).any():
        raise bad("mux_first", "exactly the fields with a selector have mux values")
    for low, high in pairwise(table.mux_first.tolist()):
        if (np.diff(table.mux_value[low:high]) <= 0).any():
            raise bad("mux_value", "must increase within a field")
    if (table.mux_value < 0).any() or (table.mux_value >> MAX_SELECTOR_BITS).any():
        raise bad("mux_value", f"must fit {MAX_SELECTOR_BITS} bits")
