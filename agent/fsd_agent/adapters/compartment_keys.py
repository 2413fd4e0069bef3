"""Keys of compartments as files: ``<folder>/<region id>/<purpose>.key``, each wrapped or as it is.

Invariants
- A key is at its name only when it is whole: tmp, fsync, rename, fsync of the folder. Nothing is encrypted under it before its
  name is durable, also where a process that made it was killed before the last step.
- Destroying overwrites, fsyncs, unlinks and fsyncs the folder, also what an interrupted making left behind. A flash
  translation layer may keep old blocks all the same: who fears that wraps the keys by a token.
- A file that others may read, a folder that others may write to, or a key of another length is refused.

A file holds the key as it is, or wrapped by the vehicle's secure element and bound to its place (:mod:`.locker`).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from fsd_agent.adapters import durable
from fsd_agent.adapters.locker import Locker
from fsd_agent.adapters.private_files import NoKeyFileError
from fsd_agent.ports.spool import SpoolError, SpoolFullError
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.rules.spool.names import is_region_id, is_tmp, purpose_of
from fsd_agent.wire.compartment import KEY_BYTES

KEY_SUFFIX = ".key"


class CompartmentKeys:
    """The part of :class:`fsd_agent.ports.vehicle_keys.VehicleKeys` that is about compartments."""

    def __init__(self, folder: Path, locker: Locker) -> None:
        """``folder`` is made with the first key."""
        self._folder = folder
        self._locker = locker
        self._lock = threading.Lock()
        self._settled: set[Path] = set()
        """Keys whose names are known to be durable."""
        self._paths: dict[Compartment, Path] = {}
        """Where the keys lie that were asked for; never what is in them."""

    def key(self, compartment: Compartment, *, make: bool) -> bytes:
        """See ``compartment_key`` of the port."""
        path = self._path(compartment)
        with self._lock:
            if make and not path.exists():
                return self._make(path)
            if make and path not in self._settled:
                with _plain(path):
                    durable.settle(path.parent)
                self._settled.add(path)
            try:
                return self._locker.read(path, KEY_BYTES)
            except NoKeyFileError as error:
                raise VehicleKeyError(f"{path}: compartment {compartment} has no key") from error

    def all(self) -> frozenset[Compartment]:
        """See ``compartments`` of the port."""
        with self._lock, _plain(self._folder):
            return frozenset(
                Compartment(region.name, purpose)
                for region in _entries(self._folder)
                if is_region_id(region.name) and region.is_dir(follow_symlinks=False)
                for entry in _entries(self._folder / region.name)
                if (purpose := purpose_of(entry.name.removesuffix(KEY_SUFFIX))) is not None
                and entry.name.endswith(KEY_SUFFIX)
            )

    def destroy(self, compartment: Compartment) -> None:
        """See ``destroy_compartment`` of the port."""
        path = self._path(compartment)
        with self._lock, _plain(path):
            found = [entry.name for entry in _entries(path.parent) if _is_of(entry.name, path.name)]
            for name in found:
                if not path.with_name(name).is_symlink():  # What a link leads to is nobody's key
                    _overwrite(path.with_name(name))
                path.with_name(name).unlink()
            if (
                path.parent.is_dir()
            ):  # Also where nothing was found: who unlinked it may have died before the sync
                durable.sync_folder(path.parent)

    def _make(self, path: Path) -> bytes:
        key = os.urandom(KEY_BYTES)
        locked = self._locker.locked(path, key)
        try:
            durable.make_folder(path.parent)
            durable.write_file(path, (locked,))
        except SpoolFullError:
            raise
        except SpoolError as error:
            raise VehicleKeyError(str(error)) from error
        self._settled.add(path)
        return key

    def _path(self, compartment: Compartment) -> Path:
        """Where a key lies; refuses whatever is not an id."""
        known = self._paths.get(compartment)
        if known is not None:
            return known
        if not is_region_id(compartment.region_id):
            raise VehicleKeyError(f"region id {compartment.region_id!r}: not 1 to 32 of [a-z0-9-]")
        path = self._folder / compartment.region_id / (Purpose(compartment.purpose) + KEY_SUFFIX)
        self._paths[compartment] = path
        return path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing where there is none."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except FileNotFoundError:
        return []


def _is_of(name: str, key: str) -> bool:
    """Whether it is this key, or what an interrupted making of it left."""
    return name == key or (is_tmp(name) and name.startswith(f".{key}."))


def _overwrite(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        durable.write_all(fd, os.urandom(os.fstat(fd).st_size))
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _plain(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VehicleKeyError(f"{path}: {error.strerror or error}") from error
    except SpoolError as error:
        raise VehicleKeyError(str(error)) from error
