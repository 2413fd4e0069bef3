"""The driving computer's own mistakes: seen late, seen now and then, seen by one camera only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fsd_tools.drive.generate.script import Script, parked, stand

ALWAYS = ((0.0, 1e9),)
BLINKS = tuple((8.0 + 0.5 * i, 8.25 + 0.5 * i) for i in range(6))
"""A quarter of a second in every half: two or three looks are missed each time."""

DETECTOR: Mapping[str, Script] = {
    "late_detection": Script(
        summary="One pedestrian at the edge of the road is seen from afar, the next only twelve metres ahead.",
        seconds=16.0,
        speed_mps=((0, 9),),
        roles=(
            stand(4.0, 20.0, -4.4),
            replace(stand(9.0, 25.0, -4.2), unseen_front=((0, 10.4),), unseen_narrow=ALWAYS),
        ),
    ),
    "detection_flicker": Script(
        summary="A single pedestrian at the edge of the road is seen, lost, seen, lost.",
        seconds=14.0,
        speed_mps=((0, 5),),
        roles=(
            replace(stand(8.0, 24.0, -4.9), unseen_front=BLINKS, unseen_narrow=BLINKS),
            parked(4.0, 10.0),
            parked(10.0, 30.0),
        ),
        extras=False,
    ),
    "main_narrow_disagreement": Script(
        summary="The front camera misses a pedestrian whom the narrow one sees; later one is beside what that one sees.",
        seconds=16.0,
        speed_mps=((0, 9),),
        roles=(
            replace(stand(6.0, 38.0, -4.2), unseen_front=((6.4, 8.1),)),
            replace(stand(12.0, 22.0, -7.6), alive_s=(10.0, 1e9)),
            parked(3.0, 8.0),
        ),
        extras=False,
    ),
}
