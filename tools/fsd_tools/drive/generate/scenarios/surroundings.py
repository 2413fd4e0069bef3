"""Places and times at which seeing is hard."""

from __future__ import annotations

from collections.abc import Mapping

from fsd_firmware.samples import Kind
from fsd_tools.drive.generate.course import Course
from fsd_tools.drive.generate.script import Role, Script, ride, stand

SURROUNDINGS: Mapping[str, Script] = {
    "night_vru": Script(
        summary="At night, one stands far off the road, and one walks along it.",
        seconds=16.0,
        speed_mps=((0, 8.5),),
        roles=(
            stand(4.0, 30.0, -13.0),
            Role(Kind.PEDESTRIAN, 10.0, ((-12, 6.0, -5.3), (12, 34.0, -5.3))),
        ),
        course=Course(dark=((0, 1.0),)),
        extras=False,
    ),
    "tunnel_with_vru": Script(
        summary="By day a pedestrian is passed; then the car follows a cyclist into a tunnel, where no satellite is seen.",
        seconds=20.0,
        speed_mps=((0, 9), (7, 9), (9, 6), (20, 6)),
        roles=(stand(2.0, 14.0, -6.5), ride(10.0, 20.0, -2.3, 6.0)),
        course=Course(dark=((0, 0), (6.2, 0), (7.2, 0.85), (16, 0.85), (16.6, 0)), no_fix=((6.8, 16.4),)),
        extras=False,
    ),
}
