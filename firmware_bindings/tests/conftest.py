"""Drives for tests: random content on every channel, and ways to look at what comes back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fsd_firmware.can.build import Field, build_table
from fsd_firmware.can_frames import CanFrames, empty_can
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.contract import CameraDescription, VehicleDescription
from fsd_firmware.drive.columns import detection_rows, join, join_detections, rows
from fsd_firmware.drive.features import feature_rows, join_features
from fsd_firmware.drive.writer import DriveWriter
from fsd_firmware.samples import (
    Detections,
    DriveMode,
    EncodedPacket,
    Features,
    GnssFixes,
    ModeChange,
    SensedBatch,
    Signals,
    empty_gnss,
    empty_signals,
)

SECOND = 1_000_000_000
WALL = 1_790_000_000 * SECOND
START = 12_345_678_901_234


@dataclass
class Content:
    """Everything of a drive, joined per channel."""

    can: CanFrames = field(default_factory=empty_can)
    signals: Signals = field(default_factory=empty_signals)
    gnss: GnssFixes = field(default_factory=empty_gnss)
    detections: tuple[Detections, ...] = ()
    packets: tuple[EncodedPacket, ...] = ()
    modes: tuple[ModeChange, ...] = ()
    features: tuple[Features, ...] = ()

    def before(self, until_ns: int) -> Content:
        """What lies before an instant."""
        seen = [detection_rows(d, 0, int(np.searchsorted(d.frame_t_ns, until_ns))) for d in self.detections]
        known = [feature_rows(f, 0, int(np.searchsorted(f.t_ns, until_ns))) for f in self.features]
        return Content(
            *(
                rows(t, 0, int(np.searchsorted(t.t_ns, until_ns)))
                for t in (self.can, self.signals, self.gnss)
            ),
            tuple(d for d in seen if len(d.frame_t_ns)),
            tuple(p for p in self.packets if p.t_ns < until_ns),
            tuple(m for m in self.modes if m.t_ns < until_ns),
            tuple(f for f in known if len(f)),
        )


COLUMNS = {Signals: ("t_ns", "signal", "value"), CanFrames: ("t_ns", "bus", "can_id", "length", "data")}


def same(a: object, b: object) -> bool:
    """Equal values, columns included; NaN equals NaN. Fixes travel through radians, so to 1e-9."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        if a.dtype == np.float64:
            return a.shape == b.shape and np.allclose(a, b, rtol=1e-12, atol=1e-9, equal_nan=True)
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if type(a) is not type(b):
        return False
    if isinstance(a, (Content, CanFrames, Signals, GnssFixes, Detections, Features)):
        names = COLUMNS.get(type(a)) or [field.name for field in fields(a)]
        return all(same(getattr(a, name), getattr(b, name)) for name in names)
    return a == b


def collect(batches: Iterable[SensedBatch], into: list[SensedBatch] | None = None) -> Content:
    """Join what comes, and check the promise of every batch. ``into`` keeps what came before an error."""
    kept = [] if into is None else into
    until_ns = -1
    for batch in batches:
        assert batch.until_ns > until_ns
        times = [*batch.can.t_ns, *batch.signals.t_ns, *batch.gnss.t_ns]
        times += [t for seen in batch.detections for t in seen.frame_t_ns]
        times += [t for known in batch.features for t in known.t_ns]
        times += [item.t_ns for item in (*batch.packets, *batch.modes)]
        assert all(until_ns <= t < batch.until_ns for t in times)
        until_ns = batch.until_ns
        kept.append(batch)
    return joined(kept)


def joined(batches: list[SensedBatch]) -> Content:
    """All batches as one content."""
    if not batches:
        return Content()
    return Content(
        join([b.can for b in batches]),
        join([b.signals for b in batches]),
        join([b.gnss for b in batches]),
        join_detections(seen for b in batches for seen in b.detections),
        tuple(p for b in batches for p in b.packets),
        tuple(m for b in batches for m in b.modes),
        join_features(known for b in batches for known in b.features),
    )


def content(seconds: float, seed: int = 0, codec_packets: Iterable[EncodedPacket] | None = None) -> Content:
    """Random samples: odd CAN times, a pause, frames without boxes, unknown distances and headings."""
    rng = np.random.default_rng(seed)
    end = START + round(seconds * SECOND)

    def times(rate_hz: float) -> np.ndarray:
        t_ns = np.sort(rng.integers(START, end, max(1, round(rate_hz * seconds))))
        pause = (t_ns > START + SECOND) & (t_ns < START + SECOND + SECOND // 2)
        return t_ns[~pause] if seconds > 2 and not pause.all() else t_ns

    t_can = times(300)
    n = len(t_can)
    length = rng.integers(0, 9, n).astype(np.uint8)
    data = rng.integers(0, 256, (n, 8)).astype(np.uint8) * (np.arange(8) < length[:, None])
    can_id = rng.integers(0, 1 << 11, n).astype(np.uint32)
    can = CanFrames(t_can, rng.integers(0, 3, n).astype(np.uint8), can_id, length, data.astype(np.uint8))
    t_sig = times(50)
    signals = Signals(t_sig, rng.integers(0, 2, len(t_sig)).astype(np.int32), rng.normal(size=len(t_sig)))
    t_gnss = times(10)
    lat, lon, alt, speed = rng.normal(scale=50, size=(4, len(t_gnss)))
    heading = rng.uniform(0, 360, len(t_gnss))
    heading[::7], speed = np.nan, np.abs(speed)
    gnss = GnssFixes(t_gnss, lat, lon, alt, speed, heading)
    detections = tuple(_seen(rng, camera, source, times(15)) for camera, source in SOURCES)
    if codec_packets is None:
        codec_packets = (
            EncodedPacket(camera, int(t), "av1", i % 10 == 0, rng.bytes(int(rng.integers(1, 3000))))
            for camera in ("front", "rear")
            for i, t in enumerate(np.unique(times(20)))
        )
    packets = tuple(sorted(codec_packets, key=lambda packet: packet.t_ns))
    modes = tuple(
        ModeChange(int(t), DriveMode(i % 4)) for i, t in enumerate(np.unique(rng.integers(START, end, 3)))
    )
    features = tuple(
        Features(camera, source, t_ns, rng.normal(size=(len(t_ns), width)).astype(np.float32))
        for camera, source, width in (("front", "firmware:a", 5), ("rear", "nanodet@1", 1))
        for t_ns in [np.unique(times(10))]
    )
    return Content(can, signals, gnss, detections, packets, modes, features)


SOURCES = (("front", "firmware"), ("rear", "nanodet@1"))


def _seen(rng: np.random.Generator, camera: str, source: str, t_ns: np.ndarray) -> Detections:
    t_ns = np.unique(t_ns)
    boxes = rng.integers(0, 4, len(t_ns))
    n = int(boxes.sum())
    distance = rng.uniform(1, 80, n).astype(np.float32)
    distance[::3] = np.nan
    return Detections(
        camera,
        source,
        t_ns,
        np.repeat(np.arange(len(t_ns)), boxes).astype(np.int32),
        rng.integers(0, 9, n).astype(np.uint8),
        rng.uniform(0, 1, n).astype(np.float32),
        rng.uniform(0, 1280, (n, 4)).astype(np.float32),
        distance,
        rng.integers(-1, 50, n).astype(np.int32),
        np.where(distance < 20, distance / 10, np.nan).astype(np.float32),
    )


def description() -> VehicleDescription:
    """Two cameras, two signals, one of them out of CAN."""
    entries = (
        CatalogueEntry("Vehicle.Speed", "double", "km/h", 0.0, 250.0, "Speed over ground."),
        CatalogueEntry("Vehicle.ADAS.ABS.IsEngaged", "bool", "", 0.0, 1.0, ""),
    )
    table = build_table([Field(0, 0x123, 7, 16, True, False, 0.01, 0.0, catalogue_row=0)])
    cameras = (CameraDescription("front", 1280, 960, 20.0), CameraDescription("rear", 640, 480, 12.5))
    return VehicleDescription(cameras, Catalogue(entries), table)


def write(path: Path, what: Content, *, slice_ns: int = SECOND) -> Path:
    """A drive of ``what``, written in slices of all channels, one after the other."""
    with DriveWriter(
        path,
        description(),
        name="a drive",
        wall_minus_mono_ns=WALL,
        origin={"maker": "a test"},
        attachments={"vehicle.dbc": b"VERSION"},
    ) as writer:
        end = max((t for t in _ends(what)), default=0)
        at = START // slice_ns * slice_ns
        while at <= end:
            _write_slice(writer, what, at, at + slice_ns)
            at += slice_ns
    return path


def _ends(what: Content) -> list[int]:
    times = [int(t.t_ns[-1]) for t in (what.can, what.signals, what.gnss) if len(t)]
    times += [int(d.frame_t_ns[-1]) for d in what.detections]
    times += [int(f.t_ns[-1]) for f in what.features]
    return times + [item.t_ns for item in (*what.packets[-1:], *what.modes[-1:])]


def _write_slice(writer: DriveWriter, what: Content, low: int, high: int) -> None:
    def cut(table: Any) -> Any:
        return rows(table, *np.searchsorted(table.t_ns, (low, high)).tolist())

    for packet in what.packets:
        if low <= packet.t_ns < high:
            writer.write_packet(packet)
    for seen in what.detections:
        writer.write_detections(detection_rows(seen, *np.searchsorted(seen.frame_t_ns, (low, high)).tolist()))
    for known in what.features:
        writer.write_features(feature_rows(known, *np.searchsorted(known.t_ns, (low, high)).tolist()))
    writer.write_gnss(cut(what.gnss))
    for mode in what.modes:
        if low <= mode.t_ns < high:
            writer.write_mode(mode)
    writer.write_can(cut(what.can))
    writer.write_signals(cut(what.signals))


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The functions above, because test modules can't import this one."""
    return SimpleNamespace(
        Content=Content,
        same=same,
        collect=collect,
        joined=joined,
        content=content,
        description=description,
        write=write,
        start_ns=START,
        wall_ns=WALL,
    )


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Content]:
    """Five seconds of everything, and what is in it."""
    what = content(5.0)
    return write(tmp_path_factory.mktemp("drive") / "whole.mcap", what), what
