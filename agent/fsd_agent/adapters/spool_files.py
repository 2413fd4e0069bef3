"""Sealed clips as files: ``<folder>/<region id>/<purpose>/<clip id>.sealed``. Format: ``wire/spool_file.py``.

A damaged one is set aside in ``<folder>/.quarantine``, whose folders are the same; no region has a name like that.

Invariants: a file under its final name is whole, but for what a power cut leaves of one that had not landed, whose hash tells;
without the key of its compartment it is noise; reading is by region alone. Keys are asked for at every read and never kept,
so a key that is destroyed ends everything at once.

Landing has one thread: it waits for the medium while whoever began the file hashes its end and records it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from fsd_agent.adapters import durable
from fsd_agent.adapters.compartment_folders import CompartmentFolders
from fsd_agent.adapters.hash_beside import Hasher
from fsd_agent.ports.spool import SpoolDamagedError, SpoolError
from fsd_agent.ports.vehicle_keys import VehicleKeys
from fsd_agent.records.clip import SealedClip, SealedFile
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.rules.spool.names import SEALED_SUFFIX, is_region_id
from fsd_agent.wire.pieces import FileIdentity
from fsd_agent.wire.spool_file import SpoolFile, encode_spool_file
from fsd_agent.wire.spool_head import SALT_BYTES, SpoolFileError

ASIDE_FILES: Final = 16
ASIDE_BYTES: Final = 256_000_000
"""Enough for a person to see what a disk does to files; it may not fill the disk that does it."""


class SpoolFiles:
    """See :class:`fsd_agent.ports.spool.SpoolStore`. ``folder`` is created where it is missing."""

    def __init__(self, folder: Path, keys: VehicleKeys) -> None:
        self._files = CompartmentFolders(folder, SEALED_SUFFIX, keys)
        self._aside = CompartmentFolders(folder / ".quarantine", SEALED_SUFFIX, keys)
        self._hasher = Hasher()
        self._lander = ThreadPoolExecutor(1, thread_name_prefix="land")

    def begin(self, compartment: Compartment, clip_id: str, file: SealedFile) -> FileLanding:
        """See the port."""
        path = self._files.path(compartment, clip_id)
        key = self._files.key(compartment)
        self._files.make(compartment, path)
        hashing = self._hasher.begin()
        salt = secrets.token_bytes(SALT_BYTES)
        hashed = replace(file, chunks=hashing.through(file.chunks))
        parts = encode_spool_file(hashed, compartment, clip_id, key=key, salt=salt, identity=hashing.identity)
        try:
            fd = durable.lay_file(path, parts)
        except SpoolFileError as error:
            raise SpoolError(f"{path}: {error}") from error
        landing = self._lander.submit(durable.sync_laid, path, fd)
        clip = SealedClip(clip_id, compartment.region_id, file.size_bytes, hashing.identity().sha256)
        return FileLanding(path, clip, landing)

    def put(self, compartment: Compartment, clip_id: str, file: SealedFile) -> SealedClip:
        """See the port."""
        return self.begin(compartment, clip_id, file).land()

    def settle(self, compartment: Compartment, clip_id: str) -> None:
        """See the port."""
        durable.settle_file(self._files.path(compartment, clip_id))

    def region(self, region_id: str) -> RegionSpoolFiles:
        """See the port."""
        if not is_region_id(region_id):
            raise SpoolError(f"region id {region_id!r}: not 1 to 32 of [a-z0-9-]")
        return RegionSpoolFiles(self._files, region_id)

    def erase(self, compartment: Compartment, clip_id: str) -> None:
        """See the port."""
        self._files.remove(self._files.path(compartment, clip_id))

    def entries(self) -> frozenset[tuple[Compartment, str]]:
        """See the port."""
        return self._files.entries()

    def ids(self) -> dict[Compartment, bytes]:
        """See the port."""
        return self._files.ids()

    def set_aside(self, compartment: Compartment, clip_id: str) -> str:
        """See the port. Keeps at most :data:`ASIDE_FILES` of together :data:`ASIDE_BYTES`."""
        path, kept = self._files.path(compartment, clip_id), self._aside.path(compartment, clip_id)
        try:
            with durable.translated(path):
                size_bytes = path.stat().st_size
            others = self._aside.weigh()
            if len(others) >= ASIDE_FILES or sum(others.values()) + size_bytes > ASIDE_BYTES:
                return ""
            self._aside.make(compartment, kept)
            with durable.translated(path):
                path.rename(kept)
        except SpoolError:  # Gone, or no room for a folder: then it is erased as any other is
            return ""
        durable.sync_folder(kept.parent)
        durable.sync_folder(path.parent)
        return str(kept)

    def aside(self) -> frozenset[tuple[Compartment, str]]:
        """See the port."""
        return self._aside.entries()

    def let_go(self, compartment: Compartment, clip_id: str) -> None:
        """See the port."""
        self._aside.remove(self._aside.path(compartment, clip_id))

    def sweep(self) -> int:
        """See the port."""
        return self._files.sweep()


class FileLanding:
    """See :class:`fsd_agent.ports.spool.Landing`."""

    def __init__(self, path: Path, clip: SealedClip, landing: Future[None]) -> None:
        self._path = path
        self._clip = clip
        self._landing = landing

    @property
    def clip(self) -> SealedClip:
        """See the port."""
        return self._clip

    def land(self) -> SealedClip:
        """See the port."""
        try:
            self._landing.result()
        except SpoolError:
            # It can be read from memory as if it were on the medium, and must not be taken for that.
            with contextlib.suppress(SpoolError):
                durable.remove(self._path)
            raise
        return self._clip

    def undo(self) -> None:
        """See the port."""
        with contextlib.suppress(SpoolError):  # It need not land to be removed
            self._landing.result()
        durable.remove(self._path)


class RegionSpoolFiles:
    """See :class:`fsd_agent.ports.spool.RegionSpool`. The region is fixed here, and with it whose keys are asked for."""

    def __init__(self, files: CompartmentFolders, region_id: str) -> None:
        self._files = files
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

    @contextlib.contextmanager
    def _open(self, purpose: Purpose, clip_id: str) -> Iterator[SpoolFile]:
        compartment = Compartment(self._region_id, purpose)
        path = self._files.path(compartment, clip_id)
        key = self._files.key(compartment)
        with durable.translated(path):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                yield SpoolFile.open(lambda *at: durable.read_at(fd, *at), compartment, clip_id, key=key)
            except SpoolFileError as error:
                raise SpoolDamagedError(f"{path}: {error}") from error
            finally:
                os.close(fd)

    def erase(self, purpose: Purpose, clip_id: str) -> None:
        """See the port."""
        self._files.remove(self._files.path(Compartment(self._region_id, purpose), clip_id))
