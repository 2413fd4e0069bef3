"""How the picture turns, told from the others: what a person's own walk is told apart from it by.

A camera that turns moves everybody by as many pixels; one that drives straight on moves each away from the middle as fast as
the box grows. So what a box's middle moves beyond its growth (``rest``) is the turning and the person's own walk, and for
those far away a walk is few pixels. The turning at one person is the median of the others' ``rest``, each weighed by one
over the height of the box; in heights of the box in question it is what the turning adds to its place. Of fewer than
:data:`OTHERS_LEAST` others nothing is concluded, and it is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.selection.window import RATE_HZ, Column, Path

OTHERS_LEAST: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """How n persons moved, in each of s stretches of one length; velocities are those of straight lines."""

    known: NDArray[np.bool_]
    """Shape (n, s): whether there are points enough; elsewhere the others are 0."""
    toward: Column
    """Shape (n, s): heights a second toward the car's line."""
    rest: Column
    """Shape (n, s): see the module; thousandths of the picture's height a second, to the right."""
    height: Column
    """Shape (n, s): mean, in thousandths of the picture's."""


def moved(found: Sequence[Path], samples: int, length: int, least: int) -> Moved:
    """By stretches of ``length`` points of a window that has ``samples``; of ``least`` points, two or more, anything is concluded."""
    stretches = -(-samples // length)
    shape = (len(found), stretches, length)
    there = np.zeros((len(found), stretches * length), bool)
    laid = np.zeros((3, len(found), stretches * length))
    for row, path in enumerate(found):
        there[row, path.first : path.end] = True
        laid[:2, row, path.first : path.end] = path.place, path.log_height
    sides = np.array([one.side for one in found]).reshape(-1, 1)
    height = np.where(there, np.exp(laid[1]), 0.0)
    laid[2] = sides * laid[0] * height
    there, height = there.reshape(shape), height.reshape(shape)
    count = np.maximum(there.sum(axis=2), 1)
    means, (across, growth, rest) = _lines(laid.reshape(3, *shape), there, count)
    known = there.sum(axis=2) >= least
    return Moved(
        known,
        np.where(known, -across, 0.0),
        np.where(known, rest - means[2] * growth, 0.0),
        np.where(known, height.sum(axis=2) / count, 0.0),
    )


def turnings(sides: Column, among: Moved) -> Column:
    """Shape (n, s): heights a second that the turning adds to each person's velocity toward the line; 0 where unknown."""
    found = np.zeros(among.known.shape)
    for stretch, known in enumerate(among.known.T):
        if known.sum() > OTHERS_LEAST:
            rest, height = among.rest[known, stretch], among.height[known, stretch]
            # The median from both ends, so that left and right are judged alike where it lies between two.
            median = (_low_medians(rest, 1 / height) - _low_medians(-rest, 1 / height)) / 2
            found[known, stretch] = -sides[known] * median / height
    return found


def _lines(values: Column, there: NDArray[np.bool_], count: NDArray[np.int64]) -> tuple[Column, Column]:
    """Means and slopes a second of values (k, n, s, points) by least squares over those that are there."""
    t_s = np.arange(there.shape[2]) / RATE_HZ
    middle = (there * t_s).sum(axis=2) / count
    off = np.where(there, t_s - middle[:, :, None], 0.0)
    means = np.where(there, values, 0.0).sum(axis=3) / count
    sums = (off * (values - means[..., None])).sum(axis=3)
    return means, sums / np.maximum((off * off).sum(axis=2), 1e-9)


def _low_medians(values: Column, weights: Column) -> Column:
    """Shape (n,): the weighted median of all others, for each; of two in the middle the lower."""
    order = np.argsort(values, kind="stable")
    count = order.shape[0]
    weighed = np.tile(weights[order], (count, 1))
    np.fill_diagonal(weighed, 0.0)
    total = weighed.cumsum(axis=1)
    found = np.empty(count)
    found[order] = values[order][(total >= total[:, -1:] / 2).argmax(axis=1)]
    return found
