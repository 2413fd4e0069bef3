"""Signed heads between the records of a segment: the device's, in place, often enough, and of these very records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fsd_agent.records.ledger import Checkpoint, Head
from fsd_agent.rules.audit.findings import Finding, FindingKind
from fsd_agent.rules.audit.state import SIGN_EVERY
from fsd_agent.wire.ledger import LedgerFormatError, LedgerSignatureError, Signed, decode_head
from fsd_agent.wire.ledger_file import HEAD, Frame


@dataclass(frozen=True, slots=True)
class StandingHead:
    """A head frame as it stands in a segment."""

    behind: int
    """Highest number of a record above it; where there is none, one less than the segment's first."""
    head: Head | None
    """None where it counts for nothing."""
    why: str = ""


def standing_heads(
    frames: Sequence[Frame], numbers: Mapping[int, int], first: int, keys: Mapping[str, bytes]
) -> list[StandingHead]:
    """The heads of a segment; ``numbers`` are those of its record frames, by offset."""
    found = []
    behind = first - 1
    for frame in frames:
        if frame.kind == HEAD:
            found.append(_read(frame, behind, keys))
        else:
            behind = max(behind, numbers[frame.offset])
    return found


def head_findings(
    heads: Sequence[StandingHead],
    *,
    first: int,
    checks: Mapping[int, bytes],
    roots: Mapping[int, bytes],
    named: Sequence[Finding],
    file: str,
) -> Iterator[Finding]:
    """Compare with the records' ``checks`` by number and the ``roots`` by size, where they are known.

    ``named`` are findings of this segment so far: a record that is named there explains that it is not as signed.
    """
    end = max(checks, default=first - 1) + 1
    signed_to = first
    for one in heads:
        fault = one.why or _misplaced(one, checks)
        if fault or one.head is None:
            yield Finding(FindingKind.BAD_SIGNATURE, file, one.behind, f"the head behind it {fault}")
            continue
        head = one.head
        wrong = (
            checks.get(head.size - 1, head.chain) != head.chain
            or roots.get(head.size, head.root) != head.root
        )
        explained = any(finding.number in range(signed_to, head.size) for finding in named)
        if wrong and not explained:
            yield not_as_signed(file, signed_to, head.size)
        yield from _unsigned(file, signed_to, head.size)
        signed_to = max(signed_to, head.size)
    yield from _unsigned(file, signed_to, end)


def not_as_signed(file: str, start: int, size: int) -> Finding:
    """One of these records was changed, and the chain made anew behind it."""
    which = f"record {start}" if size == start + 1 else f"something in records {start} to {size - 1}"
    detail = f"{which} is not what the device signed; the chain was made anew behind the change"
    return Finding(FindingKind.NOT_AS_SIGNED, file, start, detail)


def signature_fault(signed: Signed[Head] | Signed[Checkpoint], keys: Mapping[str, bytes]) -> str:
    """Why none of ``keys`` (raw Ed25519, by key id) signed this; empty when its own key did."""
    value = signed.value
    key_id = value.device_key_id if isinstance(value, Head) else value.head.device_key_id
    key = keys.get(key_id)
    if key is None:
        return f"names device key {key_id}, which is none of {', '.join(sorted(keys)) or 'those given'}"
    try:
        signed.verify(key)
    except LedgerSignatureError as error:
        return f"is {error}"
    return ""


def _read(frame: Frame, behind: int, keys: Mapping[str, bytes]) -> StandingHead:
    try:
        signed = decode_head(frame.body)
    except LedgerFormatError as error:
        return StandingHead(behind, None, f"can't be read: {error}")
    fault = signature_fault(signed, keys)
    if fault:
        return StandingHead(behind, None, fault)
    if not frame.continues(signed.value.chain):
        return StandingHead(behind, None, "has a wrong check")
    return StandingHead(behind, signed.value)


def _misplaced(one: StandingHead, checks: Mapping[int, bytes]) -> str:
    """Whether it stands elsewhere than behind its last record. Missing records are named elsewhere."""
    head = one.head
    if (
        head is None
        or head.size == one.behind + 1
        or (head.size - 1 not in checks and head.size > one.behind)
    ):
        return ""
    return f"is that of record {head.size - 1}: it was moved"


def _unsigned(file: str, since: int, end: int) -> Iterator[Finding]:
    if end - since > SIGN_EVERY:
        detail = f"no head up to record {end - 1}; the device signs after {SIGN_EVERY} records at the latest"
        yield Finding(FindingKind.UNSIGNED, file, since, detail)
