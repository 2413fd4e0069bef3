"""Versions of everything that this agent writes for others or reads from them, as the status tells them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fsd_agent.wire import campaigns, clip_messages, envelope, firing, ledger, status, transfer

WIRE_VERSIONS: Mapping[str, int] = MappingProxyType(
    {
        "campaigns": campaigns.VERSION,
        "clip": clip_messages.VERSION,
        "envelope": envelope.VERSION,
        "firing": firing.VERSION,
        "ledger": ledger.VERSION,
        "status": status.VERSION,
        "transfer": transfer.VERSION,
    }
)
