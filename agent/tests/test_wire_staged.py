"""Staged parts come back as they were written, refuse damage by name, and join without doubles."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.rules.capture.ring import Ring
from fsd_agent.testing.streams import CATALOGUE, plain, row, stream
from fsd_agent.wire.staged import StagedPartError, assemble, decode_part, encode_part
from fsd_firmware.catalogue import Catalogue

PATHS = tuple(entry.path for entry in CATALOGUE.entries)


def ring_of(seed: int, catalogue: Catalogue = CATALOGUE) -> Ring:
    ring = Ring(catalogue, horizon_ns=1 << 40, max_bytes=1 << 40)
    ring.append(*stream(seed).batch(0, 120))
    return ring


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 50), start=st.integers(0, 119), length=st.integers(0, 60))
def test_a_part_comes_back_as_it_was_written(seed: int, start: int, length: int) -> None:
    part = ring_of(seed).window(start, start + length, ("front", "rear"), PATHS)
    back = decode_part(encode_part(part))
    assert plain(back) == plain(part)
    assert back.signals.value.dtype == part.signals.value.dtype


def test_a_part_of_before_the_time_to_collision_has_none() -> None:
    raw = msgspec.msgpack.decode(encode_part(ring_of(0).window(0, 50, ("front",), PATHS)))
    for one in raw["detections"]:
        del one["ttc_s"]
    (seen,) = decode_part(msgspec.msgpack.encode(raw)).detections
    assert len(seen) > 0
    assert np.isnan(seen.ttc_s).all()
    assert seen.ttc_s.shape == seen.distance_m.shape


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 5),
    pieces=st.lists(st.tuples(st.integers(0, 110), st.integers(1, 60)), max_size=6),
    start=st.integers(20, 60),
    length=st.integers(1, 50),
)
def test_overlapping_parts_join_to_the_one_window(
    seed: int, pieces: list[tuple[int, int]], start: int, length: int
) -> None:
    ring = ring_of(seed)
    clip_row = row(start, start + length, cameras=("front", "rear"), signals=PATHS[:3])
    whole = ring.window(start, start + length, clip_row.cameras, clip_row.signals)
    parts = [ring.window(at, at + more, ("front", "rear"), PATHS[1:]) for at, more in pieces]
    joined = assemble([whole, *parts], clip_row, ())
    assert plain(joined) == plain(assemble([whole], clip_row, ()))  # type: ignore[arg-type]  # same fields


def test_a_clip_holds_only_the_rows_cameras_and_signals() -> None:
    part = ring_of(0).window(10, 50, ("front", "rear"), PATHS)
    clip = assemble([part], row(20, 40, cameras=("rear",), signals=(PATHS[2], "Vehicle.Unknown")), ())
    assert {packet.camera for packet in clip.packets} == {"rear"}
    assert {one.camera for one in clip.detections} == {"rear"}
    assert [entry.path for entry in clip.catalogue] == [PATHS[2]]
    assert set(clip.signals.signal.tolist()) == {0}
    assert clip.packets[0].keyframe
    assert clip.packets[0].t_ns <= 20 < clip.packets[-1].t_ns < 40


def test_two_declarations_of_one_signal_are_refused() -> None:
    other = Catalogue(tuple(e for e in CATALOGUE.entries[1:]))
    changed = Catalogue(
        (type(CATALOGUE.entries[0])(PATHS[0], "double", "km/h", 0, 1, "now in km/h"), *other.entries)
    )
    parts = [ring_of(0, one).window(0, 50, (), PATHS) for one in (CATALOGUE, changed)]
    with pytest.raises(StagedPartError, match=r"Vehicle\.S0 is declared in two ways"):
        assemble(parts, row(0, 50, signals=PATHS), ())


def damaged(**changes: object) -> bytes:
    raw = msgspec.msgpack.decode(encode_part(ring_of(0).window(0, 50, ("front",), PATHS)))
    for name, value in changes.items():
        if value is None:
            del raw[name]
        else:
            raw[name] = value
    return msgspec.msgpack.encode(raw)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated"),
        (b"\x00" * 40, "Expected `object`"),
        (b"\x81\xa1\xff\x01", "'utf-8' codec"),
        (damaged(v=2), "v: 2, this reader knows 1"),
        (damaged(packets=None), "missing required field `packets`"),
        (damaged(extra=1), "unknown field `extra`"),
        (damaged(signal=b"\x01\x00\x00"), "signal: 3 bytes"),
        (damaged(signal_value=b""), "signal_value: 0 bytes"),
        (damaged(catalogue=[]), "signal: index outside its table of 0"),
        (damaged(modes=[[5, 77]]), "modes: 77 is not a valid DriveMode"),
        (
            damaged(packets=[["front", 1, "av1", 1, b""]]),
            r"Expected `bool`, got `int` - at `\$.packets\[0\]\[3\]`",
        ),
    ],
)
def test_damage_is_named(data: bytes, message: str) -> None:
    with pytest.raises(StagedPartError, match=message):
        decode_part(data)
