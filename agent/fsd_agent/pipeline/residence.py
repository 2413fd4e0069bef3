"""Where this vehicle belongs right now: firmware's registration against the region policies on board.

Everything that needs a region asks here, and gets a :class:`Route` or a :class:`Hold`; there is no default.

Firmware may change the document, and a policy may be laid down, at any moment, also while samples have stopped: whoever
asks gets an answer that is at most :data:`LOOK_EVERY_NS` old.

Whoever must know where the agent's data may go without being the agent (the egress list) asks here too, with a copy of
what the agent keeps: so there is one decision, floors and time included.

Regions that the vehicle has left. The registration under which it belonged to a region is kept in the journal. Clips of
that region stay its own: where its policy says ``deliver``, ``left`` gives the way back to it; where it says ``erase``,
``erased`` names it. On hold there is neither: the vehicle has not arrived anywhere. A registration that was kept and can't
be read is no way back: that is told once, and its clips stay.

Threads: any.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from fsd_agent.pipeline.policies import PolicyShelf
from fsd_agent.pipeline.registrar import Registrar
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import JournalError, StateStore
from fsd_agent.ports.trust_store import TrustStore
from fsd_agent.records.region import Hold, HoldReason, LeftClips, RegionPolicy, Registration, Route
from fsd_agent.rules.residency.route import route
from fsd_agent.wire.registration import RegistrationError, decode_registration, encode_registration

LOOK_EVERY_NS = 1_000_000_000
"""A withdrawn registration stops collection and delivery within this time, for a look at a few small files a second."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """One look; the properties of :class:`Residence` say what its members are."""

    where: Route | Hold
    policies: tuple[RegionPolicy, ...]
    refused: Mapping[str, str]
    left: tuple[Route, ...] = ()
    erased: frozenset[str] = frozenset()
    proved_ns: int = 0
    """The newest wall time that is proved, Unix time: by a policy's signature, or by a clock that is believed. The clock
    itself does not count: what can't be undone is not done because of a clock that was set wrong a moment ago."""


class Residence:
    """See the module."""

    def __init__(
        self,
        registration: Callable[[], bytes | None],
        trust: TrustStore,
        *,
        device_key_ids: Callable[[], Collection[str]],
        journal: StateStore,
        clock: Clock,
        events: EventSink,
    ) -> None:
        """Ask ``registration`` for firmware's document, ``trust`` for whom to believe, ``device_key_ids`` for our own keys."""
        self._shelf = PolicyShelf(trust, journal, events)
        self._registrar = Registrar(
            registration, trust, device_key_ids=device_key_ids, journal=journal, clock=clock
        )
        self._journal = journal
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._looked_ns = clock.monotonic_ns()
        self._lost: Mapping[str, str] = {}
        """Why there is no way back to a region that was left, as told."""
        self._written: tuple[Registration, bytes] | None = None
        """The newest registration of a route, and how it is kept."""
        self._picture = self._look()
        self._tell()

    @property
    def current(self) -> Route | Hold:
        """The answer now; tells when it has changed."""
        return self.now.where

    @property
    def left(self) -> tuple[Route, ...]:
        """Ways to the regions that the vehicle has left and that want their clips, by region id."""
        return self.now.left

    @property
    def erased(self) -> frozenset[str]:
        """Regions that the vehicle has left and that want their clips erased."""
        return self.now.erased

    @property
    def policies(self) -> tuple[RegionPolicy, ...]:
        """Every policy in force, by region id."""
        return self.now.policies

    @property
    def refused_policies(self) -> Mapping[str, str]:
        """Why what is laid down for a region is not in force, by region id."""
        return self.now.refused

    @property
    def now(self) -> Belonging:
        """All of it, as one look found it."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            if now_ns - self._looked_ns >= LOOK_EVERY_NS:
                self._looked_ns = now_ns
                before, self._picture = self._picture.where, self._look()
                if self._picture.where != before:
                    self._tell()
            return self._picture

    def _look(self) -> Belonging:
        policies = self._shelf.look()
        usable = tuple(policy for policy in policies if isinstance(policy, RegionPolicy))
        signed_ns = max((policy.issued_wall_ns for policy in usable), default=0)
        where = route(self._registrar.look(signed_ns), policies)
        proved_ns = max(signed_ns, self._registrar.believed_ns)
        refused = dict(self._shelf.refused)
        if isinstance(where, Route):
            where = self._remember(where)
        if isinstance(where, Hold):
            return Belonging(where, usable, refused, proved_ns=proved_ns)
        others = [policy for policy in usable if policy.region_id != where.policy.region_id]
        return Belonging(
            where,
            usable,
            refused,
            left=self._ways_back([one for one in others if one.left_clips is LeftClips.DELIVER]),
            erased=frozenset(one.region_id for one in others if one.left_clips is LeftClips.ERASE),
            proved_ns=proved_ns,
        )

    def _remember(self, where: Route) -> Route | Hold:
        """Keep under which registration the vehicle belongs to this region, before anything is collected for it."""
        key, registered = _state_key(where.policy.region_id), self._as_kept(where.registration)
        try:
            if self._journal.get_state(key) != registered:
                self._journal.set_state(key, registered)
        except JournalError as error:
            return Hold(HoldReason.REGISTRATION_NOT_KEPT, str(error))
        return where

    def _as_kept(self, registration: Registration) -> bytes:
        if self._written is None or self._written[0] != registration:
            self._written = registration, encode_registration(registration)
        return self._written[1]

    def _ways_back(self, policies: Sequence[RegionPolicy]) -> tuple[Route, ...]:
        """To those of these regions that the vehicle belonged to before."""
        found, lost = [], {}
        for policy in policies:
            key = _state_key(policy.region_id)
            try:
                kept = self._journal.get_state(key)
                if kept is not None:
                    found.append(Route(decode_registration(kept), policy))
            except (JournalError, RegistrationError) as error:  # nothing is sent there: the clips stay
                lost[key] = f"{key}: {error}"
        for key, fault in lost.items():
            if self._lost.get(key) != fault:
                self._events.emit("journal_failed", clip="", what=fault)
        self._lost = lost
        return tuple(found)

    def _tell(self) -> None:
        where = self._picture.where
        if isinstance(where, Hold):
            self._events.emit("hold", reason=str(where.reason), detail=where.detail)
            return
        self._events.emit(
            "route",
            vehicle=where.registration.vehicle,
            jurisdiction=where.registration.jurisdiction,
            region=where.policy.region_id,
        )


def _state_key(region_id: str) -> str:
    return f"registered/{region_id}"
