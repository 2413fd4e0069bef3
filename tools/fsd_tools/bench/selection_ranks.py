"""What is kept of a ranking, and how sure that is: numbers for ``fsdctl bench selection``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SHARE: Final = 4
"""A quarter of the recorded time is kept."""
RESAMPLED: Final = 1000

Flags = NDArray[np.bool_]
Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Windows of equal length in order of time, n of them."""

    value: Column
    true: Flags
    person: Flags
    """Whether any person's box is in it."""
    drive: NDArray[np.int64]

    def at(self, rows: NDArray[np.int64]) -> Ranked:
        """These alone, in this order."""
        return Ranked(self.value[rows], self.true[rows], self.person[rows], self.drive[rows])

    def kept(self, budget: int) -> NDArray[np.int64]:
        """Indices of the most valuable; of equal ones the earlier."""
        return np.argsort(-self.value, kind="stable")[:budget]

    def right(self, budget: int) -> float:
        """Share of what is kept that is true."""
        return float(self.true[self.kept(budget)].mean())

    def recall(self, budget: int) -> float:
        """Share of what is true that is kept."""
        return float(self.true[self.kept(budget)].sum() / self.true.sum())

    def at_intervals(self, every: int) -> float:
        """Share that is true of every so many windows, whichever is the first: the mean over all of them."""
        return float(np.mean([self.true[first::every].mean() for first in range(every)]))

    def any_person(self) -> float:
        """Share that is true of windows with a person, which is what an even choice among them gives."""
        return float(self.true[self.person].mean())


def apart(
    value: Column, drive: NDArray[np.int64], frame: NDArray[np.int64], length: int
) -> NDArray[np.int64]:
    """Indices of windows of ``length`` frames, the most valuable first, none of which overlaps a better one of its drive."""
    taken: dict[int, list[int]] = {}
    kept = []
    for at in np.argsort(-value, kind="stable").tolist():
        others = taken.setdefault(int(drive[at]), [])
        if all(abs(int(frame[at]) - other) >= length for other in others):
            others.append(int(frame[at]))
            kept.append(at)
    return np.array(kept, np.int64)


def quarter(windows: int) -> int:
    """How many windows a quarter of the time is."""
    return max(1, round(windows / SHARE))


def gain_between(ranked: Ranked) -> tuple[float, float]:
    """Between which the gain over fixed intervals lies in nine of ten draws of as many drives, with repeats."""
    rng = np.random.default_rng(11)
    drives = np.unique(ranked.drive)
    rows = {drive: np.flatnonzero(ranked.drive == drive) for drive in drives.tolist()}
    gains = []
    for _ in range(RESAMPLED):
        drawn = np.concatenate([rows[drive] for drive in rng.choice(drives, drives.shape[0]).tolist()])
        again = ranked.at(drawn)
        if again.true.any():
            gains.append(again.right(quarter(drawn.shape[0])) / float(again.true.mean()))
    low, high = np.quantile(gains, (0.05, 0.95))
    return float(low), float(high)


def folds(drives: Sequence[int], count: int, seed: int) -> dict[int, int]:
    """Each drive's fold, of nearly equal sizes, by chance from ``seed``."""
    order = np.random.default_rng(seed).permutation(np.unique(np.array(drives)))
    return {int(drive): at % count for at, drive in enumerate(order.tolist())}
