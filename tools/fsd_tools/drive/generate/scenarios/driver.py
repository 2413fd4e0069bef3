"""Driver and driving computer at odds."""

from __future__ import annotations

from collections.abc import Mapping

from fsd_firmware.samples import DriveMode
from fsd_tools.drive.generate.course import Course
from fsd_tools.drive.generate.script import Script, ride, stand

DRIVER: Mapping[str, Script] = {
    "driver_takes_over": Script(
        summary="The driver pulls the wheel out of the computer's hands; later the computer asks for it.",
        seconds=24.0,
        speed_mps=((0, 9),),
        roles=(stand(5.0, 20.0, -6.3), ride(9.0, 40.0, -4.4, 8.0)),
        aside_m=((8.6, 0), (10.5, 0.5), (13, 0)),
        course=Course(
            modes=(
                (0.0, DriveMode.MANUAL),
                (1.0, DriveMode.ASSISTED),
                (9.0, DriveMode.MANUAL),
                (13.0, DriveMode.ASSISTED),
                (18.0, DriveMode.MANUAL),
            ),
            takeover_asked=((17.0, 18.0),),
            hands_nm=((8.6, 0), (8.9, 4.5), (9.6, 4.5), (10, 0), (17.8, 0), (18, 4), (18.6, 4), (19, 0)),
        ),
    ),
    "planner_driver_disagreement": Script(
        summary="The driver drives on where the planner would brake; before, they differ briefly, and a little.",
        seconds=18.0,
        speed_mps=((0, 9), (6, 9), (8, 10)),
        roles=(stand(11.0, 24.0, -6.1),),
        course=Course(
            wish_mps2=(
                (3.0, 0), (3.1, -4), (3.3, -4), (3.4, 0), (5, 0), (5.2, 1), (8, 1), (8.2, 0),
                (10.5, 0), (10.7, -3.8), (12.5, -3.8), (12.8, 0),
            ),
        ),
    ),
}  # fmt: skip
