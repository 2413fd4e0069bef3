"""The evaluation budget: prices by example, and counts against a sum that takes one second at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.campaign import LIMITS, SECOND_NS, Campaign
from fsd_agent.records.head import Head, HeadLayer
from fsd_agent.records.nodes import PROGRAM_VERSION, Node, Op
from fsd_agent.records.program import Program
from fsd_agent.records.zone import Zone
from fsd_agent.rules.triggers.firing.cost import Costs
from fsd_agent.rules.triggers.firing.prices import FRAMES, price
from fsd_agent.rules.triggers.signals.columns import Samples
from fsd_agent.testing.campaigns import plain_campaign
from fsd_firmware.samples import Detections, Signals

ROW_COUNT = 9


def signal(name: str) -> Node:
    return Node(Op.SIGNAL_DOUBLE, (), name)


def literal(value: float | str) -> Node:
    return Node(Op.LITERAL, (), value)


A_ABOVE = (signal("A"), literal(1.0), Node(Op.GT, (0, 1)))
BOTH = (*A_ABOVE, signal("B"), Node(Op.GT, (3, 1)), Node(Op.AND, (2, 4)))
NEAR = (
    Node(Op.DETECTIONS),
    Node(Op.FIELD, (), "distance_m"),
    signal("A"),
    Node(Op.LT, (1, 2)),
    Node(Op.EXISTS, (0, 3)),
)
MEAN = (
    signal("A"),
    Node(Op.MEAN_OVER, (0,), window_ns=2 * SECOND_NS),
    literal(1.0),
    Node(Op.GT, (1, 2)),
)
TWICE = (
    signal("A"),
    Node(Op.RATE, (0,), window_ns=1),
    Node(Op.RATE, (1,), window_ns=1),
    literal(1.0),
    Node(Op.GT, (2, 3)),
)
ZONE = (Node(Op.ZONE, (), "school"), Node(Op.NOT, (0,)))
HEAD = (Node(Op.HEAD, (), "odd"), literal(1.0), Node(Op.GT, (0, 1)))
DEEP = (
    signal("A"),
    literal(1.0),
    *(
        node
        for chain in range(4)
        for node in (
            Node(Op.MEAN_OVER, (0,), window_ns=1 + chain),
            *(Node(Op.MEAN_OVER, (2 + 5 * chain + depth,), window_ns=1 + chain) for depth in range(3)),
            Node(Op.GT, (2 + 5 * chain + 3, 1)),
        )
    ),
    Node(Op.OR, (6, 11)),
    Node(Op.OR, (16, 21)),
    Node(Op.OR, (22, 23)),
)
PROGRAMS = (A_ABOVE, BOTH, NEAR, MEAN, TWICE, ZONE, HEAD)
ROWS = {
    signal("A"): 3,
    signal("B"): 5,
    Node(Op.ZONE, (), "school"): 7,
    Node(Op.HEAD, (), "odd"): 8,
}


def campaign(nodes: tuple[Node, ...], name: str = "c") -> Campaign:
    return plain_campaign(
        Program(PROGRAM_VERSION, nodes),
        name,
        zones=(Zone("school", ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0))),),
        heads=(Head("odd", "m@1", "front", 8, (HeadLayer(1, 40, bytes(80), (0,), 0),), 1.0),),
    )


EXAMPLES = [
    # nodes, operations for one arrival by row, and for one box in view
    (A_ABOVE, {3: 2}, {}),
    (BOTH, {3: 3, 5: 3}, {}),
    # The list by frame; field, comparison and loop by box, the last two also where the signal arrives.
    (NEAR, {3: 1, FRAMES: 1}, {FRAMES: 3, 3: 2}),
    # Once where a sample comes, twice above what looks back: there it also leaves.
    (MEAN, {3: 1 + 2 + 2}, {}),
    (TWICE, {3: 1 + 2 + 4 + 4}, {}),
    (DEEP, {3: 1 + 4 * (2 + 4 + 8 + 16 + 16) + 3 * 16}, {}),
    (ZONE, {7: 2 + 4}, {}),
    (HEAD, {8: 2 + 3}, {}),
]


@pytest.mark.parametrize(("nodes", "flat", "per_box"), EXAMPLES)
def test_price(nodes: tuple[Node, ...], flat: dict[int, int], per_box: dict[int, int]) -> None:
    found = price(campaign(nodes), ROWS)
    assert (found.flat, found.per_box) == (flat, per_box)


def test_an_unmapped_leaf_is_named() -> None:
    with pytest.raises(KeyError, match="school"):
        price(campaign(ZONE), {signal("A"): 3})


# ---- counting


@dataclass(frozen=True)
class Arrival:
    """On a row, or a frame with so many boxes of one of two cameras."""

    t_ns: int
    row: int
    boxes: int = 0
    camera: str = ""


def detections_of(arrivals: list[Arrival]) -> list[Detections]:
    found: list[Detections] = []
    for camera in ("front", "rear"):
        frames = [one for one in arrivals if one.row == FRAMES and one.camera == camera]
        boxes = [one.boxes for one in frames]
        total = sum(boxes)
        if frames:
            found.append(
                Detections(
                    camera,
                    "firmware",
                    np.array([one.t_ns for one in frames], np.int64),
                    np.repeat(np.arange(len(frames), dtype=np.int32), boxes),
                    np.ones(total, np.uint8),
                    np.ones(total, np.float32),
                    np.zeros((total, 4), np.float32),
                    np.ones(total, np.float32),
                    np.full(total, -1, np.int32),
                    np.full(total, np.nan, np.float32),
                )
            )
    return found


def count(costs: Costs, arrivals: list[Arrival], until_ns: int) -> list[tuple[int, int, int]]:
    # Those of one row together: their times need not be in order.
    samples = sorted((one for one in arrivals if one.row != FRAMES), key=lambda one: one.row)
    t_ns, rows = [one.t_ns for one in samples], [one.row for one in samples]
    arrived = Samples(Signals.of_lists(t_ns, rows, [0.0] * len(rows)))
    return costs.count(arrived, detections_of(arrivals), until_ns)


def costs_of(campaigns: list[Campaign], limit: int) -> Costs:
    return Costs(campaigns, [ROWS] * len(campaigns), ROW_COUNT, limit)


def reference(
    one: Campaign, arrivals: list[Arrival], limit: int, until_ns: int, first_s: int = 0
) -> tuple[int, int] | None:
    """From when on the campaign is suspended, and with how many operations."""
    paid = price(one, ROWS)

    def arrived(weights: dict[int, int], second: int) -> int:
        return sum(weights.get(a.row, 0) for a in arrivals if a.t_ns // SECOND_NS == second)

    for second in range(first_s, until_ns // SECOND_NS):
        in_view = 0
        for camera in ("front", "rear"):
            near = [a for a in arrivals if a.camera == camera and 0 <= second - a.t_ns // SECOND_NS <= 1]
            in_view += max((a.boxes for a in near), default=0)
        spent = arrived(paid.flat, second) + in_view * arrived(paid.per_box, second)
        if spent > limit:
            return (second + 1) * SECOND_NS, spent
    return None


instants = st.one_of(
    st.integers(0, 8 * SECOND_NS - 1),
    st.integers(0, 8 * 4 - 1).map(lambda quarter: quarter * SECOND_NS // 4),
)
arrivals_of = st.lists(
    st.one_of(
        st.builds(Arrival, instants, st.sampled_from([3, 3, 3, 3, 0, 5, 7, 8])),
        st.builds(Arrival, instants, st.just(FRAMES), st.integers(0, 6), st.sampled_from(["front", "rear"])),
    ),
    max_size=60,
    unique_by=lambda one: (one.t_ns, one.camera),
).map(lambda found: sorted(found, key=lambda one: one.t_ns))
cuts_of = st.lists(instants, max_size=12).map(sorted)


@given(arrivals_of, cuts_of, st.integers(0, 60), st.booleans(), st.randoms(use_true_random=False))
def test_a_full_second_counts_the_same_however_it_is_cut(
    arrivals: list[Arrival], cuts: list[int], limit: int, renews: bool, random: Random
) -> None:
    campaigns = [campaign(nodes, f"{at}") for at, nodes in enumerate(PROGRAMS)]
    end_ns = 9 * SECOND_NS
    expected = {one.id: reference(one, arrivals, limit, end_ns) for one in campaigns}
    order = campaigns.copy()
    costs, start, found = costs_of(order, limit), -1, dict[str, tuple[int, int]]()
    for until in [*cuts, end_ns]:
        inside = [one for one in arrivals if start <= one.t_ns < until]
        for at, since_ns, operations in count(costs, inside, until):
            assert order[at].id not in found
            assert until >= since_ns
            found[order[at].id] = since_ns, operations
        start = until
        if renews:
            before, theirs = costs, order.copy()
            random.shuffle(order)
            costs = costs_of(order, limit)
            costs.carry(before, [(at, theirs.index(one)) for at, one in enumerate(order)])
    assert found == {name: one for name, one in expected.items() if one is not None}


@given(arrivals_of, cuts_of, st.integers(0, 8 * SECOND_NS), st.integers(0, 60))
def test_a_new_campaign_is_judged_from_its_first_full_second(
    arrivals: list[Arrival], cuts: list[int], comes_ns: int, limit: int
) -> None:
    new = [campaign(nodes, f"{at}") for at, nodes in enumerate(PROGRAMS)]
    first_s = -(-comes_ns // SECOND_NS)
    end_ns = 9 * SECOND_NS
    expected = {one.id: reference(one, arrivals, limit, end_ns, first_s) for one in new}
    costs, start, found = costs_of([campaign(BOTH, "old")], limit), -1, dict[str, tuple[int, int]]()
    for until in sorted([*cuts, comes_ns, end_ns]):
        inside = [one for one in arrivals if start <= one.t_ns < until]
        for at, since_ns, operations in count(costs, inside, until):
            if start >= comes_ns:
                found[new[at].id] = since_ns, operations
        if until == comes_ns and start < comes_ns:
            before, costs = costs, costs_of(new, limit)
            costs.carry(before, [])
        start = until
    assert found == {name: one for name, one in expected.items() if one is not None}


def test_others_are_untouched_and_the_limit_itself_is_allowed() -> None:
    arrivals = [Arrival(at * SECOND_NS // 10, 3) for at in range(10)]
    costs = costs_of([campaign(A_ABOVE), campaign(BOTH), campaign(ZONE)], 20)
    assert count(costs, arrivals, SECOND_NS) == [(1, SECOND_NS, 30)]
    assert count(costs, [replace(one, t_ns=one.t_ns + SECOND_NS) for one in arrivals], 3 * SECOND_NS) == []


@pytest.mark.parametrize(("times", "suspended"), [(1, []), (10, [1])])
def test_a_bus_at_ten_times_its_rate_suspends_the_deep_condition_alone(
    times: int, suspended: list[int]
) -> None:
    """A plain condition goes on; four functions over one another, five times, would not keep up."""
    costs = Costs([campaign(BOTH), campaign(DEEP)], [ROWS] * 2, ROW_COUNT)
    found: list[tuple[int, int, int]] = []
    for second in range(3):
        step_ns = 1_000_000 // times
        arrivals = [Arrival(second * SECOND_NS + at * step_ns, 3) for at in range(1000 * times)]
        found += count(costs, arrivals, (second + 1) * SECOND_NS)
    assert [at for at, _, _ in found] == suspended
    assert all(operations > LIMITS.operations_per_s for _, _, operations in found)


def test_it_is_told_as_soon_as_the_second_is_over() -> None:
    costs = costs_of([campaign(A_ABOVE)], 0)
    assert count(costs, [Arrival(1, 3)], SECOND_NS // 4) == []
    assert count(costs, [], SECOND_NS) == [(0, SECOND_NS, 2)]
