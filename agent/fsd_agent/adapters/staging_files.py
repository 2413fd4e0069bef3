"""Clips in progress as append-only files: ``<folder>/<region id>/<purpose>/<clip id>.staged``.

Invariants
- After ``open`` the name and the header are durable; after ``sync`` every part appended so far is.
- A full disk in the middle of an append cuts the file back to its last whole record and says so; the next append
  may work again.
- After a failed fsync the kernel may have thrown pages away and would confirm the next one all the same. The
  writer then refuses everything: what earlier syncs confirmed is what there is.
- Everything is encrypted under the compartment's staging key: it stays on the device, and is made by the first clip of
  the compartment. Nothing that uploads knows this folder.

Format and the rule for torn ends: ``staging_records.py``.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from fsd_agent.adapters import durable
from fsd_agent.adapters.compartment_folders import CompartmentFolders
from fsd_agent.adapters.staging_records import (
    HEADER_BYTES,
    MAX_PART_BYTES,
    NONCE_BYTES,
    DamagedError,
    RecordCipher,
    read_records,
)
from fsd_agent.ports.spool import SpoolDamagedError, SpoolError
from fsd_agent.ports.vehicle_keys import VehicleKeys
from fsd_agent.records.purpose import Compartment
from fsd_agent.rules.spool.names import STAGED_SUFFIX


class StagingFiles:
    """See :class:`fsd_agent.ports.spool.Staging`. ``folder`` is created where it is missing."""

    def __init__(self, folder: Path, keys: VehicleKeys) -> None:
        self._files = CompartmentFolders(folder, STAGED_SUFFIX, keys)

    def open(self, compartment: Compartment, clip_id: str) -> StagingFileWriter:
        """See the port."""
        path = self._files.path(compartment, clip_id)
        self._files.make(compartment, path)
        key = self._files.use_key(compartment, "staging", make=True)
        cipher = RecordCipher(key, clip_id, secrets.token_bytes(NONCE_BYTES))
        with durable.translated(path):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, durable.FILE_MODE)
        try:
            with durable.translated(path):
                durable.write_all(fd, cipher.header)
                os.fsync(fd)
            durable.sync_folder(path.parent)
        except SpoolError:
            os.close(fd)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        return StagingFileWriter(path, fd, cipher)

    def read(self, compartment: Compartment, clip_id: str) -> Iterator[bytes]:
        """See the port."""
        path = self._files.path(compartment, clip_id)
        key = self._files.use_key(compartment, "staging")
        with durable.translated(path):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                yield from read_records(_OpenFile(fd), key, clip_id)
            except DamagedError as error:
                raise SpoolDamagedError(f"{path}: {error}") from error
            finally:
                os.close(fd)

    def erase(self, compartment: Compartment, clip_id: str) -> None:
        """See the port."""
        self._files.remove(self._files.path(compartment, clip_id))

    def entries(self) -> frozenset[tuple[Compartment, str]]:
        """See the port."""
        return self._files.entries()

    def weigh(self) -> dict[tuple[Compartment, str], int]:
        """See the port."""
        return self._files.weigh()


class _OpenFile:
    """A closed clip's file, as :mod:`staging_records` reads it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size = os.fstat(fd).st_size

    def at(self, offset: int, length: int) -> bytes:
        return durable.read_at(self._fd, offset, length)


class StagingFileWriter:
    """See :class:`fsd_agent.ports.spool.StagingWriter`."""

    def __init__(self, path: Path, fd: int, cipher: RecordCipher) -> None:
        self._path = path
        self._fd = fd
        self._cipher = cipher
        self._end = HEADER_BYTES
        self._records = 0
        self._synced = 0
        self._attempts = 0
        self._refusal: str | None = None

    def append(self, part: bytes) -> None:
        """See the port. Raises :class:`SpoolError` after a failed ``sync`` and after ``close``."""
        self._check()
        if len(part) > MAX_PART_BYTES:
            raise SpoolError(
                f"{self._path}: a part of {len(part)} bytes, at most {MAX_PART_BYTES} are allowed"
            )
        record = self._cipher.encode(part, index=self._records, sequence=self._attempts, synced=self._synced)
        self._attempts += 1
        try:
            with durable.translated(self._path):
                durable.write_all(self._fd, record)
        except SpoolError:
            self._cut_back()
            raise
        self._end += len(record)
        self._records += 1

    def sync(self) -> None:
        """See the port."""
        self._check()
        if self._synced == self._records:
            return
        try:
            with durable.translated(self._path):
                os.fdatasync(self._fd)  # with the size, where it grew: fdatasync(2)
        except SpoolError:
            self._refusal = "an fsync failed earlier; what it did not confirm may be lost"
            raise
        self._synced = self._records

    def close(self) -> None:
        """See the port. The file is released even when the sync fails."""
        if self._fd < 0:
            return
        try:
            if self._refusal is None:
                self.sync()
        finally:
            fd, self._fd = self._fd, -1
            self._refusal = "closed"
            os.close(fd)

    def _check(self) -> None:
        if self._refusal is not None:
            raise SpoolError(f"{self._path}: {self._refusal}")

    def _cut_back(self) -> None:
        """To the last whole record, so that what follows is not taken for a torn end."""
        try:
            os.ftruncate(self._fd, self._end)
            os.lseek(self._fd, self._end, os.SEEK_SET)
        except OSError as error:
            self._refusal = f"could not be cut back after a failed write: {error.strerror}"
