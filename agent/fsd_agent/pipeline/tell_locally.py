"""Writes down on the vehicle what the agent would say of itself: on hold too, when there is nobody to tell.

A fault of the file is told once, and nothing else depends on it.

Threads: one at a time; the caller serialises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from fsd_agent import __version__
from fsd_agent.pipeline.holds import Holds
from fsd_agent.pipeline.tell import spool_levels
from fsd_agent.pipeline.video_work import VideoWork
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import Ledger, LedgerError
from fsd_agent.ports.local_status import StatusStore, StatusStoreError
from fsd_agent.records.delivery import DeliveryStats
from fsd_agent.records.local_status import Belongs, LocalStatus, Uplink
from fsd_agent.records.region import Hold, RegionPolicy, Route
from fsd_agent.records.status import Fault, ProcessUse, SpoolLevel


class Known(Protocol):
    """What is known of where the vehicle belongs."""

    @property
    def current(self) -> Route | Hold:
        """The answer now."""
        ...

    @property
    def policies(self) -> tuple[RegionPolicy, ...]:
        """Every policy in force."""
        ...

    @property
    def refused_policies(self) -> Mapping[str, str]:
        """Why what is laid down for a region is not in force, by region id."""
        ...


class LocalTeller:
    """See the module."""

    def __init__(
        self,
        *,
        store: StatusStore,
        known: Known,
        holds: Holds,
        journal: Journal,
        ledger: Ledger,
        stats: Callable[[], DeliveryStats],
        trouble: Callable[[], str],
        use: Callable[[], ProcessUse],
        clock: Clock,
        boot_id: str,
        every_s: float,
        faults: Callable[[], tuple[Fault, ...]],
        models: tuple[str, ...],
        events: EventSink,
        video: VideoWork,
        valued: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        """``valued`` counts clips by how valuing them went."""
        self._store = store
        self._known = known
        self._holds = holds
        self._journal = journal
        self._ledger = ledger
        self._stats = stats
        self._trouble = trouble
        self._use = use
        self._clock = clock
        self._boot_id = boot_id
        self._every_s = every_s
        self._faults = faults
        self._models = models
        self._events = events
        self._video = video
        self._valued = valued
        before = store.newest()
        self._last_connected_ns = before.uplink.last_connected_wall_ns if before is not None else 0
        self._connections = 0
        self._fault = ""

    def tell(self, ended: str = "") -> None:
        """Write this moment down; ``ended`` says how the agent ends, if it does."""
        where = self._known.current
        spool, fired, dropped = self._account()
        status = LocalStatus(
            wall_ns=self._clock.wall_ns(),
            mono_ns=self._clock.monotonic_ns(),
            boot_id=self._boot_id,
            every_s=self._every_s,
            ended=ended,
            agent_version=__version__,
            belongs=belongs_of(where),
            policies={policy.region_id: policy.version for policy in self._known.policies},
            refused_policies=dict(self._known.refused_policies),
            uplink=self._uplink(),
            holds=self._holds.look(where),
            ledger_head=self._head(),
            trouble=self._trouble(),
            use=self._use(),
            spool=spool,
            fired=fired,
            dropped=dropped,
            faults=self._faults(),
            models=self._models,
            until_parked=not self._video.may(),
            valued=dict(self._valued()),
        )
        try:
            self._store.put(status)
        except StatusStoreError as error:
            self._failed(str(error))
        else:
            self._fault = ""

    def _uplink(self) -> Uplink:
        stats = self._stats()
        if stats.connected or stats.connections > self._connections:
            self._last_connected_ns = self._clock.wall_ns()
        self._connections = stats.connections
        return Uplink(
            region=stats.region_id,
            connected=stats.connected,
            last_connected_wall_ns=self._last_connected_ns,
            failures=stats.connection_failures,
            refused=stats.brokers_refused,
            delivered_clips=stats.delivered_clips,
            waits=dict(stats.waits),
            sent_bytes=sum(one.bytes for one in stats.sent),
        )

    def _account(self) -> tuple[dict[str, dict[str, SpoolLevel]], int, dict[str, int]]:
        """What is on board, firings, and drops by reason; nothing where the journal can't be read: others tell that."""
        try:
            levels, totals = self._journal.levels(), self._journal.totals()
        except JournalError:
            return {}, 0, {}
        dropped: Counter[str] = Counter()
        for one in totals:
            dropped.update({str(reason): count for reason, count in one.dropped})
        regions = sorted({level.region_id for level in levels})
        spool = {id_: spool_levels(level for level in levels if level.region_id == id_) for id_ in regions}
        return spool, sum(one.fired for one in totals), dict(dropped)

    def _head(self) -> bytes:
        """Empty where the ledger can't give one: whoever asks it for an act tells why."""
        try:
            return self._ledger.head().encode()
        except LedgerError:
            return b""

    def _failed(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            self._events.emit("disk_failed", clip="", what=fault)


def belongs_of(where: Route | Hold) -> Belongs:
    """Where the vehicle belongs, as it is written down."""
    if isinstance(where, Hold):
        return Belongs("", "", "", 0, 0, str(where.reason), where.detail)
    registration, policy = where.registration, where.policy
    return Belongs(
        policy.region_id,
        registration.vehicle,
        registration.jurisdiction,
        registration.serial,
        policy.version,
        "",
        "",
    )
