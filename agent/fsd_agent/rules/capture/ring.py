"""The last seconds of everything that a clip may hold, in memory.

Holds encoded packets, decoded samples, detections, fixes and modes. Raw CAN frames and raw pictures are not
kept: no clip may hold them.

Eviction. Time first: what is older than the horizon goes, except that each camera keeps the key frame which the
oldest wanted frame needs, and columns stay as long as the oldest picture. Then ``max_bytes``: the oldest group of pictures or the oldest batch of columns goes,
whichever is older, until the rest fits, and that is counted in :attr:`Ring.dropped`. The last value of every
evicted signal is kept, so a slow signal's value at a window's start stays known.

A camera's packets always begin with a key frame; packets that nothing here can decode are dropped and counted.

Cost. ``append`` files references and copies nothing. ``window`` walks from the newest end, so taking the last
tenth of a second does not pay for the minute before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.staged import StagedPart, cut_detections, join_detections
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.samples import (
    Detections,
    EncodedPacket,
    GnssFixes,
    ModeChange,
    SensedBatch,
    Signals,
    empty_gnss,
)

_SAMPLE_BYTES = 8 + 4 + 8
_BOX_BYTES = 4 + 1 + 4 + 16 + 4 + 4
_LOOK_BYTES = 8
_FIX_BYTES = 6 * 8
_PACKET_BYTES = 200
"""What a packet costs beside its data: the objects around it."""


@dataclass(slots=True)
class Dropped:
    """What ``max_bytes`` (or a missing key frame) took, since the ring began."""

    packets: int = 0
    samples: int = 0
    looks: int = 0
    """Frames of detections."""


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """The columns of one batch."""

    until_ns: int
    signals: Signals
    detections: tuple[Detections, ...]
    gnss: GnssFixes
    modes: tuple[ModeChange, ...]
    size_bytes: int


@dataclass(slots=True)
class _Stream:
    """One camera: packets from a key frame on, and the times of the key frames among them."""

    packets: deque[EncodedPacket] = field(default_factory=deque)
    keys_ns: deque[int] = field(default_factory=deque)


class Ring:
    """See the module. One thread."""

    def __init__(self, catalogue: Catalogue, *, horizon_ns: int, max_bytes: int) -> None:
        """``horizon_ns``: how far back a window may begin. Make it the longest ``before_ns`` plus a batch."""
        self.dropped = Dropped()
        self.size_bytes = 0
        """Held now; the constant last values are not counted."""
        self._catalogue = catalogue
        self._horizon_ns = horizon_ns
        self._max_bytes = max_bytes
        self._streams: dict[str, _Stream] = {}
        self._slices: deque[_Slice] = deque()
        rows = len(catalogue.entries)
        self._last_known = np.zeros(rows, np.bool_)
        self._last_t_ns = np.zeros(rows, np.int64)
        self._last_value = np.zeros(rows, np.float64)
        self._last_mode: ModeChange | None = None

    def append(self, batch: SensedBatch, signals: Signals, detections: tuple[Detections, ...]) -> None:
        """File ``batch`` with all its samples and all its detections.

        ``signals`` is everything decoded from the batch (its own samples and its CAN frames') and stands in for
        ``batch.signals``; ``detections`` is the firmware's and the agent's own, for frames of this batch, and
        stands in for ``batch.detections``.
        """
        for packet in batch.packets:
            self._file_packet(packet)
        size = _columns_bytes(signals, detections, batch.gnss)
        if size or batch.modes:
            self._slices.append(
                _Slice(batch.until_ns, signals.packed(), detections, batch.gnss, batch.modes, size),
            )
            self.size_bytes += size
        self._forget_before(batch.until_ns - self._horizon_ns)
        while self.size_bytes > self._max_bytes and self._drop_oldest():
            pass

    def window(
        self,
        start_ns: int,
        end_ns: int,
        cameras: Sequence[str],
        signals: Sequence[str],
        *,
        lead_in: bool = True,
    ) -> StagedPart:
        """What is held of ``[start_ns, end_ns)`` for these cameras and VSS paths.

        With ``lead_in`` also what a reader needs to begin at ``start_ns``: each camera's packets and detections
        from the last key frame at or before it, each signal's last sample before it, the mode in force.
        Without, exactly the window: the continuation of one that was taken before.

        Raises ``KeyError`` naming a path that the catalogue does not have.
        """
        rows = self._catalogue.rows_of(signals)
        packets: list[EncodedPacket] = []
        looks: list[Detections] = []
        for camera in dict.fromkeys(cameras):
            taken = self._packets(camera, start_ns, end_ns, lead_in=lead_in)
            packets += taken
            from_ns = min(start_ns, taken[0].t_ns) if taken else start_ns
            looks += self._detections(camera, from_ns, end_ns)
        return StagedPart(
            packets=tuple(packets),
            catalogue=tuple(self._catalogue.entries[row] for row in rows),
            signals=self._signals(rows, start_ns, end_ns, lead_in=lead_in),
            detections=join_detections(looks),
            gnss=self._gnss(start_ns, end_ns),
            modes=self._modes(start_ns, end_ns, lead_in=lead_in),
        )

    # -- eviction

    def _file_packet(self, packet: EncodedPacket) -> None:
        stream = self._streams.setdefault(packet.camera, _Stream())
        if packet.keyframe:
            stream.keys_ns.append(packet.t_ns)
        elif not stream.packets:
            self.dropped.packets += 1
            return
        stream.packets.append(packet)
        self.size_bytes += len(packet.data) + _PACKET_BYTES

    def _forget_before(self, cut_ns: int) -> None:
        for stream in self._streams.values():
            silent = bool(stream.packets) and stream.packets[-1].t_ns < cut_ns
            while stream.packets and (silent or (len(stream.keys_ns) > 1 and stream.keys_ns[1] <= cut_ns)):
                self._pop_group(stream)
        # Columns stay as long as the oldest picture: looks at a window's lead-in belong to the window.
        oldest_ns = [stream.packets[0].t_ns for stream in self._streams.values() if stream.packets]
        cut_ns = min(cut_ns, *oldest_ns) if oldest_ns else cut_ns
        while self._slices and self._slices[0].until_ns <= cut_ns:
            self._pop_slice()

    def _pop_group(self, stream: _Stream) -> int:
        """Remove the oldest key frame and what depends on it; return how many packets that were."""
        stream.keys_ns.popleft()
        count = 0
        while stream.packets and (count == 0 or not stream.packets[0].keyframe):
            self.size_bytes -= len(stream.packets.popleft().data) + _PACKET_BYTES
            count += 1
        return count

    def _pop_slice(self) -> _Slice:
        gone = self._slices.popleft()
        self.size_bytes -= gone.size_bytes
        # Where an index repeats, numpy's assignment keeps the last: the newest sample of the signal.
        self._last_known[gone.signals.signal] = True
        self._last_t_ns[gone.signals.signal] = gone.signals.t_ns
        self._last_value[gone.signals.signal] = gone.signals.value
        if gone.modes:
            self._last_mode = gone.modes[-1]
        return gone

    def _drop_oldest(self) -> bool:
        """Remove the oldest group of pictures or slice; False when nothing is left to remove."""
        streams = [stream for stream in self._streams.values() if stream.packets]
        stream = min(streams, key=lambda s: s.packets[0].t_ns, default=None)
        if stream and not (self._slices and self._slices[0].until_ns <= stream.packets[0].t_ns):
            self.dropped.packets += self._pop_group(stream)
            return True
        if not self._slices:
            return False
        gone = self._pop_slice()
        self.dropped.samples += len(gone.signals)
        self.dropped.looks += sum(one.frame_t_ns.shape[0] for one in gone.detections)
        return True

    # -- slicing

    def _packets(self, camera: str, start_ns: int, end_ns: int, *, lead_in: bool) -> list[EncodedPacket]:
        stream = self._streams.get(camera)
        found: list[EncodedPacket] = []
        for packet in reversed(stream.packets) if stream else ():
            if packet.t_ns >= end_ns:
                continue
            if packet.t_ns < start_ns and not lead_in:
                break
            found.append(packet)
            if packet.t_ns <= start_ns and packet.keyframe:
                break
        found.reverse()
        return found

    def _overlapping(self, start_ns: int) -> Iterator[_Slice]:
        """Slices that may hold something at or after ``start_ns``, newest first."""
        for one in reversed(self._slices):
            if one.until_ns <= start_ns:
                return
            yield one

    def _detections(self, camera: str, start_ns: int, end_ns: int) -> Iterator[Detections]:
        for one in self._overlapping(start_ns):
            for seen in one.detections:
                cut = cut_detections(seen, start_ns, end_ns) if seen.camera == camera else None
                if cut is not None:
                    yield cut

    def _signals(self, rows: Sequence[int], start_ns: int, end_ns: int, *, lead_in: bool) -> Signals:
        wanted = np.full(len(self._catalogue.entries), -1, np.int32)
        wanted[list(rows)] = np.arange(len(rows), dtype=np.int32)
        held = self._slices if lead_in else reversed(list(self._overlapping(start_ns)))
        parts = [one.signals for one in held if len(one.signals)]
        if lead_in:
            known = np.flatnonzero(self._last_known)
            order = known[np.argsort(self._last_t_ns[known], kind="stable")]
            last = Signals(self._last_t_ns[order], order.astype(np.int32), self._last_value[order])
            parts.insert(0, last)
        t_ns = np.concatenate([np.empty(0, np.int64), *(part.t_ns for part in parts)])
        own = wanted[np.concatenate([np.empty(0, np.int32), *(part.signal for part in parts)])]
        value = np.concatenate([np.empty(0, np.float64), *(part.value for part in parts)])
        keep = np.flatnonzero((own >= 0) & (t_ns < end_ns))
        keep = keep[_from_last_before(t_ns[keep], own[keep], start_ns)]
        keep = keep if lead_in else keep[t_ns[keep] >= start_ns]
        return Signals(t_ns[keep], own[keep], value[keep])

    def _gnss(self, start_ns: int, end_ns: int) -> GnssFixes:
        parts = [empty_gnss()]
        for one in reversed(list(self._overlapping(start_ns))):
            inside = (one.gnss.t_ns >= start_ns) & (one.gnss.t_ns < end_ns)
            if inside.any():
                parts.append(_fixes_at(one.gnss, inside))
        return GnssFixes(
            np.concatenate([part.t_ns for part in parts]),
            np.concatenate([part.lat_deg for part in parts]),
            np.concatenate([part.lon_deg for part in parts]),
            np.concatenate([part.alt_m for part in parts]),
            np.concatenate([part.speed_mps for part in parts]),
            np.concatenate([part.heading_deg for part in parts]),
        )

    def _modes(self, start_ns: int, end_ns: int, *, lead_in: bool) -> tuple[ModeChange, ...]:
        changes = [self._last_mode] if self._last_mode else []
        changes += [change for one in self._slices for change in one.modes if change.t_ns < end_ns]
        before = [change for change in changes if change.t_ns < start_ns]
        inside = [change for change in changes if change.t_ns >= start_ns]
        return tuple(before[-1:] + inside) if lead_in else tuple(inside)


def _from_last_before(t_ns: NDArray[np.int64], row: NDArray[np.int32], start_ns: int) -> NDArray[np.intp]:
    """Places of everything from ``start_ns`` on, and of each row's last sample before it."""
    at = int(np.searchsorted(t_ns, start_ns, side="left"))
    _, newest_first = np.unique(row[:at][::-1], return_index=True)
    last = np.sort(at - 1 - newest_first)
    return np.concatenate([last, np.arange(at, t_ns.shape[0])])


def _columns_bytes(signals: Signals, detections: Sequence[Detections], gnss: GnssFixes) -> int:
    seen = sum(len(one) * _BOX_BYTES + one.frame_t_ns.shape[0] * _LOOK_BYTES for one in detections)
    return int(len(signals) * _SAMPLE_BYTES + seen + len(gnss) * _FIX_BYTES)


def _fixes_at(gnss: GnssFixes, mask: NDArray[np.bool_]) -> GnssFixes:
    return GnssFixes(
        gnss.t_ns[mask],
        gnss.lat_deg[mask],
        gnss.lon_deg[mask],
        gnss.alt_m[mask],
        gnss.speed_mps[mask],
        gnss.heading_deg[mask],
    )
