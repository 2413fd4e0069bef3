"""The ledger as files, ``<folder>/<number of its first record, 20 digits>.ledger``. Format: ``wire/ledger_file.py``.

Invariants
- Each file begins with a signed checkpoint over everything before it, and is at its name only when that is durable.
- Only the newest file is written to, at its end (:mod:`.ledger_tail`).
- When ``append`` returns, its records are on the medium (fdatasync), but for batches of ``records.ledger.LAZY`` kinds alone.
- A head is handed out only after the records under it are on the medium: a power cut can't take back what was told.
- Where the device's key is another than the one that signed before, and statements lead from that one to it, the records that
  say so (``KeyRotated``) come before anything that the new key signs.
- A file goes early only where the next one's checkpoint says all that it says (``rules/audit/handover.py``). One that does not
  hand over is kept as evidence for as long as there is room, and its removal then counts as acknowledged by nobody.
- A file is removed only after a record that says so is on the medium. Where a power cut came between the two, the
  removal is made up for at the next start.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from fsd_agent import __version__
from fsd_agent.adapters import durable
from fsd_agent.adapters.ledger_disk import ADVICE, read_file, root_handed_over, segment_paths, translated
from fsd_agent.adapters.ledger_tail import LedgerFile, LedgerTail
from fsd_agent.adapters.reserve_file import ReserveFile
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.ledger import LedgerDamagedError
from fsd_agent.ports.spool import SpoolError, SpoolFullError
from fsd_agent.ports.vehicle_keys import VehicleKeys
from fsd_agent.records.clip_ids import unpack_ids
from fsd_agent.records.ledger import (
    FREEING,
    Fact,
    Head,
    KeyRotated,
    LiveClip,
    Repaired,
    SegmentRemoved,
    Started,
)
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.audit.restore import DamagedError, restore
from fsd_agent.rules.audit.state import MAX_LIVE, LedgerState
from fsd_agent.rules.audit.writer import LEDGER_LIMITS, LedgerLimits, Signer, batch, head_frame
from fsd_agent.rules.id_sets import without
from fsd_agent.wire.ledger import Signed
from fsd_agent.wire.ledger_file import start_parts
from fsd_agent.wire.rotation import path_between


class LedgerFiles:
    """See :class:`fsd_agent.ports.ledger.Ledger`. ``folder`` is created where it is missing."""

    def __init__(
        self,
        folder: Path,
        *,
        keys: VehicleKeys,
        clock: Clock,
        events: EventSink,
        limits: LedgerLimits = LEDGER_LIMITS,
        datasync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        """Open, repair a torn end, and record that the agent has started.

        ``datasync`` makes what was written to a descriptor durable, with the size where it grew (fdatasync(2)).

        Tells ``ledger_repaired``. Raises :class:`LedgerDamagedError` where the newest file lost what had been
        confirmed, and :class:`LedgerError`.
        """
        self._folder = folder
        self._clock = clock
        self._limits = limits
        self._signer = Signer(keys.sign, keys.device_key_id())
        self._signed_by = self._signer.key_id
        self._lock = threading.RLock()
        self._files: list[LedgerFile] = []
        self._tail = LedgerTail(datasync)
        self._reserve = ReserveFile(folder / "reserve")
        with translated():
            durable.settle(folder)  # We go on with what a process that was killed may have begun
            durable.sweep(folder)
            found = segment_paths(folder)
            if not found:
                self._state, self._signed_size = LedgerState(), 0
                self._new_file()
            cut_bytes = self._restore(found, events) if found else 0
            self._confirmed = self._state.size
            self._reserve.keep()
            rotated = path_between(keys.rotations(), self._signed_by, self._signer.key_id) or ()
        changes = [KeyRotated(one.old_key_id, one.new_key_id, one.data) for one in rotated]
        repaired = (Repaired(cut_bytes),) if cut_bytes else ()
        self.append(*changes, *repaired, Started(__version__, self._signer.key_id))
        self.sync()

    def append(self, *facts: Fact) -> None:
        """See the port. Records that free room find some on a full disk too, for a while: ``reserve_file.py``."""
        with self._lock, translated():
            self._tail.check()
            if not facts:
                return
            try:
                self._append(facts)
            except SpoolFullError:
                if not all(type(fact) in FREEING for fact in facts) or not self._reserve.give_up():
                    raise
                self._append(facts)

    def _append(self, facts: Sequence[Fact]) -> None:
        newest = self._files[-1]
        begun = self._state.size > newest.first  # A file is named by its first record
        full = newest.size_bytes - newest.start_bytes >= self._limits.segment_bytes
        # A new file would begin with a signature by the new key, before the record that hands over to it.
        handover = any(isinstance(fact, KeyRotated) for fact in facts)
        if begun and full and len(self._state.live) <= MAX_LIVE and not handover:
            self._rotate()
        made = batch(
            self._state,
            facts,
            signer=self._signer,
            signed_size=self._signed_size,
            confirmed=self._confirmed,
            wall_ns=self._clock.wall_ns(),
            mono_ns=self._clock.monotonic_ns(),
        )
        self._tail.write(made.data, durably=not made.lazy)
        for entry, frontier, check in made.added:
            self._state.take(entry, frontier, check)
        self._signed_size = made.signed_size
        if not made.lazy:
            self._confirmed = self._state.size

    def sync(self) -> None:
        """When this returns, every record survives a power cut."""
        with self._lock, translated():
            self._tail.check()
            if self._confirmed < self._state.size:
                self._tail.sync()
                self._confirmed = self._state.size

    def head(self) -> Signed[Head]:
        """See the port."""
        with self._lock, translated():
            self.sync()
            signed = self._signer.head(self._state.frontier, self._state.chain, self._clock.wall_ns())
            if self._signed_size < self._state.size:
                self._tail.write(head_frame(signed, self._confirmed), durably=False)
                self._signed_size = self._state.size
            self._reserve.keep()
            return signed

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
        """See the port. Files are compared while others may go on: all but the newest are never written to again."""
        removed = 0
        while (pair := self._removable(acknowledged)) is not None:
            oldest, following = pair
            if oldest.handed_over is None:
                with translated():
                    oldest.handed_over = root_handed_over(oldest.path, following.path)
            elif self._remove(oldest, following, acknowledged):
                removed += 1
        return removed

    def _removable(self, acknowledged: int) -> tuple[LedgerFile, LedgerFile] | None:
        """The oldest file and the next, where the oldest is beyond its bound."""
        with self._lock:
            if len(self._files) < 2:
                return None
            oldest, following = self._files[:2]
            total = sum(file.size_bytes for file in self._files)
            most = (
                self._limits.keep_bytes
                if self._is_known(oldest, following, acknowledged)
                else self._limits.most_bytes
            )
            return (oldest, following) if total > most else None

    def _is_known(self, oldest: LedgerFile, following: LedgerFile, acknowledged: int) -> bool:
        """Whether a region has a root over it, and, where that is known, the next one says all that it says."""
        return acknowledged >= following.first and (oldest.handed_over is None or oldest.handed_over[1])

    def _remove(self, oldest: LedgerFile, following: LedgerFile, acknowledged: int) -> bool:
        """Record it, then remove it; False where somebody else did."""
        with self._lock, translated():
            if self._files[0] is not oldest or oldest.handed_over is None:
                return False
            known = self._is_known(oldest, following, acknowledged)
            self.append(SegmentRemoved(oldest.first, following.first, oldest.handed_over[0], known))
            durable.remove(oldest.path)
            del self._files[0]
            return True

    def close(self) -> None:
        """See the port. The file is released even when it can't be synced."""
        with self._lock:
            if not self._tail.is_open:
                return
            try:
                if not self._tail.refuses:
                    self.head()
                    with translated():
                        self._tail.sync()
            finally:
                self._tail.close()

    def _restore(self, paths: list[Path], events: EventSink) -> int:
        """Take up what is there; how many bytes of a torn end were cut off."""
        with durable.translated(self._folder):
            self._files = [LedgerFile(path, int(path.stem), path.stat().st_size) for path in paths]
        newest = self._files[-1]
        segment, live = read_file(newest.path)
        try:
            found = restore(segment, live)
        except DamagedError as error:
            raise LedgerDamagedError(f"{newest.path}: {error}; {ADVICE}") from error
        self._state, self._signed_size, self._signed_by = found.state, found.signed_size, found.key_id
        newest.start_bytes = segment.start_bytes
        cut_bytes = 0 if found.end is None else newest.size_bytes - found.end
        self._tail.open(newest, newest.size_bytes - cut_bytes)
        if cut_bytes:
            what = f"a torn end of {cut_bytes} bytes was cut off behind record {self._state.size - 1}"
            events.emit("ledger_repaired", file=str(newest.path), cut_bytes=cut_bytes, what=what)
        while len(self._files) > 1 and self._files[1].first <= found.removed_size:
            durable.remove(self._files.pop(0).path)
        return cut_bytes

    def _new_file(self) -> None:
        checkpoint = self._signer.checkpoint(self._state, self._clock.wall_ns())
        path = self._folder / f"{self._state.size:020}.ledger"
        try:
            size = durable.write_file(path, start_parts(checkpoint))
            file = LedgerFile(path, self._state.size, size, size)
            self._tail.open(file, size)
        except SpoolError:
            if path.exists():  # The next start goes on from it, so nothing may be added to the file before
                self._tail.refuse("it was begun and could not be opened")
            raise
        self._files.append(file)
        self._signed_size = self._state.size

    def _rotate(self) -> None:
        """Go on in a new file; the old one is whole on the medium before the new one begins."""
        self._tail.sync()
        self._confirmed = self._state.size
        self._new_file()
