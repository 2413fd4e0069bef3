"""The campaign families that ship with the agent, and as many varied campaigns as a benchmark asks for."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from pathlib import Path
from typing import Final

import fsd_agent
from fsd_agent.records.campaign import LIMITS, SECOND_NS, Budget, Campaign, CaptureSpec
from fsd_firmware.catalogue import Catalogue
from fsd_tools.campaign.cel import ConditionError
from fsd_tools.campaign.compiler import CampaignError, compile_campaign, compile_condition
from fsd_tools.campaign.schema import read_text

FAMILIES: Final = Path(fsd_agent.__file__).parent / "campaigns"
_VALID_WALL_NS: Final = (0, 2**62)
_SHAPES: Final = (
    'Vehicle.Speed > {speed}.5 && detections.exists(d, d.kind == "{vru}" && d.distance_m < {metres}.0)',
    "Vehicle.Acceleration.Longitudinal < -{brake}.5 && Vehicle.Speed > {speed}.5",
    'Vehicle.Speed > {speed}.5 && detections.filter(d, d.kind == "{vru}" && d.score > 0.{score}).size() >= {count}',
    "Vehicle.Chassis.Brake.PedalPosition > {pedal}.5 || Vehicle.Acceleration.Longitudinal < -{brake}.25",
    'detections.exists(d, d.kind == "{vru}" && d.width_px > {pixels}.0) && !(Vehicle.Speed < {speed}.25)',
)
"""Taken in turn, so that any twenty of them mix signals, detections and both."""


def family_files() -> tuple[Path, ...]:
    """The shipped files, by name."""
    return tuple(sorted(FAMILIES.glob("*.yaml")))


def load_families(catalogue: Catalogue, cameras: Collection[str], region_id: str) -> tuple[Campaign, ...]:
    """The shipped campaigns that this vehicle's signals and cameras allow, for a region.

    A family whose signals or cameras the vehicle lacks is left out. Raises :class:`CampaignError` when none is left.
    """
    found: list[Campaign] = []
    refused: CampaignError | None = None
    for path in family_files():
        try:
            found.append(
                compile_campaign(
                    read_text(path),
                    file=path.name,
                    catalogue=catalogue,
                    cameras=cameras,
                    region_id=region_id,
                )
            )
        except CampaignError as error:
            refused = error
    if not found and refused is not None:
        raise refused
    return tuple(found)


def varied_campaigns(
    count: int, catalogue: Catalogue, cameras: Collection[str], region_id: str
) -> tuple[Campaign, ...]:
    """``count`` different campaigns over signals and detections: shapes of real ones, other thresholds each.

    For vehicles with the signals of generated drives. Raises :class:`CampaignError`.
    """
    capture = CaptureSpec(3 * SECOND_NS, 3 * SECOND_NS, tuple(cameras)[:1], ("Vehicle.Speed",))
    campaigns: list[Campaign] = []
    rounds = -(-count // len(_SHAPES))
    for number, (turn, shape) in zip(range(count), product(range(rounds), _SHAPES), strict=False):
        source = shape.format(
            vru=("pedestrian", "cyclist")[turn % 2],
            score=30 + 7 * turn % 60,
            metres=6 + 3 * turn,
            speed=5 + 4 * turn,
            brake=1 + turn,
            count=2 + turn % 4,
            pedal=10 + 2 * turn,
            pixels=20 + 11 * turn,
        )
        name = f"varied_{number:03d}"
        try:
            program = compile_condition(source, catalogue, cameras)
        except ConditionError as error:
            raise CampaignError(name, "condition", str(error)) from None
        campaigns.append(
            Campaign(
                id=name,
                version=1,
                purpose="Load for a benchmark.",
                region_id=region_id,
                source=source,
                program=program,
                hold_ns=(turn % 3) * 100_000_000,
                cooldown_ns=min(LIMITS.cooldown_ns, (1 + turn) * SECOND_NS),
                capture=capture,
                budget=Budget(None, None),
                sample_ratio=1.0,
                priority=0,
                valid_from_wall_ns=_VALID_WALL_NS[0],
                valid_until_wall_ns=_VALID_WALL_NS[1],
            )
        )
    return tuple(campaigns)
