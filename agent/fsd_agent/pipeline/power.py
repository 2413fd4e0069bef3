"""What the ignition means for the loops, and giving a drain window back once each of them rests.

The rule is ``rules.uplink.power``. A loop that finds itself asleep ends what it is at, and says so with :meth:`rest`;
after the last of them firmware is told. Where it can't be told, it is tried again while the ignition is off.

Threads: any.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.rules.uplink.power import Phase, phase
from fsd_firmware.contract import FirmwareError
from fsd_firmware.surroundings import PowerState

LOOK_EVERY_NS = 500_000_000


class Loop(StrEnum):
    """Who must rest before the window is given back."""

    SENSE = "sense"
    FINISH = "finish"
    DELIVER = "deliver"


class Power(Protocol):
    """What a loop asks."""

    @property
    def phase(self) -> Phase:
        """What counts now."""
        ...

    def rest(self, loop: Loop) -> None:
        """``loop`` has nothing under way, and takes nothing up while it is asleep."""
        ...


class PowerKeeper:
    """Implements :class:`Power`; see the module."""

    def __init__(
        self,
        power: Callable[[], PowerState],
        *,
        work_left: Callable[[], bool],
        give_back: Callable[[], None],
        clock: Clock,
        events: EventSink,
    ) -> None:
        """``work_left`` says whether anything can go on in a drain window; it is asked in one alone.

        ``give_back`` is firmware's, and raises ``FirmwareError``.
        """
        self._power = power
        self._work_left = work_left
        self._give_back = give_back
        self._clock = clock
        self._events = events
        self._lock = threading.RLock()
        self._phase = Phase.ON
        self._looked_ns: int | None = None
        self._resting: set[Loop] = set()
        self._is_given_back = False
        self.trouble = ""
        """Why a window could not be given back; empty where there is no fault."""

    @property
    def phase(self) -> Phase:
        """See :class:`Power`."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            if self._looked_ns is None or now_ns - self._looked_ns >= LOOK_EVERY_NS:
                self._looked_ns = now_ns  # First: what is left to do may depend on the phase until now
                self._look(self._power())
            return self._phase

    def asleep(self) -> bool:
        """Whether nothing is to be done."""
        return self.phase is Phase.ASLEEP

    def rest(self, loop: Loop) -> None:
        """See :class:`Power`."""
        with self._lock:
            if self._phase is not Phase.ASLEEP:
                return
            self._resting.add(loop)
            if self._is_given_back or self._resting != set(Loop):
                return
            try:
                self._give_back()
            except FirmwareError as error:
                self.trouble = str(error)
                return
            self._is_given_back, self.trouble = True, ""
            self._events.emit("power", phase="given_back", drain_left_s=0.0)

    def _look(self, power: PowerState) -> None:
        before = self._phase
        is_asked = not power.ignition_on and before is not Phase.ASLEEP
        self._phase = phase(power, before, work_left=self._work_left() if is_asked else False)
        if self._phase is before:
            return
        if self._phase is Phase.ON:
            self._resting.clear()
            self._is_given_back, self.trouble = False, ""
        left_s = round(power.drain_left_ns / 1e9, 3)
        self._events.emit("power", phase=str(self._phase), drain_left_s=left_s)
