"""The region's receiver, without a network: a message in, answers out.

It believes nothing but what it can check: the broker says which vehicle a message is from (the topic, bound to the
certificate by the ACL), the vehicle's key is the one it was enrolled with, and a clip is what its manifest says.

    init   stored with this hash, also if its retention is over by now: the receipt again; with another: refuse; else: what is missing
    seg    written at its offset, if it has its hash and fits the announced transfer; never answered
    fin    incomplete: what is missing; wrong hash: thrown away, everything is missing; else open, store, receipt

    status  the head of the vehicle's ledger that it carries is kept, then acknowledged

A clip is stored, durably, before its receipt is signed. Signing is deterministic, so every receipt for a clip is the
same. A refusal ends a clip on the vehicle for good, so it is given only for what no restart, no disk and no key could
make acceptable; in any other trouble (unknown vehicle, unknown key, newer format, full disk) the receiver is silent,
tells its operator, and the vehicle asks again later.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fsd_agent.adapters.key_files import read_private
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.clip import Receipt
from fsd_agent.wire.clip import ClipFormatError, decode_clip
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.head_ack import encode_head_ack
from fsd_agent.wire.ledger import LedgerFormatError, LedgerSignatureError, decode_head
from fsd_agent.wire.receipt import encode_receipt
from fsd_agent.wire.refusal import Refusal, RefusalReason, encode_refusal
from fsd_agent.wire.sealed import MAGIC, SealedError, SealedManifest, open_sealed, read_manifest
from fsd_agent.wire.status import StatusFormatError, decode_status
from fsd_agent.wire.transfer import (
    CLIP_BYTES_MAX,
    VERSION,
    DownKind,
    Fin,
    Have,
    Init,
    Topics,
    TransferError,
    UpAddress,
    UpKind,
    decode,
    encode,
    parse_status,
    parse_up,
)
from fsd_tools.errors import ToolError
from fsd_tools.region.enrolled import AcceptedKeys
from fsd_tools.region.expired import Expired, ExpiryFile
from fsd_tools.region.heads import HeadStore, HeadStoreError, Taken
from fsd_tools.region.incoming import Incoming, Transfer, Whole
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.signing import read_signed
from fsd_tools.region.store import ClipStore, StoredClip, StoreError, manifest_facts

Answer = tuple[str, bytes]
"""Topic and payload."""
OnEvent = Callable[[str, dict[str, str | int]], None]


class _HeldError(Exception):
    """Not acceptable now, perhaps later: say nothing to the vehicle."""


class _RefusedError(Exception):
    """Never acceptable."""

    def __init__(self, reason: RefusalReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Receiver:
    """See the module. One thread at a time."""

    def __init__(
        self,
        region: RegionDir,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        on_event: OnEvent | None = None,
    ) -> None:
        """Read the region's policy and keys, and sweep what an interrupted store left.

        ``on_event`` is told ``stored``, ``refused``, ``held``, ``ignored``, ``damaged`` and ``ledger_break``. Raises
        ``OSError``, ``PolicyError`` or ``KeyFileError``.
        """
        policy = read_signed(region)
        self.region_id = policy.region_id
        self._sealing_keys = _sealing_keys(region)
        self._receipt_key = read_private(region.receipt_key, 32)
        self._device_keys = AcceptedKeys(region, wall_ns)
        self._wall_ns = wall_ns
        self._tell = on_event or (lambda _name, _fields: None)
        self._incoming = Incoming(region.incoming)
        self._store = ClipStore(region.store)
        self._store.sweep()
        self._expired = Expired(region.expired)
        self._heads = HeadStore(region.heads)

    def handle(self, topic: str, payload: bytes) -> list[Answer]:
        """Take one message from the broker and give what is to be published."""
        vehicle = parse_status(self.region_id, topic)
        if vehicle is not None:
            return self._guarded({"vehicle": vehicle}, lambda: self._status(vehicle, payload))
        try:
            address = parse_up(self.region_id, topic)
        except TransferError as error:
            self._tell("ignored", {"topic": topic[:200], "reason": str(error)})
            return []
        about: dict[str, str | int] = {"vehicle": address.vehicle, "clip": address.clip_id}
        return self._guarded(about, lambda: self._take(address, payload))

    def _guarded(self, about: dict[str, str | int], act: Callable[[], list[Answer]]) -> list[Answer]:
        """Tell what is wrong with a message; none must end the region for all."""
        try:
            return act()
        except (TransferError, StatusFormatError, LedgerFormatError) as error:
            self._tell("ignored", about | {"reason": str(error)})
        except (_HeldError, StoreError, HeadStoreError, SpoolError, ToolError) as error:
            self._tell("held", about | {"reason": str(error)})
        except OSError as error:
            self._tell("held", about | {"reason": f"{error.filename or 'disk'}: {error.strerror or error}"})
        except Exception as error:  # noqa: BLE001 - one message must not end the region for all; told, and held
            self._tell("held", about | {"reason": f"unexpected {type(error).__name__}: {error}"})
        return []

    def _status(self, vehicle: str, payload: bytes) -> list[Answer]:
        """Keep and acknowledge the head of the vehicle's ledger; the rest of its status is for operators."""
        told = decode_status(payload).ledger_head
        device_keys = self._device_keys(vehicle)
        if not told:
            return []
        if not device_keys:
            raise _HeldError("the vehicle is not enrolled here")
        signed = decode_head(told)
        device_key = device_keys.get(signed.value.device_key_id)
        if device_key is None:
            raise _HeldError(f"the ledger's head is {_not_accepted(signed.value.device_key_id)}")
        try:
            signed.verify(device_key)
        except LedgerSignatureError as error:
            raise LedgerFormatError(f"the ledger's head is {error}") from error
        taken = self._heads.take(vehicle, signed)
        if taken in {Taken.BREAK, Taken.TOO_MANY_BREAKS}:
            self._tell("ledger_break", {"vehicle": vehicle, "size": signed.value.size, "taken": str(taken)})
        if not taken.kept:
            return []
        head = signed.value
        ack = encode_head_ack(
            region_id=self.region_id,
            vehicle=vehicle,
            size=head.size,
            root=head.root,
            private_key=self._receipt_key,
        )
        return [(Topics(self.region_id, vehicle).head_ack, ack)]

    def _take(self, address: UpAddress, payload: bytes) -> list[Answer]:
        if address.kind is UpKind.SEGMENT:
            self._segment(address, payload)
            return []
        if not self._device_keys(address.vehicle):
            raise _HeldError("the vehicle is not enrolled here")
        if address.kind is UpKind.INIT:
            return [self._question(address, decode(Init, payload))]
        return [self._question(address, decode(Fin, payload))]

    def _segment(self, address: UpAddress, payload: bytes) -> None:
        transfer = self._incoming.find(address.vehicle, address.clip_id)
        if (
            hashlib.sha256(payload).digest() != address.sha256
        ):  # It stays missing, and the answer to the fin says so
            self._tell(
                "damaged",
                {"vehicle": address.vehicle, "clip": address.clip_id, "offset": address.offset},
            )
            return
        # None: of a clip that was stored meanwhile, or announced before we lost our files. The fin will tell.
        if transfer is not None and not transfer.write(address.offset, payload):
            raise TransferError(
                f"segment at {address.offset} of {len(payload)} bytes does not fit its transfer"
            )

    def _question(self, address: UpAddress, message: Init | Fin) -> Answer:
        whole = Whole.of(message)
        try:
            stored = self._stored(address, whole)
            if stored is None:
                transfer = self._incoming.begin(address.vehicle, address.clip_id, whole)
                if isinstance(message, Init) or not transfer.complete:
                    return self._have(address, message, transfer)
                stored = self._conclude(address, transfer)
            if stored is None:
                transfer = self._incoming.begin(address.vehicle, address.clip_id, whole)
                return self._have(address, message, transfer)
        except _RefusedError as error:
            return self._refuse(address, whole, error)
        return self._receipt(address, whole, stored)

    def _stored(self, address: UpAddress, whole: Whole) -> StoredClip | ExpiryFile | None:
        """The clip if it is stored already, or was; refuses another one under its id, and what is too large."""
        stored = self._store.find(address.vehicle, address.clip_id) or self._expired.find(
            address.vehicle, address.clip_id
        )
        if stored is not None and stored.sealed_sha256 != whole.sha256.hex():
            raise _RefusedError(RefusalReason.ID_TAKEN, f"stored with SHA-256 {stored.sealed_sha256}")
        if whole.size > CLIP_BYTES_MAX:
            raise _RefusedError(RefusalReason.TOO_LARGE, f"{whole.size} bytes, at most {CLIP_BYTES_MAX}")
        return stored

    def _conclude(self, address: UpAddress, transfer: Transfer) -> StoredClip | None:
        """Check, open and store a complete transfer; None when its bytes are not the announced ones."""
        if not transfer.intact():
            self._tell("damaged", {"vehicle": address.vehicle, "clip": address.clip_id})
            self._incoming.discard(address.vehicle, address.clip_id)
            return None
        with transfer.open() as file:
            manifest = _manifest(file)
            self._check_owner(address, manifest)
            key_id = manifest.device_key_id
            file.seek(0)
            try:
                manifest, parts = open_sealed(
                    file,
                    region_id=self.region_id,
                    private_key=self._sealing_keys[manifest.sealing_key_id],
                    device_public_key=lambda vehicle: self._device_keys(vehicle).get(key_id),
                    vehicle=address.vehicle,
                    clip_id=address.clip_id,
                )
                stored = self._store.put(
                    address.vehicle,
                    address.clip_id,
                    parts,
                    check=lambda path: _check_clip(path, manifest),
                    facts=lambda size: self._facts(manifest, transfer.whole, size),
                )
            except SealedError as error:
                raise _RefusedError(RefusalReason.NOT_OPENABLE, str(error)) from error
        self._incoming.discard(address.vehicle, address.clip_id)
        self._tell("stored", {"vehicle": stored.vehicle, "clip": stored.clip_id, "bytes": stored.clip_bytes})
        return stored

    def _check_owner(self, address: UpAddress, manifest: SealedManifest) -> None:
        """Refuse what is somebody else's; hold what only our own configuration stands in the way of."""
        for field, got, expected in (
            ("region", manifest.region_id, self.region_id),
            ("vehicle", manifest.vehicle, address.vehicle),
            ("clip", manifest.clip_id, address.clip_id),
        ):
            if got != expected:
                raise _RefusedError(RefusalReason.WRONG_OWNER, f"{field} is {got!r}, expected {expected!r}")
        if manifest.sealing_key_id not in self._sealing_keys:
            held = ", ".join(sorted(self._sealing_keys))
            raise _HeldError(f"sealed to key {manifest.sealing_key_id}, we hold {held}")
        if manifest.device_key_id not in self._device_keys(address.vehicle):
            raise _HeldError(_not_accepted(manifest.device_key_id))

    def _facts(self, manifest: SealedManifest, whole: Whole, clip_bytes: int) -> StoredClip:
        return StoredClip(
            clip_id=manifest.clip_id,
            vehicle=manifest.vehicle,
            region_id=manifest.region_id,
            sealed_sha256=whole.sha256.hex(),
            sealed_bytes=whole.size,
            clip_bytes=clip_bytes,
            stored_wall_ns=self._wall_ns(),
            manifest=manifest_facts(manifest),
        )

    def _have(self, address: UpAddress, message: Init | Fin, transfer: Transfer) -> Answer:
        have = Have(v=VERSION, ask=message.ask, sha256=message.sha256, missing=transfer.missing())
        return self._topics(address).down(DownKind.HAVE, address.clip_id), encode(have)

    def _receipt(self, address: UpAddress, whole: Whole, stored: StoredClip | ExpiryFile) -> Answer:
        receipt = Receipt(
            address.clip_id, self.region_id, address.vehicle, whole.sha256, stored.stored_wall_ns
        )
        topic = self._topics(address).down(DownKind.RECEIPT, address.clip_id)
        return topic, encode_receipt(receipt, self._receipt_key)

    def _refuse(self, address: UpAddress, whole: Whole, error: _RefusedError) -> Answer:
        self._incoming.discard(address.vehicle, address.clip_id)
        self._tell(
            "refused",
            {
                "vehicle": address.vehicle,
                "clip": address.clip_id,
                "reason": str(error.reason),
                "detail": str(error),
            },
        )
        refusal = Refusal(
            address.clip_id, self.region_id, address.vehicle, whole.sha256, error.reason, str(error)
        )
        topic = self._topics(address).down(DownKind.REFUSE, address.clip_id)
        return topic, encode_refusal(refusal, self._receipt_key)

    def _topics(self, address: UpAddress) -> Topics:
        return Topics(self.region_id, address.vehicle)


def _not_accepted(device_key_id: str) -> str:
    return (
        f"signed by device key {device_key_id}, which is not the enrolled one, nor a former one that still counts; see "
        "`until` in the vehicle's file, or enrol the vehicle again"
    )


def _sealing_keys(region: RegionDir) -> dict[str, bytes]:
    """Every key that still opens clips, by id; the one that clips are sealed to now must be there."""
    read_private(region.sealing_key, 32)
    keys = [read_private(path, 32) for path in region.sealing_keys()]
    return {
        key_id_of(X25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()): key
        for key in keys
    }


def _manifest(file: BinaryIO) -> SealedManifest:
    """The manifest, not verified. A format that we do not know yet is held: newer software will read it."""
    magic = file.read(len(MAGIC))
    if magic.startswith(MAGIC[:-1]) and magic != MAGIC:
        raise _HeldError(f"sealed in format {magic!r}, this software knows {MAGIC!r}")
    file.seek(0)
    try:
        return read_manifest(file)
    except SealedError as error:
        raise _RefusedError(RefusalReason.NOT_OPENABLE, str(error)) from error


def _check_clip(path: Path, manifest: SealedManifest) -> None:
    """The content must be a clip, and the one that the manifest names."""
    try:
        with path.open("rb") as file:
            clip = decode_clip(file, str(path))
    except ClipFormatError as error:
        raise _RefusedError(RefusalReason.NOT_A_CLIP, str(error)) from error
    inside = (clip.clip_id, clip.region_id, clip.vehicle)
    if inside != (manifest.clip_id, manifest.region_id, manifest.vehicle):
        raise _RefusedError(RefusalReason.NOT_A_CLIP, f"the clip inside says {', '.join(inside)}")
