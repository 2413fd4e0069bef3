"""The public convention for files over MQTT (EMQX's "file transfer"), as far as a clip needs it. QoS 1 throughout.

From the vehicle; the file's id is the clip's::

    $file-async/<clip id>/init                    JSON: FileInit
    $file-async/<clip id>/<offset>/<sha256>       raw bytes, and the SHA-256 of them
    $file-async/<clip id>/fin/<size>/<sha256>     nothing; size and SHA-256 of the whole

To the vehicle, whose client id is its name::

    $file-response/<client id>                    JSON: FileResult, what became of a command

The convention has the hashes as options; here they are always there. It knows a transfer by client id and file id, and a
broker that only relays these topics tells nobody the client id: so the init names vehicle and region, and the first 16 bytes
of each segment's SHA-256. Whoever else writes under this file's id has other bytes, or is another transfer.
It says what the file is known by (:mod:`.pieces`), too, which receipt and refusal name; the convention's hash is that of the whole.
What the init claims proves nothing. The clip's own manifest, signed by the device, does.

Nothing here ends a clip: a result may be lost, forged or early. Receipts and refusals come as :mod:`.transfer` has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from fsd_agent.wire.pieces import HASH_BYTES
from fsd_agent.wire.transfer import (
    SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN,
    ClipSize,
    TransferError,
    UpKind,
    is_clip_id,
    parse_offset,
    parse_sha256,
)

ROOT: Final = "$file-async"
RESPONSES: Final = "$file-response"
SUBSCRIPTION: Final = f"{ROOT}/#"
"""What a region's receiver listens to."""
PREFIX_BYTES: Final = 16
"""Of each segment's hash in the init: as hard to meet as the whole of it is to collide."""
SEGMENTS_MAX: Final = 16_384
"""In one file: 1 GiB in segments of 64 KiB; the init stays below 512 KiB."""
INIT_BYTES_MAX: Final = 512 * 1024
RESULT_BYTES_MAX: Final = 16 * 1024


class FileClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Our part of the init."""

    fsd: Literal[1, 2]
    region: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    vehicle: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]
    segment_bytes: Annotated[int, msgspec.Meta(ge=SEGMENT_BYTES_MIN, le=SEGMENT_BYTES_MAX)]
    segments: bytes
    """The first 16 bytes of each segment's SHA-256, in order; base64 in JSON."""
    identity: Annotated[bytes, msgspec.Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)] | None = None
    """What the file is known by; in version 1, which does not have it, that is the SHA-256 of the whole."""


class FileInit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Here is a file."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=240)]
    size: ClipSize
    checksum: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    """SHA-256 of the whole, hex."""
    user_data: FileClaim

    @property
    def sha256(self) -> bytes:
        """Of the whole."""
        return bytes.fromhex(self.checksum)

    @property
    def identity(self) -> bytes:
        """What receipt and refusal name."""
        return self.user_data.identity or self.sha256


class FileResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command. Fields that we have no use for are not looked at: they are another's to change."""

    topic: str
    reason_code: int
    """0 where it went well."""
    reason_description: str = ""
    vsn: str = "0.1"


@dataclass(frozen=True, slots=True)
class FileCommand:
    """A parsed topic."""

    clip_id: str
    kind: UpKind
    offset: int = 0
    """Of a segment."""
    size: int = 0
    """Of the whole, in a fin."""
    sha256: bytes = b""
    """Of a segment's bytes, or of the whole in a fin."""


def init_topic(clip_id: str) -> str:
    """Topic of a :class:`FileInit`."""
    return f"{ROOT}/{clip_id}/init"


def segment_topic(clip_id: str, offset: int, sha256: bytes) -> str:
    """Topic of the raw bytes from ``offset`` on, whose hash is ``sha256``."""
    return f"{ROOT}/{clip_id}/{offset}/{sha256.hex()}"


def fin_topic(clip_id: str, size: int, sha256: bytes) -> str:
    """Topic of the end of a file."""
    return f"{ROOT}/{clip_id}/fin/{size}/{sha256.hex()}"


def response_topic(vehicle: str) -> str:
    """Where a vehicle hears results."""
    return f"{RESPONSES}/{vehicle}"


def parse_file(topic: str) -> FileCommand:
    """What ``topic`` names; the clip id is safe as a file name. Raises :class:`TransferError`."""
    root, _, rest = topic.partition("/")
    parts = rest.split("/")
    if root != ROOT or not is_clip_id(parts[0]):
        raise TransferError(f"topic {topic!r}: not of a clip's file")
    clip_id, *command = parts
    match command:
        case ["init"]:
            return FileCommand(clip_id, UpKind.INIT)
        case ["fin", size, sha256]:
            return FileCommand(
                clip_id, UpKind.FIN, size=parse_offset(topic, size), sha256=parse_sha256(topic, sha256)
            )
        case [offset, sha256]:
            start = parse_offset(topic, offset)
            return FileCommand(clip_id, UpKind.SEGMENT, offset=start, sha256=parse_sha256(topic, sha256))
        case _:
            raise TransferError(f"topic {topic!r}: neither init, nor a segment or a fin with its SHA-256")


def encode_init(init: FileInit) -> bytes:
    """JSON of it."""
    return msgspec.json.encode(init)


def decode_init(payload: bytes) -> FileInit:
    """The checked message. Raises :class:`TransferError` naming the field and the reason."""
    if len(payload) > INIT_BYTES_MAX:
        raise TransferError(f"FileInit: {len(payload)} bytes, at most {INIT_BYTES_MAX}")
    try:
        init = msgspec.json.decode(payload, type=FileInit, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TransferError(f"FileInit: {error}") from error
    claim = init.user_data
    expected = -(-init.size // claim.segment_bytes) * PREFIX_BYTES
    if len(claim.segments) != expected:
        raise TransferError(
            f"FileInit: user_data.segments has {len(claim.segments)} bytes, expected {expected}"
        )
    if (claim.identity is None) != (claim.fsd == 1):
        raise TransferError(
            f"FileInit: user_data.identity is for fsd 2 and needed there, this is {claim.fsd}"
        )
    return init


def encode_result(result: FileResult) -> bytes:
    """JSON of it."""
    return msgspec.json.encode(result)


def decode_result(payload: bytes) -> tuple[FileCommand, FileResult]:
    """The command and what became of it. Raises :class:`TransferError`."""
    if len(payload) > RESULT_BYTES_MAX:
        raise TransferError(f"FileResult: {len(payload)} bytes, at most {RESULT_BYTES_MAX}")
    try:
        result = msgspec.json.decode(payload, type=FileResult, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TransferError(f"FileResult: {error}") from error
    return parse_file(result.topic), result
