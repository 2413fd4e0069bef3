"""Trigger heads: exact against Python's own whole numbers, whatever runs beside them; and heads that don't fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.head import (
    BIAS_MAX,
    FEATURE_MAX,
    HIDDEN_MAX,
    MAX_HIDDEN,
    MAX_INPUTS,
    Head,
    HeadError,
    HeadLayer,
)
from fsd_agent.rules.triggers.heads import HeadBank
from fsd_agent.rules.triggers.signals.columns import Samples
from fsd_firmware.samples import Features

NAN = float("nan")


def layer(rows: Sequence[Sequence[int]], biases: Sequence[int], shift: int = 0) -> HeadLayer:
    matrix = np.array(rows, "<i2")
    return HeadLayer(matrix.shape[0], matrix.shape[1], matrix.tobytes(), tuple(biases), shift)


def head(*layers: HeadLayer, bits: int = 0, scale: float = 1.0, source: str = "firmware:a") -> Head:
    return Head("h", source, "front", bits, layers, scale)


def features(
    value: object, *, t_ns: Sequence[int] = (), source: str = "firmware:a", camera: str = "front"
) -> Features:
    columns = np.array(value, np.float32)
    times = np.array(t_ns or range(1, len(columns) + 1), np.int64)
    return Features(camera, source, times, columns)


def listed(found: Sequence[Samples]) -> dict[tuple[int, int], float | None]:
    """(t_ns, row) to score, None where not known."""
    return {
        (t_ns, row): value if known else None
        for part in found
        for t_ns, row, value, known in zip(
            part.t_ns.tolist(), part.row.tolist(), part.value.tolist(), part.known.tolist(), strict=True
        )
    }


def by_hand(one: Head, row: Sequence[float]) -> float | None:
    """The definition of ``records.head`` in Python's unbounded whole numbers."""
    if not all(np.isfinite(row)):
        return None
    values = [max(-FEATURE_MAX, min(FEATURE_MAX, round(Fraction(float(x)) * 2**one.input_bits))) for x in row]
    for number, step in enumerate(one.layers):
        if number:
            shift = one.layers[number - 1].shift
            values = [min(HIDDEN_MAX, round(Fraction(max(0, y), 2**shift))) for y in values]
        weights = np.frombuffer(step.weights, "<i2").tolist()
        values = [
            sum(w * x for w, x in zip(weights[at * step.inputs :], values, strict=False)) + bias
            for at, bias in enumerate(step.biases)
        ]
    return float(values[0]) * one.scale


WEIGHT = st.integers(-(2**15), 2**15 - 1)
BIAS = st.integers(-BIAS_MAX, BIAS_MAX) | st.integers(-1000, 1000)
FEATURE = st.floats(width=32) | st.floats(-4, 4, width=32)
SOURCES = ("firmware:a", "nanodet@1", "nanodet@1+halves")


@st.composite
def layers(draw: st.DrawFn, inputs: int) -> tuple[HeadLayer, ...]:
    sizes = [inputs, *draw(st.lists(st.integers(1, 4), max_size=2)), 1]
    made = []
    for before, after in pairwise(sizes):
        rows = draw(
            st.lists(st.lists(WEIGHT, min_size=before, max_size=before), min_size=after, max_size=after)
        )
        biases = draw(st.lists(BIAS, min_size=after, max_size=after))
        made.append(layer(rows, biases, draw(st.integers(0, 40))))
    return (*made[:-1], replace(made[-1], shift=0))


@st.composite
def banks(draw: st.DrawFn) -> tuple[list[Head], list[Features]]:
    """Heads over a few sources, and features for all of them, all of one width."""
    inputs = draw(st.integers(1, 6))
    heads = [
        Head(
            "h", draw(st.sampled_from(SOURCES)), draw(st.sampled_from(("front", "rear"))),
            draw(st.integers(0, 24)), draw(layers(inputs)), draw(st.floats(1e-12, 1e6)),
        )
        for _ in range(draw(st.integers(1, 6)))
    ]  # fmt: skip
    seen = []
    for source in SOURCES:
        for camera in ("front", "rear"):
            rows = draw(st.lists(st.lists(FEATURE, min_size=inputs, max_size=inputs), max_size=4))
            seen.append(features(np.array(rows).reshape(-1, inputs), source=source, camera=camera))
    return heads, seen


@given(banks())
@settings(max_examples=150, deadline=None)
def test_a_bank_gives_what_whole_numbers_give(case: tuple[list[Head], list[Features]]) -> None:
    heads, seen = case
    wanted = {
        (t_ns, row): by_hand(one, values)
        for row, one in enumerate(heads)
        for part in seen
        if (part.source, part.camera) == (one.source, one.camera)
        for t_ns, values in zip(part.t_ns.tolist(), part.value.tolist(), strict=True)
    }
    assert listed(HeadBank(list(enumerate(heads))).samples(seen)) == wanted


@given(banks(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_company_order_and_cuts_change_no_bit(
    case: tuple[list[Head], list[Features]], random: object
) -> None:
    heads, seen = case
    rows = list(enumerate(heads))
    together = listed(HeadBank(rows).samples(seen))
    random.shuffle(rows)  # type: ignore[attr-defined]
    cut = random.randint(1, len(rows))  # type: ignore[attr-defined]
    apart: dict[tuple[int, int], float | None] = {}
    for some in (rows[:cut], rows[cut:]):
        bank = HeadBank(some)
        for part in seen:
            for at in range(len(part)):
                one = replace(part, t_ns=part.t_ns[at : at + 1], value=part.value[at : at + 1])
                apart |= listed(bank.samples([one]))
    assert apart == together


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_permuted_features_with_permuted_weights_change_no_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-(2**15), 2**15, (8, 464))
    last = layer(rng.integers(-(2**15), 2**15, (1, 8)).tolist(), [17])
    x = rng.normal(size=(5, 464)).astype(np.float32)
    order = rng.permutation(464)
    first = [layer(matrix.tolist(), [0] * 8, 12) for matrix in (rows, rows[:, order])]
    plain, permuted = (
        listed(HeadBank([(0, head(one, last, bits=13))]).samples([features(value)]))
        for one, value in zip(first, (x, x[:, order]), strict=True)
    )
    assert plain == permuted


def test_the_largest_sums_there_can_be_are_exact() -> None:
    """Every weight, bias and feature at its limit: the last unit of the sum is still there."""
    weights = np.full((1, MAX_INPUTS), -(2**15), "<i2")
    widest = HeadLayer(1, MAX_INPUTS, weights.tobytes(), (-BIAS_MAX + 1,), 0)
    found = HeadBank([(0, head(widest))]).samples([features(np.full((1, MAX_INPUTS), 1e9))])
    assert listed(found) == {(1, 0): float(-(2**15) * FEATURE_MAX * MAX_INPUTS - BIAS_MAX + 1)}


@pytest.mark.parametrize(
    ("x", "score"),
    [(0.25, 0.0), (0.75, 2.0), (1.25, 2.0), (-3.0, 0.0), (1e30, float(HIDDEN_MAX))],
)
def test_hidden_values_are_rounded_half_to_even_and_limited(x: float, score: float) -> None:
    """One input in quarters, doubled, then divided by four: 0.5, 1.5 and 2.5 lie between."""
    quarters = layer([[2]], [0], shift=2)
    limit = replace(quarters, shift=0)
    first = limit if x > 1e20 else quarters
    found = HeadBank([(7, head(first, layer([[1]], [0]), bits=2))]).samples([features([[x]])])
    assert listed(found) == {(1, 7): score}


def test_features_that_are_no_numbers_give_no_score_for_their_picture_alone() -> None:
    bank = HeadBank([(3, head(layer([[1, 1]], [0])))])
    found = bank.samples([features([[1, 2], [NAN, 1], [np.inf, 1], [3, 4]])])
    assert listed(found) == {(1, 3): 3.0, (2, 3): None, (3, 3): None, (4, 3): 7.0}
    assert not bank.refused()


def test_features_of_others_give_nothing() -> None:
    bank = HeadBank([(3, head(layer([[1]], [0])))])
    assert bank.samples([features([[1]], source="firmware:b"), features([[1]], camera="rear")]) == []
    assert bank.samples([]) == []
    assert HeadBank([]).samples([features([[1]])]) == []


def test_one_of_another_width_is_refused_from_then_on_and_no_other() -> None:
    narrow, wide = head(layer([[1, 1]], [0])), head(layer([[1, 1, 1]], [0]))
    bank = HeadBank([(0, narrow), (1, wide)])
    assert listed(bank.samples([features([[1, 1]], t_ns=[10])])) == {(10, 0): 2.0, (10, 1): None}
    assert {row: (one.t_ns, one.reason) for row, one in bank.refused().items()} == {
        1: (10, "head h: takes 3 features, firmware:a gives 2 on camera front")
    }
    assert listed(bank.samples([features([[1, 1, 1]], t_ns=[20])])) == {(20, 0): None, (20, 1): None}
    assert bank.refused()[0].t_ns == 20
    assert bank.refused()[1].t_ns == 10


@pytest.mark.parametrize("together", [True, False])
def test_when_a_head_is_refused_doesn_t_depend_on_the_batches(together: bool) -> None:
    bank = HeadBank([(0, head(layer([[1]], [0])))])
    parts = [features([[1], [2]], t_ns=[1, 5]), features([[1, 1]], t_ns=[3])]
    batches = [parts] if together else [[features([[1]], t_ns=[1])], parts[1:], [features([[2]], t_ns=[5])]]
    found: dict[tuple[int, int], float | None] = {}
    for batch in batches:
        found |= listed(bank.samples(batch))
    assert found == {(1, 0): 1.0, (3, 0): None, (5, 0): None}
    assert bank.refused()[0].t_ns == 3


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (head, "0 layers; 1 to 3"),
        (lambda: head(*[layer([[1]], [0])] * 4), "4 layers"),
        (lambda: head(layer([[1]], [0]), bits=25), "input_bits 25; 0 to 24"),
        (lambda: head(layer([[1]], [0]), scale=NAN), "scale nan"),
        (lambda: head(layer([[1]], [0]), scale=0.0), r"scale 0\.0"),
        (lambda: head(layer([[1, 2]], [0]), layer([[1, 1]], [0])), "layer 1: takes 2 values, the layer before gives 1"),
        (lambda: head(layer([[1], [2]], [0, 0])), "the last layer has one output and no shift"),
        (lambda: head(layer([[1]], [0], shift=1)), "the last layer has one output and no shift"),
        (lambda: head(layer([[1]], [0], shift=41), layer([[1]], [0])), "layer 0: shift 41; 0 to 40"),
        (lambda: head(layer([[1]], [BIAS_MAX + 1])), "layer 0: a bias beyond"),
        (lambda: head(HeadLayer(1, 2, b"\0\0", (0,), 0)), "layer 0: 2 bytes of weights and 1 biases for 1 x 2"),
        (lambda: head(HeadLayer(1, 1, b"\0\0", (), 0)), "layer 0: 2 bytes of weights and 0 biases"),
        (lambda: head(HeadLayer(1, 4097, b"", (0,), 0)), "layer 0: 1 x 4097; at most 256 x 4096"),
        (lambda: head(HeadLayer(MAX_HIDDEN + 1, 1, b"", (0,), 0)), "layer 0: 257 x 1; at most 256 x 4096"),
        (lambda: head(layer([[0] * 513] * 256, [0] * 256), layer([[0] * 256], [0])), "131584 weights; at most 131072"),
        (lambda: head(layer([[1]], [0]), source=""), "source: 0 characters"),
    ],
)  # fmt: skip
def test_what_is_no_head_is_refused_by_layer(wrong: object, reason: str) -> None:
    with pytest.raises(HeadError, match=reason):
        wrong()  # type: ignore[operator]
