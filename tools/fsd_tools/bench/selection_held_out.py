"""The learning half, learned on four fifths of its drives and judged on the rest: for ``fsdctl bench selection``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from fsd_tools.bench.selection_ranks import folds
from fsd_tools.selection.curves import Curves
from fsd_tools.selection.jaad import Labelled
from fsd_tools.selection.train import Examples, examples_of, learn_from

FOLDS: Final = 5
DRAWS: Final = 5


class HeldOut:
    """What is learned in each draw of folds, once for all that is judged by it."""

    def __init__(self, learned: Sequence[Labelled], examples: Examples) -> None:
        """``examples``: of ``learned``, all of the half's windows."""
        drive = np.array([one.drive for one in learned], np.int64)[examples.window]
        self._parts = [folds([one.drive for one in learned], FOLDS, draw) for draw in range(DRAWS)]
        self._curves: list[list[Curves]] = []
        for part in self._parts:
            fold = np.array([part[one] for one in drive.tolist()])
            self._curves.append([learn_from(examples.among(fold != at)) for at in range(FOLDS)])

    def scores(self, moments: Sequence[Labelled]) -> list[list[float | None]]:
        """Of each window, by each draw, by who never saw its drive; None without a person."""
        tried = examples_of(moments)
        drive = np.array([one.drive for one in moments], np.int64)[tried.window]
        found = []
        for part, curves in zip(self._parts, self._curves, strict=True):
            fold = np.array([part[one] for one in drive.tolist()])
            best = np.full(len(moments), -np.inf)
            for at in range(FOLDS):
                out = fold == at
                np.maximum.at(best, tried.window[out], curves[at].scores(tried.features[out]))
            found.append([one if np.isfinite(one) else None for one in best.tolist()])
        return found
