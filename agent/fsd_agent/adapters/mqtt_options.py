"""Bounds of a connection to a broker, each with its unit and why."""

from __future__ import annotations

from dataclasses import dataclass

from fsd_agent.adapters.mqtt_dial import LOWER_EFFORT
from fsd_agent.rules.uplink.versions import MqttVersion
from fsd_agent.wire.envelope import MAX_ENVELOPE_BYTES


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """See the module."""

    window: int = 16
    """Publishes that may be unacknowledged; 4 fill 20 Mbit/s at 50 ms, 16 fill a LAN."""
    connect_timeout_s: float = 4.0
    """For TCP, and again for TLS, and again for the CONNACK and the subscriptions. Dialling can't be interrupted,
    so twice this is the longest that an agent waits for its end."""
    keepalive_s: int = 10
    """The peer is asked for a sign of life when its TCP has acknowledged nothing for so long, and is dead after twice as long.
    From 4 on: below, pings of an idle connection come too late for a broker, who waits half as long again."""
    session_expiry_s: int = 3600
    """The broker keeps answers for us through a tunnel; after that they are asked for again."""
    inbound_bytes: int = MAX_ENVELOPE_BYTES + (64 << 10)
    """Largest packet that the broker may send us: a campaign set."""
    inbound_messages: int = 64
    """Taken from the socket in one call of ``events``, and Receive Maximum that we announce."""
    dscp: int = LOWER_EFFORT
    """Of every packet, 0 to 63."""
    close_timeout_s: float = 1.0
    """For what is already in paho's hands, at a clean end."""
    only_version: MqttVersion | None = None
    """Speak this one alone; None: 5, and 3.1.1 where the broker will not have it."""
