"""One agent a data folder: two would erase each other's staging as leftovers of a crash.

The lock is the kernel's (``flock``) on ``<data>/lock``, so it goes with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from fsd_agent.adapters.durable import FILE_MODE, translated


class DataLockedError(Exception):
    """Another agent runs on this folder; the message names it."""


class DataLock:
    """Held from construction until :meth:`release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Raises :class:`DataLockedError`, and :class:`SpoolError` where the lock can't be made."""
        path = folder / "lock"
        self._fd: int | None = None
        with translated(path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise DataLockedError(
                f"{folder}: another agent is running on this folder; stop it first"
            ) from error

    def release(self) -> None:
        """Let another agent have the folder. Safe to call twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
