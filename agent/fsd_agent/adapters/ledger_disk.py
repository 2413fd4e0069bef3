"""What the ledger's folder holds: segments by name, and ``reserve`` (``reserve_file.py``)."""

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
from fsd_agent.records.ledger import LiveClip
from fsd_agent.rules.audit.handover import hands_over
from fsd_agent.wire.ledger import LedgerFormatError
from fsd_agent.wire.ledger_file import Segment, read_segment_apart

ADVICE = "keep the folder, and move it away to begin anew"

_NAME = re.compile(r"[0-9]{20}\.ledger")


def segment_paths(folder: Path) -> list[Path]:
    """The ledger's files, oldest first."""
    with durable.translated(folder), os.scandir(folder) as found:
        names = [entry.name for entry in found if entry.is_file(follow_symlinks=False)]
    return [folder / name for name in sorted(names) if _NAME.fullmatch(name)]


def read_file(path: Path) -> tuple[Segment, Iterator[LiveClip]]:
    """One of them, and the clips of its checkpoint apart; raises :class:`LedgerDamagedError` where it is none."""
    with durable.translated(path):
        data = path.read_bytes()
    try:
        return read_segment_apart(data)
    except LedgerFormatError as error:
        raise LedgerDamagedError(f"{path}: {error}; {ADVICE}") from error


def root_handed_over(older: Path, newer: Path) -> tuple[bytes, bool]:
    """(root that the newer of two neighbours begins with; whether it says all that the older one does).

    Raises :class:`LedgerDamagedError` where the newer one can't say anything. Both are read whole: not for who has others wait.
    """
    following, its_live = read_file(newer)
    checkpoint = following.checkpoint.value
    try:
        segment, live = read_file(older)
    except LedgerDamagedError:
        return checkpoint.head.root, False
    return checkpoint.head.root, hands_over(segment, live, checkpoint, its_live)


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
