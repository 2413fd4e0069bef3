"""Redaction in time: frames of real videos in which something stays open that the tracks of a denser pass show.

The denser pass looks at every frame, with the scores of ``standard``. Of boxes in one place the best counts; they are joined into tracks
over gaps of up to a second (the agent's own rule), in which the box moves evenly. Every head of a person's track that was seen twice or more
(top 22 % and middle 60 % of its box, as :mod:`.street` says), and every plate band of such a track of a car of at least 60 px, must be
covered by 70 % in every frame of it, by what the agent paints that looks at some frames first. Whom even the denser pass does not see is not counted.

Which frames are looked at depends on where a clip begins. So each video is as many clips as there are frames before its second look: the
first begins with the first frame, the next with the second, and so on. A video counts as their mean, and so by its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fsd_agent.pipeline.look import Looked, look_at, look_over, look_times
from fsd_agent.ports.detector import Detector, Seen
from fsd_agent.records.region import RedactionRules
from fsd_agent.records.staged import join_detections
from fsd_agent.rules.privacy.counted import Shows, counted
from fsd_agent.rules.privacy.plan import RedactionPlan, plan_redaction
from fsd_agent.rules.privacy.tracks import Sightings, follow, sightings
from fsd_firmware.pyav_frames import PyAvFrame, frames_of_file
from fsd_firmware.samples import PERSON_KINDS, Detections, Features, Frame
from fsd_models.boxes import RawBoxes, suppress
from fsd_tools.bench.frame import Figure, Goal, figure
from fsd_tools.bench.street import COVERED, TALL_PX, heads_of, plate_bands_of
from fsd_tools.errors import ToolError

SEEN_TWICE = 2
SAME_PLACE = 0.3
"""Two models' boxes that overlap more are one person's."""
OPEN_PERCENT = 0.5
CAMERA = "front"

Parts = Callable[[NDArray[np.float64]], NDArray[np.int32]]
"""Boxes (n, 4) to what must be covered of them."""


@dataclass(frozen=True, slots=True)
class InTime:
    """Of one or more clips, or what they have in the mean."""

    frames: float = 0.0
    open_frames: float = 0.0
    """In which a head is open."""
    bands: float = 0.0
    open_bands: float = 0.0
    looks: float = 0.0
    """Of each model; a frame that it looks at twice is two."""
    filled: float = 0.0
    """Pixels painted, as a sum of each frame's share."""

    def __add__(self, other: InTime) -> InTime:
        """Both together."""
        return InTime(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def mean(clips: Sequence[InTime]) -> InTime:
    """Of at least one."""
    total = sum(clips, InTime())
    return InTime(*(getattr(total, one.name) / len(clips) for one in fields(total)))


class Remembered:
    """A detector that looks at each frame of one video once, however often it is asked. Implements :class:`Detector`."""

    def __init__(self, inner: Detector) -> None:
        self._inner = inner
        self._seen: dict[tuple[int, float, bool], Seen] = {}
        self.source, self.digest = inner.source, inner.digest

    def detect(self, frame: Frame, *, min_score: float, thorough: bool = False) -> Seen:
        """As the one inside."""
        asked = frame.t_ns, min_score, thorough
        if asked not in self._seen:
            self._seen[asked] = self._inner.detect(frame, min_score=min_score, thorough=thorough)
        return self._seen[asked]

    def features(self, frame: Frame) -> Features | None:
        """As the one inside."""
        return self._inner.features(frame)


def in_time_figures(
    videos: Sequence[Path], detectors: Sequence[Detector], rules: RedactionRules
) -> list[Figure]:
    """Over all ``videos`` together: without the second look, and with it."""
    once, twice = InTime(), InTime()
    for video in videos:
        clips = tuple(_clips(video, [Remembered(one) for one in detectors], rules))
        once += mean([first for first, _ in clips])
        twice += mean([both for _, both in clips])
    shares: list[tuple[str, str, Callable[[InTime], float], Goal | None]] = [
        (
            "frames that leave a head open",
            f"% of {twice.frames:.0f}",
            lambda one: one.open_frames / one.frames,
            Goal("<=", OPEN_PERCENT, "value"),
        ),
        (
            "plate bands that are left open",
            f"% of {twice.bands:.0f}",
            lambda one: one.open_bands / one.bands if one.bands else 0.0,
            None,
        ),
        ("looks of each model", "% of the frames", lambda one: one.looks / one.frames, None),
        ("pixels filled", "%", lambda one: one.filled / one.frames, None),
    ]
    return [
        figure(
            f"in time: {name}",
            100 * share(twice),
            unit,
            peer="the first looks alone",
            peer_value=100 * share(once),
            goal=goal,
        )
        for name, unit, share, goal in shares
    ]


def _clips(
    video: Path, detectors: Sequence[Detector], rules: RedactionRules
) -> Iterator[tuple[InTime, InTime]]:
    """Of the clips that begin at each frame before the second look: by the first looks alone, and with looking again."""
    times, dense, size = [], [], (0, 0)
    for frame in frames_of_file(video):
        times.append(frame.t_ns)
        dense.append(look_at(Frame(CAMERA, frame.t_ns, frame.bgr()), detectors, rules.strictness))
        size = frame.width, frame.height
    frame_t_ns = np.array(times, np.int64)
    second = times.index(look_times(rules, frame_t_ns)[1])
    for start in range(second):
        joined = join_detections([one for looks in dense[start:] for one in looks])
        heads = Followed(seen(joined, rules, Shows.HEAD), heads_of)
        bands = Followed(seen(joined, rules, Shows.PLATE), plate_bands_of)

        def decoded(_: frozenset[int], start: int = start) -> Iterator[PyAvFrame]:
            return islice(frames_of_file(video), start, None)

        looked = look_over(decoded, CAMERA, rules, detectors, (), frame_t_ns[start:], size)
        first = Looked(looked.looks, (), 0)
        yield (
            _painted(first, heads, bands, frame_t_ns[start:], size, rules),
            _painted(looked, heads, bands, frame_t_ns[start:], size, rules),
        )


def _painted(
    looked: Looked,
    heads: Followed,
    bands: Followed,
    frame_t_ns: NDArray[np.int64],
    size: tuple[int, int],
    rules: RedactionRules,
) -> InTime:
    width, height = size
    plan = plan_redaction(rules, looked.looks, frame_t_ns, width, height, again=looked.again)
    if not isinstance(plan, RedactionPlan):
        raise ToolError(f"the policy refuses: {plan.reason}: {plan.detail}")
    looks = looked.looks[0].frame_t_ns.size + looked.frames_again
    found = InTime(frames=frame_t_ns.size, looks=looks, filled=plan.filled_px / (width * height))
    for at, t_ns in enumerate(frame_t_ns.tolist()):
        mask = np.zeros((height, width), np.bool_)
        for x1, y1, x2, y2 in plan.at(at).tolist():
            mask[y1:y2, x1:x2] = True
        head, band = (_open(mask, one.at(t_ns)) for one in (heads, bands))
        found += InTime(open_frames=int(head.any()), bands=band.size, open_bands=int(band.sum()))
    return found


def _open(mask: NDArray[np.bool_], parts: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which of ``parts`` (n, 4) are not covered. What lies outside of the picture is not asked for."""
    inside = (mask[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] for x1, y1, x2, y2 in parts.tolist())
    return np.array([part.mean() < COVERED for part in inside if part.size], np.bool_)


def seen(dense: Sequence[Detections], rules: RedactionRules, shows: Shows) -> Sightings:
    """Persons, or cars of at least 60 px, that count at each instant; of boxes in one place the best."""
    times, boxes = [np.empty(0, np.int64)], [np.empty((0, 4), np.float32)]
    rows = [counted(one, dense, shows, rules.strictness) for one in dense]
    if shows is Shows.HEAD:
        persons = [int(kind) for kind in PERSON_KINDS]
        rows = [mine[np.isin(one.kind[mine], persons)] for one, mine in zip(dense, rows, strict=True)]
    else:
        rows = [mine[_height(one.box[mine]) >= TALL_PX] for one, mine in zip(dense, rows, strict=True)]
    t_ns = np.concatenate([one.frame_t_ns[one.frame[mine]] for one, mine in zip(dense, rows, strict=True)])
    box = np.concatenate([one.box[mine] for one, mine in zip(dense, rows, strict=True)])
    score = np.concatenate([one.score[mine] for one, mine in zip(dense, rows, strict=True)])
    for at in np.unique(t_ns):
        now = t_ns == at
        best = suppress(RawBoxes(box[now], score[now], np.zeros(int(now.sum()), np.int32)), SAME_PLACE)
        times.append(np.full(len(best), at))
        boxes.append(best.box)
    return sightings(np.concatenate(times), np.concatenate(boxes))


def _height(box: NDArray[np.float32]) -> NDArray[np.float32]:
    return box[:, 3] - box[:, 1]


class Followed:
    """What must be covered of everything that is seen twice or more."""

    def __init__(self, sighted: Sightings, parts: Parts) -> None:
        self._tracks = [one for one in follow(sighted) if _times(one).size >= SEEN_TWICE]
        self._parts = parts

    def at(self, t_ns: int) -> NDArray[np.int32]:
        """Of all tracks that are there at ``t_ns``, shape (n, 4); in their gaps between the places on either side."""
        boxes = [np.empty((0, 4))]
        for track in self._tracks:
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
        return self._parts(np.concatenate(boxes))


def _times(track: Sightings) -> NDArray[np.int64]:
    return np.unique(track.t_ns)
