"""CAN frames to signal samples, by the path that suits the batch; all give the same samples and counts.

=======================  ==============================================================================
few frames               :mod:`small`: a loop in plain Python, because every call into NumPy has its price
many, of one message     :mod:`one`: a column for each field
all others               here: all ids at once
=======================  ==============================================================================

Here every frame is expanded to its message's fields (repeat and cumulative sum give the pairs of frame and field),
and every pair is read in the four steps of :mod:`plan`. No loop runs over frames or ids. What is rare costs
nothing where it isn't: multiplexing, long and floating-point fields, and frames that are too short are looked at
only in batches that have them. The other two paths leave all that to this one.

What can't be decoded is counted and left out: a frame of an id that the table doesn't know, a frame that says it
has more bytes than its data, a frame that is older than one before it in its batch, and a field that reaches past
the bytes its frame has (the zeros that pad ``CanFrames.data`` mean nothing).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can.index import MessageIndex
from fsd_firmware.can.one import OneMessage, is_one_message
from fsd_firmware.can.plan import Plan
from fsd_firmware.can.small import MAX_FRAMES, SmallBatches
from fsd_firmware.can.table import SignalTable
from fsd_firmware.can.words import CHUNK_FRAMES
from fsd_firmware.can_frames import CAN_WIDTHS, CanFrames
from fsd_firmware.samples import Signals, empty_signals

Rows = NDArray[np.int64]
Paths = tuple[Plan, SmallBatches, OneMessage]


@dataclass(frozen=True, slots=True)
class DecodeCounts:
    """What a decoder has seen so far."""

    frames: int = 0
    frames_unknown: int = 0
    """No field is compiled for the frame's (bus, id)."""
    frames_short: int = 0
    """At least one field of the message reaches past the bytes received."""
    frames_overlong: int = 0
    """The length is more than the data; nothing of the frame is decoded."""
    frames_disordered: int = 0
    """Older than a frame before it in the same batch; nothing of the frame is decoded."""
    samples: int = 0


class Decoder:
    """Applies one table to one stream of frames. Used by one thread."""

    def __init__(self, table: SignalTable) -> None:
        self._table = table
        self._index = MessageIndex(table.message_key)
        self._of_width: dict[int, Paths] = {}
        self._numbers = np.arange(0, dtype=np.int64)
        self._prepare(min(CAN_WIDTHS))  # The first tick shall not be later than others.
        self._frames = self._unknown = self._short = self._overlong = self._disordered = self._samples = 0

    @property
    def counts(self) -> DecodeCounts:
        """Everything decoded by this object so far."""
        return DecodeCounts(
            self._frames, self._unknown, self._short, self._overlong, self._disordered, self._samples
        )

    def decode(self, frames: CanFrames) -> Signals:
        """Samples of all known fields, in order of time and, within a frame, of the table.

        Raises ``ValueError`` for data that is neither 8 nor 64 bytes wide.
        """
        n, width = len(frames), frames.width
        if n == 0:
            return empty_signals()
        plan, small, one = self._of_width.get(width) or self._prepare(width)
        self._frames += n
        if n <= MAX_FRAMES and (few := small.decode(frames)) is not None:
            samples, unknown = few
            self._unknown += unknown
        else:
            samples = self._many(plan, one, frames)
        self._samples += len(samples)
        return samples

    def _prepare(self, width: int) -> Paths:
        if width not in CAN_WIDTHS:
            raise ValueError(f"CAN frames: data: {width} bytes a frame; must be 8 or 64")
        plan = Plan(self._table, width)
        self._of_width[width] = plan, SmallBatches(self._table, plan), OneMessage(plan, self._index)
        return self._of_width[width]

    def _many(self, plan: Plan, one: OneMessage, frames: CanFrames) -> Signals:
        frames = self._in_order(frames)
        if is_one_message(frames) and (samples := one.decode(frames)) is not None:
            return samples
        return self._mixed(plan, frames)

    def _in_order(self, frames: CanFrames) -> CanFrames:
        """Without the frames that are older than one before them."""
        t_ns = frames.t_ns
        if not np.count_nonzero(t_ns[1:] < t_ns[:-1]):
            return frames
        kept = t_ns == np.maximum.accumulate(t_ns)
        self._disordered += int(np.count_nonzero(~kept))
        return _picked(frames, kept)

    def _mixed(self, plan: Plan, frames: CanFrames) -> Signals:
        n = len(frames)
        if n <= CHUNK_FRAMES:
            return self._chunk(plan, frames)
        chunks = [slice(low, low + CHUNK_FRAMES) for low in range(0, n, CHUNK_FRAMES)]
        parts = [self._chunk(plan, _picked(frames, chunk)) for chunk in chunks]
        return Signals(
            np.concatenate([part.t_ns for part in parts]),
            np.concatenate([part.signal for part in parts]),
            np.concatenate([part.value for part in parts]),
        )

    def _chunk(self, plan: Plan, frames: CanFrames) -> Signals:
        message = self._index.find(frames.bus, frames.can_id)
        count = plan.count.take(message)
        ends = np.add.accumulate(count)
        total = int(ends[-1])
        if max(total, message.shape[0]) > self._numbers.shape[0]:
            self._numbers = np.arange(2 * max(total, message.shape[0]), dtype=np.int64)
        n, words = message.shape[0], plan.words
        frame = self._numbers[:n].repeat(count)
        field = (plan.ends.take(message) - ends).take(frame)
        field += self._numbers[:total]
        words.load(frames.data)
        place = frame if words.blocks == 1 else words.blocks * frame
        bits = words.flat.take(place + plan.word.take(field))
        bits <<= plan.left.take(field)
        bits &= plan.mask.take(field)
        value = bits.astype(np.float64)
        value *= plan.scale.take(field)
        value += plan.offset.take(field)
        samples = Signals(frames.t_ns.take(frame), plan.row.take(field), value)
        self._unknown += n - int(np.count_nonzero(message))
        lacking = np.count_nonzero(plan.width - frames.length > plan.slack.take(message))
        if lacking or (plan.any_odd and plan.odd.take(message).any()):
            samples = self._odd(plan, frames, field, place, samples, fit=not lacking)
        return samples

    def _odd(
        self, plan: Plan, frames: CanFrames, field: Rows, place: Rows, samples: Signals, *, fit: bool
    ) -> Signals:
        """``samples`` of all pairs of frame and field, completed by what is rare and less what isn't there.

        ``fit`` says that no frame lacks a byte of what its width can hold.
        """
        if plan.any_careful:
            careful = np.flatnonzero(plan.is_careful.take(field))
            samples.value[careful] = plan.careful.values(place[careful], field[careful])
        present = plan.is_wanted.take(field)
        fits = None if fit and plan.all_reachable else self._fits(plan, frames, field, place)
        if plan.mux.depth:
            chosen = plan.mux.chosen(field, lambda at: plan.careful.unsigned(place[at], field[at]), fits)
            present &= chosen
        if fits is not None:
            present &= fits
            lacking = ~fits & chosen if plan.mux.depth else ~fits
            short = np.zeros(len(frames), np.bool_)
            short[place[lacking] // plan.words.blocks] = True
            overlong = frames.length > plan.width
            self._short += int(np.count_nonzero(short & ~overlong))
            self._overlong += int(np.count_nonzero(overlong))
        kept = np.flatnonzero(present)
        if kept.shape[0] == len(samples):
            return samples
        return Signals(samples.t_ns.take(kept), samples.signal.take(kept), samples.value.take(kept))

    def _fits(self, plan: Plan, frames: CanFrames, field: Rows, place: Rows) -> NDArray[np.bool_]:
        """Whether each pair's frame is long enough for the field, and no longer than its data."""
        length = frames.length.take(place // plan.words.blocks)
        return np.asarray((length >= plan.min_bytes.take(field)) & (length <= plan.width))


def _picked(frames: CanFrames, which: slice | NDArray[np.bool_]) -> CanFrames:
    return CanFrames(
        frames.t_ns[which],
        frames.bus[which],
        frames.can_id[which],
        frames.length[which],
        frames.data[which],
    )
