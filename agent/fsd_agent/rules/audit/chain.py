"""Is the ledger what the device wrote? Every record that was removed, changed, moved or repeated is named.

By number where the chain tells (the record itself was touched), by range where only a signature does: who changes a
record and makes the chain anew can't sign it, so the records since the head before are named, ``SIGN_EVERY`` at most.
After damage, chains are checked on from the next record, and roots from the next segment's checkpoint.

Not shown here: records removed from the very end together with every head behind them. For that a region's memory of
what it was told is needed (:func:`told_findings`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from fsd_agent.records.ledger import Checkpoint, Entry, Head, KeyRotated, SegmentRemoved, Started
from fsd_agent.rules.audit.findings import Finding, FindingKind
from fsd_agent.rules.audit.heads import head_findings, not_as_signed, signature_fault, standing_heads
from fsd_agent.rules.audit.keys import Signature, key_findings, learned_keys
from fsd_agent.rules.audit.merkle import Frontier, Tree, leaf_hash
from fsd_agent.rules.audit.order import Placed, order_findings, place
from fsd_agent.rules.audit.state import LedgerState
from fsd_agent.wire.ledger import Signed
from fsd_agent.wire.ledger_file import RECORD, START_CHAIN, Frame, Segment, frame_check

_K = FindingKind


@dataclass(frozen=True, slots=True)
class Located:
    """A record and where it lies."""

    entry: Entry
    file: str


@dataclass(slots=True)
class Examined:
    """What stands in the ledger, and what is wrong with it."""

    records: list[Located] = field(default_factory=list)
    """Every readable record once, by number."""
    findings: list[Finding] = field(default_factory=list)
    first: int = 0
    """Number of the first record that should be there."""
    start: Checkpoint | None = None
    """Of the oldest segment."""
    size: int = 0
    leaves: list[bytes] = field(default_factory=list)
    """Leaf hashes from ``first`` on, for as long as nothing was wrong."""
    intact: bool = True
    """Whether ``leaves`` holds every record."""
    signed_size: int = 0
    """Records that the newest sound signature covers."""
    keys: Mapping[str, bytes] = field(default_factory=dict)
    """Device public keys by id: those given, and those that the ledger hands over to."""

    def tree(self) -> Tree:
        """For roots and proofs."""
        return Tree(self.leaves, Frontier(self.first, self.start.peaks if self.start else ()))


def examine(
    segments: Sequence[tuple[str, Segment]], keys: Mapping[str, bytes], *, former: Collection[str] = ()
) -> Examined:
    """Check files (name, content) in the order of their names; ``keys`` are device public keys by key id.

    ``former``: ids of those whose successors are all among ``keys``.
    """
    keys = learned_keys(segments, keys, former)
    found = Examined(keys=keys)
    if not segments:
        found.findings.append(Finding(_K.NO_LEDGER, "ledger", None, "there is no segment"))
    reader = _Reader(found, keys)
    for index, (file, segment) in enumerate(segments):
        following = segments[index + 1][1].checkpoint.value.head.size if index + 1 < len(segments) else None
        reader.read(file, segment, following)
    found.findings.extend(_key_findings(found, reader.signatures))
    found.findings.extend(_beginning(found))
    found.findings.extend(_clocks(found.records))
    return found


def told_findings(
    found: Examined, told: Iterable[tuple[str, Signed[Head]]], keys: Mapping[str, bytes]
) -> Iterator[Finding]:
    """Compare with the signed heads that regions were told (source, head)."""
    tree = found.tree()
    for source, signed in told:
        head = signed.value
        fault = signature_fault(signed, keys)
        if fault:
            yield Finding(_K.BAD_SIGNATURE, source, None, f"the head over {head.size} records {fault}")
        elif head.size > found.size:
            detail = f"{head.size} records were told, {found.size} are there: the newest were removed"
            yield Finding(_K.NOT_AS_TOLD, source, found.size, detail)
        elif found.intact and head.size >= found.first and tree.root(head.size) != head.root:
            detail = f"the root over the first {head.size} records is not the one that was told"
            yield Finding(_K.NOT_AS_TOLD, source, None, detail)


class _Reader:
    """Goes through the segments; see the module."""

    def __init__(self, found: Examined, keys: Mapping[str, bytes]) -> None:
        self._found = found
        self._keys = keys
        self._chain = START_CHAIN
        """Check of the record before."""
        self._state: LedgerState | None = None
        """As the records make it; None from the first damage of a segment on."""
        self._roots: dict[int, bytes] = {}
        """By size, where a head is."""
        self.signatures: list[Signature] = []
        """Sound ones, in the order in which they stand."""

    def read(self, file: str, segment: Segment, following: int | None) -> None:
        """``following``: number of the next segment's first record, None for the newest."""
        found, before = self._found, len(self._found.findings)
        first = self._begin(file, segment)
        placed = place([frame for frame in segment.frames if frame.kind == RECORD], first)
        numbers = {one.frame.offset: one.number for one in placed}
        heads = standing_heads(segment.frames, numbers, first, self._keys)
        sound = [one.head for one in heads if one.head is not None]
        self.signatures += [Signature(file, head.size, head.device_key_id) for head in sound]
        sizes = {head.size for head in sound}
        end = following if following is not None else max(sizes, default=None)
        order = [*_gaps(file, segment, newest=following is None), *order_findings(placed, first, end, file)]
        found.findings.extend(order)
        if order:
            self._damaged()
        checks = self._records(file, placed, first, sizes)
        named = found.findings[before:]
        wrong = list(
            head_findings(heads, first=first, checks=checks, roots=self._roots, named=named, file=file)
        )
        found.findings.extend(wrong)
        found.intact &= not wrong
        found.size = max([found.size, first, *(number + 1 for number in checks)])
        found.signed_size = max([found.signed_size, *(size for size in sizes if size <= found.size)])

    def _begin(self, file: str, segment: Segment) -> int:
        """Check what the segment says of everything before it, and go on from there."""
        found, checkpoint = self._found, segment.checkpoint.value
        head = checkpoint.head
        fault = signature_fault(segment.checkpoint, self._keys)
        if fault:
            found.findings.append(Finding(_K.BAD_SIGNATURE, file, None, f"its checkpoint {fault}"))
        else:
            found.signed_size = max(found.signed_size, head.size)
            self.signatures.append(Signature(file, head.size, head.device_key_id))
        sound = _consistent(checkpoint)
        if not sound:
            detail = f"its checkpoint contradicts itself: root, subtrees or chain of {head.size} records"
            found.findings.append(Finding(_K.BAD_FILE, file, None, detail))
        if found.start is None:
            found.start, found.first, found.size = checkpoint, head.size, head.size
        else:
            found.findings.extend(self._joins(file, checkpoint))
        self._chain = head.chain
        self._state = LedgerState.after(checkpoint) if sound else None
        return head.size

    def _joins(self, file: str, checkpoint: Checkpoint) -> Iterator[Finding]:
        """Whether the segment begins where the one before it ends; records missing there are named there."""
        found, head, made = self._found, checkpoint.head, self._state
        again = made and made.checkpoint(wall_ns=head.wall_ns, device_key_id=head.device_key_id)
        if head.size < found.size:
            detail = f"begins with record {head.size}, the file before ends with record {found.size - 1}"
            yield Finding(_K.REPEATED, file, head.size, detail)
        elif head.size == found.size and self._chain != head.chain:
            yield not_as_signed(file, min(found.signed_size, head.size - 1), head.size)
        elif head.size == found.size and again is not None and again != checkpoint:
            yield Finding(_K.BAD_FILE, file, None, "its checkpoint is not what the records before it make")
        elif head.size == found.size:
            return
        self._damaged()

    def _damaged(self) -> None:
        self._state, self._found.intact = None, False

    def _records(self, file: str, placed: Sequence[Placed], first: int, sizes: set[int]) -> dict[int, bytes]:
        """Check the chain and collect the records; their checks by number, as far as they can be told."""
        found, by_number = self._found, {one.number: one for one in reversed(placed)}
        checks = {number: one.frame.check for number, one in by_number.items()}
        checks[first - 1] = self._chain
        for number in sorted(by_number):
            one = by_number[number]
            fault, check = _changed(one, checks.get(number - 1), by_number.get(number + 1))
            checks[number] = self._chain = check
            if fault:
                detail = f"{fault}, at byte {one.frame.offset}"
                found.findings.append(Finding(_K.CHANGED, file, number, detail))
                self._damaged()
            elif one.entry is not None and number >= self._next():
                found.records.append(Located(one.entry, file))
            if self._state is not None and one.entry is not None:
                self._add(self._state, one.entry, one.frame, sizes)
        del checks[first - 1]
        return checks

    def _add(self, state: LedgerState, entry: Entry, frame: Frame, sizes: set[int]) -> None:
        state.add(entry, frame.body, frame.check)
        if state.size in sizes:
            self._roots[state.size] = state.frontier.root()
        if self._found.intact:
            self._found.leaves.append(leaf_hash(frame.body))

    def _next(self) -> int:
        records = self._found.records
        return records[-1].entry.number + 1 if records else self._found.first


def _consistent(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint's parts fit each other; the one before record 0 holds nothing."""
    head = checkpoint.head
    if len(checkpoint.peaks) != head.size.bit_count():
        return False
    state = LedgerState.after(checkpoint) if head.size else LedgerState()
    return checkpoint == state.checkpoint(wall_ns=head.wall_ns, device_key_id=head.device_key_id)


def _gaps(file: str, segment: Segment, *, newest: bool) -> Iterator[Finding]:
    for gap in segment.gaps:
        where = f"{gap.length} bytes at byte {gap.offset} are no whole record"
        if gap.last and newest:
            detail = f"{where}: a power cut leaves this, and the agent cuts it off when it starts"
            yield Finding(_K.TORN, file, None, detail)
        else:
            yield Finding(_K.UNREADABLE, file, None, where)


def _changed(one: Placed, before: bytes | None, following: Placed | None) -> tuple[str, bytes]:
    """(what is wrong with a record, empty when nothing is; its check, as it must have been)."""
    frame = one.frame
    if before is None or frame.continues(before):
        return one.why, frame.check
    made = frame_check(frame.kind, before, frame.signed)
    if following is not None and following.frame.continues(made):
        return "its check is not what the device wrote", made
    return one.why or "it is not what the device wrote", frame.check


def _key_findings(found: Examined, signatures: Sequence[Signature]) -> Iterator[Finding]:
    if not signatures:
        return
    rotations = [
        (one.file, one.entry.number, one.entry.fact)
        for one in found.records
        if isinstance(one.entry.fact, KeyRotated)
    ]
    yield from key_findings(rotations, signatures, signatures[0].key_id)


def _beginning(found: Examined) -> Iterator[Finding]:
    """Records from 0 on must be there, or a record must say that they were removed."""
    removed = {one.entry.fact.size for one in found.records if isinstance(one.entry.fact, SegmentRemoved)}
    if found.first and found.first not in removed:
        yield Finding(
            _K.MISSING, "ledger", 0, f"records 0 to {found.first - 1}: not there, and none says why"
        )


def _clocks(records: Sequence[Located]) -> Iterator[Finding]:
    """The monotonic clock may go back only at a start."""
    for before, one in pairwise(records):
        if one.entry.mono_ns < before.entry.mono_ns and not isinstance(one.entry.fact, Started):
            yield Finding(
                _K.CLOCK, one.file, one.entry.number, "the monotonic clock goes back without a start"
            )
