"""From a mapping file to columns: what a path is comes from the catalogue, where it is from the mapping."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_firmware.can.decoder import Decoder
from fsd_firmware.can_frames import CanFrames
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_tools.catalogue.mapping import load_mapping, parse_mapping
from fsd_tools.catalogue.resolve import compile_line, resolve
from fsd_tools.catalogue.units import conversion
from fsd_tools.catalogue.vss import load_tree
from fsd_tools.data import data_dir
from fsd_tools.drive.dbc_compile import DbcSource, MappedSignal, Mapping, compile_table
from fsd_tools.drive.vehicles import HERE, fsd_demo
from fsd_tools.errors import ToolError

DBC = """VERSION ""
NS_ :
BS_:
BU_: XXX
BO_ 100 FAST: 8 XXX
 SG_ SPEED : 0|16@1+ (0.01,0) [0|0] "m/s" XXX
 SG_ FLAG : 16|1@1+ (1,0) [0|0] "flag" XXX
 SG_ BARE : 24|8@1+ (1,0) [0|0] "" XXX
 SG_ ODD : 32|8@1+ (1,0) [0|0] "furlong" XXX
 SG_ TEMP : 40|8@1+ (0.5,-40) [0|0] "degF" XXX
BO_ 101 SLOW: 8 XXX
 SG_ LEVER : 0|4@1+ (1,0) [0|0] "" XXX
 SG_ SCALED : 8|4@1+ (2,0) [0|0] "" XXX
 SG_ SWITCH : 16|4@1+ (1,0) [0|0] "" XXX
 SG_ TWICE : 24|4@1+ (1,0) [0|0] "" XXX
BO_ 102 EVENT: 8 XXX
 SG_ PEDAL : 0|8@1+ (1,0) [0|0] "%" XXX
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_ BO_ "GenMsgSendType" ENUM "Cyclic","Event";
BA_DEF_DEF_ "GenMsgCycleTime" 0;
BA_DEF_DEF_ "GenMsgSendType" "Cyclic";
BA_ "GenMsgCycleTime" BO_ 100 20;
BA_ "GenMsgCycleTime" BO_ 102 100;
BA_ "GenMsgSendType" BO_ 102 1;
VAL_ 101 LEVER 0 "P" 5 "D" ;
VAL_ 101 SWITCH 0 "off" 1 "Auto" 2 "beam" 3 "SNA" ;
VAL_ 101 TWICE 0 "off" 1 "OFF" ;
"""
OVERLAY = """
Vehicle.FSD.Lever: {type: sensor, datatype: string, allowed: [PARK, DRIVE]}
Vehicle.FSD.Plain: {type: sensor, datatype: uint8}
Vehicle.FSD.Named: {type: sensor, datatype: uint8, enum: {A: 0, B: 7}}
Vehicle.FSD.Text: {type: sensor, datatype: string}
Vehicle.FSD.Many: {type: sensor, datatype: "uint8[]"}
Vehicle.FSD.Furlongs: {type: sensor, datatype: float, unit: m}
"""


def _signal(path: str, signal: str, more: str = "", message: str = "FAST") -> str:
    return f'[signals."{path}"]\nbus = 0\nmessage = "{message}"\nsignal = "{signal}"\n{more}\n'


def _line(folder: Path, *signals: str) -> tuple[Catalogue, Decoder]:
    (folder / "own.vspec").write_text(OVERLAY, encoding="utf-8")
    mapping = folder / "car.toml"
    mapping.write_text('overlays = ["own.vspec"]\n' + "".join(signals), encoding="utf-8")
    catalogue, table = compile_line(mapping, [DbcSource(0, "car.dbc", DBC)])
    return catalogue, Decoder(table)


def _one(folder: Path, *args: str) -> CatalogueEntry:
    return _line(folder, _signal(*args))[0].entries[0]


def _decode(decoder: Decoder, can_id: int, data: bytes) -> list[float]:
    frames = CanFrames(
        np.zeros(1, np.int64),
        np.zeros(1, np.uint8),
        np.array([can_id], np.uint32),
        np.array([8], np.uint8),
        np.frombuffer(data.ljust(8, b"\0"), np.uint8).reshape(1, 8),
    )
    return [float(value) for value in decoder.decode(frames).value]


def test_the_catalogue_says_what_it_is_and_units_convert(tmp_path: Path) -> None:
    catalogue, decoder = _line(tmp_path, _signal("Vehicle.Speed", "SPEED"))
    entry = catalogue.entries[0]
    assert (entry.type, entry.unit) == ("double", "km/h")
    assert (entry.minimum, entry.maximum) == (-math.inf, math.inf)
    assert _decode(decoder, 100, (1000).to_bytes(2, "little")) == [36.0]


def test_a_shifted_unit_converts(tmp_path: Path) -> None:
    _, decoder = _line(tmp_path, _signal("Vehicle.Exterior.AirTemperature", "TEMP"))
    assert _decode(decoder, 100, bytes([0, 0, 0, 0, 0, 144])) == [pytest.approx(0.0, abs=1e-12)]  # 32 degF


def test_a_boolean_is_zero_or_one(tmp_path: Path) -> None:
    entry = _one(tmp_path, "Vehicle.ADAS.ABS.IsEngaged", "FLAG")
    assert (entry.type, entry.unit, entry.minimum, entry.maximum) == ("bool", "", 0, 1)


def test_the_mapping_may_name_the_unit_and_narrow_the_range(tmp_path: Path) -> None:
    entry = _one(tmp_path, "Vehicle.Chassis.Brake.PedalPosition", "BARE", 'unit = "%"\nrange = [0, 90]')
    assert (entry.unit, entry.minimum, entry.maximum) == ("percent", 0, 90)


def test_labels_by_name_by_number_and_by_equal_spelling(tmp_path: Path) -> None:
    lever = _one(tmp_path, "Vehicle.FSD.Lever", "LEVER", 'labels = {DRIVE = "D", PARK = 0}', "SLOW")
    assert lever.labels == ((0, "PARK"), (5, "DRIVE"))
    assert (lever.type, lever.minimum, lever.maximum) == ("double", 0, 5)
    switch = _one(tmp_path, "Vehicle.Body.Lights.LightSwitch", "SWITCH", "", "SLOW")
    assert switch.labels == ((0, "OFF"), (1, "AUTO"), (2, "BEAM"))
    assert _one(tmp_path, "Vehicle.FSD.Named", "BARE").labels == ((0, "A"), (7, "B"))


@pytest.mark.parametrize(
    ("message", "signal", "more", "stale_ns"),
    [
        ("FAST", "BARE", "", 100_000_000),
        ("FAST", "BARE", 'stale = "1.5s"', 1_500_000_000),
        ("FAST", "BARE", 'stale = "never"', 0),
        ("SLOW", "SCALED", "", 0),
        ("EVENT", "PEDAL", 'unit = ""', 0),
        ("EVENT", "PEDAL", 'unit = ""\nstale = "2h"', 7_200_000_000_000),
    ],
)
def test_how_old_a_sample_may_grow(
    tmp_path: Path, message: str, signal: str, more: str, stale_ns: int
) -> None:
    assert _one(tmp_path, "Vehicle.FSD.Plain", signal, more, message).stale_ns == stale_ns


@pytest.mark.parametrize(
    ("path", "signal", "more", "named"),
    [
        ("Vehicle.Sped", "SPEED", "", "did you mean Vehicle.Speed"),
        ("Vehicle.ADAS.ABS", "FLAG", "", "is a branch"),
        ("Vehicle.FSD.Text", "BARE", "", "string can't come from a CAN signal"),
        ("Vehicle.FSD.Many", "BARE", "", r"uint8\[\] can't come"),
        ("Vehicle.Speed", "GONE", "", "signal: message FAST has no signal 'GONE'"),
        ("Vehicle.Speed", "BARE", "", 'unit: the DBC states none, the catalogue wants km/h.*unit = "km/h"'),
        ("Vehicle.FSD.Furlongs", "ODD", "", "unit: the DBC says 'furlong', the catalogue 'm': these don't"),
        ("Vehicle.FSD.Furlongs", "SPEED", "", "unit: the DBC says 'm/s', the catalogue 'm': these don't"),
        ("Vehicle.Speed", "ODD", 'unit = "kg"', "unit: the mapping says 'kg', the catalogue 'km/h'"),
        ("Vehicle.FSD.Plain", "ODD", "", "unit: the DBC says 'furlong', the catalogue has none"),
        ("Vehicle.Speed", "SPEED", "range = [9, 2]", r"range: \[9, 2\] is empty"),
        ("Vehicle.Speed", "SPEED", "range = [nan, 2]", "range: .* is empty"),
        ("Vehicle.Chassis.Brake.PedalPosition", "BARE", "range = [0, 120]", r"not inside the catalogue's \[0, 100\]"),
        ("Vehicle.ADAS.ABS.IsEngaged", "FLAG", "range = [0, 1]", "range: a boolean has none"),
        ("Vehicle.Speed", "SPEED", 'stale = "soon"', "stale: 'soon' is neither"),
        ("Vehicle.Speed", "SPEED", 'stale = "0s"', "stale: '0s': more than 0"),
        ("Vehicle.Speed", "SPEED", 'stale = "25h"', "stale: '25h': .*at most 24h"),
        ("Vehicle.Speed", "SPEED", "labels = {A = 1}", "labels: the catalogue allows any float"),
        ("Vehicle.FSD.Lever", "BARE", "", r"labels: of the DBC's names \(none\) none is one of .*PARK, DRIVE"),
        ("Vehicle.FSD.Lever", "BARE", "labels = {SPORT = 1}", "labels: SPORT: the catalogue allows PARK, DRIVE"),
        ("Vehicle.FSD.Lever", "BARE", 'labels = {PARK = "P"}', "labels: PARK: 'P' is not in the DBC's value table"),
        ("Vehicle.FSD.Lever", "BARE", "labels = {PARK = 1, DRIVE = 1}", "labels: DRIVE: code 1 is already PARK"),
    ],
)  # fmt: skip
def test_what_cannot_be_filled_is_named(
    tmp_path: Path, path: str, signal: str, more: str, named: str
) -> None:
    with pytest.raises(ToolError, match=rf"car\.toml: {path}: .*{named}"):
        _line(tmp_path, _signal(path, signal, more))


@pytest.mark.parametrize(
    ("signal", "named"),
    [("SCALED", "the DBC signal is scaled"), ("TWICE", "OFF: has more than one code")],
)
def test_codes_must_be_plain(tmp_path: Path, signal: str, named: str) -> None:
    with pytest.raises(ToolError, match=named):
        _line(tmp_path, _signal("Vehicle.Body.Lights.LightSwitch", signal, "", "SLOW"))


def test_everything_that_is_wrong_is_named_at_once() -> None:
    text = _signal("Vehicle.Sped", "SPEED") + _signal("Vehicle.Speed", "SPEED") + _signal("Vehicle.X", "X")
    sound, problems = resolve(parse_mapping(text, "car.toml"), load_tree(), None)
    assert list(sound.signals) == ["Vehicle.Speed"]
    assert [problem.path for problem in problems] == ["Vehicle.Sped", "Vehicle.X"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (_signal("A", "S").replace("bus = 0", 'bus = "0"'), r"car\.toml: .*bus"),
        (_signal("A", "S").replace("bus = 0", "bus = 256"), r"car\.toml: .*bus"),
        (_signal("A", "S").replace("bus = 0\n", ""), r"car\.toml: .*bus"),
        (_signal("A", "S", "colour = 1"), r"car\.toml: .*colour"),
        (_signal("A", "S", 'description = "d"'), r"car\.toml: .*description"),
        (_signal("A", "S", "range = [1]"), r"car\.toml: .*range"),
        (_signal("A", "S") * 2, r"car\.toml"),
        ("overlays = [1]\n[signals]\n", r"car\.toml: .*overlays"),
        ("nonsense", r"car\.toml"),
    ],
)
def test_a_bad_mapping_names_file_and_key(text: str, named: str) -> None:
    with pytest.raises(ToolError, match=named):
        parse_mapping(text, "car.toml")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"absent\.toml"):
        load_mapping(tmp_path / "absent.toml")
    mapping = tmp_path / "car.toml"
    mapping.write_text('overlays = ["gone.vspec"]\n[signals]\n', encoding="utf-8")
    with pytest.raises(ToolError, match=r"gone\.vspec: can't be read"):
        compile_line(mapping, [])


SCALE = st.sampled_from(["1", "0.01", "0.1", "0.3", "-1", "0.0625", "2.5"])
OFFSET = st.sampled_from(["0", "-40", "0.7", "1000"])


@given(SCALE, OFFSET, st.integers(0, 2**16 - 1))
def test_a_folded_conversion_is_as_good_as_one_of_the_value(scale: str, offset: str, raw: int) -> None:
    """Folding rounds two numbers instead of one: within 3 units in the last place of the largest term."""
    dbc = DBC.replace("0|16@1+ (0.01,0)", f"0|16@1+ ({scale},{offset})")
    convert = conversion("m/s", "km/h")
    assert convert is not None
    speed = MappedSignal(0, "FAST", "SPEED", (-math.inf, math.inf), "", unit="km/h", convert=convert)
    _, table = compile_table([DbcSource(0, "car.dbc", dbc)], Mapping({"Vehicle.Speed": speed}))
    exact = (raw * Fraction(scale) + Fraction(offset)) * Fraction(18, 5)
    got = _decode(Decoder(table), 100, raw.to_bytes(2, "little"))[0]
    largest = max(abs(float(raw * Fraction(scale) * 18 / 5)), abs(float(Fraction(offset) * 18 / 5)), 1e-300)
    assert abs(Fraction(got) - exact) <= 3 * Fraction(math.ulp(largest))


def test_the_lines_that_ship() -> None:
    entries = {entry.path: entry for entry in fsd_demo().catalogue.entries}
    assert entries["Vehicle.Speed"].stale_ns == 50_000_000
    assert entries["Vehicle.TraveledDistance"].unit == "m"
    assert entries["Vehicle.FSD.DriverAssist.State"].labels == (
        (0, "OFF"), (1, "STANDBY"), (2, "ENGAGED"), (3, "TAKEOVER")
    )  # fmt: skip
    assert all(entry.description for entry in entries.values())


def test_a_line_is_the_same_under_a_release(tmp_path: Path) -> None:
    """A release has every instance as a path of its own; the overlay fits it as it fits the source."""
    release: dict[str, dict[str, object]] = {}
    for path, node in load_tree().nodes.items():
        above = path.split(".")[:-1]
        for depth in range(1, len(above) + 1):
            release[".".join(above[:depth])] = {"type": "branch"}
        limits = {"min": node.minimum, "max": node.maximum}
        own = {"type": "sensor", "datatype": node.datatype, "unit": node.unit, "allowed": list(node.allowed)}
        own |= {end: int(limit) for end, limit in limits.items() if math.isfinite(limit)}
        release[path] = {key: value for key, value in own.items() if value or key in limits}
    (tmp_path / "release.json").write_text(json.dumps(release), encoding="utf-8")
    sources = [DbcSource(bus, "fsd_demo.dbc", fsd_demo().dbc) for bus in (0, 1)]
    catalogue, _ = compile_line(HERE / "fsd_demo.toml", sources, standard=tmp_path / "release.json")
    assert catalogue.entries == fsd_demo().catalogue.entries


@pytest.mark.skipif(not (data_dir() / "comma2k19").is_dir(), reason=f"{data_dir()}/comma2k19 is missing")
def test_the_real_car_maps_to_the_standard() -> None:
    dbc = data_dir() / "comma2k19" / "dbc"
    names = ("toyota_new_mc_pt_generated.dbc", "toyota_adas.dbc")
    sources = [DbcSource(bus, name, (dbc / name).read_text()) for bus, name in enumerate(names)]
    catalogue, _ = compile_line(HERE / "toyota_rav4.toml", sources)
    entries = {entry.path: entry for entry in catalogue.entries}
    assert entries["Vehicle.FSD.Gear"].labels[-1] == (32, "PARK")
    assert entries["Vehicle.FSD.Radar.Track15.IsValid"].type == "bool"
    assert entries["Vehicle.ADAS.CruiseControl.SpeedSet"].maximum == 254
