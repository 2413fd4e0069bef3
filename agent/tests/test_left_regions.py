"""Clips of a region that the vehicle has left: to that region or nowhere, and never in the way of the own one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.tests.two_regions import Bench, S
from fsd_agent.pipeline.turns import FIRST_REST_NS, REST_NS, TURN_NS
from fsd_agent.records.clip import ClipState
from fsd_agent.records.firing import Firing, JudgedFiring, Telling
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Hold, LeftClips
from fsd_agent.testing.compartments import at


def test_a_clip_that_was_left_behind_still_goes_to_its_region() -> None:
    bench = Bench(LeftClips.DELIVER)
    left, own = bench.add(1, "cn"), bench.add(2, "eu")
    assert bench.residence.current
    bench.register("eu")
    assert bench.run(5, lambda: bench.state(own) is ClipState.DELIVERED), "the own region comes first"
    assert bench.state(left) is ClipState.SEALED
    assert bench.run(FIRST_REST_NS / S + TURN_NS / S, lambda: bench.state(left) is ClipState.DELIVERED)
    assert ("car-1", left) in bench.regions["cn"].stored
    assert bench.run(10, lambda: bench.deliverer.stats().region_id == "eu"), "and then back home"
    bench.check()


def test_a_region_that_can_not_be_reached_costs_less_and_less() -> None:
    bench = Bench(LeftClips.DELIVER)
    bench.brokers["cn"].unreachable = True
    bench.add(1, "cn")
    assert bench.residence.current
    bench.register("eu")
    home = sum(bench.route() == "eu" for _ in range(3600))
    assert home > 3000, f"{home} of 3600 s in the own region"
    own = bench.add(2, "eu")
    assert bench.run(2 * TURN_NS / S, lambda: bench.state(own) is ClipState.DELIVERED)
    bench.check()


def test_on_hold_nobody_has_a_turn() -> None:
    bench = Bench(LeftClips.DELIVER)
    left = bench.add(1, "cn")
    assert bench.residence.current
    bench.register(None)
    assert not bench.run(REST_NS / S * 2, lambda: bench.state(left) is not ClipState.SEALED)
    assert bench.connection.dialled == []
    assert isinstance(bench.residence.current, Hold)


def test_a_clip_of_a_region_that_wants_it_erased_is_erased_and_sent_nowhere() -> None:
    bench = Bench(LeftClips.ERASE)
    sealed, captured = bench.add(1, "cn"), bench.add(2, "cn", sealed=False)
    own = bench.add(3, "eu")
    assert bench.residence.current
    bench.register("eu")
    both = (sealed, captured)
    assert bench.run(10, lambda: all(bench.state(clip) is ClipState.DROPPED for clip in both))
    for clip in both:
        row = bench.journal.clip(clip)
        assert row is not None
        assert row.drop is DropReason.LEFT_REGION
    assert bench.spool.entries() <= {(at("eu"), own)}
    assert bench.staging.entries() == frozenset()
    assert bench.run(5, lambda: bench.state(own) is ClipState.DELIVERED)
    assert not bench.brokers["cn"].published
    bench.check()


def test_nothing_is_erased_before_the_vehicle_has_arrived_elsewhere() -> None:
    bench = Bench(LeftClips.ERASE)
    clip = bench.add(1, "cn")
    bench.brokers["cn"].unreachable = True
    bench.run(10)
    bench.register(None)
    bench.run(10)
    assert bench.state(clip) is ClipState.SEALED
    bench.journal.full = True
    bench.register("eu")
    bench.run(10)
    bench.journal.full = False
    assert bench.state(clip) is ClipState.SEALED
    assert bench.run(10, lambda: bench.state(clip) is ClipState.DROPPED)


@pytest.mark.parametrize("fault", ["journal", "ledger", "spool"])
def test_what_can_not_be_erased_now_is_told(fault: str) -> None:
    bench = Bench(LeftClips.ERASE)
    clip = bench.add(1, "cn")
    assert bench.residence.current
    bench.register("eu")
    assert bench.residence.erased == {"cn"}
    if fault == "journal":
        bench.journal.full = True
        bench.eraser.step()
        assert bench.events.of("journal_failed")
        assert bench.state(clip) is ClipState.SEALED
    elif fault == "ledger":
        bench.ledger.broken = True
        bench.eraser.step()
        assert bench.events.of("ledger_failed")
        assert bench.state(clip) is ClipState.SEALED
        assert bench.spool.entries() == {(at("cn"), clip)}
        bench.ledger.broken = False
        bench.run(10)
        assert bench.state(clip) is ClipState.DROPPED
        bench.check()
    else:
        bench.eraser.step()
        assert bench.state(clip) is ClipState.DROPPED


def test_a_clip_that_is_just_being_delivered_is_not_erased_before_the_connection_is_given_up() -> None:
    """Its receipt would come for a clip that was given up."""
    bench = Bench(LeftClips.ERASE)
    clip = bench.add(1, "cn")
    bench.brokers["cn"].silent = True
    bench.run(3, lambda: bench.deliverer.stats().in_flight > 0)
    bench.register("eu")
    assert bench.residence.erased == {"cn"}
    bench.eraser.step()
    assert bench.state(clip) is ClipState.SEALED
    assert bench.run(10, lambda: bench.state(clip) is ClipState.DROPPED)
    bench.check()


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["cn", "eu", None]), st.sampled_from(["cn", "eu", ""]), st.integers(1, 90)),
        min_size=1,
        max_size=6,
    ),
    rule=st.sampled_from(LeftClips),
)
def test_whatever_the_vehicle_is_registered_to_a_clip_reaches_its_own_region_or_none(
    steps: list[tuple[str | None, str, int]], rule: LeftClips
) -> None:
    """Steps: registered to, whose broker is down, for how many seconds; each adds a clip to the region it is in."""
    bench = Bench(rule)
    for number, (region_id, down, seconds) in enumerate(steps):
        bench.register(region_id)
        if region_id is not None:
            bench.add(number, region_id)
        for one, broker in bench.brokers.items():
            broker.unreachable = one == down
        bench.run(seconds)
    bench.check()


@pytest.mark.parametrize("left_clips", LeftClips)
def test_firings_of_a_region_that_was_left_are_its_own_or_nobodys(left_clips: LeftClips) -> None:
    bench = Bench(left_clips)
    assert bench.residence.current
    telling = Telling(Purpose.SAFETY, ())
    for number, region_id in enumerate(("cn", "eu")):
        firing = Firing("c", 1, number, ())
        drop = DropReason.SAMPLED_OUT
        bench.journal.accept([JudgedFiring(f"f{number}", firing, 0, None, drop, region_id, telling)], ())
    bench.register("eu")
    bench.run(10)
    left = [one.judged.firing_id for one in bench.journal.untold("cn", limit=9)]
    assert left == (["f0"] if left_clips is LeftClips.DELIVER else [])
    assert [one.judged.firing_id for one in bench.journal.untold("eu", limit=9)] == ["f1"]
