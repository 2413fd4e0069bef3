"""Which clips have waited for too long, by which clock, and who gives them up: to the nanosecond and word for word."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.retention import Retention
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip
from fsd_agent.records.clip_ids import unpack_ids
from fsd_agent.records.ledger import Dropped, Fired
from fsd_agent.records.link_rule import LinkRule
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import RegionPolicy
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import keyed
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.regions import sample_region
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.staging import MemoryStaging
from fsd_agent.wire.held_since import decode_held_since

NS, S = 1, 1_000_000_000
DAY = 86_400 * S
LOOK = 300 * S
CAPTURED, SEALED, STAGED = ClipState.CAPTURED, ClipState.SEALED, ClipState.STAGED
DAYS = {"cn": 3, "eu": 5}


class Known:
    """How long clips may be kept, and which time is proved, as a test says."""

    def __init__(self, proved_ns: int) -> None:
        self.proved_ns = proved_ns
        self.policies: tuple[RegionPolicy, ...] = tuple(
            dataclasses.replace(sample_region(region_id).policy, retention_days=days)
            for region_id, days in DAYS.items()
        )


class Bench:
    """A vehicle that has run for a hundred days, with a clock that is right and believed."""

    def __init__(self) -> None:
        self.clock, self.events = ManualClock(monotonic_ns=100 * DAY), RememberedEvents()
        self.known = Known(self.clock.wall_ns())
        self.journal, keys = MemoryJournal(), keyed("cn", "eu")
        self.ledger = MemoryLedger(keys=keys, clock=self.clock)
        self._give_up = GiveUp(
            journal=self.journal,
            staging=MemoryStaging(keys),
            spool=MemorySpool(keys),
            ledger=self.ledger,
            events=self.events,
        )
        self._clips = 0
        self.start()

    def start(self) -> None:
        self.retention = Retention(
            journal=self.journal,
            source=self.known,
            give_up=self._give_up,
            clock=self.clock,
            events=self.events,
        )

    def add(self, region_id: str, state: ClipState = CAPTURED, *, deadline_ns: int | None = None) -> str:
        self._clips += 1
        clip_id = f"{self._clips:032x}"
        row = ClipRow(clip_id, region_id, Purpose.SAFETY, STAGED, 0, 1, 0, (), (), 0)
        row = dataclasses.replace(row, link=LinkRule(deadline_ns=deadline_ns))
        self.journal.accept((), (row,))
        self.ledger.append(Fired(clip_id, region_id, Purpose.SAFETY, f"f{self._clips}", "c", 1))
        if state is not STAGED:
            self.journal.captured(clip_id, cut=False)
        if state is SEALED:
            self.journal.sealed(SealedClip(clip_id, region_id, 1, b"\1" * 32))
        return clip_id

    def later(self, by_ns: int, state: ClipState = CAPTURED) -> tuple[str, ...]:
        """Time passes, is believed, and the loop of that state looks: what it gives up."""
        self.clock.advance(by_ns)
        self.known.proved_ns += by_ns
        return self.retention.step(state)

    def noted(self) -> dict[str, int]:
        """As the journal has it."""
        found = decode_held_since(self.journal.state["held-since"])
        return dict(sorted(zip(unpack_ids(found.ids), found.since_ns, strict=True)))

    def faults(self) -> list[tuple[str, object]]:
        names = ("journal_failed", "ledger_failed", "disk_failed")
        found = [(name, dict(fields)) for name in names for fields in self.events.of(name)]  # type: ignore[arg-type]
        assert all(fields.keys() == {"clip", "what"} and fields["clip"] == "" for _, fields in found)
        return [(name, fields["what"]) for name, fields in found]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# What is over


def test_a_clip_is_over_when_its_regions_days_have_passed(bench: Bench) -> None:
    clip = bench.add("cn")
    assert bench.later(0) == ()
    assert bench.later(3 * DAY - NS - LOOK) == ()
    assert bench.later(LOOK) == ()
    assert bench.later(LOOK) == (clip,)
    row = bench.journal.clip(clip)
    assert row is not None
    detail = "it has waited on board for the 3 days that region cn keeps clips"
    assert (row.state, row.drop, row.drop_detail) == (ClipState.DROPPED, DropReason.RETENTION_OVER, detail)
    assert bench.events.of("dropped") == [{"clip": clip, "reason": "retention_over", "detail": detail}]
    (dropped,) = (entry.fact for entry in bench.ledger.entries if isinstance(entry.fact, Dropped))
    assert dropped.clip_id == clip
    assert bench.later(LOOK) == ()
    assert bench.faults() == []


def test_at_the_very_moment(bench: Bench) -> None:
    clip = bench.add("cn")
    bench.later(0)
    assert bench.later(3 * DAY) == (clip,)


def test_a_clip_is_dropped_when_its_deadline_has_passed_with_a_policy_or_without(bench: Bench) -> None:
    deadline_ns = 7200 * S - 1
    soon = bench.add("cn", deadline_ns=deadline_ns)
    nobodys, kept = bench.add("us", SEALED, deadline_ns=deadline_ns), bench.add("cn", deadline_ns=9 * DAY)
    bench.later(0)
    assert bench.later(deadline_ns - NS) == ()
    assert bench.later(LOOK) == (soon,)
    assert bench.later(0, SEALED) == (nobodys,)
    row = bench.journal.clip(soon)
    assert row is not None
    detail = "it was worth something for 7199 s after its firing"
    assert (row.drop, row.drop_detail) == (DropReason.DEADLINE_PASSED, detail)
    assert bench.later(3 * DAY) == (kept,)
    row = bench.journal.clip(kept)
    assert row is not None
    assert row.drop is DropReason.RETENTION_OVER, "whichever comes first"


def test_each_region_has_its_own_days_and_one_without_a_policy_has_none(bench: Bench) -> None:
    cn, eu, us = bench.add("cn"), bench.add("eu"), bench.add("us")
    assert bench.later(0) == ()
    assert bench.later(4 * DAY) == (cn,)
    assert bench.later(DAY) == (eu,)
    assert bench.later(1000 * DAY) == ()
    policy = dataclasses.replace(bench.known.policies[0], region_id="us")
    bench.known.policies = (policy,)
    assert bench.later(LOOK) == (us,)


def test_each_loop_gives_up_what_is_in_its_own_state(bench: Bench) -> None:
    captured, sealed, staged = bench.add("cn"), bench.add("cn", SEALED), bench.add("cn", STAGED)
    bench.later(0)
    assert bench.later(3 * DAY) == (captured,)
    assert bench.later(0, SEALED) == (sealed,)
    (row,) = bench.journal.clips(set(ClipState) - {ClipState.DROPPED})
    assert row.clip_id == staged


def test_several_are_given_up_at_one_look(bench: Bench) -> None:
    clips = [bench.add("cn", SEALED) for _ in range(3)]
    bench.later(0, SEALED)
    assert sorted(bench.later(3 * DAY, SEALED)) == clips


def test_it_is_looked_every_five_minutes(bench: Bench) -> None:
    clip = bench.add("cn")
    bench.later(0)
    policies, bench.known.policies = bench.known.policies, ()
    assert bench.later(4 * DAY) == ()
    bench.known.policies = policies
    assert bench.later(LOOK - NS) == ()
    assert bench.later(NS) == (clip,)


# Since when it counts


def test_it_counts_from_the_first_look_over_restarts(bench: Bench) -> None:
    clip, since = bench.add("cn"), bench.clock.wall_ns()
    bench.later(0)
    assert bench.noted() == {clip: since}
    for _ in range(2):
        bench.start()
        assert bench.later(DAY) == ()
        assert bench.noted() == {clip: since}
    bench.start()
    assert bench.later(DAY - NS) == ()
    bench.start()
    assert bench.later(NS) == (clip,)


def test_what_was_noted_while_the_clock_was_behind_is_no_older_than_time_has_gone_by(bench: Bench) -> None:
    bench.clock.jump_wall(-1000 * DAY)
    bench.known.proved_ns -= 1000 * DAY
    clip = bench.add("cn")
    bench.later(0)
    assert bench.noted() == {clip: bench.clock.wall_ns()}
    bench.clock.jump_wall(1000 * DAY)
    bench.known.proved_ns += 1000 * DAY
    assert bench.later(DAY) == ()
    assert bench.noted() == {clip: bench.clock.wall_ns() - DAY}
    assert bench.later(2 * DAY - NS) == ()
    assert bench.later(LOOK) == (clip,)


def test_what_was_noted_while_the_clock_was_ahead_is_no_younger_than_now(bench: Bench) -> None:
    bench.clock.jump_wall(1000 * DAY)
    clip = bench.add("cn")
    bench.later(0)
    bench.clock.jump_wall(-1000 * DAY)
    assert bench.later(LOOK) == ()
    assert bench.noted() == {clip: bench.clock.wall_ns()}
    assert bench.later(3 * DAY) == (clip,)


def test_a_clock_that_is_not_believed_makes_nothing_older(bench: Bench) -> None:
    bench.add("cn")
    bench.later(0)
    bench.clock.jump_wall(1000 * DAY)
    assert bench.later(LOOK) == ()


def test_an_earlier_runs_note_counts_whatever_this_run_has_seen(bench: Bench) -> None:
    """Also where time that is proved leaps: while the vehicle stood still it passed."""
    clip = bench.add("cn")
    bench.later(0)
    bench.start()
    bench.clock.jump_wall(3 * DAY)
    bench.known.proved_ns += 3 * DAY
    assert bench.later(LOOK) == (clip,)


def test_clips_that_are_gone_are_forgotten(bench: Bench) -> None:
    clip, other = bench.add("cn"), bench.add("eu")
    bench.later(0)
    bench.journal.dropped(clip, DropReason.CONSENT_WITHDRAWN, "")
    since = bench.clock.wall_ns()
    bench.later(LOOK)
    assert bench.noted() == {other: since}


def test_what_this_run_has_seen_is_read_again_at_each_look_and_only_in_this_run(bench: Bench) -> None:
    """As long as it runs, nothing is older than the time since it saw it; a run before says nothing of that."""
    bench.clock.jump_wall(-1000 * DAY)
    bench.known.proved_ns -= 1000 * DAY
    clip = bench.add("cn")
    bench.later(0)
    bench.later(LOOK)
    other = bench.add("eu")
    bench.later(LOOK)
    bench.clock.jump_wall(1000 * DAY)
    bench.known.proved_ns += 1000 * DAY
    now = bench.clock.wall_ns() + LOOK
    bench.later(LOOK)
    assert bench.noted() == {clip: now - 3 * LOOK, other: now - LOOK}
    bench.start()
    bench.clock.jump_wall(1000 * DAY)
    bench.known.proved_ns += 1000 * DAY
    assert set(bench.later(LOOK)) == {clip, other}


# What can't be kept, read or recorded


def test_a_note_without_room_counts_and_is_kept_once_there_is_room(bench: Bench) -> None:
    bench.journal.state["held-since"] = msgspec.msgpack.encode({})
    clip, since = bench.add("cn"), bench.clock.wall_ns()
    bench.journal.full = True
    assert bench.later(0) == ()
    assert bench.faults() == [("journal_failed", "memory journal: no space left")]
    assert bench.noted() == {}
    bench.journal.full = False
    assert bench.later(LOOK) == ()
    assert bench.noted() == {clip: since}
    assert bench.later(3 * DAY - LOOK) == (clip,)


def test_what_is_kept_needs_no_room(bench: Bench) -> None:
    bench.add("cn")
    bench.later(0)
    bench.journal.full = True
    bench.later(LOOK)
    bench.start()
    bench.later(LOOK)
    assert bench.faults() == []


def test_without_clips_nothing_is_kept(bench: Bench) -> None:
    assert bench.later(0) == ()
    assert bench.journal.state == {}


def test_what_can_not_be_noted_does_not_keep_others_from_being_given_up(bench: Bench) -> None:
    bench.add("cn")
    bench.later(0)
    bench.add("cn")
    bench.journal.full = True
    assert bench.later(3 * DAY) == ()
    assert bench.faults() == [("journal_failed", "memory journal: no space left")] * 2


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (b"\xc1", "MessagePack data is malformed: invalid opcode '\\xc1' (byte 0)"),
        (b"\x81\xa1\xff\x01", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (msgspec.msgpack.encode({"0" * 32: "long ago"}), "Expected `int`, got `str` - at `$[...]`"),
    ],
)
def test_notes_that_can_not_be_read_are_told_and_made_anew(bench: Bench, kept: bytes, says: str) -> None:
    bench.journal.state["held-since"] = kept
    clip = bench.add("cn")
    assert bench.later(0) == ()
    assert bench.faults() == [("journal_failed", f"held-since: {says}")]
    assert bench.noted() == {clip: bench.clock.wall_ns()}
    assert bench.later(3 * DAY) == (clip,)


def test_a_journal_that_can_not_be_read_is_told_and_nothing_is_given_up(bench: Bench) -> None:
    bench.add("cn")
    bench.later(0)
    bench.journal.close()
    assert bench.later(3 * DAY) == ()
    assert bench.faults() == [("journal_failed", "memory journal: closed")]


def test_what_the_ledger_can_not_record_stays_and_is_tried_at_the_next_look(bench: Bench) -> None:
    clip = bench.add("cn")
    bench.later(0)
    bench.ledger.broken = True
    assert bench.later(3 * DAY) == ()
    assert bench.faults() == [("ledger_failed", "ledger: an fsync failed earlier")]
    row = bench.journal.clip(clip)
    assert row is not None
    assert row.state is CAPTURED
    bench.ledger.broken = False
    assert bench.later(LOOK - NS) == ()
    assert bench.later(NS) == (clip,)
