"""What a clip is worth: its parts (:mod:`~.parts`) and their mean by the weights of its campaigns.

Each camera is looked at as a whole by each who looked, and for ``begins_to_cross`` in windows of :data:`WINDOW_NS`, a third of a second
apart or, where that makes more than :data:`WINDOWS_MOST`, evenly over the clip; one of its own length where it is shorter. A clip that several
campaigns share is worth what it is to the one that values it most.

Defined whatever is missing: without a look at any camera all but ``motion`` is 0 (:attr:`Valued.NO_DETECTIONS`), without the
car's speed that is 0 and what tracks are judged beside is unknown (:attr:`Valued.NO_MOTION`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.head import Head
from fsd_agent.records.worth import Part, Valued, Weights, Worth
from fsd_agent.rules.selection import parts
from fsd_agent.rules.selection.moving import Speed, hardness, motion_of
from fsd_agent.rules.selection.parts import Seen, weighed
from fsd_agent.rules.selection.value import BESIDE_NS, score, steady
from fsd_agent.rules.selection.window import Window
from fsd_firmware.samples import Detections, Kind

WINDOW_NS: Final = 3_000_000_000
"""As long as the shipped head's; another length is told it in shares."""
STEP_NS: Final = BESIDE_NS
SHORTEST_NS: Final = 500_000_000
"""In less nobody can be seen to walk."""
WINDOWS_MOST: Final = 96
"""Of one camera by one who looked: those of half a minute, in half a second of a core."""
DIGITS: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What one who looked saw of one camera of the clip."""

    looks: Detections
    track: NDArray[np.int64]
    """Shape (n,): whose box each is."""
    size_px: tuple[float, float]
    """Width and height of the camera's picture."""


def worth(
    looked: Sequence[Looked],
    speed: Speed | None,
    span_ns: tuple[int, int],
    head: Head,
    weights: Sequence[Weights],
) -> Worth:
    """See the module. ``weights``: of the clip's campaigns, at least one."""
    seen = [Seen(one.looks, one.size_px[1]) for one in looked]
    made = {
        Part.BEGINS_TO_CROSS: max((_begins(one, speed, span_ns, head) for one in looked), default=0.0),
        Part.RARITY: parts.rarity(seen),
        Part.MOTION: 0.0 if speed is None else hardness(speed),
        Part.CLOSENESS: parts.closeness(seen),
        Part.UNCERTAINTY: parts.uncertainty(seen),
        Part.DISAGREEMENT: parts.disagreement(seen),
    }
    best = max(weighed(made, one) for one in weights)
    why = Valued.VALUED
    if not any(one.looks.frame_t_ns.shape[0] for one in looked):
        why = Valued.NO_DETECTIONS
    elif speed is None:
        why = Valued.NO_MOTION
    return Worth(
        round(best, DIGITS), why, tuple((str(part), round(one, DIGITS)) for part, one in made.items())
    )


def windows(start_ns: int, end_ns: int) -> Iterator[tuple[int, int]]:
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


def _begins(one: Looked, speed: Speed | None, span_ns: tuple[int, int], head: Head) -> float:
    """Of the most promising window; pedestrians only, of whom the head was learned."""
    looks, walks = one.looks, one.looks.kind == Kind.PEDESTRIAN
    t_ns = looks.frame_t_ns[looks.frame[walks]]
    box, track = looks.box[walks].astype(np.float64), one.track[walks]
    unknown = Speed(np.empty(0, np.int64), np.empty(0))
    moved = speed or unknown
    motion = motion_of(moved)
    scores: list[float | None] = []
    for begin_ns, end_ns in windows(*span_ns):
        inside = (t_ns >= begin_ns) & (t_ns < end_ns)
        window = Window(
            start_ns=begin_ns,
            end_ns=end_ns,
            size_px=one.size_px,
            t_ns=t_ns[inside],
            track=track[inside],
            box=box[inside],
            motion_t_ns=moved.t_ns,
            motion=motion,
        )
        scores.append(score(window, head) if inside.any() else None)
    return max(steady(scores), default=0.0)
