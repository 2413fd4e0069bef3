"""Heads of the ledger: told to the region in every status message, and what it acknowledges of them.

Once a region has confirmed, with its signature, a root that this process has told, the records under that root can't be
denied any more, and the oldest of them may go to keep the ledger bounded.

Threads: any.
"""

from __future__ import annotations

import threading

from fsd_agent.ports.broker import Message
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.ledger import Ledger, LedgerError
from fsd_agent.records.region import Route
from fsd_agent.wire.head_ack import verify_head_ack
from fsd_agent.wire.transfer import Topics
from fsd_agent.wire.verdict import VerdictError

TOLD_MAX = 64
"""Heads that an acknowledgement may still come for; a later one covers the earlier."""


class Heads:
    """See the module."""

    def __init__(self, ledger: Ledger, events: EventSink) -> None:
        self._ledger = ledger
        self._events = events
        self._lock = threading.Lock()
        self._told: dict[int, bytes] = {}
        """Root by size."""
        self._acknowledged = 0
        self._fault = ""

    @property
    def trouble(self) -> str:
        """Why the newest status has no head; empty where it has one."""
        return self._fault

    @property
    def acknowledged(self) -> int:
        """Records that a region has confirmed a root over."""
        with self._lock:
            return self._acknowledged

    def tell(self) -> bytes:
        """A signed head for a status message; empty where the ledger can't give one: the status says why."""
        try:
            signed = self._ledger.head()
            self._ledger.trim(self.acknowledged)
        except LedgerError as error:
            self._failed(str(error))
            return b""
        self._fault = ""
        with self._lock:
            self._told[signed.value.size] = signed.value.root
            while len(self._told) > TOLD_MAX:
                del self._told[next(iter(self._told))]
        return signed.encode()

    def heard(self, route: Route, message: Message) -> bool:
        """Take an acknowledgement; False where the message is none. One that does not hold changes nothing."""
        topics = Topics(route.policy.region_id, route.registration.vehicle)
        if message.topic != topics.head_ack:
            return False
        with self._lock:
            told = dict(self._told)
        try:
            size = verify_head_ack(
                message.payload,
                route.policy.receipt_public_keys,
                region_id=topics.region,
                vehicle=topics.vehicle,
                told=told,
            )
        except VerdictError:
            return True
        with self._lock:
            self._acknowledged = max(self._acknowledged, size)
        return True

    def _failed(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            self._events.emit("ledger_failed", clip="", what=fault)
