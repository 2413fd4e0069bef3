"""The newest sample of every row, what goes stale, and which samples may matter.

A row whose next sample has not come within its ``stale_ns`` gets one that is not known at exactly that instant; a row
that is not known does not go stale. A row that never had a sample is not known. All this is a function of the input
alone: it does not matter who looks, when, or how time was cut.

Rows after the catalogue's are the engine's own; they have no range.

Newest values are worked out when somebody asks: until then whole batches wait, because most ticks need none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.expressions.values import YES, Number
from fsd_agent.rules.triggers.signals.columns import (
    HANDFUL,
    ActiveSamples,
    Column,
    Event,
    ListedSamples,
    Plane,
    Samples,
    Times,
    end_to_end,
    join_samples,
    outside,
)
from fsd_agent.rules.triggers.signals.guard import Guard
from fsd_agent.rules.triggers.signals.stale import NEVER_STALE_NS, lapses
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.samples import Signals

_Type = TypeVar("_Type", bound=np.generic)

_NEVER_NS: Final = -(2**62)
"""Before any time, also after a ``stale_ns`` was added."""
_RECENT: Final = 16
"""Batches that are looked through for the newest sample of a row before all that wait are taken in."""
_WAITING_BATCHES: Final = 256
_WAITING_SAMPLES: Final = 8192
"""Bound the memory of batches that wait, and the work of the one that takes them in."""
_TAIL: Final = 1024
"""Samples at the end of what waits in which most rows are."""


class SignalState:
    """The newest sample of every row, what goes stale, and the guard.

    A batch goes :meth:`samples`, :meth:`active`, any questions, :meth:`store`. Questions see what was before the
    batch, and of the batch what they are given.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        entries = catalogue.entries
        self._own_from = count = len(entries)
        self._range = _floats([one.minimum for one in entries]), _floats([one.maximum for one in entries])
        self._stale_ns = np.array([one.stale_ns for one in entries], np.int64)
        self._value = np.zeros(count, np.float64)
        self._t_ns = np.full(count, _NEVER_NS, np.int64)
        self._known = np.zeros(count, np.bool_)
        self.out_of_range_count = 0
        """Samples out of their row's range, as far as was worked out; may be read from any thread."""
        self._guard = Guard(count)
        self._waiting: list[Samples] = []
        self._waiting_samples = 0
        self._results: dict[int, Event] = {}
        """The newest of each row that looks back, as far as it waits, too."""
        self._since_ns = self._until_ns = _NEVER_NS
        """Start and end of the batch."""
        self._asked: Samples | None = None
        self._found: dict[int, tuple[list[int], list[int]]] = {}
        """Where rows that were asked for are in the batch that was asked, and when."""
        self._mortal: NDArray[np.intp] = np.empty(0, np.intp)
        """Rows that are looked out for and can go stale."""
        self._next_stale_ns = NEVER_STALE_NS
        """None of them goes stale before this."""

    def resize(
        self, row_count: int, kept: Mapping[int, int] | None = None, stale_ns: Mapping[int, int] | None = None
    ) -> None:
        """Have so many rows from now on. Rows of the catalogue stay what they are.

        Of the others, ``kept`` gives the row that each goes on as, by the row that it was (without it they all stay);
        the rest have no sample yet. ``stale_ns`` says after how long a row of these goes stale. Call
        :meth:`watch` next.
        """
        self._take_in()
        before = range(self._own_from, min(row_count, self._value.shape[0]))
        moves = {row: row for row in before} if kept is None else dict(kept)
        rows = np.array([*range(self._own_from), *moves], np.intp)
        to = np.array([*range(self._own_from), *moves.values()], np.intp)

        def moved(old: NDArray[_Type], fill: float) -> NDArray[_Type]:
            new = np.full(row_count, fill, old.dtype)
            new[to] = old[rows]
            return new

        self._range = moved(self._range[0], -np.inf), moved(self._range[1], np.inf)
        self._stale_ns = moved(self._stale_ns, 0)
        for row, after_ns in (stale_ns or {}).items():
            self._stale_ns[row] = after_ns
        self._value = moved(self._value, 0.0)
        self._t_ns = moved(self._t_ns, _NEVER_NS)
        self._known = moved(self._known, 0)
        self._guard = Guard(row_count)

    def watch(
        self, thresholds: Mapping[int, Collection[float]], exact: Collection[int], fresh: Collection[int]
    ) -> None:
        """Look out for these rows from now on: literals by row, rows used otherwise, rows of new campaigns.

        The next sample of a fresh row counts whatever its value: a new campaign has not been evaluated yet.
        """
        self._take_in()
        self._guard.watch(thresholds, exact, *self._range)
        watched = np.array(sorted({*thresholds, *exact}), np.intp)
        for row in set(watched.tolist()) - set(fresh):
            if self._t_ns[row] != _NEVER_NS:
                self._guard.settle(row, float(self._value[row]), known=self._is_known(row))
        self._mortal = watched[self._stale_ns[watched] > 0]
        self._next_stale_ns = _NEVER_NS if self._mortal.shape[0] else NEVER_STALE_NS

    def samples(self, signals: Signals, until_ns: int, arrived: Samples | None = None) -> Samples:
        """What arrives before ``until_ns`` as samples: signals, ``arrived`` on other rows, and what goes stale."""
        self._until_ns = until_ns
        found = Samples(signals, None, self._range)
        if arrived is not None:
            found = join_samples([found, arrived])
        if self._next_stale_ns >= until_ns:
            return found
        stale = self._lapses(found, until_ns)
        return found if stale is None else join_samples([found, stale])

    def active(self, samples: Samples) -> ActiveSamples | None:
        """The samples that may matter; None where there are none."""
        if len(samples) <= HANDFUL:
            events = self._guard.events(samples)
            return ListedSamples(events) if events else None
        found = self._guard.keep(samples)
        if isinstance(found, list):
            return ListedSamples(found) if found else None
        return ActiveSamples(samples, found) if found.shape[0] else None

    def remember(self, results: Sequence[Event]) -> None:
        """The last of these are the newest of the engine's own rows."""
        for event in results:
            self._results[event[1]] = event

    def store(self, samples: Samples) -> None:
        """The batch is over: its last samples are the newest."""
        self._since_ns = self._until_ns
        self._asked = None
        if count := len(samples):
            self._waiting.append(samples)
            self._waiting_samples += count
            if len(self._waiting) >= _WAITING_BATCHES or self._waiting_samples >= _WAITING_SAMPLES:
                self._take_in()

    def seed(self, samples: Samples, rows: Collection[int]) -> None:
        """What was the newest of new rows before this batch. Samples of other rows are left out."""
        keep = np.isin(samples.row, list(rows))
        self._waiting.append(
            Samples(Signals(samples.t_ns[keep], samples.row[keep], samples.value[keep]), samples.known[keep])
        )
        self._take_in()

    def column(self, row: int, active: ActiveSamples | None, instants: Times) -> Number:
        """The row's newest value at each of the instants."""
        if active is not None:
            mine = np.flatnonzero(active.signal == row)
            if mine.shape[0]:
                return self._as_of(row, active.t_ns[mine], active.value[mine], active.known[mine], instants)
        value, known = self.before(row)
        return Number(np.array([value]), np.array([known]))

    def before(self, row: int) -> tuple[float, bool]:
        """The newest value before this batch, and whether it is known."""
        self._take_in()
        return float(self._value[row]), self._is_known(row)

    def newest(self, row: int, samples: Samples, t_ns: int) -> float | None:
        """The exact newest value at ``t_ns`` of this batch; None where it is not known."""
        place = self._place(row, samples, t_ns)
        if place is None:
            for batch in self._waiting[: -_RECENT - 1 : -1]:
                place = self._place(row, batch, t_ns)
                if place is not None:
                    samples = batch
                    break
        if place is not None:
            from_ns, _, value, known = samples.item(place)
        else:
            self._take_in()
            from_ns, value, known = int(self._t_ns[row]), float(self._value[row]), bool(self._known[row])
        stale_ns = int(self._stale_ns[row])
        return value if known and not 0 < stale_ns <= t_ns - from_ns else None

    def _place(self, row: int, samples: Samples, t_ns: int) -> int | None:
        """Where the row's newest sample at ``t_ns`` is; None where it has none."""
        if len(samples) <= HANDFUL:
            return samples.last_of(row, t_ns)
        if samples is not self._asked:
            self._asked, self._found = samples, {}
        if row not in self._found:
            at = np.flatnonzero(samples.row == row)
            self._found[row] = at.tolist(), samples.t_ns[at].tolist()
        places, times = self._found[row]
        before = bisect_right(times, t_ns)
        return places[before - 1] if before else None

    def _is_known(self, row: int) -> bool:
        """Before the batch, and before what goes stale at its very start."""
        stale_ns = int(self._stale_ns[row])
        lives = not stale_ns or int(self._t_ns[row]) + stale_ns >= self._since_ns
        return bool(self._known[row]) and lives

    def _take_in(self) -> None:
        """Make what waits the newest."""
        for at_ns, own, result, is_known in self._results.values():
            self._t_ns[own], self._value[own], self._known[own] = at_ns, result, is_known
        self._results.clear()
        if not self._waiting:
            return
        waiting, self._waiting, self._waiting_samples = self._waiting, [], 0
        columns = end_to_end(waiting)
        # Wide enough to select with as it is, which happens several times.
        row, value = columns.signal.astype(np.intp), columns.value
        wrong = outside(row, value, self._range)
        if wrong.any():
            self.out_of_range_count += int(np.count_nonzero(wrong))
        last = _last_of_each(row, self._value.shape[0])
        rows = np.flatnonzero(last >= 0)
        last = last[rows]
        self._value[rows] = value[last]
        self._t_ns[rows] = columns.t_ns[last]
        if all(one.sound is None for one in waiting):
            self._known[rows] = ~wrong[last]
        else:
            self._known[rows] = np.concatenate([one.known for one in waiting])[last]

    def _lapses(self, samples: Samples, until_ns: int) -> Samples | None:
        """Samples that are not known, where a row goes stale before ``until_ns``."""
        self._take_in()
        rows = self._mortal
        held = rows[self._known[rows] & (self._t_ns[rows] + self._stale_ns[rows] >= self._since_ns)]
        mine = np.flatnonzero(np.isin(samples.row, rows))
        row = np.concatenate([held, samples.row[mine]])
        found = lapses(
            np.concatenate([self._t_ns[held], samples.t_ns[mine]]),
            row,
            np.concatenate([np.ones(held.shape, np.bool_), samples.known[mine]]),
            self._stale_ns[row],
            until_ns,
        )
        # A row that has no good sample now gets one at the end of this batch at the earliest.
        self._next_stale_ns = min(found.next_ns, until_ns + int(self._stale_ns[rows].min()))
        if not found.t_ns.shape[0]:
            return None
        shape = found.t_ns.shape
        return Samples(Signals(found.t_ns, found.row, np.full(shape, np.nan)), np.zeros(shape, np.bool_))

    def _as_of(self, row: int, t_ns: Times, value: Column, known: Plane, instants: Times) -> Number:
        at = np.searchsorted(t_ns, instants, side="right") - 1
        before = at < 0
        if not before.any():
            return Number(value[at], YES if known.all() else known[at])
        first, was_known = self.before(row)
        return Number(np.where(before, first, value[at]), np.where(before, was_known, known[at]))


def _floats(values: Sequence[float]) -> Column:
    return np.array(values, np.float64)


def _last_of_each(row: NDArray[np.intp], row_count: int) -> NDArray[np.intp]:
    """Position of the last sample of each row, -1 where there is none. Shape (row_count,).

    The end of a long batch has most rows already: of what comes before it only the others are looked at.
    """
    last = np.full(row_count, -1)
    begin = max(0, row.shape[0] - _TAIL)
    # Where a row is there more than once, numpy keeps the last.
    last[row[begin:]] = np.arange(begin, row.shape[0])
    if begin:
        others = (last < 0).take(row[:begin]).nonzero()[0]
        last[row.take(others)] = others
    return last
