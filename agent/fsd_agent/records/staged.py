"""What one window of the ring holds, and how detections are cut and joined.

Parts of one clip may overlap (backfill); whoever joins them removes what is there twice. A frame of one camera
and one source is in at most one place of a joined set: the first part that names it wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.catalogue import CatalogueEntry
from fsd_firmware.samples import Detections, EncodedPacket, GnssFixes, ModeChange, Signals


@dataclass(frozen=True, slots=True, eq=False)
class StagedPart:
    """A piece of a clip, un-redacted, that explains itself: it can be read after the catalogue has changed."""

    packets: tuple[EncodedPacket, ...]
    """In order of time for each camera."""
    catalogue: tuple[CatalogueEntry, ...]
    """Entries of the signals that were asked for; the ``signal`` column of ``signals`` indexes this tuple."""
    signals: Signals
    detections: tuple[Detections, ...]
    """At most one for each camera and source."""
    gnss: GnssFixes
    modes: tuple[ModeChange, ...]


def cut_detections(detections: Detections, start_ns: int, end_ns: int) -> Detections | None:
    """Frames in ``[start_ns, end_ns)`` with their boxes; None where no frame is left."""
    first, last = np.searchsorted(detections.frame_t_ns, [start_ns, end_ns], side="left")
    if first >= last:
        return None
    if first == 0 and last == detections.frame_t_ns.shape[0]:
        return detections
    lo, hi = np.searchsorted(detections.frame, [first, last], side="left")
    boxes = slice(int(lo), int(hi))
    return Detections(
        camera=detections.camera,
        source=detections.source,
        frame_t_ns=detections.frame_t_ns[first:last],
        frame=(detections.frame[boxes] - first).astype(np.int32),
        kind=detections.kind[boxes],
        score=detections.score[boxes],
        box=detections.box[boxes],
        distance_m=detections.distance_m[boxes],
        track_id=detections.track_id[boxes],
        ttc_s=detections.ttc_s[boxes],
    )


def join_detections(sets: Iterable[Detections]) -> tuple[Detections, ...]:
    """One set for each camera and source, by camera then source, frames increasing and each of them once."""
    groups: dict[tuple[str, str], list[Detections]] = {}
    for one in sets:
        if one.frame_t_ns.shape[0]:
            groups.setdefault((one.camera, one.source), []).append(one)
    return tuple(_join(groups[key]) for key in sorted(groups))


def _join(group: Sequence[Detections]) -> Detections:
    if len(group) == 1:
        return group[0]
    t_ns = np.concatenate([one.frame_t_ns for one in group])
    offsets = np.cumsum([0] + [one.frame_t_ns.shape[0] for one in group[:-1]])
    owner: NDArray[np.int64] = np.concatenate(
        [one.frame + at for one, at in zip(group, offsets, strict=True)]
    )
    # ``return_index`` of unique is the first of equals: the earliest part that looked at this frame.
    frame_t_ns, first = np.unique(t_ns, return_index=True)
    place = np.full(t_ns.shape[0], -1, np.int64)
    place[first] = np.arange(first.shape[0])
    frame = place[owner]
    order = np.argsort(frame, kind="stable")
    order = order[frame[order] >= 0]
    return Detections(
        camera=group[0].camera,
        source=group[0].source,
        frame_t_ns=frame_t_ns,
        frame=frame[order].astype(np.int32),
        kind=np.concatenate([one.kind for one in group])[order],
        score=np.concatenate([one.score for one in group])[order],
        box=np.concatenate([one.box for one in group])[order],
        distance_m=np.concatenate([one.distance_m for one in group])[order],
        track_id=np.concatenate([one.track_id for one in group])[order],
        ttc_s=np.concatenate([one.ttc_s for one in group])[order],
    )
