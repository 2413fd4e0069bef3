"""A run of frames of one message: the same steps, on all its fields at once, without looking anything up.

A busy diagnostic or radar channel gives thousands of frames of one id at once. Every frame's word is repeated, once
for each field, and so are the message's masks, scales and offsets for a block of frames: then each step is one
operation on neighbouring values. Writing fields one after the other, as columns of the result, would go through the
result's memory once a field, and memory is what bounds this path.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can.index import MessageIndex
from fsd_firmware.can.plan import Plan
from fsd_firmware.can.words import form_of
from fsd_firmware.samples import CanFrames, Signals

MIN_FRAMES: Final = 128
"""Fewer are decoded as fast together with others."""
BLOCK_VALUES: Final = 16_384
"""So many values, and what they are made of, stay in the processor's second cache."""


def is_one_message(frames: CanFrames) -> bool:
    """Whether all of at least ``MIN_FRAMES`` frames have one bus and id."""
    n, can_id, bus = len(frames), frames.can_id, frames.bus
    if n < MIN_FRAMES or can_id[0] != can_id[-1] or can_id[0] != can_id[n // 2]:
        return False
    return not np.count_nonzero(can_id != can_id[0]) and not np.count_nonzero(bus != bus[0])


class OneMessage:
    """Reads runs of frames of ``plan``'s width. Used by one thread.

    It keeps what it repeated for the message that it read last: a run comes in several batches.
    """

    def __init__(self, plan: Plan, index: MessageIndex) -> None:
        self._plan, self._index = plan, index
        self._last: _Repeated | None = None

    def decode(self, frames: CanFrames) -> Signals | None:
        """All samples of ``frames``; None when the message or a frame needs more than the four steps."""
        plan, n, last = self._plan, len(frames), self._last
        key = int(frames.bus[0]), int(frames.can_id[0])
        if last is None or last.key != key or last.frames < n:
            number = int(self._index.find(frames.bus[:1], frames.can_id[:1])[0])
            if number == 0 or plan.odd[number]:
                return None
            last = self._last = _Repeated(plan, key, number, n)
        if np.count_nonzero(plan.width - frames.length > plan.slack[last.number]):
            return None
        value = np.empty(n * last.fields)
        for low in range(0, n, last.block):
            last.fill(frames.data[low : low + last.block], value[low * last.fields :])
        return Signals(frames.t_ns.repeat(last.fields), last.row[: n * last.fields], value)


class _Repeated:
    """One message's columns, repeated for the frames of a block; its rows, for all of ``frames`` frames."""

    def __init__(self, plan: Plan, key: tuple[int, int], number: int, frames: int) -> None:
        end = int(plan.ends[number])
        self.key = key
        mine = slice(end - int(plan.count[number]), end)
        self.number, self.frames, self.fields = number, frames, mine.stop - mine.start
        self.block = min(max(BLOCK_VALUES // self.fields, 1), frames)
        self._left, self._mask, self._scale, self._offset = (
            np.tile(column[mine], self.block) for column in (plan.left, plan.mask, plan.scale, plan.offset)
        )
        self._any_left = bool(plan.left[mine].any())
        # Adding zero matters only to a product of -0.0, which a positive scale doesn't give.
        self._any_offset = bool((plan.offset[mine] != 0).any() or (plan.scale[mine] <= 0).any())
        self.row = np.tile(plan.row[mine], frames)
        self.row.flags.writeable = False  # batches share it
        words = plan.word[mine].tolist()
        most = max(words, key=words.count)
        self._word = divmod(most, plan.words.stride)
        """Form and block of the word that most fields read."""
        self._others = [
            (field, divmod(word, plan.words.stride)) for field, word in enumerate(words) if word != most
        ]

    def fill(self, data: NDArray[np.uint8], into: NDArray[np.float64]) -> None:
        """Write the values of a block's frames to the beginning of ``into``."""
        bits = self._repeated_words(data)
        n = bits.shape[0]
        if self._any_left:
            np.left_shift(bits, self._left[:n], out=bits)
        np.bitwise_and(bits, self._mask[:n], out=bits)
        value = into[:n]
        value[:] = bits
        value *= self._scale[:n]
        if self._any_offset:
            value += self._offset[:n]

    def _repeated_words(self, data: NDArray[np.uint8]) -> NDArray[np.int64]:
        words: NDArray[Any] = np.ascontiguousarray(data).view("<u8")
        form, block = self._word
        bits = form_of(words[:, block], form).repeat(self.fields)
        for field, (form, block) in self._others:
            bits[field :: self.fields] = form_of(words[:, block], form)
        return bits.view(np.int64)
