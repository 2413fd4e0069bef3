"""A signal table made ready for frames of one width: what each message and each field needs, as columns.

A field is read in four steps: the right one of its frame's words, a left shift that brings its sign to the top, a
mask that drops what isn't the field, and a multiplication. No shift back down is needed, because it is part
of the scale: ``raw * 2**s`` times ``scale * 2**-s`` has the same bits as ``raw * scale``. Words are signed, so
a field with a sign is brought to bit 63. One without stays where it is; only if it reaches up to bit 63, it is
taken from a word that was moved down by one.

What doesn't fit this (see :mod:`careful`) gets an empty mask and is filled in afterwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can.careful import EXACT_BITS, CarefulFields, scaled_in_integers
from fsd_firmware.can.checks import NO_ROW
from fsd_firmware.can.mux import Multiplexing
from fsd_firmware.can.table import SignalTable
from fsd_firmware.can.words import BIG, LITTLE, MOVED, WORD_BITS, Words


class Plan:
    """Columns over messages 0 to m, where 0 is no message, and over fields."""

    def __init__(self, table: SignalTable, width: int) -> None:
        self.width = width
        self._prepare_fields(table)
        self._prepare_messages(table)
        self.mux = Multiplexing(table)

    def _prepare_fields(self, table: SignalTable) -> None:
        start, length = table.start.astype(np.int64), table.length.astype(np.int64)
        big, signed = table.big_endian == 1, table.signed == 1
        before = np.where(big, 8 * (start // 8) + 7 - start % 8, start)
        at = before % WORD_BITS
        below = np.where(big, WORD_BITS - length - at, at)
        moved = ~signed & (below + length == WORD_BITS)
        self.left = np.where(signed, np.maximum(WORD_BITS - length - below, 0), 0)
        self.words = Words(
            self.width, little_moved=bool((moved & ~big).any()), big_moved=bool((moved & big).any())
        )
        block = np.minimum(before // WORD_BITS, self.words.blocks - 1)
        self.word = (np.where(moved, MOVED, 0) + np.where(big, BIG, LITTLE)) * self.words.stride + block
        down = np.maximum(below + self.left - moved, 0)
        # Bits below the field: zeros once they are masked.
        scale = np.ldexp(table.scale, -down)
        self.careful = CarefulFields(table, self.words, before)
        careful = (at + length > WORD_BITS) | (length > EXACT_BITS) | (table.is_float == 1)
        careful |= scaled_in_integers(table) | (np.ldexp(scale, down) != table.scale)
        self.is_careful = careful
        mask = ((np.int64(1) << np.minimum(length, EXACT_BITS)) - 1) << down
        self.mask = np.where(careful, 0, mask)
        self.scale, self.offset = np.where(careful, 0.0, scale), table.offset
        self.row, self.min_bytes = table.catalogue_row, table.min_bytes
        self.is_wanted = table.catalogue_row != NO_ROW

    def _prepare_messages(self, table: SignalTable) -> None:
        first = table.first.astype(np.int64)
        self.count = np.insert(np.diff(first), 0, 0)
        self.ends = np.insert(first[1:], 0, 0)
        needed = _of_messages(table.min_bytes, first).astype(np.int64)
        slack = np.maximum(self.width - needed, 0)
        self.slack = np.insert(slack, 0, self.width).astype(np.uint8)
        """Bytes that a frame of the message may lack without losing a field."""
        out_of_reach = table.min_bytes > self.width
        odd = self.is_careful | (table.selector != NO_ROW) | ~self.is_wanted | out_of_reach
        self.odd = np.insert(_of_messages(odd, first), 0, False)
        """Messages with a field that the four steps alone don't give."""
        self.any_odd, self.any_careful = bool(odd.any()), bool(self.is_careful.any())
        self.all_reachable = not out_of_reach.any()


def _of_messages(column: NDArray[Any], first: NDArray[np.int64]) -> NDArray[Any]:
    """The largest value of each message's fields."""
    return np.maximum.reduceat(column, first[:-1]) if column.shape[0] else column
