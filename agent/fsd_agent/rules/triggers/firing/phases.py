"""When a condition that is true becomes a firing, for all campaigns at once.

**Debounced.** A campaign is inactive at first. It becomes active at the first instant up to which its condition has
been true for ``hold_ns`` without a break, that instant included: this is its *moment*. It becomes inactive again when
the condition has been not true (false or unknown) for ``rearm_ns`` without a break: a shorter gap does not end the
active phase, and a true run inside a gap, however short, begins the gap anew. With ``rearm_ns`` 0 it ends at once.

**Gates.** A moment is a firing when, at that moment, the campaign is valid, its schedule holds, and at least
``cooldown_ns`` have passed since its last firing. A moment that is none passes; the phase is active all the same.

Nothing is concluded before the watermark has passed it, so that it makes no difference how time was cut.

Runs. Between two changes a condition is true or not true for a *run*. A true run longer than ``hold_ns`` makes a
campaign active, any other run of at least ``rearm_ns`` makes it inactive, every other run leaves it as it is; so the
state at a run's end is what the newest run that decides says, for which one pass over all runs is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.campaign import Campaign
from fsd_agent.rules.triggers.firing.schedule import within

_NEVER_NS: Final = 2**62
_FEW: Final = 24
_LONG_AGO_NS: Final = -(2**61)
"""Before any time of a sample, and far enough from the ends of int64 to count from."""

Owners = NDArray[np.intp]
"""Positions of campaigns."""
Times = NDArray[np.int64]
Flags = NDArray[np.bool_]


Change = tuple[int, int, bool]
"""Position of a campaign, time, and whether its condition is true from then on."""


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """Changes of conditions. Arrays of length k; the times of one campaign increase."""

    campaign: Owners
    t_ns: Times
    true: Flags
    """Whether the condition is true from ``t_ns`` on. One that repeats what was true before is no change."""


def columns_of(changes: Sequence[Change]) -> Transitions:
    """The same as columns."""
    if not changes:
        return _NONE
    campaign, t_ns, true = zip(*changes, strict=True)
    return Transitions(np.array(campaign, np.intp), np.array(t_ns, np.int64), np.array(true, np.bool_))


def join_transitions(parts: Sequence[Transitions]) -> Transitions:
    """All of them; every campaign's are in one of the parts."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return _NONE
    return Transitions(
        np.concatenate([part.campaign for part in parts]),
        np.concatenate([part.t_ns for part in parts]),
        np.concatenate([part.true for part in parts]),
    )


def _listed(parts: Sequence[Transitions]) -> Iterator[Change]:
    for part in parts:
        yield from zip(part.campaign.tolist(), part.t_ns.tolist(), part.true.tolist(), strict=True)


class Phases:
    """The state of every campaign of a set, from batch to batch. ``campaigns[i]`` is campaign i.

    Up to ``few`` changes are taken up one by one, more as arrays; it makes no difference but for the cost.
    """

    def __init__(self, campaigns: Sequence[Campaign], *, few: int = _FEW) -> None:
        self._few = few
        count = len(campaigns)
        self._hold_ns = np.array([one.hold_ns for one in campaigns], np.int64)
        rearm_ns = np.array([one.rearm_ns for one in campaigns], np.int64)
        self._undecided_ns = np.stack([self._hold_ns, rearm_ns - 1])
        """Shape (2, n): how long a true run, and one that is not, may be and leave the state as it is."""
        self._cooldown_ns = np.array([one.cooldown_ns for one in campaigns], np.int64)
        self._valid_from_ns = np.array([one.valid_from_wall_ns for one in campaigns], np.int64)
        self._valid_until_ns = np.array([one.valid_until_wall_ns for one in campaigns], np.int64)
        self._schedules = tuple(one.schedule for one in campaigns)
        self._scheduled = np.array([one.schedule is not None for one in campaigns], np.bool_)
        names = sorted(range(count), key=lambda at: campaigns[at].id)
        self._rank = np.empty(count, np.intp)
        self._rank[names] = np.arange(count)
        self._true = np.zeros(count, np.bool_)
        self._active = np.zeros(count, np.bool_)
        """As of the newest change; a gap that makes it inactive counts when the condition is true again."""
        self._since_ns = np.full(count, _LONG_AGO_NS)
        self._due_ns = np.full(count, _NEVER_NS)
        """The moment that comes if the condition stays true."""
        self._fired_ns = np.full(count, _LONG_AGO_NS)
        self._next_due_ns = _NEVER_NS
        """No moment comes before this."""

    def carry(self, before: Phases, pairs: Sequence[tuple[int, int]]) -> None:
        """Take over the state of campaigns that stay the same: (position here, position there)."""
        if not pairs:
            return
        mine, theirs = np.array(pairs, np.intp).T
        for to, since in (
            (self._true, before._true),
            (self._active, before._active),
            (self._since_ns, before._since_ns),
            (self._due_ns, before._due_ns),
            (self._fired_ns, before._fired_ns),
        ):
            to[mine] = since[theirs]
        self._next_due_ns = int(self._due_ns.min())

    def advance(
        self,
        changes: Sequence[Change],
        parts: Sequence[Transitions],
        until_ns: int,
        wall_minus_mono_ns: int,
    ) -> list[tuple[int, int]]:
        """What fired before ``until_ns``, (time, campaign), by time and then campaign id.

        ``changes`` and ``parts`` hold every change in ``[previous until_ns, until_ns)``, one campaign's in one of them.
        """
        if not changes and not parts and until_ns <= self._next_due_ns:
            return []
        if len(changes) + sum(len(part.t_ns) for part in parts) <= self._few:
            return self._advance_few([*changes, *_listed(parts)], until_ns, wall_minus_mono_ns)
        transitions = join_transitions([columns_of(changes), *parts])
        owners, times = self._follow(transitions.campaign, transitions.t_ns, transitions.true)
        if until_ns > self._next_due_ns:
            due = np.flatnonzero(self._due_ns < until_ns)
            owners, times = np.concatenate([owners, due]), np.concatenate([times, self._due_ns[due]])
            self._active[due] = True
            self._due_ns[due] = _NEVER_NS
            self._next_due_ns = int(self._due_ns.min())
        return self._firings(owners, times, wall_minus_mono_ns) if len(times) else []

    def _advance_few(
        self, changes: Sequence[Change], until_ns: int, wall_minus_mono_ns: int
    ) -> list[tuple[int, int]]:
        """The same, a change at a time: a pass over arrays costs as much as a dozen of these."""
        moments: list[tuple[int, int]] = []
        due_ns: dict[int, int] = {}
        for owner, t_ns, true in changes:
            if bool(self._true[owner]) is not true:
                began_ns, due_ns[owner] = self._change(owner, t_ns, true=true)
                if began_ns is not None:
                    moments.append((began_ns + int(self._hold_ns[owner]), owner))
        for owner, moment_ns in due_ns.items():
            if moment_ns < until_ns:
                moments.append((moment_ns, owner))
                self._active[owner] = True
            else:
                self._due_ns[owner] = moment_ns
                self._next_due_ns = min(self._next_due_ns, moment_ns)
        if until_ns > self._next_due_ns:
            due = np.flatnonzero(self._due_ns < until_ns).tolist()
            moments += [(int(self._due_ns[owner]), owner) for owner in due]
            self._active[due] = True
            self._due_ns[due] = _NEVER_NS
            self._next_due_ns = int(self._due_ns.min())
        if len(moments) > 1:
            moments.sort(key=lambda moment: (moment[0], self._rank[moment[1]]))
        return [moment for moment in moments if self._fires(*moment, wall_minus_mono_ns)]

    def _change(self, owner: int, t_ns: int, *, true: bool) -> tuple[int | None, int]:
        """One change: when the run that it ends began, where that made the campaign active, and the next moment."""
        began_ns, active = int(self._since_ns[owner]), bool(self._active[owner])
        decides = t_ns - began_ns > int(self._undecided_ns[int(true), owner])
        becomes = not true if decides else active
        due_ns = t_ns + int(self._hold_ns[owner]) if true and not becomes else _NEVER_NS
        self._true[owner], self._since_ns[owner], self._active[owner] = true, t_ns, becomes
        self._due_ns[owner] = _NEVER_NS
        return (began_ns if becomes and not active else None), due_ns

    def _fires(self, t_ns: int, owner: int, wall_minus_mono_ns: int) -> bool:
        """Whether a moment passes the gates; later ones of the campaign come later."""
        wall_ns, schedule = t_ns + wall_minus_mono_ns, self._schedules[owner]
        if not self._valid_from_ns[owner] <= wall_ns < self._valid_until_ns[owner]:
            return False
        if schedule is not None and not within(schedule, wall_ns):
            return False
        if t_ns - int(self._fired_ns[owner]) < self._cooldown_ns[owner]:
            return False
        self._fired_ns[owner] = t_ns
        return True

    def _follow(self, owner: Owners, t_ns: Times, true: Flags) -> tuple[Owners, Times]:
        """Take up changes; the moments of the runs that they end, by campaign and time."""
        if len(owner) > 1:
            order = owner.argsort(kind="stable")
            owner, t_ns, true = owner[order], t_ns[order], true[order]
        first = np.ones(len(owner), np.bool_)
        np.not_equal(owner[1:], owner[:-1], out=first[1:])
        was_true = _before(true, first, self._true[owner])
        changes = was_true != true
        if not changes.all():
            owner, t_ns, true = owner[changes], t_ns[changes], true[changes]
            return self._follow(owner, t_ns, true) if len(owner) else (_NOBODY, _NO_TIMES)
        began_ns = _before(t_ns, first, self._since_ns[owner])
        decides = t_ns - began_ns > self._undecided_ns[true.view(np.int8), owner]
        carried = self._active[owner]
        newest = np.maximum.accumulate(np.where(decides | first, np.arange(len(owner)), 0))
        active = np.where(decides, was_true, carried)[newest]
        moments = decides & was_true & ~_before(active, first, carried)
        self._keep(owner, t_ns, true, active, np.append(first[1:], True))
        if not moments.any():
            return _NOBODY, _NO_TIMES
        owners = owner[moments]
        return owners, began_ns[moments] + self._hold_ns[owners]

    def _keep(self, owner: Owners, t_ns: Times, true: Flags, active: Flags, last: Flags) -> None:
        owner, t_ns, true, active = owner[last], t_ns[last], true[last], active[last]
        self._true[owner], self._since_ns[owner], self._active[owner] = true, t_ns, active
        self._due_ns[owner] = np.where(true & ~active, t_ns + self._hold_ns[owner], _NEVER_NS)
        self._next_due_ns = int(self._due_ns.min())

    def _firings(self, owners: Owners, times: Times, wall_minus_mono_ns: int) -> list[tuple[int, int]]:
        """The moments that pass the gates."""
        walls = times + wall_minus_mono_ns
        keep = (self._valid_from_ns[owners] <= walls) & (walls < self._valid_until_ns[owners])
        for at in np.flatnonzero(keep & self._scheduled[owners]).tolist():
            schedule = self._schedules[owners[at]]
            keep[at] = schedule is None or within(schedule, int(walls[at]))
        owners, times = _rested(owners[keep], times[keep], self._cooldown_ns, self._fired_ns)
        self._fired_ns[owners] = times  # Where a campaign is there more than once, numpy keeps the last.
        order = np.lexsort((self._rank[owners], times))
        return list(zip(times[order].tolist(), owners[order].tolist(), strict=True))


_NOBODY: Final = np.empty(0, np.intp)
_NO_TIMES: Final = np.empty(0, np.int64)
_NONE: Final = Transitions(_NOBODY, _NO_TIMES, np.empty(0, np.bool_))
_Item = TypeVar("_Item", bound=np.generic)


def _before(values: NDArray[_Item], first: Flags, carried: NDArray[_Item]) -> NDArray[_Item]:
    """Each entry's predecessor; a campaign's first has what was carried."""
    found = np.empty_like(carried)
    found[1:] = values[:-1]
    np.copyto(found, carried, where=first)
    return found


def _rested(owners: Owners, times: Times, cooldown_ns: Times, fired_ns: Times) -> tuple[Owners, Times]:
    """Those at least a cool-down after the one of the same campaign that was taken before, by campaign and time."""
    order = np.lexsort((times, owners))
    owners, times = owners[order], times[order]
    rest_ns = cooldown_ns[owners]
    if not rest_ns.any():
        return owners, times
    rested = times - fired_ns[owners] >= rest_ns
    owners, times, rest_ns = owners[rested], times[rested], rest_ns[rested]
    # Order of time is order of rank, and ranks of all campaigns fit side by side into one increasing key.
    known = np.unique(times)
    base = owners * (len(known) + 1)
    wanted = base + np.searchsorted(known, times + np.maximum(rest_ns, 1))
    following = np.searchsorted(base + np.searchsorted(known, times), wanted).tolist()
    taken: list[int] = []
    at = 0
    while at < len(following):
        taken.append(at)
        at = following[at]
    return owners[taken], times[taken]
