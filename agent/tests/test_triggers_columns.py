"""What is known of every row at any instant, and that the guard drops exactly what can't matter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.rules.triggers.signals.columns import ActiveSamples, ListedSamples, Samples, join_samples
from fsd_agent.rules.triggers.signals.state import SignalState
from fsd_agent.testing.samples import (
    CATALOGUE,
    INF,
    LITERALS,
    NAN,
    STEPS_NS,
    VALUES,
    Meant,
    Sample,
    batches,
    meaning,
    timed,
)
from fsd_firmware.samples import Signals

SPEED, BRAKE, STEER, GEAR, ON = range(5)
ALL = {row: set(LITERALS) for row in range(5)}
STREAMS = st.lists(
    st.tuples(st.sampled_from(STEPS_NS), st.integers(0, 4), st.sampled_from(VALUES)), max_size=60
).map(timed)
CUTS = st.sets(st.integers(1, 100), max_size=12)


def ends_of(stream: Sequence[Sample], cuts: set[int]) -> list[int]:
    """Where batches end; the last ends after everything that may go stale."""
    last_ns = stream[-1][0] + 20 if stream else 1
    return sorted({last_ns, *(cut for cut in cuts if cut < last_ns)})


@dataclass
class Kept:
    """What a run gives."""

    samples: list[Meant]
    all_samples: list[Meant]


def run(state: SignalState, stream: Sequence[Sample], ends: Sequence[int], begin_ns: int = -1) -> Kept:
    kept = Kept([], [])
    for signals, end in batches([one for one in stream if one[0] >= begin_ns], ends):
        samples = state.samples(signals, end)
        kept.all_samples += meant(samples)
        active = state.active(samples)
        if active is not None:
            kept.samples += meant(Samples(Signals(active.t_ns, active.signal, active.value), active.known))
            assert [(t_ns, row, known) for t_ns, row, _, known in active.items] == list(
                zip(active.t_ns.tolist(), active.signal.tolist(), active.known.tolist(), strict=True)
            )
            assert active.rows.tolist() == sorted(active.row_set)
        state.store(samples)
    return kept


def meant(samples: Samples) -> list[Meant]:
    columns = samples.t_ns.tolist(), samples.row.tolist(), samples.value.tolist(), samples.known.tolist()
    return [(t_ns, row, value if known else None) for t_ns, row, value, known in zip(*columns, strict=True)]


def watching(
    thresholds: dict[int, set[float]], exact: Sequence[int] = (), fresh: Sequence[int] = tuple(range(5))
) -> SignalState:
    state = SignalState(CATALOGUE)
    state.watch(thresholds, exact, fresh)
    return state


def by_row(samples: Sequence[Meant]) -> dict[int, list[str]]:
    """NaN equals NaN as text."""
    return {row: [repr((t_ns, value)) for t_ns, other, value in samples if other == row] for row in range(5)}


def gap(value: float | None, literals: Sequence[float]) -> object:
    """Unknown, NaN, at a literal or between two."""
    if value is None or math.isnan(value):
        return "unknown" if value is None else "nan"
    return sum(value > one for one in literals), value in literals


@given(data=st.data(), stream=STREAMS, cuts=CUTS, literals=st.sets(st.sampled_from(LITERALS)))
def test_kept_is_where_the_gap_changes_however_time_is_cut(
    data: st.DataObject, stream: list[Sample], cuts: set[int], literals: set[float]
) -> None:
    ends = ends_of(stream, cuts)
    exact = data.draw(st.sets(st.integers(0, 4), max_size=2))
    state = watching(dict.fromkeys(range(5), literals), sorted(exact))
    kept = run(state, stream, ends)
    wanted: list[Meant] = []
    newest: dict[int, object] = {}
    for one in meaning(stream, ends[-1]):
        now = gap(one[2], sorted(literals))
        if one[1] in exact or now != newest.get(one[1]):
            wanted.append(one)
        newest[one[1]] = now
    assert by_row(kept.samples) == by_row(wanted)
    assert by_row(kept.all_samples) == by_row(meaning(stream, ends[-1]))


@given(seed=st.integers(0, 2**32 - 1), exact=st.sets(st.integers(0, 4), max_size=2))
def test_many_samples_at_once_are_kept_as_one_by_one(seed: int, exact: set[int]) -> None:
    rng = np.random.default_rng(seed)
    count, rows = int(rng.integers(33, 400)), int(rng.integers(1, 6))
    steps = rng.choice(STEPS_NS, count), rng.integers(0, rows, count), rng.choice(VALUES, count)
    stream = timed(list(zip(*(column.tolist() for column in steps), strict=True)))
    last_ns = stream[-1][0] + 20
    thresholds = {row: set(rng.choice(LITERALS, 3).tolist()) for row in range(4)}
    at_once = run(watching(thresholds, sorted(exact)), stream, [last_ns])
    one_by_one = run(watching(thresholds, sorted(exact)), stream, [*list(range(5, last_ns, 5)), last_ns])
    assert by_row(at_once.samples) == by_row(one_by_one.samples)


@given(stream=STREAMS, cut=st.integers(0, 60), until_ns=st.integers(61, 90))
def test_newest_at_any_instant(stream: list[Sample], cut: int, until_ns: int) -> None:
    stream = [one for one in stream if one[0] < until_ns]
    state = watching(ALL)
    run(state, stream, [cut])
    ((signals, _),) = [batch for batch in batches(stream, [cut, until_ns]) if batch[1] == until_ns][-1:]
    samples = state.samples(signals, until_ns)
    for row in range(5):
        for t_ns in range(cut, until_ns):
            seen = [
                value for at_ns, other, value in meaning(stream, until_ns) if other == row and at_ns <= t_ns
            ]
            wanted = seen[-1] if seen else None
            assert repr(state.newest(row, samples, t_ns)) == repr(wanted)


STALE: list[tuple[str, list[Sample], list[Meant]]] = [
    ("the next sample at that very instant is in time", [(0, STEER, 1.0), (5, STEER, 1.0)],
     [(0, STEER, 1.0), (5, STEER, 1.0), (10, STEER, None)]),
    ("one nanosecond late", [(0, STEER, 1.0), (6, STEER, 1.0)],
     [(0, STEER, 1.0), (5, STEER, None), (6, STEER, 1.0), (11, STEER, None)]),
    ("once", [(0, STEER, 1.0)], [(0, STEER, 1.0), (5, STEER, None)]),
    ("what is out of range is not known already", [(0, GEAR, 9.0)], [(0, GEAR, None)]),
    ("a NaN was received", [(0, GEAR, NAN)], [(0, GEAR, NAN), (3, GEAR, None)]),
    ("infinity is in a range without end", [(0, SPEED, INF)], [(0, SPEED, INF)]),
    ("rows that never go stale", [(0, SPEED, 1.0)], [(0, SPEED, 1.0)]),
    ("the ends of a range are in it", [(0, BRAKE, 0.0), (1, BRAKE, 4.0), (2, BRAKE, 4.000000000000001)],
     [(0, BRAKE, 0.0), (1, BRAKE, 4.0), (2, BRAKE, None)]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "stream", "wanted"), STALE, ids=[row[0] for row in STALE])
@pytest.mark.parametrize("step", [1, 2, 5, 50])
def test_what_is_known(what: str, stream: list[Sample], wanted: list[Meant], step: int) -> None:
    kept = run(watching(ALL), stream, list(range(step, 51, step)))
    assert repr(kept.all_samples) == repr(wanted)


def test_a_row_that_is_looked_out_for_later_has_gone_stale_meanwhile() -> None:
    early, late = watching(ALL), SignalState(CATALOGUE)
    stream = [(0, STEER, 1.0), (9, SPEED, 1.0)]
    run(early, stream, [10])
    run(late, stream, [10])
    assert early.before(STEER)[1] is late.before(STEER)[1] is False
    late.watch(ALL, (), ())
    assert run(late, [], [20]).all_samples == []


def test_a_row_that_is_looked_out_for_later_goes_stale_when_it_would_have() -> None:
    state = SignalState(CATALOGUE)
    run(state, [(0, STEER, 1.0)], [5])
    state.watch(ALL, (), ())
    assert state.before(STEER) == (1.0, True)
    assert run(state, [], [5, 6]).all_samples == [(5, STEER, None)]


def test_a_fresh_row_counts_once_though_nothing_changes() -> None:
    state = watching(ALL)
    run(state, [(0, SPEED, 0.5), (0, BRAKE, 0.5)], [1])
    state.watch(ALL, (), [BRAKE])
    kept = run(state, [(1, SPEED, 0.6), (1, BRAKE, 0.6), (2, BRAKE, 0.7)], [5])
    assert kept.samples == [(1, BRAKE, 0.6)]


@pytest.mark.parametrize("count", [3, 300])
def test_what_is_out_of_range_is_counted_whether_or_not_it_is_looked_out_for(count: int) -> None:
    state = watching({BRAKE: {1.0}})
    stream = [(at, row, 99.0) for at in range(count) for row in (SPEED, BRAKE, GEAR)]
    run(state, stream, [count // 2, count])
    state.before(SPEED)  # Whoever asks for what is newest has it worked out.
    assert state.out_of_range_count == 2 * count


@given(stream=STREAMS, cuts=CUTS)
def test_column_at_all_instants(stream: list[Sample], cuts: set[int]) -> None:
    ends = ends_of(stream, cuts)
    state = watching({}, range(5))
    found: dict[int, list[tuple[int, float | None]]] = {row: [] for row in range(5)}
    for signals, end in batches(stream, ends):
        samples = state.samples(signals, end)
        active = state.active(samples)
        if active is not None:
            instants = np.unique(active.t_ns)
            for row in range(5):
                column = state.column(row, active, instants)
                value = np.broadcast_to(column.value, instants.shape).tolist()
                known = np.broadcast_to(column.known, instants.shape).tolist()
                found[row] += [
                    (t_ns, x if k else None)
                    for t_ns, x, k in zip(instants.tolist(), value, known, strict=True)
                ]
        state.store(samples)
    everything = meaning(stream, ends[-1])
    for row in range(5):
        wanted = []
        for t_ns in sorted({one[0] for one in everything}):
            seen = [value for at_ns, other, value in everything if other == row and at_ns <= t_ns]
            wanted.append((t_ns, seen[-1] if seen else None))
        assert repr(found[row]) == repr(wanted)


def own(t_ns: int, row: int, value: float, *, known: bool = True) -> Samples:
    return Samples(Signals.of_lists([t_ns], [row], [value]), np.array([known]))


def test_rows_of_the_engine_move_and_those_of_the_catalogue_stay() -> None:
    state = SignalState(CATALOGUE)
    state.resize(7, stale_ns={6: 4})
    state.watch({SPEED: {1.0}, 5: {0.0}, 6: {0.0}}, (), range(7))
    signals, _ = next(batches([(0, SPEED, 2.0)], [3]))
    arrived = join_samples([own(1, 5, 1.0), own(2, 6, 1.0)])
    samples = state.samples(signals, 3, arrived)
    assert meant(samples) == [(0, SPEED, 2.0), (1, 5, 1.0), (2, 6, 1.0)]
    state.store(samples)
    state.resize(7, kept={6: 5}, stale_ns={5: 4})
    state.watch({5: {0.0}, 6: {0.0}}, (), [6])
    assert [state.before(row) for row in (SPEED, 5)] == [(2.0, True), (1.0, True)]
    assert state.before(6)[1] is False
    assert run(state, [], [3, 50]).samples == [(6, 5, None)]


def test_what_is_said_to_be_unknown_leaves_the_gap_whatever_its_value() -> None:
    state = SignalState(CATALOGUE)
    state.resize(6)
    state.watch({5: {0.0}}, (), ())
    signals, _ = next(batches([], [9]))
    arrived = join_samples([own(1, 5, 1.0), own(2, 5, 1.0, known=False), own(3, 5, 2.0, known=False)])
    active = state.active(state.samples(signals, 9, arrived))
    assert active is not None
    assert active.items == [(1, 5, 1.0, True), (2, 5, 1.0, False)]


def test_samples_that_are_there_as_numbers_are_those_of_arrays() -> None:
    items = [(0, SPEED, 1.0, True), (2, SPEED, 3.0, False), (4, BRAKE, 2.0, True)]
    listed = ListedSamples(items)
    assert listed.items == items
    assert listed.row_set == {SPEED, BRAKE}
    same = ActiveSamples(
        Samples(Signals(listed.t_ns, listed.signal, listed.value), listed.known), np.arange(3)
    )
    assert same.items == items
