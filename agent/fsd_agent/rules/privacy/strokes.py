"""From when to when which part of the picture is painted, as one source's looks have it.

What a source saw is painted on every frame within ``hold_ns`` of the look, and on every frame up to its neighbouring looks where
those are further away (up to ``max_gap_ns``), so nothing blinks between two looks. A box that is found again in the next look (same
track, or overlapping) is also painted as the one rectangle around both places, because between the looks it was somewhere on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.region import FaceRule, PlateRule, RedactionRules
from fsd_agent.rules.privacy.counted import Shows, counted
from fsd_agent.rules.privacy.zones import SHAPES, head_zones, overlap, plate_bands, rider_zones
from fsd_firmware.samples import Detections

SAME_BOX_IOU = 0.1
"""Two boxes of neighbouring looks that overlap this much are taken for one that moved."""
PAINTS_HEADS = {FaceRule.HEAD_ZONE: True, FaceRule.NONE: False}
PAINTS_PLATES = {PlateRule.PLATE_BAND: True, PlateRule.NONE: False}


@dataclass(frozen=True, slots=True, eq=False)
class Strokes:
    """Rectangles with the time for which they are painted, both ends inclusive."""

    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    zone: NDArray[np.float64]
    """Shape (n, 4), not clipped to the picture."""


def together(strokes: Sequence[Strokes]) -> Strokes:
    """All of them as one."""
    return Strokes(
        np.concatenate([np.empty(0, np.int64), *(one.start_ns for one in strokes)]),
        np.concatenate([np.empty(0, np.int64), *(one.end_ns for one in strokes)]),
        np.concatenate([np.empty((0, 4)), *(one.zone for one in strokes)]),
    )


def reach_ns(rules: RedactionRules) -> int:
    """How far from its look a box is painted at most."""
    return max(rules.hold_ns, rules.max_gap_ns)


def strokes_of(
    rules: RedactionRules, one: Detections, others: Sequence[Detections], *, again: bool = False
) -> Iterator[Strokes]:
    """What is painted for the boxes of ``one`` that count; ``others`` are all sources of the same camera."""
    shape = SHAPES[rules.strictness]
    if PAINTS_HEADS[rules.faces]:
        heads = counted(one, others, Shows.HEAD, rules.strictness, again=again)
        yield from _held_and_swept(rules, one, heads, head_zones(one.box[heads], shape))
    if PAINTS_HEADS[rules.faces] and shape.riders:
        wheels = counted(one, others, Shows.RIDER, rules.strictness)
        yield from _held_and_swept(rules, one, wheels, rider_zones(one.box[wheels]))
    if PAINTS_PLATES[rules.plates]:
        vehicles = counted(one, others, Shows.PLATE, rules.strictness)
        bands = plate_bands(one.box[vehicles], one.kind[vehicles], shape)
        yield from _held_and_swept(rules, one, vehicles, bands)


def _held_and_swept(
    rules: RedactionRules, one: Detections, mine: NDArray[np.intp], zone: NDArray[np.float64]
) -> list[Strokes]:
    return [_held(rules, one, mine, zone), *_swept(rules, one, mine, zone)]


def _held(
    rules: RedactionRules, one: Detections, mine: NDArray[np.intp], zone: NDArray[np.float64]
) -> Strokes:
    """Each zone from its look back and forth: the hold, or as far as the neighbouring looks."""
    gap = np.minimum(np.diff(one.frame_t_ns), rules.max_gap_ns)
    reach_back = np.maximum(np.concatenate([[rules.max_gap_ns], gap]), rules.hold_ns)
    reach_on = np.maximum(np.concatenate([gap, [rules.max_gap_ns]]), rules.hold_ns)
    look = one.frame[mine]
    t_ns = one.frame_t_ns[look]
    return Strokes(t_ns - reach_back[look], t_ns + reach_on[look], zone)


def _swept(
    rules: RedactionRules, one: Detections, mine: NDArray[np.intp], zone: NDArray[np.float64]
) -> list[Strokes]:
    """For zones found again in the next look: the rectangle around both places, between the looks."""
    look = one.frame[mine]
    swept = []
    for at in np.flatnonzero(np.diff(one.frame_t_ns) <= rules.max_gap_ns):
        begin, middle, end = np.searchsorted(look, [at, at + 1, at + 2])
        if middle == end:
            continue
        here, there = mine[begin:middle], mine[middle:end]
        a, b = _found_again(one, here, there)
        both_low = np.minimum(zone[begin:middle][a, :2], zone[middle:end][b, :2])
        both_high = np.maximum(zone[begin:middle][a, 2:], zone[middle:end][b, 2:])
        start_ns = np.full(a.size, one.frame_t_ns[at])
        end_ns = np.full(a.size, one.frame_t_ns[at + 1])
        swept.append(Strokes(start_ns, end_ns, np.concatenate([both_low, both_high], axis=1)))
    return swept


def _found_again(
    one: Detections, here: NDArray[np.intp], there: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs (place in ``here``, place in ``there``) of the same thing: by track, else by the best overlap."""
    iou = overlap(one.box[here], one.box[there])
    track = one.track_id[here][:, None]
    iou[(track == one.track_id[there]) & (track >= 0)] = 2.0
    found = np.flatnonzero(iou.max(axis=1) > SAME_BOX_IOU)
    return found, np.argmax(iou, axis=1)[found]
