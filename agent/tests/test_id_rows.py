"""Ids and their rows: the same as a dictionary of them, with columns beside that hold what was put into them."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.rules.id_rows import IdRows, take_out

IDS = [f"{number:032x}" for number in range(40)]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(IDS)), max_size=300), st.integers(0, 90))
def test_they_are_a_dictionary(steps: list[tuple[bool, str]], expected: int) -> None:
    rows, column, plain = IdRows(expected), array("q"), dict[str, int]()
    for step, (adding, clip_id) in enumerate(steps):
        if not adding:
            row = rows.remove(clip_id)
            assert (row is None) == (plain.pop(clip_id, None) is None)
            if row is not None:
                take_out(column, row)
        elif clip_id in plain:
            assert rows.find(clip_id) is not None
        else:
            assert rows.add(clip_id) == len(plain)
            column.append(step)
            plain[clip_id] = step
    found = {clip_id: rows.find(clip_id) for clip_id in IDS}
    assert {clip_id for clip_id, row in found.items() if row is not None} == set(plain)
    assert len(rows) == len(column) == len(plain)
    for row in range(len(rows)):
        assert found[rows.id_of(row)] == row
        assert column[row] == plain[rows.id_of(row)]


def test_many_come_and_go() -> None:
    """Of thousands some share their slots: what stands behind one that goes must be found all the same."""
    rows, ids = (
        IdRows(),
        [f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}" for number in range(5000)],
    )
    assert [rows.add(one) for one in ids] == list(range(5000))
    for one in ids[::2]:
        assert rows.remove(one) is not None
        assert rows.find(one) is None
    assert rows.remove(ids[0]) is None
    assert sorted(rows.id_of(row) for row in range(len(rows))) == sorted(ids[1::2])
    assert all(rows.id_of(row) == one for one in ids[1::2] if (row := rows.find(one)) is not None)
    assert all(rows.find(one) is not None for one in ids[1::2])


@pytest.mark.parametrize("not_one", ["", "00" * 15, "00" * 17])
def test_what_is_no_id_gets_no_row(not_one: str) -> None:
    rows = IdRows()
    with pytest.raises(ValueError, match="16 bytes"):
        rows.add(not_one)
    assert len(rows) == 0


@pytest.mark.parametrize(("row", "left"), [(0, b"ccbb"), (1, b"aacc"), (2, b"aabb")])
def test_the_last_row_takes_the_place_of_one_that_goes(row: int, left: bytes) -> None:
    column = bytearray(b"aabbcc")
    take_out(column, row, 2)
    assert column == left
