"""The signal table survives its bytes, and bytes that aren't a table are refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from fsd_firmware.can.build import Field, build_table
from fsd_firmware.can.table import SignalTable


def _fields() -> list[Field]:
    return [
        Field(1, 0x200, 0, 4, False, False, 1.0, 0.0),
        Field(0, 0x100, 7, 16, True, True, 0.01, -40.0, catalogue_row=0),
        Field(1, 0x200, 8, 12, False, False, 0.5, 0.0, catalogue_row=1, selector=0, mux_values=(3, 1)),
    ]


def _raw(**changes: object) -> bytes:
    raw: dict[str, Any] = msgspec.msgpack.decode(build_table(_fields()).to_bytes())
    return msgspec.msgpack.encode({k: v for k, v in {**raw, **changes}.items() if v is not None})


def test_fields_are_grouped_by_message_and_selectors_follow() -> None:
    table = build_table(_fields())
    assert table.message_key.tolist() == [0x100, 1 << 32 | 0x200]
    assert table.first.tolist() == [0, 1, 3]
    assert table.selector.tolist() == [-1, -1, 1]
    assert table.mux_value.tolist() == [1, 3]
    assert table.min_bytes.tolist() == [2, 1, 3]
    assert table.highest_row == 1


def test_bytes_round_trip_exactly() -> None:
    data = build_table(_fields()).to_bytes()
    assert SignalTable.from_bytes(data).to_bytes() == data
    empty = build_table([])
    assert len(SignalTable.from_bytes(empty.to_bytes())) == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"v": 3}, "v: 3; this software reads versions 1 and 2"),
        ({"scale": None}, "scale"),
        ({"colour": b""}, "colour"),
        ({"scale": b"123"}, "scale"),
        ({"scale": 7}, "scale"),
        ({"scale": np.array([1, np.nan, 1]).tobytes()}, "scale"),
        ({"offset": np.zeros(2).tobytes()}, "offset"),
        ({"length": bytes([16, 65, 12])}, "length"),
        ({"length": bytes([0, 4, 12])}, "length"),
        ({"start": np.array([7, 509, 8], np.uint16).tobytes()}, "start"),
        ({"scale": np.array([1, 1e300, 1]).tobytes()}, "scale"),
        ({"is_float": bytes([0, 1, 0])}, "is_float: .*32 or 64 bits"),
        ({"is_float": bytes([0, 2, 0])}, "is_float"),
        ({"integer_scale": bytes([1, 0, 0])}, "integer_scale: needs a whole scale"),
        (
            {"is_float": bytes([1, 0, 0]), "length": bytes([32, 4, 12]), "min_bytes": bytes([4, 1, 3])},
            "signed: .*floating-point",
        ),
        ({"min_bytes": bytes([1, 1, 3])}, "min_bytes"),
        ({"big_endian": bytes([2, 0, 0])}, "big_endian"),
        ({"catalogue_row": np.array([0, -2, 1], np.int32).tobytes()}, "catalogue_row"),
        ({"selector": np.array([-1, -1, 2], np.int32).tobytes()}, "selector"),
        ({"selector": np.array([-1, -1, 0], np.int32).tobytes()}, "selector"),
        ({"mux_first": np.array([0, 0, 0, 9], np.int32).tobytes()}, "mux_first"),
        ({"mux_first": np.array([0, 0, 1, 2], np.int32).tobytes()}, "mux_first"),
        ({"mux_value": np.array([3, 1], np.int64).tobytes()}, "mux_value"),
        ({"message_key": np.array([5, 5], np.int64).tobytes()}, "message_key"),
        ({"first": np.array([0, 3, 3], np.int32).tobytes()}, "first"),
    ],
)
def test_a_damaged_table_is_refused_by_column(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=f"signal table: .*{named}"):
        SignalTable.from_bytes(_raw(**changes))


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x81\xa1\xff\x01", build_table(_fields()).to_bytes()[:-5]]
)
def test_bytes_that_are_no_map_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="signal table"):
        SignalTable.from_bytes(data)


def test_a_field_that_no_frame_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"start: 508; .*frame of 64 bytes"):
        build_table([Field(0, 1, 508, 8, False, False, 1, 0)])
    with pytest.raises(ValueError, match="length: 65; must be 1 to 64 bits"):
        build_table([Field(0, 1, 0, 65, False, False, 1, 0)])
    with pytest.raises(ValueError, match="start: 70000"):
        build_table([Field(0, 1, 70_000, 8, False, False, 1, 0)])
    with pytest.raises(ValueError, match="start: -1"):
        build_table([Field(0, 1, -1, 8, False, False, 1, 0)])


def test_a_table_of_version_1_is_still_read() -> None:
    raw: dict[str, Any] = msgspec.msgpack.decode(build_table(_fields()).to_bytes())
    old = {name: column for name, column in raw.items() if name not in {"is_float", "integer_scale"}}
    old |= {"v": 1, "start": np.frombuffer(raw["start"], np.uint16).astype(np.uint8).tobytes()}
    assert SignalTable.from_bytes(msgspec.msgpack.encode(old)).to_bytes() == build_table(_fields()).to_bytes()
