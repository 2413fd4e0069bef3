"""Room on the disk, kept by the loops: who looks when, what goes on whose thread, and what a firing is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.room import Room, RoomPolicy
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip
from fsd_agent.records.ledger import Dropped, Erased, Fired
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.room import Amount
from fsd_agent.records.worth import Valued, Worth
from fsd_agent.rules.spool.evict import Quotas
from fsd_agent.rules.spool.headroom import LOOKS, headroom_limits
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.disk import MemoryDisk, MemoryReserve
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.staging import MemoryStaging

NS, S = 1, 1_000_000_000
LOOK_EVERY_NS, WRITE_EVERY_NS, AT_LEAST_NS = 5 * S, 60 * S, S // 10
CLIPS_AT_FIRST, CLIPS_AT_MOST, GIVEN_UP_AT_ONCE = 256, 4096, 64
CAPTURED, SEALED, STAGED = ClipState.CAPTURED, ClipState.SEALED, ClipState.STAGED
RESERVE, FREE, PART = Amount(400, 4), Amount(400, 40), Amount(100, 1)
POLICY = RoomPolicy(
    quotas=Quotas(Amount(10_000, 1000), {"cn": Amount(300, 100)}),
    limits=headroom_limits(RESERVE, FREE, slow_ns=1000),
    spare=FREE.share(1, 2),
    scarce_priority=50,
)


class Bench:
    """A disk with plenty of room, and clips of ten bytes."""

    def __init__(self, policy: RoomPolicy = POLICY, *, parts: int = 4) -> None:
        self.clock, self.events = ManualClock(monotonic_ns=10**15), RememberedEvents()
        self.journal, keys = MemoryJournal(), keyed("cn", "eu")
        self.staging, self.spool = MemoryStaging(keys), MemorySpool(keys)
        self.ledger = MemoryLedger(keys=keys, clock=self.clock)
        self.disk = MemoryDisk(Amount(2000, 200))
        self.disk.write_ns = 1
        self.reserve = MemoryReserve(self.disk, part=PART, parts=parts)
        self.sending: set[str] = set()
        self.room = Room(
            policy,
            disk=self.disk,
            reserve=self.reserve,
            journal=self.journal,
            staging=self.staging,
            give_up=GiveUp(
                journal=self.journal,
                staging=self.staging,
                spool=self.spool,
                ledger=self.ledger,
                events=self.events,
            ),
            sending=lambda: self.sending,
            clock=self.clock,
            events=self.events,
        )
        self._clips = 0

    def add(
        self,
        *,
        region: str = "cn",
        state: ClipState = SEALED,
        priority: int = 0,
        size_bytes: int = 10,
        value: float | None = None,
    ) -> str:
        self._clips += 1
        clip_id = f"{self._clips:032x}"
        row = ClipRow(clip_id, region, Purpose.SAFETY, STAGED, 0, 1, 0, (), (), priority)
        self.journal.accept((), (row,))
        self.ledger.append(Fired(clip_id, region, Purpose.SAFETY, f"f{self._clips}", "c", 1))
        if state is not SEALED:
            writer = self.staging.open(at(region), clip_id)
            writer.append(bytes(size_bytes))
            writer.sync()
        if state is not STAGED:
            self.journal.captured(clip_id, cut=False)
        if value is not None:
            self.journal.valued({clip_id: Worth(value, Valued.VALUED)})
        if state is SEALED:
            self.journal.sealed(SealedClip(clip_id, region, size_bytes, b"\1" * 32))
        return clip_id

    def look(self, after_ns: int = LOOK_EVERY_NS) -> None:
        self.clock.advance(after_ns)
        self.room.look()

    def gone(self) -> dict[str, DropReason | None]:
        """What was given up by both threads after a look."""
        for state in (CAPTURED, SEALED):
            self.room.step(state)
        return {row.clip_id: row.drop for row in self.journal.clips({ClipState.DROPPED})}

    def levels(self) -> list[object]:
        return [fields["level"] for fields in self.events.of("headroom")]

    def only_free(self, size_bytes: int) -> None:
        """Another program has filled the disk, but for this and what the reserve holds."""
        self.disk.free = replace_bytes(self.disk.free, size_bytes)


def replace_bytes(free: Amount, size_bytes: int) -> Amount:
    return Amount(size_bytes, free.files)


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.room.look()
    return made


# Quotas


def test_a_regions_quota_costs_its_least_valuable_clips(bench: Bench) -> None:
    old, new = bench.add(size_bytes=100), bench.add(size_bytes=100)
    least = bench.add(priority=-1, size_bytes=100)
    other = bench.add(region="eu", priority=-9, size_bytes=5000)
    bench.look()
    assert bench.gone() == {}
    bench.add(state=STAGED, size_bytes=101)
    bench.look()
    assert bench.gone() == {least: DropReason.QUOTA_REGION, old: DropReason.QUOTA_REGION}
    assert bench.journal.clips({SEALED})[0].clip_id == new
    assert other in {row.clip_id for row in bench.journal.clips({SEALED})}
    detail = "region cn has 101 bytes and 0 files more than its quota"
    assert [fields["detail"] for fields in bench.events.of("dropped")] == [
        f"{detail}; its turn: priority {priority}, not valued yet" for priority in (-1, 0)
    ]
    facts = [entry.fact for entry in bench.ledger.entries if isinstance(entry.fact, Dropped | Erased)]
    assert [type(one) for one in facts] == [Dropped, Erased] * 2
    assert facts[0].clip_id == facts[1].clip_id == least


def test_of_one_priority_what_is_worth_least_goes(bench: Bench) -> None:
    bench.add(size_bytes=100)  # Not valued: kept longer than those that are
    good, dull, better = (bench.add(size_bytes=100, value=value) for value in (0.5, 0.25, 0.75))
    bench.add(state=STAGED, size_bytes=150)
    bench.look()
    bench.gone()
    assert [fields["clip"] for fields in bench.events.of("dropped")] == [dull, good, better]
    assert str(bench.events.of("dropped")[0]["detail"]).endswith("its turn: priority 0, value 0.250")


def test_all_clips_together_have_a_quota_in_files_too() -> None:
    bench = Bench(replace(POLICY, quotas=Quotas(Amount(10_000, 3))))
    clips = [bench.add(region=region, state=state) for region in ("cn", "eu") for state in (CAPTURED, SEALED)]
    bench.look()
    assert bench.gone() == {clips[0]: DropReason.QUOTA_SPOOL}
    bench.look()
    assert len(bench.gone()) == 1


def test_what_is_in_progress_weighs_and_stays() -> None:
    bench = Bench(replace(POLICY, quotas=Quotas(Amount(100, 1000))))
    clip, staged = bench.add(state=CAPTURED, size_bytes=30), bench.add(state=STAGED, size_bytes=80)
    bench.look()
    assert bench.gone() == {clip: DropReason.QUOTA_SPOOL}
    writer = bench.staging.open(at("eu"), "e" * 32)
    writer.append(bytes(500))
    bench.look()
    assert bench.gone().keys() == {clip}
    assert bench.journal.clip(staged) in bench.journal.clips({STAGED})
    assert bench.room.refuses(-1000) is None, "a quota never refuses the newest"


def test_clips_of_other_regions_are_not_even_read() -> None:
    bench = Bench(replace(POLICY, quotas=Quotas(Amount(10**9, 10**9), {"eu": Amount(10**9, 1)})))
    for _ in range(CLIPS_AT_FIRST + 10):
        bench.add()
    wanted = {bench.add(region="eu"), bench.add(region="eu")}
    bench.add(region="eu")
    bench.look()
    assert bench.gone() == dict.fromkeys(wanted, DropReason.QUOTA_REGION)


def test_very_many_go_over_several_looks_and_steps() -> None:
    bench = Bench(replace(POLICY, quotas=Quotas(Amount(10**9, 5))))
    for _ in range(CLIPS_AT_MOST + 100):
        bench.add()
    bench.look()
    assert bench.room.refuses(-1000) is None
    assert len(bench.room._decided.evictions) == CLIPS_AT_MOST
    assert [len(bench.room.step(SEALED)) for _ in range(2)] == [GIVEN_UP_AT_ONCE] * 2
    assert len(bench.room._decided.evictions) == CLIPS_AT_MOST - 2 * GIVEN_UP_AT_ONCE
    oldest = f"{2 * GIVEN_UP_AT_ONCE + 1:032x}"
    assert bench.journal.least(1)[0].clip_id == bench.room._decided.evictions[0].clip_id == oldest


# The disk


def test_a_disk_with_little_room_costs_clips_until_there_is_enough_again(bench: Bench) -> None:
    clips = [bench.add(region="eu", size_bytes=50) for _ in range(4)]
    bench.only_free(400)
    bench.look()
    assert bench.gone() == {}
    bench.only_free(399)
    bench.look()
    assert bench.gone() == dict.fromkeys(clips[:3], DropReason.DISK_NEEDED)
    bench.only_free(499)
    bench.look()
    assert bench.gone().keys() == set(clips), "a byte less than what it takes to leave the level"
    bench.only_free(500)
    bench.look()
    assert bench.levels() == ["tight", "ample"]
    (first, _) = bench.events.of("headroom")
    assert first == {
        "level": "tight",
        "before": "ample",
        "free_bytes": 399,
        "free_files": 196,
        "reserve_bytes": 400,
        "slow": False,
        "what": "",
    }


def test_each_thread_gives_up_what_is_in_its_own_state(bench: Bench) -> None:
    captured, sealed = bench.add(region="eu", state=CAPTURED), bench.add(region="eu")
    bench.only_free(0)
    bench.look()
    assert bench.room.step(SEALED) == (sealed,)
    assert bench.room.step(SEALED) == ()
    assert bench.room.step(CAPTURED) == (captured,)
    assert bench.room.step(STAGED) == ()


def test_what_is_being_sent_stays_also_if_it_was_begun_since(bench: Bench) -> None:
    first, second, third = (bench.add(region="eu", size_bytes=200) for _ in range(3))
    bench.sending = {first}
    bench.only_free(0)
    bench.look()
    bench.sending = {first, third}
    assert bench.gone().keys() == {second}
    bench.sending = {third}
    bench.look()
    assert bench.gone().keys() == {first, second}


def test_a_clip_that_has_moved_on_stays(bench: Bench) -> None:
    sealed, delivered = bench.add(region="eu", state=CAPTURED), bench.add(region="eu")
    bench.only_free(0)
    bench.look()
    bench.journal.sealed(SealedClip(sealed, "eu", 10, b"\1" * 32))
    bench.journal.delivered(delivered, receipt=b"signed")
    assert bench.gone() == {}


def test_it_is_looked_every_five_seconds_and_at_once_when_there_was_no_room(bench: Bench) -> None:
    clip = bench.add(region="eu")
    bench.only_free(0)
    bench.look(LOOK_EVERY_NS - NS)
    assert bench.gone() == {}
    bench.room.make()
    bench.look(NS)
    assert bench.gone().keys() == {clip}
    other = bench.add(region="eu")
    bench.only_free(0)
    bench.room.make()
    bench.look(AT_LEAST_NS - NS)
    assert other not in bench.gone()
    bench.look(NS)
    assert other in bench.gone()


# The reserve


def test_the_reserve_is_filled_while_the_spare_stays_free() -> None:
    bench = Bench()
    bench.only_free(500)
    bench.look()
    assert (bench.reserve.held, bench.disk.free.size_bytes) == (Amount(300, 3), 200)
    bench.only_free(300)
    bench.look()
    assert bench.reserve.held == RESERVE
    bench.only_free(2000)
    bench.look()
    assert bench.reserve.held == RESERVE


def test_an_event_in_progress_gets_a_part_at_once_until_there_is_none(bench: Bench) -> None:
    bench.only_free(0)
    assert [bench.room.make() for _ in range(5)] == [True] * 4 + [False]
    assert bench.disk.free.size_bytes == 400
    bench.only_free(50)
    bench.look()
    assert bench.reserve.held.size_bytes == 0, "what an event in progress was given is not taken back"
    bench.only_free(700)
    bench.look()
    assert bench.reserve.held == RESERVE


# What a firing is told


def test_the_order_of_degradation(bench: Bench) -> None:
    clip = bench.add(region="eu", size_bytes=10)
    told = []
    for free in (2000, 350, 150, 0):
        bench.only_free(free)
        bench.look()
        told.append((bench.room.refuses(49), bench.room.refuses(50)))
    assert told == [(None, None)] * 2 + [(DropReason.DISK_SCARCE, None)] * 2, "one clip is too few to help"
    for _ in range(4):
        bench.room.make()
    bench.only_free(99)
    bench.look()
    assert bench.room.refuses(1000) is DropReason.DISK_FULL
    bench.disk.is_read_only = True
    bench.look()
    assert bench.room.refuses(1000) is DropReason.DISK_FAILED
    assert bench.levels() == ["tight", "scarce", "none", "broken"]
    assert bench.gone() == {}, "nothing is given up on a disk that can't record it"
    bench.disk.is_read_only = False
    for _ in range(LOOKS):
        bench.look()
    assert bench.gone().keys() == {clip}


def test_while_there_is_something_that_may_go_every_firing_is_taken(bench: Bench) -> None:
    for _ in range(10):
        bench.add(region="eu", size_bytes=100)
    for _ in range(4):
        bench.room.make()
    bench.only_free(0)
    bench.look()
    assert bench.levels() == ["none"]
    assert bench.room.refuses(-1000) is None
    bench.sending = {row.clip_id for row in bench.journal.clips({SEALED})}
    bench.look()
    assert bench.room.refuses(1000) is DropReason.DISK_FULL


def test_a_slow_disk_takes_no_firings_of_low_priority(bench: Bench) -> None:
    clip = bench.add(region="eu")
    bench.disk.write_ns = 1001
    bench.look(WRITE_EVERY_NS)
    for _ in range(LOOKS - 1):
        assert bench.room.refuses(0) is None
        bench.look()
    assert bench.room.refuses(49) is DropReason.DISK_SCARCE
    assert bench.room.refuses(50) is None
    assert bench.gone() == {}, f"giving {clip} up makes no disk faster"
    assert bench.room.trouble == "disk: room is scarce: 1600 bytes and 196 files are free, and it is slow"
    bench.disk.write_ns = 500
    for _ in range(LOOKS):
        bench.look()
    assert bench.levels() == ["scarce", "ample"]
    assert bench.room.trouble == ""


def test_a_sound_disk_is_written_to_once_a_minute_and_a_doubtful_one_at_each_look(bench: Bench) -> None:
    assert bench.disk.writes == 1
    for _ in range(11):
        bench.look()
    assert bench.disk.writes == 1
    bench.look()
    assert bench.disk.writes == 2
    bench.disk.fault = "input/output error"
    bench.look(WRITE_EVERY_NS)
    assert bench.room.trouble == "disk: input/output error"
    bench.disk.fault = ""
    for _ in range(LOOKS):
        assert bench.room.refuses(1000) is DropReason.DISK_FAILED
        bench.look()
    assert bench.disk.writes == 3 + LOOKS
    assert bench.room.refuses(0) is None


def test_a_write_that_failed_elsewhere_has_the_disk_looked_at_with_a_write_at_once(bench: Bench) -> None:
    bench.look()
    bench.disk.fault = "input/output error"
    bench.room.doubt()
    bench.look(AT_LEAST_NS)
    assert bench.room.is_broken
    bench.disk.fault = ""
    for _ in range(LOOKS):
        bench.look()
    assert not bench.room.is_broken
    writes = bench.disk.writes
    bench.look()
    assert bench.disk.writes == writes, "sound again"


# What can't be read or recorded


def test_what_can_not_be_recorded_stays_and_is_decided_anew(bench: Bench) -> None:
    clip = bench.add(region="eu")
    bench.only_free(0)
    bench.look()
    bench.ledger.broken = True
    assert bench.gone() == {}
    assert bench.events.of("ledger_failed") == [{"clip": "", "what": "ledger: an fsync failed earlier"}]
    bench.ledger.broken = False
    assert bench.gone() == {}
    bench.look()
    bench.journal.full = True
    assert bench.gone() == {}
    assert bench.events.of("journal_failed") == [{"clip": "", "what": "memory journal: no space left"}]
    bench.journal.full = False
    bench.look()
    assert bench.gone() == {clip: DropReason.DISK_NEEDED}


def test_a_journal_that_can_not_be_read_is_told_once_and_nothing_goes(bench: Bench) -> None:
    clip = bench.add(region="eu")
    bench.only_free(0)
    bench.journal.broken = True
    bench.look()
    bench.look()
    assert bench.events.of("journal_failed") == [{"clip": "", "what": "memory journal: can't be read"}]
    assert bench.room.trouble == "memory journal: can't be read"
    bench.journal.broken = False
    bench.look()
    assert bench.gone().keys() == {clip}
    assert bench.room.trouble.startswith("disk: room is")
