"""How a sealed clip travels over MQTT: topics, messages, limits. Version 1, QoS 1 throughout.

Vehicle to region, below ``fsd/1/<region>/vehicles/<vehicle>/up/``::

    init/<clip id>            Init: size and hash of the whole; asks "what do you have?"
    seg/<clip id>/<offset>/<sha256>
                              raw bytes; offset is decimal and a multiple of the segment size; SHA-256 of these bytes
    fin/<clip id>             Fin: everything was sent; asks for the receipt

    firing/<firing id>        sealed to the region (:mod:`fsd_agent.wire.firing`): a campaign's condition came true

Region to vehicle, below ``.../down/``::

    have/<clip id>            Have: which bytes are missing; the answer to an init, and to a fin that came too early
    receipt/<clip id>         signed envelope, context ``receipt``: stored durably, the vehicle may erase the clip
    refuse/<clip id>          signed envelope, context ``refuse``: this clip will never be taken, and why

    head                      signed envelope, context ``ledger-head``: the ledger's head in the status is kept
    firing                    signed envelope, context ``firing``: what was told of a firing is kept

Beside them: ``.../status`` (retained, from the vehicle) and ``fsd/1/<region>/campaigns`` (retained, to all).

Every question carries an ``ask`` number that its answer repeats, so that an answer which was delayed,
duplicated or replayed from an earlier session can't be mistaken for the one that is awaited. The receiver keeps
what it has by (vehicle, clip id, hash): a transfer resumes after a restart of either side.

What the whole is known by (:mod:`.pieces`) decides what a clip is. The hash of a segment is for the price of a fault: bytes that were
changed between the two spools are known before they are written, and cost one segment, not the transfer. Segments of 64 KiB are the
pieces of the one, so the vehicle has their hashes already.

Messages are msgpack maps, checked on the way in for size, version, unknown fields, types and bounds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeVar

import msgspec

VERSION: Final = 1
ROOT = f"fsd/{VERSION}"

SEGMENT_BYTES = 64 * 1024
"""What we send: half of the smallest message limit of a public broker (128 KiB)."""
SEGMENT_BYTES_MIN = 1024
SEGMENT_BYTES_MAX = 256 * 1024
"""What a receiver takes: bounds its memory for one message."""
CLIP_BYTES_MAX = 512 * 1024 * 1024
"""A clip of a minute from eight cameras stays below; bounds a receiver's disk for one transfer."""
RANGES_MAX = 256
"""Ranges in one Have. Where more are missing, the rest is in the answer to the next Fin."""
MESSAGE_BYTES_MAX = 16 * 1024
"""Of an Init, Fin or Have: 256 ranges take under 5 KiB."""

_FIRING = "firing"
_REGION = re.compile(r"[a-z0-9-]{1,32}\Z")
_VEHICLE = re.compile(r"[a-z0-9-]{1,64}\Z")
_CLIP_ID = re.compile(r"[0-9a-f]{32}\Z")
_OFFSET = re.compile(r"(?:0|[1-9][0-9]{0,11})\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


class TransferError(ValueError):
    """Bytes or a topic that are not of this format; the message says which field and why."""


class UpKind(StrEnum):
    """What a vehicle sends."""

    INIT = "init"
    SEGMENT = "seg"
    FIN = "fin"


class DownKind(StrEnum):
    """What a region answers."""

    HAVE = "have"
    RECEIPT = "receipt"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class UpAddress:
    """A parsed topic from a vehicle."""

    vehicle: str
    kind: UpKind
    clip_id: str
    offset: int
    """Of a segment; 0 for the others."""
    sha256: bytes = b""
    """Of a segment's bytes; nothing for the others."""


@dataclass(frozen=True, slots=True)
class DownAddress:
    """A parsed topic to this vehicle."""

    kind: DownKind
    clip_id: str


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic of one vehicle in one region. Raises :class:`TransferError` on ids that can't be in a topic."""

    region: str
    vehicle: str

    def __post_init__(self) -> None:
        if not _REGION.match(self.region):
            raise TransferError(f"region id {self.region!r}: expected 1 to 32 of [a-z0-9-]")
        if not _VEHICLE.match(self.vehicle):
            raise TransferError(f"vehicle {self.vehicle!r}: expected 1 to 64 of [a-z0-9-]")

    @property
    def base(self) -> str:
        """What every topic of this vehicle begins with."""
        return f"{ROOT}/{self.region}/vehicles/{self.vehicle}/"

    @property
    def status(self) -> str:
        """Retained status from the vehicle."""
        return f"{self.base}status"

    @property
    def campaigns(self) -> str:
        """Retained campaign set to every vehicle of the region."""
        return campaigns_topic(self.region)

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """What the vehicle listens to."""
        return (f"{self.base}down/#", self.campaigns)

    @property
    def head_ack(self) -> str:
        """The region's acknowledgement of a ledger's head (:mod:`fsd_agent.wire.head_ack`)."""
        return f"{self.base}down/head"

    def firing(self, firing_id: str) -> str:
        """Topic of what the region is told of one firing (:mod:`fsd_agent.wire.firing`)."""
        return f"{self.base}up/{_FIRING}/{firing_id}"

    @property
    def firing_ack(self) -> str:
        """The region's acknowledgement of a firing (:mod:`fsd_agent.wire.firing_ack`)."""
        return f"{self.base}down/{_FIRING}"

    def init(self, clip_id: str) -> str:
        """Topic of an :class:`Init`."""
        return f"{self.base}up/{UpKind.INIT}/{clip_id}"

    def segment(self, clip_id: str, offset: int, sha256: bytes) -> str:
        """Topic of the raw bytes from ``offset`` on, whose hash is ``sha256``."""
        return f"{self.base}up/{UpKind.SEGMENT}/{clip_id}/{offset}/{sha256.hex()}"

    def fin(self, clip_id: str) -> str:
        """Topic of a :class:`Fin`."""
        return f"{self.base}up/{UpKind.FIN}/{clip_id}"

    def down(self, kind: DownKind, clip_id: str) -> str:
        """Topic of an answer."""
        return f"{self.base}down/{kind}/{clip_id}"

    def parse_down(self, topic: str) -> DownAddress | None:
        """The answer that ``topic`` names, or None when it is none of this vehicle's."""
        prefix = f"{self.base}down/"
        parts = topic[len(prefix) :].split("/") if topic.startswith(prefix) else []
        if len(parts) != 2 or not _CLIP_ID.match(parts[1]):
            return None
        try:
            return DownAddress(DownKind(parts[0]), parts[1])
        except ValueError:
            return None


def campaigns_topic(region: str) -> str:
    """Retained campaign set to every vehicle of ``region``."""
    return f"{ROOT}/{region}/campaigns"


def receiver_subscription(region: str) -> str:
    """What a region's receiver listens to."""
    return f"{ROOT}/{region}/vehicles/+/up/#"


def status_subscription(region: str) -> str:
    """Status of every vehicle, for operators."""
    return f"{ROOT}/{region}/vehicles/+/status"


def parse_status(region: str, topic: str) -> str | None:
    """The vehicle whose status topic this is, safe as a file name; None for every other topic."""
    prefix = f"{ROOT}/{region}/vehicles/"
    parts = topic[len(prefix) :].split("/") if topic.startswith(prefix) else []
    return parts[0] if len(parts) == 2 and parts[1] == "status" and _VEHICLE.match(parts[0]) else None


def parse_firing(region: str, topic: str) -> tuple[str, str] | None:
    """(vehicle, firing id) of what is told of a firing, both safe as file names; None for every other topic."""
    prefix = f"{ROOT}/{region}/vehicles/"
    parts = topic[len(prefix) :].split("/") if topic.startswith(prefix) else []
    if len(parts) != 4 or parts[1:3] != ["up", _FIRING]:
        return None
    vehicle, firing_id = parts[0], parts[3]
    return (vehicle, firing_id) if _VEHICLE.match(vehicle) and _CLIP_ID.match(firing_id) else None


def parse_up(region: str, topic: str) -> UpAddress:
    """The vehicle, clip and kind that ``topic`` names; every part is safe as a file name.

    Raises :class:`TransferError`.
    """
    prefix = f"{ROOT}/{region}/vehicles/"
    parts = topic[len(prefix) :].split("/") if topic.startswith(prefix) else []
    if len(parts) < 4 or parts[1] != "up" or not _VEHICLE.match(parts[0]):
        raise TransferError(f"topic {topic!r}: not from a vehicle of region {region}")
    vehicle, _, said, clip_id, *rest = parts
    if not _CLIP_ID.match(clip_id):
        raise TransferError(f"topic {topic!r}: clip id is not 32 lower-case hex digits")
    try:
        kind = UpKind(said)
    except ValueError as error:
        raise TransferError(f"topic {topic!r}: unknown kind {said!r}") from error
    if len(rest) != (2 if kind is UpKind.SEGMENT else 0):
        raise TransferError(f"topic {topic!r}: a segment, and only a segment, has an offset and a SHA-256")
    if kind is not UpKind.SEGMENT:
        return UpAddress(vehicle, kind, clip_id, 0)
    return UpAddress(vehicle, kind, clip_id, parse_offset(topic, rest[0]), parse_sha256(topic, rest[1]))


def is_clip_id(text: str) -> bool:
    """Whether it is 32 lower-case hex digits."""
    return _CLIP_ID.match(text) is not None


def parse_offset(topic: str, text: str) -> int:
    """A plain decimal number in a topic, at most 12 digits. Raises :class:`TransferError`."""
    if not _OFFSET.match(text):
        raise TransferError(f"topic {topic!r}: {text[:20]!r} is not a plain decimal number")
    return int(text)


def parse_sha256(topic: str, text: str) -> bytes:
    """A hash in a topic. Raises :class:`TransferError`."""
    if not _SHA256.match(text):
        raise TransferError(f"topic {topic!r}: SHA-256 is not 64 lower-case hex digits")
    return bytes.fromhex(text)


Ask = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
ClipSize = Annotated[int, msgspec.Meta(ge=1, le=2**48)]
"""Above :data:`CLIP_BYTES_MAX` a size can still be said, so that it can be refused by name."""
Sha256 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**48)]


class Init(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Here is a clip; asks what of it the region has."""

    v: Literal[1]
    ask: Ask
    size: ClipSize
    sha256: Sha256
    segment_bytes: Annotated[int, msgspec.Meta(ge=SEGMENT_BYTES_MIN, le=SEGMENT_BYTES_MAX)]


class Fin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every segment was sent. It repeats the Init, for a receiver that has lost it."""

    v: Literal[1]
    ask: Ask
    size: ClipSize
    sha256: Sha256
    segment_bytes: Annotated[int, msgspec.Meta(ge=SEGMENT_BYTES_MIN, le=SEGMENT_BYTES_MAX)]


class Have(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is still missing, in bytes, as ``[start, end)``, increasing; nothing in it means all is there."""

    v: Literal[1]
    ask: Ask
    sha256: Sha256
    missing: Annotated[tuple[tuple[Offset, Offset], ...], msgspec.Meta(max_length=RANGES_MAX)]


_M = TypeVar("_M", Init, Fin, Have)


def encode(message: Init | Fin | Have) -> bytes:
    """Bytes of a message."""
    return msgspec.msgpack.encode(message)


def decode(kind: type[_M], payload: bytes) -> _M:
    """The checked message. Raises :class:`TransferError` naming the field and the reason."""
    if len(payload) > MESSAGE_BYTES_MAX:
        raise TransferError(f"{kind.__name__}: {len(payload)} bytes, at most {MESSAGE_BYTES_MAX}")
    try:
        message = msgspec.msgpack.decode(payload, type=kind, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TransferError(f"{kind.__name__}: {error}") from error
    if isinstance(message, Have):
        _check_ranges(message.missing)
    return message


def _check_ranges(missing: tuple[tuple[int, int], ...]) -> None:
    """Refuse ranges that are empty, out of order or overlapping."""
    last = -1
    for start, end in missing:
        if start <= last or end <= start:
            raise TransferError(f"Have: range [{start}, {end}) is empty, out of order or overlapping")
        last = end
