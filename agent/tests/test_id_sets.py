"""Sets of packed ids: the same as sets."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.clip_ids import pack_ids, unpack_ids
from fsd_agent.rules.id_sets import common, repeated, without

SOME = [bytes(15) + b"\1", b"\1" + bytes(15), bytes(16), b"\xff" * 16, b"\xff" * 15 + b"\0", b"\0\1" * 8]
"""Zeros at the end count, as anywhere."""
IDS = st.sampled_from(SOME).map(bytes.hex)
SETS = st.lists(IDS, unique=True)


@given(SETS, SETS)
def test_they_are_sets(one: list[str], other: list[str]) -> None:
    assert unpack_ids(pack_ids(one)) == one
    assert unpack_ids(common(pack_ids(one), pack_ids(other))) == sorted({*one} & {*other})
    assert unpack_ids(without(pack_ids(one), pack_ids(other))) == [each for each in one if each not in other]


@given(st.lists(IDS))
def test_what_is_there_twice(ids: list[str]) -> None:
    twice = sorted(one for one, count in Counter(ids).items() if count > 1)
    assert unpack_ids(repeated(pack_ids(ids))) == twice
