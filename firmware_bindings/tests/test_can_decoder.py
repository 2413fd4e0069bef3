"""The decoder against a bit-by-bit reading of the same frames in plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_firmware.can.build import Field, build_table, first_network_bit, needed_bytes
from fsd_firmware.can.decoder import DecodeCounts, Decoder
from fsd_firmware.can.words import CHUNK_FRAMES
from fsd_firmware.samples import CAN_EFF_FLAG, CanFrames, empty_can


def _frames(rows: list[tuple[int, int, bytes]]) -> CanFrames:
    padded = b"".join(data.ljust(8, b"\0") for _, _, data in rows)
    return CanFrames(
        np.arange(len(rows), dtype=np.int64) * 1_000_000,
        np.array([bus for bus, _, _ in rows], np.uint8),
        np.array([can_id for _, can_id, _ in rows], np.uint32),
        np.array([len(data) for _, _, data in rows], np.uint8),
        np.frombuffer(padded, np.uint8).reshape(-1, 8),
    )


def _slow(field: Field, data: bytes) -> float:
    before = first_network_bit(field.start, big_endian=field.big_endian)
    padded = data.ljust(8, b"\0")
    if field.big_endian:
        raw = int.from_bytes(padded, "big") >> (64 - before - field.length)
    else:
        raw = int.from_bytes(padded, "little") >> before
    raw &= (1 << field.length) - 1
    if field.signed and raw >> (field.length - 1):
        raw -= 1 << field.length
    return float(raw) * field.scale + field.offset


@st.composite
def _field(draw: st.DrawFn) -> Field:
    length = draw(st.integers(1, 53))
    big = draw(st.booleans())
    before = draw(st.integers(0, 64 - length))
    start = 8 * (before // 8) + 7 - before % 8 if big else before
    scale, offset = draw(st.sampled_from([(1.0, 0.0), (0.01, -40.0), (-0.125, 3.3)]))
    return Field(
        draw(st.integers(0, 2)),
        draw(st.integers(1, 3)),
        start,
        length,
        big,
        draw(st.booleans()),
        scale,
        offset,
    )


@settings(max_examples=60, deadline=None)
@given(
    fields=st.lists(_field(), min_size=1, max_size=12),
    rows=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 4), st.binary(min_size=0, max_size=8)), max_size=30
    ),
)
def test_equals_a_plain_reading(fields: list[Field], rows: list[tuple[int, int, bytes]]) -> None:
    numbered = [Field(*_positional(f), catalogue_row=i) for i, f in enumerate(fields)]
    decoder = Decoder(build_table(numbered))
    got = decoder.decode(_frames(rows))
    wanted: list[tuple[int, int, float]] = []
    short = 0
    for i, (bus, can_id, data) in enumerate(rows):
        mine = [f for f in numbered if (f.bus, f.can_id) == (bus, can_id)]
        held = [f for f in mine if needed_bytes(f.start, f.length, big_endian=f.big_endian) <= len(data)]
        short += len(held) < len(mine)
        wanted += [(i * 1_000_000, f.catalogue_row, _slow(f, data)) for f in held]
    assert list(zip(got.t_ns.tolist(), got.signal.tolist(), got.value.tolist(), strict=True)) == wanted
    known = {(f.bus, f.can_id) for f in numbered}
    unknown = sum((bus, can_id) not in known for bus, can_id, _ in rows)
    assert decoder.counts == DecodeCounts(len(rows), unknown, short, samples=len(wanted))


def _positional(f: Field) -> tuple[int, int, int, int, bool, bool, float, float]:
    return f.bus, f.can_id, f.start, f.length, f.big_endian, f.signed, f.scale, f.offset


def _nested() -> Decoder:
    return Decoder(
        build_table(
            [
                Field(0, 5, 0, 4, False, False, 1, 0),
                Field(0, 5, 8, 4, False, False, 1, 0, selector=0, mux_values=(2,)),
                Field(0, 5, 16, 8, False, False, 1, 0, catalogue_row=0, selector=1, mux_values=(7, 9)),
                Field(0, 5, 16, 8, False, False, 1, 0, catalogue_row=1, selector=0, mux_values=(3,)),
                Field(0, 5, 4, 4, False, False, 1, 0, catalogue_row=2),
            ]
        )
    )


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


def test_chunks_leave_no_seam() -> None:
    n = CHUNK_FRAMES + 17
    decoder = Decoder(build_table([Field(0, 5, 0, 16, False, False, 1, 0, catalogue_row=0)]))
    got = decoder.decode(_frames([(0, 5, i.to_bytes(2, "little")) for i in range(n)]))
    assert got.value.tolist() == list(range(n))
    assert decoder.counts == DecodeCounts(frames=n, samples=n)
