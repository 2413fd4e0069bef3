"""A small made-up stream of everything sensed, and its cuttings into batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.staged import StagedPart, cut_detections
from fsd_firmware.can_frames import empty_can
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.samples import (
    Detections,
    DriveMode,
    EncodedPacket,
    GnssFixes,
    ModeChange,
    SensedBatch,
    Signals,
)

CATALOGUE = Catalogue(
    tuple(CatalogueEntry(f"Vehicle.S{row}", "double", "", -1e9, 1e9, "") for row in range(4))
)


def looks(
    camera: str, source: str, frames: Sequence[tuple[int, Sequence[tuple[int, float, Sequence[float]]]]]
) -> Detections:
    """Detections from ``(t_ns, [(kind, score, box)])``."""
    boxes = [(at, *box) for at, (_, seen) in enumerate(frames) for box in seen]
    n = len(boxes)
    return Detections(
        camera=camera,
        source=source,
        frame_t_ns=np.array([t_ns for t_ns, _ in frames], np.int64),
        frame=np.array([box[0] for box in boxes], np.int32),
        kind=np.array([box[1] for box in boxes], np.uint8),
        score=np.array([box[2] for box in boxes], np.float32),
        box=np.array([box[3] for box in boxes], np.float32).reshape(n, 4),
        distance_m=np.full(n, np.nan, np.float32),
        track_id=np.full(n, -1, np.int32),
        ttc_s=np.full(n, np.nan, np.float32),
    )


@dataclass(frozen=True, eq=False)
class Stream:
    """Times are whole numbers 0 to ``length``."""

    length: int
    packets: tuple[EncodedPacket, ...]
    signals: Signals
    detections: tuple[Detections, ...]
    gnss: GnssFixes
    modes: tuple[ModeChange, ...]

    def batch(self, start: int, until: int) -> tuple[SensedBatch, Signals, tuple[Detections, ...]]:
        """Everything in ``[start, until)`` as a source gives it."""
        rows = slice(*np.searchsorted(self.signals.t_ns, [start, until]))
        signals = Signals(self.signals.t_ns[rows], self.signals.signal[rows], self.signals.value[rows])
        seen = tuple(cut for one in self.detections if (cut := cut_detections(one, start, until)) is not None)
        fixes = slice(*np.searchsorted(self.gnss.t_ns, [start, until]))
        sensed = SensedBatch(
            until_ns=until,
            wall_minus_mono_ns=0,
            can=empty_can(),
            signals=signals,
            packets=tuple(p for p in self.packets if start <= p.t_ns < until),
            frames=(),
            detections=seen,
            gnss=GnssFixes(*(getattr(self.gnss, name)[fixes] for name in GNSS_COLUMNS)),
            modes=tuple(m for m in self.modes if start <= m.t_ns < until),
        )
        return sensed, signals, seen


_SEEN_COLUMNS = ("frame_t_ns", "frame", "kind", "score", "box", "distance_m", "track_id", "ttc_s")
GNSS_COLUMNS = ("t_ns", "lat_deg", "lon_deg", "alt_m", "speed_mps", "heading_deg")


def stream(seed: int, length: int = 120) -> Stream:
    """Two cameras (one begins with packets nobody can decode), four signals of different rates, one source each."""
    rng = np.random.default_rng(seed)
    packets = [
        EncodedPacket(camera, t, "av1", (t + shift) % 7 == 0, bytes([t % 256]) * int(rng.integers(1, 30)))
        for camera, shift in (("front", 0), ("rear", 3))
        for t in range(shift % 2, length, 2 + shift % 2)
    ]
    n = 3 * length
    t_ns = np.sort(rng.integers(0, length, n)).astype(np.int64)
    signal = rng.choice([0, 0, 0, 1, 1, 2], n).astype(np.int32)
    signal[:2] = 3  # once at the beginning and never again
    detections = tuple(
        looks(
            camera,
            "firmware",
            [
                (
                    t,
                    [
                        (int(rng.integers(0, 8)), float(rng.random()), rng.random(4).tolist())
                        for _ in range(rng.integers(0, 3))
                    ],
                )
                for t in range(0, length, 3)
            ],
        )
        for camera in ("front", "rear")
    )
    detections = tuple(_measured(one) for one in detections)
    fixes = np.arange(0, length, 10)
    column = rng.random(fixes.shape[0])
    return Stream(
        length=length,
        packets=tuple(sorted(packets, key=lambda p: p.t_ns)),
        signals=Signals(t_ns, signal, rng.random(n)),
        detections=detections,
        gnss=GnssFixes(fixes, column, column + 1, column + 2, column + 3, column + 4),
        modes=tuple(ModeChange(t, DriveMode(t % 4)) for t in range(0, length, 25)),
    )


def _measured(seen: Detections) -> Detections:
    """With a distance, a track and a time to collision of its own for each box."""
    number = np.arange(len(seen))
    return replace(
        seen,
        distance_m=number.astype(np.float32) + 0.5,
        track_id=number.astype(np.int32),
        ttc_s=(number / 8).astype(np.float32),
    )


def plain(part: StagedPart) -> object:
    """The part as values that compare."""
    return (
        part.packets,
        part.catalogue,
        [column.tolist() for column in (part.signals.t_ns, part.signals.signal, part.signals.value)],
        [
            (
                one.camera,
                one.source,
                *(getattr(one, name).tolist() for name in _SEEN_COLUMNS),
            )
            for one in part.detections
        ],
        [getattr(part.gnss, name).tolist() for name in GNSS_COLUMNS],
        part.modes,
    )


def row(
    start_ns: int,
    end_ns: int,
    *,
    cameras: tuple[str, ...] = ("front",),
    signals: tuple[str, ...] = (),
    **more: object,
) -> ClipRow:
    """A staged clip."""
    values: dict[str, object] = {"clip_id": "0" * 32, "region_id": "cn", "priority": 0, **more}
    return ClipRow(
        purpose=Purpose.SAFETY,
        state=ClipState.STAGED,
        start_ns=start_ns,
        end_ns=end_ns,
        wall_minus_mono_ns=1_700_000_000_000_000_000,
        cameras=cameras,
        signals=signals,
        **values,  # type: ignore[arg-type]  # named above and by the caller
    )
