"""A spool in memory, with a bound. Files are as unreadable without their key as real ones: they are real ones."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Mapping

from fsd_agent.ports.spool import CompartmentKeyError, SpoolDamagedError, SpoolError, SpoolFullError
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.records.clip import SealedClip, SealedFile
from fsd_agent.records.clip_ids import pack_ids
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.rules.spool.names import is_clip_id, is_region_id, purpose_of
from fsd_agent.wire.spool_file import SALT_BYTES, SpoolFile, SpoolFileError, encode_spool_file


class MemorySpool:
    """See :class:`fsd_agent.ports.spool.SpoolStore`. ``capacity_bytes`` bounds all sealed files together."""

    def __init__(self, keys: VehicleKeys, *, capacity_bytes: int = 1 << 40) -> None:
        self.capacity_bytes = capacity_bytes
        self.files: dict[tuple[Compartment, str], bytes] = {}
        """As they would lie on a disk; may be changed by who tampers."""
        self.quarantine: dict[tuple[Compartment, str], bytes] = {}
        self.quarantine_files = 16
        """As many are kept."""
        self._sizes: dict[tuple[Compartment, str], int] = {}
        self._keys = keys
        self._lock = threading.RLock()

    def put(self, compartment: Compartment, clip_id: str, file: SealedFile) -> SealedClip:
        """See the port."""
        place = _place(compartment, clip_id)
        chunks = b"".join(file.chunks)
        parts = encode_spool_file(
            SealedFile(file.size_bytes, file.content_key, (chunks,)),
            compartment,
            clip_id,
            key=self.key(compartment),
            salt=secrets.token_bytes(SALT_BYTES),
        )
        try:
            content = b"".join(parts)
        except SpoolFileError as error:
            raise SpoolError(f"spool {compartment}/{clip_id}: {error}") from error
        with self._lock:
            if file.size_bytes > self.capacity_bytes - sum(self._sizes.values()):
                raise SpoolFullError(f"spool {compartment}/{clip_id}: no space left")
            self.files[place] = content
            self._sizes[place] = file.size_bytes
        return SealedClip(clip_id, compartment.region_id, file.size_bytes, hashlib.sha256(chunks).digest())

    def region(self, region_id: str) -> MemoryRegionSpool:
        """See the port."""
        if not is_region_id(region_id):
            raise SpoolError(f"region id {region_id!r}: not 1 to 32 of [a-z0-9-]")
        return MemoryRegionSpool(self, region_id)

    def erase(self, compartment: Compartment, clip_id: str) -> None:
        """See the port."""
        with self._lock:
            self.files.pop(_place(compartment, clip_id), None)
            self._sizes.pop(_place(compartment, clip_id), None)

    def entries(self) -> frozenset[tuple[Compartment, str]]:
        """See the port."""
        with self._lock:
            return frozenset(self.files)

    def ids(self) -> Mapping[Compartment, bytes]:
        """See the port."""
        with self._lock:
            places = {place for place, _ in self.files}
            return {place: pack_ids(one for at, one in self.files if at == place) for place in places}

    def set_aside(self, compartment: Compartment, clip_id: str) -> str:
        """See the port."""
        place = _place(compartment, clip_id)
        with self._lock:
            if place not in self.files or len(self.quarantine) >= self.quarantine_files:
                return ""
            self.quarantine[place] = self.files.pop(place)
            self._sizes.pop(place, None)
            return f"quarantine {compartment}/{clip_id}"

    def aside(self) -> frozenset[tuple[Compartment, str]]:
        """See the port."""
        with self._lock:
            return frozenset(self.quarantine)

    def let_go(self, compartment: Compartment, clip_id: str) -> None:
        """See the port."""
        with self._lock:
            self.quarantine.pop(_place(compartment, clip_id), None)

    def sweep(self) -> int:
        """See the port; a put here is never half done."""
        return 0

    def key(self, compartment: Compartment) -> bytes:
        """Used by readers, too."""
        try:
            return self._keys.compartment_key(compartment.region_id, compartment.purpose)
        except VehicleKeyError as error:
            raise CompartmentKeyError(str(error)) from error


class MemoryRegionSpool:
    """See :class:`fsd_agent.ports.spool.RegionSpool`."""

    def __init__(self, spool: MemorySpool, region_id: str) -> None:
        self._spool = spool
        self._region_id = region_id

    def read(self, purpose: Purpose, clip_id: str, offset: int, length: int) -> bytes:
        """See the port."""
        return b"".join(self.parts(purpose, clip_id, offset, length))

    def parts(self, purpose: Purpose, clip_id: str, offset: int, length: int) -> tuple[bytes, ...]:
        """See the port."""
        compartment = Compartment(self._region_id, purpose)
        data = self._spool.files.get(_place(compartment, clip_id))
        key = self._spool.key(compartment)
        if data is None:
            raise SpoolError(f"spool {compartment}/{clip_id}: no such file")
        try:
            file = SpoolFile.open(lambda at, size: data[at : at + size], compartment, clip_id, key=key)
            return file.parts(offset, length)
        except SpoolFileError as error:
            raise SpoolDamagedError(f"spool {compartment}/{clip_id}: {error}") from error

    def erase(self, purpose: Purpose, clip_id: str) -> None:
        """See the port."""
        self._spool.erase(Compartment(self._region_id, purpose), clip_id)


def _place(compartment: Compartment, clip_id: str) -> tuple[Compartment, str]:
    if not is_region_id(compartment.region_id):
        raise SpoolError(f"region id {compartment.region_id!r}: not 1 to 32 of [a-z0-9-]")
    if purpose_of(compartment.purpose) is None:
        raise SpoolError(f"purpose {compartment.purpose!r}: unknown")
    if not is_clip_id(clip_id):
        raise SpoolError(f"clip id {clip_id!r}: not 32 lower-case hex digits")
    return compartment, clip_id
