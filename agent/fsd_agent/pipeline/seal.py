"""From a redacted clip to one that counts: encoded, sealed, in the spool, in the ledger, in the journal.

    nothing unlisted is in it        ``wire/clip_allowed.py`` has read it back; ``seal_clip`` takes no other file
    the file is whole at its name    it is nobody's yet: a start removes it
    recorded in the ledger           while the medium works on the file; a start compares the two, and the clip is sealed again where
                                     the file is not that one
    landed                           a power cut can't take the file any more
    SEALED in the journal            it counts, and the staged copy may go; a power cut may take this back, and a start makes it again

Record and file wait for the medium at the same time: neither needs the other to be durable first, and the journal needs both.

Threads: the one that finishes clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsd_agent import __version__
from fsd_agent.pipeline.book import ClipBook
from fsd_agent.pipeline.consent import Consents
from fsd_agent.pipeline.redact import RedactionStoppedError
from fsd_agent.ports.journal import Journal
from fsd_agent.ports.ledger import Ledger, LedgerError
from fsd_agent.ports.spool import SpoolStore
from fsd_agent.ports.vehicle_keys import VehicleKeys
from fsd_agent.records.clip import ClipRow, RedactedClip, SealedClip
from fsd_agent.records.novelty import MadeCode
from fsd_agent.records.region import Route
from fsd_agent.wire.clip import encode_clip
from fsd_agent.wire.clip_allowed import allowed_file
from fsd_agent.wire.sealed import seal_clip


class Sealing:
    """See the module."""

    def __init__(
        self, *, journal: Journal, spool: SpoolStore, ledger: Ledger, consent: Consents, keys: VehicleKeys
    ) -> None:
        self._journal = journal
        self._spool = spool
        self._book = ClipBook(ledger)
        self._consent = consent
        self._keys = keys

    def seal(self, redacted: RedactedClip, where: Route, code: MadeCode | None = None) -> SealedClip:
        """When this returns, it counts. ``code`` goes into the clip: nobody but the region reads it.

        Raises ``ClipFormatError``, ``SealError``, ``VehicleKeyError``, ``SpoolError``, ``LedgerError``, ``JournalError``, and
        :class:`RedactionStoppedError` where there is no consent any more: then it is CAPTURED as before.
        """
        row, vehicle = redacted.clip.row, where.registration.vehicle
        provenance = {**self._provenance(where, row), **_code(code)}
        data = encode_clip(redacted, vehicle=vehicle, provenance=provenance)
        file = seal_clip(
            redacted,
            allowed_file(data, row, vehicle),
            route=where,
            sign=self._keys.sign,
            device_key_id=self._keys.device_key_id(),
        )
        landing = self._spool.begin(row.compartment, row.clip_id, file)
        try:
            self._record(redacted, where, landing.clip)
        except (LedgerError, RedactionStoppedError):
            # Nobody may find a file that is not accounted for
            landing.undo()
            raise
        sealed = landing.land()
        self._count(row, sealed)
        return sealed

    def _record(self, redacted: RedactedClip, where: Route, sealed: SealedClip) -> None:
        """It is accounted for from here on, unless consent was withdrawn meanwhile."""
        with self._consent.steady() as consented:
            if redacted.clip.row.purpose not in consented.given:
                raise RedactionStoppedError
            self._book.sealed(redacted, where, sealed)

    def _count(self, row: ClipRow, sealed: SealedClip) -> None:
        """It counts from here on, unless consent was withdrawn meanwhile.

        Not in the same breath as recording: others wait for consent, and must not wait for as long as a file takes. Where it
        was withdrawn in between, file and record stay as they are: ``withdrawn.py`` ends both, on this thread, before consent
        that is new can count.
        """
        with self._consent.steady() as consented:
            if row.purpose not in consented.given:
                raise RedactionStoppedError
            self._journal.sealed(sealed)

    def _provenance(self, where: Route, row: ClipRow) -> Mapping[str, Any]:
        return {
            "agent": __version__,
            "region": where.policy.region_id,
            "purpose": str(row.purpose),
            "policy_version": where.policy.version,
            "data_classes": sorted(where.policy.data_classes),
            "export": str(where.policy.export),
            "retention_days": where.policy.retention_days,
            "jurisdiction": where.registration.jurisdiction,
            "registration_serial": where.registration.serial,
            "device_key_id": self._keys.device_key_id(),
        }


def _code(made: MadeCode | None) -> Mapping[str, Any]:
    """The clip's code as its provenance says it (``wire.clip``)."""
    if made is None:
        return {}
    code = {"maker": str(made.maker), "source": made.source, "camera": made.camera, "code": made.values.hex()}
    return {"novelty": code}
