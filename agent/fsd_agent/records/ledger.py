"""The ledger's records: one for every decision about data. Ids, hashes and reasons, never what a clip shows.

An :class:`Entry` is a fact with its number and both times. Facts about a clip name the region that the clip is bound
to, so that a record can be judged alone. There is no free text: what a fault said stays in the agent's events.

A clip has at most two copies on the vehicle, the staged one and the sealed one. Each comes to its end in an
:class:`Erased`, which names the cause; when both are gone, the vehicle holds nothing of the clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, NamedTuple, get_args

from msgspec import Meta

from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import HoldReason

ClipId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
RegionId = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
KeyId = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
HASH_BYTES = 32
Sha256 = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Name = Annotated[str, Meta(pattern=r"^[\x21-\x7e]{1,200}\Z")]
"""Printable ASCII without a space: ids, host names, rules, model names; too narrow for a sentence."""
Receipt = Annotated[bytes, Meta(min_length=1, max_length=1024)]
Statement = Annotated[bytes, Meta(min_length=1, max_length=512)]


class Copy(StrEnum):
    """Which of a clip's two copies on the vehicle."""

    STAGED = "staged"
    """Not redacted, under the key of its compartment."""
    SEALED = "sealed"
    """Redacted, under the region's key and that of its compartment."""


class Cause(StrEnum):
    """Why a copy is erased."""

    SEALED = "sealed"
    """The staged copy alone: the sealed one has taken its place."""
    RECEIPTED = "receipted"
    DROPPED = "dropped"
    CONSENT = "consent"
    """Its purpose is not consented to any more."""
    REDONE = "redone"
    """The sealed copy alone: it was not taken or is damaged, and is made anew from the staged one."""


@dataclass(frozen=True, slots=True)
class Started:
    """The agent opened its ledger. Monotonic times before and after it can't be compared."""

    agent_version: Name
    device_key_id: KeyId


@dataclass(frozen=True, slots=True)
class KeyRotated:
    """From this record on the device signs with another key; ``statement`` is the word of both keys (``wire.rotation``)."""

    old_key_id: KeyId
    new_key_id: KeyId
    statement: Statement


@dataclass(frozen=True, slots=True)
class Repaired:
    """A power cut had left a torn end, and it was cut back to the last whole record."""

    cut_bytes: Count


@dataclass(frozen=True, slots=True)
class Registered:
    """Where the vehicle belongs from now on."""

    vehicle: Name
    jurisdiction: Name
    serial: Count
    region_id: RegionId
    policy_version: Count


@dataclass(frozen=True, slots=True)
class Held:
    """The vehicle belongs nowhere from now on: nothing is collected or sent."""

    reason: HoldReason


@dataclass(frozen=True, slots=True)
class PolicyRefused:
    """What was laid down as a region's policy was not taken: forged, too old, broken, forbidden."""

    region_id: RegionId
    in_force: Count
    """The version that goes on; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class ConsentChanged:
    """The user gave or withdrew consent, against what was recorded before; at first nothing is consented to."""

    purpose: Purpose
    given: bool


@dataclass(frozen=True, slots=True)
class Fired:
    """A campaign's condition came true, and its data is kept in this clip; several firings may share one."""

    clip_id: ClipId
    region_id: RegionId
    purpose: Purpose
    firing_id: Name
    campaign_id: Name
    campaign_version: Count


@dataclass(frozen=True, slots=True)
class FiringDropped:
    """A campaign's condition came true, and nothing was kept for it."""

    region_id: RegionId
    firing_id: Name
    campaign_id: Name
    campaign_version: Count
    reason: DropReason


@dataclass(frozen=True, slots=True)
class FiringSent:
    """The region is about to be told of a firing, by itself, over this connection; once for every connection."""

    region_id: RegionId
    purpose: Purpose
    firing_id: Name
    campaign_id: Name
    campaign_version: Count
    host: Name
    port: Count
    identity_uri: Name
    """The region's identity in the certificate that the peer proved to hold."""
    certificate_sha256: Sha256
    """Of that certificate, DER."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """What identifies people was removed, by these rules, from what these models and sources saw."""

    clip_id: ClipId
    region_id: RegionId
    rules: tuple[Name, ...]
    sources: tuple[Name, ...]
    """``firmware``, ``nanodet_m_416@1``."""
    frames: Count
    boxes: Count
    location: Name


@dataclass(frozen=True, slots=True)
class Sealed:
    """The redacted clip was encrypted to this key of its region; ``sha256`` is what the sealed file is known by."""

    clip_id: ClipId
    region_id: RegionId
    vehicle: Name
    registration_serial: Count
    policy_version: Count
    sealing_key_id: KeyId
    sha256: Sha256
    size_bytes: Count


@dataclass(frozen=True, slots=True)
class Sent:
    """Its first byte is about to be given to this connection; once for every connection that it is sent over."""

    clip_id: ClipId
    region_id: RegionId
    host: Name
    port: Count
    identity_uri: Name
    """The region's identity in the certificate that the peer proved to hold."""
    certificate_sha256: Sha256
    """Of that certificate, DER."""


@dataclass(frozen=True, slots=True)
class Receipted:
    """The region signed for the clip; ``receipt`` is its word whole, so that the ledger alone proves it."""

    clip_id: ClipId
    region_id: RegionId
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Dropped:
    """The clip was given up."""

    clip_id: ClipId
    region_id: RegionId
    reason: DropReason


@dataclass(frozen=True, slots=True)
class Erased:
    """One copy is about to be erased."""

    clip_id: ClipId
    region_id: RegionId
    copy: Copy
    cause: Cause


@dataclass(frozen=True, slots=True)
class SegmentRemoved:
    """Records ``first`` to ``size - 1`` are about to be removed, to bound the ledger's size."""

    first: Count
    size: Count
    root: Sha256
    """Of the tree over all records up to ``size``: what was removed can still be told from something else."""
    acknowledged: bool
    """Whether the region had confirmed a root that covers them; if not, the ledger had no room left."""


ClipFact = Fired | Redacted | Sealed | Sent | Receipted | Dropped | Erased
Fact = (
    Started
    | KeyRotated
    | Repaired
    | Registered
    | Held
    | PolicyRefused
    | ConsentChanged
    | FiringDropped
    | FiringSent
    | SegmentRemoved
    | ClipFact
)

LAZY: frozenset[type[Fact]] = frozenset({Started, PolicyRefused, FiringDropped, Redacted})
"""Facts that need not survive a power cut by themselves: nothing has left or ended because of them, and whatever
does so later (sealing, sending, erasing) is recorded durably after them. Every other fact is durable before the act
that it describes."""

FREEING: frozenset[type[Fact]] = frozenset(get_args(Fact)) - {Fired, FiringSent, Redacted, Sealed}
"""Facts that give room on the disk, or that come before one that does: a clip can't be receipted and erased where the
start, the registration and the sending can't be recorded. Room is kept for them. The others bring new data, or can wait."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record."""

    number: int
    """From 0, without gaps, for the ledger's whole life."""
    wall_ns: int
    mono_ns: int
    fact: Fact


@dataclass(frozen=True, slots=True)
class Head:
    """All records up to ``size``, in two hashes."""

    size: Count
    root: Sha256
    """RFC 6962 tree hash over the records."""
    chain: Sha256
    """Hash of the last record with the one before it, and so on."""
    wall_ns: int
    device_key_id: KeyId


class LiveClip(NamedTuple):
    """What the ledger says of a clip of which the vehicle holds a copy; a tuple, because there may be thousands."""

    clip_id: ClipId
    region_id: RegionId
    purpose: Purpose | None
    """None for a clip that no firing began, which no vehicle records."""
    since: Count
    """Number of the clip's first record."""
    staged: bool = True
    sealed: bool = False
    """Whether there is a sealed copy."""
    redacted: bool = False
    sent: bool = False
    receipted: bool = False
    dropped: str = ""
    """Why it was given up; empty while it was not."""
    vehicle: str = ""
    """Of the sealed file, like the next; empty before sealing."""
    sha256: Annotated[bytes, Meta(max_length=HASH_BYTES)] = b""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head from which verification can go on when the records before it are gone; it begins every segment."""

    head: Head
    peaks: tuple[Sha256, ...]
    """Roots of the complete subtrees of the first ``head.size`` records, largest first."""
    counts: tuple[tuple[Name, str, Count], ...]
    """(kind, region id or empty, records so far), sorted."""
    since_wall_ns: int
    """Of the ledger's first record; 0 while there is none."""
    until_wall_ns: int
    consent: tuple[Purpose, ...] | None
    """Purposes that are consented to, sorted; None where nothing was ever recorded about consent."""
    live: tuple[LiveClip, ...]
    """Clips that are on the vehicle, the oldest first: their account goes on from here."""
