"""Boxes followed from frame to frame, by example: ids, motion, time to collision, and what is absurd."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from fsd_agent.rules.triggers.detections.tracks import MAX_MATCHED, OWN_IDS, Tracker
from fsd_agent.testing.boxes import CAMERAS, MS, NAN, Frame, Seen, columns, followed
from fsd_firmware.samples import Kind


def ids(frames: Sequence[Frame]) -> list[list[int]]:
    return [[int(row["track_id"]) for row in rows] for rows in followed(frames)]


def walk(ms: Sequence[int], *paths: Sequence[float], **more: object) -> list[Frame]:
    """Boxes that are at x + v * seconds, for each path (x, v)."""
    return [Frame(t, tuple(Seen(x + v * t / 1000, **more) for x, v in paths)) for t in ms]  # type: ignore[arg-type]


EVEN = range(0, 1000, 50)


def test_two_that_cross_keep_their_ids_when_one_is_nearer() -> None:
    frames = [
        Frame(t, (Seen(100 + 0.4 * t, tall=100), Seen(500 - 0.4 * t, tall=140, y=340)))
        for t in range(0, 1000, 50)
    ]
    assert ids(frames) == [[OWN_IDS, OWN_IDS + 1]] * 20
    swapped = [replace(frame, boxes=frame.boxes[::-1]) if frame.ms % 100 else frame for frame in frames]
    assert ids(swapped) == [[OWN_IDS, OWN_IDS + 1], [OWN_IDS + 1, OWN_IDS]] * 10


def test_more_overlap_wins_over_a_nearer_centre() -> None:
    around, beside = Seen(100, tall=160), Seen(120)
    assert ids([Frame(0, (around, beside)), Frame(50, (Seen(100),))]) == [[OWN_IDS, OWN_IDS + 1], [OWN_IDS]]


def test_a_track_survives_half_a_second_and_not_a_nanosecond_more() -> None:
    for gap_ms, numbers in ((500, [OWN_IDS, OWN_IDS]), (501, [OWN_IDS, OWN_IDS + 1])):
        frames = [Frame(0, (Seen(100),)), Frame(200), Frame(gap_ms, (Seen(100),))]
        assert [number for one in ids(frames) for number in one] == numbers
        (row,) = followed(frames)[2]
        assert row["dwell_s"] == (0.5 if gap_ms == 500 else 0.0)


def test_a_given_id_stays_and_one_that_comes_back_late_begins_anew() -> None:
    frames = walk([0, 50, 100, 700, 750], (100, 0), track=7)
    found = followed(frames)
    assert [row["track_id"] for rows in found for row in rows] == [7] * 5
    assert [row["dwell_s"] for rows in found for row in rows] == [0, 0.05, 0.1, 0, 0.05]


def test_a_box_without_an_id_takes_up_a_given_track_that_this_frame_does_not_name() -> None:
    there, again = Seen(100, track=7), Seen(101)
    assert ids([Frame(0, (there,)), Frame(50, (again,)), Frame(100, (there,))]) == [[7], [7], [7]]
    assert ids([Frame(0, (there,)), Frame(50, (again, there))]) == [[7], [OWN_IDS, 7]]


def test_of_two_boxes_with_one_id_the_second_is_another_thing() -> None:
    frames = walk([0, 50], (100, 0), (400, 0), track=3)
    assert ids(frames) == [[3, OWN_IDS], [3, OWN_IDS]]


def test_a_pedestrian_taken_for_a_cyclist_is_the_same_but_a_car_is_not() -> None:
    kinds = [Kind.PEDESTRIAN, Kind.CYCLIST, Kind.PEDESTRIAN, Kind.CAR]
    frames = [Frame(50 * at, (Seen(100, kind=kind),)) for at, kind in enumerate(kinds)]
    assert ids(frames) == [[OWN_IDS]] * 3 + [[OWN_IDS + 1]]


def test_streams_do_not_know_each_other() -> None:
    frames = [
        Frame(at, (Seen(100),), camera, source)
        for at in (0, 50)
        for camera, source in (("front", "firmware"), ("front", "model@1"), ("rear", "firmware"))
    ]
    found = followed(frames)[-1]
    assert [row["track_id"] for row in found] == [OWN_IDS] * 3
    assert [row["center_x"] for row in found] == [0.1, 0.1, 100 / 640]


@pytest.mark.parametrize(
    ("v", "down", "direction"),
    [
        (200, 0, 0),
        (200, -200, 45),
        (0, -200, 90),
        (-200, 0, 180),
        (-200, 200, 225),
        (0, 100, 270),
        (0, 0, NAN),
    ],
)
def test_speed_and_direction(v: float, down: float, direction: float) -> None:
    frames = [Frame(t, (Seen(300 + v * t / 1000, y=300 + down * t / 1000),)) for t in EVEN]
    early, late = followed(frames)[1][0], followed(frames)[-1][0]
    assert math.isnan(early["vx_px_s"])
    assert late["vx_px_s"] == pytest.approx(v)
    assert late["vy_px_s"] == pytest.approx(down)
    assert late["speed_px_s"] == pytest.approx(math.hypot(v, down))
    assert late["lateral_heights_s"] == pytest.approx(v / 100)
    assert late["direction_deg"] == pytest.approx(direction, abs=1e-3, nan_ok=True)


def test_what_comes_nearer_says_when_it_is_here() -> None:
    """12 m away at 6 m/s: two seconds, by distance and by growth alone, and less so by what the source says."""

    def coming(ttc: float, *, measured: bool) -> list[Frame]:
        far = [15 - 6 * t / 1000 for t in range(0, 501, 50)]
        return [
            Frame(
                50 * at, (Seen(100, tall=1700 / z, wide=680 / z, distance=z if measured else NAN, ttc=ttc),)
            )
            for at, z in enumerate(far)
        ]

    measured = followed(coming(NAN, measured=True))[-1][0]
    assert (measured["closing_mps"], measured["ttc_s"]) == (6, 2)
    grown = followed(coming(NAN, measured=False))[-1][0]
    assert math.isnan(grown["closing_mps"])
    assert grown["ttc_s"] == pytest.approx(2, rel=1e-5)
    assert followed(coming(1.25, measured=True))[-1][0]["ttc_s"] == 1.25


def test_what_stays_or_leaves_has_no_time_to_collision() -> None:
    for z_per_s in (0.0, 3.0):
        frames = [Frame(t, (Seen(100, distance=10 + z_per_s * t / 1000),)) for t in EVEN]
        assert math.isnan(followed(frames)[-1][0]["ttc_s"])
    assert math.isnan(followed(walk(EVEN, (100, 0)))[-1][0]["ttc_s"])


def test_jitter_is_what_even_motion_does_not_explain() -> None:
    even = [0, 50, 100, 180, 200]  # uneven times of an even motion
    assert [rows[0]["jitter"] for rows in followed(walk(even, (100, 250)))][2:] == pytest.approx(
        [0, 0, 0], abs=1e-5
    )
    shaken = [Frame(50 * at, (Seen(100 + 5 * (at % 2)),)) for at in range(4)]
    assert [rows[0]["jitter"] for rows in followed(shaken)][2:] == pytest.approx([0.1, 0.1])


def test_a_camera_that_nobody_described_has_no_centre() -> None:
    (row,) = followed([Frame(0, (Seen(100),), camera="roof")])[0]
    assert math.isnan(row["center_x"])
    assert math.isnan(row["center_y"])


@pytest.mark.parametrize("corner", [NAN, math.inf, -math.inf, 3e38])
def test_absurd_boxes_are_unknown_and_harm_nobody(corner: float) -> None:
    frames = [Frame(t, (Seen(corner), Seen(100, tall=0), Seen(500 + t / 10))) for t in range(0, 400, 50)]
    rows = followed(frames)[-1]
    assert math.isnan(rows[1]["lateral_heights_s"])
    assert math.isnan(rows[1]["growth_per_s"])
    assert rows[2]["vx_px_s"] == pytest.approx(100)
    assert not any(math.isinf(row[name]) for row in rows for name in ("vx_px_s", "growth_per_s", "jitter"))


def test_late_and_repeated_frames_are_left_out_and_counted() -> None:
    tracker = Tracker(CAMERAS)
    tracker.follow([columns(walk([0, 50, 100], (100, 0)))])
    assert tracker.follow([columns(walk([50, 100], (400, 0)))]) == ()
    assert tracker.late_frames == 2
    (found,) = tracker.follow([columns(walk([150, 150, 120, 200], (100, 0), (500, 0)))])
    assert tracker.late_frames == 4
    assert found.seen.frame_t_ns.tolist() == [150 * MS, 200 * MS]
    assert found.seen.frame.tolist() == [0, 0, 1, 1]
    assert found.track.tolist() == [OWN_IDS, OWN_IDS + 1] * 2


def test_a_crowd_beyond_the_bound_is_not_matched() -> None:
    crowd = [(100.0 * at, 0.0) for at in range(MAX_MATCHED + 2)]
    first, second = ids(walk([0, 50], *crowd))
    assert second[:MAX_MATCHED] == first[:MAX_MATCHED]
    assert min(second[MAX_MATCHED:]) > max(first)
