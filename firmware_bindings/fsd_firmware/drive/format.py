"""The recorded-drive format, version 1, and the one encoder and decoder of each of its messages.

A drive is an MCAP file, profile ``fsd-drive``, chunks compressed with zstd and checked by CRC.

Before the first chunk:

- metadata ``fsd-drive``: ``version``, ``name``, ``wall_minus_mono_ns`` (decimal), and ``sha256:<attachment>``
  in hex for each attachment; metadata ``origin``: where the drive comes from, free keys;
- attachments: ``vehicle_description.msgpack`` (see :mod:`description`) and whatever the recorder used, such
  as ``vehicle.dbc``.

Topics. ``log_time`` is ``t_ns`` of the message's first sample (vehicle monotonic time, not negative),
``publish_time`` the same instant as Unix time:

=======================  ========================================================================
``/camera/<name>``       protobuf ``foxglove.CompressedVideo``, one video frame a message.
                         MCAP's ``sequence`` counts packets since the key frame: 0 is a key frame
``/gnss``                protobuf ``foxglove.LocationFix``, one fix a message
``/can``                 msgpack map of the columns of :class:`CanFrames`
``/signals``             msgpack map of the columns of :class:`Signals`
``/detections/<camera>`` msgpack map of ``camera``, ``source`` and the columns of :class:`Detections`
``/features/<camera>``   msgpack map, see :mod:`features`; optional
``/mode``                msgpack map ``{mode}``, a number of :class:`DriveMode`
=======================  ========================================================================

Columns are little-endian bytes in the type that :mod:`samples` states. ``ttc_s`` is left out where no box has one:
drives of before it existed read as drives that don't know it. Unknown topics are skipped.

Order. Time is divided into cells of 100 ms. A message holds samples of one cell; a chunk holds whole cells, about
a second of them; cells never decrease. So whatever chunks can be read are everything that happened before one
instant, on all channels: that is what makes a file that is cut off in the middle usable.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import msgspec
import numpy as np
from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
from foxglove_schemas_protobuf.LocationFix_pb2 import LocationFix
from google.protobuf.message import DecodeError

from fsd_firmware.can_frames import CAN_LENGTHS, CAN_WIDTHS, CanFrames
from fsd_firmware.contract import FirmwareError
from fsd_firmware.samples import Detections, DriveMode, EncodedPacket, GnssFixes, ModeChange, Signals

PROFILE: Final = "fsd-drive"
VERSION: Final = 1
CELL_NS: Final = 100_000_000
"""One message holds samples of one such cell of time: small enough to show live, large enough to be cheap."""
CHUNK_CELLS: Final = 10
"""Cells a chunk: what a power cut can take is about this second."""
CHUNK_BYTES: Final = 4 << 20
"""A chunk is closed at the next cell once it holds this much, so that a reader's memory stays flat."""
MAX_RECORD_BYTES: Final = 256 << 20
"""No record of a drive is larger; a length beyond it is damage, not data."""

META_DRIVE: Final = "fsd-drive"
META_ORIGIN: Final = "origin"
ATTACHMENT_DESCRIPTION: Final = "vehicle_description.msgpack"
SHA256_KEY: Final = "sha256:"

TOPIC_CAN: Final = "/can"
TOPIC_SIGNALS: Final = "/signals"
TOPIC_GNSS: Final = "/gnss"
TOPIC_MODE: Final = "/mode"
CAMERA_PREFIX: Final = "/camera/"
DETECTIONS_PREFIX: Final = "/detections/"
FEATURES_PREFIX: Final = "/features/"

CAMERA_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""Camera names are parts of topics and of file names."""
CODECS: Final = frozenset({"av1", "h264", "h265", "vp9"})


class DriveError(FirmwareError):
    """A drive can't be read or written; the message names the file, the place in it and the reason."""


class DriveCut(DriveError):  # noqa: N818 - it names what happened to the file
    """The file ends or breaks before its end. Everything before ``ends_ns`` was given, nothing after it."""

    def __init__(self, message: str, *, ends_ns: int | None, byte: int) -> None:
        super().__init__(message)
        self.ends_ns = ends_ns
        """Vehicle time up to which the drive is complete; None when not even the first chunk is."""
        self.byte = byte
        """Where in the file the damage begins."""


class BadMessage(ValueError):  # noqa: N818 - translated to DriveError, with file and time, by the reader
    """A message isn't what the format says; the text names the field."""


_CAN = {"t_ns": "<i8", "bus": "u1", "can_id": "<u4", "length": "u1", "data": "u1"}
_SIGNALS = {"t_ns": "<i8", "signal": "<i4", "value": "<f8"}
_FRAMES = {"frame_t_ns": "<i8"}
_BOXES = {
    "frame": "<i4",
    "kind": "u1",
    "score": "<f4",
    "box": "<f4",
    "distance_m": "<f4",
    "track_id": "<i4",
}
_TTC = "ttc_s"
_WIDE = {"data": CAN_WIDTHS, "box": (4,)}
"""Columns with more than one number a row, and how many there may be."""


_IS_CAN_LENGTH = np.isin(np.arange(256), CAN_LENGTHS)


def encode_can(frames: CanFrames) -> bytes:
    """Bytes of one ``/can`` message."""
    return msgspec.msgpack.encode(_pack(frames, _CAN))


def decode_can(data: bytes) -> CanFrames:
    """Inverse of :func:`encode_can`. Raises :class:`BadMessage`."""
    frames = CanFrames(**_unpack(_map(data, _CAN), _CAN))
    check_times("t_ns", frames.t_ns)
    check_can_lengths(frames)
    return frames


def check_can_lengths(frames: CanFrames) -> None:
    """Raise :class:`BadMessage` for a length that no CAN frame has, or that is more than the data."""
    if (frames.length > frames.data.shape[1]).any():
        raise BadMessage(f"length: a frame has more than the {frames.data.shape[1]} bytes of its data")
    if not _IS_CAN_LENGTH.take(frames.length).all():
        raise BadMessage("length: no CAN frame has this length")


def encode_signals(signals: Signals) -> bytes:
    """Bytes of one ``/signals`` message."""
    return msgspec.msgpack.encode(_pack(signals, _SIGNALS))


def decode_signals(data: bytes, signal_count: int) -> Signals:
    """Inverse of :func:`encode_signals`. Raises :class:`BadMessage`, also on a row past the catalogue."""
    signals = Signals(**_unpack(_map(data, _SIGNALS), _SIGNALS))
    check_times("t_ns", signals.t_ns)
    if len(signals) and not (signals.signal.min() >= 0 and signals.signal.max() < signal_count):
        raise BadMessage(f"signal: the catalogue has rows 0 to {signal_count - 1}")
    return signals


def encode_detections(detections: Detections) -> bytes:
    """Bytes of one ``/detections/<camera>`` message."""
    named = {"camera": detections.camera, "source": detections.source}
    known = {} if np.isnan(detections.ttc_s).all() else _pack(detections, {_TTC: "<f4"})
    return msgspec.msgpack.encode(
        {**named, **_pack(detections, _FRAMES), **_pack(detections, _BOXES), **known}
    )


def decode_detections(data: bytes) -> Detections:
    """Inverse of :func:`encode_detections`. Raises :class:`BadMessage`."""
    fields = _map(data, {"camera": "", "source": "", **_FRAMES, **_BOXES}, optional=frozenset({_TTC}))
    camera, source = fields["camera"], fields["source"]
    if not isinstance(camera, str) or not isinstance(source, str):
        raise BadMessage("camera, source: must be text")
    boxes = _unpack(fields, _BOXES | ({_TTC: "<f4"} if _TTC in fields else {}))
    boxes.setdefault(_TTC, np.full(len(boxes["frame"]), np.nan, np.float32))
    detections = Detections(camera, source, **_unpack(fields, _FRAMES), **boxes)
    check_times("frame_t_ns", detections.frame_t_ns)
    index = detections.frame
    if len(index) and (index[0] < 0 or index[-1] >= len(detections.frame_t_ns) or (np.diff(index) < 0).any()):
        raise BadMessage("frame: must not decrease and must point into frame_t_ns")
    return detections


def encode_mode(change: ModeChange) -> bytes:
    """Bytes of one ``/mode`` message."""
    return msgspec.msgpack.encode({"mode": int(change.mode)})


def decode_mode(data: bytes, t_ns: int) -> ModeChange:
    """Inverse of :func:`encode_mode`. Raises :class:`BadMessage`."""
    try:
        return ModeChange(t_ns, DriveMode(_map(data, {"mode": ""})["mode"]))
    except ValueError as error:
        raise BadMessage(f"mode: {error}") from None


def encode_packet(packet: EncodedPacket) -> bytes:
    """Bytes of one ``/camera/<name>`` message; the key-frame mark travels in MCAP's ``sequence``."""
    message = CompressedVideo(frame_id=packet.camera, data=packet.data, format=packet.codec)
    message.timestamp.FromNanoseconds(packet.t_ns)
    return bytes(message.SerializeToString())


def decode_packet(data: bytes, t_ns: int, sequence: int) -> EncodedPacket:
    """Inverse of :func:`encode_packet`. Raises :class:`BadMessage`."""
    message = CompressedVideo()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise BadMessage(f"not a foxglove.CompressedVideo: {error}") from None
    if message.format not in CODECS:
        raise BadMessage(f"format: {message.format!r} is none of {', '.join(sorted(CODECS))}")
    return EncodedPacket(message.frame_id, t_ns, message.format, sequence == 0, message.data)


def encode_fix(fixes: GnssFixes, row: int) -> bytes:
    """Bytes of one ``/gnss`` message. Unknown heading or speed (NaN) leaves its field out.

    Speed travels as a velocity in east, north, up; without a heading it points north.
    """
    speed, heading = float(fixes.speed_mps[row]), math.radians(float(fixes.heading_deg[row]))
    message = LocationFix(
        frame_id="gnss",
        latitude=float(fixes.lat_deg[row]),
        longitude=float(fixes.lon_deg[row]),
        altitude=float(fixes.alt_m[row]),
    )
    message.timestamp.FromNanoseconds(int(fixes.t_ns[row]))
    if not math.isnan(heading):
        message.heading = heading
    if not math.isnan(speed):
        direction = 0.0 if math.isnan(heading) else heading
        message.velocity.x = speed * math.sin(direction)
        message.velocity.y = speed * math.cos(direction)
    return bytes(message.SerializeToString())


def decode_fix(data: bytes) -> tuple[float, float, float, float, float]:
    """Latitude and longitude in degrees, altitude in m, speed in m/s, heading in degrees.

    Inverse of :func:`encode_fix` to rounding. Raises :class:`BadMessage`.
    """
    fix = LocationFix()
    try:
        fix.ParseFromString(data)
    except DecodeError as error:
        raise BadMessage(f"not a foxglove.LocationFix: {error}") from None
    speed = math.hypot(fix.velocity.x, fix.velocity.y) if fix.HasField("velocity") else math.nan
    heading = math.degrees(fix.heading) if fix.HasField("heading") else math.nan
    return fix.latitude, fix.longitude, fix.altitude, speed, heading


def _pack(source: object, dtypes: dict[str, str]) -> dict[str, bytes]:
    return {name: getattr(source, name).astype(dtype, copy=False).tobytes() for name, dtype in dtypes.items()}


def _map(data: bytes, names: dict[str, str], optional: frozenset[str] = frozenset()) -> dict[str, Any]:
    try:
        fields = msgspec.msgpack.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMessage(f"not a msgpack map: {error}") from None
    if fields.keys() - optional != names.keys():
        wrong = sorted((fields.keys() - optional) ^ names.keys())
        raise BadMessage(f"columns missing or unknown: {', '.join(wrong)}")
    return fields


def _unpack(fields: dict[str, Any], dtypes: dict[str, str]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    count: int | None = None
    for name, text in dtypes.items():
        dtype, raw = np.dtype(text), fields[name]
        wide = _row_width(name, raw, count)
        if not isinstance(raw, bytes) or len(raw) % (dtype.itemsize * wide):
            raise BadMessage(f"{name}: expected whole rows of {dtype.itemsize * wide} bytes")
        column = np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="), copy=False)
        columns[name] = column.reshape(-1, wide) if name in _WIDE else column
        if count not in {None, len(columns[name])}:
            raise BadMessage(f"{name}: {len(columns[name])} rows, expected {count}")
        count = len(columns[name])
    return columns


def _row_width(name: str, raw: object, count: int | None) -> int:
    """Numbers a row; where there is a choice, what makes ``count`` rows of the bytes."""
    widths = _WIDE.get(name, (1,))
    if len(widths) > 1 and isinstance(raw, bytes) and count:
        return next((width for width in widths if len(raw) == width * count), widths[0])
    return widths[0]


def check_times(name: str, t_ns: Any) -> None:
    """Raise :class:`BadMessage` unless there are samples, in order, of one cell."""
    if not len(t_ns):
        raise BadMessage(f"{name}: no samples")
    if (t_ns[1:] < t_ns[:-1]).any():
        raise BadMessage(f"{name}: time runs backwards")
    if t_ns[0] // CELL_NS != t_ns[-1] // CELL_NS:
        raise BadMessage(f"{name}: samples of more than one cell of {CELL_NS // 1_000_000} ms")
