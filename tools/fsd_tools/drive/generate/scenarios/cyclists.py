"""Cyclists on the road."""

from __future__ import annotations

from collections.abc import Mapping

from fsd_firmware.samples import Kind
from fsd_tools.drive.generate.script import Role, Script, ride

EDGE_D_M = -3.65
"""A cyclist here is 1.9 m from the middle of the car's lane: 0.7 m are left between car and handlebar."""

CYCLISTS: Mapping[str, Script] = {
    "cyclist_overtaken_close": Script(
        summary="One cyclist is overtaken with room, one comes on the other side, the next is overtaken closely.",
        seconds=18.0,
        speed_mps=((0, 9.5),),
        roles=(ride(4.5, 0.0, EDGE_D_M, 4.5), ride(8.0, 10.0, 2.6, -4.5), ride(12.0, 0.0, EDGE_D_M, 4.5)),
        aside_m=((0, 0), (1.5, 1.8), (5, 1.8), (7, 0)),
    ),
    "hard_braking_vru_near": Script(
        summary="The car brakes hard for nobody, and later hard behind a slow cyclist.",
        seconds=18.0,
        speed_mps=((0, 12), (3, 12), (4.2, 4), (8, 12), (11, 12), (12.2, 4.2), (18, 4.2)),
        roles=(ride(11.0, 20.0, -2.0, 4.5),),
    ),
    "near_miss": Script(
        summary="A cyclist at the edge is passed with room; another swerves in front of the car, which only just slows.",
        seconds=18.0,
        speed_mps=((0, 12), (10.4, 12), (12.15, 4), (18, 4)),
        roles=(
            ride(5.0, 0.0, -4.6, 4.0),
            Role(
                Kind.CYCLIST,
                10.0,
                ((-20.0, 13.0 - 80.0, -3.7), (0.0, 13.0, -3.7), (0.8, 16.2, -2.0), (12.0, 61.0, -2.0)),
            ),
        ),
        aside_m=((0, 0), (2.5, 1.4), (5.5, 1.4), (7.5, 0)),
    ),
    "cyclist_against_traffic": Script(
        summary="A cyclist comes on the lane beside, as cyclists should; another comes along the car's own kerb.",
        seconds=18.0,
        speed_mps=((0, 8),),
        roles=(ride(6.0, 0.0, 2.4, -4.5), ride(12.0, 0.0, -4.1, -4.5)),
    ),
}
