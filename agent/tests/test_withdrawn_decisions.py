"""Which clips are given up when consent is withdrawn, in which order with their windows, and what is tried again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsd_agent.pipeline.consent import LOOK_EVERY_NS
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.withdrawn import WithdrawnClips
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip
from fsd_agent.records.ledger import Cause, Copy, Dropped, Erased, Fact, Fired, Receipted, Sealed
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.consent import PlainConsent
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.staging import MemoryStaging
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys

KEYS = MemoryVehicleKeys()
SAFETY, DRIVING, DIAGNOSTICS = Purpose.SAFETY, Purpose.AUTOMATED_DRIVING, Purpose.DIAGNOSTICS
STAGED, CAPTURED, SEALED, DROPPED = (
    ClipState.STAGED, ClipState.CAPTURED, ClipState.SEALED, ClipState.DROPPED,
)  # fmt: skip


class Bench:
    def __init__(self) -> None:
        self.journal, self.events = MemoryJournal(), RememberedEvents()
        self.clock = ManualClock(monotonic_ns=50)
        self.ledger = MemoryLedger(keys=KEYS, clock=self.clock)
        self.consent = PlainConsent()
        self.start()

    def start(self) -> None:
        give_up = GiveUp(
            journal=self.journal,
            staging=MemoryStaging(KEYS),
            spool=MemorySpool(KEYS),
            ledger=self.ledger,
            events=self.events,
        )
        self.withdrawn = WithdrawnClips(
            self.consent, give_up, journal=self.journal, clock=self.clock, events=self.events
        )

    def clip(self, number: int, state: ClipState, purpose: Purpose = SAFETY) -> str:
        clip_id = f"{number:032x}"
        row = ClipRow(clip_id, "eu", purpose, STAGED, 0, 1, 0, (), (), 0)
        self.journal.accept((), [row])
        if state is not STAGED:
            self.journal.captured(clip_id, cut=False)
        if state is SEALED:
            self.journal.sealed(SealedClip(clip_id, "eu", 1, bytes(32)))
        return clip_id

    def row(self, clip_id: str) -> ClipRow:
        found = self.journal.clip(clip_id)
        assert found is not None
        return found

    def states(self, *clip_ids: str) -> list[ClipState]:
        return [self.row(clip_id).state for clip_id in clip_ids]

    def recorded(self) -> list[Fact]:
        return [entry.fact for entry in self.ledger.entries]

    def step(self, after_ns: int = LOOK_EVERY_NS) -> None:
        self.clock.advance(after_ns)
        self.withdrawn.step()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_clips_of_a_withdrawn_purpose_are_given_up_and_no_others(bench: Bench) -> None:
    captured, sealed = bench.clip(1, CAPTURED), bench.clip(2, SEALED)
    other, driving = bench.clip(3, CAPTURED, DIAGNOSTICS), bench.clip(4, SEALED, DRIVING)
    before = [bench.row(clip_id) for clip_id in (captured, sealed)]
    bench.consent.withdraw(SAFETY, DRIVING)
    bench.step(0)
    for row in before:
        assert bench.row(row.clip_id) == replace(
            row,
            state=DROPPED,
            drop=DropReason.CONSENT_WITHDRAWN,
            drop_detail="consent to safety was withdrawn",
        )
    assert bench.states(driving, other) == [DROPPED, CAPTURED]
    assert bench.row(driving).drop_detail == "consent to automated_driving was withdrawn"
    assert bench.recorded() == [
        Dropped(clip_id, "eu", DropReason.CONSENT_WITHDRAWN) for clip_id in (captured, sealed, driving)
    ]
    assert bench.events.of("dropped") == [
        {"clip": clip_id, "reason": "consent_withdrawn", "detail": f"consent to {purpose} was withdrawn"}
        for clip_id, purpose in ((captured, SAFETY), (sealed, SAFETY), (driving, DRIVING))
    ]


def test_what_its_region_has_signed_for_is_the_regions_and_not_given_up(bench: Bench) -> None:
    """The ledger had the receipt, and the journal was full right then."""
    clip = bench.clip(1, SEALED)
    bench.ledger.append(
        Fired(clip, "eu", SAFETY, "f", "c", 1),
        Sealed(clip, "eu", "car-1", 1, 1, "0" * 16, bytes(32), 1),
        Receipted(clip, "eu", b"signed"),
    )
    before = len(bench.recorded())
    bench.consent.withdraw(SAFETY)
    bench.step()
    assert bench.states(clip) == [ClipState.DELIVERED]
    assert bench.journal.receipts[clip] == b"signed"
    assert bench.recorded()[before:] == [
        Erased(clip, "eu", Copy.STAGED, Cause.SEALED),
        Erased(clip, "eu", Copy.SEALED, Cause.RECEIPTED),
    ]
    assert bench.events.of("delivered") == [{"clip": clip, "region": "eu", "bytes": 1}]
    assert bench.events.of("dropped") == []


def test_a_purpose_on_hold_is_not_withdrawn(bench: Bench) -> None:
    clips = bench.clip(1, CAPTURED), bench.clip(2, CAPTURED, DIAGNOSTICS)
    bench.consent.withdraw(SAFETY)
    bench.consent.hold()
    bench.step()
    assert bench.states(*clips) == [DROPPED, CAPTURED]


def test_only_withdrawals_from_the_start_on_count() -> None:
    bench = Bench()
    bench.consent = PlainConsent(frozenset())
    bench.start()
    clip = bench.clip(1, CAPTURED)
    bench.step()
    assert bench.states(clip) == [CAPTURED], "recovery has left nothing of before"
    bench.consent.withdraw(SAFETY)
    bench.step()
    assert bench.states(clip) == [DROPPED]


def test_an_open_window_is_closed_first_and_then_given_up(bench: Bench) -> None:
    staged, sealed = bench.clip(1, STAGED), bench.clip(2, SEALED)
    bench.consent.withdraw(SAFETY)
    bench.step()
    assert bench.states(staged, sealed) == [STAGED, DROPPED]
    bench.journal.captured(staged, cut=True)
    bench.step(LOOK_EVERY_NS - 1)
    assert bench.states(staged) == [CAPTURED], "looked at once a second"
    bench.step(1)
    assert bench.states(staged) == [DROPPED]


def test_an_open_window_alone_is_waited_for(bench: Bench) -> None:
    staged = bench.clip(1, STAGED)
    bench.consent.withdraw(SAFETY)
    bench.step()
    bench.journal.captured(staged, cut=True)
    bench.step()
    assert bench.states(staged) == [DROPPED]


def test_once_nothing_is_left_nothing_is_looked_for_until_the_next_withdrawal(bench: Bench) -> None:
    bench.consent.withdraw(SAFETY)
    bench.step()
    late = bench.clip(1, CAPTURED)
    bench.step()
    assert bench.states(late) == [CAPTURED]
    bench.consent.withdraw(DIAGNOSTICS)
    bench.step()
    assert bench.states(late) == [DROPPED]


def test_two_withdrawals_at_once_are_both_carried_out(bench: Bench) -> None:
    clips = bench.clip(1, CAPTURED), bench.clip(2, CAPTURED, DIAGNOSTICS)
    bench.consent.withdraw(SAFETY)
    bench.consent.withdraw(DIAGNOSTICS)
    bench.step()
    assert bench.states(*clips) == [DROPPED, DROPPED]


def test_what_can_not_be_journalled_is_told_and_tried_again(bench: Bench) -> None:
    clips = bench.clip(1, CAPTURED), bench.clip(2, CAPTURED)
    bench.consent.withdraw(SAFETY)
    bench.journal.full = True
    bench.step()
    assert bench.events.of("journal_failed") == [{"clip": "", "what": "memory journal: no space left"}]
    assert bench.states(*clips) == [CAPTURED, CAPTURED]
    bench.journal.full = False
    bench.step(LOOK_EVERY_NS - 1)
    assert bench.states(*clips) == [CAPTURED, CAPTURED]
    bench.step(1)
    assert bench.states(*clips) == [DROPPED, DROPPED]
    assert bench.events.of("ledger_failed") == []


def test_what_can_not_be_recorded_is_told_and_tried_again(bench: Bench) -> None:
    clip = bench.clip(1, CAPTURED)
    bench.consent.withdraw(SAFETY)
    bench.ledger.broken = True
    bench.step()
    assert bench.events.of("ledger_failed") == [{"clip": "", "what": "ledger: an fsync failed earlier"}]
    assert bench.states(clip) == [CAPTURED]
    bench.ledger.broken = False
    bench.step()
    assert bench.states(clip) == [DROPPED]
    assert bench.events.of("journal_failed") == []
