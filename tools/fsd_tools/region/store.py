"""The region's store: clips as they were opened, each with the facts about it.

``store/<vehicle>/<clip id>.mcap`` and ``<clip id>.json``. A clip is stored when its JSON is there: the MCAP is
written under another name, fsynced, checked and renamed first, then the same is done with the JSON, then the folder
is fsynced. Whatever a crash leaves besides is removed at the next start, so no reader ever finds a torn clip.

A clip goes from one store to another (``move``) by second names for its files: MCAP, then JSON, in the new place, each durable, then
the old JSON and the old MCAP go. A crash in between leaves it whole in the old place, the new one, or both; never in neither.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from fsd_agent.wire.sealed import SealedManifest


class StoreError(Exception):
    """The store holds something that can't be; the message names the file and the reason."""


class StoredClip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON beside a clip."""

    clip_id: str
    vehicle: str
    region_id: str
    sealed_sha256: str
    """Of the file as it was sent, 64 hex digits; what the receipt names."""
    sealed_bytes: int
    clip_bytes: int
    stored_wall_ns: int
    manifest: dict[str, Any]
    """What the device signed: vehicle, jurisdiction, policy, keys and the record of redaction."""


@dataclass(frozen=True, slots=True)
class ClipStore:
    """See the module. Ids must be checked names. ``OSError`` passes through: nothing is stored then."""

    root: Path

    def find(self, vehicle: str, clip_id: str) -> StoredClip | None:
        """A stored clip's facts. Raises :class:`StoreError`."""
        path = self.root / vehicle / f"{clip_id}.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=StoredClip)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{path}: {error}") from error

    def put(
        self,
        vehicle: str,
        clip_id: str,
        parts: Iterable[bytes],
        *,
        check: Callable[[Path], None],
        facts: Callable[[int], StoredClip],
    ) -> StoredClip:
        """Store one clip durably, or nothing.

        ``check`` looks at the whole file before it has its name; whatever it, or ``parts``, raises passes through.
        ``facts`` gets the clip's size in bytes.
        """
        folder = self.root / vehicle
        folder.mkdir(parents=True, exist_ok=True)
        _sync_folder(self.root)  # Also when it was there: whoever made it may have died before this
        clip, clip_new = folder / f"{clip_id}.mcap", folder / f".{clip_id}.mcap.new"
        about, about_new = folder / f"{clip_id}.json", folder / f".{clip_id}.json.new"
        try:
            size = _write(clip_new, parts)
            check(clip_new)
            stored = facts(size)
            _write(about_new, (json.dumps(msgspec.to_builtins(stored), indent=1).encode(), b"\n"))
            clip_new.replace(clip)
            _sync_folder(folder)
            about_new.replace(about)
            _sync_folder(folder)
        except BaseException:
            clip_new.unlink(missing_ok=True)
            about_new.unlink(missing_ok=True)
            raise
        return stored

    def move(self, vehicle: str, clip_id: str, to: ClipStore) -> None:
        """Into another store on the same disk; what is there already by an interrupted move is completed."""
        old, new = self.root / vehicle, to.root / vehicle
        new.mkdir(parents=True, exist_ok=True)
        _sync_folder(to.root)
        names = (f"{clip_id}.mcap", f"{clip_id}.json")
        for name in names:
            with suppress(FileExistsError):
                (new / name).hardlink_to(old / name)
            _sync_folder(new)
        for name in reversed(names):
            (old / name).unlink(missing_ok=True)
            _sync_folder(old)

    def clips(self) -> list[tuple[str, str]]:
        """(vehicle, clip id) of every stored clip, the first stored first."""
        found = [
            (path.stat().st_mtime_ns, path.parent.name, path.stem) for path in self.root.glob("*/*.json")
        ]
        return [(vehicle, clip_id) for _, vehicle, clip_id in sorted(found)]

    def sweep(self) -> int:
        """Remove what an interrupted ``put`` left; returns how many files."""
        removed = 0
        for folder in self.root.glob("*/"):
            for path in folder.iterdir():
                torn = path.name.startswith(".") and path.suffix == ".new"
                orphan = path.suffix == ".mcap" and not path.with_suffix(".json").exists()
                if torn or orphan:
                    path.unlink()
                    removed += 1
        return removed


def manifest_facts(manifest: SealedManifest) -> dict[str, Any]:
    """A manifest as JSON can hold it."""
    facts: dict[str, Any] = msgspec.to_builtins(manifest)
    facts["wrapped_key"] = manifest.wrapped_key.hex()
    return facts


def _write(path: Path, parts: Iterable[bytes]) -> int:
    size = 0
    with path.open("wb") as file:
        for part in parts:
            size += file.write(part)
        file.flush()
        os.fsync(file.fileno())
    return size


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
