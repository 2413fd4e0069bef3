"""What a clip is worth among those of one priority: the chance, by a head, that it shows what its campaign looks for.

A head (:class:`~fsd_agent.records.head.Head`, the format of trigger heads, so that a campaign may carry its own) scores
each person's features (:mod:`~.tracks`); the score is a logit. The clip is worth what its most promising person is:

    value = 0                                     without a person
            1 / (1 + exp(-largest score))         else, so 0 < value < 1

One window may begin just before or just after what it is asked for. So where windows follow each other closely (:func:`steady`), the
mean of a window's score and its neighbours', a third of a second to either side, takes the score's place; a neighbour without a
person counts as :data:`NOBODY`.

A value never falls where a person's score rises, the order of boxes and tracks does not matter, and every value is a
number. A further person may change the others' scores, but only by what the picture's turning is taken from
(``sweep``), which takes three. The scores are those of the trigger engine's bank, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.head import FEATURE_MAX, HIDDEN_MAX, Head
from fsd_agent.rules.selection.tracks import FEATURES, SOURCE, track_features
from fsd_agent.rules.selection.window import Window

MOST: Final = 30.0
"""What is beyond counts as this: a little further on, a double cannot tell the chance from 1."""


BESIDE_NS: Final = 333_333_333
"""How far the neighbours of a window begin: the gain of the mean, by cross-validation, is lost at a half second."""
NOBODY: Final = -6.0
"""A chance of one in four hundred."""


class ValueHeadError(ValueError):
    """The head is none of what is told of tracks."""


def check_value_head(head: Head) -> None:
    """Raises :class:`ValueHeadError` where the head takes other features."""
    if head.source != SOURCE or head.inputs != len(FEATURES):
        raise ValueHeadError(
            f"head {head.name}: takes {head.inputs} features of {head.source}; a clip is valued by"
            f" {len(FEATURES)} of {SOURCE}"
        )


def value(window: Window, head: Head) -> float:
    """Of one window by itself. Raises :class:`ValueHeadError`."""
    return chance(score(window, head))


def score(window: Window, head: Head) -> float | None:
    """The largest of any person, within :data:`MOST`; None without one. Raises :class:`ValueHeadError`."""
    check_value_head(head)
    scores = head_scores(head, track_features(window))
    return min(max(float(scores.max()), -MOST), MOST) if scores.shape[0] else None


def chance(score: float | None) -> float:
    """See the module."""
    return 0.0 if score is None else 1 / (1 + math.exp(-score))


def steady(scores: Sequence[float | None]) -> list[float]:
    """Values of windows by their scores, in order of time, each :data:`BESIDE_NS` after the one before."""
    known = [NOBODY if one is None else one for one in scores]
    found = []
    for at, one in enumerate(scores):
        around = known[max(0, at - 1) : at + 2]
        found.append(0.0 if one is None else chance(sum(around) / len(around)))
    return found


def head_scores(head: Head, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (n,) of finite features (n, inputs), as ``records.head`` defines them."""
    quantised = np.rint(features.astype(np.float32).astype(np.float64) * 2.0**head.input_bits)
    whole = np.clip(quantised, -FEATURE_MAX, FEATURE_MAX)
    for at, layer in enumerate(head.layers):
        if at:
            whole = np.minimum(np.rint(np.maximum(whole, 0) * 2.0 ** -head.layers[at - 1].shift), HIDDEN_MAX)
        weights = np.frombuffer(layer.weights, "<i2").reshape(layer.outputs, layer.inputs).astype(np.float64)
        whole = np.einsum("nk,ok->no", whole, weights) + np.array(layer.biases, np.float64)
    scores: NDArray[np.float64] = whole[:, 0] * head.scale
    return scores
