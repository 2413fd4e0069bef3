"""Looks at the disk that a folder lies on, by ``statvfs`` and by a small durable write.

The write goes to the same block of one file each time (``probe``, 4 KiB), so that on a full disk it needs no room and on
flash it costs next to nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from fsd_agent.adapters import durable
from fsd_agent.ports.spool import SpoolError, SpoolFullError
from fsd_agent.records.room import NOTHING, Amount, DiskLook

PROBE_BYTES: Final = 4096
UNCOUNTED: Final = 2**62
"""Bytes or files of a file system that does not count them."""


def free_of(found: os.statvfs_result) -> Amount:
    """What may still be written, by an answer of ``statvfs``."""
    return Amount(
        found.f_bavail * found.f_frsize if found.f_blocks else UNCOUNTED,
        found.f_favail if found.f_files else UNCOUNTED,
    )


class DataDisk:
    """See :class:`fsd_agent.ports.disk.Disk`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._probe = folder / "probe"

    def look(self, *, write: bool) -> DiskLook:
        """See the port."""
        try:
            with durable.translated(self._folder):
                found = os.statvfs(self._folder)
        except SpoolError as error:
            return DiskLook(NOTHING, is_read_only=False, write_ns=None, fault=str(error))
        free = free_of(found)
        is_read_only = bool(found.f_flag & os.ST_RDONLY)
        if is_read_only or not write:
            return DiskLook(free, is_read_only, write_ns=None)
        try:
            return DiskLook(free, is_read_only, self._write())
        except SpoolFullError:
            return DiskLook(free, is_read_only, write_ns=None)
        except SpoolError as error:
            return DiskLook(free, is_read_only, write_ns=None, fault=str(error))

    def _write(self) -> int:
        """How long it took, in nanoseconds."""
        with durable.translated(self._probe), contextlib.ExitStack() as stack:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(self._probe, flags, durable.FILE_MODE)
            stack.callback(os.close, fd)
            begun_ns = time.monotonic_ns()
            os.pwrite(fd, os.urandom(PROBE_BYTES), 0)
            os.fdatasync(fd)
            return time.monotonic_ns() - begun_ns
