"""The durable account of every firing and every clip.

Durability. When a method that changes something returns, the change survives a power cut. Each call is one
transaction: all of it or nothing.

Threads. Any thread; calls are serialised inside.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.reasons import DropReason


class JournalError(Exception):
    """The journal can't be read or written; the message names the file and the reason."""


class StorageFullError(JournalError):
    """No space (or no inodes) left; what was committed before is intact."""


@dataclass(frozen=True, slots=True)
class CampaignTotals:
    """One campaign's account since the journal began."""

    campaign_id: str
    fired: int
    in_progress: int
    """Firings whose clip is staged, captured or sealed."""
    delivered: int
    """Firings whose clip the region has receipted."""
    dropped: tuple[tuple[DropReason, int], ...]
    """Firings dropped, by reason."""
    delivered_clips: int
    delivered_bytes: int
    """Of the sealed files of ``delivered_clips``; a clip shared by campaigns counts for each of them."""


class Journal(Protocol):
    """See the module."""

    def accept(self, firings: Sequence[JudgedFiring], clips: Sequence[ClipRow]) -> None:
        """Insert new firings; insert new clips (state STAGED) or widen known STAGED ones, by ``clip_id``."""
        ...

    def captured(self, clip_id: str, *, cut: bool) -> None:
        """STAGED to CAPTURED."""
        ...

    def sealed(self, clip_id: str, *, size_bytes: int, sha256: bytes) -> None:
        """CAPTURED to SEALED."""
        ...

    def delivered(self, clip_id: str, *, receipt: bytes) -> None:
        """SEALED to DELIVERED; keeps the signed receipt."""
        ...

    def dropped(self, clip_id: str, reason: DropReason, detail: str) -> None:
        """Any state but DELIVERED and DROPPED to DROPPED."""
        ...

    def clips(self, states: Collection[ClipState]) -> tuple[ClipRow, ...]:
        """Clips in any of ``states``, by priority (highest first), then oldest first."""
        ...

    def clip(self, clip_id: str) -> ClipRow | None:
        """One clip."""
        ...

    def firings_of(self, clip_id: str) -> tuple[JudgedFiring, ...]:
        """The firings that share this clip, oldest first."""
        ...

    def usage(self, campaign_id: str, *, since_wall_ns: int) -> tuple[int, int]:
        """(firings kept, sealed bytes of their clips) of a campaign since a moment."""
        ...

    def totals(self) -> tuple[CampaignTotals, ...]:
        """Every campaign that ever fired, by id."""
        ...

    def get_state(self, key: str) -> bytes | None:
        """A small value kept across restarts (e.g. the newest campaign set)."""
        ...

    def set_state(self, key: str, value: bytes) -> None:
        """Keep a small value."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...
