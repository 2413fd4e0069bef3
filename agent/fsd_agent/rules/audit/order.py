"""Which record a frame is, and whether the frames of a segment are all there, once, and in order.

A frame's place is what its record says, with one exception: where the record behind it goes on from its check and is
the next but one, the frame stands where it was written, and a number that says otherwise was changed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fsd_agent.records.ledger import Entry
from fsd_agent.rules.audit.findings import Finding, FindingKind
from fsd_agent.wire.ledger import LedgerFormatError, decode_entry
from fsd_agent.wire.ledger_file import Frame


@dataclass(frozen=True, slots=True)
class Placed:
    """A record frame and the number that it has, or had."""

    number: int
    frame: Frame
    entry: Entry | None
    """None where the record can't be read, or says another number."""
    why: str = ""


def place(frames: Sequence[Frame], first: int) -> list[Placed]:
    """Number the record frames of a segment whose first record should be ``first``; see the module."""
    read = [_read(frame) for frame in frames]
    placed: list[Placed] = []
    for index, (frame, (entry, why)) in enumerate(zip(frames, read, strict=True)):
        expected = placed[-1].number + 1 if placed else first
        if entry is not None and (entry.number == expected or not _in_place(frames, read, index, expected)):
            placed.append(Placed(entry.number, frame, entry))
        elif entry is not None:
            placed.append(Placed(expected, frame, None, f"it says that it is record {entry.number}"))
        else:
            placed.append(Placed(expected, frame, None, why))
    return placed


def order_findings(placed: Sequence[Placed], first: int, end: int | None, file: str) -> Iterator[Finding]:
    """Records that are repeated, stand elsewhere than they were written, or are missing before ``end``."""
    moved = _moved([one.number for one in placed])
    seen: set[int] = set()
    for index, one in enumerate(placed):
        at = f"at byte {one.frame.offset}"
        if one.number in seen:
            yield Finding(FindingKind.REPEATED, file, one.number, f"is there again {at}")
        elif index in moved:
            before = f"behind record {placed[index - 1].number}" if index else "first"
            yield Finding(FindingKind.REORDERED, file, one.number, f"stands {at}, {before}")
        seen.add(one.number)
    yield from missing(sorted(seen), first, end, file)


def missing(numbers: Sequence[int], first: int, end: int | None, file: str) -> Iterator[Finding]:
    """Gaps in ``numbers`` (ascending) from ``first`` up to ``end``, or to the last of them."""
    expected = first
    for number in [*numbers, *([] if end is None else [end])]:
        if number > expected:
            which = f"record {expected}" if number == expected + 1 else f"records {expected} to {number - 1}"
            yield Finding(FindingKind.MISSING, file, expected, f"{which}: not there")
        expected = max(expected, number + 1)


def _read(frame: Frame) -> tuple[Entry | None, str]:
    try:
        return decode_entry(frame.body), ""
    except LedgerFormatError as error:
        return None, str(error)


def _in_place(
    frames: Sequence[Frame], read: Sequence[tuple[Entry | None, str]], index: int, expected: int
) -> bool:
    """Whether the frame behind ``index`` shows that this one is record ``expected``."""
    if index + 1 == len(frames):
        return False
    following = read[index + 1][0]
    is_next = following is not None and following.number == expected + 1
    return is_next and frames[index + 1].continues(frames[index].check)


def _moved(numbers: Sequence[int]) -> set[int]:
    """Indices of the fewest records that must have moved; of two that changed places, those two."""
    displaced = {
        index for index, (is_, was) in enumerate(zip(numbers, sorted(numbers), strict=True)) if is_ != was
    }
    moved = _outside_run(numbers) if displaced else displaced
    return moved if len(moved) < len(displaced) else displaced


def _outside_run(numbers: Sequence[int]) -> set[int]:
    """Indices outside a longest strictly increasing run."""
    ends: list[int] = []
    at: list[int] = []
    before: list[int] = []
    for index, number in enumerate(numbers):
        slot = bisect_left(ends, number)
        ends[slot : slot + 1] = [number]
        at[slot : slot + 1] = [index]
        before.append(at[slot - 1] if slot else -1)
    moved = set(range(len(numbers)))
    index = at[-1] if at else -1
    while index >= 0:
        moved.discard(index)
        index = before[index]
    return moved
