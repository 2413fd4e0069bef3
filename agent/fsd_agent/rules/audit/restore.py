"""What an agent goes on from when it opens its ledger: the newest segment's checkpoint, and the records behind it.

The segment may end in what a power cut left: everything from its first frame that does not follow from the one before
is cut off, unless a later frame says that the medium had confirmed it. Then it was damaged, and nothing is cut.

Older segments are closed, and never read or written again; they, and signatures, are the audit's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fsd_agent.records.ledger import Head, KeyRotated, LiveClip, SegmentRemoved
from fsd_agent.rules.audit.state import LedgerState
from fsd_agent.wire.ledger import LedgerFormatError, decode_entry, decode_head
from fsd_agent.wire.ledger_file import HEAD, Frame, Segment


class DamagedError(Exception):
    """What the medium had confirmed is not there; says which record."""


@dataclass(frozen=True, slots=True)
class Restored:
    """See the module."""

    state: LedgerState
    signed_size: int
    """Records that the newest head, or checkpoint, covers."""
    removed_size: int
    """Records before this number were to be removed; 0 for none."""
    key_id: str
    """Of the device key that the newest record is to be signed with."""
    end: int | None
    """Offset to cut the file at; None where it is whole."""


def restore(segment: Segment, live: Iterable[LiveClip]) -> Restored:
    """The state behind the last whole record of the newest ``segment``; see the module. Raises :class:`DamagedError`.

    ``live``: the clips of its checkpoint, which has them not.
    """
    checkpoint = segment.checkpoint.value
    try:
        state = LedgerState.after(checkpoint, live)
    except ValueError as error:
        raise DamagedError(f"its checkpoint: {error}") from error
    reading = _Reading(state, checkpoint.head)
    end = reading.read(segment)
    if end is not None and _was_confirmed(segment, end, state.size):
        raise DamagedError(f"record {state.size} was confirmed and is damaged, at byte {end}")
    return Restored(state, reading.signed_size, reading.removed, reading.key_id, end)


class _Reading:
    """One segment being added to a state."""

    def __init__(self, state: LedgerState, signed: Head) -> None:
        self.signed_size = signed.size
        self.key_id = signed.device_key_id
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
                head = decode_head(frame.body).value
                self.signed_size = head.size
                if head.size != self._state.size:
                    return False
                self.key_id = head.device_key_id
                return True
            entry = decode_entry(frame.body)
        except LedgerFormatError:
            return False
        if entry.number != self._state.size:
            return False
        self._state.add(entry, frame.body, frame.check)
        if isinstance(entry.fact, SegmentRemoved):
            self.removed = max(self.removed, entry.fact.size)
        if isinstance(entry.fact, KeyRotated):
            self.key_id = entry.fact.new_key_id
        return True


def _was_confirmed(segment: Segment, offset: int, number: int) -> bool:
    """Whether a frame behind ``offset`` says that the medium had confirmed record ``number``."""
    return any(frame.offset > offset and frame.confirmed > number for frame in segment.frames)
