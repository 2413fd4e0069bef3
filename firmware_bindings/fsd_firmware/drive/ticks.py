"""A stream of batches cut anew into ticks of one length: the same samples, other slices.

Tick edges are multiples of ``tick_ns``, from the one at or before the first sample. Every tick is given, also
an empty one, because time passes while nothing happens and consumers have timers. The last tick ends where the
last batch ended: no more is claimed than the source promised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fsd_firmware.can_frames import empty_can
from fsd_firmware.drive.columns import detection_rows, join, join_detections, rows
from fsd_firmware.drive.features import feature_rows, join_features
from fsd_firmware.drive.format import DriveCut
from fsd_firmware.samples import (
    Detections,
    EncodedPacket,
    Features,
    ModeChange,
    SensedBatch,
    empty_gnss,
    empty_signals,
)

_NO_CAN, _NO_SIGNALS, _NO_GNSS = empty_can(), empty_signals(), empty_gnss()


def in_ticks(batches: Iterable[SensedBatch], tick_ns: int) -> Iterator[SensedBatch]:
    """Cut ``batches``, which carry no raw frames, into ticks.

    A :class:`DriveCut` out of ``batches`` is raised after the tick that holds the last samples before it.
    Raises ``ValueError`` when ``tick_ns`` isn't positive.
    """
    if tick_ns < 1:
        raise ValueError(f"tick_ns: {tick_ns} is not positive")
    return _cut_all(iter(batches), tick_ns)


def _cut_all(batches: Iterator[SensedBatch], tick_ns: int) -> Iterator[SensedBatch]:
    rest: SensedBatch | None = None
    start_ns: int | None = None
    failure: DriveCut | None = None
    while True:
        try:
            batch = next(batches, None)
        except DriveCut as cut:
            batch, failure = None, cut
        if batch is None:
            break
        held = batch if rest is None else _joined(rest, batch)
        if start_ns is None:
            first = first_ns(held)
            if first is None:
                continue
            start_ns = first // tick_ns * tick_ns
        ends = np.arange(start_ns + tick_ns, held.until_ns + 1, tick_ns, dtype=np.int64)
        yield from _slices(held, ends)
        if len(ends):
            start_ns = int(ends[-1])
        rest = _after(held, start_ns)
    if rest is not None and start_ns is not None and start_ns < rest.until_ns:
        yield rest
    if failure is not None:
        raise failure


def first_ns(batch: SensedBatch) -> int | None:
    """Time of the earliest sample, None when there is none."""
    times = [int(table.t_ns[0]) for table in (batch.can, batch.signals, batch.gnss) if len(table)]
    times += [int(seen.frame_t_ns[0]) for seen in batch.detections if len(seen.frame_t_ns)]
    times += [int(known.t_ns[0]) for known in batch.features if len(known)]
    times += [packet.t_ns for packet in batch.packets[:1]] + [mode.t_ns for mode in batch.modes[:1]]
    return min(times, default=None)


def _joined(a: SensedBatch, b: SensedBatch) -> SensedBatch:
    return SensedBatch(
        until_ns=b.until_ns,
        wall_minus_mono_ns=b.wall_minus_mono_ns,
        can=join((a.can, b.can)),
        signals=join((a.signals, b.signals)),
        packets=a.packets + b.packets,
        frames=(),
        detections=join_detections(a.detections + b.detections),
        gnss=join((a.gnss, b.gnss)),
        modes=a.modes + b.modes,
        features=join_features(a.features + b.features),
    )


def _slices(batch: SensedBatch, ends: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[SensedBatch]:
    """One batch for each of ``ends``."""
    can = [0, *np.searchsorted(batch.can.t_ns, ends).tolist()]
    signals = [0, *np.searchsorted(batch.signals.t_ns, ends).tolist()]
    gnss = [0, *np.searchsorted(batch.gnss.t_ns, ends).tolist()]
    packets = [0, *np.searchsorted(_times(batch.packets), ends).tolist()]
    modes = [0, *np.searchsorted(_times(batch.modes), ends).tolist()]
    seen = [[0, *np.searchsorted(one.frame_t_ns, ends).tolist()] for one in batch.detections]
    known = [[0, *np.searchsorted(one.t_ns, ends).tolist()] for one in batch.features]
    for i, until_ns in enumerate(ends.tolist()):
        j = i + 1
        yield SensedBatch(
            until_ns,
            batch.wall_minus_mono_ns,
            rows(batch.can, can[i], can[j]) if can[i] < can[j] else _NO_CAN,
            rows(batch.signals, signals[i], signals[j]) if signals[i] < signals[j] else _NO_SIGNALS,
            batch.packets[packets[i] : packets[j]],
            (),
            _seen(batch.detections, [(edge[i], edge[j]) for edge in seen]) if seen else (),
            rows(batch.gnss, gnss[i], gnss[j]) if gnss[i] < gnss[j] else _NO_GNSS,
            batch.modes[modes[i] : modes[j]],
            _known(batch.features, [(edge[i], edge[j]) for edge in known]) if known else (),
        )


def _times(
    items: Sequence[EncodedPacket | ModeChange],
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.fromiter((item.t_ns for item in items), np.int64, len(items))


def _seen(detections: tuple[Detections, ...], edges: list[tuple[int, int]]) -> tuple[Detections, ...]:
    return tuple(
        detection_rows(one, low, high)
        for one, (low, high) in zip(detections, edges, strict=True)
        if low < high
    )


def _known(features: tuple[Features, ...], edges: list[tuple[int, int]]) -> tuple[Features, ...]:
    return tuple(
        feature_rows(one, low, high) for one, (low, high) in zip(features, edges, strict=True) if low < high
    )


def _after(batch: SensedBatch, start_ns: int) -> SensedBatch:
    """What of ``batch`` lies at ``start_ns`` or later, with its own ``until_ns``."""
    _before, rest = _slices(batch, np.array([start_ns, max(start_ns, batch.until_ns)], np.int64))
    return rest
