"""Which stretches of a camera's video are looked at again, at more frames and down to lower scores, before they are painted.

Only where a look saw a person; of a clip without any, the condition that fired says whether that can be (``pipeline/redact``). Then

* empty: each stretch of looks without anybody, nor seen by others between the looks beside it: from the look with somebody before it to the one after it, or to the video's end;
* broken: each such gap of a track, and each end of one that is not at the picture's edge and not at the video's: ``AROUND_NS`` from
  there on, and each beginning likewise before it. Somebody does not come out of nothing.

A track is one of at least ``MIN_LOOKS`` looks; for a box that was seen once the stretch without anybody is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.privacy.tracks import Sightings, follow

MIN_LOOKS = 2
AROUND_NS = 500_000_000
EDGE = 0.02
"""Of the picture's width and height: a box this near to the left, right or lower edge may be leaving."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Both ends inclusive."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Doubtful:
    """Where somebody may have been missed, of the video from its first to its last look; each by time, apart from each other."""

    empty: tuple[Stretch, ...] = ()
    """Nobody is there: whoever was missed was missed altogether, and is there as long as people are."""
    broken: tuple[Stretch, ...] = ()
    """Somebody is there now and then: who is missed may be missed for a frame. Some of it may be empty as well."""


def look_again(look_t_ns: NDArray[np.int64], persons: Sightings, width: int, height: int) -> Doubtful:
    """What is to be looked at again.

    ``look_t_ns`` (k,), increasing, are the times at which those looked who can look again; ``persons`` are whom anybody saw at any time.
    """
    if not persons.t_ns.size:
        return Doubtful()
    broken = []
    for track in follow(persons):
        times = np.unique(track.t_ns)
        if times.size >= MIN_LOOKS:
            during = look_t_ns[(look_t_ns >= times[0]) & (look_t_ns <= times[-1])]
            broken += _without(during, times)
            broken += _ends(look_t_ns, track, width, height)
    return Doubtful(_joined(_without(look_t_ns, persons.t_ns)), _joined(broken))


def within(stretches: Sequence[Stretch], t_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of ``t_ns`` (n,) lie in one of them."""
    inside = np.zeros(t_ns.shape, np.bool_)
    for one in stretches:
        inside |= (t_ns >= one.start_ns) & (t_ns <= one.end_ns)
    return inside


def _without(look_t_ns: NDArray[np.int64], seen_t_ns: NDArray[np.int64]) -> list[Stretch]:
    """Runs of looks with nothing of ``seen_t_ns`` at them or between them and the looks beside, from look to look."""
    until_next = np.append(np.searchsorted(seen_t_ns, look_t_ns[1:], "left"), seen_t_ns.size)
    since_last = np.append(0, np.searchsorted(seen_t_ns, look_t_ns[:-1], "right"))
    empty = since_last == until_next
    edges = np.flatnonzero(np.diff(np.concatenate([[False], empty, [False]]).astype(np.int8)))
    last = look_t_ns.size - 1
    return [
        Stretch(int(look_t_ns[max(begin - 1, 0)]), int(look_t_ns[min(end, last)]))
        for begin, end in edges.reshape(edges.size // 2, 2)
    ]


def _ends(look_t_ns: NDArray[np.int64], track: Sightings, width: int, height: int) -> list[Stretch]:
    first_ns, last_ns = int(look_t_ns[0]), int(look_t_ns[-1])
    begin_ns, end_ns = int(track.t_ns[0]), int(track.t_ns[-1])
    found = []
    if begin_ns > first_ns and not _at_edge(track.box[track.t_ns == begin_ns], width, height):
        found.append(Stretch(max(begin_ns - AROUND_NS, first_ns), begin_ns))
    if end_ns < last_ns and not _at_edge(track.box[track.t_ns == end_ns], width, height):
        found.append(Stretch(end_ns, min(end_ns + AROUND_NS, last_ns)))
    return found


def _at_edge(box: NDArray[np.float64], width: int, height: int) -> bool:
    x1, _, x2, y2 = box.T
    return bool(((x1 <= EDGE * width) | (x2 >= (1 - EDGE) * width) | (y2 >= (1 - EDGE) * height)).any())


def _joined(found: Sequence[Stretch]) -> tuple[Stretch, ...]:
    joined: list[Stretch] = []
    for one in sorted(found, key=lambda stretch: stretch.start_ns):
        if joined and one.start_ns <= joined[-1].end_ns:
            joined[-1] = Stretch(joined[-1].start_ns, max(joined[-1].end_ns, one.end_ns))
        else:
            joined.append(one)
    return tuple(joined)
