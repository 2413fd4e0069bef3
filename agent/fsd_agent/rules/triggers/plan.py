"""From the campaigns in force to what the engine computes: rows, vertices, and nodes that remember.

A node that arrives by itself (a mode, a zone, a head) or that looks back gets a row of the sample stream, after those
of the catalogue; for the rest of its program it is a leaf like any signal. Above these leaves a condition is its *top*.
Arguments of what looks back, and tops that the bank can't take, become vertices of the :class:`~.expressions.graph.Graph`.

Equal nodes of any campaigns share row and vertex, but a function that looks back is shared only by campaigns that
came into force together: what it remembers begins there, and a new campaign must see the same whatever was in force
before it. A node is known from set to set by its digest: what it does, the digests of its arguments, and, where it
looks back, the epoch in which its campaign came into force.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from fsd_agent.records.campaign import Campaign
from fsd_agent.records.head import Head
from fsd_agent.records.program import SIGNALS, TEMPORAL, Node, Op, ValueType, infer
from fsd_agent.records.zone import Zone
from fsd_agent.rules.triggers.expressions.graph import DETECTIONS_INPUT, Graph
from fsd_agent.rules.triggers.past.memories import make_temporal
from fsd_agent.rules.triggers.past.temporal import Temporal
from fsd_firmware.catalogue import Catalogue

OWN: Final = frozenset({Op.MODE, Op.ZONE, Op.HEAD})
"""Nodes that arrive by themselves, from something other than the sample stream."""
_EVERY_ARRIVAL: Final = frozenset({Op.PREVIOUS, Op.MEAN_OVER, Op.STD_OVER})
"""See :attr:`Looking.every_arrival`."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Part of a program whose leaves are literals and rows, a row being a signal node with its number."""

    nodes: tuple[Node, ...]
    types: tuple[tuple[ValueType, bool], ...]
    """Type and box level of each node."""


@dataclass(frozen=True, slots=True)
class Own:
    """A row of a mode, a zone or a head."""

    node: Node
    row: int
    zone: Zone | None = None
    """Of a zone."""
    head: Head | None = None
    """Of a head."""


@dataclass(slots=True, eq=False)
class Looking:
    """A node that looks back, and what it remembers."""

    row: int
    argument: int
    """Vertex."""
    memory: Temporal
    inputs: frozenset[int]
    """What arrives by itself of all that it refers to, as in :class:`~.expressions.graph.Vertex`: no results of others."""
    every_arrival: bool
    """Whether its result depends on arrivals that don't change the argument, too."""
    campaigns: set[int] = field(default_factory=set)
    """Positions of those that depend on it."""

    def arrives(self, argument: frozenset[int]) -> frozenset[int]:
        """Inputs whose arrivals are arrivals of the argument, which has the inputs ``argument`` itself."""
        return self.inputs if self.every_arrival else argument


@dataclass(slots=True, eq=False)
class Plan:
    """What a set of campaigns needs. Built by :func:`make_plan`."""

    row_count: int
    graph: Graph = field(default_factory=Graph)
    tops: list[Cut] = field(default_factory=list)
    """Of each campaign."""
    leaves: list[dict[Node, int]] = field(default_factory=list)
    """Of each campaign: the row of each of its signals, modes, zones and heads."""
    own: dict[bytes, Own] = field(default_factory=dict)
    looking: dict[bytes, Looking] = field(default_factory=dict)
    """In such an order that arguments stand before what they are arguments of."""
    exact: set[int] = field(default_factory=set)
    """Rows of which every sample counts because of a function that looks back."""

    def rows(self) -> dict[bytes, int]:
        """Rows after the catalogue's, by the digest of their node."""
        made = {digest: one.row for digest, one in self.own.items()}
        return made | {digest: one.row for digest, one in self.looking.items()}

    def next_row(self) -> int:
        """A row that nothing has yet."""
        self.row_count += 1
        return self.row_count - 1

    def add(self, cut: Cut) -> int:
        """Put it into the graph; the vertex of its result."""
        at: list[int] = []
        for node, (kind, box) in zip(cut.nodes, cut.types, strict=True):
            if node.op in SIGNALS:
                at.append(self.graph.add_row(row_of(node), kind))
            else:
                mapped = Node(node.op, tuple(at[arg] for arg in node.args), node.value)
                at.append(self.graph.add(mapped, kind, box=box))
        return at[-1]


def row_of(leaf: Node) -> int:
    """The row of a leaf of a cut."""
    return int(str(leaf.value).removeprefix("row "))


def missing_signal(campaign: Campaign, catalogue: Catalogue) -> str | None:
    """The first signal of the condition that the vehicle does not have."""
    paths = (str(node.value) for node in campaign.program.nodes if node.op in SIGNALS)
    return next((path for path in paths if path not in catalogue.rows), None)


def make_plan(campaigns: Sequence[tuple[Campaign, int]], catalogue: Catalogue) -> Plan:
    """Plan for campaigns, each with the epoch in which it came into force. The catalogue has all their signals."""
    plan = Plan(len(catalogue.entries))
    for position, (campaign, epoch) in enumerate(campaigns):
        plan.tops.append(_Adding(plan, position, campaign, epoch, catalogue).top())
    return plan


class _Adding:
    """One campaign's program on its way into the plan."""

    def __init__(
        self, plan: Plan, position: int, campaign: Campaign, epoch: int, catalogue: Catalogue
    ) -> None:
        self._plan = plan
        self._position = position
        self._campaign = campaign
        self._epoch = epoch
        self._catalogue = catalogue
        self._nodes = campaign.program.nodes
        self._types = infer(self._nodes)
        self._digests: list[bytes] = []
        for node in self._nodes:
            self._digests.append(self._digest(node))

    def top(self) -> Cut:
        """The condition, down to rows."""
        rows: dict[int, int] = {}
        for at, node in enumerate(self._nodes):
            if node.op in SIGNALS:
                rows[at] = self._catalogue.rows[str(node.value)]
            elif node.op in OWN:
                rows[at] = self._own(at)
            elif node.op in TEMPORAL:
                rows[at] = self._look_back(at, rows)
        self._plan.leaves.append(
            {self._nodes[at]: row for at, row in rows.items() if not self._nodes[at].args}
        )
        return self._cut(len(self._nodes) - 1, rows)

    def _own(self, at: int) -> int:
        digest = self._digests[at]
        if digest not in self._plan.own:
            node = self._nodes[at]
            zone = self._zone(node) if node.op is Op.ZONE else None
            head = self._head(node) if node.op is Op.HEAD else None
            self._plan.own[digest] = Own(node, self._plan.next_row(), zone, head)
        return self._plan.own[digest].row

    def _look_back(self, at: int, rows: dict[int, int]) -> int:
        plan, node, digest = self._plan, self._nodes[at], self._digests[at]
        if digest not in plan.looking:
            argument = plan.add(self._cut(node.args[0], rows))
            vertex = plan.graph.vertices[argument]
            others = {one.row: one.inputs for one in plan.looking.values()}
            inputs = frozenset[int]().union(*(others.get(one, {one}) for one in vertex.inputs))
            memory, every = make_temporal(node.op, node.window_ns), node.op in _EVERY_ARRIVAL
            plan.looking[digest] = Looking(plan.next_row(), argument, memory, inputs, every)
            if every:
                plan.exact |= (vertex.inputs | inputs) - {DETECTIONS_INPUT}
            elif vertex.row >= 0 and vertex.type is not ValueType.BOOL:
                plan.exact.add(vertex.row)
        plan.looking[digest].campaigns.add(self._position)
        return plan.looking[digest].row

    def _cut(self, root: int, rows: dict[int, int]) -> Cut:
        """The part of the program below ``root`` that lies above rows."""
        needed, todo = set[int](), [root]
        while todo:
            at = todo.pop()
            if at not in needed:
                needed.add(at)
                todo += () if at in rows else self._nodes[at].args
        place: dict[int, int] = {}
        cut: list[Node] = []
        for at in sorted(needed):
            place[at] = len(cut)
            node = self._nodes[at]
            if at in rows:
                is_bool = self._types[at][0] is ValueType.BOOL
                cut.append(Node(Op.SIGNAL_BOOL if is_bool else Op.SIGNAL_DOUBLE, (), f"row {rows[at]}"))
            else:
                cut.append(Node(node.op, tuple(place[arg] for arg in node.args), node.value))
        return Cut(tuple(cut), tuple(self._types[at] for at in sorted(needed)))

    def _zone(self, node: Node) -> Zone:
        return next(one for one in self._campaign.zones if one.name == node.value)

    def _head(self, node: Node) -> Head:
        return next(one for one in self._campaign.heads if one.name == node.value)

    def _digest(self, node: Node) -> bytes:
        parts: list[object] = [node.op.value, type(node.value).__name__, node.value, node.window_ns]
        if node.op is Op.ZONE:
            parts = [node.op.value, self._zone(node).corners]
        elif node.op is Op.HEAD:
            head = self._head(node)
            parts = [node.op.value, head.source, head.camera, head.input_bits, head.layers, head.scale]
        elif node.op in TEMPORAL:
            parts.append(self._epoch)
        below = b"".join(self._digests[arg] for arg in node.args)
        return hashlib.sha256(repr(parts).encode() + below).digest()
