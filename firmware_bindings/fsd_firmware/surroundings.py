"""What firmware knows of the car around the agent: which link is up, and how long there is power.

Nothing that is unknown is guessed in favour of sending: an unknown link counts as metered and as roaming. Power that is
unknown counts as on, because stopping for a file that can't be read would lose what a power cut does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class LinkKind(StrEnum):
    """What the car's way to the network is."""

    WIFI = "wifi"
    CELLULAR = "cellular"
    ETHERNET = "ethernet"
    NONE = "none"
    """There is none."""
    UNKNOWN = "unknown"
    """There may be one."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """The link that packets of the agent take now."""

    kind: LinkKind
    metered: bool
    """Somebody pays by the byte. A phone's hot spot is Wi-Fi and metered."""
    roaming: bool
    """In another operator's network."""


@dataclass(frozen=True, slots=True)
class PowerState:
    """Whether the car is in use, and what the agent may still have of its battery."""

    ignition_on: bool
    drain_left_ns: int = 0
    """With the ignition off: of the time that the agent may go on to work, what is left at this call, time in which the
    computer was suspended counted; 0 when it is over."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One moment."""

    link: LinkState
    power: PowerState
    fault: str = ""
    """Why less is known than could be; empty where that is no fault."""


UNKNOWN_LINK: Final = LinkState(LinkKind.UNKNOWN, metered=True, roaming=True)
POWERED: Final = PowerState(ignition_on=True)


def unknown(fault: str = "") -> Surroundings:
    """The careful answer, and why it has to be given."""
    return Surroundings(UNKNOWN_LINK, POWERED, fault)
