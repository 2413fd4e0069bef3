"""Where the vehicle belongs, as recorded: no loop is told of a region before the ledger holds that it is the vehicle's.

A change that can't be recorded is a hold: the region before is the wrong one by then, and the new one can't be accounted
for; on hold there are no regions that were left either. It is tried again whenever somebody asks. A route is recorded
anew whenever anything about it changes, so that a policy that came at run time is in the ledger before it counts.

A policy that was laid down and refused is recorded too, once, with the version that goes on.

Threads: any.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from fsd_agent.pipeline.residence import Belonging
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.ledger import Ledger, LedgerError
from fsd_agent.records.ledger import Fact, Held, PolicyRefused, Registered
from fsd_agent.records.region import Hold, HoldReason, RegionPolicy, Route


class Whereabouts(Protocol):
    """Who knows where the vehicle belongs."""

    @property
    def current(self) -> Route | Hold:
        """The answer now."""
        ...

    @property
    def left(self) -> tuple[Route, ...]:
        """Ways to the regions that the vehicle has left and that want their clips, by region id."""
        ...

    @property
    def erased(self) -> frozenset[str]:
        """Regions that the vehicle has left and that want their clips erased."""
        ...

    @property
    def refused_policies(self) -> Mapping[str, str]:
        """Why what is laid down for a region is not in force, by region id."""
        ...


class Looking(Protocol):
    """Who finds out where the vehicle belongs."""

    @property
    def now(self) -> Belonging:
        """What one look found."""
        ...


class RecordedWhereabouts:
    """See the module."""

    def __init__(self, source: Looking, ledger: Ledger, events: EventSink) -> None:
        self._source = source
        self._ledger = ledger
        self._events = events
        self._lock = threading.Lock()
        self._recorded: Route | Held | None = None
        self._refused: Mapping[str, str] = {}
        """As recorded."""
        self._told: str | None = None
        """The fault that was told last, so that it is told once."""

    @property
    def current(self) -> Route | Hold:
        """The answer now, once it is recorded."""
        return self._now().where

    @property
    def left(self) -> tuple[Route, ...]:
        """See :class:`Whereabouts`; none before where the vehicle is now is recorded."""
        return self._now().left

    @property
    def erased(self) -> frozenset[str]:
        """See :class:`Whereabouts`; none before where the vehicle is now is recorded."""
        return self._now().erased

    @property
    def refused_policies(self) -> Mapping[str, str]:
        """See :class:`Whereabouts`."""
        return self._now().refused

    @property
    def policies(self) -> tuple[RegionPolicy, ...]:
        """Every policy in force, by region id."""
        return self._now().policies

    @property
    def proved_ns(self) -> int:
        """The newest wall time that is proved; see ``pipeline.residence``."""
        return self._now().proved_ns

    def _now(self) -> Belonging:
        with self._lock:
            found = self._source.now
            state = Held(found.where.reason) if isinstance(found.where, Hold) else found.where
            news = self._refusals(found)
            if state != self._recorded:
                news.append(_fact(state))
            if news:
                try:
                    self._ledger.append(*news)
                except LedgerError as error:
                    return self._held(found, str(error))
            self._recorded, self._refused, self._told = state, found.refused, None
            return found

    def _refusals(self, found: Belonging) -> list[Fact]:
        """What is refused now and was not, or for another reason."""
        in_force = {policy.region_id: policy.version for policy in found.policies}
        return [
            PolicyRefused(region_id, in_force.get(region_id, 0))
            for region_id, reason in sorted(found.refused.items())
            if self._refused.get(region_id) != reason
        ]

    def _held(self, found: Belonging, fault: str) -> Belonging:
        if fault != self._told:
            self._told = fault
            self._events.emit("ledger_failed", clip="", what=fault)
        detail = f"where the vehicle belongs can't be recorded: {fault}"
        hold = Hold(HoldReason.REGISTRATION_NOT_KEPT, detail)
        return replace(found, where=hold, left=(), erased=frozenset())


def _fact(state: Route | Held) -> Registered | Held:
    if isinstance(state, Held):
        return state
    registration, policy = state.registration, state.policy
    return Registered(
        registration.vehicle,
        registration.jurisdiction,
        registration.serial,
        policy.region_id,
        policy.version,
    )
