"""Functions that look back against their definitions, evaluated plainly at every nanosecond."""

from __future__ import annotations

import math
import struct
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.program import TEMPORAL, Op
from fsd_agent.rules.triggers.past.memories import make_temporal
from fsd_agent.rules.triggers.past.temporal import Steps, Temporal, follow

Known = bool | float
Arrivals = list[tuple[int, Known | None]]
"""(t_ns, value), None for unknown."""

BASE_NS = 1_700_000_000_000_000_000
"""Times of the tests are small; a wall clock's must work as well."""
NS_PER_S = 1e9
BOOL_IN = {Op.ONCE, Op.RISE, Op.COUNT_OVER}
BOOL_OUT = {Op.ONCE, Op.RISE}
NUMBERS = sorted(TEMPORAL - BOOL_IN)


def stretches(arrivals: Arrivals) -> Iterator[tuple[float, float, Known | None]]:
    starts = [-math.inf, *(t for t, _ in arrivals)]
    values = [None, *(value for _, value in arrivals)]
    return zip(starts, [*starts[1:], math.inf], values, strict=True)


def in_force(arrivals: Arrivals, t: int) -> Known | None:
    return next(value for start, end, value in stretches(arrivals) if start <= t < end)


def once(arrivals: Arrivals, w: int, t: int) -> Known | None:
    seen = [value for start, end, value in stretches(arrivals) if start <= t and end > t - w]
    if any(value is True for value in seen):
        return True
    return False if all(value is False for value in seen) else None


def rise(arrivals: Arrivals, _: int, t: int) -> Known | None:
    before, now = in_force(arrivals, t - 1), in_force(arrivals, t)
    if now is True and before is not True:
        return True if before is False else None
    return None if now is None else False


def previous(arrivals: Arrivals, _: int, t: int) -> Known | None:
    come = [value for at, value in arrivals if at <= t]
    return come[-2] if len(come) > 1 else None


def rate(arrivals: Arrivals, w: int, t: int) -> Known | None:
    now, then = in_force(arrivals, t), in_force(arrivals, t - w)
    return None if now is None or then is None else (now - then) / (w / NS_PER_S)


def greatest(arrivals: Arrivals, w: int, t: int) -> Known | None:
    seen = [v for start, end, v in stretches(arrivals) if v is not None and start <= t and end > t - w]
    if any(math.isnan(value) for value in seen):
        return math.nan
    return max(seen, key=lambda value: (value, math.copysign(1, value)), default=None)


def smallest(arrivals: Arrivals, w: int, t: int) -> Known | None:
    opposite = greatest([(at, None if v is None else -v) for at, v in arrivals], w, t)
    return None if opposite is None else -opposite


def samples(arrivals: Arrivals, w: int, t: int) -> list[float]:
    return [float(value) for at, value in arrivals if t - w < at <= t and value is not None]


def mean(arrivals: Arrivals, w: int, t: int) -> Known | None:
    seen = samples(arrivals, w, t)
    if any(not math.isfinite(value) for value in seen):
        return sum(seen)
    return float(middle(seen)) if seen else None


def middle(seen: Sequence[float]) -> Fraction:
    return sum(map(Fraction, seen), Fraction(0)) / len(seen)


def deviation(arrivals: Arrivals, w: int, t: int) -> Known | None:
    seen = samples(arrivals, w, t)
    if any(not math.isfinite(value) for value in seen):
        return math.nan
    if not seen:
        return None
    square = sum(((Fraction(value) - middle(seen)) ** 2 for value in seen), Fraction(0)) / len(seen)
    with localcontext(prec=100):
        return float((Decimal(square.numerator) / Decimal(square.denominator)).sqrt())


def count(arrivals: Arrivals, w: int, t: int) -> Known | None:
    if not arrivals or t < arrivals[0][0]:
        return None
    rises = [at for (_, before), (at, now) in pairwise(arrivals) if before is False and now is True]
    return float(sum(t - w < at <= t for at in rises))


REFERENCE: dict[Op, Callable[[Arrivals, int, int], Known | None]] = {
    Op.ONCE: once,
    Op.RISE: rise,
    Op.PREVIOUS: previous,
    Op.RATE: rate,
    Op.MAX_OVER: greatest,
    Op.MIN_OVER: smallest,
    Op.MEAN_OVER: mean,
    Op.STD_OVER: deviation,
    Op.COUNT_OVER: count,
}


def exact(value: Known | None) -> object:
    """Equal for values that are the same to the bit; all NaN are one."""
    if value is None or isinstance(value, bool):
        return value
    return "nan" if math.isnan(value) else struct.pack("d", value)


def later(arrivals: Steps, by_ns: int) -> Steps:
    return [(t + by_ns, value) for t, value in arrivals]


def run(
    nodes: Sequence[Temporal], arrivals: Arrivals, cuts: Sequence[int], *, lazy: bool = False
) -> Arrivals:
    """What the last of a chain of nodes gives; ``lazy`` leaves out the calls that ``next_ns`` says are idle."""
    shown: Arrivals = []
    since = -(2**40)
    for until in cuts:
        steps = later([a for a in arrivals if since <= a[0] < until], BASE_NS)
        for node in nodes:
            idle = lazy and not steps and node.next_ns >= until + BASE_NS
            if not idle:
                steps = follow(node, steps, until + BASE_NS)
            assert all(since + BASE_NS <= t < until + BASE_NS for t, _ in steps)
        shown += later(steps, -BASE_NS)
        since = until
    return shown


def changes(function: Callable[[int], Known | None], until: int) -> Arrivals:
    """A function of time as the list of its changes from unknown on."""
    found: Arrivals = []
    last: Known | None = None
    for t in range(-2, until):
        value = function(t)
        if exact(value) != exact(last):
            found.append((t, value))
        last = value
    return found


def same(a: Arrivals, b: Arrivals) -> bool:
    return [(t, exact(v)) for t, v in a] == [(t, exact(v)) for t, v in b]


booleans = st.sampled_from([True, False, None])
numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 2.0, math.nan, -math.nan, math.inf, -math.inf, None]),
    st.floats(-1e6, 1e6),
    st.floats(),
)
windows = st.integers(1, 14)
END = 90


@st.composite
def timelines(draw: st.DrawFn, values: st.SearchStrategy[Known | None]) -> Arrivals:
    times = draw(st.lists(st.integers(0, 50), unique=True, max_size=25))
    return [(t, draw(values)) for t in sorted(times)]


cuts = st.lists(st.integers(0, END), max_size=30).map(lambda at: [*sorted(at), END])


@pytest.mark.parametrize("op", sorted(TEMPORAL))
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_is_its_definition_at_every_instant_however_time_is_cut(op: Op, data: st.DataObject) -> None:
    boolean = op in BOOL_IN or (op is Op.PREVIOUS and data.draw(st.booleans()))
    arrivals = data.draw(timelines(booleans if boolean else numbers))
    w = data.draw(windows)
    expected = changes(lambda t: REFERENCE[op](arrivals, w, t), END)
    whole = run([make_temporal(op, w)], arrivals, [END])
    assert same(whole, expected)
    for way in (data.draw(cuts), range(END + 1)):
        assert same(run([make_temporal(op, w)], arrivals, way), expected)
    lazy = run([make_temporal(op, w)], arrivals, data.draw(cuts), lazy=True)
    assert same(lazy, expected)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_function_over_another_is_its_definition_over_the_others_changes(data: st.DataObject) -> None:
    inner = data.draw(st.sampled_from(sorted(TEMPORAL)))
    boolean = inner in BOOL_IN or (inner is Op.PREVIOUS and data.draw(st.booleans()))
    gives_bool = inner in BOOL_OUT or (inner is Op.PREVIOUS and boolean)
    outer = data.draw(st.sampled_from([*sorted(BOOL_IN), Op.PREVIOUS] if gives_bool else NUMBERS))
    arrivals = data.draw(timelines(booleans if boolean else numbers))
    w, v = data.draw(windows), data.draw(windows)
    between = changes(lambda t: REFERENCE[inner](arrivals, w, t), END)
    expected = changes(lambda t: REFERENCE[outer](between, v, t), END)
    for way in ([END], data.draw(cuts), range(END + 1)):
        chain = [make_temporal(inner, w), make_temporal(outer, v)]
        assert same(run(chain, arrivals, way), expected)


@pytest.fixture(autouse=True)
def values_are_not_errors() -> Iterator[None]:
    """As the engine calls: infinities and NaN are values."""
    with np.errstate(all="ignore"):
        yield


def noise(count: int, *, boolean: bool, seed: int) -> Arrivals:
    """About 100 Hz with jitter; some unknown, some NaN, some repeats."""
    random = np.random.default_rng(seed)
    times = np.cumsum(random.integers(8_000_000, 12_000_000, count)).tolist()
    values = np.round(np.cumsum(random.normal(size=count)), 2).tolist()
    kinds = random.random(count)
    odd = {0: None, 1: None if boolean else math.nan}
    return [
        (t, odd.get(int(kind * 400), value > 0 if boolean else value))
        for t, value, kind in zip(times, values, kinds, strict=True)
    ]


@pytest.mark.parametrize("op", sorted(TEMPORAL))
def test_long_windows_in_ticks_are_those_in_one_batch(op: Op) -> None:
    boolean = op in BOOL_IN
    arrivals = noise(6000, boolean=boolean, seed=7)
    end = arrivals[-1][0] + 10**10
    one, ticks = (
        run([make_temporal(op, 5 * 10**9)], arrivals, way)
        for way in ([end], [*range(0, end, 701_000_003), end])
    )
    assert len(one) > 5
    assert same(one, ticks)


@pytest.mark.parametrize("op", sorted(TEMPORAL))
def test_memory_is_that_of_the_window(op: Op) -> None:
    """A batch of 60,000 arrivals and then twenty windows of ticks leave no more behind than one window does."""
    boolean = op in BOOL_IN
    node = make_temporal(op, 500)
    tracemalloc.start()
    try:
        values: tuple[Known, Known] = (False, True) if boolean else (0.5, 1.5)
        follow(node, [(t + BASE_NS, values[t % 3 > 0]) for t in range(60_000)], BASE_NS + 60_000)
        for t in range(60_000, 70_000, 2):
            follow(
                node,
                [(t + BASE_NS, values[t % 3 > 0]), (t + 1 + BASE_NS, values[t % 3 > 1])],
                BASE_NS + t + 2,
            )
        left = tracemalloc.take_snapshot().statistics("filename")
    finally:
        tracemalloc.stop()
    kept = sum(file.size for file in left if "rules/triggers" in file.traceback[0].filename)
    assert kept < 500 * 250


def test_an_operation_that_does_not_look_back_is_refused() -> None:
    with pytest.raises(ValueError, match="and does not look back"):
        make_temporal(Op.AND, 1)
