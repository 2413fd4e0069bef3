"""A run of frames of one message: the same steps, field by field on all frames, without looking anything up.

A busy diagnostic or radar channel gives thousands of frames of one id at once. A field's mask, scale and offset are
then plain numbers, so that a step reads one column and writes one; what a field doesn't need (a shift, an offset) is left
out. Fields are written next to each other, as the samples' order wants it, a block of frames at a time: what a block
is made of stays in the processor's second cache.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can.index import MessageIndex
from fsd_firmware.can.plan import Plan
from fsd_firmware.can.words import form_of
from fsd_firmware.can_frames import CanFrames
from fsd_firmware.samples import Signals

MIN_FRAMES: Final = 128
"""Fewer are decoded as fast together with others."""
BLOCK_FRAMES: Final = 8_192


def is_one_message(frames: CanFrames) -> bool:
    """Whether all of at least ``MIN_FRAMES`` frames have one bus and id."""
    n, can_id, bus = len(frames), frames.can_id, frames.bus
    if n < MIN_FRAMES or can_id[0] != can_id[-1] or can_id[0] != can_id[n // 2]:
        return False
    return not np.count_nonzero(can_id != can_id[0]) and not np.count_nonzero(bus != bus[0])


class OneMessage:
    """Reads runs of frames of ``plan``'s width. Used by one thread.

    It keeps what it found out about the message that it read last: a run comes in several batches.
    """

    def __init__(self, plan: Plan, index: MessageIndex) -> None:
        self._plan, self._index = plan, index
        self._last: _Fields | None = None

    def decode(self, frames: CanFrames) -> Signals | None:
        """All samples of ``frames``; None when the message or a frame needs more than the four steps."""
        plan, n, last = self._plan, len(frames), self._last
        key = int(frames.bus[0]), int(frames.can_id[0])
        if last is None or last.key != key or last.frames < n:
            number = int(self._index.find(frames.bus[:1], frames.can_id[:1])[0])
            if number == 0 or plan.odd[number]:
                return None
            last = self._last = _Fields(plan, key, number, n)
        if np.count_nonzero(plan.width - frames.length > plan.slack[last.number]):
            return None
        value = np.empty((n, last.fields))
        for low in range(0, n, BLOCK_FRAMES):
            last.read(frames.data[low : low + BLOCK_FRAMES], value[low : low + BLOCK_FRAMES])
        return Signals(frames.t_ns.repeat(last.fields), last.row[: n * last.fields], value.reshape(-1))


class _Fields:
    """One message's fields as plain numbers; their rows, repeated for ``frames`` frames."""

    def __init__(self, plan: Plan, key: tuple[int, int], number: int, frames: int) -> None:
        end = int(plan.ends[number])
        mine = slice(end - int(plan.count[number]), end)
        self.key, self.number, self.frames = key, number, frames
        self.fields = mine.stop - mine.start
        self.row = np.tile(plan.row[mine], frames)
        self.row.flags.writeable = False  # batches share it
        columns = (plan.word, plan.left, plan.mask, plan.scale, plan.offset)
        steps = zip(*(column[mine].tolist() for column in columns), strict=True)
        self._steps = [(divmod(word, plan.words.stride), *rest) for word, *rest in steps]
        """Of each field: (form and block of its word), left shift, mask, scale, offset."""
        self._words = sorted({step[0] for step in self._steps})

    def read(self, data: NDArray[np.uint8], into: NDArray[np.float64]) -> None:
        """Write the values of a block's frames to ``into``, shape (frames, fields)."""
        words: NDArray[Any] = np.ascontiguousarray(data).view("<u8")
        forms = {(form, block): form_of(words[:, block], form).view(np.int64) for form, block in self._words}
        for at, (word, left, mask, scale, offset) in enumerate(self._steps):
            bits = forms[word]
            if left:
                bits = bits << left
            column = into[:, at]
            np.multiply(bits & mask, scale, out=column)
            # Adding zero matters only to a product of -0.0, which a positive scale doesn't give.
            if offset != 0 or scale <= 0:
                column += offset
