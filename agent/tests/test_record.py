"""The recorder: staged before journalled, shared clips, and a disk that fills in the middle of everything."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import pytest

from fsd_agent.pipeline.record import Recorder
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.campaign import CaptureSpec
from fsd_agent.records.clip import Clip, ClipState
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.ledger import ConsentChanged, Fact
from fsd_agent.records.purpose import ALL_PURPOSES, Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Located
from fsd_agent.rules.capture.plan import KeptFiring
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.staging import MemoryStaging, MemoryStagingWriter
from fsd_agent.testing.streams import CATALOGUE, stream
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.staged import assemble, decode_part

TICK = 5
SPEC = CaptureSpec(before_ns=20, after_ns=15, cameras=("front",), signals=("Vehicle.S1",))


@dataclass
class Bench:
    """A recorder over fakes, fed from a made-up stream."""

    keys: MemoryVehicleKeys = field(default_factory=MemoryVehicleKeys)
    staging: MemoryStaging | None = None
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    events: RememberedEvents = field(default_factory=RememberedEvents)
    ledger: MemoryLedger = field(
        default_factory=lambda: MemoryLedger(keys=MemoryVehicleKeys(), clock=ManualClock())
    )

    def __post_init__(self) -> None:
        ids = itertools.count(1)
        self.doubts = 0
        self.spare = 0
        """How often room can be made; each time as much again is free as one part takes."""
        self.staging = self.staging or MemoryStaging(self.keys)
        self.given = ALL_PURPOSES
        self.ledger.append(ConsentChanged(Purpose.SAFETY, given=True))
        self.stream = stream(3)
        self.ring = Ring(CATALOGUE, horizon_ns=60, max_bytes=1 << 20)
        self.recorder = Recorder(
            ring=self.ring,
            staging=self.staging,
            journal=self.journal,
            ledger=self.ledger,
            events=self.events,
            new_id=lambda: f"{next(ids):032x}",
            room=self,
        )

    def doubt(self) -> None:
        self.doubts += 1

    def make(self) -> bool:
        if not self.spare:
            return False
        self.spare -= 1
        self.journal.full = self.ledger.full = False
        if self.staging.capacity_bytes is not None:
            self.staging.capacity_bytes += 1500
        return True

    def play(self, start: int, until: int, firings: dict[int, str]) -> None:
        """Feed ``[start, until)`` in ticks; ``firings`` are times and campaigns."""
        for now in range(start, until, TICK):
            self.ring.append(*self.stream.batch(now, now + TICK))
            kept = [kept_firing(name, t) for t, name in firings.items() if now <= t < now + TICK]
            self.step(now + TICK, kept)

    def step(self, until: int, kept: list[KeptFiring], dropped: tuple[JudgedFiring, ...] = ()) -> None:
        self.recorder.step(
            kept, dropped, until_ns=until, region_id="cn", given=self.given, wall_minus_mono_ns=0
        )

    def clip(self, clip_id: str) -> Clip:
        row = self.journal.clip(clip_id)
        assert row is not None
        parts = [decode_part(part) for part in self.staging.read(row.compartment, clip_id)]
        return assemble(parts, row, self.journal.firings_of(clip_id))

    def only(self, state: ClipState) -> str:
        (row,) = self.journal.clips({state})
        return row.clip_id


def kept_firing(campaign: str, t_ns: int) -> KeptFiring:
    firing = Firing(campaign, 1, t_ns, ())
    return KeptFiring(f"{campaign}-{t_ns}", firing, t_ns, SPEC, 1, Purpose.SAFETY)


def test_a_firing_becomes_a_whole_clip() -> None:
    bench = Bench()
    bench.play(0, 100, {50: "a"})
    clip = bench.clip(bench.only(ClipState.CAPTURED))
    times = [packet.t_ns for packet in clip.packets]
    assert clip.packets[0].keyframe
    assert times[0] <= 30
    assert times[-1] < 65
    assert len(times) == len({packet.t_ns for packet in bench.stream.packets if packet.camera == "front"
                              and times[0] <= packet.t_ns < 65})  # fmt: skip
    assert not clip.row.cut
    assert bench.events.of("fired")[0]["clip"] == clip.row.clip_id


def test_touching_firings_share_one_clip() -> None:
    bench = Bench()
    bench.play(0, 110, {50: "a", 60: "b"})
    clip = bench.clip(bench.only(ClipState.CAPTURED))
    assert {judged.firing.campaign_id for judged in clip.firings} == {"a", "b"}
    assert (clip.row.start_ns, clip.row.end_ns) == (30, 75)


def test_the_source_ends_in_the_after_window() -> None:
    bench = Bench()
    bench.play(0, 60, {55: "a"})
    bench.recorder.close_all()
    clip = bench.clip(bench.only(ClipState.CAPTURED))
    assert clip.row.cut
    assert clip.packets


def test_a_power_cut_right_after_a_firing_keeps_its_before_window() -> None:
    bench = Bench()
    bench.play(0, 55, {51: "a"})
    bench.staging.power_cut()
    clip = bench.clip(bench.only(ClipState.STAGED))
    assert clip.packets[0].t_ns <= 31
    assert len(clip.signals)


def test_no_room_for_a_new_firing_drops_it_with_the_reason() -> None:
    bench = Bench(staging=MemoryStaging(MemoryVehicleKeys(), capacity_bytes=10))
    bench.play(0, 100, {50: "a"})
    (totals,) = bench.journal.totals()
    assert totals.dropped == ((DropReason.DISK_FULL, 1),)
    assert not bench.staging.entries()
    assert bench.events.of("disk_full")


@pytest.mark.parametrize("room", range(10, 6000, 500))
def test_an_event_in_progress_goes_on_with_the_room_that_is_made(room: int) -> None:
    bench = Bench(staging=MemoryStaging(MemoryVehicleKeys(), capacity_bytes=room))
    bench.spare = 10
    bench.play(0, 110, {50: "a", 60: "b"})
    whole = Bench()
    whole.play(0, 110, {50: "a", 60: "b"})
    clip, expected = (one.clip(one.only(ClipState.CAPTURED)) for one in (bench, whole))
    assert clip.row == expected.row
    assert [packet.t_ns for packet in clip.packets] == [packet.t_ns for packet in expected.packets]
    assert len(clip.firings) == 2
    assert not bench.events.of("disk_full")
    holds_up(bench)


@pytest.mark.parametrize("which", ["journal", "ledger"])
def test_room_is_made_for_journal_and_ledger_too(which: str) -> None:
    bench = Bench()
    bench.spare = 1
    (bench.journal if which == "journal" else bench.ledger).full = True
    bench.play(0, 110, {50: "a"})
    assert not bench.clip(bench.only(ClipState.CAPTURED)).row.cut
    assert bench.spare == 0
    bench.play(110, 160, {150: "b"})
    bench.spare, bench.journal.full = 1, True
    bench.play(160, 200, {})
    assert len(bench.journal.clips({ClipState.CAPTURED})) == 2
    assert not bench.events.of("disk_full")


def test_what_is_half_staged_when_room_runs_out_is_begun_anew() -> None:
    bench = Bench(staging=MemoryStaging(MemoryVehicleKeys(), capacity_bytes=10))
    bench.spare = 1
    bench.play(0, 60, {50: "a"})
    assert not bench.staging.entries()
    (totals,) = bench.journal.totals()
    assert totals.dropped == ((DropReason.DISK_FULL, 1),)
    holds_up(bench)


class Failing(MemoryStaging):
    """As a disk that was made read-only under an open file: nothing can be written, synced or erased."""

    is_read_only = False

    def _refuse(self) -> None:
        if self.is_read_only:
            raise SpoolError("staging: read-only file system")

    def open(self, compartment: Compartment, clip_id: str) -> MemoryStagingWriter:
        self._refuse()
        return super().open(compartment, clip_id)

    def append(self, place: tuple[Compartment, str], part: bytes) -> None:
        self._refuse()
        super().append(place, part)

    def sync(self, place: tuple[Compartment, str]) -> None:
        self._refuse()
        super().sync(place)

    def erase(self, compartment: Compartment, clip_id: str) -> None:
        self._refuse()
        super().erase(compartment, clip_id)


def test_a_disk_that_fails_keeps_what_there_is_and_drops_what_is_new_with_that_reason() -> None:
    staging = Failing(MemoryVehicleKeys())
    bench = Bench(staging=staging)
    bench.play(0, 60, {50: "a"})
    staging.is_read_only = bench.journal.read_only = True
    bench.play(60, 100, {70: "b"})
    assert bench.journal.clips({ClipState.STAGED}), "its closing waits"
    staging.is_read_only = bench.journal.read_only = False
    bench.play(100, 160, {120: "c"})
    rows = bench.journal.clips({ClipState.CAPTURED})
    assert [row.cut for row in rows] == [True, False]
    assert bench.doubts > 0
    totals = {one.campaign_id: one.dropped for one in bench.journal.totals()}
    assert totals == {"a": (), "b": ((DropReason.DISK_FAILED, 1),), "c": ()}
    assert bench.events.of("disk_failed")
    holds_up(bench)


def test_a_firing_that_a_failing_journal_does_not_take_is_taken_back() -> None:
    staging = Failing(MemoryVehicleKeys())
    bench = Bench(staging=staging)
    bench.journal.read_only = True
    bench.play(0, 60, {50: "a"})
    bench.journal.read_only = False
    bench.play(60, 70, {})
    assert facts(bench) == ["Fired", "Dropped", "Erased", "FiringDropped"]
    (totals,) = bench.journal.totals()
    assert totals.dropped == ((DropReason.DISK_FAILED, 1),)
    holds_up(bench)


@pytest.mark.parametrize("room", range(2000, 6000, 500))
def test_no_room_in_the_after_window_keeps_what_there_is(room: int) -> None:
    bench = Bench(staging=MemoryStaging(MemoryVehicleKeys(), capacity_bytes=room))
    bench.play(0, 110, {50: "a"})
    (totals,) = bench.journal.totals()
    if totals.in_progress:
        clip = bench.clip(bench.only(ClipState.CAPTURED))
        assert clip.packets
    else:
        assert totals.dropped == ((DropReason.DISK_FULL, 1),)


def test_a_journal_without_room_gets_the_drops_later() -> None:
    bench = Bench()
    bench.journal.full = True
    drop = JudgedFiring("d", Firing("b", 1, 10, ()), 10, clip_id=None, drop=DropReason.SAMPLED_OUT)
    bench.step(15, [], (drop,))
    bench.play(15, 60, {50: "a"})
    assert not bench.journal.totals()
    bench.journal.full = False
    bench.play(60, 70, {})
    totals = {one.campaign_id: one.dropped for one in bench.journal.totals()}
    assert totals == {"a": ((DropReason.DISK_FULL, 1),), "b": ((DropReason.SAMPLED_OUT, 1),)}
    assert not bench.staging.entries(), "a firing that was not journalled left its window behind"


def test_a_closing_that_the_journal_has_no_room_for_is_made_up_later() -> None:
    bench = Bench()
    bench.play(0, 60, {50: "a"})
    bench.journal.full = True
    bench.play(60, 80, {})
    assert bench.journal.clips({ClipState.STAGED})
    bench.journal.full = False
    bench.play(80, 85, {})
    assert bench.journal.clips({ClipState.CAPTURED})


def test_no_room_when_a_second_firing_is_synced_drops_it_and_keeps_the_clip() -> None:
    bench = Bench()
    bench.play(0, 60, {50: "a"})
    bench.staging.full_at_sync = True
    bench.play(60, 65, {60: "b"})
    bench.staging.full_at_sync = False
    bench.play(65, 110, {})
    clip = bench.clip(bench.only(ClipState.CAPTURED))
    assert clip.row.cut
    assert [judged.firing.campaign_id for judged in clip.firings] == ["a"]
    totals = {one.campaign_id: one.dropped for one in bench.journal.totals()}
    assert totals == {"a": (), "b": ((DropReason.DISK_FULL, 1),)}


def facts(bench: Bench) -> list[str]:
    """Of clips and firings."""
    names = [type(entry.fact).__name__ for entry in bench.ledger.entries]
    return [name for name in names if name != "ConsentChanged"]


def holds_up(bench: Bench) -> None:
    """The audit has nothing to say, and the ledger names the copies that there are."""
    clips, findings = account([Located(entry, "memory") for entry in bench.ledger.entries], {}, None)
    assert not findings
    assert {clip.clip_id for clip in clips.values() if clip.copies} == {
        one for _, one in bench.staging.entries()
    }


def test_the_firings_of_a_batch_are_recorded_in_one_go() -> None:
    bench = Bench()
    bench.play(0, 110, {50: "a", 51: "b", 80: "c", 81: "d"})
    assert facts(bench) == ["Fired"] * 4
    moments = [entry.mono_ns for entry in bench.ledger.entries]
    assert moments == sorted(moments)
    holds_up(bench)


def test_a_firing_that_the_ledger_can_not_record_is_dropped_and_the_open_clip_goes_on() -> None:
    bench = Bench()
    bench.play(0, 60, {50: "a"})
    bench.ledger.broken = True
    bench.play(60, 65, {60: "b"})
    bench.ledger.broken = False
    bench.play(65, 110, {})
    clip = bench.clip(bench.only(ClipState.CAPTURED))
    assert not clip.row.cut
    assert [judged.firing.campaign_id for judged in clip.firings] == ["a"]
    totals = {one.campaign_id: one.dropped for one in bench.journal.totals()}
    assert totals == {"a": (), "b": ((DropReason.LEDGER_FAILED, 1),)}
    assert facts(bench) == ["Fired", "FiringDropped"], "what it could not take is offered again"
    holds_up(bench)


def test_a_firing_that_is_recorded_and_that_the_journal_has_no_room_for_is_taken_back() -> None:
    bench = Bench()
    bench.journal.full = True
    bench.play(0, 60, {50: "a"})
    bench.journal.full = False
    bench.play(60, 70, {})
    assert facts(bench) == ["Fired", "Dropped", "Erased", "FiringDropped"]
    holds_up(bench)


def test_what_can_not_be_taken_back_in_the_ledger_stays_for_the_next_start() -> None:
    bench = Bench()
    bench.journal.full = True
    breaks_after_one(bench)
    bench.play(0, 60, {50: "a"})
    assert facts(bench) == ["Fired"]
    assert len(bench.staging.entries()) == 1, "erased without a record"
    assert bench.events.of("ledger_failed")


def breaks_after_one(bench: Bench) -> None:
    class Breaking(MemoryLedger):
        def append(self, *facts: Fact) -> None:
            super().append(*facts)
            self.broken = not isinstance(facts[0], ConsentChanged)

    bench.ledger = Breaking(keys=MemoryVehicleKeys(), clock=ManualClock())
    bench.__post_init__()


def test_firings_of_different_purposes_never_share_a_clip() -> None:
    bench = Bench()
    bench.ledger.append(ConsentChanged(Purpose.DIAGNOSTICS, given=True))
    bench.ring.append(*bench.stream.batch(0, 60))
    bench.step(60, [kept_firing("a", 50), replace(kept_firing("b", 52), purpose=Purpose.DIAGNOSTICS)])
    rows = bench.journal.clips({ClipState.STAGED})
    assert {row.purpose for row in rows} == {Purpose.SAFETY, Purpose.DIAGNOSTICS}
    assert {place for place, _ in bench.staging.entries()} == {row.compartment for row in rows}
    holds_up(bench)


def test_a_window_whose_consent_goes_takes_nothing_more() -> None:
    bench = Bench()
    bench.play(0, 60, {55: "a"})
    staged = len(list(bench.staging.read(at("cn"), bench.only(ClipState.STAGED))))
    bench.given = frozenset({Purpose.DIAGNOSTICS})
    bench.play(60, 70, {})
    clip = bench.only(ClipState.CAPTURED)
    row = bench.journal.clip(clip)
    assert row is not None
    assert row.cut
    assert len(list(bench.staging.read(row.compartment, clip))) == staged


def test_a_compartment_without_a_key_drops_its_own_firings_alone() -> None:
    bench = Bench()
    bench.keys.broken = "keys/compartments/cn/safety.key: others may read or change it"
    bench.play(0, 60, {50: "a"})
    bench.keys.broken = ""
    bench.play(60, 110, {65: "b"})
    assert bench.clip(bench.only(ClipState.CAPTURED)).firings[0].firing.campaign_id == "b"
    totals = {one.campaign_id: one.dropped for one in bench.journal.totals()}
    assert totals == {"a": ((DropReason.NO_KEY, 1),), "b": ()}
    assert "safety.key" in str(bench.events.of("disk_failed")[0]["what"])
