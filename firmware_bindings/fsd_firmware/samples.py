"""The vocabulary of what a vehicle gives: columns, not objects.

Time. Every ``t_ns`` is int64 nanoseconds of the vehicle's monotonic clock (event time, not arrival time).
A batch also carries ``wall_minus_mono_ns``: adding it to a ``t_ns`` gives Unix time in nanoseconds.

Order. Inside one column set ``t_ns`` never decreases. A :class:`SensedBatch` promises that every later batch
holds only samples with ``t_ns >= until_ns``, and itself holds only samples with ``t_ns < until_ns``, so a
consumer may conclude everything up to ``until_ns``.

Arrays in these values are never written to after construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can_frames import CanFrames


class Kind(IntEnum):
    """What a detection is. The lower-case name is what campaigns write (``d.kind == "pedestrian"``)."""

    UNKNOWN = 0
    PEDESTRIAN = 1
    CYCLIST = 2
    BICYCLE = 3
    MOTORCYCLE = 4
    CAR = 5
    TRUCK = 6
    BUS = 7
    ANIMAL = 8


PERSON_KINDS = frozenset({Kind.PEDESTRIAN, Kind.CYCLIST})
VEHICLE_KINDS = frozenset({Kind.CAR, Kind.TRUCK, Kind.BUS, Kind.MOTORCYCLE})


class DriveMode(IntEnum):
    """Who drives. ``ASSISTED`` is the driving computer in control with the driver supervising."""

    UNKNOWN = 0
    PARKED = 1
    MANUAL = 2
    ASSISTED = 3


class Signals:
    """Decoded samples in long form: one row a sample, in order of ``t_ns``.

    The columns are arrays of length n, and lists of as many numbers. A tick's handful is made and read as numbers, much
    as arrays; the other form is made when somebody asks for it, and kept.
    """

    __slots__ = ("_columns", "_listed")

    def __init__(
        self, t_ns: NDArray[np.int64], signal: NDArray[np.int32], value: NDArray[np.float64]
    ) -> None:
        self._columns: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]] | None = (
            t_ns,
            signal,
            value,
        )
        self._listed: tuple[list[int], list[int], list[float]] | None = None

    @classmethod
    def of_lists(cls, t_ns: list[int], signal: list[int], value: list[float]) -> Self:
        """From lists, which are the object's from then on."""
        made = cls.__new__(cls)
        made._columns, made._listed = None, (t_ns, signal, value)  # noqa: SLF001 - its own
        return made

    @property
    def t_ns(self) -> NDArray[np.int64]:
        """When each sample came."""
        return (self._columns or self._made())[0]

    @property
    def signal(self) -> NDArray[np.int32]:
        """Row of the vehicle's signal catalogue (:attr:`contract.VehicleDescription.catalogue`)."""
        return (self._columns or self._made())[1]

    @property
    def value(self) -> NDArray[np.float64]:
        """Physical value in the catalogue's unit; booleans and enumerations as their number."""
        return (self._columns or self._made())[2]

    @property
    def listed(self) -> tuple[list[int], list[int], list[float]]:
        """Times, rows and values as lists, never to be changed."""
        if self._listed is None:
            self._listed = self.t_ns.tolist(), self.signal.tolist(), self.value.tolist()
        return self._listed

    def packed(self) -> Signals:
        """The same as arrays alone, a tenth of the memory: for who keeps them."""
        return Signals(self.t_ns, self.signal, self.value)

    def __len__(self) -> int:
        """Count samples."""
        return len(self._listed[0]) if self._listed is not None else int(self.t_ns.shape[0])

    def _made(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
        t_ns, signal, value = self.listed
        self._columns = made = (
            np.array(t_ns, np.int64),
            np.array(signal, np.int32),
            np.array(value, np.float64),
        )
        return made


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One video frame of one camera as its encoder gave it. No B-frames: decode order is display order."""

    camera: str
    t_ns: int
    codec: str
    """``av1``, ``h264``, ``h265`` or ``vp9``, as ``foxglove.CompressedVideo.format``."""
    keyframe: bool
    """Decoding can start here; parameter sets are included."""
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One raw picture for perception."""

    camera: str
    t_ns: int
    bgr: NDArray[np.uint8]
    """Shape (height, width, 3)."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Detections of one camera by one source over f observed frames with n boxes in all.

    A frame without any box is still in ``frame_t_ns``: "nothing seen" and "not looked" differ.
    """

    camera: str
    source: str
    """Who looked: ``firmware``, or a model package's ``name@version``."""
    frame_t_ns: NDArray[np.int64]
    """Shape (f,), increasing."""
    frame: NDArray[np.int32]
    """Shape (n,), not decreasing: index into ``frame_t_ns``."""
    kind: NDArray[np.uint8]
    """Shape (n,), values of :class:`Kind`."""
    score: NDArray[np.float32]
    """Shape (n,), 0 to 1."""
    box: NDArray[np.float32]
    """Shape (n, 4): x1, y1, x2, y2 in pixels of the camera's picture."""
    distance_m: NDArray[np.float32]
    """Shape (n,), NaN where unknown."""
    track_id: NDArray[np.int32]
    """Shape (n,), -1 where untracked."""
    ttc_s: NDArray[np.float32]
    """Shape (n,), time to collision as the one who looked knows it, NaN where unknown."""

    def __len__(self) -> int:
        """Count boxes."""
        return int(self.frame.shape[0])

    def is_whole(self) -> bool:
        """Whether the columns belong together: one length, and every box has its frame."""
        n, frame = len(self), self.frame
        columns = (self.kind, self.score, self.distance_m, self.track_id, self.ttc_s)
        if self.box.shape != (n, 4) or any(column.shape != (n,) for column in columns):
            return False
        if self.frame_t_ns.ndim != 1 or not self.frame_t_ns.shape[0]:
            return False
        in_order = n == 0 or (frame[0] >= 0 and frame[-1] < self.frame_t_ns.shape[0])
        return bool(in_order and (frame[1:] >= frame[:-1]).all())


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Pooled intermediate features of one camera's pictures: what a perception network knows before it draws boxes.

    Optional: firmware may give those of its own network, and the agent's detector gives those of its model.
    """

    camera: str
    source: str
    """Whose: ``firmware:NAME``, or a model package's ``name@version``, with ``+halves`` where it looked at two halves.
    Features of two sources have nothing in common."""
    t_ns: NDArray[np.int64]
    """Shape (f,), increasing: of the pictures."""
    value: NDArray[np.float32]
    """Shape (f, k)."""

    def __len__(self) -> int:
        """Count pictures."""
        return int(self.t_ns.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class GnssFixes:
    """Position fixes, all arrays of length n."""

    t_ns: NDArray[np.int64]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    alt_m: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    heading_deg: NDArray[np.float64]
    """Clockwise from north."""

    def __len__(self) -> int:
        """Count fixes."""
        return int(self.t_ns.shape[0])


@dataclass(frozen=True, slots=True)
class ModeChange:
    """The vehicle's mode from ``t_ns`` on."""

    t_ns: int
    mode: DriveMode


@dataclass(frozen=True, slots=True, eq=False)
class SensedBatch:
    """Everything a source has for ``[previous until_ns, until_ns)``. Empty column sets have length 0."""

    until_ns: int
    wall_minus_mono_ns: int
    can: CanFrames
    signals: Signals
    packets: tuple[EncodedPacket, ...]
    frames: tuple[Frame, ...]
    detections: tuple[Detections, ...]
    gnss: GnssFixes
    modes: tuple[ModeChange, ...]
    features: tuple[Features, ...] = ()


def empty_signals() -> Signals:
    """No samples."""
    return Signals(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float64))


def empty_gnss() -> GnssFixes:
    """No fixes."""
    column = np.empty(0, np.float64)
    return GnssFixes(np.empty(0, np.int64), column, column, column, column, column)


def merge_signals(a: Signals, b: Signals) -> Signals:
    """Both sets in order of time; samples of ``a`` before those of ``b`` at the same instant."""
    if not len(b):
        return a
    if not len(a):
        return b
    t_ns = np.concatenate([a.t_ns, b.t_ns])
    order = np.argsort(t_ns, kind="stable")
    return Signals(
        t_ns[order],
        np.concatenate([a.signal, b.signal])[order],
        np.concatenate([a.value, b.value])[order],
    )
