"""The segment journal: what brokers acknowledged of clips that go by the file convention, kept in the journal's state.

It is written after every :data:`MARKS_A_WRITE` marks and whenever the connection ends, so a process that is killed sends
at most that many segments of all its clips twice. What can't be read counts for nothing: then everything is sent again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from fsd_agent.ports.clock import Clock
from fsd_agent.ports.journal import JournalError, StateStore
from fsd_agent.records.clip import ClipRow
from fsd_agent.rules.uplink.file_transfer import KEPT_NS, FileTransfer, SentSegments
from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.wire.sent import Sent, SentFormatError, decode_sent, encode_sent, pack_marks, unpack_marks

MARKS_A_WRITE: Final = 16
"""1 MiB of segments for one transaction."""


def state_key(region_id: str) -> str:
    """Where it is kept."""
    return f"sent_segments/{region_id}"


class SentBook:
    """See the module. One region's; the delivering thread's alone."""

    def __init__(self, state: StateStore, region_id: str, clock: Clock, limits: UplinkLimits) -> None:
        self.trouble = ""
        """Why what was kept can't be used."""
        self._state = state
        self._key = state_key(region_id)
        self._clock = clock
        self._limits = limits
        self._kept = self._read()
        self._open: dict[str, _Open] = {}
        self._closed_changes = 0
        """Of clips that are not open any longer."""
        self._written_changes = 0

    def _read(self) -> dict[str, Sent]:
        try:
            data = self._state.get_state(self._key)
            return decode_sent(data) if data else {}
        except (JournalError, SentFormatError) as error:
            self.trouble = f"segments that were sent before are sent again: {error}"
            return {}

    def begin(self, row: ClipRow) -> FileTransfer:
        """The transfer of a clip, from where it stood."""
        now_wall_ns, now_ns = self._clock.wall_ns(), self._clock.monotonic_ns()
        known = self._open.get(row.clip_id)
        if known is None or known.row.sha256 != row.sha256:
            known = self._open[row.clip_id] = self._reopen(row, now_wall_ns)
        return FileTransfer(
            row, self._limits, known.sent, now_ns + known.begun_wall_ns + KEPT_NS - now_wall_ns
        )

    def _reopen(self, row: ClipRow, now_wall_ns: int) -> _Open:
        sent = SentSegments(row.size_bytes, self._limits.segment_bytes)
        kept = self._kept.pop(row.clip_id, None)
        if kept is None or not self._counts(kept, row, now_wall_ns):
            return _Open(row, sent, now_wall_ns)
        sent.marks, sent.whole = unpack_marks(kept.marks, len(sent.marks)), kept.whole
        return _Open(row, sent, kept.begun_wall_ns)

    def _counts(self, kept: Sent, row: ClipRow, now_wall_ns: int) -> bool:
        of_this = (kept.sha256, kept.segment_bytes) == (row.sha256, self._limits.segment_bytes)
        return of_this and _is_young(kept, now_wall_ns)

    def keep(self, alive: Collection[str], *, at_once: bool = False) -> None:
        """Write what is marked of the clips that are ``alive``, if it is time to. Raises ``JournalError``."""
        for clip_id in self._open.keys() - set(alive):
            self._closed_changes += self._open.pop(clip_id).sent.changes + 1
        changes = self._closed_changes + sum(one.sent.changes for one in self._open.values())
        if changes - self._written_changes < (1 if at_once else MARKS_A_WRITE):
            return
        now_wall_ns = self._clock.wall_ns()
        self._kept = {key: kept for key, kept in self._kept.items() if _is_young(kept, now_wall_ns)}
        marked = {key: one.told(now_wall_ns) for key, one in self._open.items() if any(one.sent.marks)}
        self._state.set_state(self._key, encode_sent(self._kept | marked))
        self._written_changes = changes


@dataclass(slots=True)
class _Open:
    """A clip that is known to the sender."""

    row: ClipRow
    sent: SentSegments
    begun_wall_ns: int
    """From when on its marks count."""
    forgotten: int = 0
    """How often everything was forgotten by then."""

    def told(self, now_wall_ns: int) -> Sent:
        if self.forgotten != self.sent.forgotten:
            self.forgotten, self.begun_wall_ns = self.sent.forgotten, now_wall_ns
        return Sent(
            sha256=self.row.sha256,
            segment_bytes=self.sent.segment_bytes,
            begun_wall_ns=self.begun_wall_ns,
            whole=self.sent.whole,
            marks=pack_marks(bytes(self.sent.marks)),
        )


def _is_young(kept: Sent, now_wall_ns: int) -> bool:
    """A clock that went back says nothing of how old it is: then it counts for nothing."""
    return 0 <= now_wall_ns - kept.begun_wall_ns < KEPT_NS
