"""How much room there is on the vehicle's disk, as it was found at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Amount(NamedTuple):
    """Room on a disk, or a need of it: it runs out of bytes, and of files (inodes)."""

    size_bytes: int
    files: int

    def plus(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(self.size_bytes + other.size_bytes, self.files + other.files)

    def beyond(self, other: Amount) -> Amount:
        """What of this is more than ``other``; never less than nothing."""
        return Amount(max(0, self.size_bytes - other.size_bytes), max(0, self.files - other.files))

    def share(self, of: int, parts: int) -> Amount:
        """``of`` out of ``parts`` equal parts of it, rounded down."""
        return Amount(self.size_bytes * of // parts, self.files * of // parts)


NOTHING = Amount(0, 0)


@dataclass(frozen=True, slots=True)
class DiskLook:
    """What one look at the disk found."""

    free: Amount
    """What the agent's user may still write. A file system that does not count files has more than anybody needs."""
    is_read_only: bool
    write_ns: int | None
    """How long a small durable write took; None where none was tried, or there was no room for it."""
    fault: str = ""
    """Why the disk could not be looked at or written to, but for being full; empty where it could."""
