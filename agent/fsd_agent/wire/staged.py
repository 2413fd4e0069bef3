"""Staged parts: how a window of the ring is written to staging, and how parts become a clip again.

Format: one msgpack map a part, version 1, fields as in the structs below. Columns are little-endian bytes of the
type that ``fsd_firmware.samples`` names; their lengths must agree, and indexes must point into their tables.

Assembling: parts of a clip may overlap, because backfill repeats. A packet, sample, fix or look is known by its
time (with its camera, signal or source), and the first part that has it wins. What lies outside the window is
trimmed, except what a reader needs to begin: packets from the last key frame at or before the start with the
looks at them, each signal's last sample before the start, the mode in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.clip import Clip, ClipRow
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.staged import StagedPart, cut_detections, join_detections
from fsd_firmware.catalogue import CatalogueEntry, SignalType
from fsd_firmware.samples import Detections, DriveMode, EncodedPacket, GnssFixes, ModeChange, Signals

VERSION = 1


class StagedPartError(ValueError):
    """These bytes are no staged part, or parts contradict each other; the message names field and reason."""


class _Packet(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    camera: str
    t_ns: int
    codec: str
    keyframe: bool
    data: bytes


class _Entry(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    path: str
    type: SignalType
    unit: str
    minimum: float
    maximum: float
    description: str


class _Detections(msgspec.Struct, forbid_unknown_fields=True):
    camera: str
    source: str
    frame_t_ns: bytes
    frame: bytes
    kind: bytes
    score: bytes
    box: bytes
    distance_m: bytes
    track_id: bytes
    ttc_s: bytes | None = None
    """Missing in parts that were staged before it existed: unknown."""


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    packets: list[_Packet]
    catalogue: list[_Entry]
    signal_t_ns: bytes
    signal: bytes
    signal_value: bytes
    detections: list[_Detections]
    gnss: tuple[bytes, bytes, bytes, bytes, bytes, bytes]
    modes: list[tuple[int, int]]


_DECODER = msgspec.msgpack.Decoder(_Part)


def encode_part(part: StagedPart) -> bytes:
    """Bytes of ``part``."""
    gnss = part.gnss
    fixes = (gnss.t_ns, gnss.lat_deg, gnss.lon_deg, gnss.alt_m, gnss.speed_mps, gnss.heading_deg)
    return msgspec.msgpack.encode(
        _Part(
            v=VERSION,
            packets=[_Packet(p.camera, p.t_ns, p.codec, p.keyframe, p.data) for p in part.packets],
            catalogue=[
                _Entry(e.path, e.type, e.unit, e.minimum, e.maximum, e.description) for e in part.catalogue
            ],
            signal_t_ns=_bytes(part.signals.t_ns, "<i8"),
            signal=_bytes(part.signals.signal, "<i4"),
            signal_value=_bytes(part.signals.value, "<f8"),
            detections=[_pack_detections(one) for one in part.detections],
            gnss=(_bytes(fixes[0], "<i8"), *(_bytes(column, "<f8") for column in fixes[1:])),  # type: ignore[arg-type]  # five columns follow
            modes=[(change.t_ns, int(change.mode)) for change in part.modes],
        )
    )


def decode_part(data: bytes) -> StagedPart:
    """The part in ``data``. Raises :class:`StagedPartError`."""
    try:
        raw = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StagedPartError(f"staged part: {error}") from error
    if raw.v != VERSION:
        raise StagedPartError(f"staged part: v: {raw.v}, this reader knows {VERSION}")
    t_ns = _column(raw.signal_t_ns, "<i8", "signal_t_ns")
    fixes_t_ns = _column(raw.gnss[0], "<i8", "gnss[0]")
    signal = _column(raw.signal, "<i4", "signal", t_ns.shape[0])
    _check_index(signal, len(raw.catalogue), "signal")
    try:
        modes = tuple(ModeChange(at_ns, DriveMode(mode)) for at_ns, mode in raw.modes)
    except ValueError as error:
        raise StagedPartError(f"staged part: modes: {error}") from error
    return StagedPart(
        packets=tuple(EncodedPacket(p.camera, p.t_ns, p.codec, p.keyframe, p.data) for p in raw.packets),
        catalogue=tuple(
            CatalogueEntry(e.path, e.type, e.unit, e.minimum, e.maximum, e.description) for e in raw.catalogue
        ),
        signals=Signals(t_ns, signal, _column(raw.signal_value, "<f8", "signal_value", t_ns.shape[0])),
        detections=tuple(_unpack_detections(one) for one in raw.detections),
        gnss=GnssFixes(
            fixes_t_ns,
            *(
                _column(data, "<f8", f"gnss[{at}]", fixes_t_ns.shape[0])
                for at, data in enumerate(raw.gnss[1:], 1)
            ),
        ),
        modes=modes,
    )


def assemble(parts: Iterable[StagedPart], row: ClipRow, firings: Sequence[JudgedFiring]) -> Clip:
    """Join ``parts`` to the clip of ``row``, holding only the row's cameras and signals.

    The clip's catalogue has the row's signals, in the row's order, as far as any part declares them.
    Raises :class:`StagedPartError` where two parts declare one signal differently.
    """
    held = tuple(parts)
    catalogue = _catalogue(held, row)
    packets: list[EncodedPacket] = []
    looks: list[Detections] = []
    joined = join_detections(one for part in held for one in part.detections)
    for camera in dict.fromkeys(row.cameras):
        own = _packets(held, camera, row)
        packets += own
        from_ns = min(row.start_ns, own[0].t_ns) if own else row.start_ns
        for seen in joined:
            cut = cut_detections(seen, from_ns, row.end_ns) if seen.camera == camera else None
            if cut is not None:
                looks.append(cut)
    return Clip(
        row=row,
        firings=tuple(firings),
        catalogue=catalogue,
        signals=_signals(held, catalogue, row),
        packets=tuple(packets),
        detections=tuple(looks),
        gnss=_gnss(held, row),
        modes=_modes(held, row),
    )


def _catalogue(parts: Sequence[StagedPart], row: ClipRow) -> tuple[CatalogueEntry, ...]:
    entries: dict[str, CatalogueEntry] = {}
    for entry in (entry for part in parts for entry in part.catalogue):
        if entries.setdefault(entry.path, entry) != entry:
            raise StagedPartError(f"clip {row.clip_id}: catalogue: {entry.path} is declared in two ways")
    return tuple(entries[path] for path in dict.fromkeys(row.signals) if path in entries)


def _packets(parts: Sequence[StagedPart], camera: str, row: ClipRow) -> list[EncodedPacket]:
    by_time: dict[int, EncodedPacket] = {}
    for packet in (packet for part in parts for packet in part.packets):
        if packet.camera == camera and packet.t_ns < row.end_ns:
            by_time.setdefault(packet.t_ns, packet)
    ordered = [by_time[t_ns] for t_ns in sorted(by_time)]
    keys = [at for at, packet in enumerate(ordered) if packet.keyframe]
    lead = [at for at in keys if ordered[at].t_ns <= row.start_ns]
    begin = lead[-1] if lead else (keys[0] if keys else len(ordered))
    # A camera without a frame inside the window has nothing to show.
    return ordered[begin:] if ordered and ordered[-1].t_ns >= row.start_ns else []


def _signals(parts: Sequence[StagedPart], catalogue: Sequence[CatalogueEntry], row: ClipRow) -> Signals:
    """Samples of all parts in order of time; a signal has one value at one instant of one part, the first."""
    rows = {entry.path: at for at, entry in enumerate(catalogue)}
    times: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    signals: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    values: list[NDArray[np.float64]] = [np.empty(0, np.float64)]
    origins: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    for number, part in enumerate(parts):
        if not len(part.signals):
            continue
        to_row = np.array([rows.get(entry.path, -1) for entry in part.catalogue], np.int32)
        times.append(part.signals.t_ns)
        signals.append(to_row[part.signals.signal])
        values.append(part.signals.value)
        origins.append(np.full(len(part.signals), number, np.int32))
    t_ns, signal, value = np.concatenate(times), np.concatenate(signals), np.concatenate(values)
    keep = (signal >= 0) & (t_ns < row.end_ns) & _first_origin(t_ns, signal, np.concatenate(origins))
    kept = np.flatnonzero(keep)
    kept = kept[np.argsort(t_ns[kept], kind="stable")]
    before = kept[t_ns[kept] < row.start_ns]
    _, newest_first = np.unique(signal[before][::-1], return_index=True)
    last = before[np.sort(before.shape[0] - 1 - newest_first)]
    kept = np.concatenate([last, kept[before.shape[0] :]])
    return Signals(t_ns[kept], signal[kept], value[kept])


def _first_origin(
    t_ns: NDArray[np.int64], signal: NDArray[np.int32], origin: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Which samples come from the first part that has their signal at their instant."""
    order = np.lexsort((origin, signal, t_ns))
    fresh = np.ones(order.shape[0], np.bool_)
    fresh[1:] = (np.diff(t_ns[order]) != 0) | (np.diff(signal[order]) != 0)
    first = origin[order][np.maximum.accumulate(np.where(fresh, np.arange(order.shape[0]), 0))]
    keep = np.empty(order.shape[0], np.bool_)
    keep[order] = origin[order] == first
    return keep


def _gnss(parts: Sequence[StagedPart], row: ClipRow) -> GnssFixes:
    names = ("t_ns", "lat_deg", "lon_deg", "alt_m", "speed_mps", "heading_deg")
    columns: dict[str, NDArray[Any]] = {
        name: np.concatenate([np.empty(0), *(getattr(part.gnss, name) for part in parts if len(part.gnss))])
        if name != "t_ns"
        else np.concatenate([np.empty(0, np.int64), *(part.gnss.t_ns for part in parts)])
        for name in names
    }
    t_ns, first = np.unique(columns["t_ns"], return_index=True)
    first = first[(t_ns >= row.start_ns) & (t_ns < row.end_ns)]
    return GnssFixes(*(columns[name][first] for name in names))


def _modes(parts: Sequence[StagedPart], row: ClipRow) -> tuple[ModeChange, ...]:
    by_time: dict[int, ModeChange] = {}
    for change in (change for part in parts for change in part.modes):
        if change.t_ns < row.end_ns:
            by_time.setdefault(change.t_ns, change)
    ordered = [by_time[t_ns] for t_ns in sorted(by_time)]
    before = [change for change in ordered if change.t_ns < row.start_ns]
    return tuple(before[-1:] + ordered[len(before) :])


def _pack_detections(one: Detections) -> _Detections:
    return _Detections(
        camera=one.camera,
        source=one.source,
        frame_t_ns=_bytes(one.frame_t_ns, "<i8"),
        frame=_bytes(one.frame, "<i4"),
        kind=_bytes(one.kind, "u1"),
        score=_bytes(one.score, "<f4"),
        box=_bytes(one.box, "<f4"),
        distance_m=_bytes(one.distance_m, "<f4"),
        track_id=_bytes(one.track_id, "<i4"),
        ttc_s=_bytes(one.ttc_s, "<f4"),
    )


def _unpack_detections(raw: _Detections) -> Detections:
    frame_t_ns = _column(raw.frame_t_ns, "<i8", "detections.frame_t_ns")
    frame = _column(raw.frame, "<i4", "detections.frame")
    _check_index(frame, frame_t_ns.shape[0], "detections.frame")
    n = frame.shape[0]
    unknown = np.full(n, np.nan, "<f4").tobytes()
    return Detections(
        camera=raw.camera,
        source=raw.source,
        frame_t_ns=frame_t_ns,
        frame=frame,
        kind=_column(raw.kind, "u1", "detections.kind", n),
        score=_column(raw.score, "<f4", "detections.score", n),
        box=_column(raw.box, "<f4", "detections.box", 4 * n).reshape(n, 4),
        distance_m=_column(raw.distance_m, "<f4", "detections.distance_m", n),
        track_id=_column(raw.track_id, "<i4", "detections.track_id", n),
        ttc_s=_column(unknown if raw.ttc_s is None else raw.ttc_s, "<f4", "detections.ttc_s", n),
    )


def _bytes(column: NDArray[Any], dtype: str) -> bytes:
    return np.ascontiguousarray(column, dtype).tobytes()


def _column(data: bytes, dtype: str, name: str, length: int | None = None) -> NDArray[Any]:
    size = np.dtype(dtype).itemsize
    if len(data) % size or (length is not None and len(data) != length * size):
        raise StagedPartError(f"staged part: {name}: {len(data)} bytes do not fit its table")
    return np.frombuffer(data, dtype)


def _check_index(index: NDArray[Any], size: int, name: str) -> None:
    if index.shape[0] and not (int(index.min()) >= 0 and int(index.max()) < size):
        raise StagedPartError(f"staged part: {name}: index outside its table of {size}")
