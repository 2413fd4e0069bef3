"""Segments are read a block at a time: how often, how much, and what becomes of faults."""

from __future__ import annotations

import hashlib
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.pipeline.segments import BLOCK_BYTES, Segments
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import Purpose
from fsd_agent.wire.pieces import HASH_BYTES, FileIdentity
from fsd_agent.wire.transfer import SEGMENT_BYTES

SIZE = 3 * BLOCK_BYTES + 70_000


class Files:
    """A region's spool of clips that are noise, which remembers what it was asked for."""

    def __init__(self) -> None:
        self.reads: list[tuple[str, int]] = []
        self.broken: set[int] = set()
        """Offsets that can't be read."""
        self.data = {f"{number:032x}": random.Random(number).randbytes(SIZE) for number in range(2)}

    def row(self, number: int = 0) -> ClipRow:
        clip_id = f"{number:032x}"
        return ClipRow(
            clip_id, "cn", Purpose.SAFETY, ClipState.SEALED, 0, 1, 0, (), (), 0,
            size_bytes=SIZE, sha256=FileIdentity.of(self.data[clip_id]).sha256,
        )  # fmt: skip

    def parts(self, _purpose: Purpose, clip_id: str, offset: int, length: int) -> tuple[bytes, ...]:
        self.reads.append((clip_id, offset))
        if offset in self.broken:
            raise SpoolError("the disk has an off day")
        found = self.data[clip_id][offset : offset + length]
        first = SEGMENT_BYTES - offset % SEGMENT_BYTES
        cuts = [0, *range(first, len(found), SEGMENT_BYTES), len(found)]
        return tuple(found[low:high] for low, high in pairwise(cuts) if high > low)

    def read(self, purpose: Purpose, clip_id: str, offset: int, length: int) -> bytes:
        return b"".join(self.parts(purpose, clip_id, offset, length))

    def identity(self, _purpose: Purpose, clip_id: str) -> FileIdentity | None:
        return FileIdentity.of(self.data[clip_id])

    def erase(self, _purpose: Purpose, clip_id: str) -> None:
        del self.data[clip_id]


_wanted = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, SIZE - 1), st.integers(1, 2 * BLOCK_BYTES)), max_size=12
)


@given(_wanted, st.sampled_from([SEGMENT_BYTES, 5_000, 200_000]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_whatever_is_asked_for_is_got_with_its_hash(
    wanted: list[tuple[int, int, int]], segment_bytes: int, on_grid: bool
) -> None:
    files = Files()
    segments = Segments(files, segment_bytes)
    for number, some, most in wanted:
        row, offset = files.row(number), some - some % segment_bytes if on_grid else some
        length = min(segment_bytes if on_grid else most, SIZE - offset)
        expected = files.data[row.clip_id][offset : offset + length]
        assert segments.get(row, offset, length) == (expected, hashlib.sha256(expected).digest())


def test_hashes_that_are_known_are_not_worked_out() -> None:
    files = Files()
    row, segments = files.row(), Segments(files, SEGMENT_BYTES)
    known = b"".join(bytes([number]) * HASH_BYTES for number in range(-(-SIZE // SEGMENT_BYTES)))
    for number, offset in enumerate(range(0, SIZE, SEGMENT_BYTES)):
        length = min(SEGMENT_BYTES, SIZE - offset)
        assert segments.get(row, offset, length, known)[1] == bytes([number]) * HASH_BYTES
    data = files.data[row.clip_id][100 : 100 + SEGMENT_BYTES]
    assert segments.get(row, 100, SEGMENT_BYTES, known) == (data, hashlib.sha256(data).digest())


def test_a_block_is_read_once_and_one_is_kept() -> None:
    files = Files()
    row, segments = files.row(), Segments(files, SEGMENT_BYTES)
    for offset in range(0, SIZE, SEGMENT_BYTES):
        segments.get(row, offset, min(SEGMENT_BYTES, SIZE - offset))
    assert files.reads == [(row.clip_id, BLOCK_BYTES * number) for number in range(4)]
    segments.get(row, 0, SEGMENT_BYTES)
    assert files.reads[4:] == [(row.clip_id, 0)]


def test_a_block_that_could_not_be_read_is_tried_again() -> None:
    files = Files()
    row, segments = files.row(), Segments(files, SEGMENT_BYTES)
    files.broken.add(BLOCK_BYTES)
    segments.get(row, 0, SEGMENT_BYTES)
    with pytest.raises(SpoolError, match="off day"):
        segments.get(row, BLOCK_BYTES, SEGMENT_BYTES)
    files.broken.clear()
    expected = files.data[row.clip_id][BLOCK_BYTES : BLOCK_BYTES + SEGMENT_BYTES]
    assert segments.get(row, BLOCK_BYTES, SEGMENT_BYTES)[0] == expected


@pytest.mark.parametrize("forget", ["one", "all", "another"])
def test_what_is_forgotten_is_read_anew(forget: str) -> None:
    files = Files()
    row, segments = files.row(), Segments(files, SEGMENT_BYTES)
    segments.get(row, 0, SEGMENT_BYTES)
    if forget == "all":
        segments.forget_all()
    else:
        segments.forget(row.clip_id if forget == "one" else files.row(1).clip_id)
    files.reads.clear()
    segments.get(row, 0, SEGMENT_BYTES)
    assert [offset for _, offset in files.reads] == ([] if forget == "another" else [0])
