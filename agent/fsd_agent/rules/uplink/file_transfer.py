"""One clip's transfer by the public file convention (:mod:`fsd_agent.wire.file_async`), which can't be asked what it has.

So the vehicle remembers what the broker has acknowledged (:class:`SentSegments`, kept across restarts), and sends the rest.

    phase      what happens                          next phase
    ---------  ------------------------------------  -----------------------------------------------------------
    WAITING    its time has come                     ASKING, an Init is sent; CLOSING where the file was taken whole
    ASKING     the broker has taken the Init         SENDING what is not marked as sent
    SENDING    the broker has taken a segment        SENDING; the segment is marked
    SENDING    last segment is sent                  CLOSING, a Fin is sent
    CLOSING    result: the file is whole             CLOSING; from now on a failure of another try counts for nothing
    any        result: something failed              WAITING with back-off, and nothing is marked any longer
    CLOSING    neither receipt nor result in time    WAITING with back-off: Init and Fin again, and what is not marked
    any        disconnected                          WAITING, due at once

As in :mod:`.transfer`, the file's first piece is sent last. A result ends nothing: receipt and refusal do, as in :mod:`.transfer`. A server throws segments away after a day, so after
:data:`KEPT_NS` nothing counts as sent any longer.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from fsd_agent.records.clip import ClipRow
from fsd_agent.rules.uplink.transfer import (
    Emission,
    Heard,
    Phase,
    SendSegment,
    Transfer,
    UplinkLimits,
    key_last,
)
from fsd_agent.wire.transfer import Have

KEPT_NS: Final = 20 * 3600 * 1_000_000_000
"""Segments live 24 h at the server, counted by its clock and from its own moment: this leaves four hours."""


class SentSegments:
    """Which segments of one clip the broker has acknowledged."""

    def __init__(self, size_bytes: int, segment_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.segment_bytes = segment_bytes
        self.marks = bytearray(-(-size_bytes // segment_bytes))
        """One byte a segment: 1 once it was acknowledged."""
        self.whole = False
        """The server has said that the file is whole."""
        self.changes = 0
        """Since it was made; so that its keeper knows what is new."""
        self.forgotten = 0

    def mark(self, offset: int) -> None:
        """The broker has taken the segment at ``offset``."""
        self.marks[offset // self.segment_bytes] = 1
        self.changes += 1

    def taken_whole(self) -> None:
        """The server has put the file together."""
        self.whole = True
        self.changes += 1

    def forget(self) -> None:
        """Nothing counts as sent."""
        self.marks = bytearray(len(self.marks))
        self.whole = False
        self.changes += 1
        self.forgotten += 1

    def missing(self) -> tuple[tuple[int, int], ...]:
        """Byte ranges that are not marked, joined."""
        marks = self.marks + b"\1"  # So that every gap has an end
        ranges: list[tuple[int, int]] = []
        at = marks.find(0)
        while at >= 0:
            end = marks.find(1, at)
            ranges.append((at * self.segment_bytes, min(end * self.segment_bytes, self.size_bytes)))
            at = marks.find(0, end)
        return tuple(ranges)


class FileTransfer(Transfer):
    """See the module. Times are monotonic nanoseconds; ``random`` is uniform in [0, 1)."""

    def __init__(self, row: ClipRow, limits: UplinkLimits, sent: SentSegments, counts_until_ns: int) -> None:
        """``counts_until_ns``: when what is marked in ``sent`` is too old to count."""
        super().__init__(row, limits)
        self.sent = sent
        self._counts_until_ns = counts_until_ns

    def next(self, now_ns: int, ask: int) -> Emission | None:
        """What to publish now, if anything."""
        if self.phase is not Phase.WAITING:
            return super().next(now_ns, ask)
        if now_ns < self.due_ns:
            return None
        if now_ns >= self._counts_until_ns:
            self.sent.forget()
            self._counts_until_ns = now_ns + KEPT_NS
        return self._close(ask) if self.sent.whole else self._open(ask)

    def taken(self, emission: Emission, now_ns: int) -> None:
        """The broker acknowledged ``emission``."""
        if isinstance(emission, SendSegment):
            self.sent.mark(emission.offset)
        elif emission.message.ask == self._ask and self.phase is Phase.ASKING:
            self.phase, self._todo = (
                Phase.SENDING,
                deque(key_last(self.sent.missing(), self._limits.segment_bytes)),
            )
        elif emission.message.ask == self._ask and self.phase is Phase.CLOSING:
            self._deadline_ns = now_ns + self._limits.answer_timeout_ns

    def answer(self, have: Have, now_ns: int, random: float) -> Heard:  # noqa: ARG002 - nobody was asked
        """Nobody was asked what there is."""
        return Heard.STALE

    def result(self, *, failed: bool, whole: bool, now_ns: int, random: float) -> Heard:
        """The server says that a command ``failed`` or that the file is ``whole``."""
        if self.phase is Phase.WAITING or self.sent.whole:
            return Heard.STALE
        if failed:
            self.sent.forget()
            self.postpone(now_ns, random)
        elif whole:
            self.sent.taken_whole()
        return Heard.USED
