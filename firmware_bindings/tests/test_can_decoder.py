"""The decoder against a bit-by-bit reading of the same frames in plain Python."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_firmware.can.build import Field, build_table, first_network_bit, needed_bytes
from fsd_firmware.can.decoder import DecodeCounts, Decoder
from fsd_firmware.can.one import MIN_FRAMES
from fsd_firmware.can.small import MAX_FRAMES
from fsd_firmware.can.words import CHUNK_FRAMES
from fsd_firmware.can_frames import CAN_EFF_FLAG, CanFrames, empty_can
from fsd_firmware.drive.columns import join, rows


def _frames(rows: list[tuple[int, int, bytes]], width: int = 8) -> CanFrames:
    padded = b"".join(data.ljust(width, b"\0") for _, _, data in rows)
    return CanFrames(
        np.arange(len(rows), dtype=np.int64) * 1_000_000,
        np.array([bus for bus, _, _ in rows], np.uint8),
        np.array([can_id for _, can_id, _ in rows], np.uint32),
        np.array([len(data) for _, _, data in rows], np.uint8),
        np.frombuffer(padded, np.uint8).reshape(-1, width),
    )


def _slow(field: Field, data: bytes) -> float:
    before = first_network_bit(field.start, big_endian=field.big_endian)
    padded = data.ljust(64, b"\0")
    if field.big_endian:
        raw = int.from_bytes(padded, "big") >> (512 - before - field.length)
    else:
        raw = int.from_bytes(padded, "little") >> before
    raw &= (1 << field.length) - 1
    if field.is_float:
        (number,) = struct.unpack(
            *((">f", raw.to_bytes(4)) if field.length == 32 else (">d", raw.to_bytes(8)))
        )
        return float(number if (field.scale, field.offset) == (1, 0) else number * field.scale + field.offset)
    if field.signed and raw >> (field.length - 1):
        raw -= 1 << field.length
    if field.integer_scale and field.offset.is_integer():
        return float(raw * int(field.scale) + int(field.offset))
    return float(raw * int(field.scale) if field.integer_scale else float(raw) * field.scale) + field.offset


@st.composite
def _field(draw: st.DrawFn) -> Field:
    is_float = draw(st.booleans()) and draw(st.booleans())
    length = draw(st.sampled_from([32, 64])) if is_float else draw(st.integers(1, 64))
    big = draw(st.booleans())
    before = draw(st.integers(0, draw(st.sampled_from([64, 512])) - length))
    start = 8 * (before // 8) + 7 - before % 8 if big else before
    scale, offset = draw(
        st.sampled_from([(1.0, 0.0), (0.01, -40.0), (-0.125, 3.3), (3.0, -7.0), (-5.0, 0.25), (1e-300, 0.0)])
    )
    return Field(
        draw(st.integers(0, 2)),
        draw(st.integers(1, 3)),
        start,
        length,
        big,
        not is_float and draw(st.booleans()),
        scale,
        offset,
        is_float=is_float,
        integer_scale=not is_float and scale.is_integer() and draw(st.booleans()),
    )


def _same(a: float, b: float) -> bool:
    return math.isnan(a) and math.isnan(b) if math.isnan(a) else struct.pack("<d", a) == struct.pack("<d", b)


@settings(max_examples=150, deadline=None)
@given(
    fields=st.lists(_field(), min_size=1, max_size=12),
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.binary(max_size=64)), max_size=30),
    width=st.sampled_from([8, 64]),
)
def test_equals_a_plain_reading(fields: list[Field], rows: list[tuple[int, int, bytes]], width: int) -> None:
    numbered = [replace(f, catalogue_row=i) for i, f in enumerate(fields)]
    rows = [(bus, can_id, data[:width]) for bus, can_id, data in rows]
    decoder = Decoder(build_table(numbered))
    got = decoder.decode(_frames(rows, width))
    wanted: list[tuple[int, int, float]] = []
    short = 0
    for i, (bus, can_id, data) in enumerate(rows):
        mine = [f for f in numbered if (f.bus, f.can_id) == (bus, can_id)]
        held = [f for f in mine if needed_bytes(f.start, f.length, big_endian=f.big_endian) <= len(data)]
        short += len(held) < len(mine)
        wanted += [(i * 1_000_000, f.catalogue_row, _slow(f, data)) for f in held]
    assert list(zip(got.t_ns.tolist(), got.signal.tolist(), strict=True)) == [w[:2] for w in wanted]
    assert all(_same(a, w[2]) for a, w in zip(got.value.tolist(), wanted, strict=True))
    known = {(f.bus, f.can_id) for f in numbered}
    unknown = sum((bus, can_id) not in known for bus, can_id, _ in rows)
    assert decoder.counts == DecodeCounts(len(rows), unknown, short, samples=len(wanted))


@settings(max_examples=40, deadline=None)
@given(
    fields=st.lists(_field(), min_size=1, max_size=6),
    n=st.integers(1, 400),
    ids=st.integers(1, 4),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    seed=st.integers(0, 1 << 32),
)
def test_the_cut_into_batches_does_not_matter(
    fields: list[Field], n: int, ids: int, cuts: list[int], seed: int
) -> None:
    """Also not whether a batch happens to hold one message alone, which is decoded another way."""
    table = build_table([replace(f, catalogue_row=i) for i, f in enumerate(fields)])
    rng = np.random.default_rng(seed)
    frames = _frames([(0, int(rng.integers(1, ids + 1)), rng.bytes(8)) for _ in range(n)])
    whole, pieces = Decoder(table), Decoder(table)
    once = whole.decode(frames)
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    again = join([pieces.decode(rows(frames, low, high)) for low, high in pairwise(edges)])
    for a, b in ((once.t_ns, again.t_ns), (once.signal, again.signal), (once.value, again.value)):
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    assert whole.counts == pieces.counts


NESTED = [
    Field(0, 5, 0, 4, False, False, 1, 0),
    Field(0, 5, 8, 4, False, False, 1, 0, selector=0, mux_values=(2,)),
    Field(0, 5, 16, 8, False, False, 1, 0, catalogue_row=0, selector=1, mux_values=(7, 9)),
    Field(0, 5, 16, 8, False, False, 1, 0, catalogue_row=1, selector=0, mux_values=(3,)),
    Field(0, 5, 4, 4, False, False, 1, 0, catalogue_row=2),
]


def _nested() -> Decoder:
    return Decoder(build_table(NESTED))


@st.composite
def _few(draw: st.DrawFn, width: int) -> CanFrames:
    """A batch for the small path, or one that it leaves: ids 1 to 5, and 6, which no table has."""
    n = draw(st.integers(1, MAX_FRAMES))
    seed = draw(st.integers(0, 1 << 32))
    rng = np.random.default_rng(seed)
    data = draw(st.sampled_from([b"\0" * width, b"\xff" * width, b"\x80" + b"\0" * (width - 1), None]))
    texts = [data or rng.bytes(width) for _ in range(n)]
    frames = _frames([(int(rng.integers(2)), int(rng.integers(1, 7)), text) for text in texts], width)
    at = draw(st.integers(0, n - 1))
    if draw(st.integers(0, 3)) == 0:
        frames.length[at] = draw(st.integers(0, width + 2))
    if draw(st.integers(0, 3)) == 0:
        frames.t_ns[at] = draw(st.sampled_from([-(1 << 62), 0, 1 << 62]))
    return frames


@settings(max_examples=150, deadline=None)
@given(
    fields=st.lists(_field(), min_size=1, max_size=10),
    multiplexed=st.booleans(),
    batches=st.sampled_from([8, 64]).flatmap(lambda width: st.lists(_few(width), min_size=1, max_size=4)),
)
def test_few_frames_are_decoded_as_among_many(
    fields: list[Field], multiplexed: bool, batches: list[CanFrames]
) -> None:
    """Followed by frames that nobody knows, a batch is too long for the small path; nothing else may change."""
    numbered = [replace(f, catalogue_row=i) for i, f in enumerate(fields, 3)]
    table = build_table([*NESTED, *numbered] if multiplexed else numbered)
    few, many = Decoder(table), Decoder(table)
    for batch in batches:
        unknown = _frames([(3, 9, bytes(batch.data.shape[1]))] * (MAX_FRAMES + 1), batch.data.shape[1])
        unknown.t_ns[:] = (1 << 62) + 1
        got, wanted = few.decode(batch), many.decode(join([batch, unknown]))
        for a, b in ((got.t_ns, wanted.t_ns), (got.signal, wanted.signal), (got.value, wanted.value)):
            assert (a.dtype, a.tobytes()) == (b.dtype, b.tobytes())
    added = len(batches) * (MAX_FRAMES + 1)
    counts = few.counts
    assert many.counts == replace(
        counts, frames=counts.frames + added, frames_unknown=counts.frames_unknown + added
    )


def test_runs_of_one_message_may_change_and_grow() -> None:
    table = build_table(
        [
            Field(0, can_id, start, 8, can_id == 5, start == 8, 0.5, row, catalogue_row=row)
            for row, (can_id, start) in enumerate([(5, 7), (5, 15), (5, 23), (6, 8), (6, 56)])
        ]
    )
    decoder = Decoder(table)
    for n, can_id in ((MIN_FRAMES, 5), (3 * MIN_FRAMES, 5), (MIN_FRAMES, 6), (2 * MIN_FRAMES, 5)):
        batch = _frames([(0, can_id, bytes([i % 256] * 8)) for i in range(n)])
        got = decoder.decode(batch)
        parts = [Decoder(table).decode(rows(batch, at, at + 1)) for at in range(n)]
        wanted = join(parts)
        for a, b in ((got.t_ns, wanted.t_ns), (got.signal, wanted.signal), (got.value, wanted.value)):
            assert (a.dtype, a.tobytes()) == (b.dtype, b.tobytes())


def test_a_negative_zero_keeps_its_sign_on_every_path() -> None:
    scales = [(-1.0, 0.0), (-1.0, -0.0), (1.0, -0.0), (0.0, -0.0), (-0.0, 0.0), (0.5, 0.0)]
    table = build_table(
        [
            Field(0, 5, 8 * i, 8, False, True, scale, offset, catalogue_row=i)
            for i, (scale, offset) in enumerate(scales)
        ]
    )
    for raw in (0, 1, -1):
        wanted = [float(raw) * scale + offset for scale, offset in scales]
        for n in (1, MAX_FRAMES + 1, MIN_FRAMES):
            got = Decoder(table).decode(_frames([(0, 5, bytes([raw & 0xFF] * 8))] * n))
            assert all(map(_same, got.value.tolist(), wanted * n))


def test_nested_multiplexing_selects_by_value() -> None:
    rows = [b"\x12\x07\x55", b"\x12\x08\x55", b"\x13\x07\x66", b"\x11\x07\x77", b"\x12\x09\x01"]
    got = _nested().decode(_frames([(0, 5, data) for data in rows]))
    pairs = list(zip((got.t_ns // 1_000_000).tolist(), got.signal.tolist(), got.value.tolist(), strict=True))
    assert pairs == [
        (0, 0, 0x55),
        (0, 2, 1),
        (1, 2, 1),
        (2, 1, 0x66),
        (2, 2, 1),
        (3, 2, 1),
        (4, 0, 1),
        (4, 2, 1),
    ]


def test_only_a_selected_field_makes_a_frame_short() -> None:
    decoder = _nested()
    got = decoder.decode(_frames([(0, 5, b"\x11"), (0, 5, b"\x13\x00"), (0, 5, b"\x12"), (0, 5, b"")]))
    assert got.signal.tolist() == [2, 2, 2]
    assert decoder.counts.frames_short == 3


def test_extended_ids_differ_from_standard_ones() -> None:
    decoder = Decoder(build_table([Field(0, 5 | CAN_EFF_FLAG, 0, 8, False, False, 1, 0, catalogue_row=0)]))
    got = decoder.decode(_frames([(0, 5, b"\x01"), (0, 5 | CAN_EFF_FLAG, b"\x02")]))
    assert got.value.tolist() == [2]


def test_nothing_in_nothing_out() -> None:
    assert len(_nested().decode(empty_can())) == 0
    assert len(Decoder(build_table([])).decode(_frames([(0, 5, b"\x01")]))) == 0


def _bytes_table(*lengths: int) -> Decoder:
    """Id 5 with an unsigned field of each length, one after the other."""
    starts = np.cumsum([0, *lengths]).tolist()
    return Decoder(
        build_table(
            [
                Field(0, 5, start, length, False, False, 1, 0, catalogue_row=row)
                for row, (start, length) in enumerate(zip(starts, lengths, strict=False))
            ]
        )
    )


@pytest.mark.parametrize("n", [3, 300])
def test_a_frame_that_claims_more_than_its_data_is_dropped(n: int) -> None:
    decoder = _bytes_table(8, 8)
    frames = _frames([(0, 5, b"\x01\x02")] * n)
    frames.length[1], frames.length[2] = 9, 255
    got = decoder.decode(frames)
    assert sorted(set((got.t_ns // 1_000_000).tolist())) == [0, *range(3, n)]
    assert decoder.counts == DecodeCounts(n, frames_overlong=2, samples=2 * (n - 2))


def test_short_wide_frames_keep_what_fits() -> None:
    decoder = _bytes_table(64, 8, 32)
    got = decoder.decode(_frames([(0, 5, bytes(n)) for n in (64, 16, 12, 8, 0)], 64))
    assert got.signal.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 0]
    assert decoder.counts == DecodeCounts(5, frames_short=3, samples=9)


def test_classic_frames_never_hold_a_field_past_the_eighth_byte() -> None:
    decoder = _bytes_table(64, 8)
    assert decoder.decode(_frames([(0, 5, bytes(8))] * 2)).signal.tolist() == [0, 0]
    assert decoder.counts == DecodeCounts(2, frames_short=2, samples=2)


def test_a_frame_out_of_order_is_dropped_and_counted() -> None:
    decoder = _bytes_table(8)
    frames = _frames([(0, 5, bytes([i])) for i in range(6)])
    frames.t_ns[:] = [10, 20, 15, 20, 19, 30]
    got = decoder.decode(frames)
    assert (got.t_ns.tolist(), got.value.tolist()) == ([10, 20, 20, 30], [0, 1, 3, 5])
    assert decoder.counts == DecodeCounts(6, frames_disordered=2, samples=4)


def test_unknown_frames_are_counted_on_every_bus() -> None:
    decoder = _bytes_table(8)
    odd = [(1, 5), (0, 6), (255, 5), (0, 2048 + 5), (0, 5 | CAN_EFF_FLAG), (0, 0xFFFF_FFFF), (0, 5)]
    assert len(decoder.decode(_frames([(bus, can_id, b"\x01") for bus, can_id in odd]))) == 1
    assert decoder.counts == DecodeCounts(7, frames_unknown=6, samples=1)


def test_numbers_that_are_none_are_values() -> None:
    decoder = Decoder(
        build_table(
            [
                Field(0, 5, 0, 32, False, False, 1, 0, catalogue_row=0, is_float=True),
                Field(0, 5, 39, 32, True, False, 2, 1, catalogue_row=1, is_float=True),
            ]
        )
    )
    odd = [math.nan, math.inf, -math.inf, -0.0]
    got = decoder.decode(_frames([(0, 5, struct.pack("<f", x) + struct.pack(">f", x)) for x in odd]))
    assert all(map(_same, got.value[::2].tolist(), odd))
    assert all(map(_same, got.value[1::2].tolist(), [math.nan, math.inf, -math.inf, 1.0]))


def test_integers_of_64_bits_are_rounded_once() -> None:
    decoder = Decoder(
        build_table(
            [
                Field(0, 5, 0, 64, False, False, 1, 0, catalogue_row=0),
                Field(0, 5, 0, 64, False, True, 1, 0, catalogue_row=1),
                Field(0, 5, 0, 64, False, False, 3, 1, catalogue_row=2, integer_scale=True),
            ]
        )
    )
    raw = 0xFFFF_FFFF_FFFF_FBFF
    got = decoder.decode(_frames([(0, 5, raw.to_bytes(8, "little"))]))
    assert got.value.tolist() == [float(raw), float(raw - (1 << 64)), float(3 * raw + 1)]
    assert float(3 * raw + 1) != float(raw) * 3.0 + 1.0


def test_a_width_that_no_bus_has_is_refused() -> None:
    frames = _frames([(0, 5, b"\x01")], 16)
    with pytest.raises(ValueError, match="data: 16 bytes a frame; must be 8 or 64"):
        _bytes_table(8).decode(frames)


def test_chunks_leave_no_seam() -> None:
    n = CHUNK_FRAMES + 17
    decoder = Decoder(build_table([Field(0, 5, 0, 16, False, False, 1, 0, catalogue_row=0)]))
    got = decoder.decode(_frames([(0, 5, i.to_bytes(2, "little")) for i in range(n)]))
    assert got.value.tolist() == list(range(n))
    assert decoder.counts == DecodeCounts(frames=n, samples=n)
