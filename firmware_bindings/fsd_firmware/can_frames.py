"""Received CAN frames as columns, which are arrays or lists of numbers, whichever a reader asks for.

A tick brings a few dozen frames, which are read one by one; thousands are read as arrays. Times and batches are those of
:mod:`samples`. Arrays are never written to after construction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CAN_EFF_FLAG = 0x8000_0000
"""Set in ``can_id`` for a 29-bit identifier, as in Linux' ``linux/can.h``."""
CAN_WIDTHS = (8, 64)
"""Bytes of data a frame that a batch can have: classic CAN, and CAN FD."""
CAN_LENGTHS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64)
"""Lengths that a frame can have (ISO 11898-1); those over 8 only in CAN FD."""


_CanColumns = tuple[
    NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint8]
]
_CanLists = tuple[list[int], list[int], list[int], list[int], bytes]


class CanFrames:
    """Received CAN frames, mixed buses and ids, in order of ``t_ns``. All arrays have length n."""

    __slots__ = ("_columns", "_cut", "_listed")

    def __init__(
        self,
        t_ns: NDArray[np.int64],
        bus: NDArray[np.uint8],
        can_id: NDArray[np.uint32],
        length: NDArray[np.uint8],
        data: NDArray[np.uint8],
    ) -> None:
        self._columns: _CanColumns | None = (t_ns, bus, can_id, length, data)
        self._cut: tuple[CanFrames, slice] | None = None
        self._listed: _CanLists | None = None

    def rows(self, low: int, high: int) -> CanFrames:
        """Frames ``low`` to ``high`` (exclusive), which are among them. Costs next to nothing until a column is asked for."""
        made = CanFrames.__new__(CanFrames)
        made._columns, made._cut, made._listed = None, (self, slice(low, high)), None  # noqa: SLF001 - its own
        return made

    @property
    def t_ns(self) -> NDArray[np.int64]:
        """When each was received."""
        return (self._columns or self._made())[0]

    @property
    def bus(self) -> NDArray[np.uint8]:
        """On which bus."""
        return (self._columns or self._made())[1]

    @property
    def can_id(self) -> NDArray[np.uint32]:
        """11-bit identifier, or 29-bit with :data:`CAN_EFF_FLAG` set."""
        return (self._columns or self._made())[2]

    @property
    def length(self) -> NDArray[np.uint8]:
        """Bytes received, one of :data:`CAN_LENGTHS` and at most the width of ``data``."""
        return (self._columns or self._made())[3]

    @property
    def data(self) -> NDArray[np.uint8]:
        """Shape (n, 8), or (n, 64) where the bus speaks CAN FD; bytes past ``length`` are zero and mean nothing.

        One width holds for all frames of a batch; short frames fit the wide one too.
        """
        return (self._columns or self._made())[4]

    @property
    def width(self) -> int:
        """Bytes of ``data`` a frame."""
        return self._cut[0].width if self._cut is not None else int(self.data.shape[1])

    @property
    def listed(self) -> _CanLists:
        """Times, buses, ids and lengths as lists, never to be changed, and all frames' data one after the other.

        Rows of other frames share what was listed for all of those.
        """
        if self._listed is None:
            if self._cut is None:
                columns = (self.t_ns, self.bus, self.can_id, self.length)
                t_ns, bus, can_id, length = (column.tolist() for column in columns)
                self._listed = t_ns, bus, can_id, length, self.data.tobytes()
            else:
                of, rows = self._cut
                t_ns, bus, can_id, length, data = of.listed
                width = of.width
                self._listed = (
                    t_ns[rows],
                    bus[rows],
                    can_id[rows],
                    length[rows],
                    data[width * rows.start : width * rows.stop],
                )
        return self._listed

    def __len__(self) -> int:
        """Count frames."""
        return self._cut[1].stop - self._cut[1].start if self._cut is not None else int(self.t_ns.shape[0])

    def _made(self) -> _CanColumns:
        assert self._cut is not None
        of, rows = self._cut
        self._columns = made = (of.t_ns[rows], of.bus[rows], of.can_id[rows], of.length[rows], of.data[rows])
        return made


def empty_can() -> CanFrames:
    """No frames."""
    return CanFrames(
        np.empty(0, np.int64),
        np.empty(0, np.uint8),
        np.empty(0, np.uint32),
        np.empty(0, np.uint8),
        np.empty((0, 8), np.uint8),
    )
