"""Once at start, before anything new is accepted: bring journal, staging and spool to agree.

What to do is decided by ``rules/spool/recover.py``; here it is done, journal first, and reported. It may be cut
off anywhere and started again.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsd_agent.ports.journal import Journal
from fsd_agent.ports.spool import SpoolStore, Staging
from fsd_agent.records.clip import ClipRow
from fsd_agent.rules.spool.lifecycle import LIVE
from fsd_agent.rules.spool.recover import Action, CloseCut, Drop, EraseStaging, recover


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


def apply_recovery(journal: Journal, staging: Staging, spool: SpoolStore) -> RecoveryReport:
    """Decide and act; see the module.

    Raises :class:`RecoveryRefusedError` when there are sealed clips but the journal has never seen a firing:
    its file was removed or emptied, and going by it would erase them all. ``JournalError`` and ``SpoolError``
    pass through.
    """
    staged, sealed = staging.entries(), spool.entries()
    if sealed and not journal.totals():
        message = (
            f"the spool holds {len(sealed)} sealed clips, but the journal has never accepted a firing: it was "
            "removed or replaced. Restore the journal, or move the spool's folders away to start anew"
        )
        raise RecoveryRefusedError(message)
    live = journal.clips(LIVE)
    actions = recover((*live, *_finished(journal, live, staged, sealed)), staged, sealed)
    for action in actions:
        _act(action, journal, staging, spool)
    return RecoveryReport(
        live=len(live),
        closed_cut=sum(isinstance(action, CloseCut) for action in actions),
        dropped=sum(isinstance(action, Drop) for action in actions),
        erased_staging=sum(isinstance(action, EraseStaging) for action in actions),
        erased_sealed=sum(not isinstance(action, CloseCut | Drop | EraseStaging) for action in actions),
        swept=spool.sweep(),
        reasons=tuple(f"{type(action).__name__} {action.clip_id}: {action.why}" for action in actions),
    )


def _finished(
    journal: Journal,
    live: tuple[ClipRow, ...],
    staged: frozenset[str],
    sealed: frozenset[tuple[str, str]],
) -> list[ClipRow]:
    """Rows of leftover files only: a journal may remember years of finished clips."""
    known = {row.clip_id for row in live}
    leftover = (staged | {clip_id for _, clip_id in sealed}) - known
    return [row for clip_id in sorted(leftover) if (row := journal.clip(clip_id)) is not None]


def _act(action: Action, journal: Journal, staging: Staging, spool: SpoolStore) -> None:
    """Carry one decision out."""
    if isinstance(action, CloseCut):
        journal.captured(action.clip_id, cut=True)
    elif isinstance(action, Drop):
        journal.dropped(action.clip_id, action.reason, action.why)
    elif isinstance(action, EraseStaging):
        staging.erase(action.clip_id)
    else:
        spool.erase(action.region_id, action.clip_id)
