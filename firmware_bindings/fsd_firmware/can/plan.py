"""A signal table made ready for frames of one width: what each message and each field needs, as columns.

A field is read in four steps: the right one of its frame's words, a left shift that brings its first bit to the
top, a mask that drops what stands below, and a multiplication. No shift back down is needed, because it is part
of the scale: ``raw * 2**s`` times ``scale * 2**-s`` has the same bits as ``raw * scale``. Words are signed, so
a field with a sign is brought to bit 63 and an unsigned one to bit 62; if it reaches up to bit 63 by itself, it
is taken from a word that was moved down by one.

What doesn't fit this (see :mod:`careful`) gets an empty mask and is filled in afterwards.
"""

from __future__ import annotations

import numpy as np

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
        at, down = before % WORD_BITS, WORD_BITS - length - np.where(signed, 0, 1)
        left = np.where(big, at, WORD_BITS - length - at) - np.where(signed, 0, 1)
        form, used = np.where(big, BIG, LITTLE) + np.where(left < 0, MOVED, 0), (LITTLE + MOVED, BIG + MOVED)
        self.words = Words(self.width, moved=(bool((form == used[0]).any()), bool((form == used[1]).any())))
        block = np.minimum(before // WORD_BITS, self.words.blocks - 1)
        self.word, self.left = form * self.words.stride + block, np.maximum(left, 0)
        scale = np.ldexp(table.scale, -down)
        self.careful = CarefulFields(table, self.words, before)
        self.is_careful = (
            (at + length > WORD_BITS)
            | (table.length > EXACT_BITS)
            | (table.is_float == 1)
            | scaled_in_integers(table)
            | (np.ldexp(scale, down) != table.scale)
        )
        mask = ((np.int64(1) << np.minimum(length, EXACT_BITS)) - 1) << np.maximum(down, 0)
        self.mask = np.where(self.is_careful, 0, mask)
        self.scale, self.offset = np.where(self.is_careful, 0.0, scale), table.offset
        self.row, self.min_bytes = table.catalogue_row, table.min_bytes

    def _prepare_messages(self, table: SignalTable) -> None:
        first = table.first.astype(np.int64)
        self.count = np.insert(np.diff(first), 0, 0)
        self.ends = np.insert(first[1:], 0, 0)
        needed = np.maximum.reduceat(table.min_bytes, first[:-1]) if len(table) else table.min_bytes
        self.slack = np.insert(np.maximum(self.width - needed.astype(np.int64), 0), 0, self.width).astype(
            np.uint8
        )
        """Bytes that a frame of the message may lack without losing a field."""
        odd = self.is_careful | (table.selector != NO_ROW) | (table.catalogue_row == NO_ROW)
        odd |= table.min_bytes > self.width
        self.odd = np.insert(np.maximum.reduceat(odd, first[:-1]) if len(table) else odd, 0, False)
        """Messages with a field that the four steps alone don't give."""
        self.any_odd = bool(self.odd.any())
