"""A window of the ring does not depend on batches, begins at key frames, and knows the values at its start."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.rules.capture.ring import Ring
from fsd_agent.testing.streams import CATALOGUE, Stream, plain, stream
from fsd_agent.testing.streams import row as clip_row
from fsd_agent.wire.staged import assemble, decode_part, encode_part

PATHS = tuple(entry.path for entry in CATALOGUE.entries)
EVERYTHING = 1 << 40


def fill(source: Stream, cuts: list[int], *, until: int, horizon: int, max_bytes: int = EVERYTHING) -> Ring:
    ring = Ring(CATALOGUE, horizon_ns=horizon, max_bytes=max_bytes)
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < until}), until]
    for start, end in pairwise(edges):
        ring.append(*source.batch(start, end))
    return ring


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 5),
    cuts=st.lists(st.integers(1, 119), max_size=60),
    until=st.integers(60, 120),
    back=st.integers(1, 50),
    length=st.integers(1, 60),
    lead_in=st.booleans(),
)
def test_any_cutting_into_batches_gives_the_same_window(
    seed: int, cuts: list[int], until: int, back: int, length: int, lead_in: bool
) -> None:
    source = stream(seed)
    start, end = until - back, min(until, until - back + length)
    whole = fill(source, [], until=until, horizon=EVERYTHING)
    cut = fill(source, cuts, until=until, horizon=50)
    asked = (start, end, ("front", "rear"), (PATHS[2], PATHS[0], PATHS[3]))
    assert plain(cut.window(*asked, lead_in=lead_in)) == plain(whole.window(*asked, lead_in=lead_in))
    assert cut.dropped.samples == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 5), cuts=st.lists(st.integers(1, 119), max_size=40), before=st.integers(0, 30))
def test_staging_piece_by_piece_gives_the_clip_that_one_window_gives(
    seed: int, cuts: list[int], before: int
) -> None:
    source, fired, end = stream(seed), 60, 100
    row = clip_row(fired - before, end, cameras=("rear", "front"), signals=(PATHS[3], PATHS[1]))
    whole = fill(source, [], until=120, horizon=EVERYTHING)
    wanted = assemble([whole.window(row.start_ns, end, row.cameras, row.signals)], row, ())
    ring = fill(source, cuts, until=fired, horizon=100)
    parts = [ring.window(row.start_ns, fired, row.cameras, row.signals)]
    staged = fired
    for until in [*sorted(cut for cut in set(cuts) if cut > fired), 120]:
        ring.append(*source.batch(staged, until))
        parts.append(ring.window(staged, min(until, end), row.cameras, row.signals, lead_in=False))
        staged = until
    clip = assemble([decode_part(encode_part(part)) for part in parts], row, ())
    assert plain_clip(clip) == plain_clip(wanted)


def test_a_camera_that_fell_silent_is_forgotten() -> None:
    source = stream(0)
    silent = tuple(p for p in source.packets if p.camera == "front" or p.t_ns < 50)
    ring = fill(replace(source, packets=silent), list(range(1, 120)), until=120, horizon=30)
    assert ring.window(0, 120, ("rear",), ()).packets == ()
    assert ring.window(100, 120, ("front",), ()).packets[0].keyframe


def plain_clip(clip: object) -> object:
    return plain(clip)  # type: ignore[arg-type]  # a clip has a part's fields


def test_a_window_begins_at_the_last_key_frame_before_it() -> None:
    ring = fill(stream(0), [], until=120, horizon=EVERYTHING)
    part = ring.window(40, 50, ("front",), ())
    assert (part.packets[0].t_ns, part.packets[0].keyframe) == (28, True)  # even times, every seventh
    assert [p.t_ns for p in part.packets] == list(range(28, 50, 2))
    assert part.detections[0].frame_t_ns[0] == 30  # the looks at the lead-in come along
    exact = ring.window(40, 50, ("front",), (), lead_in=False)
    assert [p.t_ns for p in exact.packets] == list(range(40, 50, 2))


def test_packets_that_no_key_frame_precedes_are_counted() -> None:
    ring = fill(stream(0), [], until=120, horizon=EVERYTHING)
    rear = ring.window(0, 120, ("rear",), ()).packets
    assert rear[0].keyframe
    assert rear[0].t_ns == 4
    assert ring.dropped.packets == 1


def test_the_value_at_the_start_outlives_the_horizon() -> None:
    source = stream(1)
    ring = fill(source, list(range(1, 120)), until=120, horizon=10)
    part = ring.window(115, 120, (), (PATHS[3],))
    assert part.signals.t_ns.tolist() == [source.signals.t_ns[1]]
    assert part.signals.value.tolist() == [source.signals.value[1]]
    assert part.modes[0].t_ns == 100


def test_what_exceeds_the_bytes_goes_oldest_first_and_is_counted() -> None:
    source = stream(2)
    full = fill(source, list(range(1, 120)), until=120, horizon=EVERYTHING)
    small = fill(source, list(range(1, 120)), until=120, horizon=EVERYTHING, max_bytes=full.size_bytes // 2)
    assert small.size_bytes <= full.size_bytes // 2
    assert small.dropped.packets > 0
    assert small.dropped.samples > 0
    assert small.dropped.looks > 0
    rest = small.window(0, 120, ("front", "rear"), PATHS)
    for camera in ("front", "rear"):
        own = [p for p in rest.packets if p.camera == camera]
        assert own[0].keyframe
        assert own == [p for p in source.packets if p.camera == camera and p.t_ns >= own[0].t_ns]
    assert plain(small.window(110, 120, ("front",), PATHS)) == plain(full.window(110, 120, ("front",), PATHS))


def test_a_ring_too_small_for_one_group_of_pictures_holds_nothing_undecodable() -> None:
    ring = fill(stream(3), list(range(1, 120)), until=120, horizon=EVERYTHING, max_bytes=300)
    assert ring.size_bytes <= 300
    packets = ring.window(0, 120, ("front",), ()).packets
    assert not packets or packets[0].keyframe


def test_a_path_that_the_catalogue_does_not_have_is_named() -> None:
    ring = fill(stream(0), [], until=120, horizon=EVERYTHING)
    with pytest.raises(KeyError, match=r"Vehicle\.Nothing"):
        ring.window(0, 10, (), ("Vehicle.Nothing",))


def test_an_empty_ring_gives_an_empty_part() -> None:
    part = Ring(CATALOGUE, horizon_ns=10, max_bytes=10).window(0, 10, ("front",), PATHS)
    assert (part.packets, part.detections, part.modes) == ((), (), ())
    assert part.signals.value.dtype == np.float64
    assert len(part.signals) == len(part.gnss) == 0
