"""Pixelation: a few cells, each of its rounded mean, and of no pixel more can be told."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_firmware.pixelate import CELLS, SMALLEST_PX, STEP, cell_edges, pairs_of, pixelate


@given(start=st.integers(0, 900), pairs=st.integers(1, 900))
def test_cells_are_few_none_is_small_and_together_they_are_the_whole(start: int, pairs: int) -> None:
    edges = cell_edges(start, start + pairs)
    assert (edges[0], edges[-1]) == (start, start + pairs)
    sides = np.diff(edges) * 2
    assert 1 <= sides.size <= CELLS
    assert sides.size == 1 or sides.min() >= SMALLEST_PX - 2
    assert sides.max() - sides.min() <= 2


@given(
    seed=st.integers(0, 99),
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    colours=st.sampled_from([0, 3]),
)
def test_a_cell_is_the_rounded_mean_of_what_was_there(
    seed: int, rows: int, columns: int, colours: int
) -> None:
    shape = (rows, columns, colours) if colours else (rows, columns)
    before = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    after = before.copy()
    down, across = cell_edges(0, (rows + 1) // 2) * 2, cell_edges(0, (columns + 1) // 2) * 2
    pixelate(after, down, across)
    for top, bottom in itertools.pairwise(down):
        for left, right in itertools.pairwise(across):
            cell, was = after[top:bottom, left:right], before[top:bottom, left:right]
            if not cell.size:
                continue
            assert (cell == cell[0, 0]).all()
            wanted = np.minimum(np.rint(was.mean(axis=(0, 1), dtype=np.float64) / STEP) * STEP, 255)
            assert np.abs(cell[0, 0] - wanted).max() in {0, STEP, STEP - 1}  # a mean may lie in the middle
            assert ((cell[0, 0] % STEP == 0) | (cell[0, 0] == 255)).all()


def test_what_lies_beside_stays() -> None:
    before = np.random.default_rng(3).integers(0, 256, (60, 80), np.uint8)
    after = before.copy()
    pixelate(after, cell_edges(5, 15) * 2, cell_edges(10, 30) * 2)
    assert (after[10:30, 20:60] != before[10:30, 20:60]).mean() > 0.8
    after[10:30, 20:60] = before[10:30, 20:60]
    assert (after == before).all()


def test_planes_of_half_the_size_have_their_cells_in_the_same_places() -> None:
    across = cell_edges(7, 20)
    luma, chroma = np.zeros((40, 60), np.uint8), np.zeros((20, 30), np.uint8)
    luma[:], chroma[:] = np.arange(60) * 4, np.arange(30) * 8
    pixelate(luma, np.array([0, 40]), 2 * across)
    pixelate(chroma, np.array([0, 20]), across)
    assert (np.flatnonzero(np.diff(luma[0, 14:40])) + 15).tolist() == (2 * across[1:-1]).tolist()
    assert (np.flatnonzero(np.diff(chroma[0, 7:20])) + 8).tolist() == across[1:-1].tolist()


@pytest.mark.parametrize("where", [(50, 60), (4, 4)])
def test_nothing_is_done_outside_of_the_plane_or_in_nothing(where: tuple[int, int]) -> None:
    plane = np.full((20, 20), 7, np.uint8)
    pixelate(plane, np.array(where), np.array(where))
    assert (plane == 7).all()


def test_boxes_are_widened_clipped_and_empty_ones_left_out() -> None:
    boxes = np.array([[-5, -7, 3, 3], [61, 61, 900, 900], [10, 10, 10, 30], [30, 30, 20, 40]], np.int32)
    assert list(pairs_of(boxes, 65, 64)) == [(0, 0, 2, 2), (30, 30, 33, 32)]
