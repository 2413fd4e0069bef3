"""Which row of a table each clip id has, so that what is known of tens of thousands of clips lies in plain columns.

The rows are 0 to n - 1 without gaps. A new id gets the row behind the last; where one goes, the last row takes its place, in
the columns as here (:func:`take_out`). A dictionary costs 150 bytes for each id and its number; this 16, and 8 to 16 for slots.

Slots are open addresses with linear probing, half of them free at least. The hash is Python's own of bytes (SipHash under a
key of the process' own), so that nobody can choose ids that collide.
"""

from __future__ import annotations

from array import array
from collections.abc import MutableSequence
from typing import Self

from fsd_agent.records.clip_ids import ID_BYTES

_FREE = -1
_FEWEST = 8


class IdRows:
    """See the module. Ids are given as they are written, 32 hex digits."""

    def __init__(self, expected: int = 0) -> None:
        """``expected``: how many there will be, if that is known."""
        self._ids = bytearray()
        self._slots = _slots(max(_FEWEST, 1 << (2 * expected).bit_length()))

    @classmethod
    def of(cls, ids: bytes) -> Self:
        """Ids one behind the other, in the order of their rows; each must be there once."""
        rows = cls(len(ids) // ID_BYTES)
        rows._ids += ids
        rows._fill()
        return rows

    def __len__(self) -> int:
        """Count them."""
        return len(self._ids) // ID_BYTES

    def __bytes__(self) -> bytes:
        """All of them, in the order of their rows, one behind the other."""
        return bytes(self._ids)

    def id_of(self, row: int) -> str:
        """The id in a row."""
        return self._id(row).hex()

    def find(self, clip_id: str) -> int | None:
        """Its row; None where it has none."""
        row = self._slots[self._slot(bytes.fromhex(clip_id))]
        return row if row != _FREE else None

    def add(self, clip_id: str) -> int:
        """The row behind the last, for an id that has none yet."""
        row, key = len(self), bytes.fromhex(clip_id)
        if len(key) != ID_BYTES:
            raise ValueError(f"clip id {clip_id!r}: not {ID_BYTES} bytes")
        if 2 * (row + 1) > len(self._slots):
            self._grow()
        self._slots[self._slot(key)] = row
        self._ids += key
        return row

    def remove(self, clip_id: str) -> int | None:
        """The row that it had, which the last one takes now; None where it had none."""
        slot = self._slot(bytes.fromhex(clip_id))
        row = self._slots[slot]
        if row == _FREE:
            return None
        self._close(slot)
        last = len(self) - 1
        if row != last:
            self._slots[self._slot(self._id(last))] = row
        take_out(self._ids, row, ID_BYTES)
        return row

    def _id(self, row: int) -> bytes:
        return bytes(self._ids[row * ID_BYTES : (row + 1) * ID_BYTES])

    def _slot(self, key: bytes) -> int:
        """The slot that has the row of ``key``, or the free one where it belongs."""
        slots, ids = self._slots, self._ids
        mask = len(slots) - 1
        slot = hash(key) & mask
        while (row := slots[slot]) != _FREE and ids[row * ID_BYTES : (row + 1) * ID_BYTES] != key:
            slot = (slot + 1) & mask
        return slot

    def _close(self, free: int) -> None:
        """Free a slot. What was put behind it because it was taken moves up, so that it is found from its own place on."""
        slots = self._slots
        mask = len(slots) - 1
        slot = (free + 1) & mask
        while (row := slots[slot]) != _FREE:
            away = slot - hash(self._id(row))
            if away & mask >= (slot - free) & mask:
                slots[free], free = row, slot
            slot = (slot + 1) & mask
        slots[free] = _FREE

    def _grow(self) -> None:
        self._slots = _slots(2 * len(self._slots))
        self._fill()

    def _fill(self) -> None:
        """Put every row into the slots, all of which are free."""
        slots, ids, mask = self._slots, bytes(self._ids), len(self._slots) - 1
        for row in range(len(self)):
            slot = hash(ids[row * ID_BYTES : (row + 1) * ID_BYTES]) & mask
            while slots[slot] != _FREE:
                slot = (slot + 1) & mask
            slots[slot] = row


def take_out(column: MutableSequence[int], row: int, width: int = 1) -> None:
    """Take a row out of a column of ``width`` items a row: the last row takes its place."""
    last = len(column) - width
    column[row * width : (row + 1) * width] = column[last:]
    del column[last:]


def _slots(count: int) -> array[int]:
    return array("i", [_FREE]) * count
