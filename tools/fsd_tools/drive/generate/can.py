"""The ego vehicle's motion as CAN frames of ``fsd_demo.dbc``, with filler so that the load is that of a car.

Every message is sent at its cycle time with a little jitter. Frames are packed as the DBC says, for all times
of a message at once. Filler messages have ids that the DBC doesn't know, as about half of a real bus.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can_frames import CanFrames
from fsd_firmware.samples import ModeChange
from fsd_tools.drive.dbc_compile import DbcSource, load_dbc
from fsd_tools.drive.generate.actors import Actor
from fsd_tools.drive.generate.bus_values import values_of
from fsd_tools.drive.generate.course import Floats
from fsd_tools.drive.generate.world import World

JITTER_S = 0.0002
"""Standard deviation of a frame's time against its schedule."""
MAX_JITTER_S = 0.002
FILLER: tuple[tuple[int, int, float], ...] = (
    *((0, 0x1A0 + 3 * i, 0.010) for i in range(5)),
    *((0, 0x3D0 + 2 * i, 0.020) for i in range(4)),
    *((1, 0x1C4 + 5 * i, 0.010) for i in range(3)),
    *((1, 0x450 + 4 * i, 0.050) for i in range(4)),
)
"""Bus, id and period of messages that nobody decodes: 1,080 frames a second."""


def modes(world: World, start_ns: int) -> tuple[ModeChange, ...]:
    """The changes with vehicle times."""
    return tuple(ModeChange(start_ns + round(t * 1e9), mode) for t, mode in world.course.modes)


def can_frames(world: World, actors: tuple[Actor, ...], dbc: str, start_ns: int) -> CanFrames:
    """All frames of the drive in order of time."""
    rng = np.random.default_rng([world.options.seed, 8])
    parts = []
    for message in load_dbc(DbcSource(0, "fsd_demo.dbc", dbc)).messages:
        t_s = _schedule(world, message.cycle_time / 1000, rng)
        bus = message.dbc.attributes["Bus"].value if "Bus" in message.dbc.attributes else 0
        data = pack(message, values_of(message.name, world, actors, t_s))
        parts.append(_part(t_s, bus, message.frame_id, message.length, data))
    for bus, can_id, period_s in FILLER:
        t_s = _schedule(world, period_s, rng)
        data = np.cumsum(rng.integers(0, 3, (t_s.shape[0], 8)), axis=0).astype(np.uint8)
        parts.append(_part(t_s, bus, can_id, 8, data))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    t_s, bus_column, ids, length, data = (column[order] for column in columns)
    return CanFrames(start_ns + np.rint(t_s * 1e9).astype(np.int64), bus_column, ids, length, data)


def _schedule(world: World, period_s: float, rng: np.random.Generator) -> Floats:
    phase = rng.uniform(0, period_s)
    t_s = np.arange(phase, world.options.seconds - MAX_JITTER_S, period_s)
    jitter = np.clip(rng.normal(0, JITTER_S, t_s.shape[0]), -MAX_JITTER_S, MAX_JITTER_S)
    return np.sort(np.maximum(t_s + jitter, 0))


def _part(
    t_s: Floats, bus: int, can_id: int, length: int, data: NDArray[np.uint8]
) -> tuple[NDArray[Any], ...]:
    n = t_s.shape[0]
    return (
        t_s,
        np.full(n, bus, np.uint8),
        np.full(n, can_id, np.uint32),
        np.full(n, length, np.uint8),
        data,
    )


def pack(message: Any, values: Mapping[str, Floats]) -> NDArray[np.uint8]:
    """Frames of one message, shape (n, 8), from physical values of all its signals.

    Values are rounded to the signal's resolution and held at the limits of its bits. Raises ``KeyError`` for
    a signal without values; ``COUNTER`` counts by itself.
    """
    n = len(next(iter(values.values())))
    words = {True: np.zeros(n, np.uint64), False: np.zeros(n, np.uint64)}
    for signal in message.signals:
        value = np.arange(n) % 16 if signal.name == "COUNTER" else values[signal.name]
        raw = np.rint((np.asarray(value, np.float64) - signal.offset) / signal.scale)
        span = 1 << signal.length
        low, high = (-span // 2, span // 2 - 1) if signal.is_signed else (0, span - 1)
        bits = (np.clip(raw, low, high).astype(np.int64) & (span - 1)).astype(np.uint64)
        big = signal.byte_order == "big_endian"
        first = 8 * (signal.start // 8) + 7 - signal.start % 8 if big else signal.start
        words[big] |= bits << np.uint64(64 - first - signal.length if big else first)
    little = words[False].astype("<u8").view(np.uint8).reshape(-1, 8)
    return little | words[True].astype(">u8").view(np.uint8).reshape(-1, 8)


def compass_deg(heading_rad: Floats) -> Floats:
    """World headings (0 is east, turning left) as degrees clockwise from north."""
    return np.asarray((90 - np.degrees(heading_rad)) % 360)


def metres_per_degree(lat_deg: float) -> tuple[float, float]:
    """Of latitude and of longitude, on a sphere of the Earth's mean radius."""
    per_lat = math.pi / 180 * 6_371_008.8
    return per_lat, per_lat * math.cos(math.radians(lat_deg))
