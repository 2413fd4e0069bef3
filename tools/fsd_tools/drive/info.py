"""``fsdctl drive info``: what is inside a drive, and whether it is whole.

A *series* is what should come regularly: a camera, the fixes, what one source looked at, the signals and modes
as channels, and each CAN id of each bus. A gap is a pause longer than three of its series' median periods; a
series of fewer than ``MIN_FOR_GAPS`` times has none. Exit code 1 when the drive is cut off or damaged; what
could be read is printed all the same.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import cyclopts
import msgspec
import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can_frames import CAN_EFF_FLAG
from fsd_firmware.contract import CameraDescription, FirmwareError
from fsd_firmware.drive.format import DriveError
from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.samples import Kind, SensedBatch
from fsd_tools.errors import ToolError

GAP_PERIODS: Final = 3
MIN_FOR_GAPS: Final = 5
WORST_GAPS: Final = 10


class Series(msgspec.Struct, frozen=True):
    """One regular thing."""

    name: str
    count: int
    rate_hz: float
    """Over its own first and last time."""
    first_s: float
    """From the drive's start."""
    last_s: float
    median_period_ms: float
    gaps: int


class Gap(msgspec.Struct, frozen=True):
    """One pause."""

    series: str
    at_s: float
    length_s: float


class Camera(msgspec.Struct, frozen=True):
    """One camera that the vehicle has; without packets the codec is empty."""

    name: str
    width: int
    height: int
    fps: float
    packets: int
    codec: str
    key_frames: int
    key_frame_interval_s: float
    """Median; 0 with fewer than two key frames."""
    bytes: int


class Bus(msgspec.Struct, frozen=True):
    """One CAN bus."""

    bus: int
    frames: int
    rate_hz: float
    ids: dict[str, int]
    """Frames by id, in hex."""


class DriveSummary(msgspec.Struct, frozen=True):
    """Everything that ``fsdctl drive info --json`` prints."""

    file: str
    name: str
    origin: dict[str, str]
    attachments: dict[str, int]
    """Bytes by name."""
    truncated: bool
    error: str | None
    starts: str
    """Wall time, ISO 8601 UTC."""
    start_ns: int
    """Vehicle time of the first sample."""
    duration_s: float
    signals_known: int
    """Length of the catalogue."""
    cameras: list[Camera]
    buses: list[Bus]
    detections: dict[str, int]
    """Boxes by kind."""
    channels: list[Series]
    worst_gaps: list[Gap]


class _Times:
    """Times and counts gathered over the chunks; eight bytes a sample are kept, nothing else grows."""

    def __init__(self) -> None:
        self.series: dict[str, list[NDArray[np.int64]]] = {}
        self.can_key: list[NDArray[np.int64]] = []
        self.can_t: list[NDArray[np.int64]] = []
        self.keys: dict[str, list[int]] = {}
        self.codecs: dict[str, str] = {}
        self.bytes: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()

    def add(self, batch: SensedBatch) -> None:
        """Take in one chunk."""
        if len(batch.can):
            self.can_key.append(batch.can.bus.astype(np.int64) << 32 | batch.can.can_id)
            self.can_t.append(batch.can.t_ns)
        self._extend("signals", batch.signals.t_ns)
        self._extend("gnss", batch.gnss.t_ns)
        self._extend("mode", np.array([mode.t_ns for mode in batch.modes], np.int64))
        for seen in batch.detections:
            self._extend(f"detections/{seen.camera} of {seen.source}", seen.frame_t_ns)
            for kind, count in zip(*np.unique(seen.kind, return_counts=True), strict=True):
                self.kinds[_kind_name(int(kind))] += int(count)
        for known in batch.features:
            self._extend(f"features/{known.camera} of {known.source}", known.t_ns)
        for packet in batch.packets:
            self._extend(f"camera/{packet.camera}", np.array([packet.t_ns], np.int64))
            self.codecs[packet.camera] = packet.codec
            self.bytes[packet.camera] += len(packet.data)
            if packet.keyframe:
                self.keys.setdefault(packet.camera, []).append(packet.t_ns)

    def _extend(self, name: str, t_ns: NDArray[np.int64]) -> None:
        if len(t_ns):
            self.series.setdefault(name, []).append(t_ns)


def info(
    file: Annotated[Path, cyclopts.Parameter(help="A drive.")],
    /,
    *,
    json: Annotated[bool, cyclopts.Parameter(help="Print one JSON object.", negative=())] = False,
) -> int:
    """Print what is inside a drive: channels, rates, gaps, cameras, CAN ids, detections, origin.

    Example: fsdctl drive info city.mcap
    """
    try:
        summary = summarise(file)
    except FirmwareError as error:
        raise ToolError(str(error)) from error
    if json:
        print(msgspec.json.format(msgspec.json.encode(summary)).decode())
    else:
        from fsd_tools.drive.info_text import show

        show(summary)
    if summary.error is not None:
        print(f"fsdctl: error: {summary.error}", file=sys.stderr)
        return 1
    return 0


def summarise(path: Path) -> DriveSummary:
    """Read the whole drive. Raises :class:`FirmwareError` when not even its description can be read."""
    reader = DriveReader(path)
    times, error = _Times(), None
    try:
        for batch in reader.chunks():
            times.add(batch)
    except DriveError as broken:
        error = str(broken)
    series = {name: np.concatenate(parts) for name, parts in times.series.items()}
    can_t = np.concatenate(times.can_t) if times.can_t else np.empty(0, np.int64)
    can_key = np.concatenate(times.can_key) if times.can_key else np.empty(0, np.int64)
    every = [*series.values(), *([can_t] if len(can_t) else [])]
    start_ns = min((int(t_ns[0]) for t_ns in every), default=0)
    end_ns = max((int(t_ns[-1]) for t_ns in every), default=0)
    whole = {**series, **_by_bus(can_key, can_t)}
    gaps = {name: _gaps(name, t_ns, start_ns) for name, t_ns in {**series, **_by_id(can_key, can_t)}.items()}
    worst = sorted((gap for found in gaps.values() for gap in found), key=lambda gap: -gap.length_s)
    return DriveSummary(
        file=str(path),
        name=reader.info.name,
        origin=dict(reader.info.origin),
        attachments={name: len(data) for name, data in reader.attachments.items()},
        truncated=error is not None,
        error=error,
        starts=str(np.datetime64(start_ns + reader.info.wall_minus_mono_ns, "ns").astype("M8[ms]")) + "Z",
        start_ns=start_ns,
        duration_s=(end_ns - start_ns) / 1e9,
        signals_known=len(reader.description.catalogue.entries),
        cameras=[_camera(camera, times, whole) for camera in reader.description.cameras],
        buses=_buses(can_key, can_t),
        detections=dict(times.kinds),
        channels=[_series(name, t_ns, start_ns, gaps) for name, t_ns in sorted(whole.items())],
        worst_gaps=worst[:WORST_GAPS],
    )


def _kind_name(kind: int) -> str:
    try:
        return Kind(kind).name.lower()
    except ValueError:
        return f"kind {kind}"


def _by_bus(key: NDArray[np.int64], t_ns: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    return {f"can bus {bus}": t_ns[key >> 32 == bus] for bus in np.unique(key >> 32).tolist()}


def _by_id(key: NDArray[np.int64], t_ns: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    if not len(key):
        return {}
    order = np.argsort(key, kind="stable")
    keys, first = np.unique(key[order], return_index=True)
    parts = np.split(t_ns[order], first[1:])
    return {f"can bus {k >> 32} id {_hex(k)}": part for k, part in zip(keys.tolist(), parts, strict=True)}


def _hex(key: int) -> str:
    """Three digits for an 11-bit identifier, eight for a 29-bit one."""
    return f"{key & 0x1FFF_FFFF:#010x}" if key & CAN_EFF_FLAG else f"{key & 0x7FF:#05x}"


def _gaps(name: str, t_ns: NDArray[np.int64], start_ns: int) -> list[Gap]:
    # Signals are many series in one channel, and modes change when somebody changes them.
    if len(t_ns) < MIN_FOR_GAPS or name in {"signals", "mode"}:
        return []
    periods = np.diff(t_ns)
    found = np.flatnonzero(periods > GAP_PERIODS * np.median(periods))
    return [Gap(name, (int(t_ns[i]) - start_ns) / 1e9, int(periods[i]) / 1e9) for i in found.tolist()]


def _series(name: str, t_ns: NDArray[np.int64], start_ns: int, gaps: dict[str, list[Gap]]) -> Series:
    mine = [found for other, found in gaps.items() if other == name or other.startswith(f"{name} id ")]
    return Series(
        name=name,
        count=len(t_ns),
        rate_hz=_rate(t_ns),
        first_s=(int(t_ns[0]) - start_ns) / 1e9,
        last_s=(int(t_ns[-1]) - start_ns) / 1e9,
        median_period_ms=float(np.median(np.diff(t_ns))) / 1e6 if len(t_ns) > 1 else 0.0,
        gaps=sum(map(len, mine)),
    )


def _rate(t_ns: NDArray[np.int64]) -> float:
    span_ns = int(t_ns[-1] - t_ns[0])
    return (len(t_ns) - 1) * 1e9 / span_ns if span_ns else 0.0


def _buses(key: NDArray[np.int64], t_ns: NDArray[np.int64]) -> list[Bus]:
    buses = []
    for bus in np.unique(key >> 32).tolist():
        mine = key >> 32 == bus
        ids, counts = np.unique(key[mine], return_counts=True)
        by_id = {_hex(k): count for k, count in zip(ids.tolist(), counts.tolist(), strict=True)}
        buses.append(Bus(bus, int(mine.sum()), _rate(t_ns[mine]), by_id))
    return buses


def _camera(camera: CameraDescription, times: _Times, whole: dict[str, NDArray[np.int64]]) -> Camera:
    keys = times.keys.get(camera.name, [])
    return Camera(
        name=camera.name,
        width=camera.width,
        height=camera.height,
        fps=camera.fps,
        packets=len(whole.get(f"camera/{camera.name}", ())),
        codec=times.codecs.get(camera.name, ""),
        key_frames=len(keys),
        key_frame_interval_s=float(np.median(np.diff(keys))) / 1e9 if len(keys) > 1 else 0.0,
        bytes=times.bytes[camera.name],
    )
