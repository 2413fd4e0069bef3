"""Durable files: staging (raw, under the device's own key) and the spool (sealed to a region)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from fsd_agent.records.clip import SealedClip


class SpoolError(Exception):
    """A file can't be read or written; the message names it and the reason."""


class SpoolFullError(SpoolError):
    """No space left for this file; nothing half-written remains and earlier files are intact."""


class StagingWriter(Protocol):
    """Appends to one staged clip. One thread at a time."""

    def append(self, part: bytes) -> None:
        """Add one part (an encoded ``wire.staged`` value). Raises :class:`SpoolFullError`."""
        ...

    def sync(self) -> None:
        """When this returns, every part appended so far survives a power cut."""
        ...

    def close(self) -> None:
        """``sync`` and release the file. Safe to call twice."""
        ...


class Staging(Protocol):
    """Raw windows of clips in progress, encrypted under a key that never leaves the device."""

    def open(self, clip_id: str) -> StagingWriter:
        """Begin a new staged clip; raises :class:`SpoolError` when one with this id exists."""
        ...

    def read(self, clip_id: str) -> Iterator[bytes]:
        """Every whole part in order; stops before a torn end.

        Everything that a ``sync`` covered is either yielded or missed aloud: raises :class:`SpoolError`, while
        iterating, if there is no file or a part that was synced is damaged.
        """
        ...

    def erase(self, clip_id: str) -> None:
        """Remove; nothing happens when there is none."""
        ...

    def entries(self) -> frozenset[str]:
        """Clip ids that have a file."""
        ...


class SpoolStore(Protocol):
    """Sealed clips, one compartment a region. Methods may be called from any thread."""

    def put(self, region_id: str, clip_id: str, chunks: Iterable[bytes]) -> SealedClip:
        """Write durably (tmp, fsync, rename, fsync of the folder); replaces an earlier file of that id.

        ``chunks`` come from ``wire.sealed``. Raises :class:`SpoolFullError`.
        """
        ...

    def read(self, region_id: str, clip_id: str, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes, or fewer at the end of the file."""
        ...

    def erase(self, region_id: str, clip_id: str) -> None:
        """Remove; nothing happens when there is none."""
        ...

    def entries(self) -> frozenset[tuple[str, str]]:
        """(region id, clip id) of every file."""
        ...

    def sweep(self) -> int:
        """Remove what interrupted puts left behind; how many. Only at start, before the first put."""
        ...
