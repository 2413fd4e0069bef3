"""Phases against a machine that looks at every nanosecond; times are so short that it can."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.campaign import Campaign
from fsd_agent.records.program import PROGRAM_VERSION, Node, Op, Program
from fsd_agent.records.schedule import WEEK_NS, LocalOffset, Schedule, WeekSpan
from fsd_agent.rules.triggers.firing.phases import Phases, Transitions
from fsd_agent.rules.triggers.firing.schedule import DAY_NS, within
from fsd_agent.testing.campaigns import plain_campaign

WALL_NS = 400 * WEEK_NS + 4 * DAY_NS
"""A Monday, 00:00: the world began on a Thursday."""
END_NS = 60
FEW = (0, 100)
"""Changes always as arrays, and always one by one."""

Change = tuple[int, int, bool]
"""Campaign, time, true from then on."""


def campaign(name: str = "c", **changes: Any) -> Campaign:
    return plain_campaign(Program(PROGRAM_VERSION, (Node(Op.LITERAL, (), True),)), name, **changes)


def transitions(changes: list[Change]) -> Transitions:
    return Transitions(
        np.array([owner for owner, _, _ in changes], np.intp),
        np.array([t_ns for _, t_ns, _ in changes], np.int64),
        np.array([true for _, _, true in changes], np.bool_),
    )


def told(changes: list[Change]) -> tuple[list[Change], list[Transitions]]:
    """Changes of every other campaign one by one, of the others as columns."""
    columns = [change for change in changes if change[0] % 2]
    return [change for change in changes if not change[0] % 2], [transitions(columns)] if columns else []


@dataclass(frozen=True)
class Run:
    """A campaign, and whether its condition is true at each nanosecond."""

    campaign: Campaign
    true: list[bool]


def reference(run: Run) -> list[int]:
    """Each nanosecond looks back over the whole hold and the whole re-arm time."""
    one, true = run.campaign, run.true
    active, fired = False, list[int]()
    for t_ns in range(len(true)):
        gap = [t_ns] if one.rearm_ns == 0 else range(t_ns - one.rearm_ns, t_ns)
        if active and not any(true[at] for at in gap):
            active = False
        held = t_ns >= one.hold_ns and all(true[at] for at in range(t_ns - one.hold_ns, t_ns + 1))
        if active or not held:
            continue
        active = True
        wall_ns = WALL_NS + t_ns
        if not one.valid_from_wall_ns <= wall_ns < one.valid_until_wall_ns:
            continue
        if one.schedule is not None and not within(one.schedule, wall_ns):
            continue
        if not fired or t_ns - fired[-1] >= one.cooldown_ns:
            fired.append(t_ns)
    return fired


@st.composite
def runs(draw: st.DrawFn, index: int) -> Run:
    lengths = draw(st.lists(st.integers(1, 9), max_size=25))
    true, value = [False], draw(st.booleans())
    for length in lengths:
        true += [value] * length
        value = not value
    true = (true + [true[-1]] * END_NS)[:END_NS]
    moments = st.lists(st.integers(0, END_NS), min_size=2, max_size=4, unique=True).map(sorted)
    ends = draw(st.one_of(st.just([]), st.just([]), moments))
    spans = tuple(WeekSpan(start, end) for start, end in zip(ends[::2], ends[1::2], strict=False))
    valid_ns = draw(st.one_of(st.just((0, END_NS)), st.tuples(st.integers(0, 30), st.integers(0, 60))))
    return Run(
        campaign(
            # Names do not follow positions.
            f"{7 * index % 5}-{index}",
            hold_ns=draw(st.integers(0, 8)),
            rearm_ns=draw(st.integers(0, 8)),
            cooldown_ns=draw(st.one_of(st.just(0), st.integers(1, 30))),
            valid_from_wall_ns=WALL_NS + valid_ns[0],
            valid_until_wall_ns=WALL_NS + valid_ns[1],
            schedule=Schedule(spans, (LocalOffset(0, 0),)) if spans else None,
        ),
        true,
    )


def changes_of(runs: list[Run], *, repeats: bool) -> list[Change]:
    """All changes by time; with ``repeats`` also samples that change nothing."""
    return [
        (index, t_ns, run.true[t_ns])
        for t_ns in range(END_NS)
        for index, run in enumerate(runs)
        if t_ns and (run.true[t_ns] != run.true[t_ns - 1] or (repeats and t_ns % 3 == 0))
    ]


many_runs = st.integers(1, 4).flatmap(lambda count: st.tuples(*[runs(index) for index in range(count)]))


@given(
    many_runs,
    st.lists(st.integers(0, END_NS - 1), max_size=20).map(sorted),
    st.booleans(),
    st.booleans(),
    st.sampled_from(FEW),
    st.randoms(use_true_random=False),
)
def test_as_a_machine_that_looks_at_every_nanosecond(
    chosen: tuple[Run, ...], cuts: list[int], repeats: bool, renews: bool, few: int, random: object
) -> None:
    runs = list(chosen)
    changes = changes_of(runs, repeats=repeats)
    expected = sorted(
        (t_ns, run.campaign.id) for run in runs for t_ns in reference(Run(run.campaign, run.true))
    )
    order = list(range(len(runs)))
    phases = Phases([runs[at].campaign for at in order], few=few)
    found: list[tuple[int, str]] = []
    start = -1
    for until in [*cuts, END_NS]:
        inside = [(order.index(owner), t_ns, true) for owner, t_ns, true in changes if start <= t_ns < until]
        if repeats:
            inside.sort(key=lambda change: change[0])  # By campaign, then by time, is an order as well.
        fired = phases.advance(*told(inside), until, WALL_NS)
        found += [(t_ns, runs[order[at]].campaign.id) for t_ns, at in fired]
        start = until
        if renews:
            phases, order = renewed(phases, order, runs, few, random)
    assert found == expected


def renewed(
    phases: Phases, order: list[int], runs: list[Run], few: int, random: object
) -> tuple[Phases, list[int]]:
    """The same campaigns in another order, beside one that is new and never true."""
    after = order.copy()
    random.shuffle(after)  # type: ignore[attr-defined]
    fresh = Phases([*(runs[at].campaign for at in after), campaign("new")], few=few)
    fresh.carry(phases, [(after.index(at), order.index(at)) for at in after])
    return fresh, after


ROWS = [
    # settings, changes of the condition (ns, from then on), fires at
    ({"hold_ns": 10}, [(5, True)], [15]),
    ({"hold_ns": 10}, [(5, True), (15, False)], []),
    ({"hold_ns": 10}, [(5, True), (16, False)], [15]),
    ({"rearm_ns": 10}, [(5, True), (20, False), (29, True)], [5]),
    ({"rearm_ns": 10}, [(5, True), (20, False), (30, True)], [5, 30]),
    ({"rearm_ns": 10}, [(5, True), (20, False), (25, True), (26, False), (35, True)], [5]),
    ({"rearm_ns": 10, "hold_ns": 3}, [(5, True), (20, False), (25, True), (26, False), (36, True)], [8, 39]),
    ({"cooldown_ns": 10}, [(5, True), (6, False), (14, True), (15, False), (16, True)], [5, 16]),
    ({"valid_from_wall_ns": WALL_NS + 6}, [(5, True), (20, False), (30, True)], [30]),
    ({"valid_from_wall_ns": WALL_NS + 5}, [(5, True), (20, False), (30, True)], [5, 30]),
    ({"valid_until_wall_ns": WALL_NS + 30}, [(5, True), (20, False), (30, True)], [5]),
    ({"valid_until_wall_ns": WALL_NS + 31}, [(5, True), (20, False), (30, True)], [5, 30]),
    # A phase that passes a gate by is active all the same, and a cool-down counts from firings, not moments.
    ({"valid_from_wall_ns": WALL_NS + 6, "rearm_ns": 20, "cooldown_ns": 99}, [(5, True), (9, False), (28, True)], []),
    ({"cooldown_ns": 20}, [(5, True), (6, False), (20, True), (21, False), (25, True)], [5, 25]),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "changes", "expected"), ROWS)
@pytest.mark.parametrize("step", [1, 7, END_NS])
@pytest.mark.parametrize("renews", [False, True])
@pytest.mark.parametrize("few", FEW)
def test_example(
    settings: dict[str, object],
    changes: list[tuple[int, bool]],
    expected: list[int],
    step: int,
    renews: bool,
    few: int,
) -> None:
    phases = Phases([campaign(**settings)], few=few)
    found: list[int] = []
    for start in range(0, END_NS, step):
        inside = [(0, t_ns, true) for t_ns, true in changes if start <= t_ns < start + step]
        found += [t_ns for t_ns, _ in phases.advance(inside, (), start + step, WALL_NS)]
        if renews:
            before, phases = phases, Phases([campaign(**settings)], few=few)
            phases.carry(before, [(0, 0)])
    assert found == expected


def test_order_is_time_then_name_and_other_cooldowns_do_not_matter() -> None:
    phases = Phases([campaign("b", cooldown_ns=50), campaign("a"), campaign("c", hold_ns=5)])
    changes = [(at, t_ns, true) for t_ns, true in ((5, True), (8, False), (20, True)) for at in range(3)]
    found = phases.advance(changes, (), END_NS, WALL_NS)
    assert found == [(5, 1), (5, 0), (20, 1), (25, 2)]


def test_many_changes_at_once_as_one_at_a_time() -> None:
    """Long enough for thousands of firings and cool-downs in one call."""
    rng = np.random.default_rng(7)
    campaigns = [
        campaign(f"{at}", hold_ns=int(hold), rearm_ns=int(rearm), cooldown_ns=int(rest))
        for at, (hold, rearm, rest) in enumerate(rng.integers(0, 40, (30, 3)))
    ]
    changes: list[Change] = []
    for at in range(len(campaigns)):
        times = np.cumsum(rng.integers(1, 60, 400)).tolist()
        changes += [(at, t_ns, step % 2 == 0) for step, t_ns in enumerate(times)]
    end_ns = max(t_ns for _, t_ns, _ in changes) + 100
    whole = Phases(campaigns).advance(changes, (), end_ns, WALL_NS)
    single, found = Phases(campaigns), list[tuple[int, int]]()
    for t_ns, together in groupby(sorted(changes, key=lambda change: change[1]), lambda change: change[1]):
        found += single.advance((), (), t_ns, WALL_NS)
        found += single.advance(list(together), (), t_ns + 1, WALL_NS)
    found += single.advance((), (), end_ns, WALL_NS)
    assert whole == found
    assert len(whole) > 1000
