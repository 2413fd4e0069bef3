"""When clips may be looked at, painted and encoded: at any time, or only where nobody drives.

What the driving computer has no room for on the road waits, captured and under its compartment's key, until the drive mode is
``parked``, or the ignition is off and its window not over (:mod:`fsd_agent.rules.uplink.power`). A clip that is at work when the
car drives off is left, and begun anew later. Until firmware has told a mode it may be driving. Room and retention go on by their own
rules meanwhile: of more than there is room for, what is worth the least is given up.

Threads: ``sensed`` for the sensing loop, ``may`` for any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fsd_agent.pipeline.power import Power
from fsd_agent.ports.events import EventSink
from fsd_agent.rules.uplink.power import Phase
from fsd_firmware.samples import DriveMode, ModeChange


class VideoWork(Protocol):
    """What loops ask, and what they tell."""

    def sensed(self, modes: Sequence[ModeChange]) -> None:
        """Firmware has told of these modes, in order."""
        ...

    def may(self) -> bool:
        """Whether there may be work on video now."""
        ...


class AtAnyTime:
    """Implements :class:`VideoWork`."""

    def sensed(self, modes: Sequence[ModeChange]) -> None:
        """Nothing depends on them."""

    def may(self) -> bool:
        """Always."""
        return True


class WhenParked:
    """Implements :class:`VideoWork`; see the module."""

    def __init__(self, power: Power, events: EventSink) -> None:
        self._power = power
        self._events = events
        self._mode = DriveMode.UNKNOWN

    def sensed(self, modes: Sequence[ModeChange]) -> None:
        """See :class:`VideoWork`."""
        if not modes or modes[-1].mode is self._mode:
            return
        before, self._mode = self._mode, modes[-1].mode
        if before is DriveMode.UNKNOWN or DriveMode.PARKED in {before, self._mode}:
            self._events.emit("video_work", allowed=self._mode is DriveMode.PARKED)

    def may(self) -> bool:
        """See :class:`VideoWork`."""
        return self._mode is DriveMode.PARKED or self._power.phase is Phase.DRAINING
