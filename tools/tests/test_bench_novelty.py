"""What the novelty benchmark simulates: passes that differ, what is kept of them, and what it finds on the data set."""

from __future__ import annotations

import numpy as np
import pytest

from fsd_agent.records.novelty import CODE_BYTES, ClipCode, NoveltyMode
from fsd_tools.bench.novelty import (
    MOST_COST,
    MOST_LOST,
    SUBJECT,
    Coded,
    code_of,
    coded,
    different,
    kept_of,
    lost_of,
    repeated,
)
from fsd_tools.bench.novelty_again import driven
from fsd_tools.data import data_dir
from fsd_tools.drive.import_jaad import load_tracks

TRACKS = data_dir() / "jaad" / "tracks_dev.npz"
needs_jaad = pytest.mark.skipif(not TRACKS.is_file(), reason=f"no JAAD tracks at {TRACKS}")


def code(at: int) -> ClipCode:
    """Far from each other's."""
    values = np.zeros(CODE_BYTES, np.int8)
    values[at] = 100
    return ClipCode(SUBJECT, values.tobytes())


def test_what_is_kept_is_new_or_has_no_code() -> None:
    assert kept_of([code(0), code(1), code(0), None, None], NoveltyMode.NORMAL) == [
        True,
        True,
        False,
        True,
        True,
    ]
    assert kept_of([code(0), code(0)], NoveltyMode.OFF) == [True, True]


def test_the_cost_is_of_all_passes_and_the_loss_of_true_clips() -> None:
    one = Coded((True, False), (code(0), code(1)), ((code(0), code(1)), (code(0), code(2))))
    alike = Coded((False, True), (code(3), code(3)), ((code(3), code(3)), (code(3), code(3))))
    # Of the first drive 3, of the second 1, of 4 clips; the first passes keep 3.
    assert repeated([one, alike], NoveltyMode.NORMAL) == (1.0, 4 / 3)
    lost = lost_of([[one, alike], [alike, one]], NoveltyMode.NORMAL)
    assert (lost.true, lost.clips) == (0.5, 0.25)


@needs_jaad
def test_no_two_passes_are_alike_and_each_has_the_clips_of_the_drive() -> None:
    found = driven(load_tracks(TRACKS), 0, 3, np.random.default_rng(1))
    assert len(found.true) == len(found.first) > 0
    assert [len(one) for one in found.passes] == [len(found.first)] * 3
    codes = [code_of(one[0]) for one in found.passes]
    assert len({one.values for one in codes if one is not None}) == 3


@needs_jaad
@pytest.mark.slow
def test_the_rule_meets_the_requirement_on_the_half_that_it_was_not_set_on() -> None:
    half = coded(load_tracks(TRACKS), learning=False)
    assert repeated(half, NoveltyMode.NORMAL)[0] <= MOST_COST
    assert 100 * different(half, NoveltyMode.NORMAL).true < MOST_LOST
