r"""Sealed file: a redacted clip, encrypted to one region and signed by the device.

Format, version 1::

    magic  "FSDSEAL1"
    u32    length of the manifest, big-endian, at most 16 KiB
    bytes  manifest: msgpack map, the fields of SealedManifest
    bytes  Ed25519 signature by the device key over "fsd-sealed-1 manifest\0" and everything above, 64 bytes
    ...    chunks: AES-256-GCM over 64 KiB of the clip each (the last one has what is left), each 16 bytes longer

Suite ``x25519-hkdf_sha256-aes256gcm``: a fresh 256-bit key per file, wrapped by HPKE (RFC 9180, base mode) to the
region's X25519 key. HPKE's ``info`` is ``"fsd-sealed-1 hpke\0"`` and the length-prefixed suite, region id, key id and
clip id, so that a key wrapped for one clip and region can't be unwrapped as another's. A chunk's nonce is seven zero
bytes, the chunk's number (u32, big-endian) and 1 for the last chunk, else 0; its associated data is the SHA-256 of
everything before the signature. Thus chunks can't be swapped, dropped, repeated or moved between files (STREAM:
Hoang, Reyhanitabar, Rogaway, Vizár 2015), and the last one says that it is the last.

Only a RedactedClip can be sealed, and only to the region that its clip was bound to when it first fired.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, BinaryIO, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fsd_agent.records.clip import ClipFile, RedactedClip, SealedFile
from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.records.region import Route
from fsd_agent.wire.envelope import key_id_of

MAGIC = b"FSDSEAL1"
SUITE: Final = "x25519-hkdf_sha256-aes256gcm"
CHUNK_BYTES = 64 * 1024
"""Of plaintext: bounds memory on both sides; 16 bytes of tag cost 0.02 %."""
TAG_BYTES = 16
SIGNATURE_BYTES = 64
MAX_MANIFEST_BYTES = 16 * 1024
HEADER_BYTES_MAX: Final = len(MAGIC) + 4 + MAX_MANIFEST_BYTES + SIGNATURE_BYTES
"""Everything before the chunks, the wrapped key among it, is within so many bytes."""

HPKE_SUITE: Final = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
"""What is sealed to a region is sealed with it."""
_LENGTH = struct.Struct(">I")
_NONCE = struct.Struct(">7xIB")
_SIGNED_DOMAIN = b"fsd-sealed-1 manifest\0"
_HPKE_DOMAIN = b"fsd-sealed-1 hpke\0"


class SealError(Exception):
    """This clip can't be sealed to this route; the message says why."""


class SealedError(Exception):
    """A sealed file is refused. Nothing of it may be kept, also not what was read before the error."""


class SealedFormatError(SealedError):
    """Not a sealed file, or of a version or suite that this software doesn't know."""


class NotForThisRegionError(SealedError):
    """Sealed to another region or to another key."""


class SealedSignatureError(SealedError):
    """The manifest is not signed by the device that it names."""


class SealedMismatchError(SealedError):
    """Genuine, but another clip's or vehicle's file than the one that was expected."""


class SealedTruncatedError(SealedError):
    """The file ends early."""


class SealedDamagedError(SealedError):
    """A chunk is not what the device wrote: changed, moved, or followed by something."""


class SealedManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What anyone who holds the file can read of it: no time, place or picture, but what was removed and how often.

    The record of redaction grows: fields that a reader does not know are passed over, those that a file lacks have defaults.
    """

    v: Literal[1]
    suite: Literal["x25519-hkdf_sha256-aes256gcm"]
    clip_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    region_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    vehicle: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]
    jurisdiction: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]
    registration_serial: Annotated[int, msgspec.Meta(ge=1)]
    policy_version: Annotated[int, msgspec.Meta(ge=1)]
    device_key_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
    sealing_key_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
    wrapped_key: Annotated[bytes, msgspec.Meta(min_length=80, max_length=80)]
    redaction: RedactionRecord


def seal_clip(
    redacted: RedactedClip,
    clip_file: ClipFile,
    *,
    route: Route,
    sign: Callable[[bytes], bytes],
    device_key_id: str,
) -> SealedFile:
    """The sealed file of a redacted clip in parts of at most 64 KiB and a tag, the header first.

    ``clip_file`` is its encoding (``wire.clip``), looked at by ``wire.clip_allowed``; ``sign`` gives the device's Ed25519 signature. Raises :class:`SealError` at once when the clip is bound to another region than the route's.
    """
    policy, registration, row = route.policy, route.registration, redacted.clip.row
    if row.region_id != policy.region_id:
        raise SealError(f"clip {row.clip_id} belongs to region {row.region_id!r}, not {policy.region_id!r}")
    key = AESGCM.generate_key(256)
    info = _info(policy.region_id, policy.sealing_key_id, row.clip_id)
    recipient = X25519PublicKey.from_public_bytes(policy.sealing_public_key)
    manifest = SealedManifest(
        v=1,
        suite=SUITE,
        clip_id=row.clip_id,
        region_id=policy.region_id,
        vehicle=registration.vehicle,
        jurisdiction=registration.jurisdiction,
        registration_serial=registration.serial,
        policy_version=policy.version,
        device_key_id=device_key_id,
        sealing_key_id=policy.sealing_key_id,
        wrapped_key=HPKE_SUITE.encrypt(key, recipient, info),
        redaction=replace(redacted.redaction, utc_offset_h=None),  # It is a place; the clip inside says it
    )
    body = msgspec.msgpack.encode(manifest)
    if len(body) > MAX_MANIFEST_BYTES:
        raise SealError(
            f"the manifest of clip {row.clip_id} has {len(body)} bytes, at most {MAX_MANIFEST_BYTES}"
        )
    header = MAGIC + _LENGTH.pack(len(body)) + body
    signed = header + sign(_SIGNED_DOMAIN + header)
    chunks = max(1, -(-len(clip_file) // CHUNK_BYTES))
    size_bytes = len(signed) + len(clip_file) + chunks * TAG_BYTES
    return SealedFile(size_bytes, key, _file(signed, AESGCM(key), hashlib.sha256(header).digest(), clip_file))


def read_manifest(stream: BinaryIO) -> SealedManifest:
    """The manifest at the start of a file, **not verified**: for diagnosis and routing of refusals.

    Raises :class:`SealedFormatError` or :class:`SealedTruncatedError`.
    """
    return _read_header(stream)[0]


def open_sealed(
    stream: BinaryIO,
    *,
    region_id: str,
    private_key: bytes,
    device_public_key: Callable[[str], bytes | None],
    vehicle: str | None = None,
    clip_id: str | None = None,
) -> tuple[SealedManifest, Iterator[bytes]]:
    """Verify a file from its start and give its manifest and the clip in parts.

    ``private_key`` is the region's raw X25519 key; ``device_public_key`` gives a vehicle's raw Ed25519 key, or None
    for a vehicle that is not enrolled. ``vehicle`` and ``clip_id`` are what the transfer claimed. Raises a :class:`SealedError`, from the iterator too: parts that were
    read are good only if the iterator comes to its end.
    """
    manifest, header, signature = _read_header(stream)
    own_key = X25519PrivateKey.from_private_bytes(private_key)
    own_id = key_id_of(own_key.public_key().public_bytes_raw())
    if manifest.region_id != region_id:
        raise NotForThisRegionError(f"sealed to region {manifest.region_id!r}, this is {region_id!r}")
    if manifest.sealing_key_id != own_id:
        raise NotForThisRegionError(f"sealed to key {manifest.sealing_key_id}, this is {own_id}")
    _verify_device(manifest, header, signature, device_public_key(manifest.vehicle))
    for field, got, expected in (
        ("vehicle", manifest.vehicle, vehicle),
        ("clip_id", manifest.clip_id, clip_id),
    ):
        if expected is not None and got != expected:
            raise SealedMismatchError(f"{field} is {got!r}, expected {expected!r}")
    info = _info(manifest.region_id, manifest.sealing_key_id, manifest.clip_id)
    try:
        key = HPKE_SUITE.decrypt(manifest.wrapped_key, own_key, info)
        cipher = AESGCM(key)
    except (InvalidTag, ValueError) as error:
        raise NotForThisRegionError(f"the key of clip {manifest.clip_id} does not unwrap here") from error
    return manifest, _plaintext(stream, cipher, hashlib.sha256(header).digest())


def open_with_content_key(stream: BinaryIO, content_key: bytes) -> tuple[SealedManifest, Iterator[bytes]]:
    """The same for who kept the clip's own key: the vehicle, for its owner.

    That the chunks open shows that this vehicle sealed them under this manifest; nobody else had the key. Raises a
    :class:`SealedError`, from the iterator too.
    """
    manifest, header, _ = _read_header(stream)
    return manifest, _plaintext(stream, AESGCM(content_key), hashlib.sha256(header).digest())


def _info(region_id: str, key_id: str, clip_id: str) -> bytes:
    parts = (SUITE, region_id, key_id, clip_id)
    return _HPKE_DOMAIN + b"".join(bytes([len(part)]) + part.encode("ascii") for part in parts)


def _file(signed: bytes, cipher: AESGCM, header_hash: bytes, clip_file: bytes) -> Iterator[bytes]:
    """Full chunks, then one last of 0 to 64 KiB; at least one, also of nothing."""
    yield signed
    starts = range(0, max(1, len(clip_file)), CHUNK_BYTES)
    for number, start in enumerate(starts):
        nonce = _NONCE.pack(number, number + 1 == len(starts))
        yield cipher.encrypt(nonce, clip_file[start : start + CHUNK_BYTES], header_hash)


def _read_header(stream: BinaryIO) -> tuple[SealedManifest, bytes, bytes]:
    """(manifest, the bytes that are signed, signature)."""
    start = _exactly(stream, len(MAGIC) + _LENGTH.size)
    if not start.startswith(MAGIC):
        raise SealedFormatError(f"starts with {start[: len(MAGIC)]!r}, a sealed file with {MAGIC!r}")
    (length,) = _LENGTH.unpack_from(start, len(MAGIC))
    if length > MAX_MANIFEST_BYTES:
        raise SealedFormatError(f"a manifest of {length} bytes, at most {MAX_MANIFEST_BYTES}")
    body = _exactly(stream, length)
    try:
        manifest = msgspec.msgpack.decode(body, type=SealedManifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SealedFormatError(f"manifest: {error}") from error
    return manifest, start + body, _exactly(stream, SIGNATURE_BYTES)


def _verify_device(
    manifest: SealedManifest, header: bytes, signature: bytes, public_key: bytes | None
) -> None:
    if public_key is None:
        raise SealedSignatureError(f"vehicle {manifest.vehicle!r} is not enrolled here")
    if manifest.device_key_id != key_id_of(public_key):
        raise SealedSignatureError(
            f"signed by device key {manifest.device_key_id}, vehicle {manifest.vehicle!r} is enrolled with "
            f"{key_id_of(public_key)}"
        )
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _SIGNED_DOMAIN + header)
    except InvalidSignature as error:
        raise SealedSignatureError(f"not signed by device key {manifest.device_key_id}") from error


def _plaintext(stream: BinaryIO, cipher: AESGCM, header_hash: bytes) -> Iterator[bytes]:
    size = CHUNK_BYTES + TAG_BYTES
    number, chunk = 0, _up_to(stream, size)
    while following := _up_to(stream, size):
        yield _open_chunk(cipher, header_hash, number, chunk, last=False)
        number, chunk = number + 1, following
    yield _open_chunk(cipher, header_hash, number, chunk, last=True)


def _open_chunk(cipher: AESGCM, header_hash: bytes, number: int, chunk: bytes, *, last: bool) -> bytes:
    if len(chunk) < TAG_BYTES:
        raise SealedTruncatedError(f"ends in chunk {number}")
    try:
        return cipher.decrypt(_NONCE.pack(number, last), chunk, header_hash)
    except InvalidTag:
        pass
    try:  # Only to say what is wrong: a sound chunk in the wrong place is still refused.
        cipher.decrypt(_NONCE.pack(number, not last), chunk, header_hash)
    except InvalidTag as error:
        raise SealedDamagedError(f"chunk {number} is damaged or cut short") from error
    if last:
        raise SealedTruncatedError(f"ends after chunk {number}, which is not the last")
    raise SealedDamagedError(f"something follows chunk {number}, which is the last")


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = _up_to(stream, length)
    if len(data) < length:
        raise SealedTruncatedError("ends in its header")
    return data


def _up_to(stream: BinaryIO, length: int) -> bytes:
    """``length`` bytes, fewer only at the end: a raw stream may return less than asked for."""
    data = b""
    while len(data) < length and (part := stream.read(length - len(data))):
        data += part
    return data
