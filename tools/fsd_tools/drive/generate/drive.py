"""A whole generated drive in one file.

Pictures are drawn by worker processes, because a frame needs no frame before it; encoding, noise and writing
follow in order of time. The file doesn't depend on the number of workers.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from fsd_firmware.codec_pyav import EncoderSettings, PyAvCodec, PyAvFrame, frame_from_bgr
from fsd_firmware.contract import CameraDescription, VehicleDescription
from fsd_firmware.drive.writer import DriveWriter
from fsd_firmware.samples import CanFrames, GnssFixes
from fsd_tools.drive.generate.can import can_frames, compass_deg, metres_per_degree, modes
from fsd_tools.drive.generate.noise import DetectorNoise, Report, columns
from fsd_tools.drive.generate.options import Daylight, GenerateOptions
from fsd_tools.drive.generate.paint import Picture
from fsd_tools.drive.generate.render import Renderer, TrueBox
from fsd_tools.drive.generate.world import World, make_world
from fsd_tools.drive.vehicles import fsd_demo

CAMERA = "front"
START_NS = 60_000_000_000
"""The vehicle's monotonic clock at the first moment of the drive."""
WALL_START_NS = {
    Daylight.DAY: 1_778_576_400_000_000_000,  # 2026-05-12 09:00 UTC
    Daylight.NIGHT: 1_778_619_600_000_000_000,  # 21:00
    Daylight.BOTH: 1_778_616_000_000_000_000,  # 20:00
}
ORIGIN_DEG = (31.5, -41.5)
"""Latitude and longitude of the first moment: open ocean, so that no real street is meant."""
GNSS_PERIOD_S = 0.1
GNSS_NOISE_M = 0.35
SLICE_NS = 1_000_000_000
AHEAD = 8
"""Pictures that may wait for the encoder; each takes three bytes a pixel."""
SMALL_PX = 320
"""Drives of narrower pictures are drawn in this process: starting others takes longer."""

_renderer: Renderer | None = None


def generate_drive(
    path: Path, options: GenerateOptions, progress: Callable[[float], None] | None = None
) -> None:
    """Write the drive to ``path``. ``progress`` is called with shares from 0 to 1.

    Raises :class:`fsd_firmware.drive.format.DriveError` when the file can't be written.
    """
    world, line = make_world(options), fsd_demo()
    renderer = Renderer(world)
    times_ns = [round(i * 1e9 / options.fps) for i in range(int(options.seconds * options.fps))]
    camera = CameraDescription(CAMERA, options.width, options.height, options.fps)
    description = VehicleDescription((camera,), line.catalogue, line.table)
    noise = DetectorNoise(options.seed, options.width, options.height)
    every = max(1, round(options.fps / options.detections_hz))
    looks: list[tuple[int, list[Report]]] = []

    def frames() -> Iterator[PyAvFrame]:
        for number, (picture, truth) in enumerate(_drawn(renderer, options, times_ns)):
            t_ns = START_NS + times_ns[number]
            if number % every == 0:
                looks.append((t_ns, noise.look(t_ns, truth, world.night(times_ns[number] / 1e9))))
            yield frame_from_bgr(t_ns, picture)

    with DriveWriter(
        path,
        description,
        name=f"city-{options.daylight}-{options.seed}",
        wall_minus_mono_ns=WALL_START_NS[options.daylight] - START_NS,
        origin={"kind": "generated", "seed": str(options.seed), "daylight": str(options.daylight)},
        attachments={"vehicle.dbc": line.dbc.encode()},
    ) as writer:
        buses = can_frames(world, renderer.actors, line.dbc, START_NS)
        slices = _Slices(writer, world, buses)
        codec = PyAvCodec(encoder_settings(options))
        packets = codec.encode(CAMERA, frames(), fps=options.fps, keyframe_every=max(1, round(options.fps)))
        for number, packet in enumerate(packets):
            slices.write_until(packet.t_ns)
            writer.write_packet(packet)
            if len(looks) >= options.detections_hz:
                writer.write_detections(columns(CAMERA, looks))
                looks.clear()
            if progress is not None:
                progress((number + 1) / len(times_ns))
        slices.write_until(START_NS + round(options.seconds * 1e9))
        if looks:
            writer.write_detections(columns(CAMERA, looks))


def encoder_settings(options: GenerateOptions) -> EncoderSettings:
    """Finer than the codec's default: clips cut from the drive are encoded once more."""
    return EncoderSettings(crf=30, threads=options.encoder_threads)


class _Slices:
    """Writes buses, positions and modes a second at a time, ahead of the pictures of that second."""

    def __init__(self, writer: DriveWriter, world: World, can: CanFrames) -> None:
        self._writer, self._can = writer, can
        self._gnss, self._modes = _gnss(world), deque(modes(world, START_NS))
        self._done_ns = START_NS

    def write_until(self, t_ns: int) -> None:
        """Write whole slices until ``t_ns`` lies before the end of what is written."""
        while self._done_ns <= t_ns and (self._done_ns <= self._gnss.t_ns[-1] or self._done_ns == START_NS):
            low, high = self._done_ns, self._done_ns + SLICE_NS
            a, b = np.searchsorted(self._can.t_ns, [low, high]).tolist()
            c = self._can
            self._writer.write_can(
                CanFrames(c.t_ns[a:b], c.bus[a:b], c.can_id[a:b], c.length[a:b], c.data[a:b])
            )
            a, b = np.searchsorted(self._gnss.t_ns, [low, high]).tolist()
            g = self._gnss
            self._writer.write_gnss(
                GnssFixes(
                    g.t_ns[a:b],
                    g.lat_deg[a:b],
                    g.lon_deg[a:b],
                    g.alt_m[a:b],
                    g.speed_mps[a:b],
                    g.heading_deg[a:b],
                )
            )
            while self._modes and self._modes[0].t_ns < high:
                self._writer.write_mode(self._modes.popleft())
            self._done_ns = high


def _gnss(world: World) -> GnssFixes:
    """Fixes every tenth of a second, with an error that wanders."""
    rng = np.random.default_rng([world.options.seed, 9])
    t_s = np.arange(0.02, world.options.seconds, GNSS_PERIOD_S)
    m = world.motion
    place = world.road.place(m.at(m.s_m, t_s), m.at(m.d_m, t_s))
    error = np.zeros((t_s.shape[0], 2))
    for i in range(1, t_s.shape[0]):
        error[i] = 0.97 * error[i - 1] + rng.normal(0, GNSS_NOISE_M * 0.25, 2)
    place = place + error
    per_lat, per_lon = metres_per_degree(ORIGIN_DEG[0])
    return GnssFixes(
        START_NS + np.rint(t_s * 1e9).astype(np.int64),
        ORIGIN_DEG[0] + place[:, 1] / per_lat,
        ORIGIN_DEG[1] + place[:, 0] / per_lon,
        np.full(t_s.shape[0], 12.0),
        m.at(m.speed_mps, t_s),
        compass_deg(m.at(m.heading_rad, t_s)),
    )


def _drawn(
    renderer: Renderer, options: GenerateOptions, times_ns: list[int]
) -> Iterator[tuple[Picture, tuple[TrueBox, ...]]]:
    """Pictures and truth in order of time."""
    workers = min(4, os.cpu_count() or 1)
    if workers == 1 or options.width < SMALL_PX:
        for t_ns in times_ns:
            yield renderer.frame(t_ns / 1e9)
        return
    waiting: deque[Future[tuple[Picture, tuple[TrueBox, ...]]]] = deque()
    # Not forked: the encoder's threads live in this process.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (options,)) as pool:
        for t_ns in times_ns:
            waiting.append(pool.submit(_draw, t_ns / 1e9))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _start_worker(options: GenerateOptions) -> None:
    global _renderer  # noqa: PLW0603  # a pool's initialiser has no other place to leave what it made
    cv2.setNumThreads(1)
    _renderer = Renderer(make_world(options))


def _draw(t_s: float) -> tuple[Picture, tuple[TrueBox, ...]]:
    assert _renderer is not None
    return _renderer.frame(t_s)
