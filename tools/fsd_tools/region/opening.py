"""Is a complete transfer a clip of the vehicle that it came from? Then it is opened, checked and stored; and the answers.

Nothing is believed that can't be checked: the clip is what its manifest says, which the vehicle's device key signed. A
refusal ends a clip on the vehicle for good, so it is given only for what no restart, no disk and no key could make
acceptable (:class:`RefusedError`); in any other trouble nothing is said to the vehicle (:class:`HeldError`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fsd_agent.adapters.key_files import read_private
from fsd_agent.records.clip import Receipt
from fsd_agent.wire.clip import ClipFormatError, decode_clip
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.receipt import encode_receipt
from fsd_agent.wire.refusal import Refusal, RefusalReason, encode_refusal
from fsd_agent.wire.sealed import MAGIC, SealedError, SealedManifest, open_sealed, read_manifest
from fsd_agent.wire.transfer import CLIP_BYTES_MAX, DownKind, Topics
from fsd_tools.region.enrolled import AcceptedKeys
from fsd_tools.region.expired import Expired, ExpiryFile
from fsd_tools.region.incoming import Transfer, Whole
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.store import ClipStore, StoredClip, manifest_facts

Answer = tuple[str, bytes]
"""Topic and payload."""
Tell = Callable[[str, dict[str, str | int]], None]


class HeldError(Exception):
    """Not acceptable now, perhaps later: say nothing to the vehicle."""


class RefusedError(Exception):
    """Never acceptable."""

    def __init__(self, reason: RefusalReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose clip it is said to be. Checked names."""

    vehicle: str
    clip_id: str


class Opening:
    """See the module. One thread at a time. Raises :class:`HeldError`, :class:`RefusedError`, ``OSError``."""

    def __init__(
        self,
        region: RegionDir,
        region_id: str,
        wall_ns: Callable[[], int],
        tell: Tell,
        *,
        hold_back: bool = False,
    ) -> None:
        """``hold_back``: store clips where no reader looks, for the checker to release."""
        self.region_id = region_id
        self.receipt_key = read_private(region.receipt_key, 32)
        self.device_keys = AcceptedKeys(region, wall_ns)
        self.sealing_keys = _sealing_keys(region)
        self._wall_ns = wall_ns
        self._tell = tell
        self._store = ClipStore(region.unchecked if hold_back else region.store)
        self._holding = [ClipStore(root) for root in region.holding]
        for store in self._holding:
            store.sweep()
        self._expired = Expired(region.expired)

    def check_enrolled(self, vehicle: str) -> None:
        """A vehicle that nobody knows gets no disk."""
        if not self.device_keys(vehicle):
            raise HeldError("the vehicle is not enrolled here")

    def stored(self, owner: Owner, whole: Whole) -> StoredClip | ExpiryFile | None:
        """The clip if it is stored already, or was; refuses another one under its id, and what is too large."""
        held = (store.find(owner.vehicle, owner.clip_id) for store in self._holding)
        stored = next(filter(None, held), None) or self._expired.find(owner.vehicle, owner.clip_id)
        if stored is not None and stored.sealed_sha256 != whole.sha256.hex():
            raise RefusedError(RefusalReason.ID_TAKEN, f"stored with SHA-256 {stored.sealed_sha256}")
        if whole.size > CLIP_BYTES_MAX:
            raise RefusedError(RefusalReason.TOO_LARGE, f"{whole.size} bytes, at most {CLIP_BYTES_MAX}")
        return stored

    def conclude(self, owner: Owner, transfer: Transfer) -> StoredClip | None:
        """Check, open and store a complete transfer; None when its bytes are not the announced ones."""
        if not transfer.intact():
            self._tell("damaged", {"vehicle": owner.vehicle, "clip": owner.clip_id})
            return None
        with transfer.open() as file:
            manifest = _manifest(file)
            self._check_owner(owner, manifest)
            key_id = manifest.device_key_id
            file.seek(0)
            try:
                manifest, parts = open_sealed(
                    file,
                    region_id=self.region_id,
                    private_key=self.sealing_keys[manifest.sealing_key_id],
                    device_public_key=lambda vehicle: self.device_keys(vehicle).get(key_id),
                    vehicle=owner.vehicle,
                    clip_id=owner.clip_id,
                )
                stored = self._store.put(
                    owner.vehicle,
                    owner.clip_id,
                    parts,
                    check=lambda path: _check_clip(path, manifest),
                    facts=lambda size: self._facts(manifest, transfer.whole, size),
                )
            except SealedError as error:
                raise RefusedError(RefusalReason.NOT_OPENABLE, str(error)) from error
        self._tell("stored", {"vehicle": stored.vehicle, "clip": stored.clip_id, "bytes": stored.clip_bytes})
        return stored

    def _check_owner(self, owner: Owner, manifest: SealedManifest) -> None:
        """Refuse what is somebody else's; hold what only our own configuration stands in the way of."""
        for field, got, expected in (
            ("region", manifest.region_id, self.region_id),
            ("vehicle", manifest.vehicle, owner.vehicle),
            ("clip", manifest.clip_id, owner.clip_id),
        ):
            if got != expected:
                raise RefusedError(RefusalReason.WRONG_OWNER, f"{field} is {got!r}, expected {expected!r}")
        if manifest.sealing_key_id not in self.sealing_keys:
            held = ", ".join(sorted(self.sealing_keys))
            raise HeldError(f"sealed to key {manifest.sealing_key_id}, we hold {held}")
        if manifest.device_key_id not in self.device_keys(owner.vehicle):
            raise HeldError(not_accepted(manifest.device_key_id))

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

    def receipt(self, owner: Owner, whole: Whole, stored: StoredClip | ExpiryFile) -> Answer:
        """Signed: it is stored. The same each time it is asked for."""
        receipt = Receipt(owner.clip_id, self.region_id, owner.vehicle, whole.sha256, stored.stored_wall_ns)
        return self._down(owner, DownKind.RECEIPT), encode_receipt(receipt, self.receipt_key)

    def refusal(self, owner: Owner, whole: Whole, error: RefusedError) -> Answer:
        """Signed: it will never be taken, and why."""
        self._tell(
            "refused",
            {
                "vehicle": owner.vehicle,
                "clip": owner.clip_id,
                "reason": str(error.reason),
                "detail": str(error),
            },
        )
        refusal = Refusal(
            owner.clip_id, self.region_id, owner.vehicle, whole.sha256, error.reason, str(error)
        )
        return self._down(owner, DownKind.REFUSE), encode_refusal(refusal, self.receipt_key)

    def _down(self, owner: Owner, kind: DownKind) -> str:
        return Topics(self.region_id, owner.vehicle).down(kind, owner.clip_id)


def not_accepted(device_key_id: str) -> str:
    """Why a signature of that key counts for nothing."""
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
        raise HeldError(f"sealed in format {magic!r}, this software knows {MAGIC!r}")
    file.seek(0)
    try:
        return read_manifest(file)
    except SealedError as error:
        raise RefusedError(RefusalReason.NOT_OPENABLE, str(error)) from error


def _check_clip(path: Path, manifest: SealedManifest) -> None:
    """The content must be a clip, and the one that the manifest names."""
    try:
        with path.open("rb") as file:
            clip = decode_clip(file, str(path))
    except ClipFormatError as error:
        raise RefusedError(RefusalReason.NOT_A_CLIP, str(error)) from error
    inside = (clip.clip_id, clip.region_id, clip.vehicle)
    if inside != (manifest.clip_id, manifest.region_id, manifest.vehicle):
        raise RefusedError(RefusalReason.NOT_A_CLIP, f"the clip inside says {', '.join(inside)}")
