"""What evaluating a campaign costs, by what arrives: a bound that is known before the first sample.

One operation is one node's result at one instant, or for one box at one instant. A node is computed where something
that it refers to arrives, and those that look back (all but ``PREVIOUS``) once more where it leaves their window; so
above them there are twice as many instants. The products of a head, of which a library does many at once, count
:data:`BULK` for one.

The engine computes equal sub-expressions of several campaigns once, and skips what can't matter. A price does
neither, or it would depend on other campaigns and on values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fsd_agent.records.campaign import Campaign
from fsd_agent.records.nodes import LOOPS, TEMPORAL, Node, Op
from fsd_agent.records.program import infer

FRAMES: Final = -1
"""Stands for the frames of all streams where arrivals are counted by row."""
BULK: Final = 16
_OF_FRAMES: Final = frozenset({Op.DETECTIONS, Op.FIELD, Op.HAS, Op.SEEN})
_OVER_BOXES: Final = LOOPS | {Op.BOX_MAX}

Arrivals = Counter[int]
"""By row: instants at which a value is computed, for one arrival on the row."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of one campaign."""

    flat: Arrivals
    """Operations for one arrival on a row."""
    per_box: Arrivals
    """Operations for one arrival on a row and one box that is in view."""


def price(campaign: Campaign, rows: Mapping[Node, int]) -> Price:
    """``rows`` has the row of every leaf that is a signal, mode, zone or head.

    Raises ``KeyError`` naming a leaf that it lacks.
    """
    nodes = campaign.program.nodes
    flat, per_box = Counter[int](), Counter[int]()
    arrivals: list[Arrivals] = []
    for node, (_, of_box) in zip(nodes, infer(nodes), strict=True):
        below = Counter[int]()
        for arg in node.args:
            below |= arrivals[arg]
        here = below
        if node.op in TEMPORAL and node.op is not Op.PREVIOUS:
            here = below + below
        elif not node.args and node.op is not Op.LITERAL:
            here = Counter({FRAMES if node.op in _OF_FRAMES else rows[node]: 1})
        arrivals.append(here)
        (per_box if of_box or node.op in _OVER_BOXES else flat).update(here)
        if node.op in {Op.HEAD, Op.ZONE}:
            flat[rows[node]] += _of_leaf(campaign, node)
    return Price(flat, per_box)


def _of_leaf(campaign: Campaign, node: Node) -> int:
    if node.op is Op.ZONE:
        return sum(len(zone.corners) for zone in campaign.zones if zone.name == node.value)
    return sum(-(-head.weight_count // BULK) for head in campaign.heads if head.name == node.value)
