"""Puts together what decides over which link, how much and how long the agent sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fsd_agent.daemon.config import UplinkConfig
from fsd_agent.daemon.parts import Parts
from fsd_agent.pipeline.gate import LinkGate
from fsd_agent.pipeline.power import PowerKeeper
from fsd_agent.pipeline.surroundings import SurroundingsWatch
from fsd_agent.ports.journal import JournalError
from fsd_agent.records.byte_limits import ByteLimits
from fsd_agent.records.clip import ClipState
from fsd_agent.records.region import Hold
from fsd_agent.rules.uplink.rate import Rate
from fsd_firmware.surroundings import LinkKind

BURST_NS: Final = 250_000_000
"""At 4 Mbit/s two segments: enough to keep the link busy between two turns of the loop."""


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """What the loops ask."""

    gate: LinkGate
    power: PowerKeeper
    watch: SurroundingsWatch

    @property
    def trouble(self) -> str:
        """The newest fault that a person should look at; empty when there is none."""
        return self.watch.trouble or self.power.trouble


def open_link_policy(config: UplinkConfig, parts: Parts) -> LinkPolicy:
    """Raises ``JournalError`` where it can't be read what was spent."""
    watch = SurroundingsWatch(parts.firmware.surroundings, parts.clock, parts.events)
    power = PowerKeeper(
        lambda: watch.now.power,
        work_left=lambda: _work_left(parts, gate),
        give_back=parts.firmware.give_back,
        clock=parts.clock,
        events=parts.events,
    )
    gate = LinkGate(
        surroundings=lambda: watch.now,
        asleep=power.asleep,
        journal=parts.journal,
        clock=parts.clock,
        own=ByteLimits(config.metered_bytes_per_day, config.metered_bytes_per_month),
        rates=_rates(config),
    )
    return LinkPolicy(gate, power, watch)


def _rates(config: UplinkConfig) -> dict[LinkKind, Rate]:
    wanted = {
        LinkKind.WIFI: config.wifi_bytes_per_s,
        LinkKind.ETHERNET: config.ethernet_bytes_per_s,
        LinkKind.CELLULAR: config.cellular_bytes_per_s,
        LinkKind.UNKNOWN: config.cellular_bytes_per_s,
    }
    return {kind: Rate(bytes_per_s, BURST_NS) for kind, bytes_per_s in wanted.items() if bytes_per_s}


def _work_left(parts: Parts, gate: LinkGate) -> bool:
    """Whether a window is open, or a clip is to be finished or may be sent. Where nobody can say, there may be."""
    journal = parts.journal
    try:
        if journal.clips({ClipState.STAGED}, limit=1):
            return True
        if isinstance(parts.residence.current, Hold):  # Then nothing is finished or sent
            return False
        return bool(
            journal.clips({ClipState.CAPTURED}, limit=1)
            or journal.clips({ClipState.SEALED}, limit=1, admits=gate.admits())
        )
    except JournalError:
        return True
