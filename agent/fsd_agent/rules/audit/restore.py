"""What an agent goes on from when it opens its ledger.

The newest file may end in what a power cut left: everything from its first frame that does not follow from the one
before is cut off, unless a later frame says that the medium had confirmed it. Then it was damaged, and nothing is cut.

Older files are closed and never written again. Damage to them is told, and does not keep the vehicle from recording:
the next file's checkpoint is where the state goes on. Signatures are the audit's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fsd_agent.records.ledger import SegmentRemoved
from fsd_agent.rules.audit.state import LedgerState
from fsd_agent.wire.ledger import LedgerFormatError, decode_entry, decode_head
from fsd_agent.wire.ledger_file import HEAD, Frame, Segment


@dataclass(frozen=True, slots=True)
class Restored:
    """See the module."""

    state: LedgerState
    signed_size: int
    """Records that the newest head, or checkpoint, covers."""
    removed_size: int
    """Records before this number were to be removed; 0 for none."""
    damaged: tuple[tuple[str, str], ...]
    """(file, what) of older files, and of the newest where ``fatal`` says so."""
    fatal: bool
    """The newest file lost what the medium had confirmed: the ledger can't go on."""
    end: int | None
    """Offset to cut the newest file at; None where it is whole."""


def restore(segments: Sequence[tuple[str, Segment]]) -> Restored:
    """The state behind the last whole record of ``segments`` (name, content), of which there is at least one.

    Raises ValueError where the newest file's checkpoint is none.
    """
    state = LedgerState.after(segments[0][1].checkpoint.value)
    removed, signed_size, end = 0, state.size, None
    damaged: list[tuple[str, str]] = []
    fatal = False
    for index, (name, segment) in enumerate(segments):
        newest = index + 1 == len(segments)
        start = segment.checkpoint.value.head
        if (start.size, start.chain) != (state.size, state.chain):
            damaged.append((name, f"begins behind record {start.size - 1}, the file before ends otherwise"))
            live = state.live
            state = LedgerState.after(segment.checkpoint.value)
            state.live = live
        reading = _Reading(state, start.size)
        end = reading.read(segment)
        signed_size, removed = reading.signed_size, max(removed, reading.removed)
        if end is not None and not newest:
            damaged.append((name, f"record {state.size} is damaged, at byte {end}"))
        elif end is not None and _was_confirmed(segment, end, state.size):
            damaged.append((name, f"record {state.size} was confirmed and is damaged, at byte {end}"))
            fatal = True
    return Restored(state, signed_size, removed, tuple(damaged), fatal, end)


class _Reading:
    """One segment being added to a state."""

    def __init__(self, state: LedgerState, signed_size: int) -> None:
        self.signed_size = signed_size
        self.removed = 0
        self._state = state

    def read(self, segment: Segment) -> int | None:
        """Offset of the first byte that does not belong to the ledger; None when all do."""
        bad = [gap.offset for gap in segment.gaps]
        for frame in segment.frames:
            if bad and frame.offset > bad[0]:
                return bad[0]
            if not self._take(frame):
                return frame.offset
        return bad[0] if bad else None

    def _take(self, frame: Frame) -> bool:
        if not frame.continues(self._state.chain):
            return False
        try:
            if frame.kind == HEAD:
                self.signed_size = decode_head(frame.body).value.size
                return self.signed_size == self._state.size
            entry = decode_entry(frame.body)
        except LedgerFormatError:
            return False
        if entry.number != self._state.size:
            return False
        self._state.add(entry, frame.body, frame.check)
        if isinstance(entry.fact, SegmentRemoved):
            self.removed = max(self.removed, entry.fact.size)
        return True


def _was_confirmed(segment: Segment, offset: int, number: int) -> bool:
    """Whether a frame behind ``offset`` says that the medium had confirmed record ``number``."""
    return any(frame.offset > offset and frame.confirmed > number for frame in segment.frames)
