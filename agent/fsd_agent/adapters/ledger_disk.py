"""What the ledger's folder holds: segments by name, and room kept for records that free room.

A full disk must not keep the vehicle from saying that it erases something, which is what gives room again. So a file
``reserve`` of :data:`RESERVE_BYTES` lies beside the segments. It is given up when such a record finds no room, and made
anew when there is room.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from fsd_agent.adapters import durable
from fsd_agent.ports.ledger import LedgerDamagedError, LedgerError, LedgerFullError
from fsd_agent.ports.spool import SpoolError, SpoolFullError
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.wire.ledger import LedgerFormatError
from fsd_agent.wire.ledger_file import Segment, read_segment

RESERVE_BYTES = 256 << 10
"""About 1,000 records: 500 clips dropped and erased."""

ADVICE = "keep the folder, and move it away to begin anew"

_NAME = re.compile(r"[0-9]{20}\.ledger")


class Reserve:
    """See the module."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "reserve"

    def keep(self) -> bool:
        """Make it where it is missing; whether it is there. Raises ``SpoolError`` but for a full disk."""
        if self._path.exists():
            return True
        try:
            # Random: a file system that compresses would keep no room for zeros.
            durable.write_file(self._path, (os.urandom(RESERVE_BYTES),))
        except SpoolFullError:
            return False
        return True

    def give_up(self) -> bool:
        """Free its room; whether there was any. Raises ``SpoolError``."""
        return durable.remove(self._path)


def segment_paths(folder: Path) -> list[Path]:
    """The ledger's files, oldest first."""
    with durable.translated(folder), os.scandir(folder) as found:
        names = [entry.name for entry in found if entry.is_file(follow_symlinks=False)]
    return [folder / name for name in sorted(names) if _NAME.fullmatch(name)]


def read_file(path: Path) -> Segment:
    """One of them; raises :class:`LedgerDamagedError` where it is none."""
    with durable.translated(path):
        data = path.read_bytes()
    try:
        return read_segment(data)
    except LedgerFormatError as error:
        raise LedgerDamagedError(f"{path}: {error}; {ADVICE}") from error


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """The errors of :mod:`.durable` and of the device's keys as the port's."""
    try:
        yield
    except SpoolFullError as error:
        raise LedgerFullError(str(error)) from error
    except SpoolError as error:
        raise LedgerError(str(error)) from error
    except VehicleKeyError as error:  # unsigned is not recorded: what depends on it waits
        raise LedgerError(f"it can't be signed: {error}") from error
    except LedgerFormatError as error:
        raise LedgerError(f"a fact that can't be recorded: {error}") from error
