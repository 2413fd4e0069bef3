"""A clip on its way: one type a stage, so that a skipped stage is a type error.

Clip --redact--> RedactedClip --encode, look at the file--> ClipFile --seal--> SealedClip --deliver--> Receipt
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, NewType

from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.link_rule import SAYS_NOTHING, LinkRule
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.records.worth import NOT_VALUED, Worth
from fsd_firmware.catalogue import CatalogueEntry
from fsd_firmware.samples import Detections, EncodedPacket, GnssFixes, ModeChange, Signals


class ClipState(StrEnum):
    """Where a clip is on its way; the journal stores it. Transitions: ``rules/spool/lifecycle.py``."""

    STAGED = "staged"
    """Its window is still open; samples are being appended to staging."""
    CAPTURED = "captured"
    """Its window is closed; waiting for redaction and sealing."""
    SEALED = "sealed"
    """Encrypted to its region and durable in the spool; waiting for delivery."""
    DELIVERED = "delivered"
    """The region's signed receipt was verified; the file is erased."""
    DROPPED = "dropped"
    """Given up with a reason; nothing of it is left on the vehicle."""


@dataclass(frozen=True, slots=True)
class ClipRow:
    """What the journal knows of a clip."""

    clip_id: str
    """32 lower-case hex digits, unique for ever."""
    region_id: str
    """Fixed at the first firing, for good."""
    purpose: Purpose
    """Of its campaigns; fixed like the region."""
    state: ClipState
    start_ns: int
    end_ns: int
    wall_minus_mono_ns: int
    cameras: tuple[str, ...]
    signals: tuple[str, ...]
    """VSS paths that may leave the vehicle with this clip; nothing else does."""
    priority: int
    """Highest of its campaigns; larger goes first."""
    cut: bool = False
    """The vehicle lost power or the source ended before the window closed."""
    size_bytes: int = 0
    """Of the sealed file."""
    sha256: bytes = b""
    """What the sealed file is known by (``wire.pieces``), and a receipt must name."""
    drop: DropReason | None = None
    drop_detail: str = ""
    link: LinkRule = SAYS_NOTHING
    """The widest of its campaigns'."""
    worth: Worth = NOT_VALUED
    """Among clips of its priority."""

    @property
    def compartment(self) -> Compartment:
        """Where everything of it lies on disk, and under which key."""
        return Compartment(self.region_id, self.purpose)


class ClipPlace(NamedTuple):
    """Which clip, where, and how far: all that whoever goes over thousands of them needs of each."""

    clip_id: str
    region_id: str
    purpose: Purpose
    state: ClipState
    deadline_ns: int | None
    """Of its link rule."""

    @property
    def compartment(self) -> Compartment:
        """As of its row."""
        return Compartment(self.region_id, self.purpose)


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Everything captured for one event, un-redacted. Never leaves the vehicle."""

    row: ClipRow
    firings: tuple[JudgedFiring, ...]
    catalogue: tuple[CatalogueEntry, ...]
    """Entries of the signals in ``signals``; its ``signal`` column indexes this tuple."""
    signals: Signals
    packets: tuple[EncodedPacket, ...]
    """Cut at key frames: each camera's first packet is one, at or before the window's start."""
    detections: tuple[Detections, ...]
    gnss: GnssFixes
    modes: tuple[ModeChange, ...]
    kept_of: tuple[int, int] | None = None
    """Begin and end of the window that was captured, where the clip is no more than a span of it; ``row`` has the span's."""


@dataclass(frozen=True, slots=True, eq=False)
class RedactedClip:
    """A clip whose video, location and signals satisfy the region's rules.

    Made only by ``pipeline.redact``; sealing takes it, with its file, and nothing else.
    """

    clip: Clip
    redaction: RedactionRecord


ClipFile = NewType("ClipFile", bytes)
"""The MCAP file of a redacted clip, read back and found to hold nothing that is not listed.

Made only by ``wire.clip_allowed``; the only file that sealing takes.
"""


@dataclass(frozen=True, slots=True, eq=False)
class SealedFile:
    """A clip being encrypted to its region, on its way into the spool."""

    size_bytes: int
    """Of all chunks together."""
    content_key: bytes
    """Opens the clip in it. The region gets it wrapped; the vehicle keeps it for the vehicle's owner."""
    chunks: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class SealedClip:
    """A clip encrypted to its region, in the spool. Size and hash (``wire.pieces``) are of the file that the region gets."""

    clip_id: str
    region_id: str
    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """The region's receiver holds the opened clip durably. Verified before it is built."""

    clip_id: str
    region_id: str
    vehicle: str
    sha256: bytes
    stored_wall_ns: int


@dataclass(frozen=True, slots=True)
class ExpiredClip:
    """The region has removed a clip that it had receipted, because its retention was over. Verified before it is built."""

    clip_id: str
    region_id: str
    vehicle: str
    sha256: bytes
    stored_wall_ns: int
    """As the receipt says."""
    expired_wall_ns: int
    retention_days: int
