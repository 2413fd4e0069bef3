"""``fsdctl bench heads``: many trigger heads on one picture's features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.head import Head
from fsd_agent.rules.triggers.heads import HeadBank
from fsd_firmware.samples import Features
from fsd_tools.bench.frame import BenchResult, Figure, Goal, Progress, figure, interleaved, this_machine
from fsd_tools.campaign.head_fixed import to_fixed
from fsd_tools.campaign.head_layers import FloatLayer

WIDTH = 464
"""Features of NanoDet-m's last backbone stage."""
PICTURES = 60
LIMIT = 0.8
SOURCE = "firmware:bench"
Values = NDArray[np.float32]


def bench_heads(rounds: int, progress: Progress) -> BenchResult:
    """Random heads on 464 random features (as many as NanoDet-m's last stage has), 60 pictures, one at a time.

    Ours is the engine's bank: quantising, one product for all heads, samples with times and rows. The peer does what a
    straightforward loop would: for every head ``float(weights @ features + bias)`` in single precision, with a ReLU
    in between for those with a hidden layer, and nothing else (not exact, no samples). Before anything is timed, both
    are compared: the largest difference as a share of the range of scores is a figure.
    """
    rng = np.random.default_rng(7)
    pictures = rng.uniform(0, LIMIT / 4, (PICTURES, WIDTH)).astype(np.float32)
    figures: list[Figure] = []
    worst = 0.0
    for count, hidden in ((1, 0), (16, 0), (200, 0), (16, 32), (200, 32)):
        progress(f"{count} heads with {hidden} hidden units")
        networks = [_network(rng, hidden) for _ in range(count)]
        bank = HeadBank([(row, _head(layers)) for row, layers in enumerate(networks)])
        worst = max(worst, _difference(bank, networks, pictures))
        figures.append(_timed(rounds, bank, networks, pictures, count, hidden))
    figures.append(
        figure("scores against single precision, largest difference", 100 * worst, "% of their range",
               goal=Goal("<=", 1.0, "value"))
    )  # fmt: skip
    return BenchResult("heads", this_machine(), tuple(figures))


def linear_heads(count: int) -> HeadBank:
    """A bank of random linear heads on :func:`bench_features`."""
    rng = np.random.default_rng(7)
    return HeadBank([(row, _head(_network(rng, 0))) for row in range(count)])


def bench_features(vector: Values) -> Features:
    """One picture's features as a source gives them."""
    return Features("front", SOURCE, np.zeros(1, np.int64), vector[None])


def _timed(
    rounds: int,
    bank: HeadBank,
    networks: Sequence[Sequence[FloatLayer]],
    pictures: Values,
    count: int,
    hidden: int,
) -> Figure:
    seconds = interleaved(rounds, {"ours": _one_by_one(bank, pictures), "loop": _loop(networks, pictures)})
    us = {name: 1e6 * spent / PICTURES for name, spent in seconds.items()}
    shape = f"464-{hidden}-1" if hidden else "464-1"
    peer = "one product a head" if not hidden else "two products a head"
    goal = Goal("<=", 0.5) if (count, hidden) == (200, 0) else None
    return figure(
        f"{count} heads {shape}", us["ours"], "us/picture", peer=peer, peer_value=us["loop"], goal=goal
    )


def _network(rng: np.random.Generator, hidden: int) -> tuple[FloatLayer, ...]:
    sizes = (WIDTH, hidden, 1) if hidden else (WIDTH, 1)
    return tuple(
        FloatLayer(rng.normal(size=(after, before)), rng.normal(size=after))
        for before, after in pairwise(sizes)
    )


def _head(layers: Sequence[FloatLayer]) -> Head:
    return to_fixed("head", SOURCE, "front", layers, LIMIT, None)


def _features(pictures: Values, at: int, count: int) -> Features:
    t_ns = np.arange(at, at + count, dtype=np.int64)
    return Features("front", SOURCE, t_ns, pictures[at : at + count])


def _one_by_one(bank: HeadBank, pictures: Values) -> Callable[[], None]:
    each = [(_features(pictures, at, 1),) for at in range(PICTURES)]

    def run() -> None:
        for one in each:
            bank.samples(one)

    return run


def _loop(networks: Sequence[Sequence[FloatLayer]], pictures: Values) -> Callable[[], None]:
    single = _single(networks)

    def run() -> None:
        for x in pictures:
            for layers in single:
                _score(layers, x)

    return run


def _single(networks: Sequence[Sequence[FloatLayer]]) -> list[list[tuple[Values, Values]]]:
    return [
        [(one.weights.astype(np.float32), one.biases.astype(np.float32)) for one in layers]
        for layers in networks
    ]


def _score(layers: Sequence[tuple[Values, Values]], x: Values) -> float:
    for weights, biases in layers[:-1]:
        x = np.maximum(weights @ x + biases, 0)
    weights, biases = layers[-1]
    return float((weights @ x + biases)[0])


def _difference(bank: HeadBank, networks: Sequence[Sequence[FloatLayer]], pictures: Values) -> float:
    """Largest, as a share of the range of one head's scores."""
    (found,) = bank.samples([_features(pictures, 0, PICTURES)])
    single = _single(networks)
    wanted = np.array([[_score(layers, x) for layers in single] for x in pictures])
    ours = np.zeros_like(wanted)
    ours[found.t_ns, found.row] = found.value
    return float((np.abs(ours - wanted).max(axis=0) / np.ptp(wanted, axis=0)).max())
