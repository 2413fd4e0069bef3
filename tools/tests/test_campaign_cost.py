"""What the families that ship cost, in a full scene on a fast bus: far from the evaluation budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fsd_agent.records.campaign import LIMITS, SECOND_NS
from fsd_agent.records.program import SIGNALS, Op
from fsd_agent.rules.triggers.firing.cost import Costs
from fsd_agent.rules.triggers.signals.columns import Samples
from fsd_agent.testing.streams import looks
from fsd_firmware.samples import Detections, Kind, Signals
from fsd_tools.campaign.compiler import compile_campaign
from fsd_tools.campaign.families import FAMILIES
from fsd_tools.drive.vehicles import fsd_demo

MS = 1_000_000
CAMERAS = ("front", "narrow")
BOX = (int(Kind.PEDESTRIAN), 0.9, (0.0, 0.0, 10.0, 20.0))


def crowd(camera: str, until_ns: int) -> Detections:
    """Twenty boxes in each of twenty frames a second."""
    return looks(camera, "firmware", [(t_ns, [BOX] * 20) for t_ns in range(0, until_ns, 50 * MS)])


@pytest.mark.parametrize("path", sorted(FAMILIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_family_needs_under_five_hundredths_of_its_budget(path: Path) -> None:
    vehicle = fsd_demo().catalogue
    text = path.read_text(encoding="utf-8")
    campaign = compile_campaign(text, file=str(path), catalogue=vehicle, cameras=CAMERAS)
    leaves = [node for node in campaign.program.nodes if node.op in SIGNALS | {Op.MODE, Op.ZONE, Op.HEAD}]
    rows = {node: row for row, node in enumerate(dict.fromkeys(leaves))}
    costs = Costs([campaign], [rows], len(rows), limit=LIMITS.operations_per_s // 20)
    end_ns = 10 * SECOND_NS
    t_ns = np.repeat(np.arange(0, end_ns, 10 * MS), len(rows))
    row = np.tile(np.arange(len(rows), dtype=np.int32), end_ns // (10 * MS))
    arrived = Samples(Signals(t_ns, row, np.zeros(row.shape)))
    assert costs.count(arrived, [crowd(camera, end_ns) for camera in CAMERAS], end_ns) == []
