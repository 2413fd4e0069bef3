"""The bank against conditions evaluated one by one in three-valued logic, and both its ways against each other."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.program import Node, Op, ValueType, infer
from fsd_agent.rules.triggers.cascade import Cascade
from fsd_agent.rules.triggers.conditions.bank import Bank, takes
from fsd_agent.rules.triggers.expressions import values as v
from fsd_agent.rules.triggers.expressions.operations import combine, literal, signal_bool
from fsd_agent.rules.triggers.past.temporal import Scalar
from fsd_agent.rules.triggers.signals.columns import ActiveSamples, ListedSamples
from fsd_agent.rules.triggers.signals.state import SignalState
from fsd_agent.rules.triggers.step import Truth
from fsd_agent.testing.samples import (
    CATALOGUE,
    LITERALS,
    STEPS_NS,
    VALUES,
    Meant,
    Sample,
    batches,
    meaning,
    timed,
)

Expression = tuple[Any, ...]
"""Operation and arguments: expressions, a path, a literal."""
Nodes = tuple[Node, ...]
Change = tuple[int, int, bool]
"""Time, condition, whether it is true from then on."""

DOUBLES = [entry.path for entry in CATALOGUE.entries if entry.type == "double"]
COMPARISONS: dict[Op, Callable[[float, float], bool]] = {
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
}
NUMBERS = st.sampled_from(DOUBLES).map(lambda path: (Op.SIGNAL_DOUBLE, path))
LITERAL = st.sampled_from(LITERALS).map(lambda one: (Op.LITERAL, one))
COMPARED = st.one_of(
    st.tuples(st.sampled_from(list(COMPARISONS)), NUMBERS, LITERAL),
    st.tuples(st.sampled_from(list(COMPARISONS)), LITERAL, NUMBERS),
)
LEAVES = st.one_of(
    COMPARED, COMPARED, st.just((Op.SIGNAL_BOOL, "Car.On")), st.booleans().map(lambda one: (Op.LITERAL, one))
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just(Op.NOT), inner),
        st.tuples(st.sampled_from([Op.AND, Op.AND, Op.OR, Op.OR, Op.EQ, Op.NE]), inner, inner),
        st.tuples(st.just(Op.IF), inner, inner, inner),
    ),
    max_leaves=8,
)
STREAMS = st.lists(
    st.tuples(st.sampled_from(STEPS_NS), st.integers(0, 4), st.sampled_from(VALUES)), max_size=80
).map(timed)
CUTS = st.sets(st.integers(1, 100), max_size=10)
PATIENCE = st.sampled_from([-(10**9), -8, 10**9])
"""Everything at once, at once after a few, and never."""


def row_of(node: Node) -> int | None:
    return CATALOGUE.rows.get(str(node.value)) if node.op in {Op.SIGNAL_DOUBLE, Op.SIGNAL_BOOL} else None


def nodes_of(expression: Expression) -> Nodes:
    found: list[Node] = []

    def add(one: Expression) -> int:
        args = tuple(add(arg) for arg in one[1:] if isinstance(arg, tuple))
        value = None if args else one[1]
        found.append(Node(one[0], args, value))
        return len(found) - 1

    add(expression)
    return tuple(found)


CONDITIONS = st.lists(
    EXPRESSIONS.map(nodes_of).filter(lambda nodes: takes(nodes, row_of)), min_size=1, max_size=6
)


def truth(nodes: Nodes, newest: dict[int, float | None]) -> bool | None:
    """CEL's logic, an operand at a time."""
    found: list[Any] = []
    for node in nodes:
        args = [found[arg] for arg in node.args]
        if node.op is Op.LITERAL:
            found.append(node.value)
        elif node.op is Op.SIGNAL_DOUBLE:
            found.append(newest.get(CATALOGUE.rows[str(node.value)]))
        elif node.op is Op.SIGNAL_BOOL:
            value = newest.get(CATALOGUE.rows[str(node.value)])
            found.append(None if value is None or np.isnan(value) else value != 0)
        elif node.op in {Op.AND, Op.OR}:
            decides = node.op is Op.OR
            found.append(decides if decides in args else None if None in args else not decides)
        elif node.op is Op.IF:
            found.append(None if args[0] is None else args[1] if args[0] else args[2])
        elif None in args:
            found.append(None)
        elif node.op is Op.NOT:
            found.append(not args[0])
        else:
            found.append(COMPARISONS[node.op](*args))
    result: bool | None = found[-1]
    return result


def rows_of(nodes: Nodes) -> set[int]:
    return {row for node in nodes if (row := row_of(node)) is not None}


def changes(conditions: Sequence[Nodes], meant: Sequence[Meant], begins_ns: Sequence[int]) -> list[Change]:
    """The reference: each condition at every instant from ``begins_ns`` on at which something of it arrives."""
    newest: dict[int, float | None] = {}
    is_true = [False] * len(conditions)
    found: list[Change] = []
    for t_ns in sorted({one[0] for one in meant}):
        arrived = {row: value for at_ns, row, value in meant if at_ns == t_ns}
        newest |= arrived
        for at, nodes in enumerate(conditions):
            if t_ns >= begins_ns[at] and not rows_of(nodes).isdisjoint(arrived):
                now = truth(nodes, newest) is True
                if now != is_true[at]:
                    is_true[at] = now
                    found.append((t_ns, at, now))
    return found


class InForce:
    """A bank's conditions as steps of a cascade, with what it computes at once."""

    def __init__(self, state: SignalState, conditions: Sequence[tuple[Truth, Nodes]], patience: int) -> None:
        self.truths = [one for one, _ in conditions]
        self.bank = Bank(conditions, row_of)
        state.watch(self.bank.thresholds(), (), self.bank.fresh())
        self.state = state
        newest: list[Scalar] = [None] * len(CATALOGUE.entries)
        self.cascade = Cascade(self.bank.steps(newest, fails), newest, tells=False, patience=patience)
        before = [state.before(row) for row in range(len(newest))]
        self.cascade.load([value if known else None for value, known in before])

    def follow(self, stream: Sequence[Sample], ends: Sequence[int]) -> list[Change]:
        found: list[Change] = []
        for signals, end in batches(stream, ends):
            samples = self.state.samples(signals, end)
            active = self.state.active(samples)
            if active is not None:
                found += self._batch(active, end)
            self.state.store(samples)
        return sorted(found)

    def _batch(self, active: ActiveSamples, end: int) -> list[Change]:
        followed = self.cascade.follow(active.items, end)
        found = [(t_ns, at, true) for at, t_ns, true in followed.changes]
        if followed.rest is not None:
            after = [event for event in active.items if event[0] > followed.rest.after_ns]
            rest = self.bank.at_once(ListedSamples(after), followed.rest.newest)
            found += zip(rest.t_ns.tolist(), rest.campaign.tolist(), rest.true.tolist(), strict=True)
        assert [t_ns for t_ns, _, _ in found] == sorted(t_ns for t_ns, _, _ in found)
        return found


def fails(positions: Collection[int], error: Exception) -> None:
    raise AssertionError(positions) from error


def ends_of(stream: Sequence[Sample], cuts: set[int]) -> list[int]:
    last_ns = stream[-1][0] + 20 if stream else 1
    return sorted({last_ns, *(cut for cut in cuts if cut < last_ns)})


def put_in_force(state: SignalState, conditions: Sequence[Nodes], patience: int) -> InForce:
    return InForce(state, [(Truth(at), one) for at, one in enumerate(conditions)], patience)


@given(stream=STREAMS, cuts=CUTS, conditions=CONDITIONS, patience=PATIENCE)
def test_both_ways_at_any_cut_give_what_one_by_one_gives(
    stream: list[Sample], cuts: set[int], conditions: list[Nodes], patience: int
) -> None:
    ends = ends_of(stream, cuts)
    found = put_in_force(SignalState(CATALOGUE), conditions, patience).follow(stream, ends)
    assert found == changes(conditions, meaning(stream, ends[-1]), [-1] * len(conditions))


@given(
    stream=STREAMS, swap=st.integers(1, 60), conditions=CONDITIONS, patience=PATIENCE, keep=st.integers(0, 6)
)
def test_what_stays_goes_on_and_what_is_new_begins_at_its_first_arrival(
    stream: list[Sample], swap: int, conditions: list[Nodes], patience: int, keep: int
) -> None:
    last_ns = ends_of(stream, set())[-1] + swap
    state = SignalState(CATALOGUE)
    before = put_in_force(state, conditions[:keep], patience)
    found = before.follow([one for one in stream if one[0] < swap], [swap])
    after = [(Truth(at), conditions[at]) for at in reversed(range(len(conditions)))]
    stays = range(min(keep, len(conditions)))
    for truth, _ in after:
        if truth.position in stays:
            truth.carry(before.truths[truth.position])
    found += InForce(state, after, patience).follow([one for one in stream if one[0] >= swap], [last_ns])
    begins = [-1 if at in stays else swap for at in range(len(conditions))]
    assert sorted(found) == changes(conditions, meaning(stream, last_ns), begins)


@given(stream=STREAMS, nodes=EXPRESSIONS.map(nodes_of))
def test_the_bank_and_arrays_of_values_agree(stream: list[Sample], nodes: Nodes) -> None:
    if not takes(nodes, row_of):
        return
    last_ns = ends_of(stream, set())[-1]
    meant = meaning(stream, last_ns)
    instants = np.array(sorted({t_ns for t_ns, row, _ in meant if row in rows_of(nodes)}), np.int64)
    found: list[v.Value] = []
    for node, (kind, _) in zip(nodes, infer(nodes), strict=True):
        row = row_of(node)
        if row is not None:
            column = as_of(row, meant, instants)
            found.append(column if kind is ValueType.DOUBLE else signal_bool(column))
        elif node.op is Op.LITERAL:
            found.append(literal(node))
        else:
            found.append(combine(node.op, kind, [found[arg] for arg in node.args]))
    result = found[-1]
    assert isinstance(result, v.Planes)
    true = np.broadcast_to(result.true, instants.shape)
    at = np.flatnonzero(np.diff(true, prepend=False))
    changed = put_in_force(SignalState(CATALOGUE), [nodes], 100).follow(stream, [last_ns])
    assert changed == [(int(instants[one]), 0, bool(true[one])) for one in at]


def as_of(row: int, meant: Sequence[Meant], instants: np.ndarray[Any, Any]) -> v.Number:
    newest = []
    for t_ns in instants.tolist():
        seen = [value for at_ns, other, value in meant if other == row and at_ns <= t_ns]
        newest.append(seen[-1] if seen else None)
    value = np.array([0.0 if one is None else one for one in newest], np.float64)
    return v.Number(value, np.array([one is not None for one in newest], np.bool_))


SPEED, ON = (Op.SIGNAL_DOUBLE, "Car.Speed"), (Op.SIGNAL_BOOL, "Car.On")
FAST = (Op.GT, SPEED, (Op.LITERAL, 1.0))
TAKEN: list[tuple[str, Expression, bool]] = [
    ("a comparison", FAST, True),
    ("an integer literal", (Op.GT, SPEED, (Op.LITERAL, 1)), True),
    ("a boolean", ON, True),
    ("compared with true", (Op.EQ, ON, (Op.LITERAL, True)), True),
    ("two rows", (Op.GT, SPEED, (Op.SIGNAL_DOUBLE, "Car.Brake")), False),
    ("arithmetic", (Op.GT, (Op.ADD, SPEED, (Op.LITERAL, 1.0)), (Op.LITERAL, 1.0)), False),
    ("detections", (Op.GT, (Op.SIZE, (Op.DETECTIONS, None)), (Op.LITERAL, 1)), False),
    ("no row at all", (Op.LITERAL, True), False),
    ("a row that makes no difference", (Op.OR, FAST, (Op.AND, ON, (Op.LITERAL, False))), False),
]


@pytest.mark.parametrize(("what", "expression", "wanted"), TAKEN, ids=[row[0] for row in TAKEN])
def test_what_it_takes(what: str, expression: Expression, wanted: bool) -> None:
    assert takes(nodes_of(expression), row_of) is wanted


def test_equality_of_equalities_does_not_grow_without_bound() -> None:
    nodes = list(nodes_of(FAST))
    for _ in range(25):
        nodes.append(Node(Op.EQ, (len(nodes) - 1, len(nodes) - 1)))
    assert not takes(nodes, row_of)
    with pytest.raises(ValueError, match="campaign 3"):
        Bank([(Truth(3), nodes)], row_of)


def test_thresholds_are_the_literals_of_each_row() -> None:
    less = nodes_of((Op.LE, (Op.LITERAL, 2.0), SPEED))
    bank = Bank([(Truth(0), nodes_of((Op.AND, FAST, ON))), (Truth(1), less)], row_of)
    assert bank.thresholds() == {0: {1.0, 2.0}, 4: {0.0}}
    assert bank.fresh() == {0, 4}
