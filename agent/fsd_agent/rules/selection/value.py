"""What a clip is worth among those of one priority: the chance, by a head, that it shows what its campaign looks for.

A head (:class:`~fsd_agent.records.head.Head`, the format of trigger heads, so that a campaign may carry its own) scores
each person's features (:mod:`~.tracks`); the score is a logit. The clip is worth what its most promising person is:

    value = 0                                     without a person
            1 / (1 + exp(-largest score))         else, so 0 < value < 1

So it never falls where a person's score rises, the order of boxes and tracks does not matter, and every value is a
number. A further person may change the others' scores, but only by what the picture's turning is taken from
(``sweep``), which takes three. The scores are those of the trigger engine's bank, to the bit.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.head import FEATURE_MAX, HIDDEN_MAX, Head
from fsd_agent.rules.selection.tracks import FEATURES, SOURCE, track_features
from fsd_agent.rules.selection.window import Window

MOST: Final = 30.0
"""What is beyond counts as this: a little further on, a double cannot tell the chance from 1."""


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
    """See the module. Raises :class:`ValueHeadError`."""
    check_value_head(head)
    scores = head_scores(head, track_features(window))
    if not scores.shape[0]:
        return 0.0
    best = min(max(float(scores.max()), -MOST), MOST)
    return 1 / (1 + math.exp(-best))


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
