"""Half of the JAAD drives as a head values them, and what a budget brings there: for ``fsdctl bench selection``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.head import Head
from fsd_agent.rules.selection.value import chance, score, steady
from fsd_tools.bench.frame import Figure, Goal, figure
from fsd_tools.bench.selection_ranks import SHARE, Ranked, quarter
from fsd_tools.drive.import_jaad import FPS, Tracks
from fsd_tools.selection.jaad import FRAMES, Labelled, windows_every

GRID: Final = FPS // 3
"""Frames: how far the windows beside a window begin."""


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """Drives as a head values them that learned from none of them."""

    moments: Sequence[Labelled]
    """Windows that begin at every third of a second."""
    placed: Ranked
    """All of them."""
    windows: Sequence[Labelled]
    """Those that follow one another without a gap from each drive's start on."""
    ranked: Ranked
    alone: Ranked
    """Each judged without those beside it."""


def judged(tracks: Tracks, drives: Iterable[int], head: Head) -> Half:
    """Value every window of ``drives``."""
    moments = windows_every(tracks, drives, GRID)
    scores = [score(one.window, head) for one in moments]
    placed = ranked_by(moments, steady_by_drive(moments, scores))
    windows, ranked = in_turn(moments, placed)
    _, alone = in_turn(moments, ranked_by(moments, np.array([chance(one) for one in scores])))
    return Half(moments, placed, windows, ranked, alone)


def ranked_by(windows: Sequence[Labelled], worth: NDArray[np.float64]) -> Ranked:
    """``windows``, each worth so much."""
    return Ranked(
        worth,
        np.array([one.is_true for one in windows]),
        np.array([bool(one.begins_of) for one in windows]),
        np.array([one.drive for one in windows], np.int64),
    )


def steady_by_drive(moments: Sequence[Labelled], scores: Sequence[float | None]) -> NDArray[np.float64]:
    """Each window's value, of its drive's alone."""
    found: list[float] = []
    for _, group in groupby(range(len(moments)), key=lambda at: moments[at].drive):
        found += steady([scores[at] for at in group])
    return np.array(found)


def in_turn(
    moments: Sequence[Labelled], ranked: Ranked, first_frame: int = 0
) -> tuple[list[Labelled], Ranked]:
    """Those that follow one another without a gap from ``first_frame`` of each drive on."""
    at = np.array([at for at, one in enumerate(moments) if one.frame % FRAMES == first_frame])
    return [moments[one] for one in at.tolist()], ranked.at(at)


@dataclass(frozen=True, slots=True)
class Brought:
    """Clips of one or more budgets, each a quarter of its windows, and how many true ones are expected among as many by the peers."""

    clips: int
    true: float
    at_intervals: float
    any_person: float
    all_true: int
    """Kept or not."""

    @classmethod
    def of(cls, ranked: Ranked) -> Brought:
        """Of one ranking."""
        budget = quarter(ranked.value.shape[0])
        return cls(
            budget,
            budget * ranked.right(budget),
            budget * ranked.at_intervals(SHARE),
            budget * ranked.any_person(),
            int(ranked.true.sum()),
        )

    def __add__(self, other: Brought) -> Brought:
        """Both budgets."""
        return Brought(
            self.clips + other.clips,
            self.true + other.true,
            self.at_intervals + other.at_intervals,
            self.any_person + other.any_person,
            self.all_true + other.all_true,
        )

    def figures(self, name: str, wanted: float) -> list[Figure]:
        """Against both peers, and recall."""
        unit = f"% true of {self.clips} clips"
        of_clips = 100 / self.clips
        return [
            figure(name, of_clips * self.true, unit, peer="fixed intervals",
                   peer_value=of_clips * self.at_intervals, goal=Goal(">=", wanted)),
            figure(f"{name}, against a plain condition", of_clips * self.true, unit, peer="any pedestrian",
                   peer_value=of_clips * self.any_person, goal=Goal(">=", wanted)),
            figure(f"recall, {name}", 100 * self.true / self.all_true, f"% of {self.all_true}",
                   peer="fixed intervals", peer_value=100 * self.at_intervals / self.all_true),
        ]  # fmt: skip


def at_all_places(half: Half) -> Brought:
    """Of a grid of windows from each third of a second of the first three seconds on, each with a budget of its own.

    Where a grid begins is a matter of luck, and with it which of some fifty clips are true.
    """
    first, *others = (
        Brought.of(in_turn(half.moments, half.placed, frame)[1]) for frame in range(0, FRAMES, GRID)
    )
    return sum(others, first)
