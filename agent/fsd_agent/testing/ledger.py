"""A ledger in memory, with a power cut that takes what was not durable."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from fsd_agent.ports.clock import Clock
from fsd_agent.ports.ledger import LedgerError, LedgerFullError
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.records.clip_ids import unpack_ids
from fsd_agent.records.ledger import FREEING, Entry, Fact, Head, LiveClip
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.audit.merkle import Frontier
from fsd_agent.rules.audit.state import LedgerState
from fsd_agent.rules.audit.writer import Signer, batch
from fsd_agent.rules.id_sets import without
from fsd_agent.wire.ledger import LedgerFormatError, Signed


class MemoryLedger:
    """See :class:`fsd_agent.ports.ledger.Ledger`. It has no bounds, so ``trim`` finds nothing to remove."""

    def __init__(self, *, keys: VehicleKeys, clock: Clock) -> None:
        self.full = False
        """Set to make every change find the disk full, but for records of ``FREEING`` kinds, for which room is kept."""
        self.broken = False
        """Set to make every change fail, as after an fsync that failed."""
        self.acknowledged = 0
        """Records that a region was said to have a root over."""
        self._clock = clock
        self._signer = Signer(keys.sign, keys.device_key_id())
        self._lock = threading.RLock()
        self._records: list[tuple[Entry, Frontier, bytes]] = []
        self._durable = 0
        self._state = LedgerState()
        self._closed = False

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every record so far."""
        with self._lock:
            return tuple(entry for entry, _, _ in self._records)

    def append(self, *facts: Fact) -> None:
        """See the port."""
        with self._lock:
            self._check(*facts)
            if not facts:
                return
            try:
                made = batch(
                    self._state,
                    facts,
                    signer=self._signer,
                    signed_size=self._state.size,
                    confirmed=self._durable,
                    wall_ns=self._clock.wall_ns(),
                    mono_ns=self._clock.monotonic_ns(),
                )
            except LedgerFormatError as error:
                raise LedgerError(f"a fact that can't be recorded: {error}") from error
            except VehicleKeyError as error:
                raise LedgerError(f"it can't be signed: {error}") from error
            for record in made.added:
                self._state.take(*record)
            self._records.extend(made.added)
            if not made.lazy:
                self._durable = len(self._records)

    def head(self) -> Signed[Head]:
        """See the port."""
        with self._lock:
            self._check()
            self._durable = len(self._records)
            try:
                return self._signer.head(self._state.frontier, self._state.chain, self._clock.wall_ns())
            except VehicleKeyError as error:
                raise LedgerError(f"it can't be signed: {error}") from error

    def clip(self, clip_id: str) -> LiveClip | None:
        """See the port."""
        with self._lock:
            return self._state.live.get(clip_id)

    def receipt(self, clip_id: str) -> bytes | None:
        """See the port."""
        with self._lock:
            return self._state.receipts.get(clip_id)

    def live(self, *, but: bytes = b"") -> Iterator[LiveClip]:
        """See the port."""
        with self._lock:
            ids = without(self._state.live.oldest_first(), but)
        return filter(None, map(self.clip, unpack_ids(ids)))

    def at_rest(self) -> Mapping[str, bytes]:
        """See the port."""
        with self._lock:
            return self._state.live.at_rest()

    def consent(self) -> frozenset[Purpose] | None:
        """See the port."""
        with self._lock:
            return self._state.consent

    def trim(self, acknowledged: int) -> int:
        """See the port."""
        with self._lock:
            self._check()
            self.acknowledged = max(self.acknowledged, acknowledged)
            return 0

    def close(self) -> None:
        """See the port."""
        with self._lock:
            self._durable = len(self._records)
            self._closed = True

    def power_cut(self) -> None:
        """What was not durable is gone, and the ledger is open again."""
        with self._lock:
            del self._records[self._durable :]
            self._state = LedgerState()
            for record in self._records:
                self._state.take(*record)
            self._closed = False

    def _check(self, *facts: Fact) -> None:
        if self._closed or self.broken:
            raise LedgerError("ledger: closed" if self._closed else "ledger: an fsync failed earlier")
        if self.full and not (facts and all(type(fact) in FREEING for fact in facts)):
            raise LedgerFullError("ledger: no space left")
