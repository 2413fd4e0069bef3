"""Staging in memory, with a power cut that takes what was not synced."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from fsd_agent.ports.spool import CompartmentKeyError, SpoolDamagedError, SpoolError, SpoolFullError
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.records.purpose import Compartment
from fsd_agent.rules.spool.names import is_clip_id, is_region_id, purpose_of

_Place = tuple[Compartment, str]


class MemoryStaging:
    """See :class:`fsd_agent.ports.spool.Staging`. ``capacity_bytes`` bounds all parts together."""

    def __init__(self, keys: VehicleKeys, *, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.damaged: set[str] = set()
        """Clips whose middle can't be read; ``read`` raises for them."""
        self.full_at_sync = False
        """What was appended finds no room when it is synced (delayed allocation, quota)."""
        self._keys = keys
        self._under: dict[_Place, bytes] = {}
        """The key that each was written under: with another, or none, it does not open."""
        self._parts: dict[_Place, list[bytes]] = {}
        self._synced: dict[_Place, int] = {}
        self._lock = threading.RLock()

    def open(self, compartment: Compartment, clip_id: str) -> MemoryStagingWriter:
        """See the port."""
        place = _place(compartment, clip_id)
        with self._lock:
            key = self._key(compartment, make=True)
            if place in self._parts:
                raise SpoolError(f"staging {clip_id}: exists already")
            self._under[place] = key
            self._parts[place] = []
            self._synced[place] = 0
            return MemoryStagingWriter(self, place)

    def read(self, compartment: Compartment, clip_id: str) -> Iterator[bytes]:
        """See the port."""
        place = _place(compartment, clip_id)
        with self._lock:
            key = self._key(compartment)
            if place not in self._parts:
                raise SpoolError(f"staging {clip_id}: no such file")
            if clip_id in self.damaged or self._under[place] != key:
                raise SpoolDamagedError(f"staging {clip_id}: damaged, or written under another key")
            parts = tuple(self._parts[place])
        yield from parts

    def erase(self, compartment: Compartment, clip_id: str) -> None:
        """See the port."""
        place = _place(compartment, clip_id)
        with self._lock:
            self._parts.pop(place, None)
            self._synced.pop(place, None)
            self._under.pop(place, None)
            self.damaged.discard(clip_id)

    def entries(self) -> frozenset[_Place]:
        """See the port."""
        with self._lock:
            return frozenset(self._parts)

    def weigh(self) -> dict[_Place, int]:
        """See the port."""
        with self._lock:
            return {place: sum(map(len, parts)) for place, parts in self._parts.items()}

    def power_cut(self) -> None:
        """What was appended after the last sync is gone."""
        with self._lock:
            for place, parts in self._parts.items():
                del parts[self._synced[place] :]

    def append(self, place: _Place, part: bytes) -> None:
        """Used by the writer."""
        with self._lock:
            used = sum(len(each) for parts in self._parts.values() for each in parts)
            if self.capacity_bytes is not None and used + len(part) > self.capacity_bytes:
                raise SpoolFullError(f"staging {place[1]}: no space left")
            if place in self._parts:  # appending to an erased file works and is lost, as on a disk
                self._parts[place].append(bytes(part))

    def sync(self, place: _Place) -> None:
        """Used by the writer."""
        with self._lock:
            if self.full_at_sync:
                raise SpoolFullError(f"staging {place[1]}: no space left")
            if place in self._parts:
                self._synced[place] = len(self._parts[place])

    def _key(self, compartment: Compartment, *, make: bool = False) -> bytes:
        try:
            return self._keys.compartment_key(compartment.region_id, compartment.purpose, make=make)
        except VehicleKeyError as error:
            raise CompartmentKeyError(str(error)) from error


class MemoryStagingWriter:
    """See :class:`fsd_agent.ports.spool.StagingWriter`."""

    def __init__(self, staging: MemoryStaging, place: _Place) -> None:
        self._staging = staging
        self._place = place
        self._refusal: str | None = None

    def append(self, part: bytes) -> None:
        """See the port."""
        self._check()
        self._staging.append(self._place, part)

    def sync(self) -> None:
        """See the port."""
        self._check()
        try:
            self._staging.sync(self._place)
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
            raise SpoolError(f"staging {self._place[1]}: {self._refusal}")


def _place(compartment: Compartment, clip_id: str) -> _Place:
    if not is_region_id(compartment.region_id) or purpose_of(compartment.purpose) is None:
        raise SpoolError(f"compartment {compartment}: no compartment")
    if not is_clip_id(clip_id):
        raise SpoolError(f"clip id {clip_id!r}: not 32 lower-case hex digits")
    return compartment, clip_id
