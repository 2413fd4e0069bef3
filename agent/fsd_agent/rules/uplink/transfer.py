"""One clip's transfer, as a state machine without input or output.

What is state: the phase, the ranges still to send, and the number of the question whose answer is awaited.
Nothing of it is stored: after a restart the receiver is asked again what it has.

    phase      what happens               next phase
    ---------  -------------------------  ---------------------------------------------------
    WAITING    its time has come          ASKING, an Init is sent
    ASKING     Have with missing ranges   SENDING
    ASKING     Have with nothing missing  CLOSING, a Fin is sent
    SENDING    last segment is sent       CLOSING, a Fin is sent
    CLOSING    Have with other ranges     SENDING (a lost segment costs that segment)
    CLOSING    Have with the same ranges  WAITING with back-off (sending them again did not help)
    CLOSING    Have with nothing missing  WAITING with back-off (all is there, it can't sign now)
    ASKING     no answer in time          WAITING with back-off
    CLOSING    no answer in time          WAITING with back-off
    any        disconnected               WAITING, due at once

Of what is missing the file's first piece is sent last (:func:`key_last`).

There is no phase for "delivered": only a verified receipt ends a transfer, and :mod:`.schedule` judges it. The
time for an answer starts when the broker has acknowledged the question, so a slow link is no failure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple, TypeVar

from fsd_agent.records.clip import ClipRow
from fsd_agent.rules.uplink.backoff import BackoffPolicy, delay_ns
from fsd_agent.wire.pieces import PIECE_BYTES
from fsd_agent.wire.transfer import RANGES_MAX, SEGMENT_BYTES, VERSION, Fin, Have, Init

CLIP_RETRY = BackoffPolicy(first_ns=2_000_000_000, most_ns=300_000_000_000)
"""Between attempts on one clip: a receiver that restarts is back within seconds, one that is down for days is not
asked twice a minute by every vehicle.
"""


@dataclass(frozen=True, slots=True)
class UplinkLimits:
    """Bounds of the sender, each with its unit and why."""

    segment_bytes: int = SEGMENT_BYTES
    active_clips: int = 4
    """Transfers of one priority at a time, and of failing ones: while one waits for its answer another fills the
    link."""
    active_clips_in_all: int = 12
    """Over all priorities; below what a receiver keeps open for one vehicle."""
    answer_timeout_ns: int = 15_000_000_000
    """From the broker's acknowledgement of a question to the receiver's answer."""
    retry: BackoffPolicy = CLIP_RETRY
    read_attempts: int = 3
    """Failed reads of a spooled file before it counts as damaged."""


_Ranges = tuple[tuple[int, int], ...]


def key_last(missing: _Ranges, segment_bytes: int, *, is_all: bool = True) -> _Ranges:
    """The same byte ranges in the order in which they are sent: segments that have some of the first piece go last.

    The wrapped key of the clip is in it (:mod:`fsd_agent.wire.sealed`). So of a clip whose compartment's key is destroyed before all of it
    was sent, a region that says truly what it has can open neither that nor what somebody finds on the vehicle's disk.

    ``is_all``: nothing else is missing. Where there may be more, the first piece is left for another time.
    """
    edge = -(-PIECE_BYTES // segment_bytes) * segment_bytes
    first = tuple((start, min(end, edge)) for start, end in missing if start < edge)
    rest = tuple((max(start, edge), end) for start, end in missing if end > edge)
    return rest + first if is_all or not rest else rest


class Phase(StrEnum):
    """Where a transfer is; see the module."""

    WAITING = "waiting"
    ASKING = "asking"
    SENDING = "sending"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class SendInit:
    """Publish this question."""

    clip_id: str
    message: Init


class SendSegment(NamedTuple):
    """Publish these bytes of the sealed file. There are many: a tuple is made in a third of a dataclass' time."""

    clip_id: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class SendFin:
    """Publish this question."""

    clip_id: str
    message: Fin


_Q = TypeVar("_Q", Init, Fin)
Emission = SendInit | SendSegment | SendFin


class Heard(Enum):
    """What became of an answer."""

    USED = "used"
    STALE = "stale"
    """Not the answer to the question that is open: late, duplicated or replayed."""
    BAD = "bad"
    """Ranges or hash that can't be of this clip."""


class Transfer:
    """See the module. Times are monotonic nanoseconds; ``random`` is uniform in [0, 1)."""

    def __init__(self, row: ClipRow, limits: UplinkLimits) -> None:
        self.row = row
        self.phase = Phase.WAITING
        self.due_ns = 0
        """When a waiting transfer may ask."""
        self.attempt = 0
        self.failed_reads = 0
        self._limits = limits
        self._todo: deque[tuple[int, int]] = deque()
        self._asked_to_send: tuple[tuple[int, int], ...] = ()
        self._ask = -1
        self._deadline_ns: int | None = None

    @property
    def failing(self) -> bool:
        """Whether the last attempt got nowhere."""
        return self.attempt > 0

    @property
    def asked(self) -> bool:
        """Whether a question about it was ever published."""
        return self._ask >= 0

    @property
    def rank(self) -> tuple[bool, int]:
        """Grows with what goes first: urgent ones, then by priority."""
        return (self.row.link.urgent, self.row.priority)

    @property
    def turn(self) -> tuple[bool, bool, int, float, int, str]:
        """Sorts transfers: highest rank first, then value, then oldest; after them what fails, by the time to try again."""
        if self.failing:
            return (True, False, self.due_ns, 0.0, 0, self.row.clip_id)
        row = self.row
        return (False, not row.link.urgent, -row.priority, -row.worth.value, row.start_ns, row.clip_id)

    @property
    def deadline_ns(self) -> int | None:
        """When the open question counts as unanswered; None while there is none or the broker has not taken it."""
        return self._deadline_ns

    def next(self, now_ns: int, ask: int) -> Emission | None:
        """What to publish now, if anything; ``ask`` numbers the question if it is one."""
        if self.phase is Phase.WAITING:
            return self._open(ask) if now_ns >= self.due_ns else None
        if self.phase is Phase.SENDING:
            return self._segment() if self._todo else self._close(ask)
        return None

    def more(self, most: int) -> list[SendSegment]:
        """At most ``most`` segments that come next, before anything else of this clip."""
        found: list[SendSegment] = []
        while self._todo and len(found) < most:
            found.append(self._segment())
        return found

    def _open(self, ask: int) -> SendInit:
        self.phase, self._ask, self._deadline_ns = Phase.ASKING, ask, None
        return SendInit(self.row.clip_id, self._question(Init, ask))

    def _segment(self) -> SendSegment:
        start, end = self._todo.popleft()
        stop = min(start + self._limits.segment_bytes, end)
        if stop < end:
            self._todo.appendleft((stop, end))
        return SendSegment(self.row.clip_id, start, stop - start)

    def _close(self, ask: int) -> SendFin:
        self.phase, self._ask, self._deadline_ns = Phase.CLOSING, ask, None
        return SendFin(self.row.clip_id, self._question(Fin, ask))

    def _question(self, kind: type[_Q], ask: int) -> _Q:
        row = self.row
        grid = self._limits.segment_bytes
        return kind(v=VERSION, ask=ask, size=row.size_bytes, sha256=row.sha256, segment_bytes=grid)

    def taken(self, emission: Emission, now_ns: int) -> None:
        """The broker acknowledged ``emission``; if it is the open question, its answer is now awaited."""
        if not isinstance(emission, SendSegment) and emission.message.ask == self._ask:
            self._deadline_ns = now_ns + self._limits.answer_timeout_ns

    def answer(self, have: Have, now_ns: int, random: float) -> Heard:
        """The receiver says what is missing."""
        if self.phase not in {Phase.ASKING, Phase.CLOSING} or have.ask != self._ask:
            return Heard.STALE
        if not self._possible(have):
            return Heard.BAD
        fruitless = self.phase is Phase.CLOSING and (not have.missing or have.missing == self._asked_to_send)
        if fruitless:
            self.postpone(now_ns, random)
            return Heard.USED
        if self.phase is Phase.CLOSING:
            self.attempt = 0
        self.phase, self._deadline_ns = Phase.SENDING, None
        self._asked_to_send = have.missing
        is_all = len(have.missing) < RANGES_MAX
        self._todo = deque(key_last(have.missing, self._limits.segment_bytes, is_all=is_all))
        return Heard.USED

    def result(self, *, failed: bool, whole: bool, now_ns: int, random: float) -> Heard:  # noqa: ARG002
        """What a server of the file convention said (:mod:`.file_transfer`): here nobody was asked."""
        return Heard.STALE

    def _possible(self, have: Have) -> bool:
        """Whether every range lies in the clip and on the grid of its segments."""
        size, grid = self.row.size_bytes, self._limits.segment_bytes
        return have.sha256 == self.row.sha256 and all(
            start % grid == 0 and (end == size or (end % grid == 0 and end < size))
            for start, end in have.missing
        )

    def expire(self, now_ns: int, random: float) -> bool:
        """Give up waiting for an answer that is overdue; True when it was."""
        if self._deadline_ns is None or now_ns < self._deadline_ns:
            return False
        self.postpone(now_ns, random)
        return True

    def postpone(self, now_ns: int, random: float) -> None:
        """Ask again after a back-off."""
        self._rest(now_ns + delay_ns(self._limits.retry, self.attempt, random))
        self.attempt += 1

    def interrupt(self, now_ns: int) -> None:
        """The connection is gone: ask again as soon as there is one."""
        if self.phase is not Phase.WAITING:
            self._rest(now_ns)

    def _rest(self, due_ns: int) -> None:
        self.phase, self.due_ns, self._deadline_ns = Phase.WAITING, due_ns, None
        self._todo.clear()
        self._asked_to_send = ()
