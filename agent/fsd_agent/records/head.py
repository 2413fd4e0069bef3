"""A trigger head: a small network over the pooled features of a camera's picture, in whole numbers.

Whole numbers, because a floating-point matrix product depends in its last bits on how many rows and columns it is
computed with, on the library and on the processor, and firings must not. Features are quantised to steps of
``2**-input_bits``, weights are integers, and every sum stays below 2**53, so that any order of adding gives the same
result; doubles carry it through the fast matrix product.

A layer computes ``y = W x + b``. Between two layers: negative values become 0 (ReLU), then the value is divided by
``2**shift``, rounded half to even, and limited to ``HIDDEN_MAX``. The score is the last layer's single output times
``scale``; what it means (a logit, a distance) is the author's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FEATURE_MAX: Final = 2**15 - 1
"""Magnitude of a quantised feature; what is beyond is limited to it."""
HIDDEN_MAX: Final = 2**15 - 1
WEIGHT_MAX: Final = 2**15 - 1
BIAS_MAX: Final = 2**45
MAX_INPUTS: Final = 4096
MAX_HIDDEN: Final = 256
MAX_LAYERS: Final = 3


class HeadError(ValueError):
    """The numbers are not a head; the message names the layer and the reason."""


@dataclass(frozen=True, slots=True)
class HeadLayer:
    """``weights`` in rows of outputs: (outputs, inputs), flattened."""

    outputs: int
    inputs: int
    weights: tuple[int, ...]
    biases: tuple[int, ...]
    shift: int
    """Applied to the outputs before the next layer; 0 in the last."""


@dataclass(frozen=True, slots=True)
class Head:
    """One head. Raises :class:`HeadError`."""

    name: str
    source: str
    """Whose features: ``firmware:NAME``, or a model package's ``name@version``."""
    camera: str
    input_bits: int
    layers: tuple[HeadLayer, ...]
    scale: float

    def __post_init__(self) -> None:
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise HeadError(f"{len(self.layers)} layers; 1 to {MAX_LAYERS} are possible")
        if not 0 <= self.input_bits <= 15:
            raise HeadError(f"input_bits {self.input_bits}; 0 to 15 are possible")
        for number, layer in enumerate(self.layers):
            reason = _wrong(layer, self.layers[number - 1].outputs if number else None)
            if reason:
                raise HeadError(f"layer {number}: {reason}")
        if self.layers[-1].outputs != 1 or self.layers[-1].shift:
            raise HeadError("the last layer has one output and no shift")

    @property
    def inputs(self) -> int:
        """How many features it takes."""
        return self.layers[0].inputs


def _wrong(layer: HeadLayer, wanted_inputs: int | None) -> str:
    """Why this is no layer; empty when it is one."""
    shape = f"{layer.outputs} x {layer.inputs}"
    wrong = {
        f"takes {layer.inputs} values, the layer before gives {wanted_inputs}": wanted_inputs
        not in {None, layer.inputs},
        f"{shape}; at most {MAX_HIDDEN} x {MAX_INPUTS}": not (
            1 <= layer.inputs <= MAX_INPUTS and 1 <= layer.outputs <= MAX_HIDDEN
        ),
        f"{len(layer.weights)} weights and {len(layer.biases)} biases for {shape}": (
            len(layer.weights) != layer.inputs * layer.outputs or len(layer.biases) != layer.outputs
        ),
        f"shift {layer.shift}; 0 to 40 are possible": not 0 <= layer.shift <= 40,
        f"a weight beyond {WEIGHT_MAX}": any(abs(weight) > WEIGHT_MAX for weight in layer.weights),
        f"a bias beyond {BIAS_MAX}": any(abs(bias) > BIAS_MAX for bias in layer.biases),
    }
    return next((reason for reason, is_wrong in wrong.items() if is_wrong), "")
