"""Which region the one connection goes to: the vehicle's own, or in turn one that it has left and that wants its clips.

A region that was left has a turn while sealed clips of it are on board: at most :data:`TURN_NS`, and not before the own
region has had its time, which is short at first. A turn in which no clip was delivered makes the next one wait longer. Each region gets its own
clips alone, over its own endpoints; on hold there is no turn for anybody.

Threads: the delivering one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fsd_agent.pipeline.whereabouts import Whereabouts
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.records.clip import ClipState
from fsd_agent.records.region import Hold, Route

LOOK_EVERY_NS = 5_000_000_000
TURN_NS = 60_000_000_000
"""Long enough to connect and to send a clip of some megabytes over a poor link."""
FIRST_REST_NS = 10_000_000_000
"""For the own region after a start, or after it has become that: enough to connect and to learn its campaigns."""
REST_NS = 60_000_000_000
REST_MOST_NS = 3_600_000_000_000


@dataclass(slots=True)
class _Turn:
    """Of a region that was left."""

    region_id: str
    until_ns: int
    waiting: int
    """Its sealed clips when the turn began."""


class Turns:
    """See the module."""

    def __init__(self, residence: Whereabouts, journal: Journal, clock: Clock) -> None:
        self._residence = residence
        self._journal = journal
        self._clock = clock
        self._turn: _Turn | None = None
        self._looked_ns = -LOOK_EVERY_NS
        self._waiting: Counter[str] = Counter()
        self._rest_until_ns: int | None = None
        self._vain = 0
        """Turns in a row in which nothing was delivered."""

    def current(self) -> Route | Hold:
        """Where the connection goes now."""
        own = self._residence.current
        left = {way.policy.region_id: way for way in self._residence.left}
        if isinstance(own, Route):
            left.pop(own.policy.region_id, None)  # The vehicle moved between the two questions
        if isinstance(own, Hold) or not left:
            self._turn = self._rest_until_ns = None
            return own
        now_ns = self._clock.monotonic_ns()
        if self._rest_until_ns is None:
            self._rest_until_ns = now_ns + FIRST_REST_NS
        self._look(now_ns)
        self._end(left, now_ns)
        if self._turn is None and now_ns >= self._rest_until_ns:
            self._begin(left, now_ns)
        return left[self._turn.region_id] if self._turn is not None else own

    def _look(self, now_ns: int) -> None:
        """Count what waits for whom, now and then."""
        if now_ns - self._looked_ns < LOOK_EVERY_NS:
            return
        self._looked_ns = now_ns
        try:
            levels = self._journal.levels()
        except JournalError:  # the delivering loop meets the same fault, and tells it
            return
        self._waiting = Counter({one.region_id: one.clips for one in levels if one.state is ClipState.SEALED})

    def _begin(self, left: dict[str, Route], now_ns: int) -> None:
        """The region with the fewest clips first: it is done soonest."""
        wanting = sorted(
            (self._waiting[region_id], region_id) for region_id in left if self._waiting[region_id]
        )
        if wanting:
            waiting, region_id = wanting[self._vain % len(wanting)]
            self._turn = _Turn(region_id, now_ns + TURN_NS, waiting)

    def _end(self, left: dict[str, Route], now_ns: int) -> None:
        """Over when its time is, when nothing waits any more, or when the region does not want its clips now."""
        turn = self._turn
        if turn is None:
            return
        waiting = self._waiting[turn.region_id]
        if turn.region_id in left and waiting and now_ns < turn.until_ns:
            return
        self._vain = 0 if waiting < turn.waiting else self._vain + 1
        self._rest_until_ns = now_ns + min(REST_MOST_NS, REST_NS << self._vain)
        self._turn = None
