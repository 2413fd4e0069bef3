"""Segments are read a block at a time and one block ahead: by whom, how much, and what becomes of faults."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.pipeline.segments import BLOCK_BYTES, HASH_BYTES, Segments
from fsd_agent.pipeline.soundness import AtOnce
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import Purpose
from fsd_agent.wire.transfer import SEGMENT_BYTES

SIZE = 3 * BLOCK_BYTES + 70_000


class Files:
    """A region's spool of clips that are noise, which remembers what it was asked for, and by which thread."""

    def __init__(self) -> None:
        self.reads: list[tuple[str, int]] = []
        self.threads: set[str] = set()
        self.broken: set[int] = set()
        """Offsets that can't be read."""
        self.data = {f"{number:032x}": random.Random(number).randbytes(SIZE) for number in range(2)}

    def row(self, number: int = 0) -> ClipRow:
        clip_id = f"{number:032x}"
        return ClipRow(
            clip_id, "cn", Purpose.SAFETY, ClipState.SEALED, 0, 1, 0, (), (), 0,
            size_bytes=SIZE, sha256=hashlib.sha256(self.data[clip_id]).digest(),
        )  # fmt: skip

    def parts(self, _purpose: Purpose, clip_id: str, offset: int, length: int) -> tuple[bytes, ...]:
        self.reads.append((clip_id, offset))
        self.threads.add(threading.current_thread().name)
        if offset in self.broken:
            raise SpoolError("the disk has an off day")
        found = self.data[clip_id][offset : offset + length]
        first = SEGMENT_BYTES - offset % SEGMENT_BYTES
        cuts = [0, *range(first, len(found), SEGMENT_BYTES), len(found)]
        return tuple(found[low:high] for low, high in pairwise(cuts) if high > low)

    def read(self, purpose: Purpose, clip_id: str, offset: int, length: int) -> bytes:
        return b"".join(self.parts(purpose, clip_id, offset, length))

    def sha256(self, _purpose: Purpose, clip_id: str) -> bytes | None:
        return hashlib.sha256(self.data[clip_id]).digest()

    def erase(self, _purpose: Purpose, clip_id: str) -> None:
        del self.data[clip_id]


class Never(Executor):
    """Has no thread to spare."""

    def __init__(self) -> None:
        self.given: list[Future[Any]] = []

    def submit(self, _fn: Callable[..., Any], /, *_args: Any, **_kwargs: Any) -> Future[Any]:
        self.given.append(Future())
        return self.given[-1]


_wanted = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, SIZE - 1), st.integers(1, 2 * BLOCK_BYTES)), max_size=12
)


@given(_wanted, st.sampled_from([SEGMENT_BYTES, 5_000, 200_000]), st.booleans(), st.booleans())
@settings(max_examples=30, deadline=None)
def test_whatever_is_asked_for_is_got_with_its_hash(
    wanted: list[tuple[int, int, int]], segment_bytes: int, on_grid: bool, never: bool
) -> None:
    files = Files()
    segments = Segments(files, Never() if never else AtOnce(), segment_bytes)
    for number, some, most in wanted:
        row, offset = files.row(number), some - some % segment_bytes if on_grid else some
        length = min(segment_bytes if on_grid else most, SIZE - offset)
        expected = files.data[row.clip_id][offset : offset + length]
        assert segments.get(row, offset, length) == (expected, hashlib.sha256(expected).digest())


def test_hashes_that_are_known_are_not_worked_out() -> None:
    files = Files()
    row, segments = files.row(), Segments(files, AtOnce(), SEGMENT_BYTES)
    known = b"".join(bytes([number]) * HASH_BYTES for number in range(-(-SIZE // SEGMENT_BYTES)))
    for number, offset in enumerate(range(0, SIZE, SEGMENT_BYTES)):
        length = min(SEGMENT_BYTES, SIZE - offset)
        assert segments.get(row, offset, length, known)[1] == bytes([number]) * HASH_BYTES
    data = files.data[row.clip_id][100 : 100 + SEGMENT_BYTES]
    assert segments.get(row, 100, SEGMENT_BYTES, known) == (data, hashlib.sha256(data).digest())


def test_one_block_is_read_ahead_and_no_more_by_a_thread_that_does_nothing_else() -> None:
    files = Files()
    row = files.row()
    with ThreadPoolExecutor(1, "ahead") as ahead:
        segments = Segments(files, ahead, SEGMENT_BYTES)
        segments.get(row, 0, SEGMENT_BYTES)
        ahead.submit(lambda: None).result()
        assert files.reads == [(row.clip_id, 0), (row.clip_id, BLOCK_BYTES)]
        files.threads.clear()
        for offset in range(SEGMENT_BYTES, SIZE, SEGMENT_BYTES):
            ahead.submit(lambda: None).result()
            segments.get(row, offset, min(SEGMENT_BYTES, SIZE - offset))
    assert files.reads == [(row.clip_id, BLOCK_BYTES * number) for number in range(4)]
    assert files.threads == {"ahead_0"}


def test_what_nobody_has_begun_to_read_is_read_by_who_wants_it() -> None:
    files, never = Files(), Never()
    row, segments = files.row(), Segments(files, never, SEGMENT_BYTES)
    for offset in range(0, SIZE, SEGMENT_BYTES):
        segments.get(row, offset, min(SEGMENT_BYTES, SIZE - offset))
    assert files.reads == [(row.clip_id, BLOCK_BYTES * number) for number in range(4)]
    assert len(never.given) == 3
    assert all(future.cancelled() for future in never.given)


def test_a_fault_ahead_is_told_when_that_part_is_wanted_and_it_is_tried_again() -> None:
    files = Files()
    row, segments = files.row(), Segments(files, AtOnce(), SEGMENT_BYTES)
    files.broken.add(BLOCK_BYTES)
    for offset in range(0, BLOCK_BYTES, SEGMENT_BYTES):
        segments.get(row, offset, SEGMENT_BYTES)
    with pytest.raises(SpoolError, match="off day"):
        segments.get(row, BLOCK_BYTES, SEGMENT_BYTES)
    files.broken.clear()
    expected = files.data[row.clip_id][BLOCK_BYTES : BLOCK_BYTES + SEGMENT_BYTES]
    assert segments.get(row, BLOCK_BYTES, SEGMENT_BYTES)[0] == expected


@pytest.mark.parametrize("forget", ["one", "all", "another"])
def test_what_is_forgotten_is_read_anew_ahead_or_not(forget: str) -> None:
    files = Files()
    row, segments = files.row(), Segments(files, AtOnce(), SEGMENT_BYTES)
    segments.get(row, 0, SEGMENT_BYTES)
    if forget == "all":
        segments.forget_all()
    else:
        segments.forget(row.clip_id if forget == "one" else files.row(1).clip_id)
    files.reads.clear()
    for offset in (0, BLOCK_BYTES):
        segments.get(row, offset, SEGMENT_BYTES)
    read = [BLOCK_BYTES * number for number in ((2,) if forget == "another" else (0, 1, 2))]
    assert [offset for _, offset in files.reads] == read


def test_what_was_read_ahead_of_another_file_of_the_clip_is_not_used() -> None:
    files = Files()
    row, segments = files.row(), Segments(files, AtOnce(), SEGMENT_BYTES)
    segments.get(row, 0, SEGMENT_BYTES)
    other = files.data[row.clip_id] = random.Random(9).randbytes(SIZE)
    again = replace(row, sha256=hashlib.sha256(other).digest())
    assert segments.get(again, BLOCK_BYTES, SEGMENT_BYTES)[0] == other[BLOCK_BYTES:][:SEGMENT_BYTES]
