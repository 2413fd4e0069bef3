"""Which rectangles of which frames are painted, or why that can't be said.

Sources. Everyone who looked counts: the firmware's detections and those of the agent's own models are united, never
averaged. From which score on a box counts: :mod:`.counted`. Which part of it is painted: :mod:`.zones`. How much either
takes, the rules' strictness says.

Time. From when to when what a source saw is painted: :mod:`.strokes`. Stretches that were looked at again
(:mod:`.again`) add what those looks saw, and take nothing away. Where a person's track (:mod:`.tracks`) has a gap then still,
the gap is painted as the rectangle around both its ends.

Length. A clip is planned some frames at a time, with the looks that reach them: what is kept of a long one is its rectangles.

Refusals. A rule that this version does not know. Video without a single look, or with frames in a stretch longer
than ``max_gap_ns`` between looks of all sources together: nobody knows who is in it. A box that is not a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Fill, RedactionRules
from fsd_agent.records.staged import cut_detections
from fsd_agent.rules.privacy.counted import Shows, counted
from fsd_agent.rules.privacy.strokes import (
    PAINTS_HEADS,
    PAINTS_PLATES,
    Strokes,
    reach_ns,
    strokes_of,
    together,
)
from fsd_agent.rules.privacy.tracks import Sightings, follow, sightings
from fsd_agent.rules.privacy.zones import SHAPES, head_zones, to_pixels, union_area, without_covered
from fsd_firmware.samples import PERSON_KINDS, Detections

FRAMES_AT_ONCE = 512
"""Some megabytes in a busy street."""


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


def paints_video(rules: RedactionRules) -> bool | Refused:
    """Whether anything of the video has to be painted."""
    heads, plates = PAINTS_HEADS.get(rules.faces), PAINTS_PLATES.get(rules.plates)
    if heads is None:
        return Refused(DropReason.REDACTION_UNKNOWN_RULE, f"faces: {rules.faces}")
    if plates is None:
        return Refused(DropReason.REDACTION_UNKNOWN_RULE, f"plates: {rules.plates}")
    if rules.strictness not in SHAPES:
        return Refused(DropReason.REDACTION_UNKNOWN_RULE, f"strictness: {rules.strictness}")
    if rules.fill not in tuple(Fill):
        return Refused(DropReason.REDACTION_UNKNOWN_RULE, f"fill: {rules.fill}")
    return heads or plates


def plan_redaction(
    rules: RedactionRules,
    detections: Sequence[Detections],
    frame_t_ns: NDArray[np.int64],
    width: int,
    height: int,
    *,
    again: Sequence[Detections] = (),
    frames_at_once: int = FRAMES_AT_ONCE,
) -> RedactionPlan | Refused:
    """Rectangles for the frames at ``frame_t_ns`` (f,), increasing, of one camera's ``width`` x ``height`` video.

    ``detections`` are all of that camera, from any number of sources; ``again`` those of stretches that were looked at again.
    ``frames_at_once`` decides on memory alone.
    """
    paints = paints_video(rules)
    if isinstance(paints, Refused):
        return paints
    if paints:
        refused = _unlooked(rules, detections, frame_t_ns) or _not_numbers([*detections, *again])
        if refused is not None:
            return refused
    over_gaps = _over_gaps(rules, detections, again) if again else []
    counts, filled_px, boxes = [0], 0, [np.empty((0, 4), np.int32)]
    for at in range(0, frame_t_ns.size, frames_at_once):
        t_ns = frame_t_ns[at : at + frames_at_once]
        reaching = _reaching(rules, detections, t_ns), _reaching(rules, again, t_ns)
        strokes = together([*_strokes(rules, *reaching), *over_gaps])
        painted = list(_rectangles(strokes, t_ns, width, height))
        counts += [one.shape[0] for one, _ in painted]
        filled_px += sum(area for _, area in painted)
        boxes.append(np.concatenate([one for one, _ in painted]))
    return RedactionPlan(
        first=np.cumsum(counts),
        boxes=np.concatenate(boxes),
        persons=int(persons_seen(rules, detections, again).t_ns.size),
        filled_px=filled_px,
    )


def _reaching(
    rules: RedactionRules, detections: Sequence[Detections], t_ns: NDArray[np.int64]
) -> list[Detections]:
    """Looks whose boxes may be painted at one of ``t_ns``.

    How far a box is held towards a frame tells the look on that side of it, which is nearer and so among them.
    """
    reach = reach_ns(rules)
    start_ns, end_ns = int(t_ns[0]) - reach, int(t_ns[-1]) + reach
    cut = (cut_detections(one, start_ns, end_ns + 1) for one in detections)
    return [one for one in cut if one is not None]


def _strokes(
    rules: RedactionRules, detections: Sequence[Detections], again: Sequence[Detections]
) -> Iterator[Strokes]:
    for one in detections:
        yield from strokes_of(rules, one, detections)
    for one in again:
        yield from strokes_of(rules, one, again, again=True)


def _rectangles(
    strokes: Strokes, frame_t_ns: NDArray[np.int64], width: int, height: int
) -> Iterator[tuple[NDArray[np.int32], int]]:
    """For each frame what is painted, and how many pixels that are. Frames between two looks mostly share it."""
    before, made = np.empty(0, np.bool_), (np.empty((0, 4), np.int32), 0)
    for t_ns in frame_t_ns:
        now = (strokes.start_ns <= t_ns) & (t_ns <= strokes.end_ns)
        if not np.array_equal(now, before):
            boxes = without_covered(to_pixels(strokes.zone[now], width, height))
            before, made = now, (boxes, union_area(boxes))
        yield made


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
) -> list[Strokes]:
    """For each track that looks in between missed: the rectangle around the heads at both ends of the gap."""
    if not PAINTS_HEADS[rules.faces]:
        return []
    looked = np.unique(np.concatenate([one.frame_t_ns for one in (*detections, *again)]))
    start_ns, end_ns, zones = [], [], [np.empty((0, 4))]
    for track in follow(persons_seen(rules, detections, again)):
        times = track.t_ns
        for at in np.flatnonzero(np.diff(np.searchsorted(looked, times)) > 1):
            ends = track.take((track.t_ns == times[at]) | (track.t_ns == times[at + 1]))
            zone = head_zones(ends.box.astype(np.float32), SHAPES[rules.strictness])
            zones.append(np.concatenate([zone[:, :2].min(axis=0), zone[:, 2:].max(axis=0)])[None])
            start_ns.append(times[at])
            end_ns.append(times[at + 1])
    return [Strokes(np.array(start_ns, np.int64), np.array(end_ns, np.int64), np.concatenate(zones))]
