"""Once at start, before anything new is accepted: bring journal, staging and spool to agree.

What to do is decided by ``rules/spool/recover.py``; here it is done and reported: what the ledger says was decided is
carried through first (``recover_ledger.py``), then what the user has said meanwhile (``consent.py``), then the journal's
rows, then every erasure is recorded in the ledger, in one batch, and then files go, those in quarantine too. It may be cut off anywhere and started again.

Clips that wait in peace (``rules/spool/at_rest.py``) are told apart first, all at once: there may be fifty thousand of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fsd_agent.pipeline.consent import ConsentKeeper
from fsd_agent.pipeline.recover_ledger import LedgerRecovery, restless
from fsd_agent.ports.journal import Journal
from fsd_agent.ports.ledger import Ledger
from fsd_agent.ports.spool import SpoolStore, Staging
from fsd_agent.ports.vehicle_keys import VehicleKeys
from fsd_agent.records.clip import ClipPlace, ClipRow
from fsd_agent.records.clip_ids import ID_BYTES, IdsAt, pack_ids, unpack_ids
from fsd_agent.rules.id_sets import without
from fsd_agent.rules.spool.at_rest import at_rest
from fsd_agent.rules.spool.recover import Action, CloseCut, Drop, EraseSealed, EraseStaging, Place, recover


class RecoveryRefusedError(Exception):
    """Journal and spool are not of the same vehicle's life; nothing was changed. A person must decide."""


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What was found and done."""

    live: int
    """Clips that the journal still owed something."""
    closed_cut: int
    dropped: int
    erased_staging: int
    erased_sealed: int
    swept: int
    """Unfinished files of interrupted puts, removed."""
    reasons: tuple[str, ...]
    """One line for each action."""


def apply_recovery(
    journal: Journal,
    staging: Staging,
    spool: SpoolStore,
    ledger: Ledger,
    *,
    keys: VehicleKeys,
    consent: ConsentKeeper,
) -> RecoveryReport:
    """Decide and act; see the module.

    Raises :class:`RecoveryRefusedError` when there are sealed clips but the journal has never seen a firing:
    its file was removed or emptied, and going by it would erase them all. ``JournalError``, ``SpoolError``,
    ``VehicleKeyError`` and ``LedgerError`` pass through.
    """
    staged, files = staging.entries(), spool.ids()
    _refuse_without_a_past(files, journal)
    account = LedgerRecovery(journal, spool, ledger)
    waiting = at_rest(journal.sealed_ids(), ledger.at_rest(), files, pack_ids(one for _, one in staged))
    made_up = account.finish_moves(waiting)
    consented, having_keys = consent.look().in_force, keys.compartments()
    waiting = {at: ids for at, ids in waiting.items() if at in having_keys and at.purpose in consented}
    sealed = _places(files, but=waiting)
    rows = _Rows(journal, account, waiting)
    actions = recover(
        rows.of(staged | sealed),
        staged,
        sealed,
        keys=having_keys,
        consented=consented,
    )
    _settle(actions, journal, account, rows.settled)
    account.close_accounts(rows.settled, waiting)
    _erase(actions, staging, spool)
    consent.look()  # Nothing of before is left: consent that is new may count from the first sample on
    return _report(actions, made_up, live=rows.live, swept=spool.sweep())


def _refuse_without_a_past(files: IdsAt, journal: Journal) -> None:
    """Sealed clips of a journal that has never accepted anything are another one's."""
    if files and not journal.totals():
        message = (
            f"the spool holds {_count(files)} sealed clips, but the journal has never accepted a firing: it was "
            "removed or replaced. Restore the journal, or move the spool's folders away to start anew"
        )
        raise RecoveryRefusedError(message)


def _places(files: IdsAt, *, but: IdsAt) -> frozenset[Place]:
    """One by one."""
    return frozenset(
        (at, clip_id) for at, ids in files.items() for clip_id in unpack_ids(without(ids, but.get(at, b"")))
    )


def _settle(actions: Sequence[Action], journal: Journal, account: LedgerRecovery, settled: set[str]) -> None:
    """The rows; who is given up is settled no more."""
    for action in actions:
        if isinstance(action, CloseCut):
            journal.captured(action.clip_id, cut=True)
        elif isinstance(action, Drop):
            account.drop(action)
            settled.discard(action.clip_id)


def _erase(actions: Sequence[Action], staging: Staging, spool: SpoolStore) -> None:
    """The files; that they go is in the ledger."""
    for place in spool.aside():
        spool.let_go(*place)
    for action in actions:
        if isinstance(action, EraseStaging):
            staging.erase(action.compartment, action.clip_id)
        elif isinstance(action, EraseSealed):
            spool.erase(action.compartment, action.clip_id)


def _report(actions: Sequence[Action], made_up: tuple[str, ...], *, live: int, swept: int) -> RecoveryReport:
    counts = Counter(map(type, actions))
    return RecoveryReport(
        live=live,
        closed_cut=counts[CloseCut],
        dropped=counts[Drop],
        erased_staging=counts[EraseStaging],
        erased_sealed=counts[EraseSealed],
        swept=swept,
        reasons=(
            *made_up,
            *(f"{type(action).__name__} {action.clip_id}: {action.why}" for action in actions),
        ),
    )


class _Rows:
    """What recovery is decided on, one by one."""

    def __init__(self, journal: Journal, account: LedgerRecovery, resting: IdsAt) -> None:
        self.live = _count(resting)
        """Rows in a live state, so far."""
        self.settled: set[str] = set()
        """Those whose account in the ledger needs no end."""
        self._journal = journal
        self._account = account
        self._resting = resting

    def of(self, files: frozenset[Place]) -> Iterator[ClipRow | ClipPlace]:
        """Every live row that is not at rest, then those of leftover ``files``: of years of finished clips no others."""
        leftover = {clip_id for _, clip_id in files}
        for place in restless(self._journal, self._resting):
            self.live += 1
            leftover.discard(place.clip_id)
            if self._account.is_settled(place):
                self.settled.add(place.clip_id)
            yield place
        for clip_id in sorted(leftover):
            row = self._journal.clip(clip_id)
            if row is not None:
                yield row


def _count(ids: IdsAt) -> int:
    return sum(map(len, ids.values())) // ID_BYTES
