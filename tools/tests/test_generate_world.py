"""The story of a generated drive, and that its boxes are where its pixels are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fsd_firmware.samples import Kind
from fsd_tools.drive.generate.actors import CORRIDOR_M
from fsd_tools.drive.generate.options import Daylight, GenerateOptions
from fsd_tools.drive.generate.render import Renderer
from fsd_tools.drive.generate.world import World, make_world
from fsd_tools.errors import ToolError

SMALL = GenerateOptions(seconds=20, width=320, height=240)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SMALL)


@pytest.fixture(scope="module")
def renderer(world: World) -> Renderer:
    return Renderer(world)


@pytest.mark.parametrize("seed", [1, 2, 9])
def test_every_block_has_a_pedestrian_ahead_and_a_close_cyclist(seed: int) -> None:
    renderer = Renderer(make_world(GenerateOptions(seconds=20, seed=seed, width=320, height=240)))
    seen = [box for t in np.arange(0, 20, 0.1).tolist() for box in renderer.truth(t)]
    for block in (0, 1):
        mine = [box for box in seen if box.block == block]
        in_path = [
            box
            for box in mine
            if box.kind is Kind.PEDESTRIAN
            and abs(box.left_m) < CORRIDOR_M
            and box.distance_m < 20
            and box.hidden < 0.3
        ]
        assert len(in_path) >= 8, "at least 0.8 s in the path within 20 m"
        passed = [box for box in mine if box.kind is Kind.CYCLIST and box.distance_m < 6]
        assert len(passed) >= 2
        assert all(-3.0 < box.left_m < -1.2 for box in passed), "to the right, and near"


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_nobody_is_run_over(seed: int) -> None:
    world = make_world(GenerateOptions(seconds=30, seed=seed, width=320, height=240))
    renderer = Renderer(world)
    for t in np.arange(0, 30, 0.05).tolist():
        ego_s, ego_d = (float(world.motion.at(c, t)) for c in (world.motion.s_m, world.motion.d_m))
        for actor in renderer.actors:
            if actor.kind in {Kind.PEDESTRIAN, Kind.CYCLIST} and actor.alive_s[0] <= t <= actor.alive_s[1]:
                s, d = actor.path.at(t)
                assert not (-3 < s - ego_s < 2.2 and abs(d - ego_d) < 1.2), (t, actor.kind, s - ego_s)


def test_the_ego_vehicle_brakes_gently_at_the_zebra_and_hard_for_a_step_out(world: World) -> None:
    motion = world.motion
    for block in world.blocks:
        during = (motion.t_s > block.brake_s) & (motion.t_s < block.go_s)
        hardest = float(motion.accel_mps2[during].min())
        assert hardest == pytest.approx(-block.deceleration_mps2, rel=0.05)
    assert motion.speed_mps.min() > 0
    assert np.abs(motion.d_m).max() < 3.5


def test_speed_is_the_derivative_of_the_way(world: World) -> None:
    motion = world.motion
    place = world.road.place(motion.s_m, motion.d_m)
    covered = np.hypot(*np.diff(place, axis=0).T).sum()
    assert covered == pytest.approx(float(np.trapezoid(motion.speed_mps, motion.t_s)), rel=0.02)
    turned = float(motion.heading_rad[-1] - motion.heading_rad[0])
    assert float(np.trapezoid(motion.yaw_rate_radps, motion.t_s)) == pytest.approx(turned, abs=0.02)


@pytest.mark.parametrize("t_s", [3.0, 6.6, 12.9, 16.4])
def test_a_box_holds_what_is_drawn_and_little_else(world: World, renderer: Renderer, t_s: float) -> None:
    """Leave one actor out of the scene: what changes in the picture is inside its box and fills it."""
    quiet = make_world(GenerateOptions(seconds=20, width=320, height=240, daylight=Daylight.DAY))
    whole = Renderer(quiet)
    picture, truth = whole.frame(t_s)
    for box in [b for b in truth if b.hidden < 0.05 and b.box[3] - b.box[1] > 24][:6]:
        without = Renderer(quiet, tuple(a for a in whole.actors if a.number != box.actor))
        changed = np.argwhere(np.abs(picture.astype(int) - without.frame(t_s)[0]).max(axis=2) > 24)
        x1, y1, x2, y2 = box.box
        wide, tall = x2 - x1, y2 - y1
        inside = (
            (changed[:, 1] >= x1 - 2)
            & (changed[:, 1] <= x2 + 2)
            & (changed[:, 0] >= y1 - 2)
            & (changed[:, 0] <= y2 + 2)
        )
        shadow = (changed[:, 0] > y1 + 0.75 * tall) & (np.abs(changed[:, 1] - (x1 + x2) / 2) < wide + 6)
        assert (inside | shadow).all(), box
        drawn = changed[inside]
        assert drawn.shape[0] > 0.25 * wide * tall, box
        assert math.isclose(drawn[:, 0].min(), y1, abs_tol=4 + 0.05 * tall)
        assert math.isclose(drawn[:, 1].min(), x1, abs_tol=4 + 0.12 * wide)
        assert math.isclose(drawn[:, 1].max(), x2, abs_tol=4 + 0.12 * wide)


def test_distances_follow_from_the_world(world: World, renderer: Renderer) -> None:
    t_s = 5.0
    ego = world.road.place(world.motion.at(world.motion.s_m, t_s), world.motion.at(world.motion.d_m, t_s))
    for box in renderer.truth(t_s):
        place = world.road.place(*renderer.actors[box.actor].path.at(t_s))
        assert box.distance_m == pytest.approx(float(np.hypot(*(place - ego))), abs=1e-6)


def test_night_is_darker_and_both_begins_by_day() -> None:
    def brightness(daylight: Daylight, t_s: float) -> float:
        options = GenerateOptions(seconds=20, width=160, height=120, daylight=daylight)
        return float(Renderer(make_world(options)).frame(t_s)[0].mean())

    day, night = brightness(Daylight.DAY, 14.0), brightness(Daylight.NIGHT, 14.0)
    assert night < 0.7 * day
    assert brightness(Daylight.BOTH, 14.0) == night
    assert brightness(Daylight.BOTH, 4.0) == brightness(Daylight.DAY, 4.0)


@pytest.mark.parametrize("bad", [{"seconds": 0.5}, {"width": 161}, {"height": 40}, {"fps": 0}, {"seed": -1}])
def test_options_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ToolError, match="--"):
        GenerateOptions(**bad)  # type: ignore[arg-type]  # the table mixes numbers of both kinds
