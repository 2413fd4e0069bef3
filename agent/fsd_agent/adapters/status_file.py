"""The agent's own status as a file: replaced whole, by renaming, so that no reader ever finds half of one.

It is not synced: it is written every few seconds, and after a power cut its age says that it is of no use.
"""

from __future__ import annotations

import os
from pathlib import Path

from fsd_agent.adapters.durable import FILE_MODE, translated, write_all
from fsd_agent.ports.local_status import StatusStoreError
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.local_status import LocalStatus
from fsd_agent.wire.local_status import MAX_BYTES, LocalStatusError, decode_local_status, encode_local_status

STATUS_FILE = "status.json"
"""In the data folder."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class StatusFile:
    """Implements :class:`fsd_agent.ports.local_status.StatusStore`. One process writes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, status: LocalStatus) -> None:
        """See the port."""
        new = self._path.with_name(f".{self._path.name}.new")
        try:
            with translated(self._path):
                # Not O_EXCL: what a kill left of one is written over.
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(new, flags, FILE_MODE)
                try:
                    write_all(descriptor, encode_local_status(status))
                finally:
                    os.close(descriptor)
                new.replace(self._path)
        except SpoolError as error:
            raise StatusStoreError(str(error)) from error

    def newest(self) -> LocalStatus | None:
        """See the port."""
        try:
            return read_status(self._path)
        except (OSError, LocalStatusError):
            return None


def read_status(path: Path) -> LocalStatus:
    """The status in a file; raises ``OSError`` and ``LocalStatusError``."""
    with path.open("rb") as file:
        return decode_local_status(file.read(MAX_BYTES + 1))


def boot_id() -> str:
    """Of this start of the computer; empty where the kernel does not say."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
