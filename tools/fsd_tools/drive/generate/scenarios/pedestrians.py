"""Pedestrians in front of the car."""

from __future__ import annotations

from collections.abc import Mapping

from fsd_firmware.samples import Kind
from fsd_tools.drive.generate.script import Role, Script, stand, walk

CHILD_M = 1.12
CROWD_SETS_OFF_S = 13.0

PEDESTRIANS: Mapping[str, Script] = {
    "pedestrian_crossing_ahead": Script(
        summary="Somebody stands at the kerb and stays there; later somebody crosses at a zebra, and the car waits.",
        seconds=20.0,
        speed_mps=((0, 10), (9.5, 10), (13.1, 1), (16.5, 1), (19, 7)),
        roles=(stand(4.0, 15.0, -6.2), walk(9.2, 29.0, -6.3, 6.5, 1.4)),
        zebras=((9.2, 29.0),),
    ),
    "child_height_pedestrian": Script(
        summary="A grown-up stands at the edge of the road, later a child.",
        seconds=18.0,
        speed_mps=((0, 8),),
        roles=(stand(4.0, 22.0, -5.0, height_m=1.70), stand(10.0, 25.0, -5.0, height_m=CHILD_M)),
    ),
    "crowd_at_crossing": Script(
        summary="Seven people wait at a zebra; the car rolls up slowly, and they cross while it stands.",
        seconds=20.0,
        speed_mps=((0, 8), (6, 8), (12.2, 0.3), (20, 0.3)),
        roles=tuple(
            Role(Kind.PEDESTRIAN, 6.0, ((sets_off, ahead, d), (sets_off + abs(to - d) / 1.25, ahead, to)))
            for sets_off, ahead, d, to in (
                (7.0, 35.0, -6.2, 6.8),
                (7.4, 35.8, -6.9, 7.4),
                (7.2, 34.3, -7.6, 6.4),
                (7.9, 36.6, -6.4, 8.0),
                (8.3, 34.8, -8.3, 7.2),
                (7.6, 35.4, 6.3, -7.0),
                (7.3, 36.2, 7.0, -6.5),
            )
        ),
        zebras=((6.0, 35.4),),
    ),
}
