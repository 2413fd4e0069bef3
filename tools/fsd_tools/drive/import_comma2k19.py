"""``fsdctl drive import comma2k19``: one segment of the comma2k19 data set as a drive.

The data set's own times (seconds since boot) become ``t_ns``. Wall time comes from GNSS: of all fixes the one
that arrived with the least delay states the offset between the clocks, as in NTP's minimum-delay filter.

CAN. ``src`` 0 and 1 are what the two buses received; 128 and up are frames that were sent, and are left out.
Ids 0x580 to 0x582 carry the vehicle identification number and are dropped here, before anything is written.
The arrays strip trailing zero bytes, so a frame's length is its message's in the DBC, or what its id was ever
seen with where that is longer or the DBC doesn't know it.

Modes. The drive is assisted while ``Vehicle.ADAS.CruiseControl.IsActive``, otherwise manual.

No detections are made up: who replays the drive brings a detector. ``--camera`` puts any video in as the front
camera, encoded anew without B-frames and with a key frame about every second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import cyclopts
import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can.decoder import Decoder
from fsd_firmware.can.table import SignalTable
from fsd_firmware.can_frames import CAN_EFF_FLAG, CanFrames
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.contract import FirmwareError, VehicleDescription
from fsd_firmware.drive.columns import rows
from fsd_firmware.drive.writer import DriveWriter
from fsd_firmware.samples import DriveMode, GnssFixes, ModeChange
from fsd_tools.catalogue.resolve import compile_line
from fsd_tools.drive.camera_file import CameraFile
from fsd_tools.drive.dbc_compile import DbcSource, load_dbc
from fsd_tools.errors import ToolError, UsageError

DBC_OF_BUS: Final = {0: "toyota_new_mc_pt_generated.dbc", 1: "toyota_adas.dbc"}
ATTACHED_AS: Final = {0: "vehicle.dbc", 1: "vehicle.bus1.dbc"}
MAPPING: Final = Path(__file__).parent / "vehicles" / "toyota_rav4.toml"
CRUISE_PATH: Final = "Vehicle.ADAS.CruiseControl.IsActive"
VIN_IDS: Final = (0x580, 0x581, 0x582)
"""Personal data: together they spell the vehicle identification number."""
SLICE_NS: Final = 1_000_000_000
CAMERA: Final = "front"


@dataclass(frozen=True, slots=True)
class Segment:
    """What is taken out of the data set."""

    can: CanFrames
    gnss: GnssFixes
    wall_minus_mono_ns: int
    sent: int
    """Frames left out because they were sent, not received."""
    vin: int
    """Frames dropped because they carry the vehicle identification number."""


def comma2k19(
    folder: Annotated[Path, cyclopts.Parameter(help="A segment's folder: processed_log/ and dbc/.")],
    /,
    *,
    output: Annotated[Path, cyclopts.Parameter(name=["--output", "-o"], help="The drive to write.")],
    camera: Annotated[Path | None, cyclopts.Parameter(help="A video file as the front camera.")] = None,
    camera_at: Annotated[float, cyclopts.Parameter(help="Where the video begins, in s of the drive.")] = 0.0,
    camera_loop: Annotated[bool, cyclopts.Parameter(help="Repeat the video to the drive's end.")] = False,
) -> None:
    """Import a comma2k19 segment, with any video as its camera."""
    if not 0 <= camera_at < float("inf"):
        raise UsageError(f"--camera-at {camera_at:g}: from 0 on.")
    print(write_drive(folder, output, camera=camera, camera_at=camera_at, camera_loop=camera_loop))


def write_drive(
    folder: Path,
    output: Path,
    *,
    camera: Path | None = None,
    camera_at: float = 0.0,
    camera_loop: bool = False,
) -> str:
    """Write a segment as a drive; what came of it, in words. Raises :class:`ToolError`."""
    sources = _dbc_sources(folder)
    catalogue, table = compile_line(MAPPING, tuple(sources.values()))
    segment = load_segment(folder, sources)
    start_ns, end_ns = int(segment.can.t_ns[0]), int(segment.can.t_ns[-1]) + 1
    video = None
    if camera is not None:
        video = CameraFile(
            camera, name=CAMERA, start_ns=start_ns + round(camera_at * 1e9), end_ns=end_ns, loop=camera_loop
        )
    description = VehicleDescription(() if video is None else (video.description,), catalogue, table)
    attachments = {ATTACHED_AS[bus]: source.text.encode() for bus, source in sources.items()}
    origin = {"data_set": "comma2k19", "vehicle": "Toyota RAV4", "camera": camera.name if camera else "none"}
    try:
        with DriveWriter(
            output,
            description,
            name=output.stem,
            wall_minus_mono_ns=segment.wall_minus_mono_ns,
            origin=origin,
            attachments={**attachments, "vehicle_signals.toml": MAPPING.read_bytes()},
        ) as writer:
            _write(writer, segment, _modes(segment.can, catalogue, table), video)
    except FirmwareError as error:
        raise ToolError(str(error)) from error
    frames = 0 if video is None else video.written
    return (
        f"{output}: {len(segment.can)} CAN frames, {len(segment.gnss)} fixes, {frames} video frames;"
        f" left out {segment.sent} sent frames; dropped {segment.vin} frames with the vehicle identification"
        " number (ids 0x580-0x582)"
    )


def load_segment(folder: Path, sources: Mapping[int, DbcSource]) -> Segment:
    """Read and check the arrays. Raises :class:`ToolError` naming the file and the reason."""
    log = folder / "processed_log"
    t_ns = _nanoseconds(log / "CAN/raw_can/t")
    address = _array(log / "CAN/raw_can/address", "iu", (len(t_ns),))
    src = _array(log / "CAN/raw_can/src", "iu", (len(t_ns),))
    data = _array(log / "CAN/raw_can/data", "S", (len(t_ns),))
    if data.dtype != np.dtype("S8"):
        raise ToolError(f"{log / 'CAN/raw_can/data'}: expected values of 8 bytes, found {data.dtype}")
    received = (src == 0) | (src == 1)
    vin = received & np.isin(address, VIN_IDS)
    keep = np.flatnonzero(received & ~vin)
    if not len(keep):
        raise ToolError(f"{folder}: no received CAN frames")
    keep = keep[np.argsort(t_ns[keep], kind="stable")]
    payload = np.frombuffer(data[keep].tobytes(), np.uint8).reshape(-1, 8)
    bus, can_id = src[keep].astype(np.uint8), _ids(address[keep])
    lengths = _lengths(bus, can_id, np.char.str_len(data[keep]), sources)
    gnss, wall_minus_mono_ns = _gnss(log / "GNSS/live_gnss_ublox")
    return Segment(
        CanFrames(t_ns[keep], bus, can_id, lengths, payload),
        gnss,
        wall_minus_mono_ns,
        sent=int((~received).sum()),
        vin=int(vin.sum()),
    )


def _dbc_sources(folder: Path) -> dict[int, DbcSource]:
    sources = {}
    for bus, name in DBC_OF_BUS.items():
        path = folder / "dbc" / name
        try:
            sources[bus] = DbcSource(bus, name, path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ToolError(f"{path}: can't be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise ToolError(f"{path}: is not UTF-8 text: {error}") from error
    return sources


def _array(path: Path, kinds: str, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """One of the data set's arrays, saved without the usual ending. ``-1`` in ``shape`` is any length."""
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise ToolError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise ToolError(f"{path}: no NumPy array that can be read: {error}") from error
    found = array.shape
    fits = shape is None or (
        len(found) == len(shape) and all(want in {-1, have} for want, have in zip(shape, found, strict=True))
    )
    if array.dtype.kind not in kinds or not fits:
        raise ToolError(f"{path}: expected shape {shape} of kind {kinds!r}, found {found} of {array.dtype}")
    return np.asarray(array)


def _nanoseconds(path: Path) -> NDArray[np.int64]:
    seconds = _array(path, "f", (-1,))
    if not np.isfinite(seconds).all() or (seconds < 0).any():
        raise ToolError(f"{path}: times must be finite and not negative")
    return np.asarray(np.rint(seconds * 1e9), np.int64)


def _ids(address: NDArray[Any]) -> NDArray[np.uint32]:
    ids = address.astype(np.uint32)
    return np.where(ids > 0x7FF, ids | np.uint32(CAN_EFF_FLAG), ids).astype(np.uint32)


def _lengths(
    bus: NDArray[np.uint8], can_id: NDArray[np.uint32], seen: NDArray[Any], sources: Mapping[int, DbcSource]
) -> NDArray[np.uint8]:
    known = {
        (number, message.frame_id | (CAN_EFF_FLAG if message.is_extended_frame else 0)): message.length
        for number, source in sources.items()
        for message in load_dbc(source).messages
    }
    keys, of = np.unique(bus.astype(np.int64) << 32 | can_id, return_inverse=True)
    longest = np.array([min(8, known.get((key >> 32, key & 0xFFFF_FFFF), 0)) for key in keys.tolist()])
    np.maximum.at(longest, of, seen)
    return np.asarray(longest[of], np.uint8)


def _gnss(folder: Path) -> tuple[GnssFixes, int]:
    """Fixes (columns latitude, longitude, speed, UTC in ms, altitude, bearing) and the wall clock's offset."""
    t_ns = _nanoseconds(folder / "t")
    value = _array(folder / "value", "f", (len(t_ns), 6))
    if not len(t_ns):
        raise ToolError(f"{folder}: no fix, so the wall clock isn't known")
    order = np.argsort(t_ns, kind="stable")
    t_ns, value = t_ns[order], value[order]
    lat, lon, speed, utc_ms, alt, heading = (np.ascontiguousarray(column) for column in value.T)
    offsets = np.rint(utc_ms).astype(np.int64) * 1_000_000 - t_ns
    return GnssFixes(t_ns, lat, lon, alt, speed, heading), int(offsets.max())


def _modes(can: CanFrames, catalogue: Catalogue, table: SignalTable) -> list[ModeChange]:
    decoded = Decoder(table).decode(can)
    mine = decoded.signal == catalogue.rows[CRUISE_PATH]
    t_ns, active = decoded.t_ns[mine], decoded.value[mine] != 0
    if not len(t_ns):
        return [ModeChange(int(can.t_ns[0]), DriveMode.MANUAL)]
    changes = [0, *(np.flatnonzero(np.diff(active)) + 1).tolist()]
    modes = [DriveMode.ASSISTED if active[i] else DriveMode.MANUAL for i in changes]
    times = [int(can.t_ns[0]), *t_ns[changes[1:]].tolist()]
    return [ModeChange(at, mode) for at, mode in zip(times, modes, strict=True)]


def _write(writer: DriveWriter, segment: Segment, modes: list[ModeChange], video: CameraFile | None) -> None:
    end_ns = int(segment.can.t_ns[-1]) + 1
    low_ns = min(int(segment.can.t_ns[0]), int(segment.gnss.t_ns[0]))
    for at_ns in _progress(range(low_ns, max(end_ns, int(segment.gnss.t_ns[-1]) + 1), SLICE_NS)):
        window = (at_ns, at_ns + SLICE_NS)
        writer.write_can(rows(segment.can, *np.searchsorted(segment.can.t_ns, window).tolist()))
        writer.write_gnss(rows(segment.gnss, *np.searchsorted(segment.gnss.t_ns, window).tolist()))
        for mode in modes:
            if window[0] <= mode.t_ns < window[1]:
                writer.write_mode(mode)
        if video is not None:
            for packet in video.before(window[1]):
                writer.write_packet(packet)


def _progress(seconds: range) -> Iterator[int]:
    from rich.console import Console
    from rich.progress import track

    yield from track(seconds, "importing, seconds of the drive", console=Console(stderr=True), transient=True)
