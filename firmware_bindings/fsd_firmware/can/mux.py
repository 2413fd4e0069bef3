"""Which fields a frame carries: a field with a selector is there when the selector has one of the field's values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can.checks import NO_ROW
from fsd_firmware.can.table import SignalTable

Bits = Callable[[NDArray[np.int64]], NDArray[np.uint64]]
"""The raw value at each of some positions in the pairs of frame and field."""


class Multiplexing:
    """The selections of one table."""

    def __init__(self, table: SignalTable) -> None:
        chosen = table.selector != NO_ROW
        self._back = np.where(chosen, np.arange(len(table)) - table.selector, 0)
        """How many fields before this one its selector stands."""
        self._level = np.zeros(len(table), np.int64)
        for field in np.flatnonzero(chosen):  # selectors stand before what they select
            self._level[field] = self._level[table.selector[field]] + 1
        self.depth = int(self._level.max(initial=0))
        owner = np.repeat(np.arange(len(table), dtype=np.int64), np.diff(table.mux_first))
        self._key = owner << 32 | table.mux_value

    def chosen(
        self, field: NDArray[np.int64], bits: Bits, fits: NDArray[np.bool_] | None
    ) -> NDArray[np.bool_]:
        """True where the frame carries the field; outer selectors are settled first.

        ``field`` holds all fields of each frame's message, in order. ``fits`` is false where the frame is too
        short for the field (None: nowhere); a selector that doesn't fit selects nothing.
        """
        chosen = np.ones(field.shape[0], np.bool_)
        level = self._level[field]
        for depth in range(1, self.depth + 1):
            at = np.flatnonzero(level == depth)
            selector = at - self._back[field[at]]
            key = field[at] << 32 | bits(selector).view(np.int64)
            found = np.searchsorted(self._key, key)
            found[found == self._key.shape[0]] = 0
            chosen[at] = chosen[selector] & (self._key[found] == key)
            if fits is not None:
                chosen[at] &= fits[selector]
        return chosen
