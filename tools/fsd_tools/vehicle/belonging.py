"""Where a vehicle belongs, asked from outside of its agent: the agent's own decision, over what the agent keeps.

``pipeline.residence`` decides, with the vehicle's files and with one reading of the agent's journal: serials and
versions below which nothing counts, the policies that go on, and the time that is proved. Where the journal can't be
read nobody can say what was accepted before, and the vehicle holds, with that reason. A data folder with nothing in it
is a vehicle that has never run.

Root takes the place of the folder's owner to read it (its effective user, for as long as that lasts): what SQLite
makes beside the journal must be the agent's, and what the agent's user may have laid there must not be opened as root.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from fsd_agent.adapters.key_files import KeyFileError, VehicleDir, own_key_ids
from fsd_agent.adapters.sqlite_reader import (
    CollectedReading,
    JournalReading,
    ReadStates,
    read_collected,
    read_journal,
)
from fsd_agent.adapters.trust_files import TrustFiles
from fsd_agent.pipeline.residence import Belonging, Residence
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventName, EventValue
from fsd_agent.ports.journal import JournalError
from fsd_agent.wire.registration import MAX_REGISTRATION_BYTES
from fsd_firmware.contract import FirmwareError
from fsd_tools.errors import ToolError

JOURNAL = "journal.db"
FRESH = frozenset({"lock", "lost+found"})
"""What may lie in the data folder of a vehicle that has never run."""


class _NobodyListens:
    """The agent tells what it finds; a tool prints it."""

    def emit(self, event: EventName, /, **fields: EventValue) -> None:
        """Forget it."""


def belonging_of(vehicle_dir: Path, reading: JournalReading | str, clock: Clock) -> Belonging:
    """Where the vehicle belongs now; ``reading`` is what :func:`read_kept` gave. Raises :class:`ToolError`."""
    if not vehicle_dir.is_dir():
        raise ToolError(f"{vehicle_dir}: is not a vehicle's directory")
    try:
        key_ids = own_key_ids(vehicle_dir)
    except KeyFileError as error:
        raise ToolError(str(error)) from error
    return Residence(
        lambda: _document(VehicleDir(vehicle_dir).registration),
        TrustFiles(vehicle_dir),
        device_key_ids=lambda: key_ids,
        journal=ReadStates(reading),
        clock=clock,
        events=_NobodyListens(),
    ).now


def read_kept(data_dir: Path) -> JournalReading | str:
    """The agent's journal, or in words why nobody can say what it keeps."""
    return _read(data_dir, read_journal, JournalReading({}, ()))


def read_all_collected(data_dir: Path) -> CollectedReading | str:
    """Everything that the agent's journal says was collected, or in words why it can't be read."""
    return _read(data_dir, read_collected, CollectedReading())


_T = TypeVar("_T")


def _read(data_dir: Path, read: Callable[[Path], _T], fresh: _T) -> _T | str:
    try:
        with as_owner(data_dir):
            present = {path.name for path in data_dir.iterdir()}
            if not present - FRESH:
                return fresh
            if JOURNAL not in present:
                return f"{data_dir}: has no {JOURNAL}; start the agent once, or give its [storage] dir with --data"
            return read(data_dir / JOURNAL)
    except JournalError as error:
        return str(error)
    except OSError as error:
        return (
            f"{data_dir}: can't be read: {error.strerror}; give the agent's [storage] dir with --data, and make it"
            " where the agent has never run"
        )


@contextlib.contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """As root, act as the user that the folder belongs to; anybody else acts as who they are. ``OSError`` passes through.

    Other threads would act so too: for command lines.
    """
    if os.geteuid() != 0:
        yield
        return
    owner, groups = folder.stat(), os.getgroups()
    before = os.getegid()
    try:
        os.setgroups([owner.st_gid])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(before)
        os.setgroups(groups)


def _document(path: Path) -> bytes | None:
    """Firmware's document, cut off just beyond its limit; None where there is none."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_REGISTRATION_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FirmwareError(f"{path}: can't be read: {error.strerror}") from error
