"""Which device key signs where in a ledger: one, until a ``KeyRotated`` record hands over to the next.

A new key is believed where the record's statement is signed by the key before, which is known already: from regions, from
whoever gave it, or from the record before. A key that a region lists as a former one hands over to no key that is not known
already: the region has taken its successor, and who has stolen the old key names another. From that record on everything is signed by the new key, and nothing by the old.
Signatures in a run of such records, one directly after the other, may be any later key's of the run: the device has the
last one only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fsd_agent.records.ledger import KeyRotated
from fsd_agent.rules.audit.findings import Finding, FindingKind
from fsd_agent.wire.ledger import LedgerFormatError, decode_entry
from fsd_agent.wire.ledger_file import RECORD, Segment
from fsd_agent.wire.rotation import Rotation, RotationError, decode_rotation

_KIND = KeyRotated.__name__.encode()


@dataclass(frozen=True, slots=True)
class Signature:
    """A sound signature over the first ``size`` records, as it stands in a file."""

    file: str
    size: int
    key_id: str


def learned_keys(
    segments: Sequence[tuple[str, Segment]], keys: Mapping[str, bytes], former: Collection[str]
) -> dict[str, bytes]:
    """``keys`` (raw Ed25519, by key id), and those that rotation records lead to from one of them; ``former`` are key ids."""
    known = dict(keys)
    for _, segment in segments:
        for frame in segment.frames:
            if frame.kind != RECORD or _KIND not in frame.body:
                continue
            try:
                fact = decode_entry(frame.body).fact
            except LedgerFormatError:  # named by whoever reads the records
                continue
            rotation = _statement(fact) if isinstance(fact, KeyRotated) else None
            if isinstance(rotation, Rotation) and rotation.old_key_id in known.keys() - set(former):
                known[rotation.new_key_id] = rotation.new_key
    return known


def key_findings(
    rotations: Sequence[tuple[str, int, KeyRotated]], signatures: Sequence[Signature], first_key_id: str
) -> Iterator[Finding]:
    """Whether the right key signed everywhere; ``rotations`` are (file, number, fact), oldest first.

    ``first_key_id`` signed the oldest file's checkpoint.
    """
    steps: list[tuple[int, str]] = []
    at = first_key_id
    for file, number, fact in rotations:
        rotation = _statement(fact)
        if isinstance(rotation, str):
            yield Finding(FindingKind.BAD_SIGNATURE, file, number, rotation)
        elif rotation.old_key_id != at:
            detail = f"hands over from device key {rotation.old_key_id}, the ledger was signed by {at}"
            yield Finding(FindingKind.BAD_SIGNATURE, file, number, detail)
        else:
            at = rotation.new_key_id
            steps.append((number, at))
    for one in signatures:
        allowed = _in_force(one.size, first_key_id, steps)
        if one.key_id not in allowed:
            detail = f"signed by device key {one.key_id}; {allowed[-1]} signs there, and no record hands over"
            yield Finding(FindingKind.BAD_SIGNATURE, one.file, max(0, one.size - 1), detail)


def _in_force(size: int, first_key_id: str, steps: Sequence[tuple[int, str]]) -> list[str]:
    """Keys that may sign over the first ``size`` records."""
    allowed: list[str] = [first_key_id]
    following: int | None = None
    for number, key_id in steps:
        if number < size:
            allowed = [key_id]
        elif number == following:
            allowed.append(key_id)
        else:
            break
        following = number + 1
    return allowed


def _statement(fact: KeyRotated) -> Rotation | str:
    """What the record's statement says; in words what is wrong with it."""
    try:
        rotation = decode_rotation(fact.statement)
    except RotationError as error:
        return f"its statement: {error}"
    if (rotation.old_key_id, rotation.new_key_id) != (fact.old_key_id, fact.new_key_id):
        return f"its statement leads from {rotation.old_key_id} to {rotation.new_key_id}"
    return rotation
