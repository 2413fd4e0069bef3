"""Folders of compartments, and what is named in them: ``<folder>/<region id>/<purpose>/<clip id><suffix>``.

Names are checked ids, so that no id can reach outside its compartment; links are not followed. Anything else found in the
folders is left alone and not listed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from fsd_agent.adapters import durable
from fsd_agent.ports.spool import CompartmentKeyError, SpoolError
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.records.purpose import Compartment
from fsd_agent.rules.spool.names import clip_id_of, is_clip_id, is_region_id, purpose_of
from fsd_agent.wire.compartment import Use, use_key


class CompartmentFolders:
    """Files of one kind. ``folder`` is created where it is missing."""

    def __init__(self, folder: Path, suffix: str, keys: VehicleKeys) -> None:
        durable.make_folder(folder)
        self._folder = folder
        self._suffix = suffix
        self._keys = keys
        self._inside: dict[Compartment, Path] = {}
        """Folders of compartments whose ids were checked."""
        self._made: set[Compartment] = set()
        """Compartments whose folder is known to be durable."""

    def path(self, compartment: Compartment, clip_id: str) -> Path:
        """Where a clip lies; raises :class:`SpoolError` for whatever is not an id."""
        inside = self._inside.get(compartment)
        if inside is None or not is_clip_id(clip_id):
            path = path_in(self._folder, self._suffix, compartment, clip_id)
            self._inside[compartment] = path.parent
            return path
        return inside / (clip_id + self._suffix)

    def make(self, compartment: Compartment, path: Path) -> None:
        """Make the folder of ``path``, durably."""
        if compartment not in self._made:
            durable.make_folder(path.parent)
            self._made.add(compartment)

    def key(self, compartment: Compartment, *, make: bool = False) -> bytes:
        """The compartment's key, asked for anew each time; raises :class:`CompartmentKeyError`."""
        try:
            return self._keys.compartment_key(compartment.region_id, compartment.purpose, make=make)
        except VehicleKeyError as error:
            raise CompartmentKeyError(str(error)) from error

    def use_key(self, compartment: Compartment, use: Use, *, make: bool = False) -> bytes:
        """The key for one use; raises :class:`CompartmentKeyError`."""
        return use_key(self.key(compartment, make=make), compartment, use)

    def remove(self, path: Path) -> None:
        """Unlink durably; nothing happens where there is none."""
        if path.parent.is_dir():
            durable.remove(path)

    def entries(self) -> frozenset[tuple[Compartment, str]]:
        """Every file."""
        return entries_in(self._folder, self._suffix)

    def ids(self) -> dict[Compartment, bytes]:
        """The clip ids of every file, packed, by compartment."""
        found: dict[Compartment, bytearray] = {}
        for (compartment, clip_id), _ in _files(self._folder, self._suffix):
            found.setdefault(compartment, bytearray()).extend(bytes.fromhex(clip_id))
        return {compartment: bytes(ids) for compartment, ids in found.items()}

    def weigh(self) -> dict[tuple[Compartment, str], int]:
        """Every file, and its size in bytes."""
        return weigh_in(self._folder, self._suffix)

    def sweep(self) -> int:
        """Remove what interrupted writes left behind; how many."""
        return sum(durable.sweep(folder) for _, folder in _compartments(self._folder))


def entries_in(folder: Path, suffix: str) -> frozenset[tuple[Compartment, str]]:
    """Every file below ``folder``; makes nothing."""
    return frozenset(place for place, _ in _files(folder, suffix))


def weigh_in(folder: Path, suffix: str) -> dict[tuple[Compartment, str], int]:
    """Every file below ``folder``, and its size in bytes; one that goes meanwhile is left out."""
    found: dict[tuple[Compartment, str], int] = {}
    for place, entry in _files(folder, suffix):
        with durable.translated(folder), contextlib.suppress(FileNotFoundError):
            found[place] = entry.stat(follow_symlinks=False).st_size
    return found


def _files(folder: Path, suffix: str) -> Iterator[tuple[tuple[Compartment, str], os.DirEntry[str]]]:
    for compartment, inside in _compartments(folder):
        for entry in _entries(inside):
            clip_id = clip_id_of(entry.name, suffix)
            if clip_id is not None and entry.is_file(follow_symlinks=False):
                yield (compartment, clip_id), entry


def path_in(folder: Path, suffix: str, compartment: Compartment, clip_id: str) -> Path:
    """Where a clip lies; raises :class:`SpoolError` for whatever is not an id."""
    if not is_region_id(compartment.region_id):
        raise SpoolError(f"region id {compartment.region_id!r}: not 1 to 32 of [a-z0-9-]")
    if purpose_of(compartment.purpose) is None:
        raise SpoolError(f"purpose {compartment.purpose!r}: unknown")
    if not is_clip_id(clip_id):
        raise SpoolError(f"clip id {clip_id!r}: not 32 lower-case hex digits")
    return folder.joinpath(compartment.region_id, compartment.purpose, clip_id + suffix)


def _compartments(folder: Path) -> Iterator[tuple[Compartment, Path]]:
    """Folders that exist."""
    for region in _entries(folder):
        if is_region_id(region.name) and region.is_dir(follow_symlinks=False):
            for entry in _entries(folder / region.name):
                purpose = purpose_of(entry.name)
                if purpose is not None and entry.is_dir(follow_symlinks=False):
                    yield Compartment(region.name, purpose), folder / region.name / entry.name


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """One by one: a compartment may hold tens of thousands."""
    with durable.translated(folder), os.scandir(folder) as found:
        yield from found
