"""Fields that one 64-bit word and one multiplication can't give exactly: the few that need more care.

They are fields of more than 53 bits, floating-point fields, fields that lie across an eight-byte boundary of a
CAN FD frame, and those whose scaled value passes 53 bits. The bits come from two neighbouring words, which hold
any field of up to 64 bits; integers too long for a double are scaled as Python integers and rounded once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can.table import SignalTable
from fsd_firmware.can.words import WORD_BITS, Words

EXACT_BITS = 53
"""A double holds every integer of so many bits."""


def scaled_in_integers(table: SignalTable) -> NDArray[np.bool_]:
    """Fields whose scaled value may pass what doubles hold, and must not be rounded before the end."""
    reach = np.ldexp(np.abs(table.scale), table.length) + np.abs(table.offset)
    plain = (table.scale == 1) & (table.offset == 0)  # the conversion to a double is the only rounding
    return np.asarray((table.integer_scale == 1) & (reach > 2.0**EXACT_BITS) & ~plain)


class CarefulFields:
    """Reads any field of a table out of ``words``. ``before``: bits before each field, in its own order."""

    def __init__(self, table: SignalTable, words: Words, before: NDArray[np.int64]) -> None:
        length = table.length.astype(np.uint64)
        self._words = words.flat.view(np.uint64)
        block = np.minimum(before // WORD_BITS, words.blocks - 1)
        self._first = block + words.stride * table.big_endian.astype(np.int64)
        self._more = np.minimum(block + 1, words.blocks - 1) - block
        self._shift = (before % WORD_BITS).astype(np.uint64)
        self._big = table.big_endian == 1
        self._top = WORD_BITS - length
        self._signed, self._length = table.signed == 1, table.length
        self._is_float = table.is_float == 1
        self._scale, self._offset = table.scale, table.offset
        self._plain = (table.scale == 1) & (table.offset == 0)
        self._integer = scaled_in_integers(table)

    def unsigned(self, at: NDArray[np.int64], field: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The bits of ``field`` of the frames whose words begin at ``at`` (:attr:`Words.frames`)."""
        return self._at_top(at, field) >> self._top[field]

    def values(self, at: NDArray[np.int64], field: NDArray[np.int64]) -> NDArray[np.float64]:
        """The physical values of the same."""
        top = self._at_top(at, field)
        shift = self._top[field]
        low, extended = top >> shift, top.view(np.int64) >> shift.view(np.int64)
        raw = np.where(self._signed[field], extended.astype(np.float64), low.astype(np.float64))
        with np.errstate(all="ignore"):  # NaN and infinity are values like others, and scale as they do
            short = low.astype(np.uint32).view(np.float32).astype(np.float64)
            number = np.where(self._length[field] == WORD_BITS, top.view(np.float64), short)
            raw = np.where(self._is_float[field], number, raw)
            value = np.where(self._plain[field], raw, raw * self._scale[field] + self._offset[field])
        for one in np.flatnonzero(self._integer[field]).tolist():
            whole = int(extended[one]) if self._signed[field[one]] else int(low[one])
            value[one] = self._in_integers(whole, int(field[one]))
        return value

    def _in_integers(self, raw: int, field: int) -> float:
        scaled, offset = raw * int(self._scale[field]), float(self._offset[field])
        return float(scaled + int(offset)) if offset.is_integer() else scaled + offset

    def _at_top(self, at: NDArray[np.int64], field: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Each field's bits at the upper end of a word, with whatever follows in the frame below them."""
        place = at + self._first[field]
        first, second = self._words[place], self._words[place + self._more[field]]
        shift = self._shift[field]
        rest = WORD_BITS - shift  # a shift by 64 gives zero
        little = (first >> shift | second << rest) << self._top[field]
        return np.asarray(np.where(self._big[field], first << shift | second >> rest, little))
