"""Which rectangles of which frames are painted, or why that can't be said.

Sources. Everyone who looked counts: the firmware's detections and those of the agent's own models are united, never
averaged. From which score on a box counts: :mod:`.counted`. Which part of it is painted: :mod:`.zones`. How much either
takes, the rules' strictness says.

Time. A source looks at some frames. What it saw is painted on every frame within ``hold_ns`` of the look, and on
every frame up to its neighbouring looks where those are further away (up to ``max_gap_ns``), so nothing blinks
between two looks. A box that is found again in the next look (same track, or overlapping) is also painted as the
one rectangle around both places, because between the looks it was somewhere on the way. Stretches that were looked at again
(:mod:`.again`) add what those looks saw, and take nothing away. Where a person's track (:mod:`.tracks`) has a gap then still,
the gap is painted as the rectangle around both its ends.

Refusals. A rule that this version does not know. Video without a single look, or with frames in a stretch longer
than ``max_gap_ns`` between looks of all sources together: nobody knows who is in it. A box that is not a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import FaceRule, PlateRule, RedactionRules
from fsd_agent.rules.privacy.counted import Shows, counted
from fsd_agent.rules.privacy.tracks import Sightings, follow, sightings
from fsd_agent.rules.privacy.zones import (
    SHAPES,
    head_zones,
    overlap,
    plate_bands,
    rider_zones,
    to_pixels,
    union_area,
    without_covered,
)
from fsd_firmware.samples import PERSON_KINDS, Detections

SAME_BOX_IOU = 0.1
"""Two boxes of neighbouring looks that overlap this much are taken for one that moved."""

_PAINTS_HEADS = {FaceRule.HEAD_ZONE: True, FaceRule.NONE: False}
_PAINTS_PLATES = {PlateRule.PLATE_BAND: True, PlateRule.NONE: False}


@dataclass(frozen=True, slots=True)
class Refused:
    """What the region's rules require can't be done: the clip must not leave."""

    reason: DropReason
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class RedactionPlan:
    """Rectangles for each of f frames, n in all, clipped, widened to even pixels, none inside another."""

    first: NDArray[np.int64]
    """Shape (f + 1,): frame i has ``boxes[first[i]:first[i + 1]]``."""
    boxes: NDArray[np.int32]
    """Shape (n, 4): x1, y1, x2, y2, the latter two exclusive."""
    persons: int
    """Boxes of persons in the looks that the plan was made from."""
    filled_px: int
    """Pixels painted over all frames, overlapping rectangles counted once."""

    def at(self, frame: int) -> NDArray[np.int32]:
        """Rectangles of one frame, shape (m, 4)."""
        return self.boxes[self.first[frame] : self.first[frame + 1]]


@dataclass(frozen=True, slots=True, eq=False)
class _Strokes:
    """Rectangles with the time for which they are painted, both ends inclusive."""

    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    zone: NDArray[np.float64]


def paints_video(rules: RedactionRules) -> bool | Refused:
    """Whether anything of the video has to be painted."""
    heads, plates = _PAINTS_HEADS.get(rules.faces), _PAINTS_PLATES.get(rules.plates)
    if heads is None:
        return Refused(DropReason.REDACTION_UNKNOWN_RULE, f"faces: {rules.faces}")
    if plates is None:
        return Refused(DropReason.REDACTION_UNKNOWN_RULE, f"plates: {rules.plates}")
    if rules.strictness not in SHAPES:
        return Refused(DropReason.REDACTION_UNKNOWN_RULE, f"strictness: {rules.strictness}")
    return heads or plates


def plan_redaction(
    rules: RedactionRules,
    detections: Sequence[Detections],
    frame_t_ns: NDArray[np.int64],
    width: int,
    height: int,
    *,
    again: Sequence[Detections] = (),
) -> RedactionPlan | Refused:
    """Rectangles for the frames at ``frame_t_ns`` (f,), increasing, of one camera's ``width`` x ``height`` video.

    ``detections`` are all of that camera, from any number of sources; ``again`` those of stretches that were looked at again.
    """
    paints = paints_video(rules)
    if isinstance(paints, Refused):
        return paints
    if paints:
        refused = _unlooked(rules, detections, frame_t_ns) or _not_numbers([*detections, *again])
        if refused is not None:
            return refused
    strokes = [stroke for one in detections for stroke in _strokes(rules, one, detections)]
    strokes += [stroke for one in again for stroke in _strokes(rules, one, again, again=True)]
    if again:
        strokes += _over_gaps(rules, detections, again)
    start_ns = np.concatenate([np.empty(0, np.int64), *(one.start_ns for one in strokes)])
    end_ns = np.concatenate([np.empty(0, np.int64), *(one.end_ns for one in strokes)])
    zone = np.concatenate([np.empty((0, 4)), *(one.zone for one in strokes)])
    frames = [
        without_covered(to_pixels(zone[(start_ns <= t_ns) & (t_ns <= end_ns)], width, height))
        for t_ns in frame_t_ns
    ]
    return RedactionPlan(
        first=np.cumsum([0] + [boxes.shape[0] for boxes in frames]),
        boxes=np.concatenate([np.empty((0, 4), np.int32), *frames]),
        persons=int(persons_seen(rules, detections, again).t_ns.size),
        filled_px=sum(union_area(boxes) for boxes in frames),
    )


def persons_claimed(firings: Sequence[JudgedFiring]) -> bool:
    """Whether a condition fired on persons: its evidence has ``detections.pedestrian`` or the like above 0."""
    names = {f"detections.{kind.name.lower()}" for kind in PERSON_KINDS}
    return any(
        name in names and isinstance(value, int | float) and value > 0
        for judged in firings
        for name, value in judged.firing.evidence
    )


def _unlooked(
    rules: RedactionRules, detections: Sequence[Detections], frame_t_ns: NDArray[np.int64]
) -> Refused | None:
    """The longest stretch of the video that nobody looked at, where it is longer than allowed.

    A stretch without a frame in it, where the camera paused, shows nobody.
    """
    if not frame_t_ns.size:
        return None
    begin, end = int(frame_t_ns[0]), int(frame_t_ns[-1])
    looks = np.concatenate([np.empty(0, np.int64), *(one.frame_t_ns for one in detections)])
    looks = looks[(looks >= begin) & (looks <= end)]
    if not looks.size:
        return Refused(
            DropReason.REDACTION_NOT_LOOKED, f"no source looked at any of {frame_t_ns.size} frames"
        )
    edges = np.unique(np.concatenate([[begin, end], looks]))
    unseen = frame_t_ns[~np.isin(frame_t_ns, looks)]
    if not unseen.size:
        return None
    after = np.maximum(np.searchsorted(edges, unseen), 1)  # the first frame is an edge itself
    gaps = edges[after] - edges[after - 1]
    worst = int(np.argmax(gaps))
    if gaps[worst] <= rules.max_gap_ns:
        return None
    return Refused(
        DropReason.REDACTION_NOT_LOOKED,
        f"no look for {gaps[worst] / 1e9:.3f} s from {(edges[after[worst] - 1] - begin) / 1e9:.3f} s on, "
        f"{rules.max_gap_ns / 1e9:.3f} s allowed",
    )


def _not_numbers(detections: Sequence[Detections]) -> Refused | None:
    for one in detections:
        if not np.isfinite(one.box).all():
            return Refused(DropReason.REDACTION_FAILED, f"{one.source}: a box of {one.camera} is not finite")
    return None


def persons_seen(
    rules: RedactionRules, detections: Sequence[Detections], again: Sequence[Detections] = ()
) -> Sightings:
    """Boxes of persons that count, of all sources of one camera."""
    times, boxes = [np.empty(0, np.int64)], [np.empty((0, 4), np.float32)]
    for group, is_again in ((detections, False), (again, True)):
        for one in group:
            rows = counted(one, group, Shows.HEAD, rules.strictness, again=is_again)
            rows = rows[np.isin(one.kind[rows], [int(kind) for kind in PERSON_KINDS])]
            times.append(one.frame_t_ns[one.frame[rows]])
            boxes.append(one.box[rows])
    return sightings(np.concatenate(times), np.concatenate(boxes))


def _over_gaps(
    rules: RedactionRules, detections: Sequence[Detections], again: Sequence[Detections]
) -> list[_Strokes]:
    """For each track that looks in between missed: the rectangle around the heads at both ends of the gap."""
    if not _PAINTS_HEADS[rules.faces]:
        return []
    looked = np.unique(np.concatenate([one.frame_t_ns for one in (*detections, *again)]))
    start_ns, end_ns, zones = [], [], [np.empty((0, 4))]
    for track in follow(persons_seen(rules, detections, again)):
        times = np.unique(track.t_ns)
        for at in np.flatnonzero(np.diff(np.searchsorted(looked, times)) > 1):
            ends = track.take((track.t_ns == times[at]) | (track.t_ns == times[at + 1]))
            zone = head_zones(ends.box.astype(np.float32), SHAPES[rules.strictness])
            zones.append(np.concatenate([zone[:, :2].min(axis=0), zone[:, 2:].max(axis=0)])[None])
            start_ns.append(times[at])
            end_ns.append(times[at + 1])
    return [_Strokes(np.array(start_ns, np.int64), np.array(end_ns, np.int64), np.concatenate(zones))]


def _strokes(
    rules: RedactionRules, one: Detections, others: Sequence[Detections], *, again: bool = False
) -> list[_Strokes]:
    shape, strokes = SHAPES[rules.strictness], []
    if _PAINTS_HEADS[rules.faces]:
        heads = counted(one, others, Shows.HEAD, rules.strictness, again=again)
        strokes += _held_and_swept(rules, one, heads, head_zones(one.box[heads], shape))
    if _PAINTS_HEADS[rules.faces] and shape.riders:
        wheels = counted(one, others, Shows.RIDER, rules.strictness)
        strokes += _held_and_swept(rules, one, wheels, rider_zones(one.box[wheels]))
    if _PAINTS_PLATES[rules.plates]:
        vehicles = counted(one, others, Shows.PLATE, rules.strictness)
        strokes += _held_and_swept(
            rules, one, vehicles, plate_bands(one.box[vehicles], one.kind[vehicles], shape)
        )
    return strokes


def _held_and_swept(
    rules: RedactionRules, one: Detections, mine: NDArray[np.intp], zone: NDArray[np.float64]
) -> list[_Strokes]:
    return [_held(rules, one, mine, zone), *_swept(rules, one, mine, zone)]


def _held(
    rules: RedactionRules, one: Detections, mine: NDArray[np.intp], zone: NDArray[np.float64]
) -> _Strokes:
    """Each zone from its look back and forth: the hold, or as far as the neighbouring looks."""
    gap = np.minimum(np.diff(one.frame_t_ns), rules.max_gap_ns)
    reach_back = np.maximum(np.concatenate([[rules.max_gap_ns], gap]), rules.hold_ns)
    reach_on = np.maximum(np.concatenate([gap, [rules.max_gap_ns]]), rules.hold_ns)
    look = one.frame[mine]
    t_ns = one.frame_t_ns[look]
    return _Strokes(t_ns - reach_back[look], t_ns + reach_on[look], zone)


def _swept(
    rules: RedactionRules, one: Detections, mine: NDArray[np.intp], zone: NDArray[np.float64]
) -> list[_Strokes]:
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
        swept.append(_Strokes(start_ns, end_ns, np.concatenate([both_low, both_high], axis=1)))
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
