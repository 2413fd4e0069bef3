"""What a clip is worth: its parts (:mod:`~.parts`) and their mean by the weights of its campaigns.

Each camera is looked at as a whole by each who looked, and for ``begins_to_cross`` in windows (:mod:`~.span`). A clip that several
campaigns share is worth what it is to the one that values it most.

Which window is the most promising is judged by the same value, with each part of what was seen and driven in that window alone.
It is told where somebody looked: without, nobody can say.

Defined whatever is missing: without a look at any camera all but ``motion`` is 0 (:attr:`Valued.NO_DETECTIONS`), without the
car's speed that is 0 and what tracks are judged beside is unknown (:attr:`Valued.NO_MOTION`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.head import Head
from fsd_agent.records.staged import cut_detections
from fsd_agent.records.worth import Part, Valued, Weights, Worth
from fsd_agent.rules.selection import parts
from fsd_agent.rules.selection.moving import Speed, hardest, hardness, motion_of
from fsd_agent.rules.selection.parts import Seen, weighed
from fsd_agent.rules.selection.span import Span, most_promising, windows
from fsd_agent.rules.selection.value import score, steady
from fsd_agent.rules.selection.window import Window
from fsd_firmware.samples import Detections, Kind

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
    moments_ns: Sequence[int] = (),
) -> Worth:
    """See the module. ``weights``: of the clip's campaigns, at least one; ``moments_ns``: of its firings."""
    seen = [Seen(one.looks, one.size_px[1]) for one in looked]
    judged = list(windows(*span_ns))
    begins = _begins(looked, speed, judged, head)
    made = {
        Part.BEGINS_TO_CROSS: max(begins, default=0.0),
        Part.RARITY: parts.rarity(seen),
        Part.MOTION: 0.0 if speed is None else hardness(speed),
        Part.CLOSENESS: parts.closeness(seen),
        Part.UNCERTAINTY: parts.uncertainty(seen),
        Part.DISAGREEMENT: parts.disagreement(seen),
    }
    best = max(weighed(made, one) for one in weights)
    told = tuple((str(part), round(one, DIGITS)) for part, one in made.items())
    if not any(one.looks.frame_t_ns.shape[0] for one in looked):
        return Worth(round(best, DIGITS), Valued.NO_DETECTIONS, told)
    best_ns = most_promising(judged, values_of(seen, speed, judged, begins, weights), moments_ns)
    why = Valued.NO_MOTION if speed is None else Valued.VALUED
    return Worth(round(best, DIGITS), why, told, best_ns)


def values_of(
    seen: Sequence[Seen],
    speed: Speed | None,
    judged: Sequence[Span],
    begins: Sequence[float],
    weights: Sequence[Weights],
) -> list[float]:
    """What each window is worth by itself, in the digits that values are told in: more would decide by noise.

    ``begins``: each window's chance that somebody begins to cross.
    """
    hard = [0.0] * len(judged) if speed is None else hardest(speed, judged)
    found = []
    for span, begin, braked in zip(judged, begins, hard, strict=True):
        cut = [(cut_detections(one.looks, *span), one.height_px) for one in seen]
        inside = [Seen(looks, height_px) for looks, height_px in cut if looks is not None]
        made = {
            Part.BEGINS_TO_CROSS: begin,
            Part.RARITY: parts.rarity(inside),
            Part.MOTION: braked,
            Part.CLOSENESS: parts.closeness(inside),
            Part.UNCERTAINTY: parts.uncertainty(inside),
            Part.DISAGREEMENT: parts.disagreement(inside),
        }
        found.append(round(max(weighed(made, one) for one in weights), DIGITS))
    return found


def _begins(looked: Sequence[Looked], speed: Speed | None, judged: Sequence[Span], head: Head) -> list[float]:
    """Of each window, by the one who looked and makes most of it."""
    each = [_begins_to(one, speed, judged, head) for one in looked]
    return [max(values) for values in zip(*each, strict=True)] if each else [0.0] * len(judged)


def _begins_to(one: Looked, speed: Speed | None, judged: Sequence[Span], head: Head) -> list[float]:
    """Pedestrians only, of whom the head was learned."""
    looks, walks = one.looks, one.looks.kind == Kind.PEDESTRIAN
    t_ns = looks.frame_t_ns[looks.frame[walks]]
    box, track = looks.box[walks].astype(np.float64), one.track[walks]
    unknown = Speed(np.empty(0, np.int64), np.empty(0))
    moved = speed or unknown
    motion = motion_of(moved)
    scores: list[float | None] = []
    for begin_ns, end_ns in judged:
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
    return steady(scores)
