"""Durable files: staging (raw) and the spool (sealed to a region), both under the keys of their compartments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from fsd_agent.records.clip import SealedClip, SealedFile
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.wire.pieces import FileIdentity


class SpoolError(Exception):
    """A file can't be read or written; the message names it and the reason."""


class SpoolFullError(SpoolError):
    """No space left for this file; nothing half-written remains and earlier files are intact."""


class SpoolDamagedError(SpoolError):
    """There is a file, but not one that was put there for this clip: changed, cut short, or another clip's."""


class CompartmentKeyError(SpoolError):
    """The compartment's key is gone, or can't be made or read: nothing in it can be opened or begun."""


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
    """Raw windows of clips in progress. Without the key of their compartment they are noise."""

    def open(self, compartment: Compartment, clip_id: str) -> StagingWriter:
        """Begin a new staged clip, and its compartment where it is the first there.

        Raises :class:`SpoolError` when one with this id exists, :class:`CompartmentKeyError`.
        """
        ...

    def read(self, compartment: Compartment, clip_id: str) -> Iterator[bytes]:
        """Every whole part in order; stops before a torn end.

        Everything that a ``sync`` covered is either yielded or missed aloud: raises :class:`SpoolError`, while
        iterating, if there is no file or a part that was synced is damaged.
        """
        ...

    def erase(self, compartment: Compartment, clip_id: str) -> None:
        """Remove; nothing happens when there is none."""
        ...

    def entries(self) -> frozenset[tuple[Compartment, str]]:
        """(compartment, clip id) of every file."""
        ...

    def weigh(self) -> dict[tuple[Compartment, str], int]:
        """(compartment, clip id) of every file, and its size in bytes."""
        ...


class RegionSpool(Protocol):
    """One region's compartments, for who sends to it: nothing else can be asked for, or opened. Any thread."""

    def read(self, purpose: Purpose, clip_id: str, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes of the sealed file, or fewer at its end.

        Raises :class:`SpoolDamagedError`, :class:`CompartmentKeyError`, :class:`SpoolError`.
        """
        ...

    def parts(self, purpose: Purpose, clip_id: str, offset: int, length: int) -> tuple[bytes, ...]:
        """The same in one or more parts, cut where the file has multiples of 64 KiB; nothing is copied to put them together.

        None where there are no bytes. Raises as ``read``.
        """
        ...

    def identity(self, purpose: Purpose, clip_id: str) -> FileIdentity | None:
        """Of the sealed file, as it was when this very file was put: whatever can be read of it is a part of that.

        None where the file is of a format that does not say. Raises as ``read``.
        """
        ...

    def erase(self, purpose: Purpose, clip_id: str) -> None:
        """Remove; nothing happens when there is none."""
        ...


class Landing(Protocol):
    """A sealed file that is whole at its name and on its way to the medium. One thread; one of its two ends is called, once."""

    @property
    def clip(self) -> SealedClip:
        """Size and hash: known before the file is durable."""
        ...

    def land(self) -> SealedClip:
        """When this returns, file and name survive a power cut.

        Raises :class:`SpoolError`: then it is gone, or what :meth:`SpoolStore.settle` finds of it.
        """
        ...

    def undo(self) -> None:
        """When this returns, there is no such file; nothing of it may have been recorded. Raises :class:`SpoolError`."""
        ...


class SpoolStore(Protocol):
    """Sealed clips in their compartments. Methods may be called from any thread."""

    def begin(self, compartment: Compartment, clip_id: str, file: SealedFile) -> Landing:
        """Write all of it, and begin to make it durable; replaces an earlier file of that id, which nobody counts on.

        A kill leaves all of it or nothing. A power cut leaves anything, until it has landed: so it is for nobody
        who does not know its hash from elsewhere. Raises :class:`SpoolFullError`, and leaves nothing half-written then;
        :class:`CompartmentKeyError`, for putting makes no key.
        """
        ...

    def put(self, compartment: Compartment, clip_id: str, file: SealedFile) -> SealedClip:
        """Both at once: :meth:`begin`, and :meth:`Landing.land`."""
        ...

    def settle(self, compartment: Compartment, clip_id: str) -> None:
        """What there is under this name is durable when this returns, and what is read of it is what the medium has.

        For who finds a file of which it is not known whether it landed. Raises :class:`SpoolError`.
        """
        ...

    def region(self, region_id: str) -> RegionSpool:
        """The one way to read. Raises :class:`SpoolError` for what is no region id."""
        ...

    def erase(self, compartment: Compartment, clip_id: str) -> None:
        """Remove; nothing happens when there is none."""
        ...

    def entries(self) -> frozenset[tuple[Compartment, str]]:
        """(compartment, clip id) of every file, but for what was set aside."""
        ...

    def ids(self) -> Mapping[Compartment, bytes]:
        """The same, packed as ``records.clip_ids`` has it, by compartment: there may be tens of thousands."""
        ...

    def set_aside(self, compartment: Compartment, clip_id: str) -> str:
        """Move a damaged file to quarantine, to be looked at; where it is now, for people.

        Empty where quarantine is full or can't take it, or there is no such file: then it is where it was.
        """
        ...

    def aside(self) -> frozenset[tuple[Compartment, str]]:
        """(compartment, clip id) of what is in quarantine."""
        ...

    def let_go(self, compartment: Compartment, clip_id: str) -> None:
        """Remove a file from quarantine; nothing happens when there is none."""
        ...

    def sweep(self) -> int:
        """Remove what interrupted puts left behind; how many. Only at start, before the first put."""
        ...
