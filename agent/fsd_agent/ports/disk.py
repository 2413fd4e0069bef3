"""The disk that holds journal, ledger, staging and spool: how much room it has, and room that is kept on it."""

from __future__ import annotations

from typing import Protocol

from fsd_agent.records.room import Amount, DiskLook


class Disk(Protocol):
    """Looks at the disk. One thread at a time."""

    def look(self, *, write: bool) -> DiskLook:
        """What there is now; with ``write``, try a small durable write too. Never raises: a fault is in the answer."""
        ...


class Reserve(Protocol):
    """Room that is kept for events in progress, in parts of a file each. Any thread."""

    @property
    def part(self) -> Amount:
        """What one part keeps."""
        ...

    @property
    def held(self) -> Amount:
        """What is kept now."""
        ...

    def give_up(self) -> bool:
        """Free one part, on the disk when this returns; False where there is none, or it can't be freed."""
        ...

    def add(self) -> bool:
        """Keep one part more; False where everything is kept already, or there is no room for it."""
        ...
