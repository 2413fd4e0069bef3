"""Detections as columns: the newest frame of every stream (camera and source) at any instant.

``detections`` at an instant are the boxes of the newest frame of each stream seen so far. A frame is good for
less than :data:`STALE_NS`; from then on until the stream's next frame its boxes are unknown, so that ``exists`` can
still be true because of another stream but is not false, and ``size`` is unknown. Before the first frame of any
stream everything is unknown. Every frame is followed as it arrives (:mod:`~.tracks`), whatever is asked of it later.

A *look* is a stretch in which the newest frames stay the same: it begins at a frame's arrival or at the instant
at which a frame goes stale. Look 0 of a batch is what the batch began with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.detections.fields import field_column
from fsd_agent.rules.triggers.detections.motion import WINDOW_NS
from fsd_agent.rules.triggers.detections.tracks import Tracked, Tracker
from fsd_agent.rules.triggers.expressions.values import Column, Number, Plane
from fsd_firmware.samples import PERSON_KINDS, Detections, Kind

STALE_NS: Final = WINDOW_NS
"""Ten frames at 20 Hz: what was seen longer ago says little about what is there, and a track is lost after it."""

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Points in time, and a row for every box that is seen at a point. Arrays of p points and r rows."""

    points: int
    whole: Plane
    """Shape (p,): at least one stream was seen and none is stale."""
    point: Index
    """Shape (r,): the row's point."""
    box: Index
    """Shape (r,): the row's box in the batch's table."""


@dataclass(frozen=True, eq=False)
class Looks:
    """The looks of one batch. k changes make k + 1 looks."""

    changes_ns: NDArray[np.int64]
    """Shape (k,), increasing."""
    parts: tuple[Tracked, ...]
    """One for each stream; the batch's table of boxes is these in their order."""
    fresh: Plane
    """Shape (streams, k + 1): a frame that is not stale."""
    stale: Plane
    """Shape (streams, k + 1)."""
    first: Index
    """Shape (streams, k + 1): the newest frame's first box."""
    count: Index
    _fields: dict[str, Column] = field(default_factory=dict)

    @cached_property
    def axis(self) -> Axis:
        """A point for each look."""
        return self._axis(slice(None))

    def at(self, instants: NDArray[np.int64]) -> Index:
        """The look of each instant."""
        return np.searchsorted(self.changes_ns, instants, side="right")

    def axis_at(self, instants: NDArray[np.int64]) -> Axis:
        """A point for each instant."""
        return self._axis(self.at(instants))

    def column(self, name: str) -> Column:
        """A numeric field of every box of the table; NaN where an optional field is missing."""
        found = self._fields.get(name)
        if found is None:
            columns = [field_column(part, name) for part in self.parts]
            found = self._fields[name] = np.concatenate(columns) if columns else np.empty(0)
        return found

    def matches(self, name: str, text: str) -> Plane:
        """Whether a text field equals ``text``, for every box of the table."""
        if name == "kind":
            code = Kind[text.upper()] if text.upper() in Kind.__members__ and text == text.lower() else -1
            return self._kinds([code])
        same = [getattr(part.seen, name) == text for part in self.parts]
        return np.repeat(np.array(same, np.bool_), [len(part.seen) for part in self.parts])

    def seen(self, name: str) -> Number:
        """At each look, how many pedestrians and cyclists the fresh frames of a camera, or of a source, show.

        Shape (k + 1,). Unknown where none of its frames is fresh.
        """
        mine = [at for at, part in enumerate(self.parts) if name in {part.seen.camera, part.seen.source}]
        persons = np.concatenate([np.zeros(1), np.cumsum(self._kinds(sorted(PERSON_KINDS)))])
        fresh, first = self.fresh[mine], self.first[mine]
        found = persons[first + self.count[mine]] - persons[first]
        return Number(np.where(fresh, found, 0.0).sum(axis=0), np.asarray(fresh.any(axis=0)))

    def count_kind(self, kind: str, t_ns: int) -> int | None:
        """How many boxes of a kind are seen at ``t_ns``; None where that is unknown."""
        axis = self.axis_at(np.array([t_ns], np.int64))
        return int(np.count_nonzero(self.matches("kind", kind)[axis.box])) if axis.whole[0] else None

    def _axis(self, looks: slice | Index) -> Axis:
        fresh = self.fresh[:, looks]
        points = fresh.shape[1]
        streams, point = np.nonzero(fresh)
        first, count = self.first[:, looks][streams, point], self.count[:, looks][streams, point]
        whole: Plane = np.asarray(fresh.any(axis=0) & ~self.stale[:, looks].any(axis=0))
        ends = np.cumsum(count)
        total = int(ends[-1]) if ends.shape[0] else 0
        box = np.arange(total) - np.repeat(ends - count - first, count)
        return Axis(points, whole, np.repeat(point, count), box)

    def _kinds(self, codes: Sequence[int]) -> Plane:
        """Which boxes of the table are of one of these kinds."""
        if not self.parts:
            return np.empty(0, np.bool_)
        kind = np.concatenate([part.seen.kind for part in self.parts])
        return np.asarray(np.isin(kind, codes) if len(codes) > 1 else kind == codes[0], np.bool_)


class DetectionState:
    """The newest frame of every stream, followed from batch to batch."""

    def __init__(self, cameras: Mapping[str, tuple[int, int]]) -> None:
        """``cameras``: width and height in pixels of each camera's picture, by name."""
        self._tracker = Tracker(cameras)
        self._newest: dict[tuple[str, str], Tracked] = {}
        self._arrived: dict[tuple[str, str], Tracked] | None = None
        """Of the batch at hand, once it was followed."""

    @property
    def late_frames(self) -> int:
        """Frames that were not used, because a newer one of their camera and source had come before."""
        return self._tracker.late_frames

    @property
    def has_any(self) -> bool:
        """Whether any frame has come so far."""
        return bool(self._newest)

    def next_stale_ns(self, since_ns: int) -> int | None:
        """When the first of the newest frames that is still good at ``since_ns`` goes stale; None for never."""
        ends = (int(one.seen.frame_t_ns[-1]) + STALE_NS for one in self._newest.values())
        return min((end_ns for end_ns in ends if end_ns >= since_ns), default=None)

    def looks(self, detections: Sequence[Detections], *, since_ns: int, until_ns: int) -> Looks:
        """The looks of ``[since_ns, until_ns)``, given the frames that arrived in it.

        May be asked for repeatedly; the frames are followed once until :meth:`store`.
        """
        arrived = self._follow(detections)
        parts = tuple(
            self._newest[key].then(arrived[key])
            if key in self._newest and key in arrived
            else arrived.get(key) or self._newest[key]
            for key in sorted(self._newest.keys() | arrived.keys())
        )
        streams: list[tuple[NDArray[np.int64], Index]] = []
        base = 0
        for part in parts:
            bounds = np.searchsorted(part.seen.frame, np.arange(part.seen.frame_t_ns.shape[0] + 1))
            streams.append((part.seen.frame_t_ns, base + bounds))
            base += len(part.seen)
        changes = _changes(streams, since_ns, until_ns)
        at_ns = np.concatenate([np.array([since_ns - 1], np.int64), changes])
        return _lay(streams, parts, changes, at_ns)

    def store(self, detections: Sequence[Detections]) -> None:
        """The batch is over: keep each stream's newest frame."""
        for key, one in self._follow(detections).items():
            self._newest[key] = one.newest()
        self._arrived = None

    def _follow(self, detections: Sequence[Detections]) -> dict[tuple[str, str], Tracked]:
        if self._arrived is None and detections:
            found = self._tracker.follow(detections)
            self._arrived = {(one.seen.camera, one.seen.source): one for one in found}
        return self._arrived or {}


def _changes(
    streams: Sequence[tuple[NDArray[np.int64], Index]], since_ns: int, until_ns: int
) -> NDArray[np.int64]:
    times: list[NDArray[np.int64]] = []
    for t_ns, _ in streams:
        stale = t_ns + STALE_NS
        # A frame whose successor came in time never goes stale.
        lapses = np.append(stale[:-1] < t_ns[1:], True)
        times += [t_ns, stale[lapses]]
    every = np.unique(np.concatenate(times)) if times else np.empty(0, np.int64)
    return every[(every >= since_ns) & (every < until_ns)]


def _lay(
    streams: Sequence[tuple[NDArray[np.int64], Index]],
    parts: tuple[Tracked, ...],
    changes: NDArray[np.int64],
    at_ns: NDArray[np.int64],
) -> Looks:
    shape = (len(streams), at_ns.shape[0])
    fresh, stale = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    first, count = np.zeros(shape, np.intp), np.zeros(shape, np.intp)
    for row, (t_ns, bounds) in enumerate(streams):
        frame = np.searchsorted(t_ns, at_ns, side="right") - 1
        seen = frame >= 0
        old = at_ns - t_ns[frame] >= STALE_NS
        fresh[row], stale[row] = seen & ~old, seen & old
        first[row], count[row] = bounds[frame], bounds[frame + 1] - bounds[frame]
    return Looks(changes, parts, fresh, stale, first, count)
