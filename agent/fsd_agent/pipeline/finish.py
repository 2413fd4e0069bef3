"""From a captured clip to a sealed one: assemble, redact, encode, seal, spool.

One clip at a time, by priority and then age. Each outcome is one journal entry:

    redacted and sealed    -> recorded in the ledger, SEALED, staging erased
    reaches into a zone    -> DROPPED with that reason: nothing is collected there. Asked of the whole window, also of what is not kept
    longer than asked for  -> cut to its most promising seconds (``keep.py``), and goes on so
    is not worth encoding  -> DROPPED with the reason (``select.py``), before anything is looked at for redaction
    nothing new in it      -> DROPPED with the reason (``novelty.py``)
    can't be redacted      -> DROPPED with the reason; nothing of it leaves and nothing of it stays
    no region for it now   -> stays CAPTURED under its compartment's key and is tried again
    no consent for it now  -> left alone: on hold, or given up by ``withdrawn.py``
    the disk is full, or   -> stays CAPTURED and is tried again, however often: what was collected is not lost to a
    can't be written, or      disk's fault
    a key can't be read
    staging can't be read, -> stays CAPTURED and is tried again, :data:`ATTEMPTS` times in all, then DROPPED
    the codec stalls, or a
    fault nobody foresaw
    the device's key      -> stays CAPTURED and is tried again: a token may come back
    can't be used
    the agent sleeps       -> left as it is until the ignition is on
    no work on video now  -> left as it is (``video_work.py``)
    the ledger can't       -> stays CAPTURED and is tried again: what it can't record does not happen
    record it

A clip that is to be tried again rests, longer each time, and the next one has its turn: one bad clip blocks nobody.
Only :func:`fsd_agent.pipeline.redact.redact` makes a ``RedactedClip``, and sealing takes nothing else.

Threads: one, of low priority: sensing comes first. ``stop`` and ``trouble`` are for any.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from fsd_agent.pipeline.attempts import FIRST_NS, Attempts
from fsd_agent.pipeline.book import ClipBook, cause_of
from fsd_agent.pipeline.check import Means, redact_checked
from fsd_agent.pipeline.classes import after_redaction, before_redaction, for_purpose, rules_of
from fsd_agent.pipeline.consent import Consents
from fsd_agent.pipeline.keep import Keeps
from fsd_agent.pipeline.novelty import JudgesNovelty
from fsd_agent.pipeline.power import Loop, Power
from fsd_agent.pipeline.redact import RedactionStoppedError
from fsd_agent.pipeline.seal import Sealing
from fsd_agent.pipeline.select import Selects, Unwanted
from fsd_agent.pipeline.video_work import VideoWork
from fsd_agent.pipeline.whereabouts import Whereabouts
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.detector import DetectorStalledError
from fsd_agent.ports.events import EventName, EventSink
from fsd_agent.ports.journal import Journal, JournalError, StorageFullError
from fsd_agent.ports.ledger import Ledger, LedgerError, LedgerFullError
from fsd_agent.ports.spool import CompartmentKeyError, SpoolError, SpoolFullError, SpoolStore, Staging
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.records.clip import Clip, ClipRow, ClipState, RedactedClip
from fsd_agent.records.ledger import Cause, Copy
from fsd_agent.records.novelty import Judged
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import RegionPolicy, Route
from fsd_agent.rules.privacy.plan import Refused
from fsd_agent.rules.residency.zones import zone_reached
from fsd_agent.rules.uplink.power import Phase
from fsd_agent.wire.clip import ClipFormatError
from fsd_agent.wire.sealed import SealError
from fsd_agent.wire.staged import StagedPartError, assemble, decode_part
from fsd_firmware.codec import CodecStalledError

_log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Before a clip whose staging can't be read, or that breaks what works on it, is given up."""


class Finisher:
    """See the module."""

    def __init__(
        self,
        *,
        journal: Journal,
        staging: Staging,
        spool: SpoolStore,
        ledger: Ledger,
        residence: Whereabouts,
        consent: Consents,
        means: Means,
        keep: Keeps,
        select: Selects,
        novelty: JudgesNovelty,
        keys: VehicleKeys,
        clock: Clock,
        events: EventSink,
        power: Power,
        video: VideoWork,
    ) -> None:
        """``keep`` cuts clips, ``select`` says which are not worth their redaction, ``novelty`` which of the others show nothing new."""
        self._means = means
        self._keep = keep
        self._select = select
        self._novelty = novelty
        self._power = power
        self._video = video
        self._journal = journal
        self._staging = staging
        self._spool = spool
        self._book = ClipBook(ledger)
        self._residence = residence
        self._consent = consent
        self._sealing = Sealing(journal=journal, spool=spool, ledger=ledger, consent=consent, keys=keys)
        self._clock = clock
        self._events = events
        self._not_before_ns = 0
        self._attempts = Attempts()
        self._stopping = threading.Event()
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """The newest fault that a person should look at; empty once nothing waits because of one."""
        return self._trouble

    def stop(self) -> None:
        """End the step under way soon, and take no other: what was not finished stays CAPTURED."""
        self._stopping.set()

    def step(self) -> bool:
        """Finish one clip; False when there is none that can be finished now."""
        now_ns = self._clock.monotonic_ns()
        if self._must_stop() or now_ns < self._not_before_ns:
            self._power.rest(Loop.FINISH)
            return False
        where = self._residence.current
        if not isinstance(where, Route):
            return False
        routes = {one.policy.region_id: one for one in (*self._residence.left, where)}
        try:
            row = self._next(routes, now_ns)
            if row is not None:
                self._book.check()
        except (JournalError, LedgerError) as error:
            self._pause(_event_of(error), "", error)
            return False
        if row is None:
            return False
        try:
            self._finish(row, routes[row.region_id])
        except (JournalError, LedgerError) as error:
            self._rest(row)
            self._pause(_event_of(error), row.clip_id, error)
        except RedactionStoppedError:
            return False
        return True

    def _next(self, routes: Mapping[str, Route], now_ns: int) -> ClipRow | None:
        """The best clip with a region to go to that does not rest; those that failed come after the others."""
        given = self._consent.now.given
        ready = [
            row
            for row in self._journal.clips({ClipState.CAPTURED})
            if row.region_id in routes and row.purpose in given and self._attempts.may(row.clip_id, now_ns)
        ]
        return min(ready, key=lambda row: self._attempts.of(row.clip_id), default=None)

    def _is_withdrawn(self, row: ClipRow) -> bool:
        """There is no consent for this clip now: whatever went wrong with it, nothing is decided about it here."""
        return row.purpose not in self._consent.now.given

    def _must_stop(self) -> bool:
        return self._stopping.is_set() or self._power.phase is Phase.ASLEEP or not self._video.may()

    def _stops(self, row: ClipRow) -> Callable[[], bool]:
        return lambda: self._must_stop() or self._is_withdrawn(row)

    def _finish(self, row: ClipRow, where: Route) -> None:
        given_up = self._book.given_up_before(row)
        if given_up is not None:
            self._drop(row, given_up, "recorded in the ledger before")
            return
        before = self._book.sealed_before(row, self._spool)
        if before is not None:  # The journal could not take it
            self._journal.sealed(before)
            self._ended(row, Cause.SEALED)
            return
        try:
            clip = self._load(row)
        except StagedPartError as error:
            self._drop(row, DropReason.STAGING_LOST, str(error))
        except CompartmentKeyError as error:
            self._disk_fault(row, error)
        except SpoolError as error:
            self._try_again(row, DropReason.STAGING_LOST, str(error))
        else:
            self._redact_and_seal(clip, for_purpose(where, row.purpose))

    def _redact_and_seal(self, clip: Clip, where: Route) -> None:
        row, policy = clip.row, where.policy
        try:
            allowed = before_redaction(self._keep.kept(clip), policy.data_classes)
            judged = self._judge(clip, allowed, policy)
            if isinstance(judged, Unwanted):
                self._drop(row, judged.reason, judged.detail)
                return
            outcome = redact_checked(
                allowed,
                rules_of(policy.redaction, policy.data_classes),
                self._means,
                stopped=self._stops(row),
            )
            if isinstance(outcome, Refused):
                self._drop(row, outcome.reason, outcome.detail)
            else:
                self._seal(after_redaction(outcome, policy.data_classes), where, judged)
        except (ClipFormatError, SealError) as error:
            self._drop(row, DropReason.SEAL_FAILED, str(error))
        except SpoolError as error:
            self._disk_fault(row, error)
        except VehicleKeyError as error:
            self._rest(row)
            self._pause("keys_failed", row.clip_id, error)
        except (CodecStalledError, DetectorStalledError) as error:
            self._try_again(row, DropReason.REDACTION_FAILED, str(error))
        except (JournalError, LedgerError, RedactionStoppedError):
            raise
        except Exception as error:  # noqa: BLE001 - codecs and detectors are foreign: told, and the clip stays here
            _log.exception("clip %s: unforeseen", row.clip_id)
            self._try_again(row, DropReason.REDACTION_FAILED, f"unexpected {type(error).__name__}: {error}")

    def _judge(self, clip: Clip, allowed: Clip, policy: RegionPolicy) -> Judged | Unwanted:
        """Whether it is worth its redaction, the cheapest verdict first. ``allowed``: of ``clip`` what is kept and the region may have."""
        zone = zone_reached(policy.zones, clip.gnss)
        if zone is not None:
            return Unwanted(DropReason.SENSITIVE_ZONE, f"reaches into zone {zone!r}")
        unwanted = self._select.judge(allowed, self._stops(clip.row))
        if unwanted is not None:
            return unwanted
        judged = self._novelty.judge(allowed, policy.data_classes)
        return judged if judged.drop is None else Unwanted(judged.drop, judged.detail)

    def _disk_fault(self, row: ClipRow, error: SpoolError) -> None:
        """No fault of the clip: it stays, and is tried again however often."""
        if self._is_withdrawn(row):
            return
        self._rest(row)
        name: EventName = "disk_full" if isinstance(error, SpoolFullError) else "disk_failed"
        self._pause(name, row.clip_id, error, everything=isinstance(error, SpoolFullError))

    def _try_again(self, row: ClipRow, reason: DropReason, detail: str) -> None:
        """Later; after some attempts never."""
        if self._is_withdrawn(row):
            return
        if self._rest(row) >= ATTEMPTS:
            self._drop(row, reason, f"{detail} ({ATTEMPTS} attempts)")
        else:
            self._trouble = f"clip {row.clip_id}: {detail}"
            self._events.emit("postponed", clip=row.clip_id, reason=str(reason), detail=detail)

    def _rest(self, row: ClipRow) -> int:
        """Let others have their turn; returns how often this clip was tried."""
        return self._attempts.failed(row.clip_id, self._clock.monotonic_ns())

    def _pause(self, event: EventName, clip_id: str, error: Exception, *, everything: bool = True) -> None:
        """Nothing was lost: tell, and where it would hit ``everything``, wait."""
        if everything:
            self._not_before_ns = self._clock.monotonic_ns() + FIRST_NS
        self._trouble = str(error)
        self._events.emit(event, clip=clip_id, what=str(error))

    def _load(self, row: ClipRow) -> Clip:
        parts = (decode_part(part) for part in self._staging.read(row.compartment, row.clip_id))
        return assemble(parts, row, self._journal.firings_of(row.clip_id))

    def _seal(self, redacted: RedactedClip, where: Route, judged: Judged) -> None:
        row = redacted.clip.row
        sealed = self._sealing.seal(redacted, where, judged.told)
        self._novelty.sealed(row, judged)
        self._ended(row, Cause.SEALED)
        self._events.emit(
            "sealed",
            clip=row.clip_id,
            region=row.region_id,
            size_bytes=sealed.size_bytes,
            boxes_filled=redacted.redaction.boxes,
            frames=redacted.redaction.frames,
        )

    def _drop(self, row: ClipRow, reason: DropReason, detail: str) -> None:
        if self._is_withdrawn(row):
            return
        self._book.dropped(row, reason)
        self._journal.dropped(row.clip_id, reason, detail)
        self._ended(row, cause_of(reason))
        self._events.emit("dropped", clip=row.clip_id, reason=str(reason), detail=detail)

    def _ended(self, row: ClipRow, cause: Cause) -> None:
        """Staging that can't be erased now, or whose erasure can't be recorded, goes at the next start."""
        self._attempts.ended(row.clip_id)
        if not self._attempts:
            self._trouble = ""
        try:
            self._book.erasing(row, Copy.STAGED, cause)
            self._staging.erase(row.compartment, row.clip_id)
        except SpoolError as error:
            self._trouble = str(error)
        except LedgerError as error:
            self._pause(_event_of(error), row.clip_id, error, everything=False)


def _event_of(error: JournalError | LedgerError) -> EventName:
    if isinstance(error, StorageFullError | LedgerFullError):
        return "disk_full"
    return "ledger_failed" if isinstance(error, LedgerError) else "journal_failed"
