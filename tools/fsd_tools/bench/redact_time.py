"""Redaction in time: frames of real videos in which a head stays open that the tracks of a denser pass show.

The denser pass looks at every frame, with the scores of ``standard``. Of boxes in one place the best counts; they are joined into tracks
over gaps of up to a second (the agent's own rule), in which the box moves evenly. Every head of a track that was seen twice or more
(top 22 % and middle 60 % of its box, as :mod:`.street` says) must be covered by 70 % in every frame of it, by what the agent paints
that looks at some frames first. Whom even the denser pass does not see is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fsd_agent.pipeline.look import Looked, look_at, look_over
from fsd_agent.ports.detector import Detector
from fsd_agent.records.region import RedactionRules
from fsd_agent.records.staged import join_detections
from fsd_agent.rules.privacy.counted import Shows, counted
from fsd_agent.rules.privacy.plan import RedactionPlan, plan_redaction
from fsd_agent.rules.privacy.tracks import Sightings, follow, sightings
from fsd_firmware.pyav_frames import PyAvFrame, frames_of_file
from fsd_firmware.samples import PERSON_KINDS, Detections, Frame
from fsd_models.boxes import RawBoxes, suppress
from fsd_tools.bench.frame import Figure, Goal, figure
from fsd_tools.bench.street import COVERED, heads_of
from fsd_tools.errors import ToolError

SEEN_TWICE = 2
SAME_PLACE = 0.3
"""Two models' boxes that overlap more are one person's."""
OPEN_PERCENT = 0.5
CAMERA = "front"


@dataclass(frozen=True, slots=True)
class InTime:
    """Of one or more videos."""

    frames: int
    open_frames: int
    looks: int
    """Of each model; a frame that it looks at twice is two."""
    filled: float
    """Pixels painted, as a sum of each frame's share."""

    def __add__(self, other: InTime) -> InTime:
        """Both videos."""
        return InTime(
            self.frames + other.frames,
            self.open_frames + other.open_frames,
            self.looks + other.looks,
            self.filled + other.filled,
        )


def in_time_figures(
    videos: Sequence[Path], detectors: Sequence[Detector], rules: RedactionRules
) -> list[Figure]:
    """Over all ``videos`` together: without the second look, and with it."""
    once, twice = InTime(0, 0, 0, 0.0), InTime(0, 0, 0, 0.0)
    for video in videos:
        first, both = _of_video(video, detectors, rules)
        once, twice = once + first, twice + both
    alone = "the first looks alone"
    return [
        figure(
            "in time: frames that leave a head open",
            100 * twice.open_frames / twice.frames,
            f"% of {twice.frames}",
            peer=alone,
            peer_value=100 * once.open_frames / once.frames,
            goal=Goal("<=", OPEN_PERCENT, "value"),
        ),
        figure(
            "in time: looks of each model",
            100 * twice.looks / twice.frames,
            "% of the frames",
            peer=alone,
            peer_value=100 * once.looks / once.frames,
        ),
        figure(
            "in time: pixels filled",
            100 * twice.filled / twice.frames,
            "%",
            peer=alone,
            peer_value=100 * once.filled / once.frames,
        ),
    ]


def _of_video(video: Path, detectors: Sequence[Detector], rules: RedactionRules) -> tuple[InTime, InTime]:
    times, dense, size = [], [], (0, 0)
    for frame in frames_of_file(video):
        times.append(frame.t_ns)
        dense += look_at(Frame(CAMERA, frame.t_ns, frame.bgr()), detectors, rules.strictness)
        size = frame.width, frame.height
    frame_t_ns = np.array(times, np.int64)
    tracks = [one for one in follow(persons(join_detections(dense), rules)) if _times(one).size >= SEEN_TWICE]

    def decoded(_: frozenset[int]) -> Iterator[PyAvFrame]:
        return frames_of_file(video)

    looked = look_over(decoded, CAMERA, rules, detectors, (), frame_t_ns, size)
    third = Looked(looked.looks, (), 0)
    first, both = (_painted(one, tracks, frame_t_ns, size, rules) for one in (third, looked))
    return first, both


def _painted(
    looked: Looked,
    tracks: Sequence[Sightings],
    frame_t_ns: NDArray[np.int64],
    size: tuple[int, int],
    rules: RedactionRules,
) -> InTime:
    width, height = size
    plan = plan_redaction(rules, looked.looks, frame_t_ns, width, height, again=looked.again)
    if not isinstance(plan, RedactionPlan):
        raise ToolError(f"the policy refuses: {plan.reason}: {plan.detail}")
    bare = [_leaves_open(plan.at(at), heads_at(tracks, int(t)), size) for at, t in enumerate(frame_t_ns)]
    looks = looked.looks[0].frame_t_ns.size + looked.frames_again
    return InTime(frame_t_ns.size, sum(bare), looks, plan.filled_px / (width * height))


def _leaves_open(painted: NDArray[np.int32], heads: NDArray[np.int32], size: tuple[int, int]) -> bool:
    mask = np.zeros((size[1], size[0]), np.bool_)
    for x1, y1, x2, y2 in painted.tolist():
        mask[y1:y2, x1:x2] = True
    parts = (mask[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] for x1, y1, x2, y2 in heads.tolist())
    return any(part.size and part.mean() < COVERED for part in parts)


def persons(dense: Sequence[Detections], rules: RedactionRules) -> Sightings:
    """Persons that count at each instant; of boxes in one place the best."""
    times, boxes = [np.empty(0, np.int64)], [np.empty((0, 4), np.float32)]
    rows = [counted(one, dense, Shows.HEAD, rules.strictness) for one in dense]
    rows = [
        mine[np.isin(one.kind[mine], [int(kind) for kind in PERSON_KINDS])]
        for one, mine in zip(dense, rows, strict=True)
    ]
    t_ns = np.concatenate([one.frame_t_ns[one.frame[mine]] for one, mine in zip(dense, rows, strict=True)])
    box = np.concatenate([one.box[mine] for one, mine in zip(dense, rows, strict=True)])
    score = np.concatenate([one.score[mine] for one, mine in zip(dense, rows, strict=True)])
    for at in np.unique(t_ns):
        now = t_ns == at
        best = suppress(RawBoxes(box[now], score[now], np.zeros(int(now.sum()), np.int32)), SAME_PLACE)
        times.append(np.full(len(best), at))
        boxes.append(best.box)
    return sightings(np.concatenate(times), np.concatenate(boxes))


def heads_at(tracks: Sequence[Sightings], t_ns: int) -> NDArray[np.int32]:
    """Heads (n, 4) of all tracks that are there at ``t_ns``, in their gaps between the places on either side."""
    boxes = [np.empty((0, 4))]
    for track in tracks:
        times = _times(track)
        if not times[0] <= t_ns <= times[-1]:
            continue
        after = int(np.searchsorted(times, t_ns))
        if times[after] == t_ns:
            boxes.append(track.box[track.t_ns == t_ns])
            continue
        before_ns, after_ns = times[after - 1], times[after]
        here, there = (track.box[track.t_ns == one][:1] for one in (before_ns, after_ns))
        share = (t_ns - before_ns) / (after_ns - before_ns)
        boxes.append(here * (1 - share) + there * share)
    return heads_of(np.concatenate(boxes))


def _times(track: Sightings) -> NDArray[np.int64]:
    return np.unique(track.t_ns)
