"""The durable account of every firing and every clip.

Durability. When a method that changes something returns, the change survives a power cut, and so does everything before it; but
for :meth:`Journal.sealed`. Each call is one transaction: all of it or nothing.

Threads. Any thread; calls are serialised inside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from fsd_agent.records.clip import ClipPlace, ClipRow, ClipState, SealedClip
from fsd_agent.records.firing import JudgedFiring, UntoldFiring
from fsd_agent.records.link_rule import EVERYTHING, Admits, LinkRule
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.worth import Worth

MAX_UNTOLD: Final = 4096
"""Two megabytes of messages: a week on hold with a firing every two minutes. The newest say most of the fleet as it is."""


class JournalError(Exception):
    """The journal can't be read or written; the message names the file and the reason."""


class StorageFullError(JournalError):
    """No space (or no inodes) left; what was committed before is intact."""


class StorageFailedError(JournalError):
    """The disk can't be written to now (read-only, or it fails); what was committed before is intact."""


class IllegalMoveError(JournalError):
    """The clip is unknown, or is not in a state that this move starts from; nothing was changed.

    The table is ``rules/spool/lifecycle.py``.
    """


@dataclass(frozen=True, slots=True)
class CampaignTotals:
    """One campaign's account since the journal began. Two regions may have a campaign of one id each."""

    region_id: str
    """Empty for firings of a file of before that nobody can tell the region of."""
    campaign_id: str
    fired: int
    in_progress: int
    """Firings whose clip is staged, captured or sealed."""
    staged: int
    """Of these: its window is open."""
    captured: int
    """Of these: waiting for redaction and sealing."""
    delivered: int
    """Firings whose clip the region has receipted."""
    dropped: tuple[tuple[DropReason, int], ...]
    """Firings dropped, by reason."""
    delivered_clips: int
    delivered_bytes: int
    """Of the sealed files of ``delivered_clips``; a clip shared by campaigns counts for each of them."""

    @property
    def sealed(self) -> int:
        """Of those in progress: waiting for delivery."""
        return self.in_progress - self.staged - self.captured


@dataclass(frozen=True, slots=True)
class Level:
    """Clips of one region in one state that are on board."""

    region_id: str
    state: ClipState
    clips: int
    size_bytes: int
    """Of their sealed files; what is not sealed yet has none."""
    oldest_wall_ns: int
    """When the first of their windows began, by the clock of its time."""


class StateStore(Protocol):
    """Small values that are kept across restarts: what a journal gives to those who need no more of it."""

    def get_state(self, key: str) -> bytes | None:
        """A value (e.g. the newest campaign set). Raises :class:`JournalError`."""
        ...

    def set_state(self, key: str, value: bytes) -> None:
        """Keep a value. Raises :class:`JournalError`."""
        ...


class Journal(StateStore, Protocol):
    """See the module."""

    def accept(self, firings: Sequence[JudgedFiring], clips: Sequence[ClipRow]) -> None:
        """Insert new firings; insert new clips (state STAGED) or widen known STAGED ones, by ``clip_id``.

        Widening: ``rules.spool.lifecycle.widen``. Raises :class:`IllegalMoveError` when a firing's clip is not
        STAGED, :class:`JournalError` for a firing id that is known or a clip that would change its region or purpose.

        A firing that has a ``telling`` is untold from then on. There are at most :data:`MAX_UNTOLD`: beyond, the oldest
        take no place any more, and are counted.
        """
        ...

    def captured(self, clip_id: str, *, cut: bool) -> None:
        """STAGED to CAPTURED."""
        ...

    def valued(self, worths: Mapping[str, Worth]) -> None:
        """These CAPTURED clips, by id, are worth so much; those that are in another state by now are passed over."""
        ...

    def sealed(self, sealed: SealedClip) -> None:
        """CAPTURED to SEALED. Raises :class:`JournalError` where the file is for another region than the clip.

        A power cut takes it back, until another change has returned: the ledger has it, and a start makes up for it.
        """
        ...

    def delivered(self, clip_id: str, *, receipt: bytes) -> None:
        """SEALED to DELIVERED; keeps the signed receipt."""
        ...

    def dropped(self, clip_id: str, reason: DropReason, detail: str) -> None:
        """Any state but DELIVERED and DROPPED to DROPPED."""
        ...

    def clips(
        self, states: Collection[ClipState], *, limit: int | None = None, admits: Admits = EVERYTHING
    ) -> tuple[ClipRow, ...]:
        """Clips in any of ``states``: urgent ones first, then by priority and value (highest first), then oldest (accepted) first.

        At most ``limit`` of them, of those whose link rule ``admits``; a loop that needs only the next few says so.
        """
        ...

    def waiting(self, region_id: str) -> Mapping[LinkRule, int]:
        """How many SEALED clips of a region there are, by link rule; deadlines are left out of the rules."""
        ...

    def least(self, limit: int, *, region_ids: Collection[str] = ()) -> tuple[ClipRow, ...]:
        """At most ``limit`` CAPTURED and SEALED clips: by priority (lowest first), then urgent ones last, then by value.

        Of those the lowest first, what is not valued yet last, and the oldest of what is equal first. Of these regions, where
        any are named.
        """
        ...

    def unvalued(self, limit: int, *, purposes: Collection[Purpose]) -> tuple[ClipRow, ...]:
        """At most ``limit`` CAPTURED clips of these purposes that are not valued yet, oldest first."""
        ...

    def following(self, state: ClipState, clip_id: str, *, limit: int) -> tuple[ClipRow, ...]:
        """At most ``limit`` clips in ``state`` whose ids come after ``clip_id``, by id."""
        ...

    def each(self, states: Collection[ClipState]) -> Iterator[ClipPlace]:
        """Every clip in ``states``, state by state in the order of a clip's life, then as :meth:`clips` gives them.

        For whoever goes over thousands: few are in memory at a time. A clip that moves on meanwhile is met in its old
        state, in its new one, or in both.
        """
        ...

    def sealed_ids(self) -> Mapping[Compartment, bytes]:
        """Ids of all SEALED clips, packed as ``records.clip_ids`` has it, by compartment."""
        ...

    def clip(self, clip_id: str) -> ClipRow | None:
        """One clip."""
        ...

    def levels(self) -> tuple[Level, ...]:
        """What is staged, captured or sealed, by region and then state; it may be asked for often, however many there are."""
        ...

    def firings_of(self, clip_id: str) -> tuple[JudgedFiring, ...]:
        """The firings that share this clip, oldest first."""
        ...

    def usage(self, region_id: str, campaign_id: str, *, since_wall_ns: int) -> tuple[int, int]:
        """(firings kept, sealed bytes of their clips) of a region's campaign since a moment.

        A firing counts as kept when selection gave it a clip, whatever became of the clip later; a clip that
        several of the firings share is weighed once. Another region's campaign of the same id has a budget of its own.
        """
        ...

    def totals(self) -> tuple[CampaignTotals, ...]:
        """Every campaign that ever fired, by region and id."""
        ...

    def untold(self, region_id: str, *, limit: int) -> tuple[UntoldFiring, ...]:
        """At most ``limit`` firings that this region is still to be told of, oldest (accepted) first."""
        ...

    def told(self, firing_ids: Collection[str]) -> None:
        """Their regions have them. Those that are not untold, or not known, are passed over."""
        ...

    def untell(self, *, purposes: Collection[Purpose] = (), region_ids: Collection[str] = ()) -> None:
        """Nobody is to be told any more of firings of these purposes, nor of those of these regions."""
        ...

    def never_told(self, region_id: str) -> int:
        """How many firings a region was not told of because newer ones took their places, since the journal began."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...
