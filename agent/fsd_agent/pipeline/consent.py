"""What the user consents to right now, as recorded: firmware's document, judged, kept, in the ledger, carried out.

Everything that collects, makes ready or sends data asks here and gets purposes; there is no default. Firmware may change
the document at any moment, also while samples have stopped: whoever asks gets an answer that is at most
:data:`LOOK_EVERY_NS` old, and whoever asks first carries a change out (``rules/privacy/consent.py`` has the order).

- A withdrawal counts at once. It is recorded, then keys are destroyed, and no region is to be told of firings any more;
  where the ledger can't record it, nothing is destroyed yet, nothing is done for the purpose either, and it is tried again.
- Consent that is new counts once it is kept, recorded, and nothing is left from before.
- A document that is missing or can't be read is consent to nothing: everything is on hold. It becomes a withdrawal when
  it lasts for :data:`LOST_NS` of one run. A file that is being replaced must not erase what can't be collected again.

What must not cross a withdrawal - keeping a firing, recording that a clip is sealed, giving bytes to a connection - is
done inside :meth:`ConsentKeeper.steady`: no change is carried out meanwhile.

Threads: any.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventName, EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import Ledger, LedgerError
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.consent import Consented, ConsentFault, ConsentSetting
from fsd_agent.records.ledger import ConsentChanged
from fsd_agent.records.purpose import ALL_PURPOSES, Purpose
from fsd_agent.rules.privacy.consent import ConsentActs, consent_acts
from fsd_agent.rules.spool.lifecycle import LIVE
from fsd_agent.rules.trust.consent import HeardConsent, accept_consent, not_kept
from fsd_agent.wire.consent import ConsentError, decode_consent
from fsd_agent.wire.floors import FloorError, decode_consent_floor, encode_consent_floor
from fsd_firmware.contract import FirmwareError

LOOK_EVERY_NS = 1_000_000_000
"""A withdrawal stops everything within this time, for one small file read a second."""
LOST_NS = 600_000_000_000
"""Longer than firmware takes to restart or to be updated; shorter than anybody would call "kept"."""
STATE_KEY = "consent"

_NOTHING = frozenset[Purpose]()


class Consents(Protocol):
    """Who knows what is consented to."""

    @property
    def now(self) -> Consented:
        """The answer now."""
        ...

    def steady(self) -> AbstractContextManager[Consented]:
        """The answer, which stays right until the context ends. Others wait meanwhile: be quick."""
        ...


class ConsentKeeper:
    """See the module."""

    def __init__(
        self,
        document: Callable[[], bytes | None],
        *,
        keys: VehicleKeys,
        journal: Journal,
        ledger: Ledger,
        clock: Clock,
        events: EventSink,
    ) -> None:
        """Nothing is looked at yet. Raises ``LedgerError``, ``JournalError`` and ``FloorError``.

        A ledger that was begun anew takes over what the journal says was in force.
        """
        self._document = document
        self._keys = keys
        self._journal = journal
        self._ledger = ledger
        self._clock = clock
        self._events = events
        self._lock = threading.RLock()
        self._looked_ns: int | None = None
        self._lost_since_ns: int | None = None
        self._unsettled = True
        """Keys of before may be left."""
        self._told: object = None
        self._fault_told: str | None = None
        self.trouble = ""
        """Why there is less consent than there could be; empty where there is no fault."""
        self._now = Consented(_NOTHING, _NOTHING, 0)
        if ledger.consent() is None and (floor := self._floor()) is not None and floor.given:
            ledger.append(*(ConsentChanged(purpose, given=True) for purpose in sorted(floor.given)))

    @property
    def now(self) -> Consented:
        """See :class:`Consents`."""
        with self.steady() as consented:
            return consented

    @contextmanager
    def steady(self) -> Iterator[Consented]:
        """See :class:`Consents`."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            if self._looked_ns is None or now_ns - self._looked_ns >= LOOK_EVERY_NS:
                self.look()
            yield self._now

    def look(self) -> Consented:
        """Look at firmware's document now, and carry out what has changed."""
        with self._lock:
            self._looked_ns = self._clock.monotonic_ns()
            wanted, fault, detail = self._wanted(self._looked_ns)
            if self._unsettled or (wanted is not None and wanted != self._in_force()):
                self._carry_out(wanted)
            in_force = self._in_force()
            given = in_force & wanted if wanted is not None else _NOTHING
            self._now = Consented(given, in_force, self._now.withdrawals)
            self._tell(given, fault, detail)
            return self._now

    def _wanted(self, now_ns: int) -> tuple[frozenset[Purpose] | None, ConsentFault | None, str]:
        """What the user wants, None where nobody can say; why there is less than the document gives."""
        heard = self._hear()
        if isinstance(heard, HeardConsent):
            self._lost_since_ns = None
            return heard.given, heard.fault, heard.detail
        if self._lost_since_ns is None:
            self._lost_since_ns = now_ns
        lost = now_ns - self._lost_since_ns >= LOST_NS
        return (_NOTHING if lost else None), heard.fault, str(heard)

    def _hear(self) -> HeardConsent | ConsentError:
        try:
            document = self._document()
            if document is None:
                return ConsentError("firmware has no consent document", ConsentFault.MISSING)
            setting, floor = decode_consent(document), self._floor()
        except FirmwareError as error:
            return ConsentError(str(error), ConsentFault.UNREADABLE)
        except ConsentError as error:
            return error
        except (JournalError, FloorError) as error:
            return ConsentError(str(error), ConsentFault.NOT_KEPT)
        heard = accept_consent(setting, floor)
        if heard.floor != floor:
            try:
                self._journal.set_state(STATE_KEY, encode_consent_floor(heard.floor))
            except JournalError as error:
                return not_kept(heard, floor, str(error))
        return heard

    def _floor(self) -> ConsentSetting | None:
        kept = self._journal.get_state(STATE_KEY)
        return None if kept is None else decode_consent_floor(kept)

    def _in_force(self) -> frozenset[Purpose]:
        return self._ledger.consent() or _NOTHING

    def _carry_out(self, wanted: frozenset[Purpose] | None) -> None:
        """All but giving clips up, which is for who works on them; what fails is tried again at the next look."""
        self._unsettled = True
        try:
            acts = self._decide(self._in_force(), wanted)
            if acts.withdraw:
                self._ledger.append(*(ConsentChanged(purpose, given=False) for purpose in acts.withdraw))
                self._now = Consented(_NOTHING, self._in_force(), self._now.withdrawals + 1)
            for compartment in acts.destroy:
                self._keys.destroy_compartment(*compartment)
            self._journal.untell(purposes=ALL_PURPOSES - self._in_force())
            if acts.give:
                self._ledger.append(*(ConsentChanged(purpose, given=True) for purpose in acts.give))
        except LedgerError as error:
            self._fail("ledger_failed", error)
        except JournalError as error:
            self._fail("journal_failed", error)
        except VehicleKeyError as error:
            self._fail("disk_failed", error)
        else:
            self._unsettled, self._fault_told = bool(acts.destroy), None

    def _decide(self, in_force: frozenset[Purpose], wanted: frozenset[Purpose] | None) -> ConsentActs:
        """Clips count only for consent that is new; there may be thousands, and sensing may be who asks."""
        clips: tuple[ClipRow, ...] = self._journal.clips(LIVE) if (wanted or _NOTHING) - in_force else ()
        return consent_acts(in_force, wanted, clips=clips, keys=self._keys.compartments())

    def _fail(self, event: EventName, error: Exception) -> None:
        """Told once for each fault."""
        if str(error) != self._fault_told:
            self._fault_told = str(error)
            self._events.emit(event, clip="", what=str(error))

    def _tell(self, given: frozenset[Purpose], fault: ConsentFault | None, detail: str) -> None:
        self.trouble = f"{fault}: {detail}" if fault is not None else ""
        if (given, fault) != self._told:
            self._told = given, fault
            self._events.emit(
                "consent",
                given=[str(purpose) for purpose in sorted(given)],
                reason=str(fault or ""),
                detail=detail,
            )
