"""CAN frames to signal samples, all ids at once.

Every frame is expanded to its message's fields (repeat and cumulative sum give the pairs of frame and field);
each frame's eight bytes are read once as a little-endian and once as a big-endian 64-bit word; a field is
then a left shift (drop what stands before), an arithmetic right shift (bring down, extend the sign), a mask
and a scale. No loop runs over frames or ids.

Frames of an id the table doesn't know are counted and passed over. A frame too short for a field doesn't
yield that field and is counted: the zeros that pad ``CanFrames.data`` mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can.table import FRAME_BITS, NO_ROW, SignalTable
from fsd_firmware.samples import CanFrames, Signals, empty_signals

CHUNK_FRAMES = 16_000
"""More frames at once would leave the processor's cache."""


@dataclass(frozen=True, slots=True)
class DecodeCounts:
    """What a decoder has seen so far."""

    frames: int = 0
    frames_unknown: int = 0
    """No field is compiled for the frame's (bus, id)."""
    frames_short: int = 0
    """At least one field of the message reaches past the bytes received."""
    samples: int = 0

    def __add__(self, other: DecodeCounts) -> DecodeCounts:
        """Both counts together."""
        return DecodeCounts(
            self.frames + other.frames,
            self.frames_unknown + other.frames_unknown,
            self.frames_short + other.frames_short,
            self.samples + other.samples,
        )


class Decoder:
    """Applies one table to one stream of frames. Used by one thread."""

    def __init__(self, table: SignalTable) -> None:
        self._counts = DecodeCounts()
        self._key = table.message_key
        self._first = table.first[:-1].astype(np.int64)
        self._fields = np.diff(table.first).astype(np.int64)
        self._prepare_bits(table)
        self._prepare_mux(table)

    def _prepare_bits(self, table: SignalTable) -> None:
        start, length = table.start.astype(np.int64), table.length.astype(np.int64)
        big = table.big_endian == 1
        self._word = big.astype(np.int64)
        self._left = np.where(big, 8 * (start // 8) + 7 - start % 8, FRAME_BITS - start - length)
        self._right = FRAME_BITS - length
        self._mask = np.where(table.signed == 1, np.int64(-1), (np.int64(1) << length) - 1)
        self._scale, self._offset = table.scale, table.offset
        self._min_bytes, self._row = table.min_bytes, table.catalogue_row

    def _prepare_mux(self, table: SignalTable) -> None:
        chosen = table.selector != NO_ROW
        self._back = np.where(chosen, np.arange(len(table)) - table.selector, 0)
        self._level = np.zeros(len(table), np.int64)
        for field in np.flatnonzero(chosen):  # selectors stand before what they select
            self._level[field] = self._level[table.selector[field]] + 1
        self._depth = int(self._level.max(initial=0))
        owner = np.repeat(np.arange(len(table), dtype=np.int64), np.diff(table.mux_first))
        self._mux_key = owner << 32 | table.mux_value

    @property
    def counts(self) -> DecodeCounts:
        """Everything decoded by this object so far."""
        return self._counts

    def decode(self, frames: CanFrames) -> Signals:
        """Samples of all known fields, in order of time and, within a frame, of the table."""
        n = len(frames)
        parts = [self._chunk(frames, i, min(i + CHUNK_FRAMES, n)) for i in range(0, n, CHUNK_FRAMES)]
        if not parts:
            return empty_signals()
        if len(parts) == 1:
            return parts[0]
        return Signals(
            np.concatenate([part.t_ns for part in parts]),
            np.concatenate([part.signal for part in parts]),
            np.concatenate([part.value for part in parts]),
        )

    def _chunk(self, frames: CanFrames, low: int, high: int) -> Signals:
        frame, field, unknown = self._expand(frames.bus[low:high], frames.can_id[low:high])
        data = np.ascontiguousarray(frames.data[low:high])
        words = np.empty((high - low, 2), np.int64)
        words[:, 0] = data.view("<i8")[:, 0]
        words[:, 1] = data.view(">i8")[:, 0]
        raw = words.ravel()[2 * frame + self._word[field]]
        raw = ((raw << self._left[field]) >> self._right[field]) & self._mask[field]
        fits = frames.length[low:high][frame] >= self._min_bytes[field]
        chosen = self._select(field, raw, fits)
        short = _distinct(frame[chosen & ~fits])
        present = chosen & fits & (self._row[field] != NO_ROW)
        if not present.all():
            frame, field, raw = frame[present], field[present], raw[present]
        value = raw.astype(np.float64) * self._scale[field] + self._offset[field]
        self._counts += DecodeCounts(high - low, unknown, short, int(field.shape[0]))
        return Signals(frames.t_ns[low:high][frame], self._row[field], value)

    def _expand(
        self, bus: NDArray[np.uint8], can_id: NDArray[np.uint32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Pairs of frame and field, and how many frames are unknown."""
        if not self._key.shape[0]:
            nothing = np.empty(0, np.int64)
            return nothing, nothing, int(bus.shape[0])
        key = bus.astype(np.int64) << 32 | can_id
        message = np.searchsorted(self._key, key)
        message[message == self._key.shape[0]] = 0
        known = np.flatnonzero(self._key[message] == key)
        message = message[known]
        count = self._fields[message]
        begin = np.cumsum(count) - count
        field = np.arange(int(count.sum())) + np.repeat(self._first[message] - begin, count)
        return np.repeat(known, count), field, int(bus.shape[0] - known.shape[0])

    def _select(
        self, field: NDArray[np.int64], raw: NDArray[np.int64], fits: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """True where the frame's multiplexing includes the field; outer selectors are settled first."""
        chosen = np.ones(field.shape[0], np.bool_)
        level = self._level[field] if self._depth else field
        for depth in range(1, self._depth + 1):
            at = np.flatnonzero(level == depth)
            selector = at - self._back[field[at]]
            key = field[at] << 32 | raw[selector]
            found = np.searchsorted(self._mux_key, key)
            found[found == self._mux_key.shape[0]] = 0
            chosen[at] = chosen[selector] & fits[selector] & (self._mux_key[found] == key)
        return chosen


def _distinct(rising: NDArray[np.int64]) -> int:
    return int(np.count_nonzero(np.diff(rising)) + 1) if rising.shape[0] else 0
