"""Counts of rectangles survive their way through text, and long clips fit all the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.wire.box_counts import MAX_CHARS, BoxCountError, decode_counts, encode_counts

COUNTS = st.lists(st.integers(0, 40), max_size=3000)


def test_a_golden_vector() -> None:
    assert encode_counts(np.array([3] * 12 + [4, 0, 0])) == (1, "3x12,4,0x2")
    assert encode_counts(np.empty(0, np.int64)) == (1, "")
    assert decode_counts("3x12,4,0x2").tolist() == [3] * 12 + [4, 0, 0]
    assert decode_counts("").tolist() == []


@given(COUNTS)
def test_what_is_read_back_is_the_most_of_each_stretch(counts: list[int]) -> None:
    every, text = encode_counts(np.array(counts, np.int64))
    assert len(text) <= MAX_CHARS
    stretches = [max(counts[at : at + every]) for at in range(0, len(counts), every)]
    assert decode_counts(text).tolist() == stretches


def test_a_clip_of_ten_restless_minutes_is_thinned_and_one_that_fits_is_not() -> None:
    restless = np.random.default_rng(1).integers(0, 40, 18_000)
    every, text = encode_counts(restless)
    assert every > 1
    assert len(text) > MAX_CHARS // 4
    assert encode_counts(np.arange(MAX_CHARS // 2 - 1) % 2)[0] == 1


def test_one_character_too_many_halves_the_frames() -> None:
    fits = np.arange(256) % 2
    fits[0] = 10
    every, text = encode_counts(fits)
    assert (every, len(text)) == (1, 512)
    assert encode_counts(np.arange(257) % 2) == (2, "1x128,0")
    assert encode_counts(np.arange(1026) % 4 * 4) == (4, "12x256,4")


@pytest.mark.parametrize("text", ["x", "3x", ",", "3,", "3x2x2", "-1", "3 x2", "1" * 10, "3x12\n"])
def test_what_is_no_list_of_runs_is_refused(text: str) -> None:
    with pytest.raises(BoxCountError, match="is no list of runs"):
        decode_counts(text)


def test_a_text_that_claims_more_than_any_clip_has_is_refused() -> None:
    with pytest.raises(BoxCountError, match="999999999 frames, at most 10000000"):
        decode_counts("1x999999999")
    assert decode_counts("1x9999999,1").shape == (10_000_000,)
