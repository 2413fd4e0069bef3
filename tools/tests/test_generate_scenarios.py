"""Scenarios: their drives say what their scripts say, without pictures, always the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fsd_firmware.can.decoder import Decoder
from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.samples import PERSON_KINDS, DriveMode, Kind
from fsd_tools.drive.generate.camera import lens_of
from fsd_tools.drive.generate.drive import START_NS, generate_drive
from fsd_tools.drive.generate.extras import make_actors
from fsd_tools.drive.generate.options import GenerateOptions, default_seconds
from fsd_tools.drive.generate.render import Renderer
from fsd_tools.drive.generate.scenarios import SCENARIOS
from fsd_tools.drive.generate.truth import TrueBox, true_looks
from fsd_tools.drive.generate.world import make_world
from fsd_tools.drive.vehicles import DEMO_CAMERAS
from fsd_tools.errors import ToolError
from fsd_tools.main import main


def options(name: str, **more: object) -> GenerateOptions:
    chosen = GenerateOptions(seconds=default_seconds(name), scenario=name, video=False)
    return replace(chosen, **more)  # type: ignore[arg-type]  # the tests name fields of several types


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        generate_drive(tmp_path / name, options("near_miss"))
    generate_drive(tmp_path / "c", options("near_miss", seed=2))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


def test_pictures_change_nothing_but_the_pictures(tmp_path: Path) -> None:
    small = {"seconds": 2.0, "width": 128, "height": 96, "fps": 10.0}
    generate_drive(tmp_path / "with", options("tunnel_with_vru", video=True, **small))
    generate_drive(tmp_path / "without", options("tunnel_with_vru", **small))
    seen, heard = [], []
    for name in ("with", "without"):
        batches = list(DriveReader(tmp_path / name).chunks())
        looks = [d for b in batches for d in b.detections]
        seen.append([b"".join(d.box.tobytes() for d in looks if d.camera == one) for one in DEMO_CAMERAS])
        heard.append(b"".join(b.can.data.tobytes() for b in batches))
        cameras = [p.camera for b in batches for p in b.packets]
        assert sorted(cameras) == (["front"] * 20 + ["narrow"] * 20 if name == "with" else [])
    assert seen[0] == seen[1]
    assert all(seen[0])
    assert heard[0] == heard[1]


def test_boxes_without_pictures_are_about_those_that_are_drawn() -> None:
    world = make_world(options("crowd_at_crossing"))
    actors = make_actors(world)
    for camera in ("front", "narrow"):
        lens = lens_of(camera, 1280, 960)
        renderer = Renderer(world, actors, lens)
        for t_s in (3.0, 10.0):
            plain = {box.actor: box for box in true_looks(world, actors, lens, np.array([t_s]))[0]}
            drawn = [box for box in renderer.truth(t_s) if box.kind in PERSON_KINDS and _whole(box)]
            assert len(drawn) > 3
            for box in drawn:
                same = plain[box.actor]
                assert same.kind is box.kind
                assert same.distance_m == pytest.approx(box.distance_m, abs=1e-6)
                tall = box.box[3] - box.box[1]
                assert np.abs(np.array(same.box) - box.box).max() < 3 + 0.12 * tall


def _whole(box: TrueBox) -> bool:
    """Drawn with its limbs, and not cut by the picture's edges."""
    x1, y1, x2, y2 = box.box
    return y2 - y1 > 30 and box.distance_m > 8 and x1 > 0 and y1 > 0 and x2 < 1280 and y2 < 960


def test_time_to_collision_is_that_of_the_scene() -> None:
    world = make_world(options("near_miss"))
    actors = make_actors(world)
    t_s = np.arange(0, 18, 0.1)
    looks = true_looks(world, actors, lens_of("front", 1280, 960), t_s)
    ahead = next(actor for actor in actors if actor.kind is Kind.CYCLIST and actor.path.d_m[-1] == -2.0)
    ttc = {
        t: box.ttc_s
        for t, look in zip(t_s.tolist(), looks, strict=True)
        for box in look
        if box.actor == ahead.number and box.ttc_s is not None
    }
    # The car closes in at 8 m/s from about 10 m: more than a second, less than one and a half.
    assert 0.9 < min(ttc.values()) < 1.4
    assert 10.2 < min(ttc, key=ttc.__getitem__) < 12.0


def test_what_the_computer_misses_is_not_reported(tmp_path: Path) -> None:
    generate_drive(tmp_path / "d", options("late_detection"))
    reader = DriveReader(tmp_path / "d")
    near = [
        (int(d.frame_t_ns[frame]) - START_NS) / 1e9
        for batch in reader.chunks()
        for d in batch.detections
        if d.camera == "front"
        for frame, kind, metres, box in zip(d.frame, d.kind, d.distance_m, d.box, strict=True)
        if kind == Kind.PEDESTRIAN and metres < 15 and 0.5 < (box[0] + box[2]) / 2560 < 0.75 and metres > 8
    ]
    first = [t for t in near if 9.0 < t < 11.5]
    assert first
    assert min(first) == pytest.approx(10.4, abs=0.15)


def test_the_bus_says_what_the_course_says(tmp_path: Path) -> None:
    found = {}
    for name in ("tunnel_with_vru", "driver_takes_over", "planner_driver_disagreement"):
        generate_drive(tmp_path / name, options(name))
        reader = DriveReader(tmp_path / name)
        batches = list(reader.chunks())
        table = reader.description.signal_table
        assert table is not None
        decoder, rows = Decoder(table), reader.description.catalogue.rows
        decoded = [decoder.decode(b.can) for b in batches]
        for path in (
            "Vehicle.Exterior.LightIntensity",
            "Vehicle.CurrentLocation.GNSSReceiver.FixType",
            "Vehicle.FSD.SteeringWheel.HandTorque",
            "Vehicle.FSD.Planner.Acceleration",
            "Vehicle.Acceleration.Longitudinal",
        ):
            t = np.concatenate([(s.t_ns[s.signal == rows[path]] - START_NS) / 1e9 for s in decoded])
            value = np.concatenate([s.value[s.signal == rows[path]] for s in decoded])
            found[name, path.rsplit(".", 1)[1]] = lambda at, t=t, v=value: v[np.searchsorted(t, at) - 1]
        found[name, "modes"] = [m.mode for b in batches for m in b.modes]
        found[name, "fixes"] = np.concatenate([(b.gnss.t_ns - START_NS) / 1e9 for b in batches])
    tunnel = "tunnel_with_vru"
    assert found[tunnel, "LightIntensity"](5) > 70
    assert found[tunnel, "LightIntensity"](12) < 20
    assert [found[tunnel, "FixType"](at) for at in (5, 12, 18)] == [5, 0, 5]
    fixes = found[tunnel, "fixes"]
    assert not ((fixes > 6.9) & (fixes < 16.3)).any()
    assert (fixes > 16.5).any()
    assert found["driver_takes_over", "HandTorque"](9.3) > 4
    assert found["driver_takes_over", "modes"] == [
        DriveMode.MANUAL, DriveMode.ASSISTED, DriveMode.MANUAL, DriveMode.ASSISTED, DriveMode.MANUAL,
    ]  # fmt: skip
    planner = "planner_driver_disagreement"
    assert found[planner, "Acceleration"](11.5) - found[planner, "Longitudinal"](11.5) == pytest.approx(
        -3.8, abs=0.1
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_nobody_is_run_over(name: str) -> None:
    world = make_world(options(name))
    everyone = make_actors(world)
    for t in np.arange(0, default_seconds(name), 0.05).tolist():
        ego_s, ego_d = (float(world.motion.at(c, t)) for c in (world.motion.s_m, world.motion.d_m))
        for actor in everyone:
            if actor.kind in {Kind.PEDESTRIAN, Kind.CYCLIST} and actor.alive_s[0] <= t <= actor.alive_s[1]:
                s, d = actor.path.at(t)
                assert not (-3 < s - ego_s < 2.2 and abs(d - ego_d) < 1.2), (t, actor.kind, s - ego_s)


def test_the_command_takes_a_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "d.mcap"
    assert main(["drive", "generate", "-o", str(path), "--scenario", "night_vru", "--without-video"]) == 0
    assert "16 s" in capsys.readouterr().out
    assert main(["drive", "generate", "-o", str(path), "--scenario", "nigth_vru"]) == 2
    assert "--scenario nigth_vru: one of child_height" in capsys.readouterr().err
    with pytest.raises(ToolError, match="--scenario"):
        GenerateOptions(scenario="x")
