"""A recorded drive as a source of firmware: paced on the monotonic clock, or as fast as it is asked for.

Real time: a tick is given when as much time has passed since the first ``poll`` as lies between the drive's
start and the tick's end. A consumer that falls behind gets its ticks at once until it has caught up; nothing
is dropped, which is where a replay is kinder than a car.

Looping: the drive follows on itself, times shifted so that they keep rising, the wall clock with them.

A drive that is cut off gives everything before the cut, then raises :class:`DriveCut`, also when it loops.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from fsd_firmware.codec import VideoCodec
from fsd_firmware.contract import FirmwareError, VehicleDescription
from fsd_firmware.drive.columns import shifted_detections, shifted_table
from fsd_firmware.drive.features import shifted_features
from fsd_firmware.drive.format import CELL_NS, DriveError
from fsd_firmware.drive.frames import FrameTap
from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.drive.ticks import first_ns, in_ticks
from fsd_firmware.samples import SensedBatch
from fsd_firmware.surroundings import Surroundings, unknown
from fsd_firmware.surroundings_file import given_back_path, read_surroundings, write_given_back

DEFAULT_TICK_NS: Final = 7_000_000
"""Short enough for the latency of a trigger; not 10 ms, which would alias with CAN periods of 10 ms."""


class DriveReplay:
    """Implements :class:`fsd_firmware.contract.Firmware`. ``close`` may be called from any thread.

    ``registration``, ``consent`` and ``link`` (:mod:`fsd_firmware.surroundings_file`) are files that are read anew on
    every call, because firmware may change them.
    With ``frames_hz`` above zero, raw frames are decoded through ``codec`` at that rate. ``max_seconds`` ends
    the replay after so much of the drive's time.

    Raises :class:`FirmwareError` when the drive can't be opened (:class:`DriveError`) or ``frames_hz`` is asked
    without a codec, ``ValueError`` for a tick, rate or limit that isn't usable.
    """

    def __init__(
        self,
        path: Path,
        *,
        registration: Path | None = None,
        consent: Path | None = None,
        link: Path | None = None,
        speed: Literal["real", "max"] = "real",
        tick_ns: int = DEFAULT_TICK_NS,
        frames_hz: float = 0.0,
        codec: VideoCodec | None = None,
        loop: bool = False,
        max_seconds: float | None = None,
    ) -> None:
        if frames_hz < 0 or (max_seconds is not None and max_seconds <= 0):
            raise ValueError("frames_hz must not be negative and max_seconds must be positive")
        if frames_hz and codec is None:
            raise FirmwareError(f"{path}: frames_hz: raw frames need a video codec, and none was given")
        self._reader = DriveReader(path)
        self._registration = registration
        self._consent = consent
        self._link = link
        self._real = speed == "real"
        self._tick_ns = tick_ns
        self._loop = loop
        self._limit_ns = None if max_seconds is None else round(max_seconds * 1e9)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._origin_ns: tuple[int, int] | None = None
        ticks = in_ticks(self._chunks(), tick_ns)
        if frames_hz and codec is not None:
            ticks = FrameTap(ticks, codec, round(1e9 / frames_hz), name=str(path)).batches()
        self._batches = self._limited(ticks)

    def describe(self) -> VehicleDescription:
        """What the drive says about its vehicle."""
        return self._reader.description

    def registration(self) -> bytes | None:
        """The registration file as it is now; None when there is none."""
        return _document(self._registration, "registration")

    def consent(self) -> bytes | None:
        """The consent file as it is now; None when there is none."""
        return _document(self._consent, "consent")

    def surroundings(self) -> Surroundings:
        """What the link file says now; the careful answer where there is none that can be used."""
        return unknown() if self._link is None else read_surroundings(self._link)

    def give_back(self) -> None:
        """Written beside the link file. Raises :class:`FirmwareError` where that can't be done."""
        if self._link is None:
            return
        try:
            write_given_back(self._link)
        except OSError as error:
            raise FirmwareError(f"{given_back_path(self._link)}: {error.strerror}") from error

    def poll(self) -> SensedBatch | None:
        """The next tick, or None at the end and after ``close``. Raises :class:`FirmwareError`."""
        with self._lock:
            if self._closed.is_set():
                return None
            batch = next(self._batches, None)
            if batch is None or (self._real and not self._wait(batch.until_ns)):
                return None
            return batch

    def close(self) -> None:
        """End a waiting ``poll`` and release the file."""
        self._closed.set()
        with self._lock:
            self._batches.close()

    def _wait(self, until_ns: int) -> bool:
        """Sleep until the tick that ends at ``until_ns`` is over; False when closed meanwhile."""
        now_ns = time.monotonic_ns()
        if self._origin_ns is None:
            self._origin_ns = (now_ns, until_ns - self._tick_ns)
        started_ns, drive_ns = self._origin_ns
        ahead_ns = until_ns - drive_ns - (now_ns - started_ns)
        return not (ahead_ns > 0 and self._closed.wait(ahead_ns / 1e9))

    def _limited(self, ticks: Iterator[SensedBatch]) -> Generator[SensedBatch, None, None]:
        start_ns: int | None = None
        for batch in ticks:
            start_ns = batch.until_ns - self._tick_ns if start_ns is None else start_ns
            if self._limit_ns is not None and batch.until_ns - start_ns > self._limit_ns:
                return
            yield batch

    def _chunks(self) -> Iterator[SensedBatch]:
        """The drive's chunks once, or again and again."""
        shift_ns = 0
        for _pass in itertools.count() if self._loop else range(1):
            begin_ns: int | None = None
            until_ns = 0
            for batch in self._reader.chunks():
                if begin_ns is None:
                    first = first_ns(batch)
                    begin_ns = None if first is None else first // CELL_NS * CELL_NS
                until_ns = batch.until_ns
                yield _shifted(batch, shift_ns) if shift_ns else batch
            if begin_ns is None:
                raise DriveError(f"{self._reader.path}: the drive holds no samples")
            shift_ns += until_ns - begin_ns


def _document(path: Path | None, what: str) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FirmwareError(f"{path}: {what} can't be read: {error.strerror}") from error


def _shifted(batch: SensedBatch, by_ns: int) -> SensedBatch:
    return replace(
        batch,
        until_ns=batch.until_ns + by_ns,
        can=shifted_table(batch.can, by_ns),
        signals=shifted_table(batch.signals, by_ns),
        gnss=shifted_table(batch.gnss, by_ns),
        packets=tuple(replace(packet, t_ns=packet.t_ns + by_ns) for packet in batch.packets),
        detections=tuple(shifted_detections(seen, by_ns) for seen in batch.detections),
        modes=tuple(replace(mode, t_ns=mode.t_ns + by_ns) for mode in batch.modes),
        features=tuple(shifted_features(known, by_ns) for known in batch.features),
    )
