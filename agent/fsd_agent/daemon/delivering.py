"""Puts together what leaves the vehicle: clips and firings, and what may not leave any more."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from fsd_agent.adapters.mqtt import MqttBroker
from fsd_agent.adapters.mqtt_link import MqttOptions
from fsd_agent.daemon.config import AgentConfig
from fsd_agent.daemon.link_policy import LinkPolicy
from fsd_agent.daemon.parts import Parts
from fsd_agent.pipeline.control import Control
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.firings import FiringTeller
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.heads import Heads
from fsd_agent.pipeline.left import LeftClips
from fsd_agent.pipeline.turns import Turns
from fsd_agent.ports.broker import Message
from fsd_agent.records.region import Route


def open_firings(parts: Parts) -> FiringTeller:
    """Of what fired, ahead of its clips."""
    return FiringTeller(
        journal=parts.journal,
        ledger=parts.ledger,
        keys=parts.keys,
        clock=parts.clock,
        random=random.SystemRandom().random,
    )


def open_deliverer(
    config: AgentConfig,
    parts: Parts,
    heads: Heads,
    firings: FiringTeller,
    overdue: Callable[[], Sequence[str]],
    policy: LinkPolicy,
) -> Deliverer:
    """Of sealed clips. ``overdue`` gives up those that may not be kept any longer, and names them."""
    options = MqttOptions(window=config.uplink.window, dscp=config.uplink.dscp)
    return Deliverer(
        broker=MqttBroker(parts.keys, options),
        journal=parts.journal,
        spool=parts.spool,
        ledger=parts.ledger,
        consent=parts.consent,
        clock=parts.clock,
        events=parts.events,
        route_source=Turns(parts.residence, parts.journal, parts.clock).current,
        on_message=_all_of(heads, firings, parts.control),
        random=random.SystemRandom().random,
        overdue=overdue,
        beside=ThreadPoolExecutor(1, "check"),
        gate=policy.gate,
        power=policy.power,
        firings=firings,
    )


def open_left(parts: Parts, give_up: GiveUp, deliverer: Deliverer) -> LeftClips:
    """Of clips of regions that the vehicle has left."""
    return LeftClips(
        journal=parts.journal,
        give_up=give_up,
        residence=parts.residence,
        connected_to=lambda: deliverer.stats().region_id,
        clock=parts.clock,
        events=parts.events,
    )


def _all_of(heads: Heads, firings: FiringTeller, control: Control) -> Callable[[Route, Message], None]:
    """What is not about a clip is about the ledger's head, about a firing or about campaigns."""

    def hear(route: Route, message: Message) -> None:
        if not (heads.heard(route, message) or firings.heard(route, message)):
            control.on_message(route, message)

    return hear
