"""Mean and standard deviation of the samples in a window, each computed afresh and from them alone.

Sums are those of ``np.add.reduceat`` over the window as one segment: it adds in an order that depends on the number of
samples only, wherever they lie (the tests hold it to that), so that the same window always has the same result.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ALL: Final = np.array([0], np.intp)
_SMALLEST: Final = 64
"""Samples that there is room for at least."""


class Samples:
    """The samples of a window, the oldest first."""

    def __init__(self) -> None:
        self._room = np.empty(_SMALLEST)
        self._from = self._to = 0

    @property
    def window(self) -> NDArray[np.float64]:
        """Shape (n,). Not to be kept: what lies behind it is used again."""
        return self._room[self._from : self._to]

    def append(self, value: float) -> None:
        """One more, the newest."""
        if self._to == self._room.shape[0]:
            held = self.window.copy()
            size = max(_SMALLEST, 2 * held.shape[0])
            if size != self._room.shape[0]:
                self._room = np.empty(size)
            self._room[: held.shape[0]] = held
            self._from, self._to = 0, held.shape[0]
        self._room[self._to] = value
        self._to += 1

    def drop(self, count: int) -> None:
        """The oldest ``count`` leave."""
        self._from += count


def mean(samples: Samples) -> float:
    """The mean of at least one sample."""
    window = samples.window
    return float(np.add.reduceat(window, _ALL)[0] / window.shape[0])


def deviation(samples: Samples) -> float:
    """The population standard deviation of at least one sample.

    Measured from the first, so that equal samples have a deviation of exactly 0.
    """
    window = samples.window
    count = window.shape[0]
    off = window - window[0]
    off -= np.add.reduceat(off, _ALL) / count
    off *= off
    return math.sqrt(np.add.reduceat(off, _ALL)[0] / count)
