"""A head that can be read: for each feature a curve, and a person's score is the sum of them.

A curve is straight between its knots and level outside them. So is a small network: one hidden unit at each knot,
``relu(x - knot)``, weighed by how much the curve bends there. That is how it becomes a head (:func:`layers_of`), and a
campaign may carry it as one.

Learning (:func:`learn`). Knots lie at even shares of the feature's values, the outermost at :data:`OUTSIDE` and one less
it. Each knot's hat function (1 at the knot, 0 at its neighbours), scaled to a variance of one, is a column of a logistic
regression with a penalty of ``penalty / 2`` times the sum of squares of the weights, solved by Newton's method. It has one
solution, and no chance in it. An example may count more than another; only how much more matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_tools.campaign.head_layers import FloatLayer

KNOTS: Final = 4
PENALTY: Final = 150.0
OUTSIDE: Final = 0.01
STEPS: Final = 20
SETTLED: Final = 1e-6

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """What one feature adds to the score."""

    feature: str
    knots: tuple[float, ...]
    """Increasing, at least two; or none, and it adds nothing."""
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """A head as curves; the score is a logit."""

    base: float
    curves: tuple[Curve, ...]
    """One for each feature, in their order."""

    def scores(self, features: Column) -> Column:
        """Shape (n,), of features (n, k)."""
        total = np.full(features.shape[0], self.base)
        for column, one in zip(features.T, self.curves, strict=True):
            if one.knots:
                total += np.interp(column, one.knots, one.values)
        return total


def learn(
    features: Column,
    wanted: NDArray[np.bool_],
    names: Sequence[str],
    *,
    counts: Column | None = None,
    knots: int = KNOTS,
    penalty: float = PENALTY,
) -> Curves:
    """See the module.

    ``features`` has shape (n, k), ``wanted`` (n,) with both values in it; ``counts`` (n,) is what each example counts for,
    more than 0.
    """
    shares = np.linspace(OUTSIDE, 1 - OUTSIDE, knots)
    # To nine digits: a value that shows up as two by its last bit is one knot.
    places = [np.unique(np.round(np.quantile(column, shares), 9)) for column in features.T]
    places = [one if one.shape[0] > 1 else one[:0] for one in places]
    hats = np.stack(
        [hat for column, one in zip(features.T, places, strict=True) for hat in _hats(column, one)], 1
    )
    mean, spread = hats.mean(axis=0), hats.std(axis=0) + 1e-9
    counted = np.ones(wanted.shape[0]) if counts is None else counts / counts.mean()
    weights, base = _regress((hats - mean) / spread, wanted.astype(np.float64), counted, penalty)
    values = weights / spread
    made, at = [], 0
    for name, one in zip(names, places, strict=True):
        made.append(Curve(name, tuple(one.tolist()), tuple(values[at : at + one.shape[0]].tolist())))
        at += one.shape[0]
    return Curves(float(base - (values * mean).sum()), tuple(made))


def layers_of(curves: Curves) -> tuple[FloatLayer, FloatLayer]:
    """The same as layers of a head."""
    rows, biases, bends, base = [], [], [], curves.base
    for at, one in enumerate(curves.curves):
        if not one.knots:
            continue
        rises = np.diff(one.values) / np.diff(one.knots)
        base += one.values[0]
        for knot, bend in zip(one.knots, np.diff(rises, prepend=0.0, append=0.0).tolist(), strict=True):
            rows.append(np.eye(len(curves.curves))[at])
            biases.append(-knot)
            bends.append(bend)
    return (
        FloatLayer(np.array(rows), np.array(biases)),
        FloatLayer(np.array([bends]), np.array([base])),
    )


def _hats(column: Column, knots: Column) -> list[Column]:
    return [np.interp(column, knots, one) for one in np.eye(knots.shape[0])]


def _regress(columns: Column, wanted: Column, counted: Column, penalty: float) -> tuple[Column, float]:
    count, usual = columns.shape[1], float((counted * wanted).mean())
    weights, base = np.zeros(count), float(np.log(usual / (1 - usual)))
    design = np.concatenate([columns, np.ones((columns.shape[0], 1))], axis=1)
    held = np.diag(np.concatenate([np.full(count, penalty), [0.0]]))
    both = np.append(weights, base)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-(design @ both)))
        slope = design.T @ (counted * (wanted - chance)) - held @ both
        bend = (design * (counted * np.maximum(chance * (1 - chance), 1e-5))[:, None]).T @ design + held
        step = np.linalg.solve(bend, slope)
        both = both + step
        if np.abs(step).max() < SETTLED:
            break
    return both[:-1], float(both[-1])
