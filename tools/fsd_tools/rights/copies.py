"""Copies of redacted clips out of the car's own spool, opened with the vehicle's own keys.

A copy is the clip's MCAP file, as the region would open it. What is damaged, gone meanwhile, or under a key that is not
there any more gives no copy and a reason; the others go on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsd_agent.adapters.compartment_folders import path_in
from fsd_agent.adapters.durable import read_at
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.records.purpose import Compartment
from fsd_agent.rules.spool.names import SEALED_SUFFIX
from fsd_agent.wire.sealed import SealedError, SealedMismatchError
from fsd_agent.wire.spool_file import open_own_clip
from fsd_agent.wire.spool_head import SpoolFileError
from fsd_tools.rights.entries import CopyState, Entry
from fsd_tools.rights.folder import CopyFolder
from fsd_tools.vehicle.belonging import as_owner


@dataclass(frozen=True, slots=True)
class Copied:
    """One copy that was made, or why it was not; exactly one of ``file`` and ``why_not`` is set."""

    file: str
    size_bytes: int
    why_not: str


def copy_clips(
    entries: Sequence[Entry],
    sealed: Mapping[str, Compartment],
    data_dir: Path,
    keys: VehicleKeys,
    out: CopyFolder,
) -> Iterator[tuple[str, Copied]]:
    """(clip id, what became of its copy), one after the other, of those that a copy is here of."""
    for entry in entries:
        if entry.copy is CopyState.HERE:
            yield entry.clip_id, _copy(entry.clip_id, sealed[entry.clip_id], data_dir, keys, out)


def _copy(
    clip_id: str, compartment: Compartment, data_dir: Path, keys: VehicleKeys, out: CopyFolder
) -> Copied:
    path = path_in(data_dir / "spool", SEALED_SUFFIX, compartment, clip_id)
    name = f"{clip_id}.mcap"
    try:
        with as_owner(data_dir):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return Copied(name, out.put(name, _opened(fd, compartment, clip_id, keys)), "")
        finally:
            os.close(fd)
    except FileNotFoundError:
        why = "it has left the vehicle meanwhile; look again"
    except VehicleKeyError as error:
        why = str(error)
    except (SpoolFileError, SealedError) as error:
        why = f"{path}: {error}"
    except OSError as error:
        why = f"{path}: can't be read: {error.strerror}"
    return Copied("", 0, why)


def _opened(fd: int, compartment: Compartment, clip_id: str, keys: VehicleKeys) -> Iterator[bytes]:
    """The clip's MCAP file in parts, good only if it comes to its end."""
    key = keys.compartment_key(*compartment)
    manifest, parts = open_own_clip(lambda *at: read_at(fd, *at), compartment, clip_id, key=key)
    if (manifest.clip_id, manifest.region_id) != (clip_id, compartment.region_id):
        raise SealedMismatchError(f"holds clip {manifest.clip_id} of region {manifest.region_id}")
    return parts
