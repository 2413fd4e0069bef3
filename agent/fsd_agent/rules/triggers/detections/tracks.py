"""Every camera and source followed from frame to frame, whatever campaigns are in force.

A box that comes with a track id keeps it. Any other box, and a second one with the same id in its frame, is matched
(:mod:`~.matching`) with the tracks of its camera and source that were seen in the last :data:`~.motion.WINDOW_NS`,
those with given ids included, unless this frame gives their id itself. What matches none begins a track with a new id
from :data:`OWN_IDS` on, which a given id never reaches. A track that was not seen for longer is over: the same id after
that is another track.

A frame is followed once and in order of time: a frame that is not newer than the newest of its camera and source is
left out. What is known of a track changes frame by frame, so how frames are cut into batches can't matter.

Plain floats and not arrays: a frame has about ten boxes, and for so few an array operation costs as much as the whole
of a box here. Not a library either: those bring Kalman filters and an assignment solver in compiled code, for boxes
that mostly come with ids.

Bounds: the first :data:`MAX_MATCHED` boxes without an id of a frame are matched, with the :data:`MAX_CANDIDATES` tracks
that were seen last; more boxes than that begin a track each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.staged import cut_detections, join_detections
from fsd_agent.rules.triggers.detections.matching import GROUP, match
from fsd_agent.rules.triggers.detections.motion import MOTION, WINDOW_NS, Box, Moved, Track
from fsd_firmware.drive import columns
from fsd_firmware.samples import Detections

OWN_IDS: Final = 2**31
"""First id of our own; given ids are int32."""
MAX_MATCHED: Final = 64
MAX_CANDIDATES: Final = 128

_UNKNOWN_SIZE: Final = (float("nan"), float("nan"))


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """Detections of one camera and source with what following them adds. n boxes."""

    seen: Detections
    size_px: tuple[float, float]
    """Width and height of the camera's picture; NaN where unknown."""
    track: NDArray[np.int64]
    """Shape (n,), never negative."""
    first_ns: NDArray[np.int64]
    """Shape (n,): when the track began."""
    motion: NDArray[np.float64]
    """Shape (n, 5), columns :data:`~.motion.MOTION`; NaN where unknown."""

    def newest(self) -> Tracked:
        """The newest frame alone."""
        last_ns = int(self.seen.frame_t_ns[-1])
        cut = cut_detections(self.seen, last_ns, last_ns + 1)
        if cut is None or cut is self.seen:
            return self
        at = len(self.seen) - len(cut)
        return Tracked(cut, self.size_px, self.track[at:], self.first_ns[at:], self.motion[at:])

    def then(self, later: Tracked) -> Tracked:
        """These frames and later ones of the same camera and source."""
        (seen,) = columns.join_detections((self.seen, later.seen))
        return Tracked(
            seen,
            self.size_px,
            np.concatenate([self.track, later.track]),
            np.concatenate([self.first_ns, later.first_ns]),
            np.concatenate([self.motion, later.motion]),
        )


class Tracker:
    """Follows all streams; see the module."""

    def __init__(self, cameras: Mapping[str, tuple[int, int]]) -> None:
        """``cameras``: width and height in pixels of each camera's picture, by name."""
        self._sizes = {name: (float(width), float(height)) for name, (width, height) in cameras.items()}
        self._streams: dict[tuple[str, str], _Stream] = {}
        self.late_frames = 0
        """Frames that were left out."""

    def follow(self, detections: Iterable[Detections]) -> tuple[Tracked, ...]:
        """The new frames of each camera and source, by camera and then source."""
        found: list[Tracked] = []
        for seen in join_detections(detections):
            stream = self._streams.setdefault((seen.camera, seen.source), _Stream())
            fresh = _later(seen, stream.last_ns)
            self.late_frames += seen.frame_t_ns.shape[0] - fresh.frame_t_ns.shape[0]
            if fresh.frame_t_ns.shape[0]:
                found.append(stream.follow(fresh, self._sizes.get(seen.camera, _UNKNOWN_SIZE)))
        return tuple(found)


def _later(seen: Detections, last_ns: int) -> Detections:
    """The frames that are newer than ``last_ns`` and than every frame before them."""
    t_ns = seen.frame_t_ns
    if t_ns[0] > last_ns and (t_ns.shape[0] == 1 or (t_ns[1:] > t_ns[:-1]).all()):
        return seen
    keep = t_ns > np.maximum.accumulate(np.concatenate([np.array([last_ns]), t_ns[:-1]]))
    rows = keep[seen.frame]
    place = keep.cumsum() - 1
    boxes = {name: getattr(seen, name)[rows] for name in columns.BOX_COLUMNS}
    return replace(seen, frame_t_ns=t_ns[keep], frame=place[seen.frame[rows]].astype(np.int32), **boxes)


@dataclass(slots=True, eq=False)
class _Stream:
    """One camera and source."""

    last_ns: int = -(2**62)
    """Time of the newest frame."""
    tracks: dict[int, Track] = field(default_factory=dict)
    """Those that are not over, by id, the one seen last at the end."""
    next_id: int = OWN_IDS

    def follow(self, seen: Detections, size_px: tuple[float, float]) -> Tracked:
        """Follow frames that are all newer than the newest."""
        followed: list[tuple[Track, Moved]] = []
        edges = seen.frame.searchsorted(np.arange(seen.frame_t_ns.shape[0] + 1)).tolist()
        given = seen.track_id.tolist()
        boxes = [
            Box(GROUP[kind], x1, y1, x2, y2, distance_m)
            for kind, (x1, y1, x2, y2), distance_m in zip(
                seen.kind.tolist(), seen.box.tolist(), seen.distance_m.tolist(), strict=True
            )
        ]
        for at, t_ns in enumerate(seen.frame_t_ns.tolist()):
            rows = slice(edges[at], edges[at + 1])
            followed += self._frame(t_ns, boxes[rows], given[rows])
            self.last_ns = t_ns
        return Tracked(
            seen,
            size_px,
            np.array([track.id for track, _ in followed], np.int64),
            np.array([track.first_ns for track, _ in followed], np.int64),
            _finite(np.array([moved for _, moved in followed], np.float64).reshape(-1, len(MOTION))),
        )

    def _frame(self, t_ns: int, boxes: Sequence[Box], given: Sequence[int]) -> list[tuple[Track, Moved]]:
        """The track of each box of one frame."""
        self._drop(t_ns)
        found: list[Track | None] = [None] * len(boxes)
        for number, at in {number: at for at, number in reversed(tuple(enumerate(given)))}.items():
            if number >= 0:
                found[at] = self.tracks.pop(number, None) or Track(number, t_ns, t_ns, boxes[at])
        nameless = [at for at, track in enumerate(found) if track is None]
        if nameless:
            self._match(t_ns, boxes, nameless, found)
        followed: list[tuple[Track, Moved]] = []
        for track, box in zip(found, boxes, strict=True):
            if track is not None:
                self.tracks[track.id] = track
                followed.append((track, track.move(t_ns, box)))
        return followed

    def _match(
        self, t_ns: int, boxes: Sequence[Box], nameless: Sequence[int], found: list[Track | None]
    ) -> None:
        """Find or begin the tracks of the boxes without an id."""
        candidates = list(islice(reversed(self.tracks.values()), MAX_CANDIDATES))
        matched = match(t_ns, [boxes[at] for at in nameless[:MAX_MATCHED]], candidates)
        for number, at in enumerate(nameless):
            track = matched.get(number)
            if track is None:
                track = Track(self.next_id, t_ns, t_ns, boxes[at])
                self.next_id += 1
            # Out of its place: it is put at the end, where the newest are.
            self.tracks.pop(track.id, None)
            found[at] = track

    def _drop(self, t_ns: int) -> None:
        """Forget the tracks that are over."""
        while self.tracks:
            oldest = next(iter(self.tracks.values()))
            if t_ns - oldest.last_ns <= WINDOW_NS:
                return
            del self.tracks[oldest.id]


def _finite(motion: NDArray[np.float64]) -> NDArray[np.float64]:
    motion[~np.isfinite(motion)] = np.nan
    return motion
