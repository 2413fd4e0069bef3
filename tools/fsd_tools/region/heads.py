"""What vehicles told of their ledgers: the newest signed head of each, which no vehicle can take back.

``heads/<vehicle>.head`` is the newest. A ledger only grows. When a vehicle tells fewer records than before, or another
root over as many, its ledger was cut, replaced or begun anew: the head from before is kept beside it as
``<vehicle>.<size>.head`` for the audit, the operator is told, and the vehicle goes on from the new one. A head that is
merely late (its time is not after that of the newest) changes nothing.

Of two heads of which the later has more records, only the ledger itself can show that one continues the other:
``fsdctl audit verify`` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fsd_agent.adapters.durable import make_folder, write_file
from fsd_agent.records.ledger import Head
from fsd_agent.wire.ledger import LedgerFormatError, Signed, decode_head

SUFFIX = ".head"
BREAKS_MAX = 16
"""Heads from before a break that are kept of one vehicle; beyond, a further break is not taken up."""


class HeadStoreError(Exception):
    """A stored head can't be read; the message names the file."""


class Taken(StrEnum):
    """What became of a head."""

    NEWER = "newer"
    KNOWN = "known"
    LATE = "late"
    BREAK = "break"
    """It does not continue what was told before."""
    TOO_MANY_BREAKS = "too_many_breaks"

    @property
    def kept(self) -> bool:
        """Whether the store holds it now, durably: then it may be acknowledged."""
        return self in {Taken.NEWER, Taken.KNOWN, Taken.BREAK}


@dataclass(frozen=True, slots=True)
class HeadStore:
    """See the module. Vehicles' names must be checked. ``OSError`` and ``SpoolError`` pass through: nothing is kept then."""

    root: Path

    def newest(self, vehicle: str) -> Signed[Head] | None:
        """The newest head of a vehicle. Raises :class:`HeadStoreError`."""
        path = self._path(vehicle)
        try:
            return decode_head(path.read_bytes())
        except FileNotFoundError:
            return None
        except LedgerFormatError as error:
            raise HeadStoreError(f"{path}: {error}") from error

    def files(self, vehicle: str) -> tuple[Path, ...]:
        """Every head that is kept of a vehicle."""
        before = sorted(self.root.glob(f"{vehicle}.*{SUFFIX}"))
        newest = self._path(vehicle)
        return (*before, newest) if newest.exists() else tuple(before)

    def take(self, vehicle: str, told: Signed[Head]) -> Taken:
        """Keep a head whose signature was verified, if it is news. Raises :class:`HeadStoreError`."""
        stored = self.newest(vehicle)
        taken = _judge(stored, told)
        if taken is Taken.BREAK and stored is not None:
            if len(self.files(vehicle)) > BREAKS_MAX:
                return Taken.TOO_MANY_BREAKS
            kept = self.root / f"{vehicle}.{stored.value.size}{SUFFIX}"
            write_file(kept, (stored.encode(),))
        if taken in {Taken.NEWER, Taken.BREAK}:
            make_folder(self.root)
            write_file(self._path(vehicle), (told.encode(),))
        return taken

    def _path(self, vehicle: str) -> Path:
        return self.root / f"{vehicle}{SUFFIX}"


def _judge(stored: Signed[Head] | None, told: Signed[Head]) -> Taken:
    if stored is None or told.value.size > stored.value.size:
        return Taken.NEWER
    same = (told.value.size, told.value.root) == (stored.value.size, stored.value.root)
    if same:
        return Taken.KNOWN
    return Taken.BREAK if told.value.wall_ns > stored.value.wall_ns else Taken.LATE
