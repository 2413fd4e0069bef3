"""Layers of decimals become layers of whole numbers: how fine the steps are, and what is lost.

With features of magnitude up to ``limit`` the input gets the finest steps ``2**-bits`` that hold it. Each layer's weights
are multiplied so that the largest one is ``WEIGHT_MAX``. A layer's outputs, then in steps of ``1 / scale``, are divided
by the smallest power of two that keeps what can come out of it below ``HIDDEN_MAX``: twice the largest output over the
sample, and never more than the largest that features within ``limit`` can cause (the sum of the weights' magnitudes
times the largest input), so that without a sample nothing is ever cut off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fsd_agent.records.head import (
    BIAS_MAX,
    FEATURE_MAX,
    HIDDEN_MAX,
    MAX_INPUT_BITS,
    MAX_SHIFT,
    WEIGHT_MAX,
    Head,
    HeadLayer,
)
from fsd_agent.rules.triggers.heads import HeadBank
from fsd_firmware.samples import Features
from fsd_tools.campaign.head_layers import Decimals, FloatLayer

HEADROOM: Final = 2.0
"""Outputs of hidden units in traffic may be larger than in the sample."""
MADE_UP: Final = 256
"""Vectors of features that are tried where there is no sample."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What whole numbers cost, over the features that were tried."""

    error: float
    """Largest difference between a score in whole numbers and in decimals."""
    spread: float
    """Between the lowest and the highest score in decimals."""
    tried: int
    from_sample: bool


def to_fixed(
    name: str, source: str, camera: str, layers: Sequence[FloatLayer], limit: float, sample: Decimals | None
) -> Head:
    """The head. ``sample`` has shape (n, inputs). Raises :class:`~fsd_agent.records.head.HeadError`."""
    bits = max(0, min(MAX_INPUT_BITS, math.floor(math.log2(FEATURE_MAX / limit))))
    scale, bound = float(2**bits), limit
    fixed: list[HeadLayer] = []
    for at, layer in enumerate(layers):
        gain = _gain(layer, scale)
        weights, biases = np.rint(layer.weights * gain), np.rint(layer.biases * gain * scale)
        scale *= gain
        shift = 0
        if at < len(layers) - 1:
            largest = _largest(layer, bound, None if sample is None else _forward(layers[: at + 1], sample))
            shift = _shift(largest * scale)
            scale, bound = scale / 2**shift, largest
        fixed.append(
            HeadLayer(
                weights.shape[0],
                weights.shape[1],
                weights.astype("<i2").tobytes(),
                tuple(int(bias) for bias in biases),
                shift,
            )
        )
    return Head(name, source, camera, bits, tuple(fixed), 1 / scale)


def loss(head: Head, layers: Sequence[FloatLayer], limit: float, sample: Decimals | None) -> Loss:
    """Compare both on the sample, or on made-up features within ``limit``."""
    if sample is None:
        tried = np.random.default_rng(0).uniform(-limit, limit, (MADE_UP, head.inputs))
    else:
        tried = sample
    values = tried.astype(np.float32)
    features = Features(head.camera, head.source, np.arange(len(values), dtype=np.int64), values)
    (found,) = HeadBank([(0, head)]).samples([features])
    wanted = _forward(layers, values.astype(np.float64))[:, 0]
    return Loss(
        float(np.abs(found.value - wanted).max()), float(np.ptp(wanted)), len(values), sample is not None
    )


def _gain(layer: FloatLayer, scale: float) -> float:
    """What the weights are multiplied by: as much as weights and biases have room for."""
    weight, bias = float(np.abs(layer.weights).max()), float(np.abs(layer.biases).max()) * scale
    return min(WEIGHT_MAX / weight if weight else math.inf, BIAS_MAX / bias if bias else math.inf, 2.0**40)


def _largest(layer: FloatLayer, bound: float, outputs: Decimals | None) -> float:
    """The largest output to make room for."""
    possible = float((np.abs(layer.weights).sum(axis=1) * bound + np.maximum(layer.biases, 0)).max())
    if outputs is None:
        return possible
    return min(possible, HEADROOM * max(float(outputs.max()), 0.0))


def _shift(largest: float) -> int:
    if largest <= HIDDEN_MAX:
        return 0
    return min(MAX_SHIFT, math.ceil(math.log2(largest / HIDDEN_MAX)))


def _forward(layers: Sequence[FloatLayer], values: Decimals) -> Decimals:
    """Outputs of the last of ``layers`` in decimals, before any ReLU of its own."""
    for at, layer in enumerate(layers):
        values = (np.maximum(values, 0) if at else values) @ layer.weights.T + layer.biases
    return values
