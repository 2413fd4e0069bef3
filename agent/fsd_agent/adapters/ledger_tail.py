"""The end of the ledger's newest file, the only place of it that is written to.

Invariants
- A write that fails is cut back to the last whole frame.
- After a failed fsync the kernel may have thrown pages away and would confirm the next one all the same. Everything is
  refused then; the next start finds out what there is.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fsd_agent.adapters import durable
from fsd_agent.ports.ledger import LedgerError
from fsd_agent.ports.spool import SpoolError


@dataclass(slots=True)
class LedgerFile:
    """One segment on disk."""

    path: Path
    first: int
    """Number of its first record."""
    size_bytes: int
    start_bytes: int = 0
    """Of that: its checkpoint. Known for the newest."""
    handed_over: tuple[bytes, bool] | None = None
    """See ``root_handed_over``, of this one and the next; None before anybody asked."""


class LedgerTail:
    """See the module. Used under its owner's lock."""

    def __init__(self, datasync: Callable[[int], None]) -> None:
        """``datasync``: see :class:`.ledger_files.LedgerFiles`. Nothing is open yet."""
        self._datasync = datasync
        self._file: LedgerFile | None = None
        self._fd = -1
        self._release: Callable[[], object] = tuple
        """Closes the descriptor, once; also where nobody does, because opening failed later or whoever had it is gone."""
        self._refusal: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is anything to close."""
        return self._fd >= 0

    @property
    def refuses(self) -> bool:
        """Whether nothing more is written."""
        return self._refusal is not None

    def check(self) -> None:
        """Raise ``LedgerError`` where nothing more is written."""
        if self._refusal is not None:
            raise LedgerError(f"{self._path}: {self._refusal}")

    def refuse(self, why: str) -> None:
        """Write nothing from here on."""
        self._refusal = why

    def open(self, file: LedgerFile, size_bytes: int) -> None:
        """Go on behind the first ``size_bytes`` of ``file``, which are durable then; in place of the file before."""
        with durable.translated(file.path):
            fd = os.open(file.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if size_bytes < file.size_bytes:
                    os.ftruncate(fd, size_bytes)
                os.lseek(fd, size_bytes, os.SEEK_SET)
                self._datasync(fd)
            except OSError:
                os.close(fd)
                raise
        file.size_bytes = size_bytes
        self._release()
        self._file, self._fd, self._release = file, fd, weakref.finalize(self, os.close, fd)

    def write(self, data: bytes, *, durably: bool) -> None:
        """Add whole frames. Raises ``SpoolError``."""
        file = self._newest
        try:
            with durable.translated(file.path):
                durable.write_all(self._fd, data)
        except SpoolError:
            self._cut_back(file)
            raise
        if durably:
            self.sync()
        file.size_bytes += len(data)

    def sync(self) -> None:
        """When this returns, what was written survives a power cut. Raises ``SpoolError``."""
        try:
            with durable.translated(self._path):
                self._datasync(self._fd)
        except SpoolError:
            self._refusal = "an fsync failed earlier; what it did not confirm may be lost"
            raise

    def close(self) -> None:
        """Release the file; refuses from here on."""
        self._fd, self._refusal = -1, "closed"
        self._release()

    def _cut_back(self, file: LedgerFile) -> None:
        try:
            os.ftruncate(self._fd, file.size_bytes)
            os.lseek(self._fd, file.size_bytes, os.SEEK_SET)
        except OSError as error:
            self._refusal = f"could not be cut back after a failed write: {error.strerror}"

    @property
    def _newest(self) -> LedgerFile:
        if self._file is None:
            raise AssertionError("nothing was opened yet")
        return self._file

    @property
    def _path(self) -> Path:
        return self._newest.path
