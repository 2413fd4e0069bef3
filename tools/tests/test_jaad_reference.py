"""A pedestrian crosses while the car moves: backtest of 173 real drives against a plain loop over frames and boxes.

The reference shares no code with the agent: it reads the tables as they were published, follows each track by its
id, and applies hold and cool-down with a loop. Firings must be equal to the nanosecond.

The condition. What stands still drifts outwards in the picture of a car that drives ahead, by its distance from the
middle times its growth. What is left of a box's motion across is the walking itself, in heights a second; a person of
1.7 m walks at about 0.8. How well that finds the annotated crossings is measured and has a floor here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from fsd_tools.campaign.backtest import Backtest, Source, run_backtest
from fsd_tools.data import data_dir
from fsd_tools.drive.import_jaad import load_tracks, write_clip

TRACKS = data_dir() / "jaad" / "tracks_dev.npz"
MS = 1_000_000
HOLD_NS, COOLDOWN_NS = 200 * MS, 2_000 * MS
CAMPAIGN = """
id: pedestrian_crosses_while_the_car_moves
purpose: safety
description: Somebody walks across the lane ahead of the moving car.
condition: |-
  Vehicle.FSD.EgoAction >= 1.0 && detections.exists(d,
    d.kind == "pedestrian" && d.height_px > 100.0 && d.center_x > 0.35 && d.center_x < 0.65
    && d.vx_px_s - (d.center_x - 0.5) * 1920.0 * d.growth_per_s < 1.5 * d.height_px
    && d.vx_px_s - (d.center_x - 0.5) * 1920.0 * d.growth_per_s > -1.5 * d.height_px
    && (d.vx_px_s - (d.center_x - 0.5) * 1920.0 * d.growth_per_s > 0.4 * d.height_px
        || d.vx_px_s - (d.center_x - 0.5) * 1920.0 * d.growth_per_s < -0.4 * d.height_px))
hold: 200ms
cooldown: 2s
capture: {before: 4s, after: 3s, cameras: [front]}
valid: {from: 2026-01-01, until: 2026-12-31}
"""

pytestmark = pytest.mark.skipif(not TRACKS.is_file(), reason=f"no JAAD tracks at {TRACKS}")


# ---- the reference


@dataclass(frozen=True)
class Box:
    t_ns: int
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass
class Clip:
    """One drive as published, by frame."""

    name: str
    frames: int
    width: int
    boxes: dict[int, list[tuple[int, Box]]]
    """Track and box."""
    action: dict[int, int]
    crossing: set[int]
    """Frames in which somebody is annotated as crossing."""


def t_of(frame: int) -> int:
    return frame * 1_000_000_000 // 30


@cache
def clips() -> tuple[Clip, ...]:
    with np.load(TRACKS) as file:
        about, boxes, vehicle = file["clips"], file["boxes"], file["vehicle"]
    made = tuple(
        Clip(str(one["name"]), int(one["frames"]), int(one["width"]), {}, {}, set()) for one in about
    )
    columns = ("clip", "frame", "track", "cross", "x1", "y1", "x2", "y2")
    for at, frame, track, cross, *corners in zip(*(boxes[name].tolist() for name in columns), strict=True):
        made[at].boxes.setdefault(frame, []).append((track, Box(t_of(frame), *corners)))
        if cross == 1:
            made[at].crossing.add(frame)
    for one in vehicle:
        made[one["clip"]].action[int(one["frame"])] = int(one["action"])
    return made


def walks_across(looks: list[Box], width: int) -> bool:
    """Of one track's looks of the last half second."""
    now, base = looks[-1], looks[0]
    if now.t_ns - base.t_ns < 100 * MS:
        return False
    dt = (now.t_ns - base.t_ns) / 1e9
    height, height_then = now.y2 - now.y1, base.y2 - base.y1
    vx = ((now.x1 + now.x2) / 2 - (base.x1 + base.x2) / 2) / dt
    growth = (height - height_then) / dt / height_then
    centre = (now.x1 + now.x2) / 2 / width
    own = vx - (centre - 0.5) * width * growth
    return height > 100 and 0.35 < centre < 0.65 and 0.4 * height < abs(own) < 1.5 * height


def true_at(clip: Clip) -> Iterator[tuple[int, bool]]:
    """Time of each frame, and whether the condition is true from then on."""
    tracks: dict[int, list[Box]] = {}
    action = math.nan
    for frame in range(clip.frames):
        t_ns = t_of(frame)
        if clip.action.get(frame, 255) != 255:
            action = clip.action[frame]
        found = False
        for track, box in clip.boxes.get(frame, []):
            looks = [one for one in tracks.get(track, []) if t_ns - one.t_ns <= 500 * MS]
            tracks[track] = [*looks, box]
            found = walks_across(tracks[track], clip.width) or found
        yield t_ns, found and action >= 1


def reference(clip: Clip) -> list[int]:
    fired: list[int] = []
    rise: int | None = None
    done = False
    for t_ns, true in true_at(clip):
        # What ends at this very instant is no longer true at it.
        due = None if rise is None else rise + HOLD_NS
        if due is not None and not done and (due < t_ns or (due == t_ns and true)):
            done = True
            if not fired or due - fired[-1] >= COOLDOWN_NS:
                fired.append(due)
        if not true:
            rise, done = None, False
        elif rise is None:
            rise = t_ns
    return fired


# ---- ours


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    folder = tmp_path_factory.mktemp("jaad")
    tracks = load_tracks(TRACKS)
    wall_ns = int(np.datetime64("2026-06-01", "ns").astype(np.int64))
    found = Backtest()
    # The width of the picture is part of the condition: a campaign for each line of cameras.
    for width in sorted(set(tracks.clips["width"].tolist())):
        mine = np.flatnonzero(tracks.clips["width"] == width).tolist()
        drives = [folder / f"{tracks.clips[number]['name']}.mcap" for number in mine]
        for number, path in zip(mine, drives, strict=True):
            write_clip(tracks, number, path, wall_ns)
        source = Source("crossing.yaml", CAMPAIGN.replace("1920.0", f"{width}.0"))
        some = run_backtest([source], drives, progress=lambda _: None)
        found.fired += some.fired
        found.not_run += some.not_run
        found.drives += some.drives
    return found


def by_clip(result: Backtest) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in result.fired:
        found.setdefault(Path(one.drive).stem, []).append(one.firing.t_ns)
    return found


def test_every_firing_of_173_drives_is_the_plain_loops(result: Backtest) -> None:
    assert (result.drives, result.not_run) == (173, [])
    wanted = {clip.name: fired for clip in clips() if (fired := reference(clip))}
    assert sum(map(len, wanted.values())) > 100
    assert by_clip(result) == wanted


def crossings(clip: Clip) -> list[tuple[int, int]]:
    """First and last frame of crossings while the car moves, half a second or longer; pauses below 1 s belong to it."""
    spans: list[tuple[int, int]] = []
    for frame in sorted(clip.crossing):
        if clip.action.get(frame, 0) in range(1, 5):
            if spans and frame - spans[-1][1] <= 30:
                spans[-1] = spans[-1][0], frame
            else:
                spans.append((frame, frame))
    return [(first, last) for first, last in spans if last - first >= 15]


def test_the_firings_are_mostly_annotated_crossings(result: Backtest) -> None:
    """Right: during a crossing, or less than a second before it. Half of the others are people of whom nobody said."""
    ours = by_clip(result)
    right = fired = found = there = 0
    for clip in clips():
        times = ours.get(clip.name, [])
        spans = [(t_of(max(first - 30, 0)), t_of(last)) for first, last in crossings(clip)]
        right += sum(any(first <= t_ns <= last for first, last in spans) for t_ns in times)
        found += sum(any(first <= t_ns <= last for t_ns in times) for first, last in spans)
        fired, there = fired + len(times), there + len(spans)
    print(f"right {right} of {fired}, found {found} of {there}")
    assert right >= 0.8 * fired
    assert found >= 0.75 * there
