"""Cutting and joining column sets: what the writer, the reader and the replay do to samples.

Rows keep their order; every function returns views where it can and never writes to what it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can_frames import CanFrames
from fsd_firmware.samples import Detections, GnssFixes, Signals

Table = TypeVar("Table", CanFrames, Signals, GnssFixes)

BOX_COLUMNS = ("kind", "score", "box", "distance_m", "track_id", "ttc_s")
"""Columns of :class:`Detections` that have one row a box, beside ``frame``."""

_columns: Final[Mapping[type, Callable[[Any], tuple[NDArray[Any], ...]]]] = {
    CanFrames: attrgetter("t_ns", "bus", "can_id", "length", "data"),
    Signals: attrgetter("t_ns", "signal", "value"),
    GnssFixes: attrgetter("t_ns", "lat_deg", "lon_deg", "alt_m", "speed_mps", "heading_deg"),
}
"""All columns of a table, as it is made of them."""


def rows(table: Table, low: int, high: int) -> Table:
    """Rows ``low`` to ``high`` (exclusive)."""
    if isinstance(table, CanFrames):
        return table.rows(low, high)
    return type(table)(*[column[low:high] for column in _columns[type(table)](table)])


def join(tables: Sequence[Table]) -> Table:
    """One after the other; at least one. CAN frames of both widths become wide ones."""
    if len(tables) == 1:
        return tables[0]
    columns = _columns[type(tables[0])]
    return type(tables[0])(*map(_end_to_end, zip(*map(columns, tables), strict=True)))


def _end_to_end(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if columns[0].ndim == 2:
        width = max(column.shape[1] for column in columns)
        columns = [_widened(column, width) for column in columns]
    return np.concatenate(columns)


def _widened(data: NDArray[Any], width: int) -> NDArray[Any]:
    if data.shape[1] == width:
        return data
    wide = np.zeros((data.shape[0], width), data.dtype)
    wide[:, : data.shape[1]] = data
    return wide


def shifted_table(table: Table, by_ns: int) -> Table:
    """The same rows later."""
    t_ns, *others = _columns[type(table)](table)
    return type(table)(t_ns + by_ns, *others)


def shifted_detections(detections: Detections, by_ns: int) -> Detections:
    """The same detections later."""
    return replace(detections, frame_t_ns=detections.frame_t_ns + by_ns)


def detection_rows(detections: Detections, low: int, high: int) -> Detections:
    """Observed frames ``low`` to ``high`` (exclusive) with their boxes."""
    first, last = np.searchsorted(detections.frame, (low, high)).tolist()
    return Detections(
        detections.camera,
        detections.source,
        detections.frame_t_ns[low:high],
        (detections.frame[first:last] - low).astype(np.int32, copy=False),
        *(getattr(detections, name)[first:last] for name in BOX_COLUMNS),
    )


def join_detections(parts: Iterable[Detections]) -> tuple[Detections, ...]:
    """One value for each camera and source, in order of first appearance."""
    groups: dict[tuple[str, str], list[Detections]] = {}
    for part in parts:
        groups.setdefault((part.camera, part.source), []).append(part)
    return tuple(_join_one(group) for group in groups.values())


def _join_one(group: list[Detections]) -> Detections:
    if len(group) == 1:
        return group[0]
    starts = np.cumsum([0, *(len(part.frame_t_ns) for part in group[:-1])]).tolist()
    return Detections(
        group[0].camera,
        group[0].source,
        np.concatenate([part.frame_t_ns for part in group]),
        np.concatenate([part.frame + start for part, start in zip(group, starts, strict=True)]).astype(
            np.int32
        ),
        *(np.concatenate([getattr(part, name) for part in group]) for name in BOX_COLUMNS),
    )


def spans(t_ns: NDArray[np.int64], cell_ns: int) -> Iterator[tuple[int, int, int]]:
    """Runs of equal ``t_ns // cell_ns`` as (cell, low, high); ``t_ns`` must not decrease."""
    if not len(t_ns):
        return
    cells = t_ns // cell_ns
    edges = [0, *(np.flatnonzero(np.diff(cells)) + 1).tolist(), len(cells)]
    for low, high in pairwise(edges):
        yield int(cells[low]), low, high
