"""The demo's last look: what ``fsdctl audit verify`` says of each vehicle's ledger, against every region's store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsd_agent.rules.audit.clip_account import ClipAccount, Where
from fsd_tools.audit.verify import Audit, run_audit

ENDED = frozenset({Where.DELIVERED, Where.NOWHERE})


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """One vehicle's ledger."""

    vehicle: str
    command: str
    """What a person runs to see the same."""
    records: int
    root: str
    """Merkle root over them, hexadecimal; empty where the ledger is not whole."""
    delivered: int
    """Clips that are at their region."""
    given_up: int
    receipts_verified: int
    heads_told: int
    complaints: tuple[str, ...]


def audit_ledgers(
    ledgers: Mapping[str, Path], regions: Sequence[Path], delivered: Mapping[str, Collection[str]]
) -> tuple[LedgerAccount, ...]:
    """By vehicle; ``delivered`` are the clips that its journal calls delivered. Raises ``ToolError``."""
    return tuple(
        _account(vehicle, run_audit(path, regions, {}, ()), regions, delivered[vehicle])
        for vehicle, path in ledgers.items()
    )


def _account(
    vehicle: str, audit: Audit, regions: Sequence[Path], delivered: Collection[str]
) -> LedgerAccount:
    clips, found = audit.clips, audit.examined
    where = [clip.where for clip in clips.values()]
    return LedgerAccount(
        vehicle=vehicle,
        command=f"fsdctl audit verify {audit.ledger} --receipts {' '.join(map(str, regions))}",
        records=found.size,
        root=found.tree().root(found.size).hex() if found.intact else "",
        delivered=where.count(Where.DELIVERED),
        given_up=where.count(Where.NOWHERE),
        receipts_verified=sum(clip.receipt_checked for clip in clips.values()),
        heads_told=audit.told,
        complaints=(
            *(f"{vehicle}: ledger: {finding}" for finding in audit.findings),
            *_against_the_journal(vehicle, clips, set(delivered)),
        ),
    )


def _against_the_journal(
    vehicle: str, clips: Mapping[str, ClipAccount], delivered: set[str]
) -> tuple[str, ...]:
    """Two accounts of the vehicle's own that must say the same."""
    said = {clip_id for clip_id, clip in clips.items() if clip.where is Where.DELIVERED}
    differ = [
        f"{vehicle}: clip {clip_id} is delivered by the {'ledger' if clip_id in said else 'journal'} alone"
        for clip_id in sorted(said ^ delivered)
    ]
    left = [
        f"{vehicle}: clip {clip_id} is {clip.where} by the ledger"
        for clip_id, clip in clips.items()
        if clip.where not in ENDED
    ]
    return (*differ, *left)
