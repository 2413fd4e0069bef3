"""What the agent does while the ignition is off.

    ON        ignition on                      everything
    DRAINING  ignition off, window not over    nothing new is kept; open windows end, clips are finished and sent
    ASLEEP    the window over or given back    nothing: no sample is looked at, nobody is connected

The window is given back when nothing is left that can go on, or :data:`RESERVE_NS` before it ends, so that what is under
way ends cleanly inside it. Once given back it stays so until the ignition is on: a window that firmware lengthens later is
not taken again. A second ignition-on wakes the agent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from fsd_firmware.surroundings import PowerState

RESERVE_NS: Final = 3_000_000_000
"""For the clip that is being redacted to be left, the connection to be closed (a second) and files to be synced."""


class Phase(StrEnum):
    """See the module."""

    ON = "on"
    DRAINING = "draining"
    ASLEEP = "asleep"


def phase(power: PowerState, before: Phase, *, work_left: bool) -> Phase:
    """What comes after ``before``."""
    if power.ignition_on:
        return Phase.ON
    is_over = power.drain_left_ns <= RESERVE_NS
    return Phase.ASLEEP if before is Phase.ASLEEP or is_over or not work_left else Phase.DRAINING
