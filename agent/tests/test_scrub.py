"""Damage to files that wait is found before somebody needs them, reported, set aside, and in nobody's way."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.adapters.spool_files import ASIDE_FILES, SpoolFiles
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.scrub import CLIPS_AT_ONCE, OPEN_BYTES, RETRY_NS, ROUND_EVERY_NS, STATE_KEY, Scrub
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip
from fsd_agent.records.ledger import Cause, ConsentChanged, Copy, Dropped, Erased, Fired, Redacted, Sealed
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Located
from fsd_agent.rules.audit.clip_account import Where
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.wire.scrub_place import decode_scrub_place, encode_scrub_place

S = 1_000_000_000
CAPTURED, SEALED = ClipState.CAPTURED, ClipState.SEALED
RATE = 1_000_000


class Bench:
    """Real files on a real disk, under a journal and a ledger in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = keyed("cn", "eu")
        self.clock, self.events = ManualClock(monotonic_ns=10**15), RememberedEvents()
        self.journal, self.ledger = MemoryJournal(), MemoryLedger(keys=self.keys, clock=self.clock)
        self.ledger.append(ConsentChanged(Purpose.SAFETY, given=True))
        self.start()

    def start(self) -> None:
        self.staging = StagingFiles(self.folder / "staging", self.keys)
        self.spool = SpoolFiles(self.folder / "spool", self.keys)
        self.scrub = Scrub(
            journal=self.journal,
            staging=self.staging,
            spool=self.spool,
            give_up=GiveUp(
                journal=self.journal,
                staging=self.staging,
                spool=self.spool,
                ledger=self.ledger,
                events=self.events,
            ),
            clock=self.clock,
            events=self.events,
            bytes_per_s=RATE,
        )

    def add(
        self, number: int, *, state: ClipState = SEALED, size_bytes: int = 200_000, region: str = "cn"
    ) -> str:
        clip_id = f"{number:032x}"
        row = ClipRow(clip_id, region, Purpose.SAFETY, ClipState.STAGED, 0, 1, 0, (), (), 0)
        self.journal.accept((), (row,))
        self.ledger.append(Fired(clip_id, region, Purpose.SAFETY, f"f{number}", "c", 1))
        writer = self.staging.open(at(region), clip_id)
        for _ in range(3):
            writer.append(random.Random(number).randbytes(size_bytes // 3))
            writer.sync()
        writer.close()
        self.journal.captured(clip_id, cut=False)
        if state is SEALED:
            self.seal(clip_id, region, size_bytes)
        return clip_id

    def seal(self, clip_id: str, region: str = "cn", size_bytes: int = 200_000) -> None:
        data = random.Random(clip_id).randbytes(size_bytes)
        file = self.spool.put(at(region), clip_id, as_file(data))
        self.ledger.append(
            Redacted(clip_id, region, (), (), 0, 0, "dropped"),
            Sealed(clip_id, region, "car-1", 1, 1, "0" * 16, file.sha256, file.size_bytes),
            Erased(clip_id, region, Copy.STAGED, Cause.SEALED),
        )
        self.journal.sealed(file)
        self.staging.erase(at(region), clip_id)

    def path(self, clip_id: str, region: str = "cn") -> Path:
        return self.folder / "spool" / region / "safety" / f"{clip_id}.sealed"

    def staged(self, clip_id: str) -> Path:
        return self.folder / "staging" / "cn" / "safety" / f"{clip_id}.staged"

    def look(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.clock.advance(S)
            self.scrub.look()

    def both(self) -> tuple[str, ...]:
        return (*self.scrub.step(CAPTURED), *self.scrub.step(SEALED))

    def account(self) -> dict[str, Where]:
        clips, findings = account([Located(entry, "memory") for entry in self.ledger.entries], {}, None)
        assert not findings
        files = {(clip_id, Copy.STAGED) for _, clip_id in self.staging.entries()}
        files |= {(clip_id, Copy.SEALED) for _, clip_id in self.spool.entries() | self.spool.aside()}
        assert {(clip_id, copy) for clip_id, clip in clips.items() for copy in clip.copies} == files
        return {clip_id: clip.where for clip_id, clip in clips.items()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def flip(path: Path, at_byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[at_byte] ^= 1
    path.write_bytes(data)


# What is found


def test_what_is_sound_is_left_alone_round_after_round(bench: Bench) -> None:
    clips = [
        bench.add(1),
        bench.add(2, state=CAPTURED),
        bench.add(3, region="eu"),
        bench.add(4, size_bytes=0),
    ]
    for _ in range(3):
        bench.look(10)
        bench.clock.advance(ROUND_EVERY_NS)
    assert bench.both() == ()
    assert bench.account() == dict.fromkeys(clips, Where.ON_VEHICLE)
    assert bench.scrub.trouble == ""
    assert not bench.events.of("disk_failed")


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[: 1 << 17]),
        lambda path: path.write_bytes(b""),
        lambda path: flip(path, 0),
        lambda path: flip(path, -1),
        lambda path: flip(path, 40),
    ],
)
def test_a_file_that_lost_its_header_or_end_is_found_in_the_first_seconds(bench: Bench, harm: object) -> None:
    clips = [bench.add(number) for number in range(5)]
    harm(bench.path(clips[3]))  # type: ignore[operator] # a function of the path
    bench.look()
    assert bench.scrub.step(CAPTURED) == ()
    assert bench.scrub.step(SEALED) == (clips[3],)
    row = bench.journal.clip(clips[3])
    assert row is not None
    assert row.drop is DropReason.SPOOL_DAMAGED
    assert bench.scrub.trouble == f"damaged: {row.drop_detail}"
    assert [row.clip_id for row in bench.journal.clips({SEALED})] == [*clips[:3], clips[4]]


def test_another_clips_file_is_found_in_the_first_seconds(bench: Bench) -> None:
    first, second = bench.add(1), bench.add(2)
    bench.path(second).write_bytes(bench.path(first).read_bytes())
    bench.look()
    assert bench.both() == (second,)


def test_one_flipped_bit_anywhere_is_found_in_the_second_round(bench: Bench) -> None:
    clip = bench.add(1)
    flip(bench.path(clip), 100_000)
    bench.look(1)
    assert bench.both() == (clip,)


def test_a_file_that_opens_and_is_not_what_was_sealed_is_found(bench: Bench) -> None:
    clip, longer = bench.add(1), bench.add(2)
    bench.spool.put(at("cn"), clip, as_file(bytes(200_000)))
    bench.spool.put(at("cn"), longer, as_file(bytes(300_000)))
    bench.look(2)
    assert bench.both() == (clip, longer)
    details = {fields["clip"]: fields["detail"] for fields in bench.events.of("dropped")}
    assert details == {
        clip: f"clip {clip}: SHA-256 of the file is not that of what was sealed",
        longer: f"clip {longer}: does not end where it did: 200000 bytes were sealed",
    }


def test_a_captured_clip_whose_staging_is_damaged_is_given_up_and_nothing_raw_is_kept(bench: Bench) -> None:
    clip, sound = bench.add(1, state=CAPTURED), bench.add(2, state=CAPTURED)
    flip(bench.staged(clip), 1000)
    bench.look(2)
    assert bench.scrub.step(SEALED) == ()
    assert bench.scrub.step(CAPTURED) == (clip,)
    row = bench.journal.clip(clip)
    assert row is not None
    assert row.drop is DropReason.STAGING_LOST
    assert bench.spool.aside() == frozenset()
    assert bench.account() == {clip: Where.NOWHERE, sound: Where.ON_VEHICLE}


def test_a_clip_that_has_moved_on_since_is_not_given_up(bench: Bench) -> None:
    captured, sealed = bench.add(1, state=CAPTURED), bench.add(2)
    flip(bench.staged(captured), 1000)
    flip(bench.path(sealed), -1)
    bench.look(2)
    bench.seal(captured)
    bench.journal.delivered(sealed, receipt=b"signed")
    assert bench.both() == ()
    assert bench.journal.clips({SEALED})[0].clip_id == captured


def test_without_a_key_nothing_can_be_told_from_noise(bench: Bench) -> None:
    keyless, clip = bench.add(1, region="eu"), bench.add(2)
    bench.keys.destroy_compartment("eu", Purpose.SAFETY)
    flip(bench.path(keyless, "eu"), 0)
    flip(bench.path(clip), 0)
    bench.look()
    assert bench.both() == (clip,)
    assert not bench.events.of("disk_failed")


def test_a_file_that_is_gone_is_told_and_left_to_who_needs_it(bench: Bench) -> None:
    gone = bench.add(1)
    bench.path(gone).unlink()
    bench.look()
    assert bench.both() == ()
    (told, _) = bench.events.of("disk_failed")
    assert (told["clip"], "No such file" in str(told["what"])) == (gone, True)


def test_a_file_that_went_while_it_was_read_is_not_even_told(bench: Bench) -> None:
    """The journal had it when it was asked, and it was delivered before its turn."""
    clips = [bench.add(number, size_bytes=10) for number in range(3)]
    stale = bench.journal.clips({SEALED})

    class Before(MemoryJournal):
        def following(self, state: ClipState, clip_id: str, *, limit: int) -> tuple[ClipRow, ...]:
            return stale if state is SEALED and not clip_id else ()

        def clip(self, clip_id: str) -> ClipRow | None:
            return bench.journal.clip(clip_id)

    bench.path(clips[1]).unlink()
    bench.journal.delivered(clips[1], receipt=b"signed")
    bench.scrub._journal = Before()
    bench.look()
    assert not bench.events.of("disk_failed")


def test_an_earlier_file_of_the_clip_is_found_in_the_first_seconds(bench: Bench) -> None:
    """As a folder that was put back from a copy has it: it opens, and is not what the journal counts on."""
    clip, others = bench.add(1), [bench.add(number, size_bytes=3 * RATE) for number in range(2, 5)]
    bench.spool.put(at("cn"), clip, as_file(bytes(200_000)))
    bench.look()
    assert bench.both() == (clip,)
    assert bench.scrub.trouble.endswith("SHA-256 of the file is not that of what was sealed")
    assert {row.clip_id for row in bench.journal.clips({SEALED})} == set(others)


def test_what_can_not_be_recorded_is_tried_again(bench: Bench) -> None:
    clips = [bench.add(number) for number in range(3)]
    for clip in clips:
        flip(bench.path(clip), -1)
    bench.look()
    bench.ledger.broken = True
    assert [bench.both(), bench.both()] == [(), ()]
    assert len(bench.events.of("ledger_failed")) == 1
    bench.ledger.broken = False
    bench.clock.advance(RETRY_NS)
    assert bench.both() == tuple(clips)
    assert bench.both() == ()


# How fast, and how far


def reads(bench: Bench) -> Iterator[int]:
    """Bytes read in each further second."""
    counted: list[int] = []
    work = bench.scrub._work

    def counting() -> Iterator[int]:
        for size_bytes in work:
            counted.append(size_bytes)
            yield size_bytes

    bench.scrub._work = counting()
    while True:
        counted.clear()
        bench.look()
        yield sum(counted)


def test_no_more_is_read_than_the_rate_allows(bench: Bench) -> None:
    for number in range(8):
        bench.add(number, size_bytes=2_000_000)
    seconds = reads(bench)
    total = [next(seconds) for _ in range(17)]
    assert sum(total) <= 17 * RATE + (1 << 20)
    assert sum(total) >= 8 * 2_000_000
    assert max(total) <= RATE + (1 << 20)
    assert sum(next(seconds) for _ in range(100)) == 0, "until a day later"
    bench.clock.advance(ROUND_EVERY_NS)
    assert next(seconds) > 0


def test_files_that_can_not_be_opened_are_not_passed_over_in_one_go(bench: Bench) -> None:
    for number in range(40):
        bench.add(number, size_bytes=10)
    bench.keys.destroy_compartment("cn", Purpose.SAFETY)
    seconds = reads(bench)
    assert [next(seconds) // OPEN_BYTES for _ in range(3)] == [16, 15, 15]


def test_time_that_passed_without_a_look_is_not_made_up_for(bench: Bench) -> None:
    bench.add(1, size_bytes=9_000_000)
    seconds = reads(bench)
    next(seconds)
    bench.clock.advance(3600 * S)
    assert next(seconds) <= RATE + (1 << 20)


def test_a_round_goes_on_after_a_restart_where_it_was(bench: Bench) -> None:
    for number in range(CLIPS_AT_ONCE + 2):
        bench.add(number, size_bytes=1000)
    last = bench.add(CLIPS_AT_ONCE + 2, size_bytes=3_000_000)
    bench.look(2 * CLIPS_AT_ONCE * OPEN_BYTES // RATE + 2)
    assert decode_scrub_place(bench.journal.state[STATE_KEY]) == (SEALED, f"{CLIPS_AT_ONCE - 1:032x}")
    first = f"{1:032x}"
    flip(bench.path(first), 400)
    flip(bench.path(last), 400)
    bench.start()
    bench.look(10)
    assert bench.both() == (first, last), "ends are read anew, and of such a small file the end is all of it"
    bench.start()
    sound = bench.journal.clips({SEALED})[0].clip_id
    bench.look(10)
    assert decode_scrub_place(bench.journal.state[STATE_KEY]) == (ClipState.CAPTURED, "")
    assert bench.journal.clip(sound) is not None


@given(
    st.sampled_from([ClipState.CAPTURED, SEALED]),
    st.just("") | st.integers(0, 2**128 - 1).map("{:032x}".format),
)
def test_where_a_round_was_is_read_as_it_was_written(state: ClipState, clip_id: str) -> None:
    data = encode_scrub_place(state, clip_id)
    assert data == msgspec.msgpack.encode([1, str(state), clip_id])
    assert decode_scrub_place(data) == (state, clip_id)


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode((1, "dropped", "")),
        msgspec.msgpack.encode((2, "sealed", "")),
        msgspec.msgpack.encode((1, "sealed", "../etc")),
        msgspec.msgpack.encode(("sealed", "f" * 32)),
        msgspec.msgpack.encode(3),
    ],
)
def test_what_can_not_be_read_of_the_last_round_begins_one(bench: Bench, kept: bytes) -> None:
    clip = bench.add(1)
    flip(bench.path(clip), 100_000)
    bench.journal.state[STATE_KEY] = kept
    bench.look()
    assert bench.both() == (clip,)


def test_a_journal_that_can_not_be_read_is_asked_again(bench: Bench) -> None:
    clip = bench.add(1)
    flip(bench.path(clip), -1)
    bench.journal.broken = True
    bench.look(30)
    assert len(bench.events.of("journal_failed")) == 1
    bench.journal.broken = False
    bench.clock.advance(RETRY_NS)
    bench.look()
    assert bench.both() == (clip,)


# Quarantine


def damage(bench: Bench, clip_id: str) -> None:
    flip(bench.path(clip_id), -1)
    bench.start()
    bench.look()
    assert bench.both() == (clip_id,)


def test_a_damaged_file_is_set_aside_as_it_is_and_the_ledger_says_so(bench: Bench) -> None:
    clip = bench.add(1)
    damage(bench, clip)
    kept = bench.folder / "spool" / ".quarantine" / "cn" / "safety" / f"{clip}.sealed"
    (told,) = bench.events.of("damaged")
    assert (told["clip"], told["region"], told["kept"]) == (clip, "cn", str(kept))
    assert kept.exists()
    assert not bench.path(clip).exists()
    assert bench.spool.entries() == frozenset()
    with pytest.raises(SpoolError):
        bench.spool.region("cn").read(Purpose.SAFETY, clip, 0, 1)
    assert [type(entry.fact) for entry in bench.ledger.entries][-1] is Dropped
    assert bench.account() == {clip: Where.GIVEN_UP}


def test_quarantine_is_bounded_and_what_finds_no_place_is_erased(bench: Bench) -> None:
    clips = [bench.add(number, size_bytes=100) for number in range(ASIDE_FILES + 1)]
    for clip in clips:
        flip(bench.path(clip), -1)
    bench.look(3)
    assert bench.both() == tuple(clips)
    assert len(bench.spool.aside()) == ASIDE_FILES
    assert bench.events.of("damaged")[-1]["kept"] == ""
    assert bench.account()[clips[-1]] is Where.NOWHERE


def test_files_too_large_for_quarantine_are_erased(bench: Bench) -> None:
    clip = bench.add(1)
    with bench.path(clip).open("r+b") as file:
        file.truncate(256_000_001)
    bench.look()
    assert bench.both() == (clip,)
    assert bench.account() == {clip: Where.NOWHERE}


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_setting_aside_is_the_same_in_memory_and_on_disk(kind: str, tmp_path: Path) -> None:
    keys = keyed("cn")
    spool = MemorySpool(keys) if kind == "memory" else SpoolFiles(tmp_path, keys)
    clip = "0" * 32
    assert spool.set_aside(at("cn"), clip) == ""
    sealed: SealedClip = spool.put(at("cn"), clip, as_file(b"data"))
    assert spool.set_aside(at("cn"), sealed.clip_id) != ""
    assert (spool.entries(), spool.aside()) == (frozenset(), {(at("cn"), clip)})
    spool.let_go(at("cn"), clip)
    spool.let_go(at("cn"), clip)
    assert spool.aside() == frozenset()
