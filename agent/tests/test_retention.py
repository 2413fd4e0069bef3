"""Clips that waited for too long are given up by the loop that they belong to, and the ledger says so first."""

from __future__ import annotations

import dataclasses

import pytest

from agent.tests.two_regions import Bench as TwoRegions
from agent.tests.two_regions import S
from fsd_agent.pipeline.residence import LOOK_EVERY_NS as RESIDENCE_NS
from fsd_agent.pipeline.retention import LOOK_EVERY_NS, STATE_KEY, Retention
from fsd_agent.records.clip import ClipState
from fsd_agent.records.ledger import Dropped, Erased
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Hold, LeftClips
from fsd_agent.rules.trust.registration import BELIEVE_NS
from fsd_agent.testing.compartments import at
from fsd_agent.wire.moments import DAY_NS

DAYS = 365
"""Of the sample regions' policies."""


class Bench(TwoRegions):
    """With both loops' retention; no region can be reached, unless it is said."""

    def __init__(self, *, reachable: bool = False) -> None:
        super().__init__(LeftClips.DELIVER)
        for broker in self.brokers.values():
            broker.unreachable = not reachable
        self.restart()

    def restart(self) -> None:
        self.retention = Retention(
            journal=self.journal,
            source=self.residence,
            give_up=self.give_up,
            clock=self.clock,
            events=self.events,
        )
        self.deliverer = self.new_deliverer(lambda: self.retention.step(ClipState.SEALED))

    def look(self) -> None:
        """Both loops, after the pause between two looks; what it takes to believe the clock included."""
        for _ in range(4):
            self.clock.advance(max(LOOK_EVERY_NS, BELIEVE_NS, RESIDENCE_NS))
            assert self.residence.policies
            self.retention.step(ClipState.CAPTURED)
            self.deliverer.step(0)

    def reason(self, clip_id: str) -> DropReason | None:
        row = self.journal.clip(clip_id)
        assert row is not None
        return row.drop


def test_what_waits_for_too_long_is_given_up_in_every_state_and_region() -> None:
    bench = Bench()
    clips = [
        bench.add(1, "cn"),
        bench.add(2, "cn", sealed=False),
        bench.add(3, "eu"),
        bench.add(4, "eu", sealed=False),
    ]
    bench.look()
    bench.clock.advance((DAYS - 1) * DAY_NS)
    bench.look()
    assert [bench.reason(clip) for clip in clips] == [None] * 4
    bench.clock.advance(DAY_NS)
    bench.look()
    assert [bench.reason(clip) for clip in clips] == [DropReason.RETENTION_OVER] * 4
    assert bench.spool.entries() == frozenset()
    assert bench.staging.entries() == frozenset()
    for clip in clips:
        facts = [entry.fact for entry in bench.ledger.entries if getattr(entry.fact, "clip_id", "") == clip]
        assert isinstance(facts[-2], Dropped)
        assert isinstance(facts[-1], Erased)
    (detail,) = {fields["detail"] for fields in bench.events.of("dropped") if fields["clip"] == clips[0]}
    assert detail == "it has waited on board for the 365 days that region cn keeps clips"
    bench.check()


def test_on_hold_too() -> None:
    bench = Bench()
    clip = bench.add(1, "cn")
    bench.look()
    bench.register(None)
    assert isinstance(bench.residence.current, Hold)
    bench.clock.advance(DAYS * DAY_NS)
    bench.look()
    assert bench.reason(clip) is DropReason.RETENTION_OVER


def test_a_clip_that_is_being_sent_is_given_up_and_nothing_goes_on_with_it() -> None:
    bench = Bench(reachable=True)
    bench.brokers["cn"].silent = True
    clip = bench.add(1, "cn")
    bench.run(3, lambda: bench.deliverer.stats().in_flight > 0)
    bench.look()
    bench.clock.advance(DAYS * DAY_NS)
    bench.look()
    assert bench.reason(clip) is DropReason.RETENTION_OVER
    assert bench.deliverer.stats().waiting_clips == 0
    bench.brokers["cn"].silent = False
    bench.run(60)
    assert bench.state(clip) is ClipState.DROPPED
    bench.check()


def test_it_is_counted_from_the_first_look_also_over_restarts() -> None:
    bench = Bench()
    clip = bench.add(1, "cn")
    bench.look()
    for _ in range(3):
        bench.restart()
        bench.look()
        assert bench.reason(clip) is None
        bench.clock.advance(DAYS * DAY_NS // 3)
    bench.restart()
    bench.look()
    assert bench.reason(clip) is DropReason.RETENTION_OVER


def test_a_policy_with_less_retention_counts_at_once_and_one_that_is_not_in_force_says_nothing() -> None:
    bench = Bench()
    clip, other = bench.add(1, "cn"), bench.add(2, "eu")
    bench.look()
    bench.clock.advance(8 * DAY_NS)
    bench.look()
    assert bench.reason(clip) is None
    sample = bench.regions["cn"].sample
    newer = dataclasses.replace(sample.policy, version=2, retention_days=7)
    bench.trust.lay("cn", dataclasses.replace(sample, policy=newer).signed())
    bench.look()
    assert bench.reason(clip) is DropReason.RETENTION_OVER
    del bench.trust.pinned["eu"]
    bench.clock.advance(2 * DAYS * DAY_NS)
    bench.look()
    assert bench.reason(other) is None, "nobody says how long it may be kept"


def test_a_clock_that_is_set_ahead_and_back_erases_nothing() -> None:
    bench = Bench()
    clip = bench.add(1, "cn")
    bench.look()
    bench.clock.jump_wall(2 * DAYS * DAY_NS)
    bench.clock.advance(LOOK_EVERY_NS - 10 * S)
    assert bench.residence.policies
    bench.retention.step(ClipState.CAPTURED)
    bench.deliverer.step(0)
    bench.clock.jump_wall(-2 * DAYS * DAY_NS)
    bench.look()
    assert bench.reason(clip) is None


@pytest.mark.parametrize("fault", ["journal", "ledger"])
def test_what_can_not_be_recorded_does_not_happen(fault: str) -> None:
    bench = Bench()
    clip = bench.add(1, "cn")
    bench.look()
    bench.clock.advance(DAYS * DAY_NS)
    assert bench.residence.policies
    bench.clock.advance(2 * BELIEVE_NS)
    if fault == "journal":
        bench.journal.full = True
    else:
        bench.ledger.broken = True
    bench.look()
    assert bench.state(clip) is ClipState.SEALED
    assert bench.spool.entries() == {(at("cn"), clip)}
    assert bench.events.of("journal_failed" if fault == "journal" else "ledger_failed")
    bench.journal.full = bench.ledger.broken = False
    bench.look()
    assert bench.reason(clip) is DropReason.RETENTION_OVER
    bench.check()


def test_notes_that_nobody_can_read_are_made_anew() -> None:
    bench = Bench()
    clip = bench.add(1, "cn")
    bench.journal.set_state(STATE_KEY, b"\xc1")
    bench.look()
    assert bench.events.of("journal_failed")
    bench.clock.advance(DAYS * DAY_NS)
    bench.look()
    assert bench.reason(clip) is DropReason.RETENTION_OVER
