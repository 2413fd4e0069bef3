"""What a region has removed from its store because its retention was over: one record a clip, for good.

``expired/<vehicle>/<clip id>.json`` is durable before anything of the clip goes. It holds what the receipt said, when the
clip went, and the same signed by the receipt key, so that an audit can tell a clip that came to its end from one that was
lost. A vehicle that asks about such a clip gets its receipt again: the region held it.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from fsd_agent.adapters.durable import make_folder, remove, write_file
from fsd_agent.records.clip import ExpiredClip
from fsd_agent.wire.expired import encode_expired
from fsd_tools.region.store import StoredClip, StoreError


class ExpiryFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON of one clip that is gone."""

    clip_id: str
    vehicle: str
    region_id: str
    sealed_sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    stored_wall_ns: int
    expired_wall_ns: int
    retention_days: int
    signed: str
    """Base64 of ``wire.expired``."""

    @property
    def envelope(self) -> bytes:
        """What was signed; raises ``ValueError`` for what is no base64."""
        return base64.b64decode(self.signed, validate=True)


@dataclass(frozen=True, slots=True)
class Expired:
    """See the module. Ids must be checked names. ``OSError`` and ``SpoolError`` pass through: then the clip stays."""

    root: Path

    def find(self, vehicle: str, clip_id: str) -> ExpiryFile | None:
        """The record of one clip. Raises :class:`StoreError`."""
        path = self.root / vehicle / f"{clip_id}.json"
        return read_expiry(path) if path.exists() else None

    def files(self, vehicle: str) -> list[Path]:
        """Every record of a vehicle."""
        return sorted((self.root / vehicle).glob("*.json"))

    def remove(self, store: Path, clip: StoredClip, *, now_ns: int, days: int, receipt_key: bytes) -> None:
        """Record that the clip is over, then remove its facts and its content from the store, durably and in this order."""
        said = ExpiredClip(
            clip.clip_id,
            clip.region_id,
            clip.vehicle,
            bytes.fromhex(clip.sealed_sha256),
            clip.stored_wall_ns,
            now_ns,
            days,
        )
        record = ExpiryFile(
            clip.clip_id,
            clip.vehicle,
            clip.region_id,
            clip.sealed_sha256,
            clip.stored_wall_ns,
            now_ns,
            days,
            base64.b64encode(encode_expired(said, receipt_key)).decode("ascii"),
        )
        folder = self.root / clip.vehicle
        make_folder(folder)
        text = json.dumps(msgspec.to_builtins(record), indent=1).encode() + b"\n"
        write_file(folder / f"{clip.clip_id}.json", (text,))
        # Without its facts a clip is not stored; what is left of one is swept at the next start.
        for suffix in (".json", ".mcap", ".report"):
            remove(store / clip.vehicle / f"{clip.clip_id}{suffix}")


def read_expiry(path: Path) -> ExpiryFile:
    """One record; raises :class:`StoreError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ExpiryFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: {error}") from error
