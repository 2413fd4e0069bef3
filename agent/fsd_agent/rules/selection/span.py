"""Which windows of a clip are judged, which of them is the most promising, and which seconds are kept where that is less than all.

**Windows** are :data:`WINDOW_NS` long, a third of a second apart or, where that makes more than :data:`WINDOWS_MOST`, evenly over
the clip; one of the clip's own length where it is shorter.

**The most promising** is the one of the largest value. Of those worth the same the one whose middle is nearest to a firing, then the
earliest: where the value says nothing, what the campaign's condition said counts.

**The span that is kept** has the most promising window in its middle. Where it would reach beyond the clip it is moved, not
shortened, and still holds the window. All is kept where the clip is not longer than asked, and where nobody can say what is
best. A campaign can't ask for less than a window (``LIMITS.keep_min_ns``): no value says which part of one is best.

Whole nanoseconds in and out: a restart between choosing and cutting changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """When the best window begins; ``values``: of each; ``moments_ns``: of the clip's firings. None without a window."""

    def rank(at: int) -> tuple[float, int, int]:
        begin_ns, end_ns = spans[at]
        # Twice the distance, so that it is a whole number
        off = min((abs(begin_ns + end_ns - 2 * one) for one in moments_ns), default=0)
        return -values[at], off, begin_ns

    best = min(range(len(spans)), key=rank, default=None)
    return None if best is None else spans[best][0]


def kept_span(clip: Span, best_ns: int | None, keep_ns: int | None) -> Span:
    """The seconds of ``clip`` that are kept: ``best_ns`` is when its best window begins, ``keep_ns`` how much is asked for."""
    start_ns, end_ns = clip
    if best_ns is None or keep_ns is None or end_ns - start_ns <= keep_ns:
        return clip
    centred_ns = best_ns + (WINDOW_NS - keep_ns) // 2
    begin_ns = min(max(centred_ns, start_ns), end_ns - keep_ns)
    return begin_ns, begin_ns + keep_ns
