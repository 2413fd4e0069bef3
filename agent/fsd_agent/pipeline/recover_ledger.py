"""Bringing ledger and journal to agree at start; the ledger is written before each act, so it may be one step ahead.

| the ledger says | the journal says | then |
| --- | --- | --- |
| nothing of the clip | live | it is older than this ledger: its account is taken from the row and the file's manifest |
| given up | live | it is dropped, for the ledger's reason |
| sealed, and the file is that one | CAPTURED | the row becomes SEALED |
| sealed, and the file is not that one | CAPTURED | the sealed copy is erased as ``redone``; the clip is sealed again |
| receipted | SEALED, or CAPTURED, which becomes SEALED first | the row becomes DELIVERED, whatever the user has said since: the clip is its region's. Where the receipt itself is in an older file, the region is asked again, and it is not recorded twice |
| a copy that the row's state has no use for | any | its erasure is recorded, with the cause that the state tells |
| consent to its purpose is not given | live | left to ``rules/spool/recover.py``, which drops it |
| a clip | nothing | it was never accepted: given up, and its copies erased |

A copy whose erasure was recorded and whose file is still there goes without a second record. So does a file that the
ledger never heard of: the remains of a staging or sealing that was cut off before its record, or a stranger's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from fsd_agent.pipeline.book import ClipBook, before_the_ledger, cause_of, holds
from fsd_agent.ports.journal import Journal
from fsd_agent.ports.ledger import Ledger
from fsd_agent.ports.spool import SpoolError, SpoolStore
from fsd_agent.records.clip import ClipPlace, ClipRow, ClipState
from fsd_agent.records.clip_ids import IdsAt, unpack_ids
from fsd_agent.records.ledger import Cause, Copy, Dropped, Erased, Fact, LiveClip
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.id_sets import without
from fsd_agent.rules.spool.lifecycle import LIVE
from fsd_agent.rules.spool.recover import Drop
from fsd_agent.wire.sealed import SealedError

_STAGED_IN = frozenset({ClipState.STAGED, ClipState.CAPTURED})
_CAUSES = {
    (ClipState.SEALED, Copy.STAGED): Cause.SEALED,
    (ClipState.DELIVERED, Copy.STAGED): Cause.SEALED,
    (ClipState.DELIVERED, Copy.SEALED): Cause.RECEIPTED,
    (ClipState.STAGED, Copy.SEALED): Cause.REDONE,
    (ClipState.CAPTURED, Copy.SEALED): Cause.REDONE,
}


class LedgerRecovery:
    """See the module. Every method may raise ``LedgerError`` and ``JournalError``."""

    def __init__(self, journal: Journal, spool: SpoolStore, ledger: Ledger) -> None:
        self._journal = journal
        self._spool = spool
        self._ledger = ledger
        self._book = ClipBook(ledger)

    def finish_moves(self, resting: IdsAt) -> tuple[str, ...]:
        """Carry through what the ledger says of live rows that are not at rest; one line for each."""
        consented = self._ledger.consent() or frozenset()
        return tuple(
            line
            for place in restless(self._journal, resting)
            if self._is_behind(place)
            for line in self._finish_move(place, consented=place.purpose in consented)
        )

    def _is_behind(self, place: ClipPlace | ClipRow) -> bool:
        """Whether there can be anything to carry through; of what waits for delivery there hardly ever is."""
        known = self._book.known(place.clip_id)
        return known is None or bool(known.dropped) or known.receipted or place.state is ClipState.CAPTURED

    def _finish_move(self, place: ClipPlace | ClipRow, *, consented: bool) -> Iterator[str]:
        row = self._journal.clip(place.clip_id)
        if row is None:
            raise AssertionError(f"clip {place.clip_id} left the journal")
        if self._book.known(row.clip_id) is None and consented:
            self._ledger.append(*self._account_of(row))
            yield f"Recorded {row.clip_id}: it is older than the ledger"
        reason = self._book.given_up_before(row)
        if reason is not None:
            self._journal.dropped(row.clip_id, reason, "recorded in the ledger before the stop")
            yield f"Dropped {row.clip_id}: the ledger says so: {reason}"
            return
        receipt = self._book.receipted_before(row)
        state = row.state
        if state is ClipState.CAPTURED and (consented or receipt is not None):
            sealed = self._book.sealed_before(row, self._spool)
            if sealed is not None:
                self._journal.sealed(sealed)
                state = ClipState.SEALED
                yield f"Sealed {row.clip_id}: the ledger names its file"
        if state is ClipState.SEALED and receipt is not None:
            self._journal.delivered(row.clip_id, receipt=receipt)
            yield f"Delivered {row.clip_id}: the ledger has its receipt"

    def _account_of(self, row: ClipRow) -> tuple[Fact, ...]:
        firings = self._journal.firings_of(row.clip_id)
        try:
            return before_the_ledger(row, firings, self._spool)
        except (
            SpoolError,
            SealedError,
        ):  # Damaged or gone: it will be dropped, and needs no more than a beginning
            return before_the_ledger(_unsealed(row), firings, self._spool)

    def drop(self, action: Drop) -> None:
        """Give a clip up: in the ledger first, where that ever heard of it."""
        row = self._journal.clip(action.clip_id)
        if row is not None and self._book.known(action.clip_id) is not None:
            self._book.dropped(row, action.reason)
        self._journal.dropped(action.clip_id, action.reason, action.why)

    def close_accounts(self, settled: Collection[str], resting: IdsAt) -> None:
        """Record the erasure of every copy that no row has a use for, in one batch; then the files may go.

        ``settled``: ids of clips that need none, beside those at rest.
        """
        facts: list[Fact] = []
        for clip in self._ledger.live(but=b"".join(resting.values())):
            if clip.clip_id not in settled:
                facts += _endings(clip, self._journal.clip(clip.clip_id))
        if facts:
            self._ledger.append(*facts)

    def is_settled(self, place: ClipPlace | ClipRow) -> bool:
        """Whether its row, as long as it is not given up, has a use for every copy that the ledger knows of."""
        clip = self._ledger.clip(place.clip_id)
        return (
            clip is not None
            and clip.region_id == place.region_id
            and all(_has_use(place.state, copy) for copy in Copy if holds(clip, copy))
        )


def restless(journal: Journal, resting: IdsAt) -> Iterator[ClipPlace | ClipRow]:
    """Live rows, but for those at rest. Raises ``JournalError``."""
    yield from journal.each(LIVE - {ClipState.SEALED})
    for compartment, ids in journal.sealed_ids().items():
        yield from filter(None, map(journal.clip, unpack_ids(without(ids, resting.get(compartment, b"")))))


def _endings(clip: LiveClip, row: ClipRow | None) -> Iterator[Fact]:
    """What is recorded of a clip before its files go."""
    if row is None or row.region_id != clip.region_id:
        reason, state = DropReason.NEVER_ACCEPTED, ClipState.DROPPED
    else:
        reason, state = row.drop or DropReason.NEVER_ACCEPTED, row.state
    gone = [copy for copy in Copy if holds(clip, copy) and not _has_use(state, copy)]
    if gone and state is ClipState.DROPPED and not clip.dropped:
        yield Dropped(clip.clip_id, clip.region_id, reason)
    for copy in gone:
        cause = cause_of(reason) if state is ClipState.DROPPED else _CAUSES[state, copy]
        yield Erased(clip.clip_id, clip.region_id, copy, cause)


def _has_use(state: ClipState, copy: Copy) -> bool:
    return state in _STAGED_IN if copy is Copy.STAGED else state is ClipState.SEALED


def _unsealed(row: ClipRow) -> ClipRow:
    return replace(row, sha256=b"")
