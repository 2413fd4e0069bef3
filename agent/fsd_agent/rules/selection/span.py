"""Which windows of a clip are judged, which of them is the most promising, and which seconds are kept where that is less than all.

**Windows** are :data:`WINDOW_NS` long, a third of a second apart or, where that makes more than :data:`WINDOWS_MOST`, evenly over
the clip; one of the clip's own length where it is shorter.

**The most promising** is the one of the largest value. Several in a row may be worth the same, for what they show is in all of them, and
only at the edge of some: then one that holds it whole, which the ends of the row tell. Of what is left the one whose middle is
nearest to a firing, so that where all are alike the campaign's condition decides; then the earliest.

**The span that is kept** has the most promising window in its middle. Where it would reach beyond the clip it is moved, not
shortened, and still holds the window. All is kept where the clip is not longer than asked, and where nobody can say what is
best. A campaign can't ask for less than a window (``LIMITS.keep_min_ns``): no value says which part of one is best.

Whole nanoseconds in and out: a restart between choosing and cutting changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from fsd_agent.rules.selection.value import BESIDE_NS

WINDOW_NS: Final = 3_000_000_000
"""As long as the shipped head's; another length is told it in shares."""
STEP_NS: Final = BESIDE_NS
SHORTEST_NS: Final = 500_000_000
"""In less nobody can be seen to walk."""
WINDOWS_MOST: Final = 96
"""Of one camera by one who looked: those of half a minute, in half a second of a core."""

Span = tuple[int, int]
"""Begin and end, the end not included."""


def windows(start_ns: int, end_ns: int) -> Iterator[Span]:
    """Begin and end of each window that is judged."""
    spare_ns = end_ns - start_ns - WINDOW_NS
    if spare_ns <= 0:
        if end_ns - start_ns >= SHORTEST_NS:
            yield start_ns, end_ns
        return
    steps = min(-(-spare_ns // STEP_NS), WINDOWS_MOST - 1)
    for at in range(steps + 1):
        begin_ns = start_ns + spare_ns * at // steps
        yield begin_ns, begin_ns + WINDOW_NS


def most_promising(spans: Sequence[Span], values: Sequence[float], moments_ns: Sequence[int]) -> int | None:
    """When the best window begins. None without a window.

    ``spans``: in order of time; ``values``: of each; ``moments_ns``: of the clip's firings.
    """

    def off(one: Span) -> int:
        # Twice the distance of the middle, so that it is a whole number
        return min((abs(sum(one) - 2 * moment) for moment in moments_ns), default=0)

    most = max(values, default=None)
    tied = groupby(zip(spans, values, strict=True), key=lambda one: one[1] == most)
    rows = [[span for span, _ in row] for is_best, row in tied if is_best]
    best = min((span for row in rows for span in _holding(row, spans)), key=off, default=None)
    return None if best is None else best[0]


def _holding(row: Sequence[Span], spans: Sequence[Span]) -> Sequence[Span]:
    """Those of a row of equals that hold all that makes them the best, as the windows beside the row tell, which miss it.

    Where the row begins or ends with the clip, one of them is missing: what is seen may reach as far as the clip does.
    """
    at, length_ns = spans.index(row[0]), row[0][1] - row[0][0]
    before, after = spans[:at][-1:], spans[at + len(row) :][:1]
    # What is seen ends before the window after the row begins, and begins after the one before the row ends
    from_ns = after[0][0] - length_ns if after else row[0][0]
    until_ns = before[0][1] if before else row[-1][0]
    if not before and after:
        return [one for one in row if one[0] >= from_ns][:1]
    if not after and before:
        return [one for one in row if one[0] <= until_ns][-1:]
    low_ns, high_ns = sorted((from_ns, until_ns))  # It may be longer than a window
    inside = [one for one in row if low_ns <= one[0] <= high_ns]
    return inside or [row[len(row) // 2]]


def kept_span(clip: Span, best_ns: int | None, keep_ns: int | None) -> Span:
    """The seconds of ``clip`` that are kept: ``best_ns`` is when its best window begins, ``keep_ns`` how much is asked for."""
    start_ns, end_ns = clip
    if best_ns is None or keep_ns is None or end_ns - start_ns <= keep_ns:
        return clip
    centred_ns = best_ns + (WINDOW_NS - keep_ns) // 2
    begin_ns = min(max(centred_ns, start_ns), end_ns - keep_ns)
    return begin_ns, begin_ns + keep_ns
