"""The clips that a ledger's state holds, in columns: the same as a dictionary of them."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.clip_ids import unpack_ids
from fsd_agent.records.ledger import LiveClip
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.audit.live import LiveClips

IDS = st.sampled_from([f"{number:032x}" for number in range(4)])
CLIPS = st.builds(
    LiveClip,
    clip_id=IDS,
    region_id=st.sampled_from(["cn", "eu"]),
    purpose=st.none() | st.sampled_from(Purpose),
    since=st.integers(0, 3) | st.integers(0, 2**63 - 1),
    staged=st.booleans(),
    sealed=st.booleans(),
    redacted=st.booleans(),
    sent=st.booleans(),
    receipted=st.booleans(),
    dropped=st.sampled_from(["", "disk_full"]),
    vehicle=st.sampled_from(["", "car-1"]),
    sha256=st.sampled_from([b"", bytes(32), bytes(range(1, 33)), b"\0\1"]),
)


@given(st.lists(CLIPS | IDS, max_size=12))
def test_they_are_what_was_put_and_not_removed(steps: list[LiveClip | str]) -> None:
    columns, plain = LiveClips(), dict[str, LiveClip]()
    for step in steps:
        if isinstance(step, LiveClip):
            columns.put(step)
            plain[step.clip_id] = step
        else:
            columns.remove(step)
            plain.pop(step, None)
        assert [columns.get(f"{number:032x}") for number in range(4)] == [
            plain.get(f"{number:032x}") for number in range(4)
        ]
    oldest_first = sorted(plain.values(), key=lambda clip: (clip.since, clip.clip_id))
    assert (len(columns), list(columns)) == (len(plain), oldest_first)
    assert unpack_ids(columns.oldest_first()) == [clip.clip_id for clip in oldest_first]
    for region_id in ("cn", "eu"):
        resting = {
            clip.clip_id
            for clip in oldest_first
            if clip.region_id == region_id
            and clip.sealed
            and not (clip.staged or clip.dropped or clip.receipted)
        }
        assert set(unpack_ids(columns.at_rest().get(region_id, b""))) == resting
    assert columns == LiveClips(plain.values())
    assert (columns == LiveClips()) is (not plain)
    assert columns != plain


@given(st.lists(CLIPS, min_size=1, max_size=4, unique_by=lambda clip: clip.clip_id), CLIPS)
def test_two_are_equal_only_with_the_same_clips(clips: list[LiveClip], other: LiveClip) -> None:
    same = LiveClips(clips[::-1])
    assert LiveClips(clips) == same
    same.put(other)
    assert (LiveClips(clips) == same) is (other in clips)


def test_what_is_too_long_to_be_a_hash_is_refused_and_nothing_is_changed() -> None:
    clip = LiveClip("0" * 32, "cn", Purpose.SAFETY, 1, sha256=bytes(33))
    columns = LiveClips()
    with pytest.raises(ValueError, match="a hash of 33 bytes"):
        columns.put(clip)
    assert list(columns) == []
    assert columns == LiveClips()


def test_tens_of_thousands_take_less_than_a_hundred_bytes_each() -> None:
    """Of Python's own memory, where dictionaries and tuples of them took 200 and more."""
    many = [
        LiveClip(f"{number:032x}", "cn", Purpose.SAFETY, number, vehicle="car-1", sha256=bytes(32))
        for number in range(20_000)
    ]
    tracemalloc.start()
    try:
        columns = LiveClips(many)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(columns) == len(many)
    assert held_bytes < 100 * len(many)
