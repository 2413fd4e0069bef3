"""Generated buses say the truth, to the resolution of their signals, at their rates."""

from __future__ import annotations

from itertools import pairwise

import cantools
import numpy as np
import pytest

from fsd_firmware.can.decoder import Decoder
from fsd_firmware.can_frames import CanFrames
from fsd_firmware.samples import DriveMode, Signals
from fsd_tools.drive.generate.bus_values import values_of
from fsd_tools.drive.generate.can import FILLER, can_frames, pack
from fsd_tools.drive.generate.extras import make_actors
from fsd_tools.drive.generate.options import GenerateOptions
from fsd_tools.drive.generate.world import World, make_world
from fsd_tools.drive.vehicles import fsd_demo

START_NS = 1_000_000_000
SECONDS = 20.0


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(GenerateOptions(seconds=SECONDS))


@pytest.fixture(scope="module")
def frames(world: World) -> CanFrames:
    return can_frames(world, make_actors(world), fsd_demo().dbc, START_NS)


@pytest.fixture(scope="module")
def signals(frames: CanFrames) -> Signals:
    return Decoder(fsd_demo().table).decode(frames)


def _column(signals: Signals, path: str) -> tuple[np.ndarray, np.ndarray]:
    mine = signals.signal == fsd_demo().catalogue.rows[path]
    return (signals.t_ns[mine] - START_NS) / 1e9, signals.value[mine]


def test_decoded_speed_is_the_true_speed_to_its_resolution(world: World, signals: Signals) -> None:
    t_s, kmh = _column(signals, "Vehicle.Speed")
    truth = world.motion.at(world.motion.speed_mps, t_s) * 3.6
    assert np.abs(kmh - truth).max() <= 0.005 + 1e-6


def test_decoded_motion_is_the_true_motion(world: World, signals: Signals) -> None:
    m = world.motion
    for path, column, unit, step in (
        ("Vehicle.Acceleration.Longitudinal", m.accel_mps2, 1.0, 0.001),
        ("Vehicle.AngularVelocity.Yaw", m.yaw_rate_radps, 180 / np.pi, 0.005),
    ):
        t_s, value = _column(signals, path)
        assert np.abs(value - m.at(column, t_s) * unit).max() <= step / 2 + 1e-6


def test_braking_shows_on_pedal_and_obstacle(world: World, signals: Signals) -> None:
    block = next(b for b in world.blocks if b.step_out)
    t_s, pedal = _column(signals, "Vehicle.Chassis.Brake.PedalPosition")
    assert pedal[(t_s > block.brake_s) & (t_s < block.brake_s + 1.2)].max() > 50
    assert pedal[(t_s > block.overtake_s - 1) & (t_s < block.overtake_s)].max() == 0
    t_s, distance = _column(signals, "Vehicle.ADAS.ObstacleDetection.Front.Center.Distance")
    assert distance[(t_s > block.brake_s) & (t_s < block.brake_s + 1)].min() < 12
    t_s, eba = _column(signals, "Vehicle.ADAS.EBA.IsEngaged")
    assert set(eba[np.abs(t_s - block.brake_s - 0.7) < 0.2]) == {1.0}


def test_packing_equals_cantools(world: World) -> None:
    actors = make_actors(world)
    t_s = np.linspace(0, SECONDS, 37)
    for message in cantools.database.load_string(fsd_demo().dbc, "dbc", strict=True).messages:
        values = values_of(message.name, world, actors, t_s)
        packed = pack(message, values)
        for i in range(t_s.shape[0]):
            row = {
                s.name: i % 16 if s.name == "COUNTER" else float(values[s.name][i]) for s in message.signals
            }
            assert packed[i, : message.length].tobytes() == message.encode(row, strict=False), message.name


def test_rates_are_those_of_the_description(frames: CanFrames) -> None:
    database = cantools.database.load_string(fsd_demo().dbc, "dbc", strict=True)
    periods = {m.frame_id: m.cycle_time / 1000 for m in database.messages}
    periods |= {can_id: period for _, can_id, period in FILLER}
    assert set(np.unique(frames.can_id).tolist()) == set(periods)
    for can_id, period_s in periods.items():
        t_s = frames.t_ns[frames.can_id == can_id] / 1e9
        assert t_s.shape[0] == pytest.approx(SECONDS / period_s, abs=2)
        assert np.diff(t_s).mean() == pytest.approx(period_s, rel=0.01)
        assert 0 < np.diff(t_s).std() < 0.001
    assert 1900 < len(frames) / SECONDS < 2100
    assert (np.diff(frames.t_ns) >= 0).all()


def test_about_half_of_the_load_is_unknown(frames: CanFrames) -> None:
    decoder = Decoder(fsd_demo().table)
    decoder.decode(frames)
    counts = decoder.counts
    assert 0.4 < counts.frames_unknown / counts.frames < 0.7
    assert counts.frames_short == 0


def test_values_stay_in_the_catalogues_range(signals: Signals) -> None:
    entries = fsd_demo().catalogue.entries
    assert set(np.unique(signals.signal).tolist()) == set(range(len(entries)))
    for row, entry in enumerate(entries):
        value = signals.value[signals.signal == row]
        assert entry.minimum <= value.min(), entry.path
        assert value.max() <= entry.maximum, entry.path


def test_one_takeover_in_the_hard_braking(world: World, signals: Signals) -> None:
    changes = world.course.modes
    taken = [t for (_, a), (t, b) in pairwise(changes) if (a, b) == (DriveMode.ASSISTED, DriveMode.MANUAL)]
    hard = next(b for b in world.blocks if b.step_out)
    assert len(taken) == 1
    assert hard.brake_s < taken[0] < hard.go_s
    t_s, engaged = _column(signals, "Vehicle.ADAS.IsAutonomyEngaged")
    assert engaged[t_s < taken[0] - 0.05][-1] == 1
    assert engaged[t_s > taken[0] + 0.05][0] == 0
