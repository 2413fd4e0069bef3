"""A spool in memory, with a bound, and a power cut that takes what had not landed.

Files are as unreadable without their key as real ones: they are real ones.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random

from fsd_agent.ports.spool import CompartmentKeyError, SpoolDamagedError, SpoolError, SpoolFullError
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.records.clip import SealedClip, SealedFile
from fsd_agent.records.clip_ids import pack_ids
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.rules.spool.names import is_clip_id, is_region_id, purpose_of
from fsd_agent.testing.spool_before import encode_as_before, identity_before
from fsd_agent.wire.pieces import FileIdentity
from fsd_agent.wire.spool_file import SpoolFile, encode_spool_file
from fsd_agent.wire.spool_head import SALT_BYTES, SpoolFileError, Version


class MemorySpool:
    """See :class:`fsd_agent.ports.spool.SpoolStore`. ``capacity_bytes`` bounds all sealed files together."""

    def __init__(self, keys: VehicleKeys, *, capacity_bytes: int = 1 << 40) -> None:
        self.capacity_bytes = capacity_bytes
        self.files: dict[tuple[Compartment, str], bytes] = {}
        """As they would lie on a disk; may be changed by who tampers."""
        self.quarantine: dict[tuple[Compartment, str], bytes] = {}
        self.quarantine_files = 16
        """As many are kept."""
        self.version: Version = 4
        """Of the files that are put; agents from before wrote others."""
        self._sizes: dict[tuple[Compartment, str], int] = {}
        self._afloat: dict[tuple[Compartment, str], bytes | None] = {}
        """Files that have not landed, and what the medium has under their names for certain."""
        self._keys = keys
        self._lock = threading.RLock()

    def begin(self, compartment: Compartment, clip_id: str, file: SealedFile) -> MemoryLanding:
        """See the port."""
        place = _place(compartment, clip_id)
        chunks, version = b"".join(file.chunks), self.version
        key, salt = self.key(compartment), secrets.token_bytes(SALT_BYTES)
        whole = SealedFile(file.size_bytes, file.content_key, (chunks,))
        if version == 4:
            identity = FileIdentity.of(chunks)
            parts = encode_spool_file(
                whole, compartment, clip_id, key=key, salt=salt, identity=lambda: identity
            )
            try:
                content = b"".join(parts)
            except SpoolFileError as error:
                raise SpoolError(f"spool {compartment}/{clip_id}: {error}") from error
        else:
            identity = identity_before(chunks, version)
            content = encode_as_before(whole, compartment, clip_id, key=key, salt=salt, version=version)
        with self._lock:
            if file.size_bytes > self.capacity_bytes - sum(self._sizes.values()):
                raise SpoolFullError(f"spool {compartment}/{clip_id}: no space left")
            self._afloat.setdefault(place, self.files.get(place))
            self.files[place] = content
            self._sizes[place] = file.size_bytes
        return MemoryLanding(
            self, SealedClip(clip_id, compartment.region_id, file.size_bytes, identity.sha256), place
        )

    def put(self, compartment: Compartment, clip_id: str, file: SealedFile) -> SealedClip:
        """See the port."""
        return self.begin(compartment, clip_id, file).land()

    def settle(self, compartment: Compartment, clip_id: str) -> None:
        """See the port."""
        with self._lock:
            self._afloat.pop(_place(compartment, clip_id), None)

    def is_afloat(self, compartment: Compartment, clip_id: str) -> bool:
        """Whether a power cut may take this file, or a part of it."""
        with self._lock:
            return (compartment, clip_id) in self._afloat

    def power_cut(self, chance: Random) -> None:
        """Of each file that had not landed, any part may be left, or the earlier one of that name."""
        with self._lock:
            for place, before in self._afloat.items():
                now = self.files.pop(place, b"")
                left = chance.choice([before, now, now[: chance.randint(0, len(now))]])
                if left is None:
                    self._sizes.pop(place, None)
                else:
                    self.files[place] = left
            self._afloat.clear()

    def region(self, region_id: str) -> MemoryRegionSpool:
        """See the port."""
        if not is_region_id(region_id):
            raise SpoolError(f"region id {region_id!r}: not 1 to 32 of [a-z0-9-]")
        return MemoryRegionSpool(self, region_id)

    def erase(self, compartment: Compartment, clip_id: str) -> None:
        """See the port."""
        with self._lock:
            self._afloat.pop(_place(compartment, clip_id), None)
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
            self._afloat.pop(place, None)
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


class MemoryLanding:
    """See :class:`fsd_agent.ports.spool.Landing`."""

    def __init__(self, spool: MemorySpool, clip: SealedClip, place: tuple[Compartment, str]) -> None:
        self._spool = spool
        self._clip = clip
        self._place = place

    @property
    def clip(self) -> SealedClip:
        """See the port."""
        return self._clip

    def land(self) -> SealedClip:
        """See the port."""
        self._spool.settle(*self._place)
        return self._clip

    def undo(self) -> None:
        """See the port."""
        self._spool.erase(*self._place)


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
        with self._open(purpose, clip_id) as file:
            return file.parts(offset, length)

    def identity(self, purpose: Purpose, clip_id: str) -> FileIdentity | None:
        """See the port."""
        with self._open(purpose, clip_id) as file:
            return file.identity()

    @contextmanager
    def _open(self, purpose: Purpose, clip_id: str) -> Iterator[SpoolFile]:
        compartment = Compartment(self._region_id, purpose)
        data = self._spool.files.get(_place(compartment, clip_id))
        key = self._spool.key(compartment)
        if data is None:
            raise SpoolError(f"spool {compartment}/{clip_id}: no such file")
        try:
            yield SpoolFile.open(lambda at, size: data[at : at + size], compartment, clip_id, key=key)
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
