"""Staging in memory, with a power cut that takes what was not synced."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from fsd_agent.ports.spool import SpoolError, SpoolFullError
from fsd_agent.rules.spool.names import is_clip_id


class MemoryStaging:
    """See :class:`fsd_agent.ports.spool.Staging`. ``capacity_bytes`` bounds all parts together."""

    def __init__(self, *, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.damaged: set[str] = set()
        """Clips whose middle can't be read; ``read`` raises for them."""
        self.full_at_sync = False
        """What was appended finds no room when it is synced (delayed allocation, quota)."""
        self._parts: dict[str, list[bytes]] = {}
        self._synced: dict[str, int] = {}
        self._lock = threading.RLock()

    def open(self, clip_id: str) -> MemoryStagingWriter:
        """See the port."""
        with self._lock:
            if not is_clip_id(clip_id):
                raise SpoolError(f"clip id {clip_id!r}: not 32 lower-case hex digits")
            if clip_id in self._parts:
                raise SpoolError(f"staging {clip_id}: exists already")
            self._parts[clip_id] = []
            self._synced[clip_id] = 0
            return MemoryStagingWriter(self, clip_id)

    def read(self, clip_id: str) -> Iterator[bytes]:
        """See the port."""
        with self._lock:
            if clip_id not in self._parts:
                raise SpoolError(f"staging {clip_id}: no such file")
            if clip_id in self.damaged:
                raise SpoolError(f"staging {clip_id}: damaged in the middle")
            parts = tuple(self._parts[clip_id])
        yield from parts

    def erase(self, clip_id: str) -> None:
        """See the port."""
        with self._lock:
            self._parts.pop(clip_id, None)
            self._synced.pop(clip_id, None)
            self.damaged.discard(clip_id)

    def entries(self) -> frozenset[str]:
        """See the port."""
        with self._lock:
            return frozenset(self._parts)

    def power_cut(self) -> None:
        """What was appended after the last sync is gone."""
        with self._lock:
            for clip_id, parts in self._parts.items():
                del parts[self._synced[clip_id] :]

    def append(self, clip_id: str, part: bytes) -> None:
        """Used by the writer."""
        with self._lock:
            used = sum(len(each) for parts in self._parts.values() for each in parts)
            if self.capacity_bytes is not None and used + len(part) > self.capacity_bytes:
                raise SpoolFullError(f"staging {clip_id}: no space left")
            if clip_id in self._parts:  # appending to an erased file works and is lost, as on a disk
                self._parts[clip_id].append(bytes(part))

    def sync(self, clip_id: str) -> None:
        """Used by the writer."""
        with self._lock:
            if self.full_at_sync:
                raise SpoolFullError(f"staging {clip_id}: no space left")
            if clip_id in self._parts:
                self._synced[clip_id] = len(self._parts[clip_id])


class MemoryStagingWriter:
    """See :class:`fsd_agent.ports.spool.StagingWriter`."""

    def __init__(self, staging: MemoryStaging, clip_id: str) -> None:
        self._staging = staging
        self._clip_id = clip_id
        self._refusal: str | None = None

    def append(self, part: bytes) -> None:
        """See the port."""
        self._check()
        self._staging.append(self._clip_id, part)

    def sync(self) -> None:
        """See the port."""
        self._check()
        try:
            self._staging.sync(self._clip_id)
        except SpoolFullError:
            self._refusal = "a sync failed earlier"
            raise

    def close(self) -> None:
        """See the port."""
        try:
            if self._refusal is None:
                self.sync()
        finally:
            self._refusal = "closed"

    def _check(self) -> None:
        if self._refusal is not None:
            raise SpoolError(f"staging {self._clip_id}: {self._refusal}")
