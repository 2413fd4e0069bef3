"""Boxes of one camera's persons, joined into tracks over the looks that missed them.

A box belongs to the track that was seen last within ``LOST_NS`` before it and in whose last box, grown on every side by
``REACH`` of its height and by ``REACH_PER_S`` of it for each second since, the box's centre lies; its height is at most
``GROWTH`` times the last one's, or that share of it. Of several such tracks, the one whose last box is nearest. Otherwise it begins
a track. Two boxes of one instant may be of one track: two models that see the same person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.privacy.zones import upright

LOST_NS = 1_000_000_000
"""A person who is hidden by a passing car or two is back within a second."""
REACH, REACH_PER_S = 0.1, 1.0
GROWTH = 1.6


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """Boxes of persons, by time. Both arrays have length n."""

    t_ns: NDArray[np.int64]
    box: NDArray[np.float64]
    """Shape (n, 4), x1 <= x2, y1 <= y2."""

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Sightings:
        """Some of them, in order."""
        return Sightings(self.t_ns[rows], self.box[rows])


def sightings(t_ns: NDArray[np.int64], box: NDArray[np.float32]) -> Sightings:
    """Boxes (n, 4) seen at ``t_ns`` (n,), in any order."""
    order = np.argsort(t_ns, stable=True)
    return Sightings(t_ns[order], upright(box)[order])


def follow(seen: Sightings) -> list[Sightings]:
    """Tracks, each with its sightings by time, in order of their beginnings.

    An instant is compared with the tracks that may still go on, not with all that ever were: so the cost grows with the
    length of a clip, and not with its square.
    """
    if not seen.t_ns.size:
        return []
    track_of = np.empty(seen.t_ns.shape, np.int64)
    # Of the tracks that may go on, by number: which they are, and the row that was seen last.
    live = last = np.empty(0, np.int64)
    begun = 0
    instants, starts = np.unique(seen.t_ns, return_index=True)
    for t_ns, rows in zip(instants, np.split(np.arange(seen.t_ns.size), starts[1:]), strict=True):
        goes_on = t_ns - seen.t_ns[last] <= LOST_NS
        live, last = live[goes_on], last[goes_on]
        mine = _nearest(seen, rows, last)
        fresh = mine < 0
        # Among those that nobody knows, one model's box may be the other's.
        twin = _twin(seen, rows[fresh])
        mine[fresh] = last.size + twin
        new = np.arange(np.unique(twin).size)
        live, last = np.concatenate([live, begun + new]), np.concatenate([last, new])
        last[mine] = rows
        track_of[rows] = live[mine]
        begun += new.size
    order = np.argsort(track_of, stable=True)
    return [
        seen.take(rows) for rows in np.split(order, np.searchsorted(track_of[order], np.arange(1, begun)))
    ]


def _nearest(seen: Sightings, rows: NDArray[np.intp], last: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of ``rows`` the position in ``last``, rows of tracks that may go on, of the one that it belongs to; -1 for none."""
    if not last.size:
        return np.full(rows.shape, -1, np.int64)
    gap_ns = seen.t_ns[rows][:, None] - seen.t_ns[last]
    far = _distance(seen.box[rows], seen.box[last], gap_ns / 1e9)
    nearest: NDArray[np.int64] = np.where(np.isinf(far.min(axis=1)), -1, far.argmin(axis=1))
    return nearest


def _twin(seen: Sightings, rows: NDArray[np.intp]) -> NDArray[np.int64]:
    """Numbers from 0 on for ``rows`` of one instant; what is in one place has one number."""
    number = np.full(rows.shape, -1, np.int64)
    far = _distance(seen.box[rows], seen.box[rows], np.zeros(1))
    for at in range(rows.size):
        if number[at] < 0:
            number[~np.isinf(far[at]) & (number < 0)] = number.max() + 1
    return number


def _distance(
    box: NDArray[np.float64], last: NDArray[np.float64], gap_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n, 4), (m, 4), (n, m) to (n, m): between centres, infinite where the boxes are not of one track."""
    height, last_height = box[:, 3] - box[:, 1], last[:, 3] - last[:, 1]
    centre = (box[:, :2] + box[:, 2:]) / 2
    margin = (REACH + REACH_PER_S * gap_s) * last_height
    apart = np.maximum(last[:, :2] - centre[:, None], centre[:, None] - last[:, 2:]).max(axis=2)
    grown = np.maximum(height[:, None], last_height) > GROWTH * np.minimum(height[:, None], last_height)
    away = np.linalg.norm(centre[:, None] - (last[:, :2] + last[:, 2:]) / 2, axis=2)
    distance: NDArray[np.float64] = np.where((apart > margin) | grown, np.inf, away)
    return distance
