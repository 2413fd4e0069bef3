"""What vehicles told of their firings: opened, checked and kept, once each.

``firings/<vehicle>/<firing id>.json``, under its final name only when all of it is durable. A firing is known by its id: told
again, it is acknowledged again and changes nothing. It is kept as long as a clip, counted from when it was stored.

A message that is not the vehicle's, or not a firing's, is nothing; one for which a key is missing may be right later. Neither
is answered: the vehicle tells it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from fsd_agent.adapters.durable import make_folder, remove, write_file
from fsd_agent.records.firing import ToldFiring
from fsd_agent.rules.spool.retention import is_over
from fsd_agent.wire.firing import About, open_firing
from fsd_tools.region.store import StoreError


class StoredFiring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON of one."""

    firing: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    vehicle: str
    region: str
    stored_wall_ns: int
    told: ToldFiring
    """What the vehicle said, as it was sealed."""


@dataclass(frozen=True, slots=True)
class FiringStore:
    """See the module. Ids must be checked names. ``OSError`` and ``SpoolError`` pass through: nothing is stored then."""

    root: Path

    def knows(self, about: About) -> bool:
        """Whether it is stored."""
        return self._path(about).is_file()

    def put(self, about: About, told: ToldFiring, *, stored_wall_ns: int) -> None:
        """Store it durably; only where it is not known."""
        facts = StoredFiring(about.firing_id, about.vehicle, about.region_id, stored_wall_ns, told)
        path = self._path(about)
        make_folder(path.parent)
        write_file(path, (json.dumps(msgspec.to_builtins(facts), indent=1).encode(), b"\n"))

    def of(self, vehicle: str) -> Iterator[StoredFiring]:
        """Every firing of a vehicle, in no order. Raises :class:`StoreError`."""
        for path in (self.root / vehicle).glob("*.json"):
            found = read_firing(path)
            if found is not None:
                yield found

    def expire(self, *, proved_ns: int, retention_days: int, dry_run: bool = False) -> Iterator[bool]:
        """Remove what is over; for each firing whether it went, or would. Raises as :meth:`of` and :meth:`put`."""
        for path in self.root.glob("*/*.json"):
            found = read_firing(path)
            over = found is not None and is_over(
                found.stored_wall_ns, proved_ns=proved_ns, retention_days=retention_days
            )
            if over and not dry_run:
                remove(path)
            yield over

    def _path(self, about: About) -> Path:
        return self.root / about.vehicle / f"{about.firing_id}.json"


def read_firing(path: Path) -> StoredFiring | None:
    """One stored firing; None where it is gone. Raises :class:`StoreError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=StoredFiring)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: {error}") from error


class FiringDesk:
    """Takes what vehicles tell. One thread at a time."""

    def __init__(
        self,
        store: FiringStore,
        *,
        sealing_keys: Mapping[str, bytes],
        device_keys: Callable[[str], Mapping[str, bytes]],
        wall_ns: Callable[[], int],
    ) -> None:
        """``sealing_keys``: raw, by id; ``device_keys`` gives those that count for a vehicle."""
        self._store = store
        self._sealing_keys = sealing_keys
        self._device_keys = device_keys
        self._wall_ns = wall_ns

    def take(self, about: About, payload: bytes) -> ToldFiring | None:
        """Keep what is new, and give it; None where it is known. When this returns, it may be acknowledged.

        Raises :class:`~fsd_agent.wire.firing.FiringError`, ``OSError`` and ``SpoolError``.
        """
        told = open_firing(
            payload, about, sealing_keys=self._sealing_keys, device_keys=self._device_keys(about.vehicle)
        )
        if self._store.knows(about):
            return None
        self._store.put(about, told, stored_wall_ns=self._wall_ns())
        return told
