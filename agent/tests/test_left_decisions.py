"""Clips of a region that was left and that wants them erased: which, when, and what if it can't be done."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.left import LeftClips
from fsd_agent.pipeline.residence import Belonging
from fsd_agent.pipeline.whereabouts import RecordedWhereabouts
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.firing import Firing, JudgedFiring, Telling
from fsd_agent.records.ledger import Cause, Copy, Dropped, Erased, Fact, Fired, Redacted, Sealed
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Hold, HoldReason, Route
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.regions import sample_region
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.staging import MemoryStaging

S = 1_000_000_000
HOLD = Hold(HoldReason.NO_REGION, "jurisdiction US")
HERE: Route = sample_region("eu", ("DE",)).route()


@dataclass
class Source:
    """Whoever finds out where the vehicle belongs; a test says what it found."""

    now: Belonging


class Bench:
    """A vehicle with clips of the regions cn, jp and eu on board; it is connected to nobody."""

    def __init__(self) -> None:
        self.journal, self.events, self.clock = MemoryJournal(), RememberedEvents(), ManualClock()
        keys = keyed("cn", "jp", "eu")
        self.spool, self.staging = MemorySpool(keys), MemoryStaging(keys)
        self.ledger = MemoryLedger(keys=keys, clock=self.clock)
        self.source, self.connected_to = Source(Belonging(HOLD, (), {})), ""
        self.eraser = LeftClips(
            journal=self.journal,
            give_up=GiveUp(
                journal=self.journal,
                staging=self.staging,
                spool=self.spool,
                ledger=self.ledger,
                events=self.events,
            ),
            residence=RecordedWhereabouts(self.source, self.ledger, self.events),
            connected_to=lambda: self.connected_to,
            clock=self.clock,
            events=self.events,
        )

    def arrive(self, *erased: str) -> None:
        """In a region, after others that want their clips erased."""
        self.source.now = Belonging(HERE, (HERE.policy,), {}, erased=frozenset(erased))

    def add(self, number: int, region_id: str, state: ClipState = ClipState.SEALED) -> str:
        clip_id = f"{number:032x}"
        row = ClipRow(clip_id, region_id, Purpose.SAFETY, ClipState.STAGED, 0, 1, 0, (), (), 0)
        self.journal.accept((), (row,))
        self.staging.open(at(region_id), clip_id).close()
        self.ledger.append(Fired(clip_id, region_id, Purpose.SAFETY, f"f{number}", "c", 1))
        if state is not ClipState.STAGED:
            self.journal.captured(clip_id, cut=False)
        if state is ClipState.SEALED:
            self.staging.erase(at(region_id), clip_id)
            file = self.spool.put(at(region_id), clip_id, as_file(b"sealed"))
            self.ledger.append(
                Redacted(clip_id, region_id, (), (), 0, 0, "dropped"),
                Sealed(clip_id, region_id, "car-1", 1, 1, "0" * 16, file.sha256, file.size_bytes),
                Erased(clip_id, region_id, Copy.STAGED, Cause.SEALED),
            )
            self.journal.sealed(file)
        return clip_id

    def step(self) -> list[Fact]:
        """What one step entered in the ledger about clips."""
        before = len(self.ledger.entries)
        self.eraser.step()
        facts = [entry.fact for entry in self.ledger.entries[before:]]
        return [fact for fact in facts if isinstance(fact, Dropped | Erased)]

    def states(self, *clips: str) -> list[ClipState]:
        rows = [self.journal.clip(clip) for clip in clips]
        return [row.state for row in rows if row is not None]

    def on_board(self) -> set[str]:
        return {clip_id for _, clip_id in self.staging.entries() | self.spool.entries()}


def dropped(clip_id: str, region_id: str, copy: Copy) -> list[Fact]:
    return [
        Dropped(clip_id, region_id, DropReason.LEFT_REGION),
        Erased(clip_id, region_id, copy, Cause.DROPPED),
    ]


def test_finished_clips_of_that_region_are_dropped_and_no_others() -> None:
    bench = Bench()
    sealed, captured = bench.add(1, "cn"), bench.add(2, "cn", ClipState.CAPTURED)
    open_, own, other = bench.add(3, "cn", ClipState.STAGED), bench.add(4, "eu"), bench.add(5, "jp")
    bench.arrive("cn")
    assert bench.step() == [*dropped(sealed, "cn", Copy.SEALED), *dropped(captured, "cn", Copy.STAGED)]
    assert bench.on_board() == {open_, own, other}, "a window that is open is closed by sensing first"
    detail = "the vehicle has left region cn, which wants its clips erased"
    for clip in (sealed, captured):
        row = bench.journal.clip(clip)
        assert row is not None
        assert (row.state, row.drop, row.drop_detail) == (ClipState.DROPPED, DropReason.LEFT_REGION, detail)
    assert [event["clip"] for event in bench.events.of("dropped")] == [sealed, captured]
    assert bench.events.of("journal_failed") == bench.events.of("ledger_failed") == []


def test_firings_of_that_region_that_it_was_not_told_of_are_forgotten_and_no_others() -> None:
    bench = Bench()
    telling = Telling(Purpose.SAFETY, ())
    for n, region_id in enumerate(("cn", "eu", "jp")):
        drop = DropReason.SAMPLED_OUT
        judged = JudgedFiring(f"f{n}", Firing("c", 1, n, ()), n, None, drop, region_id, telling)
        bench.journal.accept((judged,), ())
    bench.arrive("cn")
    bench.step()
    assert {region: len(bench.journal.untold(region, limit=9)) for region in ("cn", "eu", "jp")} == {
        "cn": 0,
        "eu": 1,
        "jp": 1,
    }


def test_on_hold_nothing_is_erased_and_it_is_at_once_on_arrival() -> None:
    bench = Bench()
    clip = bench.add(1, "cn")
    assert bench.step() == []
    bench.arrive("cn")
    assert bench.step() == dropped(clip, "cn", Copy.SEALED)


def test_it_looks_for_more_every_five_seconds() -> None:
    bench = Bench()
    bench.arrive("cn")
    assert bench.step() == []
    for number in (1, 2):
        clip = bench.add(number, "cn")
        bench.clock.advance(5 * S - 1)
        assert bench.step() == []
        bench.clock.advance(1)
        assert bench.step() == dropped(clip, "cn", Copy.SEALED)


def test_a_region_that_is_connected_waits_until_the_connection_is_given_up() -> None:
    bench = Bench()
    clip = bench.add(1, "cn")
    bench.arrive("cn")
    bench.connected_to = "cn"
    assert bench.step() == []
    bench.connected_to = "eu"
    assert bench.step() == dropped(clip, "cn", Copy.SEALED), "at once: nothing was looked for before"


def test_a_connection_to_one_region_that_was_left_keeps_the_clips_of_no_other() -> None:
    bench = Bench()
    kept, gone = bench.add(1, "cn"), bench.add(2, "jp")
    bench.arrive("cn", "jp")
    bench.connected_to = "cn"
    assert bench.step() == dropped(gone, "jp", Copy.SEALED)
    assert bench.on_board() == {kept}
    bench.connected_to = ""
    bench.clock.advance(5 * S)
    assert bench.step() == dropped(kept, "cn", Copy.SEALED)


@pytest.mark.parametrize("fault", ["full", "broken"])
def test_a_journal_that_fails_is_told_and_tried_again(fault: str) -> None:
    bench = Bench()
    clip = bench.add(1, "cn")
    bench.arrive("cn")
    setattr(bench.journal, fault, True)
    bench.step()
    what = {"full": "memory journal: no space left", "broken": "memory journal: can't be read"}[fault]
    assert bench.events.of("journal_failed") == [{"clip": "", "what": what}]
    assert bench.on_board() == {clip}
    setattr(bench.journal, fault, False)
    bench.clock.advance(5 * S)
    assert bench.step()[-1:] == dropped(clip, "cn", Copy.SEALED)[-1:]
    assert bench.on_board() == set()


def test_a_ledger_that_fails_is_told_and_nothing_is_erased_that_it_does_not_hold() -> None:
    bench = Bench()
    clip = bench.add(1, "cn")
    bench.arrive("cn")
    bench.connected_to = "cn"
    bench.step()  # where it belongs is recorded
    bench.connected_to, bench.ledger.broken = "", True
    assert bench.step() == []
    told = {"clip": "", "what": "ledger: an fsync failed earlier"}
    assert bench.events.of("ledger_failed") == [told]
    assert (bench.states(clip), bench.on_board()) == ([ClipState.SEALED], {clip})
    bench.ledger.broken = False
    assert bench.step() == [], "not before five seconds"
    bench.clock.advance(5 * S)
    assert bench.step() == dropped(clip, "cn", Copy.SEALED)
