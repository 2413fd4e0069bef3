"""What the loops enter in the ledger about a clip: before they act, and every act once.

Each method returns when the record is durable, and does nothing where the ledger says so already: an act that was cut
off between its record and itself is done again, not recorded again. Each raises ``LedgerError``; then the act must not
happen.

Threads: any.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from fsd_agent.ports.broker import Peer
from fsd_agent.ports.ledger import Ledger
from fsd_agent.ports.spool import SpoolError, SpoolStore
from fsd_agent.records.clip import ClipRow, RedactedClip, SealedClip
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.ledger import (
    Cause,
    Copy,
    Dropped,
    Erased,
    Fact,
    Fired,
    LiveClip,
    Receipted,
    Redacted,
    Sealed,
    Sent,
)
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.records.region import Route
from fsd_agent.wire.pieces import digest_like
from fsd_agent.wire.sealed import read_manifest

HEADER_BYTES = 64 << 10
"""Enough of a sealed file for its manifest."""
READ_BYTES = 1 << 20


class ClipBook:
    """See the module."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def check(self) -> None:
        """Raise where nothing could be recorded at all: whoever is about to do long work asks first."""
        self._ledger.append()

    def known(self, clip_id: str) -> LiveClip | None:
        """What is recorded of a clip of which there is a copy."""
        return self._ledger.clip(clip_id)

    def kept(self, clips: Iterable[tuple[ClipRow, Sequence[JudgedFiring]]]) -> None:
        """Firings are kept in these clips: all in one batch, for the sensing loop waits for it."""
        self._ledger.append(*(fired(row, one) for row, firings in clips for one in firings))

    def sealed(self, redacted: RedactedClip, where: Route, file: SealedClip) -> None:
        """This file was made of the clip; it does not count before it is recorded."""
        row, policy = redacted.clip.row, where.policy
        self._ledger.append(
            redaction(row, redacted.redaction),
            Sealed(
                row.clip_id,
                row.region_id,
                where.registration.vehicle,
                where.registration.serial,
                policy.version,
                policy.sealing_key_id,
                file.sha256,
                file.size_bytes,
            ),
        )

    def sending(self, row: ClipRow, peer: Peer) -> None:
        """The first byte of the clip is about to be given to this connection; the caller asks once for each."""
        self._ledger.append(
            Sent(row.clip_id, row.region_id, peer.host, peer.port, peer.identity_uri, peer.certificate_sha256)
        )

    def receipted(self, row: ClipRow, receipt: bytes) -> None:
        """Its region has signed for it."""
        known = self.known(row.clip_id)
        if known is None or not known.receipted:
            self._ledger.append(Receipted(row.clip_id, row.region_id, receipt))

    def dropped(self, row: ClipRow, reason: DropReason) -> None:
        """It is given up."""
        known = self.known(row.clip_id)
        if known is None or not known.dropped:
            self._ledger.append(Dropped(row.clip_id, row.region_id, reason))

    def erasing(self, row: ClipRow, copy: Copy, cause: Cause) -> None:
        """One of its copies is about to be erased."""
        if holds(self.known(row.clip_id), copy):
            self._ledger.append(Erased(row.clip_id, row.region_id, copy, cause))

    def given_up_before(self, row: ClipRow) -> DropReason | None:
        """Why the ledger says that it is given up, where the journal could not take that."""
        known = self.known(row.clip_id)
        return DropReason(known.dropped) if known is not None and known.dropped else None

    def receipted_before(self, row: ClipRow) -> bytes | None:
        """What its region signed, where the ledger has it and the journal could not take that."""
        return self._ledger.receipt(row.clip_id)

    def sealed_before(self, row: ClipRow, spool: SpoolStore) -> SealedClip | None:
        """The sealed file that the ledger has of a clip for which the journal could not take it; durable then.

        Where the file is not what was recorded, for it had not landed, that is recorded, and the clip has to be sealed anew.
        """
        known = self.known(row.clip_id)
        if known is None or not known.sealed:
            return None
        found = settled(spool, row)
        if found is not None and found.sha256 == known.sha256:
            return found
        self.erasing(row, Copy.SEALED, Cause.REDONE)
        return None


def fired(row: ClipRow, judged: JudgedFiring) -> Fired:
    """A firing that the clip is kept for."""
    firing = judged.firing
    return Fired(
        row.clip_id,
        row.region_id,
        row.purpose,
        judged.firing_id,
        firing.campaign_id,
        firing.campaign_version,
    )


def redaction(row: ClipRow, done: RedactionRecord) -> Redacted:
    """What was done to the clip."""
    return Redacted(
        row.clip_id, row.region_id, done.rules, done.sources, done.frames, done.boxes, done.location
    )


def cause_of(reason: DropReason) -> Cause:
    """Why the copies of a clip that was given up for this reason are erased."""
    return Cause.CONSENT if reason is DropReason.CONSENT_WITHDRAWN else Cause.DROPPED


def holds(known: LiveClip | None, copy: Copy) -> bool:
    """Whether there is this copy by the ledger."""
    return known is not None and (known.staged if copy is Copy.STAGED else known.sealed)


def settled(spool: SpoolStore, row: ClipRow) -> SealedClip | None:
    """Size and hash of a clip's sealed file, on the medium; None where there is none or it can't be read.

    A kill may have come before it had landed: it would be read as it is, and a power cut would take it back.
    """
    size = 0
    try:
        spool.settle(row.compartment, row.clip_id)
        region = spool.region(row.region_id)
        digest = digest_like(region.identity(row.purpose, row.clip_id))
        while data := region.read(row.purpose, row.clip_id, size, READ_BYTES):
            digest.update(data)
            size += len(data)
    except SpoolError:
        return None
    return SealedClip(row.clip_id, row.region_id, size, digest.digest())


def before_the_ledger(row: ClipRow, firings: Sequence[JudgedFiring], spool: SpoolStore) -> tuple[Fact, ...]:
    """The account of a clip from before this ledger, as its journal row and its sealed file's manifest tell it.

    Raises ``SpoolError`` or ``wire.sealed.SealedError`` where the file can't say.
    """
    facts: list[Fact] = [fired(row, one) for one in firings]
    if row.sha256:
        header = spool.region(row.region_id).read(row.purpose, row.clip_id, 0, HEADER_BYTES)
        manifest = read_manifest(io.BytesIO(header))
        facts += [
            redaction(row, manifest.redaction),
            Sealed(
                row.clip_id,
                row.region_id,
                manifest.vehicle,
                manifest.registration_serial,
                manifest.policy_version,
                manifest.sealing_key_id,
                row.sha256,
                row.size_bytes,
            ),
        ]
    return tuple(facts)
