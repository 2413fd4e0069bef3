"""A whole generated drive in one file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fsd_firmware.can_frames import CanFrames
from fsd_firmware.contract import CameraDescription, VehicleDescription
from fsd_firmware.drive.writer import DriveWriter
from fsd_firmware.samples import GnssFixes
from fsd_tools.drive.generate.camera import Lens, lens_of
from fsd_tools.drive.generate.can import can_frames, compass_deg, metres_per_degree, modes
from fsd_tools.drive.generate.course import inside
from fsd_tools.drive.generate.extras import make_actors
from fsd_tools.drive.generate.looks import Looks
from fsd_tools.drive.generate.options import Daylight, GenerateOptions
from fsd_tools.drive.generate.render import Renderer
from fsd_tools.drive.generate.truth import TrueBox
from fsd_tools.drive.generate.video import packets
from fsd_tools.drive.generate.world import World, make_world
from fsd_tools.drive.vehicles import DEMO_CAMERAS, VehicleLine, fsd_demo

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


def generate_drive(
    path: Path, options: GenerateOptions, progress: Callable[[float], None] | None = None
) -> None:
    """Write the drive to ``path``. ``progress`` is called with shares from 0 to 1.

    Raises :class:`fsd_firmware.drive.format.DriveError` when the file can't be written.
    """
    world, line = make_world(options), fsd_demo()
    actors = make_actors(world)
    cameras = DEMO_CAMERAS if world.script else DEMO_CAMERAS[:1]
    lenses = {name: lens_of(name, options.width, options.height) for name in cameras}
    times_ns = [round(i * 1e9 / options.fps) for i in range(int(options.seconds * options.fps))]
    looks = Looks(world, actors, lenses, START_NS)
    looked_ns = times_ns[:: max(1, round(options.fps / options.detections_hz))]
    drawing = options.video or not world.script
    renderers = {name: Renderer(world, actors, lens) for name, lens in lenses.items()} if drawing else {}
    _look_ahead(looks, world, lenses, renderers, looked_ns)
    at_ns = frozenset(looked_ns)

    def drawn(camera: str, t_ns: int, truth: tuple[TrueBox, ...]) -> None:
        if world.script is None and t_ns in at_ns:
            looks.look(camera, t_ns, truth)

    with _writer(path, world, line, lenses) as writer:
        slices = _Slices(writer, world, can_frames(world, actors, line.dbc, START_NS), looks)
        if options.video:
            for packet in packets(renderers, options, times_ns, START_NS, drawn):
                slices.write_until(packet.t_ns)
                writer.write_packet(packet)
                if progress is not None:
                    progress((packet.t_ns - START_NS) / 1e9 / options.seconds)
        slices.write_until(START_NS + round(options.seconds * 1e9))
        slices.finish()
        if progress is not None:
            progress(1.0)


def _look_ahead(
    looks: Looks,
    world: World,
    lenses: dict[str, Lens],
    renderers: dict[str, Renderer],
    looked_ns: list[int],
) -> None:
    """All looks that don't wait for pictures."""
    for name, lens in lenses.items():
        if world.script is not None:
            looks.all_of(name, lens, looked_ns)
        elif not world.options.video:
            for t_ns in looked_ns:
                looks.look(name, t_ns, renderers[name].truth(t_ns / 1e9))


def _writer(path: Path, world: World, line: VehicleLine, lenses: dict[str, Lens]) -> DriveWriter:
    options = world.options
    cameras = tuple(
        CameraDescription(name, lens.width, lens.height, options.fps) for name, lens in lenses.items()
    )
    daylight = options.daylight
    if world.script is not None:
        daylight = Daylight.NIGHT if world.night(0.0) > 0.5 else Daylight.DAY
    story = options.scenario or f"city-{daylight}"
    return DriveWriter(
        path,
        VehicleDescription(cameras, line.catalogue, line.table),
        name=f"{story}-{options.seed}",
        wall_minus_mono_ns=WALL_START_NS[daylight] - START_NS,
        origin={
            "kind": "generated",
            "seed": str(options.seed),
            "daylight": str(daylight),
            **({"scenario": options.scenario} if options.scenario else {}),
        },
        attachments={"vehicle.dbc": line.dbc.encode()},
    )


class _Slices:
    """Writes buses, positions, modes and looks a second at a time, ahead of the pictures of that second."""

    def __init__(self, writer: DriveWriter, world: World, can: CanFrames, looks: Looks) -> None:
        self._writer, self._can, self._looks = writer, can, looks
        self._gnss, self._modes = _gnss(world), deque(modes(world, START_NS))
        self._done_ns, self._end_ns = START_NS, START_NS + round(world.options.seconds * 1e9)

    def write_until(self, t_ns: int) -> None:
        """Write whole slices until ``t_ns`` lies before the end of what is written."""
        while self._done_ns <= t_ns and self._done_ns < self._end_ns:
            low, high = self._done_ns, self._done_ns + SLICE_NS
            # The city's looks come with its pictures: those of the second before, which are within the writer's reach.
            self._write_looks(high)
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

    def finish(self) -> None:
        """Write the looks that came last."""
        self._write_looks(self._end_ns)

    def _write_looks(self, until_ns: int) -> None:
        for detections in self._looks.take(until_ns):
            self._writer.write_detections(detections)


def _gnss(world: World) -> GnssFixes:
    """Fixes every tenth of a second while there are any, with an error that wanders."""
    rng = np.random.default_rng([world.options.seed, 9])
    t_s = np.arange(0.02, world.options.seconds, GNSS_PERIOD_S)
    t_s = t_s[~inside(world.course.no_fix, t_s)]
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
