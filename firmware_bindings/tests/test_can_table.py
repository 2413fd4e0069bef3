"""The signal table survives its bytes, and bytes that aren't a table are refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from fsd_firmware.can.table import Field, SignalTable, build_table


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
        ({"v": 2}, "v:"),
        ({"scale": None}, "scale"),
        ({"colour": b""}, "colour"),
        ({"scale": b"123"}, "scale"),
        ({"scale": 7}, "scale"),
        ({"scale": np.array([1, np.nan, 1]).tobytes()}, "scale"),
        ({"offset": np.zeros(2).tobytes()}, "offset"),
        ({"length": bytes([16, 54, 12])}, "length"),
        ({"length": bytes([0, 4, 12])}, "length"),
        ({"start": bytes([7, 61, 8])}, "start"),
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


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x93\x01\x02\x03", build_table(_fields()).to_bytes()[:-5]])
def test_bytes_that_are_no_map_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="signal table"):
        SignalTable.from_bytes(data)


def test_a_field_that_no_frame_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="start"):
        build_table([Field(0, 1, 60, 8, False, False, 1, 0)])
    with pytest.raises(ValueError, match="length"):
        build_table([Field(0, 1, 0, 54, False, False, 1, 0)])
    with pytest.raises(ValueError, match="frame of 8 bytes"):
        build_table([Field(0, 1, 300, 8, False, False, 1, 0)])
