"""Every kept firing is in exactly one clip whose window covers what it asked for, however time was cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.campaign import CaptureSpec
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.firing import Firing
from fsd_agent.records.link_rule import LinkRule, Links
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.capture.plan import (
    Close,
    Decision,
    Extend,
    KeptFiring,
    Limits,
    Open,
    OpenClip,
    Window,
    plan,
    rest,
)

LIMITS = Limits(max_clip_ns=60)


def apply(
    open_clips: Sequence[OpenClip], decisions: Sequence[Decision], until_ns: int
) -> tuple[OpenClip, ...]:
    """The open clips after ``decisions`` and every :func:`rest` have been staged up to ``until_ns``."""
    rows = {clip.row.clip_id: clip.row for clip in open_clips}
    for decision in decisions:
        if isinstance(decision, Close):
            del rows[decision.clip_id]
        else:
            rows[decision.row.clip_id] = decision.row
    return tuple(OpenClip(row, until_ns) for row in rows.values())


def kept(
    name: str,
    t_ns: int,
    before: int = 5,
    after: int = 5,
    *,
    cameras: tuple[str, ...] = ("front",),
    signals: tuple[str, ...] = ("a",),
    priority: int = 1,
    purpose: Purpose = Purpose.SAFETY,
) -> KeptFiring:
    capture = CaptureSpec(before, after, cameras, signals)
    return KeptFiring(name, Firing("c", 1, t_ns, ()), t_ns + 1000, capture, priority, purpose)


def ids() -> Callable[[], str]:
    numbers = count()
    return lambda: f"{next(numbers):032x}"


def decide(
    clips: Sequence[OpenClip],
    firings: Sequence[KeptFiring],
    until: int,
    *,
    region: str = "cn",
    new_id: Callable[[], str],
) -> tuple[Decision, ...]:
    return plan(
        clips,
        firings,
        until_ns=until,
        region_id=region,
        wall_minus_mono_ns=1000,
        new_id=new_id,
        limits=LIMITS,
    )


def test_a_firing_opens_a_clip_with_its_window() -> None:
    (decision,) = decide((), [kept("f", 20)], 22, new_id=ids())
    assert isinstance(decision, Open)
    assert (decision.row.start_ns, decision.row.end_ns, decision.row.region_id) == (15, 25, "cn")
    assert decision.window == Window(15, 22, ("front",), ("a",), lead_in=True)
    assert [(f.firing_id, f.clip_id, f.drop) for f in decision.firings] == [("f", "0" * 32, None)]


def test_a_second_firing_widens_the_open_clip_and_asks_for_what_it_lacks() -> None:
    new_id = ids()
    opened = apply((), decide((), [kept("f", 20)], 22, new_id=new_id), 22)
    second = kept("g", 23, 12, 9, cameras=("front", "rear"), signals=("b",), priority=7)
    second = replace(second, link=LinkRule(Links.ANY, urgent=True, deadline_ns=5))
    (decision,) = decide(opened, [second], 24, new_id=new_id)
    assert isinstance(decision, Extend)
    row = decision.row
    assert (row.start_ns, row.end_ns, row.priority) == (11, 32, 7)
    assert (row.cameras, row.signals) == (("front", "rear"), ("a", "b"))
    assert row.link == LinkRule(Links.ANY, urgent=True, deadline_ns=None), "the first asks for no deadline"
    assert decision.backfill == (
        Window(11, 15, ("front",), ("a",), lead_in=True),
        Window(11, 22, ("rear",), ("b",), lead_in=True),
    )
    assert [f.firing_id for f in decision.firings] == ["g"]
    assert rest(OpenClip(row, 22), 24) == Window(22, 24, ("front", "rear"), ("a", "b"), lead_in=False)
    assert apply(opened, (decision,), 24) == (OpenClip(row, 24),)


@pytest.mark.parametrize("purpose", Purpose)
def test_of_the_cabin_nothing_is_staged_for_other_purposes(purpose: Purpose) -> None:
    new_id, cameras = ids(), ("front", "cabin_driver")
    (opening,) = decide((), [kept("f", 20, cameras=cameras, purpose=purpose)], 22, new_id=new_id)
    assert isinstance(opening, Open)
    about = purpose is Purpose.OCCUPANT_MONITORING
    assert opening.row.cameras == opening.window.cameras == (cameras if about else ("front",))
    wider = kept("g", 23, cameras=("rear", "cabin_rear"), purpose=purpose)
    (more,) = decide(apply((), (opening,), 22), [wider], 24, new_id=new_id)
    assert isinstance(more, Extend)
    assert more.row.cameras == ((*cameras, "rear", "cabin_rear") if about else ("front", "rear"))
    assert [one.cameras for one in more.backfill] == [("rear", "cabin_rear") if about else ("rear",)]


def test_a_clip_closes_when_its_end_is_sensed_and_not_before() -> None:
    new_id = ids()
    opened = apply((), decide((), [kept("f", 20)], 22, new_id=new_id), 22)
    assert decide(opened, (), 24, new_id=new_id) == ()
    closing = decide(opened, (), 25, new_id=new_id)
    assert closing == (Close("0" * 32),)
    assert apply(opened, closing, 25) == ()
    assert rest(opened[0], 99) == Window(22, 25, ("front",), ("a",), lead_in=False)
    assert rest(OpenClip(opened[0].row, 25), 99) is None


def test_a_firing_at_the_end_of_a_clip_opens_the_next() -> None:
    decisions = decide((), [kept("f", 20), kept("g", 25)], 40, new_id=ids())
    assert [type(one) for one in decisions] == [Open, Open, Close, Close]


def test_a_clip_does_not_grow_past_the_limit() -> None:
    firings = [kept(f"f{t}", t) for t in range(10, 140, 4)]
    opens = [one for one in decide((), firings, 200, new_id=ids()) if isinstance(one, Open)]
    assert len(opens) == 3
    assert all(one.row.end_ns - one.row.start_ns <= 60 for one in opens)


def test_one_firing_may_ask_for_more_than_the_limit() -> None:
    long = kept("long", 100, 80, 20)
    opens = [one for one in decide((), [long, kept("in", 101)], 200, new_id=ids()) if isinstance(one, Open)]
    assert [(one.row.start_ns, one.row.end_ns, len(one.firings)) for one in opens] == [(20, 120, 2)]


def test_another_region_never_shares_a_clip() -> None:
    new_id = ids()
    opened = apply((), decide((), [kept("f", 20)], 22, new_id=new_id), 22)
    (decision,) = decide(opened, [kept("g", 22)], 23, region="eu", new_id=new_id)
    assert isinstance(decision, Open)
    assert decision.row.region_id == "eu"
    assert opened[0].row.region_id == "cn"


FIRINGS = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.integers(0, 40),
        st.integers(1, 40),
        st.sampled_from([("front",), ("rear",), ("front", "rear"), ()]),
        st.sampled_from([("a",), ("b",), ("a", "c"), ()]),
    ),
    max_size=15,
)


def run(
    firings: Sequence[KeptFiring], cuts: Sequence[int]
) -> tuple[dict[str, str], dict[str, ClipRow], dict[str, list[Window]]]:
    """Firing to clip, the rows, and everything that was staged, when time is cut at ``cuts``."""
    open_clips: tuple[OpenClip, ...] = ()
    new_id = ids()
    owner: dict[str, str] = {}
    rows: dict[str, ClipRow] = {}
    staged: dict[str, list[Window]] = {}
    last = -1
    for until in [*sorted(set(cuts)), 400]:
        now = [one for one in firings if last <= one.firing.t_ns < until]
        decisions = decide(open_clips, now, until, new_id=new_id)
        before = {clip.row.clip_id: clip for clip in open_clips}
        for decision in decisions:
            if isinstance(decision, Close):
                continue
            clip_id = decision.row.clip_id
            rows[clip_id] = decision.row
            for judged in decision.firings:
                assert judged.firing_id not in owner
                owner[judged.firing_id] = clip_id
            windows = (decision.window,) if isinstance(decision, Open) else decision.backfill
            staged.setdefault(clip_id, []).extend(windows)
        for clip_id, clip in before.items():
            if more := rest(OpenClip(rows[clip_id], clip.staged_until_ns), until):
                staged[clip_id].append(more)
        open_clips = apply(open_clips, decisions, until)
        assert all(clip.row.end_ns > until for clip in open_clips)
        last = until
    assert open_clips == ()
    return owner, rows, staged


@settings(max_examples=60, deadline=None)
@given(asked=FIRINGS, cuts=st.lists(st.integers(1, 399), max_size=40))
def test_each_firing_is_covered_once_and_everything_asked_for_is_staged(
    asked: list[tuple[int, int, int, tuple[str, ...], tuple[str, ...]]], cuts: list[int]
) -> None:
    firings = [
        kept(f"f{at}", t, before, after, cameras=cameras, signals=signals)
        for at, (t, before, after, cameras, signals) in enumerate(asked)
    ]
    owner, rows, staged = run(firings, cuts)
    assert set(owner) == {one.firing_id for one in firings}
    for one in firings:
        row = rows[owner[one.firing_id]]
        assert row.start_ns <= one.start_ns
        assert one.end_ns <= row.end_ns
        assert set(one.capture.cameras) <= set(row.cameras)
        assert set(one.capture.signals) <= set(row.signals)
    for clip_id, row in rows.items():
        for name in row.cameras + row.signals:
            covered = {
                t
                for window in staged[clip_id]
                if name in window.cameras + window.signals
                for t in range(window.start_ns, window.end_ns)
            }
            assert covered == set(range(row.start_ns, row.end_ns))


@settings(max_examples=60, deadline=None)
@given(asked=FIRINGS, cuts=st.lists(st.integers(1, 399), max_size=40))
def test_cutting_time_differently_changes_no_clip(
    asked: list[tuple[int, int, int, tuple[str, ...], tuple[str, ...]]], cuts: list[int]
) -> None:
    firings = [kept(f"f{at}", t, before, after) for at, (t, before, after, _, _) in enumerate(asked)]
    one_owner, one_rows, _ = run(firings, [])
    owner, rows, _ = run(firings, cuts)
    assert owner == one_owner
    assert rows == one_rows
