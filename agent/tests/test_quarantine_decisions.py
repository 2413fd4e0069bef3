"""What is set aside, for how long, and what the ledger says of it: to the nanosecond and word for word."""

from __future__ import annotations

import pytest

from fsd_agent.pipeline.quarantine import KEEP_NS, LOOK_EVERY_NS, Quarantine, set_aside
from fsd_agent.ports.events import EventName
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.ledger import Cause, Copy, Dropped, Erased, Fired, Redacted, Sealed
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.spool import MemorySpool

NS = 1
DAY = 86_400 * 1_000_000_000
LOOK = 5 * 1_000_000_000


class Bench:
    """A vehicle that has run for a while, with damaged clips."""

    def __init__(self) -> None:
        keys = keyed("cn", "eu")
        self.clock, self.events = ManualClock(monotonic_ns=10**15), RememberedEvents()
        self.journal, self.spool = MemoryJournal(), MemorySpool(keys)
        self.ledger = MemoryLedger(keys=keys, clock=self.clock)
        self.unwanted: set[Compartment] = set()
        self.start()

    def start(self) -> None:
        self.quarantine = Quarantine(
            spool=self.spool,
            journal=self.journal,
            ledger=self.ledger,
            unwanted=self.unwanted.__contains__,
            clock=self.clock,
            events=self.events,
        )

    def add(self, number: int, region: str = "cn", reason: DropReason = DropReason.SPOOL_DAMAGED) -> ClipRow:
        """A sealed clip that was given up for this reason, by journal and ledger."""
        clip = f"{number:032x}"
        row = ClipRow(clip, region, Purpose.SAFETY, ClipState.STAGED, 0, 1, 0, (), (), 0)
        self.journal.accept((), (row,))
        self.journal.captured(clip, cut=False)
        file = self.spool.put(at(region), clip, as_file(b"data"))
        self.journal.sealed(file)
        self.journal.dropped(clip, reason, "why")
        self.ledger.append(
            Fired(clip, region, Purpose.SAFETY, "f", "c", 1),
            Redacted(clip, region, (), (), 0, 0, "dropped"),
            Sealed(clip, region, "car-1", 1, 1, "0" * 16, file.sha256, file.size_bytes),
            Erased(clip, region, Copy.STAGED, Cause.SEALED),
            Dropped(clip, region, reason),
        )
        found = self.journal.clip(clip)
        assert found is not None
        return found

    def aside(self, number: int, region: str = "cn") -> ClipRow:
        row = self.add(number, region)
        assert set_aside(self.spool, row, DropReason.SPOOL_DAMAGED, "chunk 3 is damaged", self.events)
        return row

    def step(self, after_ns: int) -> list[str]:
        """Clips in quarantine a while later."""
        self.clock.advance(after_ns)
        self.quarantine.step()
        return sorted(clip_id for _, clip_id in self.spool.aside())

    def erased(self) -> list[Erased]:
        facts = [entry.fact for entry in self.ledger.entries]
        return [fact for fact in facts if isinstance(fact, Erased) and fact.copy is Copy.SEALED]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_damaged_file_is_moved_and_told(bench: Bench) -> None:
    row = bench.aside(1)
    assert bench.spool.entries() == frozenset()
    assert bench.spool.aside() == {(at("cn"), row.clip_id)}
    assert bench.events.of("damaged") == [
        {
            "clip": row.clip_id,
            "region": "cn",
            "what": "chunk 3 is damaged",
            "kept": f"quarantine cn/safety/{row.clip_id}",
        }
    ]


@pytest.mark.parametrize("reason", sorted(set(DropReason) - {DropReason.SPOOL_DAMAGED}))
def test_what_was_given_up_for_another_reason_is_not(bench: Bench, reason: DropReason) -> None:
    row = bench.add(1, reason=reason)
    assert set_aside(bench.spool, row, reason, "why", bench.events) is False
    assert bench.spool.aside() == frozenset()
    assert bench.events.of("damaged") == []


def test_without_a_place_it_stays_to_be_erased_and_that_is_told(bench: Bench) -> None:
    bench.spool.quarantine_files = 0
    row = bench.add(1)
    assert not set_aside(bench.spool, row, DropReason.SPOOL_DAMAGED, "why", bench.events)
    assert bench.spool.entries() == {(at("cn"), row.clip_id)}
    assert bench.events.of("damaged")[0]["kept"] == ""


def test_it_goes_a_day_after_it_was_seen_first(bench: Bench) -> None:
    row = bench.aside(1)
    assert bench.step(0) == [row.clip_id]
    assert bench.step(DAY - LOOK) == [row.clip_id]
    assert bench.erased() == []
    assert bench.step(LOOK - NS) == [row.clip_id]
    assert bench.step(NS) == []
    assert bench.erased() == [Erased(row.clip_id, "cn", Copy.SEALED, Cause.DROPPED)]
    assert bench.step(DAY) == []
    assert len(bench.erased()) == 1
    assert (KEEP_NS, LOOK_EVERY_NS) == (DAY, LOOK)


def test_at_the_very_moment(bench: Bench) -> None:
    bench.aside(1)
    bench.step(0)
    assert bench.step(DAY) == []


def test_each_has_its_own_day(bench: Bench) -> None:
    first = bench.aside(1)
    bench.step(0)
    second = bench.aside(2)
    assert bench.step(DAY - LOOK) == [first.clip_id, second.clip_id]
    assert bench.step(LOOK) == [second.clip_id]
    assert bench.step(DAY - 2 * LOOK) == [second.clip_id]
    assert bench.step(LOOK) == []


def test_what_may_not_be_kept_goes_at_the_next_look(bench: Bench) -> None:
    cn, eu = bench.aside(1), bench.aside(2, "eu")
    bench.step(0)
    bench.unwanted.add(at("cn"))
    assert bench.step(LOOK - NS) == [cn.clip_id, eu.clip_id]
    assert bench.step(NS) == [eu.clip_id]
    assert bench.erased() == [Erased(cn.clip_id, "cn", Copy.SEALED, Cause.DROPPED)]


def test_the_cause_is_that_of_the_drop(bench: Bench) -> None:
    row = bench.add(1, reason=DropReason.CONSENT_WITHDRAWN)
    bench.spool.set_aside(at("cn"), row.clip_id)
    bench.unwanted.add(at("cn"))
    assert bench.step(0) == []
    assert bench.erased() == [Erased(row.clip_id, "cn", Copy.SEALED, Cause.CONSENT)]


def test_what_nobody_knows_goes_without_a_record(bench: Bench) -> None:
    bench.spool.put(at("cn"), "e" * 32, as_file(b"data"))
    bench.spool.set_aside(at("cn"), "e" * 32)
    bench.unwanted.add(at("cn"))
    assert bench.step(0) == []
    assert bench.erased() == []


def test_what_was_not_given_up_goes_without_a_record(bench: Bench) -> None:
    """Nobody sets such a file aside; if somebody did, its clip's end will be recorded by who finds the file gone."""
    clip = "e" * 32
    row = ClipRow(clip, "cn", Purpose.SAFETY, ClipState.STAGED, 0, 1, 0, (), (), 0)
    bench.journal.accept((), (row,))
    bench.journal.captured(clip, cut=False)
    file = bench.spool.put(at("cn"), clip, as_file(b"data"))
    bench.journal.sealed(file)
    bench.ledger.append(
        Fired(clip, "cn", Purpose.SAFETY, "f", "c", 1),
        Redacted(clip, "cn", (), (), 0, 0, "dropped"),
        Sealed(clip, "cn", "car-1", 1, 1, "0" * 16, file.sha256, file.size_bytes),
    )
    bench.spool.set_aside(at("cn"), clip)
    bench.unwanted.add(at("cn"))
    assert bench.step(0) == []
    assert bench.erased() == []


def test_a_store_that_can_not_be_read_is_told_and_looked_at_again(bench: Bench) -> None:
    class Unreadable(MemorySpool):
        is_unreadable = True

        def aside(self) -> frozenset[tuple[Compartment, str]]:
            if self.is_unreadable:
                raise SpoolError("quarantine: input/output error")
            return super().aside()

    row = bench.aside(1)
    store = Unreadable(keyed("cn"))
    store.quarantine = bench.spool.quarantine
    bench.spool = store
    bench.unwanted.add(at("cn"))
    bench.start()
    bench.quarantine.step()
    assert bench.events.of("disk_failed") == [
        {"clip": "", "what": "quarantine: quarantine: input/output error"}
    ]
    store.is_unreadable = False
    assert bench.step(LOOK) == []
    assert [fact.clip_id for fact in bench.erased()] == [row.clip_id]


@pytest.mark.parametrize("fault", ["ledger", "journal"])
def test_what_can_not_be_recorded_stays_and_is_tried_at_the_next_look(bench: Bench, fault: str) -> None:
    row = bench.aside(1)
    bench.unwanted.add(at("cn"))
    broken = bench.ledger if fault == "ledger" else bench.journal
    broken.broken = True
    assert bench.step(0) == [row.clip_id]
    what = {"ledger": "ledger: an fsync failed earlier", "journal": "memory journal: can't be read"}[fault]
    name: EventName = "ledger_failed" if fault == "ledger" else "journal_failed"
    assert bench.events.of(name) == [{"clip": "", "what": f"quarantine: {what}"}]
    assert bench.events.of("disk_failed") == [], "it is not the disk"
    broken.broken = False
    assert bench.step(LOOK - NS) == [row.clip_id]
    assert bench.step(NS) == []
