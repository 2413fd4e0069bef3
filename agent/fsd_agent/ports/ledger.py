"""The append-only, hash-chained, signed account of every decision about data.

Durability. When ``append`` returns, its records survive a power cut, unless all of them are of kinds in
``records.ledger.LAZY``; those survive with the next ``append`` that has another, with ``head`` or ``close``. So a caller
records first and acts then: what is sent or erased is in the ledger before it happens, and an act whose record could not
be written must not happen.

Threads. Any thread; calls are serialised inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from fsd_agent.records.ledger import Fact, Head, LiveClip
from fsd_agent.records.purpose import Purpose
from fsd_agent.wire.ledger import Signed


class LedgerError(Exception):
    """The ledger can't be read or written; the message names the file and the reason. Nothing was recorded.

    But for a failed fsync: then it is not known what was, and everything is refused until the next start.
    """


class LedgerFullError(LedgerError):
    """No space left; what was recorded before is intact, and the next call may work."""


class LedgerDamagedError(LedgerError):
    """What the medium had confirmed is not what was written. A person must look; nothing was changed."""


class Ledger(Protocol):
    """See the module."""

    def append(self, *facts: Fact) -> None:
        """Record facts in this order, all of them or, where it raises :class:`LedgerError`, none.

        Without facts it only raises where nothing could be recorded at all.
        """
        ...

    def head(self) -> Signed[Head]:
        """A signed head over all records, which are durable then: what a region is told is never taken back."""
        ...

    def clip(self, clip_id: str) -> LiveClip | None:
        """What was recorded of one clip; None where the vehicle holds no copy of it by this ledger."""
        ...

    def receipt(self, clip_id: str) -> bytes | None:
        """What a region has signed for a clip of which there is a copy; None where that is not recorded.

        None, too, where it is in a file before the newest: then the region has to be asked again.
        """
        ...

    def live(self, *, but: bytes = b"") -> Iterator[LiveClip]:
        """Clips of which the vehicle holds a copy by this ledger, the oldest first; one that ends meanwhile is left out.

        For whoever goes over thousands: one is in memory at a time, and those with an id among ``but``, packed as
        ``records.clip_ids`` has it, are not looked at.
        """
        ...

    def at_rest(self) -> Mapping[str, bytes]:
        """Packed ids, by region, of clips of which the sealed copy is the only one, and that wait: neither given up nor signed for."""
        ...

    def consent(self) -> frozenset[Purpose] | None:
        """Purposes that are consented to by this ledger; None where it holds nothing about consent at all."""
        ...

    def trim(self, acknowledged: int) -> int:
        """Remove old segments beyond the bounds; how many. ``acknowledged``: records a region has a root over.

        Each removal is recorded first. What is known of clips that are on the vehicle is never removed.
        """
        ...

    def close(self) -> None:
        """Sign the head and release the files. Safe to call twice."""
        ...
