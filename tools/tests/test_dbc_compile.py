"""A mapping becomes a catalogue and a table, and one that can't be compiled is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fsd_tools.drive.dbc_compile import DbcSource, MappedSignal, Mapping, compile_table
from fsd_tools.errors import ToolError

HEAD = 'VERSION ""\nNS_ :\nBS_:\nBU_: XXX\n'

MUX = (
    HEAD
    + "BO_ 100 M: 8 XXX\n"
    + ' SG_ KIND M : 0|4@1+ (1,0) [0|15] "" XXX\n'
    + ' SG_ A m0 : 8|8@1+ (0.5,1) [0|0] "" XXX\n'
    + ' SG_ B m1 : 8|16@1- (0.1,0) [0|0] "" XXX\n'
    + ' SG_ C : 32|8@1+ (1,0) [0|0] "" XXX\n'
)

WIDE = MUX.replace("M: 8", "M: 64")
GOOD = MappedSignal(0, "M", "C", (0, 250), "d")


def _speed(**other: Any) -> Mapping:
    return Mapping({"Vehicle.Speed": replace(GOOD, **other)})


def test_the_catalogue_is_the_mapping() -> None:
    catalogue, table = compile_table([DbcSource(0, "m.dbc", MUX)], _speed())
    assert [(e.path, e.type, e.unit, e.maximum) for e in catalogue.entries] == [
        ("Vehicle.Speed", "double", "", 250)
    ]
    assert table.catalogue_row.tolist() == [0]


@pytest.mark.parametrize(
    ("other", "dbc", "named"),
    [
        ({"bus": 1}, MUX, "Vehicle.Speed: message: bus 1"),
        ({"message": "N"}, MUX, "Vehicle.Speed: message: .*'N'"),
        ({"signal": "Z"}, MUX, "Vehicle.Speed: signal: .*'Z'"),
        ({"range": (9, 2)}, MUX, "Vehicle.Speed: range"),
        ({}, WIDE.replace("32|8", "0|65"), r"M\.C: 65 bits; a signal has at most 64"),
        ({}, MUX.replace("32|8", "60|8"), "past the message's 8 bytes"),
        ({}, WIDE.replace("M: 64", "M: 128").replace("32|8", "508|8"), "or past byte 64"),
        ({}, MUX.replace("32|8", "32|16") + "SIG_VALTYPE_ 100 C : 1;\n", "floating-point in 16 bits"),
        ({}, MUX.replace("32|8@1+ (1,0)", "32|8@1+ (9007199254740993,0)"), "factor 9007199254740993 is more"),
        ({}, MUX.replace("32|8@1+ (1,0)", "32|8@1+ (1,9007199254740993)"), "offset 9007199254740993 is more"),
        ({"signal": "A"}, MUX.replace("0|4@1+ (1,0)", "0|4@1+ (2,0)"), "selector KIND is scaled"),
        ({"signal": "A"}, MUX.replace("0|4@1+", "0|4@1-"), "selector: must be an unsigned integer"),
        ({}, "not a dbc", "m.dbc"),
    ],
)
def test_what_cannot_be_exact_is_refused(other: dict[str, Any], dbc: str, named: str) -> None:
    with pytest.raises(ToolError, match=named):
        compile_table([DbcSource(0, "m.dbc", dbc)], _speed(**other))


def test_signals_of_one_selector_share_it() -> None:
    mapping = Mapping({f"Vehicle.{name}": replace(GOOD, signal=name) for name in "ABC"})
    _, table = compile_table([DbcSource(0, "m.dbc", MUX)], mapping)
    assert table.catalogue_row.tolist() == [-1, 0, 1, 2]
    assert table.selector.tolist() == [-1, 0, 0, -1]


def test_value_types_and_long_integers_are_compiled() -> None:
    text = WIDE.replace("32|8@1+ (1,0)", "415|64@0+ (3,-5)")
    _, table = compile_table([DbcSource(0, "m.dbc", text)], _speed())
    assert (table.start[0], table.length[0], table.integer_scale[0], table.is_float[0]) == (415, 64, 1, 0)
    text = WIDE.replace("32|8@1+ (1,0)", "100|32@1- (0.5,0)") + "SIG_VALTYPE_ 100 C : 1;\n"
    _, table = compile_table([DbcSource(0, "m.dbc", text)], _speed())
    assert (table.is_float[0], table.signed[0], table.integer_scale[0]) == (1, 0, 0)


def test_one_message_described_twice_is_refused() -> None:
    sources = [DbcSource(0, "a.dbc", MUX), DbcSource(0, "b.dbc", MUX)]
    with pytest.raises(ToolError, match=r"b.dbc: bus 0: message M"):
        compile_table(sources, _speed())
