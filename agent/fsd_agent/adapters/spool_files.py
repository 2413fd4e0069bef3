"""Sealed clips as files, one folder a region: ``<folder>/<region id>/<clip id>.sealed``.

Invariants: a file under its final name is whole and durable (``durable.py``); names are checked ids, so that no
id can reach outside its compartment; links are not followed. Anything else found in the folders is left alone
and not listed. Format of the content: ``wire/sealed.py``; the spool does not look inside.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fsd_agent.adapters import durable
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.clip import SealedClip
from fsd_agent.rules.spool.names import SEALED_SUFFIX, clip_id_of, is_clip_id, is_region_id


class SpoolFiles:
    """See :class:`fsd_agent.ports.spool.SpoolStore`. ``folder`` is created where it is missing."""

    def __init__(self, folder: Path) -> None:
        durable.make_folder(folder)
        self._folder = folder
        self._made: set[str] = set()
        """Compartments whose folder is known to be durable."""

    def put(self, region_id: str, clip_id: str, chunks: Iterable[bytes]) -> SealedClip:
        """See the port."""
        path = self._path(region_id, clip_id)
        if region_id not in self._made:
            durable.make_folder(path.parent)
            self._made.add(region_id)
        size_bytes, sha256 = durable.write_file(path, chunks)
        return SealedClip(clip_id, region_id, size_bytes, sha256)

    def read(self, region_id: str, clip_id: str, offset: int, length: int) -> bytes:
        """See the port. Raises :class:`SpoolError` where there is no file."""
        path = self._path(region_id, clip_id)
        with durable.translated(path):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                return durable.read_at(fd, offset, length)
            finally:
                os.close(fd)

    def erase(self, region_id: str, clip_id: str) -> None:
        """See the port."""
        path = self._path(region_id, clip_id)
        if path.parent.is_dir():
            durable.remove(path)

    def entries(self) -> frozenset[tuple[str, str]]:
        """See the port."""
        return frozenset(
            (region.name, clip_id) for region in self._regions() for clip_id in _clips_in(region)
        )

    def sweep(self) -> int:
        """See the port."""
        return sum(durable.sweep(region) for region in self._regions())

    def _regions(self) -> list[Path]:
        """Folders of the compartments that exist."""
        with durable.translated(self._folder), os.scandir(self._folder) as found:
            return [
                self._folder / entry.name
                for entry in found
                if is_region_id(entry.name) and entry.is_dir(follow_symlinks=False)
            ]

    def _path(self, region_id: str, clip_id: str) -> Path:
        """Where a clip lies; refuses whatever is not an id."""
        if not is_region_id(region_id):
            raise SpoolError(f"region id {region_id!r}: not 1 to 32 of [a-z0-9-]")
        if not is_clip_id(clip_id):
            raise SpoolError(f"clip id {clip_id!r}: not 32 lower-case hex digits")
        return self._folder / region_id / (clip_id + SEALED_SUFFIX)


def _clips_in(region: Path) -> Iterator[str]:
    """Ids of the sealed files of one compartment."""
    with durable.translated(region), os.scandir(region) as found:
        for entry in found:
            clip_id = clip_id_of(entry.name, SEALED_SUFFIX)
            if clip_id is not None and entry.is_file(follow_symlinks=False):
                yield clip_id
