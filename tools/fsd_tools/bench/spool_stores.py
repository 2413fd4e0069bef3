"""The stores of a benchmark's vehicle: what the agent keeps on its disk, and sealed clips to put there.

Clips are noise in the form of sealed files: neither the spool nor the journal looks into one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.pipeline.book import ClipBook
from fsd_agent.ports.events import EventName, EventValue
from fsd_agent.records.clip import Clip, ClipRow, ClipState, RedactedClip, SealedClip, SealedFile
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.ledger import Cause, ConsentChanged, Copy
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.records.region import Route
from fsd_agent.wire.sealed import CHUNK_BYTES, TAG_BYTES
from fsd_firmware.samples import empty_gnss, empty_signals

PURPOSE = Purpose.SAFETY
CAMPAIGN = "bench"
HEADER_BYTES = 700
"""Of a sealed file: its signed manifest."""
_SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
_REDACTION = RedactionRecord(
    ("faces=head_zone", "plates=plate_band"), ("firmware",), 240, 96, 0.03, "coarse:0.05"
)


class Unheard:
    """Implements :class:`fsd_agent.ports.events.EventSink` where nobody listens."""

    def emit(self, event: EventName, /, **fields: EventValue) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True)
class Stores:
    """A vehicle's journal, ledger and spool in one data folder, and the region that its clips are for."""

    journal: SqliteJournal
    ledger: LedgerFiles
    spool: SpoolFiles
    book: ClipBook
    route: Route

    @classmethod
    def open(cls, vehicle_dir: Path, data: Path, route: Route) -> Self:
        """Open them in ``data``, with the keys of ``vehicle_dir``; consent to the clips' purpose is recorded."""
        keys, clock = KeyFiles(vehicle_dir), SystemClock()
        keys.compartment_key(route.policy.region_id, PURPOSE, make=True)
        journal = SqliteJournal(data / "journal.db")
        ledger = LedgerFiles(data / "ledger", keys=keys, clock=clock, events=Unheard())
        if PURPOSE not in (ledger.consent() or ()):
            ledger.append(ConsentChanged(PURPOSE, given=True))
        return cls(journal, ledger, SpoolFiles(data / "spool", keys), ClipBook(ledger), route)

    def close(self) -> None:
        """Release the files."""
        self.ledger.close()
        self.journal.close()

    def captured(self, count: int) -> tuple[RedactedClip, ...]:
        """So many clips that wait for sealing, each with its firing, by ledger and journal."""
        clips = tuple(self._clip() for _ in range(count))
        self.book.kept((one.clip.row, one.clip.firings) for one in clips)
        self.journal.accept(
            [firing for one in clips for firing in one.clip.firings],
            [replace(one.clip.row, state=ClipState.STAGED) for one in clips],
        )
        for one in clips:
            self.journal.captured(one.clip.row.clip_id, cut=False)
        return clips

    def put(self, clip: RedactedClip, file: SealedFile) -> SealedClip:
        """Its sealed file, durable."""
        return self.spool.put(clip.clip.row.compartment, clip.clip.row.clip_id, file)

    def take(self, clip: RedactedClip, file: SealedFile) -> None:
        """All that the agent does between a sealed clip and a journal that knows it: put, ledger, journal."""
        row = clip.clip.row
        landing = self.spool.begin(row.compartment, row.clip_id, file)
        self.book.sealed(clip, self.route, landing.clip)
        self.journal.sealed(landing.land())

    def unstage(self, clip: RedactedClip) -> None:
        """What the agent records when the staged copy of a sealed clip goes; there is none here."""
        self.book.erasing(clip.clip.row, Copy.STAGED, Cause.SEALED)

    def erase(self, clip: RedactedClip) -> None:
        """Its sealed file goes; ledger and journal are left as they are."""
        self.spool.erase(clip.clip.row.compartment, clip.clip.row.clip_id)

    def _clip(self) -> RedactedClip:
        clip_id = secrets.token_hex(16)
        place = Compartment(self.route.policy.region_id, PURPOSE)
        row = ClipRow(clip_id, place.region_id, place.purpose, ClipState.CAPTURED, 0, 1, 0, ("front",), (), 0)
        firing = JudgedFiring(
            secrets.token_hex(16), Firing(CAMPAIGN, 1, 0, (("Vehicle.Speed", 13.9),)), 1, clip_id, None
        )
        clip = Clip(row, (firing,), (), empty_signals(), (), (), empty_gnss(), ())
        return RedactedClip(clip, _REDACTION)


def sealed_file(content: bytes) -> SealedFile:
    """``content`` in the parts that sealing gives: a header, then 64 KiB and a tag each."""
    return SealedFile(len(content), os.urandom(32), parts_of(content))


def parts_of(content: bytes) -> Sequence[bytes]:
    """See :func:`sealed_file`."""
    return tuple(_parts(content))


def _parts(content: bytes) -> Iterator[bytes]:
    yield content[:HEADER_BYTES]
    for start in range(HEADER_BYTES, len(content), _SEALED_CHUNK_BYTES):
        yield content[start : start + _SEALED_CHUNK_BYTES]
