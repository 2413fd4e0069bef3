"""Blocks of sealed files: what is asked of the spool for a clip that is sent, and what is kept of it."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.pipeline.sealed_files import FileAsyncFiles, SealedFiles
from fsd_agent.pipeline.segments import BLOCK_BYTES
from fsd_agent.pipeline.soundness import AtOnce
from fsd_agent.ports.spool import CompartmentKeyError, RegionSpool, SpoolDamagedError
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.uplink.transfer import SendInit, SendSegment
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.file_async import PREFIX_BYTES, decode_init
from fsd_agent.wire.pieces import FileIdentity
from fsd_agent.wire.transfer import SEGMENT_BYTES, VERSION, Init, Topics

SIZE = 3 * BLOCK_BYTES + 70_000


class Asked:
    """A region's spool that remembers what it was asked for."""

    def __init__(self, inner: RegionSpool) -> None:
        self.reads: list[tuple[str, int]] = []
        self.read, self.erase, self.identity = inner.read, inner.erase, inner.identity
        self._parts = inner.parts

    def parts(self, purpose: Purpose, clip_id: str, offset: int, length: int) -> tuple[bytes, ...]:
        self.reads.append((clip_id, offset))
        return self._parts(purpose, clip_id, offset, length)


class Bench:
    """Two clips in one compartment."""

    def __init__(self) -> None:
        self.keys: MemoryVehicleKeys = keyed("cn")
        self.spool = MemorySpool(self.keys)
        self.data = [random.Random(number).randbytes(SIZE) for number in range(2)]
        self.rows = [self._put(number) for number in range(2)]
        self.asked = Asked(self.spool.region("cn"))
        self.files = SealedFiles(self.asked, Topics("cn", "car-1"), AtOnce(), lambda: None, SEGMENT_BYTES)

    def _put(self, number: int) -> ClipRow:
        clip_id, data = f"{number:032x}", self.data[number]
        self.spool.put(at("cn"), clip_id, as_file(data))
        return ClipRow(
            clip_id, "cn", Purpose.SAFETY, ClipState.SEALED, 0, 1, 0, (), (), 0,
            size_bytes=SIZE, sha256=FileIdentity.of(data).sha256,
        )  # fmt: skip

    def segment(self, number: int, offset: int, length: int = SEGMENT_BYTES) -> bytes:
        row = self.rows[number]
        length = min(length, SIZE - offset)
        return self.files.render(SendSegment(row.clip_id, offset, length), row)[1]


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, SIZE - 1), st.integers(1, 2 * BLOCK_BYTES)), max_size=12
    )
)
@settings(max_examples=20, deadline=None)
def test_a_segment_is_the_clips_own_bytes_whatever_was_read_before(
    wanted: list[tuple[int, int, int]],
) -> None:
    bench = Bench()
    for number, offset, length in wanted:
        assert bench.segment(number, offset, length) == bench.data[number][offset : offset + length]


def test_segments_of_one_block_cost_one_read() -> None:
    bench = Bench()
    for offset in range(0, SIZE, SEGMENT_BYTES):
        bench.segment(0, offset)
    assert [offset for _, offset in bench.asked.reads] == [0, BLOCK_BYTES, 2 * BLOCK_BYTES, 3 * BLOCK_BYTES]


def test_a_clip_that_is_erased_or_forgotten_is_not_in_memory_any_more() -> None:
    bench = Bench()
    bench.segment(0, 0)
    bench.keys.destroy_compartment("cn", Purpose.SAFETY)
    assert bench.segment(0, SEGMENT_BYTES) == bench.data[0][SEGMENT_BYTES : 2 * SEGMENT_BYTES]
    bench.files.forget_all()
    with pytest.raises(CompartmentKeyError):
        bench.segment(0, SEGMENT_BYTES)


def test_erasing_a_clip_forgets_its_block_alone() -> None:
    bench = Bench()
    bench.segment(0, 0)
    reads = len(bench.asked.reads)
    bench.files.erase(bench.rows[1])
    bench.segment(0, 0)
    assert len(bench.asked.reads) == reads
    bench.files.erase(bench.rows[0])
    with pytest.raises(Exception, match="no such file"):
        bench.segment(0, 0)


def test_what_was_read_of_a_file_that_is_another_now_is_not_sent() -> None:
    bench = Bench()
    bench.segment(0, 0)
    other = random.Random(7).randbytes(SIZE)
    row = replace(bench.rows[0], sha256=FileIdentity.of(other).sha256)
    bench.spool.put(at("cn"), row.clip_id, as_file(other))
    assert bench.files.is_sound(row)
    assert bench.segment(0, 0) == other[:SEGMENT_BYTES]


@pytest.mark.parametrize("segment_bytes", [SEGMENT_BYTES, 5_000, 200_000])
def test_the_file_convention_is_told_of_each_segment_beforehand(segment_bytes: int) -> None:
    bench = Bench()
    row, data = bench.rows[1], bench.data[1]
    files = FileAsyncFiles(bench.asked, Topics("cn", "car-1"), AtOnce(), lambda: None, segment_bytes)
    assert files.is_sound(row)
    question = Init(v=VERSION, ask=1, size=SIZE, sha256=row.sha256, segment_bytes=segment_bytes)
    _, payload = files.render(SendInit(row.clip_id, question), row)
    segments = [data[low : low + segment_bytes] for low in range(0, SIZE, segment_bytes)]
    expected = b"".join(hashlib.sha256(one).digest()[:PREFIX_BYTES] for one in segments)
    assert decode_init(payload).user_data.segments == expected


@pytest.mark.parametrize("doubted", [False, True])
def test_a_segment_goes_under_its_own_hash_however_that_was_found(doubted: bool) -> None:
    bench = Bench()
    row, data = bench.rows[0], bench.data[0]
    assert bench.files.is_sound(row, doubted=doubted)
    for offset in range(0, SIZE, SEGMENT_BYTES):
        segment = data[offset : offset + SEGMENT_BYTES]
        topic, payload = bench.files.render(SendSegment(row.clip_id, offset, len(segment)), row)
        assert payload == segment
        assert topic == Topics("cn", "car-1").segment(row.clip_id, offset, hashlib.sha256(segment).digest())


def test_a_file_that_says_what_it_is_is_not_read_before_it_is_sent() -> None:
    bench = Bench()
    assert bench.files.is_sound(bench.rows[0])
    assert bench.asked.reads == []
    bench.segment(0, 0)
    assert bench.asked.reads == [(bench.rows[0].clip_id, 0)]


@pytest.mark.parametrize("why", ["doubted", "says nothing", "says it is another", "every hash is wanted"])
def test_all_of_a_file_is_read_where_its_word_is_not_enough(why: str) -> None:
    bench = Bench()
    row, files = bench.rows[0], bench.files
    if why == "says nothing":
        bench.spool.version = 1
        sealed = bench.spool.put(at("cn"), row.clip_id, as_file(bench.data[0]))
        row = replace(row, sha256=sealed.sha256)
    if why == "says it is another":
        bench.spool.put(at("cn"), row.clip_id, as_file(bytes(SIZE)))
        with pytest.raises(SpoolDamagedError, match="SHA-256 of the file is not that of what was sealed"):
            files.is_sound(row)
    else:
        if why == "every hash is wanted":
            files = FileAsyncFiles(bench.asked, Topics("cn", "car-1"), AtOnce(), lambda: None, SEGMENT_BYTES)
        assert files.is_sound(row, doubted=why == "doubted")
    assert [offset for _, offset in bench.asked.reads[:4]] == [0, *(BLOCK_BYTES * n for n in (1, 2, 3))]


def test_damage_inside_a_file_that_says_what_it_is_is_found_before_it_is_sent() -> None:
    bench = Bench()
    row = bench.rows[0]
    place = at("cn"), row.clip_id
    content = bytearray(bench.spool.files[place])
    content[2 * BLOCK_BYTES + BLOCK_BYTES // 2] ^= 1
    bench.spool.files[place] = bytes(content)
    assert bench.files.is_sound(row)
    assert bench.segment(0, BLOCK_BYTES) == bench.data[0][BLOCK_BYTES:][:SEGMENT_BYTES]
    with pytest.raises(SpoolDamagedError, match="piece 39 is damaged"):
        bench.segment(0, 2 * BLOCK_BYTES)


def test_a_file_that_became_shorter_is_found_damaged_where_it_ends() -> None:
    bench = Bench()
    row = bench.rows[0]
    bench.spool.put(at("cn"), row.clip_id, as_file(bench.data[0][:BLOCK_BYTES]))
    assert bench.segment(0, 0) == bench.data[0][:SEGMENT_BYTES]
    with pytest.raises(SpoolDamagedError, match=f"file ends before byte {BLOCK_BYTES + SEGMENT_BYTES}"):
        bench.segment(0, BLOCK_BYTES)


def test_a_file_whose_hash_is_damaged_is_damaged() -> None:
    bench = Bench()
    row = bench.rows[0]
    place = at("cn"), row.clip_id
    bench.spool.files[place] = bench.spool.files[place][:-1]
    for doubted in (False, True):
        with pytest.raises(SpoolDamagedError, match="its hashes are damaged, cut short"):
            bench.files.is_sound(row, doubted=doubted)
