"""Boxes followed from frame to frame: equal to a plain reference, however the frames are cut into batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsd_agent.rules.triggers.detections.tracks import OWN_IDS
from fsd_agent.testing.boxes import MS, NAN, Frame, Row, Seen, followed
from fsd_firmware.samples import Kind

# ---- the reference: frame by frame, box by box, looking back over everything there was


@dataclass
class Past:
    t_ns: int
    id: int
    first_ns: int
    box: Seen
    corners: tuple[float, float, float, float]


def single(value: float) -> float:
    return float(np.float32(value))


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / whole if wide * high else 0.0


def expected(mine: list[Past], t_ns: int) -> list[float]:
    """Where a track's last box is when its centre goes on as over the last three steps."""
    last, first = mine[-1], mine[-4:][0]
    moved = [0.0, 0.0]
    if last is not first:
        share = (t_ns - last.t_ns) / (last.t_ns - first.t_ns)
        a, b = first.corners, last.corners
        moved = [((b[i] + b[i + 2]) / 2 - (a[i] + a[i + 2]) / 2) * share for i in (0, 1)]
    return [corner + moved[i % 2] for i, corner in enumerate(last.corners)]


def candidates(
    newest: dict[int, list[Past]], t_ns: int, boxes: Sequence[Seen], nameless: Sequence[int]
) -> list[tuple[float, float, int, int]]:
    persons = {Kind.PEDESTRIAN, Kind.CYCLIST}
    pairs = []
    for at in nameless:
        b = tuple(map(single, boxes[at].corners))
        for number, mine in newest.items():
            a, past = expected(mine, t_ns), mine[-1]
            if past.box.kind != boxes[at].kind and not {past.box.kind, boxes[at].kind} <= persons:
                continue
            tall, low = max(a[3] - a[1], b[3] - b[1]), min(a[3] - a[1], b[3] - b[1])
            across, down = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
            apart = across**2 + down**2
            if tall <= 2 * low and (overlap(a, b) >= 0.15 or apart <= (tall / 2) ** 2):
                pairs.append((-overlap(a, b), apart, number, at))
    return sorted(pairs)


def own_looks(history: list[Past], number: int) -> list[Past]:
    """A track's looks of the half second that ends with its last one."""
    mine = [past for past in history if past.id == number]
    return [past for past in mine if mine[-1].t_ns - past.t_ns <= 500 * MS]


def names(history: list[Past], t_ns: int, boxes: Sequence[Seen], next_id: int) -> list[int]:
    found = [box.track for box in boxes]
    for at, number in enumerate(found):
        if number in found[:at]:
            found[at] = -1
    live = {past.id for past in history if t_ns - past.t_ns <= 500 * MS} - set(found)
    newest = {number: own_looks(history, number) for number in live}
    for _, _, number, at in candidates(newest, t_ns, boxes, [at for at, one in enumerate(found) if one < 0]):
        if found[at] < 0 and number not in found:
            found[at] = number
    for at, number in enumerate(found):
        if number < 0:
            found[at], next_id = next_id, next_id + 1
    return found


def motion(mine: list[Past]) -> Row:
    """Of the last of one track's looks, all of them within half a second of it."""
    now, base = mine[-1], mine[0]
    dt = (now.t_ns - base.t_ns) / 1e9
    found = dict.fromkeys(("vx_px_s", "vy_px_s", "growth_per_s", "closing_mps", "jitter"), NAN)
    a, b = base.corners, now.corners
    if now.t_ns - base.t_ns >= 100 * MS:
        found["vx_px_s"] = ((b[0] + b[2]) / 2 - (a[0] + a[2]) / 2) / dt
        found["vy_px_s"] = (b[3] - a[3]) / dt
        found["growth_per_s"] = ((b[3] - b[1]) - (a[3] - a[1])) / dt / (a[3] - a[1])
        found["closing_mps"] = (single(base.box.distance) - single(now.box.distance)) / dt
    if len(mine) >= 3:
        c0, c1, c2 = (
            ((p.corners[0] + p.corners[2]) / 2, (p.corners[1] + p.corners[3]) / 2) for p in mine[-3:]
        )
        share = (mine[-1].t_ns - mine[-2].t_ns) / (mine[-2].t_ns - mine[-3].t_ns)
        off = [z - y - (y - x) * share for x, y, z in zip(c0, c1, c2, strict=True)]
        found["jitter"] = math.sqrt(off[0] * off[0] + off[1] * off[1]) / (b[3] - b[1])
    return found


def row_of(past: Past, moved: Row) -> Row:
    x1, y1, x2, y2 = past.corners
    given_s, far = single(past.box.ttc), single(past.box.distance)
    closing, growth, vx, vy = (moved[k] for k in ("closing_mps", "growth_per_s", "vx_px_s", "vy_px_s"))
    ttc = given_s
    if math.isnan(ttc) and closing > 0:
        ttc = far / closing
    elif math.isnan(ttc) and math.isnan(closing) and growth > 0.1:
        ttc = 1 / growth
    turned = math.degrees(math.atan2(-vy, vx)) % 360 if (vx, vy) != (0, 0) else NAN
    return moved | {
        "x1": x1, "y1": y1, "x2": x2, "y2": y2, "width_px": x2 - x1, "height_px": y2 - y1,
        "center_x": (x1 + x2) / 2000, "center_y": (y1 + y2) / 1000, "score": 0.5,
        "track_id": past.id, "dwell_s": (past.t_ns - past.first_ns) / 1e9, "distance_m": far, "ttc_s": ttc,
        "speed_px_s": math.sqrt(vx * vx + vy * vy), "lateral_heights_s": vx / (y2 - y1), "direction_deg": turned,
    }  # fmt: skip


def reference(frames: Sequence[Frame]) -> list[list[Row]]:
    history: list[Past] = []
    found: list[list[Row]] = []
    next_id = OWN_IDS
    for frame in frames:
        t_ns = frame.ms * MS
        named = names(history, t_ns, frame.boxes, next_id)
        next_id = max([next_id, *(number + 1 for number in named)])
        rows = []
        for number, box in zip(named, frame.boxes, strict=True):
            before = [past for past in history if past.id == number and t_ns - past.t_ns <= 500 * MS]
            first_ns = before[-1].first_ns if before else t_ns
            past = Past(t_ns, number, first_ns, box, tuple(map(single, box.corners)))  # type: ignore[arg-type]
            history.append(past)
            rows.append(row_of(past, motion([*before, past])))
        found.append(rows)
    return found


boxes = st.builds(
    Seen,
    x=st.integers(0, 12).map(lambda step: step * 37.3),
    y=st.sampled_from([300.0, 305.0, 330.5]),
    tall=st.sampled_from([60.0, 100.0, 130.0]),
    kind=st.sampled_from([Kind.PEDESTRIAN, Kind.CYCLIST, Kind.CAR]),
    track=st.sampled_from([-1, -1, 0, 1, 2]),
    distance=st.sampled_from([NAN, 5.0, 8.25, 20.0]),
    ttc=st.sampled_from([NAN, NAN, NAN, 1.5]),
)
frame_lists = st.lists(
    st.tuples(st.sampled_from([33, 50, 50, 100, 400, 501]), st.lists(boxes, max_size=4)), min_size=1, max_size=14
).map(lambda steps: [
    Frame(at, tuple(seen)) for at, (_, seen) in zip(np.cumsum([gap for gap, _ in steps]).tolist(), steps, strict=True)
])  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frame_lists, st.lists(st.integers(1, 8000), max_size=10))
def test_it_is_what_the_plain_reference_says_however_frames_are_cut(
    frames: list[Frame], cuts: list[int]
) -> None:
    wanted = reference(frames)
    for ends in ([10_000], [*sorted(set(cuts)), 10_000], [frame.ms + 1 for frame in frames]):
        found = followed(frames, ends)
        for mine, theirs in zip(found, wanted, strict=True):
            assert len(mine) == len(theirs)
            for row, other in zip(mine, theirs, strict=True):
                # The reference asks the C library for the angle.
                assert row.pop("direction_deg") == pytest.approx(
                    other["direction_deg"], abs=6e-4, nan_ok=True
                ) or (other["direction_deg"] > 359.999)
                np.testing.assert_equal(row, {name: other[name] for name in row})
