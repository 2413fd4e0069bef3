"""Whose turn the one connection has: when one begins, what ends it, and how long the next one waits, to the nanosecond."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.pipeline.turns import Turns
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import Hold, HoldReason, Route
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.regions import sample_region, sample_registration

S, NS = 1_000_000_000, 1
WAYS = {
    region_id: Route(sample_registration("car-1", jurisdiction, serial), sample_region(region_id).policy)
    for serial, (region_id, jurisdiction) in enumerate({"cn": "CN", "eu": "DE", "us": "US"}.items(), 1)
}
HOLD = Hold(HoldReason.NO_REGISTRATION, "firmware has no registration document")


class Placed:
    """Where the vehicle belongs, and which regions it has left, as a test says."""

    def __init__(self, current: Route | Hold, *left: str) -> None:
        self.current = current
        self.left: tuple[Route, ...] = tuple(WAYS[one] for one in left)
        self.erased: frozenset[str] = frozenset()
        self.refused_policies: Mapping[str, str] = {}


class Bench:
    """A vehicle that belongs to ``cn``, on a clock that begins at 0."""

    def __init__(self, *left: str) -> None:
        self.placed = Placed(WAYS["cn"], *left)
        self.journal, self.clock = MemoryJournal(), ManualClock()
        self.turns = Turns(self.placed, self.journal, self.clock)
        self._clips = 0

    def where(self, at_ns: int) -> str:
        """Whose turn it is then."""
        self.clock.advance(at_ns - self.clock.monotonic_ns())
        found = self.turns.current()
        if isinstance(found, Hold):
            assert found is HOLD
            return "hold"
        region_id = found.policy.region_id
        assert found is WAYS[region_id]
        return region_id

    def add(self, region_id: str, *, sealed: bool = True) -> str:
        self._clips += 1
        clip_id = f"{self._clips:032x}"
        row = ClipRow(clip_id, region_id, Purpose.SAFETY, ClipState.STAGED, 0, 1, 0, (), (), 0)
        self.journal.accept((), (row,))
        self.journal.captured(clip_id, cut=False)
        if sealed:
            self.journal.sealed(SealedClip(clip_id, region_id, 1, b"\1" * 32))
        return clip_id

    def deliver(self, clip_id: str) -> None:
        self.journal.delivered(clip_id, receipt=b"signed")


def waiting(*region_ids: str) -> Bench:
    """Regions that were left, in the order that they are told in, each with a clip that waits."""
    bench = Bench(*dict.fromkeys(region_ids))
    for region_id in region_ids:
        bench.add(region_id)
    return bench


# When a turn begins


def test_the_own_region_has_the_first_ten_seconds() -> None:
    bench = waiting("eu")
    assert [bench.where(at) for at in (0, 10 * S - NS, 10 * S)] == ["cn", "cn", "eu"]


def test_they_count_from_when_somebody_was_left() -> None:
    bench = waiting("eu")
    left, bench.placed.left = bench.placed.left, ()
    assert [bench.where(at * S) for at in (0, 5, 100)] == ["cn", "cn", "cn"]
    bench.placed.left = left
    assert [bench.where(at) for at in (101 * S, 111 * S - NS, 111 * S)] == ["cn", "cn", "eu"]


def test_on_hold_there_is_no_turn_for_anybody_and_afterwards_the_own_region_is_first() -> None:
    bench = waiting("eu")
    bench.placed.current = HOLD
    assert [bench.where(at * S) for at in (0, 10, 100, 1000)] == ["hold"] * 4
    bench.placed.current = WAYS["cn"]
    assert [bench.where(1001 * S + at) for at in (0, 10 * S - NS, 10 * S)] == ["cn", "cn", "eu"]
    bench.placed.current = HOLD
    assert bench.where(1012 * S) == "hold"
    bench.placed.current = WAYS["cn"]
    assert [bench.where(1013 * S + at) for at in (0, 10 * S - NS, 10 * S)] == ["cn", "cn", "eu"]


def test_the_own_region_has_no_turn_beside_itself() -> None:
    """The vehicle has moved back between the two questions."""
    bench = waiting("cn")
    bench.placed.current = dataclasses.replace(WAYS["cn"], registration=sample_registration(serial=9))
    for at in range(0, 200 * S, 5 * S):
        bench.clock.advance(at - bench.clock.monotonic_ns())
        assert bench.turns.current() is bench.placed.current


def test_who_has_nothing_that_is_sealed_has_no_turn() -> None:
    bench = Bench("eu", "us")
    bench.add("eu", sealed=False)
    bench.deliver(bench.add("eu"))
    bench.add("us")
    assert [bench.where(at * S) for at in (0, 10)] == ["cn", "us"]


def test_nobody_has_a_turn_where_nothing_waits() -> None:
    bench = Bench("eu", "us")
    bench.add("cn")
    assert {bench.where(at * S) for at in range(0, 500, 5)} == {"cn"}


def test_what_waits_is_counted_every_five_seconds() -> None:
    bench = Bench("eu")
    assert [bench.where(at * S) for at in (0, 9)] == ["cn", "cn"]
    bench.add("eu")
    assert [bench.where(at) for at in (10 * S, 14 * S - NS, 14 * S)] == ["cn", "cn", "eu"]


def test_where_it_can_not_be_counted_what_was_seen_last_holds() -> None:
    bench = waiting("eu")
    assert bench.where(0) == "cn"
    bench.journal.close()
    assert [bench.where(at) for at in (10 * S, 70 * S - NS, 70 * S)] == ["eu", "eu", "cn"]


# Who is first


def test_the_fewest_clips_are_first_and_of_equals_the_first_by_name() -> None:
    assert waiting("eu", "eu", "us").where(0) == "cn"
    for regions, first in ((("eu", "eu", "us"), "us"), (("us", "us", "eu"), "eu"), (("us", "eu"), "eu")):
        bench = waiting(*regions)
        assert [bench.where(at * S) for at in (0, 10)] == ["cn", first], regions


def test_after_a_turn_in_vain_the_next_one_is_anothers() -> None:
    bench = waiting("eu", "eu", "us")
    found = [bench.where(at * S) for at in (0, 10, 70, 190, 250, 490)]
    assert found == ["cn", "us", "cn", "eu", "cn", "us"]


# What ends it


def test_a_turn_lasts_a_minute_and_every_one_in_vain_doubles_the_rest_up_to_an_hour() -> None:
    bench = waiting("eu")
    assert bench.where(0) == "cn"
    begin = 10 * S
    for rest in (120, 240, 480, 960, 1920, 3600, 3600):
        end = begin + 60 * S
        assert [bench.where(at) for at in (begin, end - NS, end)] == ["eu", "eu", "cn"]
        begin = end + rest * S
        assert bench.where(begin - NS) == "cn"


def test_a_turn_in_which_something_was_delivered_costs_a_minute_and_what_was_in_vain_is_forgotten() -> None:
    bench = Bench("eu")
    clips = [bench.add("eu") for _ in range(3)]
    assert [bench.where(at * S) for at in (0, 10, 70, 190)] == ["cn", "eu", "cn", "eu"]
    bench.deliver(clips[0])
    assert [bench.where(at) for at in (250 * S - NS, 250 * S)] == ["eu", "cn"]
    assert [bench.where(at) for at in (310 * S - NS, 310 * S)] == ["cn", "eu"]
    assert [bench.where(at) for at in (370 * S, 490 * S - NS, 490 * S)] == ["cn", "cn", "eu"]


def test_a_turn_is_over_once_nothing_waits_any_more() -> None:
    bench = waiting("eu")
    (clip,) = bench.journal.clips({ClipState.SEALED})
    assert [bench.where(at * S) for at in (0, 10)] == ["cn", "eu"]
    bench.deliver(clip.clip_id)
    assert [bench.where(at) for at in (15 * S - NS, 15 * S)] == ["eu", "cn"]
    bench.add("eu")
    assert [bench.where(at) for at in (75 * S - NS, 75 * S)] == ["cn", "eu"]


def test_a_turn_is_over_once_the_region_does_not_want_its_clips_now() -> None:
    bench = waiting("eu", "us", "us")
    assert [bench.where(at * S) for at in (0, 10)] == ["cn", "eu"]
    bench.placed.left = (WAYS["us"],)
    assert [bench.where(at) for at in (11 * S, 131 * S - NS, 131 * S)] == ["cn", "cn", "us"]


# In all of it

EVENTS = st.lists(
    st.tuples(
        st.integers(1, 400 * S),
        st.sampled_from(
            ["add eu", "add us", "add cn", "deliver", "hold", "home", "cn", "eu", "us", "none left"]
        ),
    ),
    max_size=30,
)


@given(EVENTS)
def test_nobody_but_the_own_region_and_those_that_were_left(events: Iterable[tuple[int, str]]) -> None:
    """On hold nobody; a turn is of a region that was left, and no longer than its minute."""
    bench = Bench("eu", "us")
    since: tuple[str, int] = ("cn", 0)
    for after_ns, event in events:
        if event.startswith("add"):
            bench.add(event[-2:])
        elif event == "deliver":
            for row in bench.journal.clips({ClipState.SEALED}, limit=1):
                bench.deliver(row.clip_id)
        elif event == "none left":
            bench.placed.left = ()
        elif event in WAYS:
            bench.placed.left = (WAYS[event],)
        else:
            bench.placed.current = HOLD if event == "hold" else WAYS["cn"]
        now_ns = bench.clock.monotonic_ns() + after_ns
        found = bench.where(now_ns)
        if found != since[0]:
            since = found, now_ns
        if bench.placed.current is HOLD:
            assert found == "hold"
        elif found != "cn":
            assert WAYS[found] in bench.placed.left
            assert now_ns - since[1] < 60 * S
