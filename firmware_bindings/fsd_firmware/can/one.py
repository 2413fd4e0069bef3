"""A run of frames of one message: the same four steps, a field at a time, without expanding pairs.

A busy diagnostic or radar channel gives thousands of frames of one id at once; nothing has to be looked up for
each of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can.index import MessageIndex
from fsd_firmware.can.plan import Plan
from fsd_firmware.samples import CanFrames, Signals

MIN_FRAMES = 128
"""Fewer are decoded as fast together with others."""
BLOCK_FRAMES = 2048
"""Words and values of so many frames stay in the processor's first cache."""


def is_one_message(frames: CanFrames) -> bool:
    """Whether all of at least ``MIN_FRAMES`` frames have one bus and id."""
    n, can_id, bus = len(frames), frames.can_id, frames.bus
    if n < MIN_FRAMES or can_id[0] != can_id[-1] or can_id[0] != can_id[n // 2]:
        return False
    return not np.count_nonzero(can_id != can_id[0]) and not np.count_nonzero(bus != bus[0])


def decode_one_message(plan: Plan, index: MessageIndex, frames: CanFrames) -> Signals | None:
    """All samples of ``frames``; None when the message or a frame needs more than the four steps."""
    number = int(index.find(frames.bus[:1], frames.can_id[:1])[0])
    if number == 0 or plan.odd[number]:
        return None
    if np.count_nonzero(plan.width - frames.length > plan.slack[number]):
        return None
    n, count = len(frames), int(plan.count[number])
    fields = range(int(plan.ends[number]) - count, int(plan.ends[number]))
    t_ns, value = np.empty((n, count), np.int64), np.empty((n, count))
    for low in range(0, n, BLOCK_FRAMES):
        block = slice(low, low + BLOCK_FRAMES)
        _fill(plan, fields, frames.t_ns[block], frames.data[block], t_ns[block], value[block])
    row = np.tile(plan.row[fields.start : fields.stop], n)
    return Signals(t_ns.reshape(-1), row, value.reshape(-1))


def _fill(
    plan: Plan,
    fields: range,
    at_ns: NDArray[np.int64],
    data: NDArray[np.uint8],
    t_ns: NDArray[np.int64],
    value: NDArray[np.float64],
) -> None:
    """Write times and values of one block of frames into ``t_ns`` and ``value``, a column a field."""
    plan.words.load(data)
    n, blocks = data.shape[0], plan.words.blocks
    bits, scaled = np.empty(n, np.int64), np.empty(n)
    for column, field in enumerate(fields):
        first = int(plan.word[field])
        np.left_shift(plan.words.flat[first : first + n * blocks : blocks], plan.left[field], out=bits)
        np.bitwise_and(bits, plan.mask[field], out=bits)
        np.multiply(bits, plan.scale[field], out=scaled)
        np.add(scaled, plan.offset[field], out=value[:, column])
        t_ns[:, column] = at_ns
