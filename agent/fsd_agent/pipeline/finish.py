"""From a captured clip to a sealed one: assemble, redact, encode, seal, spool.

One clip at a time, by priority and then age. Each outcome is one journal entry:

    redacted and sealed    -> SEALED, staging erased
    can't be redacted      -> DROPPED with the reason; nothing of it leaves and nothing of it stays
    no region for it now   -> stays CAPTURED under the device's key and is tried again
    no space               -> stays CAPTURED and is tried again: what was collected is not lost to a full disk

Only :func:`fsd_agent.pipeline.redact.redact` makes a ``RedactedClip``, and sealing takes nothing else.

Threads: one, of low priority: sensing comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsd_agent import __version__
from fsd_agent.pipeline.redact import redact
from fsd_agent.pipeline.residence import Residence
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.detector import Detector
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, StorageFullError
from fsd_agent.ports.spool import SpoolError, SpoolFullError, SpoolStore, Staging
from fsd_agent.ports.vehicle_keys import VehicleKeys
from fsd_agent.records.clip import Clip, ClipRow, ClipState, RedactedClip
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Route
from fsd_agent.rules.privacy.plan import Refused
from fsd_agent.wire.clip import ClipFormatError, encode_clip
from fsd_agent.wire.sealed import SealError, seal_clip
from fsd_agent.wire.staged import StagedPartError, assemble, decode_part
from fsd_firmware.codec import VideoCodec

RETRY_NS = 5_000_000_000
"""Pause after a full disk before the same clip is tried again."""


class Finisher:
    """See the module."""

    def __init__(
        self,
        *,
        journal: Journal,
        staging: Staging,
        spool: SpoolStore,
        residence: Residence,
        codec: VideoCodec | None,
        detector: Detector | None,
        keys: VehicleKeys,
        clock: Clock,
        events: EventSink,
    ) -> None:
        self._journal = journal
        self._staging = staging
        self._spool = spool
        self._residence = residence
        self._codec = codec
        self._detector = detector
        self._keys = keys
        self._clock = clock
        self._events = events
        self._not_before_ns = 0

    def step(self) -> bool:
        """Finish one clip; False when there is none that can be finished now."""
        if self._clock.monotonic_ns() < self._not_before_ns:
            return False
        where = self._residence.current
        if not isinstance(where, Route):
            return False
        for row in self._journal.clips({ClipState.CAPTURED}):
            if row.region_id == where.policy.region_id:
                self._finish(row, where)
                return True
        return False

    def _finish(self, row: ClipRow, where: Route) -> None:
        try:
            clip = self._load(row)
        except (SpoolError, StagedPartError) as error:
            self._drop(row, DropReason.STAGING_LOST, str(error))
            return
        outcome = redact(clip, where.policy.redaction, self._codec, self._detector)
        if isinstance(outcome, Refused):
            self._drop(row, outcome.reason, outcome.detail)
            return
        try:
            self._seal(outcome, where)
        except (ClipFormatError, SealError) as error:
            self._drop(row, DropReason.SEAL_FAILED, str(error))
        except (SpoolFullError, StorageFullError) as error:
            self._not_before_ns = self._clock.monotonic_ns() + RETRY_NS
            self._events.emit("disk_full", clip=row.clip_id, what=str(error))

    def _load(self, row: ClipRow) -> Clip:
        parts = (decode_part(part) for part in self._staging.read(row.clip_id))
        return assemble(parts, row, self._journal.firings_of(row.clip_id))

    def _seal(self, redacted: RedactedClip, where: Route) -> None:
        row = redacted.clip.row
        data = encode_clip(redacted, vehicle=where.registration.vehicle, provenance=self._provenance(where))
        chunks = seal_clip(
            redacted, data, route=where, sign=self._keys.sign, device_key_id=self._keys.device_key_id()
        )
        size_bytes, sha256 = self._spool.put(row.region_id, row.clip_id, chunks)
        self._journal.sealed(row.clip_id, size_bytes=size_bytes, sha256=sha256)
        self._staging.erase(row.clip_id)
        self._events.emit(
            "sealed",
            clip=row.clip_id,
            region=row.region_id,
            size_bytes=size_bytes,
            boxes_filled=redacted.redaction.boxes,
            frames=redacted.redaction.frames,
        )

    def _provenance(self, where: Route) -> Mapping[str, Any]:
        return {
            "agent": __version__,
            "region": where.policy.region_id,
            "policy_version": where.policy.version,
            "jurisdiction": where.registration.jurisdiction,
            "registration_serial": where.registration.serial,
            "device_key_id": self._keys.device_key_id(),
        }

    def _drop(self, row: ClipRow, reason: DropReason, detail: str) -> None:
        self._journal.dropped(row.clip_id, reason, detail)
        self._staging.erase(row.clip_id)
        self._events.emit("dropped", clip=row.clip_id, reason=str(reason), detail=detail)
