"""The ledger on disk: what is told survives, torn ends are cut off and said, damage is refused, size is bounded."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.reserve_file import RESERVE_BYTES
from fsd_agent.ports.ledger import Ledger, LedgerDamagedError, LedgerError, LedgerFullError
from fsd_agent.records.clip_ids import pack_ids
from fsd_agent.records.ledger import (
    Cause,
    Checkpoint,
    Copy,
    Erased,
    Fact,
    LiveClip,
    Repaired,
    SegmentRemoved,
    Started,
)
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.audit.chain import Examined, examine
from fsd_agent.rules.audit.writer import LEDGER_LIMITS, LedgerLimits
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.decisions import Decisions, clip_id_of
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.regions import sample_region
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.ledger import sign_value
from fsd_agent.wire.ledger_file import encode_start, read_segment

KEYS = MemoryVehicleKeys()
DO = Decisions(sample_region("cn"))
SMALL = LedgerLimits(segment_bytes=4000, keep_bytes=9000, most_bytes=20_000)


def ledger_in(
    folder: Path, events: RememberedEvents | None = None, limits: LedgerLimits = LEDGER_LIMITS
) -> LedgerFiles:
    return LedgerFiles(
        folder, keys=KEYS, clock=ManualClock(), events=events or RememberedEvents(), limits=limits
    )


def audited(folder: Path) -> Examined:
    segments = [(path.name, read_segment(path.read_bytes())) for path in segment_paths(folder)]
    return examine(segments, {KEYS.device_key_id(): KEYS.device_public_key})


def facts_in(folder: Path) -> list[Fact]:
    return [located.entry.fact for located in audited(folder).records]


@pytest.fixture(params=["memory", "files"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    clock = ManualClock()
    return (
        MemoryLedger(keys=KEYS, clock=clock) if request.param == "memory" else ledger_in(tmp_path / "ledger")
    )


def test_heads_and_live_clips(ledger: Ledger) -> None:
    first, second = clip_id_of(1), clip_id_of(2)
    start = ledger.head().value.size
    *to_sealed, receipted, erased = DO.life(first)
    ledger.append(*to_sealed)
    ledger.append(DO.fired(second))
    assert ledger.at_rest() == {"cn": pack_ids([first])}
    ledger.append(receipted)
    head = ledger.head()
    head.verify(KEYS.device_public_key)
    assert head.value.size == start + 9
    clips = list(ledger.live())
    assert [clip.clip_id for clip in clips] == [first, second]
    assert (clips[0].staged, clips[0].sealed, clips[0].receipted) == (False, True, True)
    assert [clip.clip_id for clip in ledger.live(but=pack_ids([first]))] == [second]
    assert not any(ledger.at_rest().values())  # The journal may not know of the receipt
    going = ledger.live()
    ledger.append(erased)
    assert [clip.clip_id for clip in going] == [second], "what ends meanwhile is left out"
    assert [clip.clip_id for clip in ledger.live()] == [second]
    assert not any(ledger.at_rest().values())
    assert ledger.head().value.root != head.value.root
    assert ledger.trim(10**9) == 0
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.append(DO.registered())


def test_a_fact_that_can_not_be_read_again_is_refused_whole(ledger: Ledger) -> None:
    size = ledger.head().value.size
    bad = Erased("not an id", "cn", Copy.SEALED, Cause.RECEIPTED)
    with pytest.raises(LedgerError, match="clip_id"):
        ledger.append(DO.registered(), bad)
    assert ledger.head().value.size == size


def test_a_restart_goes_on_where_it_ended(tmp_path: Path) -> None:
    for run in range(3):
        ledger = ledger_in(tmp_path)
        ledger.append(*DO.life(clip_id_of(run)))
        ledger.close()
    found = audited(tmp_path)
    assert not found.findings
    assert found.size == found.signed_size == 30
    assert sum(isinstance(fact, Started) for fact in facts_in(tmp_path)) == 3


def test_a_torn_end_is_cut_at_every_byte_and_said(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path / "whole")
    ledger.append(DO.registered())
    ledger.append(DO.fired(clip_id_of(1)))
    (path,) = segment_paths(tmp_path / "whole")
    before = path.stat().st_size
    ledger.append(DO.redacted(clip_id_of(1)))  # lazy: nobody was told that it is durable
    whole = path.read_bytes()
    for length in range(before + 1, len(whole)):
        folder, events = tmp_path / str(length), RememberedEvents()
        folder.mkdir()
        (folder / path.name).write_bytes(whole[:length])
        assert [str(one.kind) for one in audited(folder).findings] == ["torn"]
        ledger_in(folder, events).close()
        (told,) = events.of("ledger_repaired")
        assert told["cut_bytes"] == length - before
        assert told["file"] == str(folder / path.name)
        assert "behind record 2" in str(told["what"])
        assert facts_in(folder)[3:] == [Repaired(length - before), facts_in(folder)[0]]
        assert not audited(folder).findings


def test_zeros_and_a_missing_page_in_what_was_not_confirmed_are_a_torn_end_too(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    ledger.append(DO.fired(clip_id_of(1)))
    (path,) = segment_paths(tmp_path)
    before = path.stat().st_size
    ledger.append(DO.redacted(clip_id_of(1)))
    ledger.append(DO.firing_dropped())
    data = bytearray(path.read_bytes())
    data[before : before + 100] = bytes(100)
    path.write_bytes(bytes(data) + bytes(512))
    events = RememberedEvents()
    ledger_in(tmp_path, events).close()
    (told,) = events.of("ledger_repaired")
    assert told["cut_bytes"] == len(data) + 512 - before
    assert not audited(tmp_path).findings


def test_damage_to_what_was_confirmed_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    ledger.append(DO.registered())
    (path,) = segment_paths(tmp_path)
    start = path.stat().st_size
    ledger.append(DO.fired(clip_id_of(1)))
    end = path.stat().st_size
    ledger.append(DO.redacted(clip_id_of(1)))  # lazy, and still it says what was confirmed before it
    whole = path.read_bytes()
    for offset in range(start, end):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x04
        path.write_bytes(damaged)
        with pytest.raises(LedgerDamagedError, match=f"{path.name}: record 2 was confirmed and is damaged"):
            ledger_in(tmp_path)
        assert path.read_bytes() == damaged


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / f"{0:020}.ledger"
    for content in (b"", b"hello", b"FSDLEDG1\x00\x00\x00\x05hello", b"FSDLEDG1\xff\xff\xff\xff"):
        path.write_bytes(content)
        with pytest.raises(LedgerDamagedError, match=str(path)):
            ledger_in(tmp_path)


def test_damage_to_a_closed_file_does_not_stop_recording_and_is_found(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, limits=SMALL)
    for number in range(8):
        ledger.append(*DO.life(clip_id_of(number)))
    ledger.close()
    oldest = segment_paths(tmp_path)[0]
    data = bytearray(oldest.read_bytes())
    data[-700] ^= 1
    oldest.write_bytes(data)
    again = ledger_in(tmp_path, limits=SMALL)
    again.append(DO.registered())
    again.close()
    assert {one.file for one in audited(tmp_path).findings} == {oldest.name}


def test_a_checkpoint_that_says_something_else_than_the_records_is_found(tmp_path: Path) -> None:
    """Signed by the device itself: what it says of removed records must once have been true of them."""
    ledger = ledger_in(tmp_path, limits=SMALL)
    for number in range(4):
        ledger.append(*DO.life(clip_id_of(number)))
    ledger.append(DO.fired(clip_id_of(9)))
    for number in range(10, 14):
        ledger.append(*DO.life(clip_id_of(number)))
    ledger.close()
    newest = segment_paths(tmp_path)[-1]
    segment = read_segment(newest.read_bytes())
    true = segment.checkpoint.value
    assert [clip.clip_id for clip in true.live] == [clip_id_of(9)]
    for lie in (
        replace(true, live=()),
        replace(true, counts=true.counts[1:]),
        replace(true, since_wall_ns=5),
    ):
        start = encode_start(sign_value(lie, KEYS.sign))
        newest.write_bytes(start + b"".join(frame.signed + frame.check for frame in segment.frames))
        assert [(str(one.kind), one.file) for one in audited(tmp_path).findings] == [
            ("bad_file", newest.name)
        ]


def test_size_is_bounded_by_checkpoints_that_a_region_knows(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, limits=SMALL)
    staying = clip_id_of(999)
    ledger.append(DO.fired(staying), DO.redacted(staying))
    for number in range(12):
        ledger.append(*DO.life(clip_id_of(number)))
    many = len(segment_paths(tmp_path))
    assert many > 4
    known = ledger.head().value.size
    assert ledger.trim(0) == 0 or sum(path.stat().st_size for path in segment_paths(tmp_path)) > 9000
    assert ledger.trim(known) > 0
    sizes = [path.stat().st_size for path in segment_paths(tmp_path)]
    assert sum(sizes) < SMALL.keep_bytes + SMALL.segment_bytes
    found = audited(tmp_path)
    assert not found.findings
    assert found.first > 0
    assert found.tree().root(found.size) == ledger.head().value.root
    removals = [fact for fact in facts_in(tmp_path) if isinstance(fact, SegmentRemoved)]
    assert removals[-1].acknowledged
    assert removals[-1].size == found.first
    assert [clip.clip_id for clip in ledger.live()] == [staying]
    ledger.append(*DO.life(staying)[3:])
    ledger.close()
    again = ledger_in(tmp_path, limits=SMALL)
    assert list(again.live()) == []


def fill_to(folder: Path, ledger: LedgerFiles, size_bytes: int) -> None:
    """Its segments are a little larger together; no clip stays."""
    number = 0
    while sum(path.stat().st_size for path in segment_paths(folder)) <= size_bytes:
        ledger.append(*DO.life(clip_id_of(number := number + 1)))


def begin_otherwise(path: Path, lie: Callable[[Checkpoint], Checkpoint]) -> None:
    """A segment whose checkpoint, signed by the device, is another: what a fault in its memory would have left."""
    segment = read_segment(path.read_bytes())
    start = encode_start(sign_value(lie(segment.checkpoint.value), KEYS.sign))
    path.write_bytes(start + b"".join(frame.signed + frame.check for frame in segment.frames))


@pytest.mark.parametrize(
    "lie",
    [
        lambda true: replace(true, live=true.live[1:]),
        lambda true: replace(true, live=(*true.live, LiveClip(clip_id_of(7777), "cn", Purpose.SAFETY, 1))),
        lambda true: replace(true, live=(true.live[0]._replace(redacted=False), *true.live[1:])),
        lambda true: replace(true, counts=true.counts[1:]),
        lambda true: replace(true, consent=()),
    ],
    ids=["a clip less", "a clip more", "another clip", "other counts", "no consent"],
)
def test_a_segment_stays_where_the_next_does_not_say_all_that_it_says(
    tmp_path: Path, lie: Callable[[Checkpoint], Checkpoint]
) -> None:
    ledger = ledger_in(tmp_path, limits=SMALL)
    ledger.append(DO.fired(clip_id_of(999)), DO.redacted(clip_id_of(999)))
    ledger.append(DO.fired(clip_id_of(998)))
    fill_to(tmp_path, ledger, SMALL.keep_bytes)
    oldest, following = segment_paths(tmp_path)[:2]
    begin_otherwise(following, lie)
    assert ledger.trim(10**9) == 0
    assert oldest.exists()
    number = 1000
    while oldest.exists():
        ledger.append(*DO.life(clip_id_of(number := number + 1)))
        ledger.trim(10**9)
    removals = [fact for fact in facts_in(tmp_path) if isinstance(fact, SegmentRemoved)]
    assert [removal.acknowledged for removal in removals if removal.first == 0] == [False], (
        "there was no room left"
    )
    ledger.close()


def test_a_segment_that_is_damaged_stays_for_as_long_as_there_is_room(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, limits=SMALL)
    fill_to(tmp_path, ledger, SMALL.keep_bytes + 2000)
    oldest = segment_paths(tmp_path)[0]
    whole = oldest.read_bytes()
    for damaged in (whole[:-1], whole[:-300] + bytes([whole[-300] ^ 1]) + whole[-299:], b"", whole[:20]):
        oldest.write_bytes(damaged)
        ledger.close()
        ledger = ledger_in(tmp_path, limits=SMALL)
        assert ledger.trim(10**9) == 0
    oldest.write_bytes(whole)
    ledger.close()
    ledger = ledger_in(tmp_path, limits=SMALL)
    assert ledger.trim(10**9) > 0
    ledger.close()


def test_nobody_acknowledges_the_hard_bound_holds_and_says_so(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, limits=SMALL)
    for number in range(40):
        ledger.append(*DO.life(clip_id_of(number)))
        ledger.trim(0)
    ledger.close()
    assert (
        sum(path.stat().st_size for path in segment_paths(tmp_path)) <= SMALL.most_bytes + SMALL.segment_bytes
    )
    removals = [fact for fact in facts_in(tmp_path) if isinstance(fact, SegmentRemoved)]
    assert removals
    assert not any(removal.acknowledged for removal in removals)
    assert not audited(tmp_path).findings


def test_a_removal_that_a_power_cut_stopped_is_made_up_for(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, limits=SMALL)
    for number in range(12):
        ledger.append(*DO.life(clip_id_of(number)))
    before = {path: path.read_bytes() for path in segment_paths(tmp_path)}
    assert ledger.trim(10**9) > 0
    ledger.close()
    left = segment_paths(tmp_path)
    for path in before.keys() - set(left):
        path.write_bytes(before[path])
    assert not audited(tmp_path).findings
    ledger_in(tmp_path, limits=SMALL).close()
    assert segment_paths(tmp_path) == left


def fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_disk_takes_nothing_back_and_erasing_can_still_be_recorded(small_disk: Path) -> None:
    ledger = ledger_in(small_disk / "ledger")
    ledger.append(DO.registered())
    fill(small_disk / "filler")
    taken = 0
    with pytest.raises(LedgerFullError, match="No space left"):  # noqa: PT012 - the last page has some room
        for number in range(100):
            ledger.append(DO.fired(clip_id_of(number)))
            taken += 1
    for number in range(500):  # what gives room
        clip = clip_id_of(1000 + number)
        ledger.append(DO.dropped(clip), DO.erased(clip, Copy.STAGED, Cause.DROPPED))
    assert not (small_disk / "ledger" / "reserve").exists()
    with pytest.raises(LedgerFullError):  # room for them is for nobody else
        ledger.append(*(DO.fired(clip_id_of(number)) for number in range(5000)))
    (small_disk / "filler").unlink()
    ledger.append(DO.fired(clip_id_of(5000)))
    ledger.head()
    assert (small_disk / "ledger" / "reserve").stat().st_size == RESERVE_BYTES
    ledger.close()
    found = audited(small_disk / "ledger")
    assert not found.findings
    assert found.size == 2 + taken + 1000 + 1


def test_a_file_that_can_not_be_begun_leaves_the_one_before(small_disk: Path) -> None:
    ledger = ledger_in(small_disk / "ledger", limits=LedgerLimits(segment_bytes=1))
    fill(small_disk / "filler")
    with pytest.raises(LedgerFullError, match="No space left"):
        ledger.append(DO.fired(clip_id_of(1)))
    assert len(segment_paths(small_disk / "ledger")) == 1
    (small_disk / "filler").unlink()
    ledger.append(DO.fired(clip_id_of(1)))
    ledger.close()
    assert not audited(small_disk / "ledger").findings
    assert len(segment_paths(small_disk / "ledger")) == 2


def test_a_file_that_was_begun_and_not_confirmed_is_the_end_of_the_one_before(tmp_path: Path) -> None:
    syncs = []

    def datasync(descriptor: int) -> None:
        syncs.append(descriptor)
        if len(syncs) == 4:  # opened, started, the old file before the new one, the new one
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(descriptor)

    ledger = LedgerFiles(
        tmp_path,
        keys=KEYS,
        clock=ManualClock(),
        events=RememberedEvents(),
        limits=LedgerLimits(segment_bytes=1),
        datasync=datasync,
    )
    with pytest.raises(LedgerError, match="Input/output error"):
        ledger.append(DO.registered())
    with pytest.raises(LedgerError, match="begun and could not be opened"):
        ledger.append(DO.registered())
    ledger.close()
    again = ledger_in(tmp_path)
    again.append(DO.registered())
    again.close()
    found = audited(tmp_path)
    assert not found.findings
    assert found.size == 3


def test_after_a_failed_sync_nothing_is_believed(tmp_path: Path) -> None:
    broken = []

    def datasync(descriptor: int) -> None:
        if broken:
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(descriptor)

    ledger = LedgerFiles(
        tmp_path, keys=KEYS, clock=ManualClock(), events=RememberedEvents(), datasync=datasync
    )
    ledger.append(DO.registered())
    size = ledger.head().value.size
    broken.append(True)
    with pytest.raises(LedgerError, match="Input/output error"):
        ledger.append(DO.fired(clip_id_of(1)))
    broken.clear()
    for act in (lambda: ledger.append(DO.registered()), ledger.head, lambda: ledger.trim(0) or ledger.sync()):
        with pytest.raises(LedgerError, match="an fsync failed earlier"):
            act()
    ledger.close()
    again = ledger_in(tmp_path)
    assert again.head().value.size in {size + 1, size + 2}
    assert not audited(tmp_path).findings


def test_a_killed_process_loses_nothing(tmp_path: Path, kill_after_lines: Callable[..., list[str]]) -> None:
    code = """
import sys
from pathlib import Path
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.decisions import Decisions, clip_id_of
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.regions import sample_region
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
do = Decisions(sample_region("cn"))
ledger = LedgerFiles(Path(sys.argv[1]), keys=MemoryVehicleKeys(), clock=ManualClock(), events=RememberedEvents())
number = 0
while True:
    number += 1
    ledger.append(do.fired(clip_id_of(number)))
    print(clip_id_of(number), flush=True)
"""
    told = kill_after_lines(code, 50, str(tmp_path))
    ledger = ledger_in(tmp_path)
    assert [clip.clip_id for clip in ledger.live()][: len(told)] == told
    ledger.close()
    assert not audited(tmp_path).findings


def test_a_checkpoint_that_contradicts_itself_is_found(tmp_path: Path) -> None:
    """Where nothing is left of the records before it, its own parts must fit each other."""
    ledger = ledger_in(tmp_path, limits=SMALL)
    for number in range(4):
        ledger.append(*DO.life(clip_id_of(number)))
    ledger.close()
    oldest, *_, newest = segment_paths(tmp_path)
    live = LiveClip(clip_id_of(1), "cn", Purpose.SAFETY, 0)
    for path, lies in (
        (oldest, {"live": (live,)}),
        (newest, {"peaks": ()}),
        (newest, {"peaks": tuple(reversed(read_segment(newest.read_bytes()).checkpoint.value.peaks))}),
    ):
        segment = read_segment(path.read_bytes())
        start = encode_start(sign_value(replace(segment.checkpoint.value, **lies), KEYS.sign))
        alone = read_segment(start + b"".join(frame.signed + frame.check for frame in segment.frames))
        said = examine([(path.name, alone)], {KEYS.device_key_id(): KEYS.device_public_key}).findings
        assert "bad_file" in [str(one.kind) for one in said], lies


def test_a_ledger_that_nobody_has_any_more_holds_no_descriptor(tmp_path: Path) -> None:
    def held() -> int:
        opened = [one.resolve() for one in list(Path("/proc/self/fd").iterdir())]
        return sum(path.is_relative_to(tmp_path) for path in opened)

    ledger = ledger_in(tmp_path)
    assert held() == 1
    del ledger
    gc.collect()
    assert held() == 0
