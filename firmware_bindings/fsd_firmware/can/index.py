"""From (bus, id) to the number of a message: 1 to m in the table's order, 0 for a frame that no message describes.

Standard ids are looked up in two small tables: the id gives a block of 256 places, the bus a place in it. A
table with 29-bit ids is searched instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STANDARD_IDS = 1 << 11
BUSES = 256


class MessageIndex:
    """Built once from ``SignalTable.message_key``."""

    def __init__(self, message_key: NDArray[np.int64]) -> None:
        self._key = np.insert(message_key, 0, -1)  # so that position is number
        can_id = message_key & 0xFFFF_FFFF
        self._dense = bool((can_id < STANDARD_IDS).all())
        if not self._dense:
            return
        ids, block = np.unique(can_id, return_inverse=True)
        self._block = np.zeros(STANDARD_IDS + 1, np.int64)
        """Begin of each id's block; the last stands for all longer ids."""
        self._block[ids] = BUSES * (np.arange(ids.shape[0]) + 1)
        self._number = np.zeros(BUSES * (ids.shape[0] + 1), np.int64)
        self._number[BUSES * (block + 1) + (message_key >> 32)] = np.arange(message_key.shape[0]) + 1

    def find(self, bus: NDArray[np.uint8], can_id: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The number of each frame's message."""
        if self._dense:
            place = self._block.take(can_id.astype(np.int64), mode="clip")
            place += bus
            return self._number.take(place)
        key = bus.astype(np.int64) << 32
        key |= can_id
        number = self._key.searchsorted(key)
        number[number == self._key.shape[0]] = 0
        return np.where(self._key[number] == key, number, 0)
