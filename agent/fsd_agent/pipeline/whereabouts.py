"""Where the vehicle belongs, as recorded: no loop is told of a region before the ledger holds that it is the vehicle's.

A change that can't be recorded is a hold: the region before is the wrong one by then, and the new one can't be accounted
for. It is tried again whenever somebody asks.

Threads: any.
"""

from __future__ import annotations

import threading
from typing import Protocol

from fsd_agent.ports.events import EventSink
from fsd_agent.ports.ledger import Ledger, LedgerError
from fsd_agent.records.ledger import Held, Registered
from fsd_agent.records.region import Hold, HoldReason, Route


class Whereabouts(Protocol):
    """Who knows where the vehicle belongs."""

    @property
    def current(self) -> Route | Hold:
        """The answer now."""
        ...


class RecordedWhereabouts:
    """See the module."""

    def __init__(self, source: Whereabouts, ledger: Ledger, events: EventSink) -> None:
        self._source = source
        self._ledger = ledger
        self._events = events
        self._lock = threading.Lock()
        self._recorded: Registered | Held | None = None
        self._told = ""
        """The fault that was told last, so that it is told once."""

    @property
    def current(self) -> Route | Hold:
        """The answer now, once it is recorded."""
        with self._lock:
            where = self._source.current
            fact = _fact(where)
            if fact == self._recorded:
                return where
            try:
                self._ledger.append(fact)
            except LedgerError as error:
                return self._hold(str(error))
            self._recorded, self._told = fact, ""
            return where

    def _hold(self, fault: str) -> Hold:
        if fault != self._told:
            self._told = fault
            self._events.emit("ledger_failed", clip="", what=fault)
        return Hold(HoldReason.NO_POLICY, f"where the vehicle belongs can't be recorded: {fault}")


def _fact(where: Route | Hold) -> Registered | Held:
    if isinstance(where, Hold):
        return Held(where.reason)
    registration, policy = where.registration, where.policy
    return Registered(
        registration.vehicle,
        registration.jurisdiction,
        registration.serial,
        policy.region_id,
        policy.version,
    )
