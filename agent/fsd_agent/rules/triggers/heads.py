"""Trigger heads over pooled features: many heads, one matrix product a camera's picture.

All heads that take the same features (source, camera, width, input bits) have their first layers stacked into one
matrix; later layers are stacked by shape. Everything is a whole number below 2**53 (see ``records.head``), so a head's
score is the same to the bit alone or among two hundred others, for one picture or a thousand. The product is
``einsum``'s, which stays on its thread: at this size BLAS wakes others and waits for them, 16 ms on a busy machine.

A picture whose features hold a NaN or an infinity gives scores that are not known. From the first picture on whose
features are of another width than a head takes, that head's scores are not known any more, and it is *refused*: the
campaign that carries it can't be run here, and no other is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.head import FEATURE_MAX, HIDDEN_MAX, Head, HeadLayer
from fsd_agent.rules.triggers.signals.columns import Samples
from fsd_firmware.samples import Features, Signals

SCORE_STALE_NS: Final = 500_000_000
"""So long after a camera's newest features their scores are good: as long as its detections."""

Whole = NDArray[np.float64]
"""Whole numbers, held in doubles."""


@dataclass(frozen=True, slots=True)
class HeadRefusal:
    """Why a head can't be run on this vehicle, and from when on."""

    t_ns: int
    reason: str


class HeadBank:
    """Heads by the row that their scores go to. Rows are distinct. Single-threaded."""

    def __init__(self, heads: Sequence[tuple[int, Head]]) -> None:
        self._groups = [_Group(list(one)) for one in _grouped(heads)]
        self._refused: dict[int, HeadRefusal] = {}

    def samples(self, features: Sequence[Features]) -> list[Samples]:
        """A sample of every head for every picture with features of its source and camera; 0 where it is not known."""
        parts: list[Samples] = []
        for group in self._groups:
            mine = [one for one in features if group.takes(one)]
            if mine:
                self._refuse(group, mine)
                parts.append(self._samples(group, *_columns(mine, group.width)))
        return parts

    @property
    def any_refused(self) -> bool:
        """Whether any head met features of another width."""
        return bool(self._refused)

    def refused(self) -> dict[int, HeadRefusal]:
        """Heads that met features of another width, by row."""
        return dict(self._refused)

    def _refuse(self, group: _Group, features: Sequence[Features]) -> None:
        wrong = [one for one in features if len(one) and one.value.shape[1] != group.width]
        if not wrong:
            return
        first = min(wrong, key=lambda one: int(one.t_ns[0]))
        t_ns = int(first.t_ns[0])
        for row, head in group.heads:
            reason = (
                f"head {head.name}: takes {group.width} features, {first.source} gives"
                f" {first.value.shape[1]} on camera {first.camera}"
            )
            self._refused.setdefault(row, HeadRefusal(t_ns, reason))

    def _samples(self, group: _Group, t_ns: NDArray[np.int64], value: NDArray[np.float32]) -> Samples:
        finite = np.logical_and.reduce(np.isfinite(value), axis=1)
        score = group.scores(np.where(finite[:, None], value, 0)).ravel()
        rows, heads = group.rows, len(group.heads)
        times = np.repeat(t_ns, heads)
        known = np.repeat(finite, heads)
        if not self._refused.keys().isdisjoint(rows.tolist()):
            until = [self._refused[row].t_ns if row in self._refused else _NEVER for row in rows.tolist()]
            known &= times < np.tile(np.array(until, np.int64), t_ns.shape[0])
        row = np.broadcast_to(rows, (t_ns.shape[0], heads)).ravel()
        return Samples(Signals(times, row, np.where(known, score, 0.0)), known)


_NEVER: Final = 2**62
"""After any time of a sample."""


class _Group:
    """Heads that take the same features, ordered so that those of one shape are neighbours."""

    def __init__(self, heads: list[tuple[int, Head]]) -> None:
        heads.sort(key=lambda one: _shape(one[1]))
        self.heads = heads
        self.rows = np.array([row for row, _ in heads], np.int32)
        head = heads[0][1]
        self.width = head.inputs
        self._source, self._camera = head.source, head.camera
        self._steps = float(2**head.input_bits)
        first = [head.layers[0] for _, head in heads]
        self._weights = np.concatenate([_matrix(layer) for layer in first])
        self._biases = np.concatenate([_biases(layer) for layer in first])
        self._scale = np.array([head.scale for _, head in heads])
        self._stacks = [
            _Stack([head for _, head in one]) for _, one in groupby(heads, key=lambda one: _shape(one[1]))
        ]

    def takes(self, features: Features) -> bool:
        """Whether these are the features that the heads were made for."""
        return (features.source, features.camera) == (self._source, self._camera)

    def scores(self, value: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores (f, heads) of finite features (f, width)."""
        quantised = np.rint(value.astype(np.float64) * self._steps)
        np.clip(quantised, -FEATURE_MAX, FEATURE_MAX, out=quantised)
        first = np.einsum("fk,ck->fc", quantised, self._weights) + self._biases
        found = np.empty((value.shape[0], len(self.heads)))
        column = head = 0
        for stack in self._stacks:
            columns, heads = stack.count * stack.outputs, stack.count
            found[:, head : head + heads] = stack.finish(first[:, column : column + columns])
            column, head = column + columns, head + heads
        found *= self._scale
        return found


class _Stack:
    """Neighbouring heads of one shape: their layers after the first, stacked by head."""

    def __init__(self, heads: Sequence[Head]) -> None:
        self.count = len(heads)
        self.outputs = heads[0].layers[0].outputs
        depth = len(heads[0].layers)
        self._weights = [np.stack([_matrix(head.layers[at]) for head in heads]) for at in range(1, depth)]
        self._biases = [np.stack([_biases(head.layers[at]) for head in heads]) for at in range(1, depth)]
        self._halvings = [
            np.array([2.0 ** -head.layers[at].shift for head in heads]) for at in range(depth - 1)
        ]

    def finish(self, first: Whole) -> Whole:
        """Outputs (f, heads) from what the first layer gave, (f, heads * its outputs)."""
        value = first.reshape(-1, self.count, self.outputs).transpose(1, 0, 2)
        for weights, biases, halving in zip(self._weights, self._biases, self._halvings, strict=True):
            # Dividing by a power of two is exact here, and so rint's half-to-even decides every tie.
            hidden = np.rint(np.maximum(value, 0) * halving[:, None, None])
            hidden = np.minimum(hidden, HIDDEN_MAX)
            value = np.einsum("nfh,noh->nfo", hidden, weights) + biases[:, None, :]
        result: Whole = value[:, :, 0].T
        return result


def _grouped(heads: Iterable[tuple[int, Head]]) -> Iterable[Iterable[tuple[int, Head]]]:
    def key(one: tuple[int, Head]) -> tuple[str, str, int, int]:
        head = one[1]
        return head.source, head.camera, head.inputs, head.input_bits

    return [list(group) for _, group in groupby(sorted(heads, key=key), key=key)]


def _shape(head: Head) -> tuple[int, ...]:
    return tuple(layer.outputs for layer in head.layers)


def _matrix(layer: HeadLayer) -> Whole:
    return np.frombuffer(layer.weights, "<i2").reshape(layer.outputs, layer.inputs).astype(np.float64)


def _biases(layer: HeadLayer) -> Whole:
    return np.array(layer.biases, np.float64)


def _columns(features: Sequence[Features], width: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """All pictures in order of time; those of another width are zeros, which no score comes from."""
    t_ns = np.concatenate([one.t_ns for one in features])
    value = np.concatenate(
        [
            one.value if one.value.shape[1] == width else np.zeros((len(one), width), np.float32)
            for one in features
        ]
    )
    if len(features) > 1:
        order = np.argsort(t_ns, kind="stable")
        t_ns, value = t_ns[order], value[order]
    return t_ns, value
