"""Room kept on the disk for events in progress: files ``<folder>/<number>.reserve`` of one size.

Each keeps its bytes and an inode. They are allocated, not written (``posix_fallocate``), so making one wears out nothing,
and a file system that compresses or deduplicates keeps the room all the same. They need not survive a power cut: what is
missing or too short at start is made anew.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from fsd_agent.adapters import durable
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.room import Amount

_SUFFIX = ".reserve"


class ReserveFiles:
    """See :class:`fsd_agent.ports.disk.Reserve`. ``folder`` is created where it is missing."""

    def __init__(self, folder: Path, *, part_bytes: int, parts: int) -> None:
        """Raises ``SpoolError``. What is there of other sizes or numbers is removed."""
        durable.make_folder(folder)
        self.part = Amount(part_bytes, 1)
        self._lock = threading.Lock()
        self._paths = [folder / f"{number:02}{_SUFFIX}" for number in range(parts)]
        with durable.translated(folder):
            found = {path: path.stat().st_size for path in folder.iterdir() if path.suffix == _SUFFIX}
            self._kept = [path for path in self._paths if found.get(path) == part_bytes]
            for path in found.keys() - set(self._kept):
                path.unlink()

    @property
    def held(self) -> Amount:
        """See the port."""
        with self._lock:
            return Amount(self.part.size_bytes * len(self._kept), len(self._kept))

    def give_up(self) -> bool:
        """See the port."""
        with self._lock:
            if not self._kept:
                return False
            try:
                durable.remove(self._kept[-1])
            except SpoolError:  # Read-only or failing: there is nothing to be had here
                return False
            self._kept.pop()
            return True

    def add(self) -> bool:
        """See the port."""
        with self._lock:
            path = next((one for one in self._paths if one not in self._kept), None)
            if path is None:
                return False
            try:
                with durable.translated(path):
                    self._allocate(path)
            except SpoolError:
                return False
            self._kept.append(path)
            return True

    def _allocate(self, path: Path) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, durable.FILE_MODE)
        try:
            os.posix_fallocate(fd, 0, self.part.size_bytes)
        except OSError:
            with contextlib.suppress(OSError):  # Half a part helps nobody; the next start removes it as well
                path.unlink()
            raise
        finally:
            os.close(fd)
