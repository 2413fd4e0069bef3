"""The standard's tree under overlays: what the files say is what a path is, and a broken file is named."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_tools.catalogue.tree import SignalTree
from fsd_tools.catalogue.vss import BUILT_IN, load_tree
from fsd_tools.errors import ToolError

ROOT = "Vehicle: {type: branch}\n"
SPEED = "Vehicle.Speed: {type: sensor, datatype: float, unit: km/h}\n"
WHEELS = """
Vehicle.Wheel: {type: branch, instances: ["Row[1,2]", [Left, Right]]}
Vehicle.Wheel.Speed: {type: sensor, datatype: float, unit: km/h, min: 0, max: 300}
"""


def _file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _tree(folder: Path, standard: str, *overlays: str) -> SignalTree:
    files = [_file(folder, f"overlay{i}.vspec", text) for i, text in enumerate(overlays)]
    return load_tree(_file(folder, "car.vspec", standard), files)


@pytest.mark.parametrize(
    ("path", "datatype", "unit", "low", "high"),
    [
        ("Vehicle.Speed", "float", "km/h", -math.inf, math.inf),
        ("Vehicle.ADAS.ABS.IsEngaged", "boolean", "", -math.inf, math.inf),
        ("Vehicle.Chassis.Brake.PedalPosition", "uint8", "percent", 0, 100),
        ("Vehicle.CurrentLocation.Latitude", "double", "degrees", -90, 90),
        ("Vehicle.Chassis.Axle.Row2.Wheel.Left.Speed", "float", "km/h", -math.inf, math.inf),
        ("Vehicle.ADAS.ObstacleDetection.Front.Center.Distance", "float", "m", 0, math.inf),
        ("Vehicle.Body.Raindetection.Intensity", "uint8", "percent", -math.inf, 100),
        ("Vehicle.Cabin.Door.Row1.DriverSide.IsOpen", "boolean", "", -math.inf, math.inf),
    ],
)
def test_the_standard_is_built_in(path: str, datatype: str, unit: str, low: float, high: float) -> None:
    node = load_tree().node(path)
    assert (node.datatype, node.unit, node.minimum, node.maximum) == (datatype, unit, low, high)
    assert node.where.startswith(str(BUILT_IN))


def test_no_sentence_of_the_standard_is_shipped() -> None:
    assert "description" not in BUILT_IN.read_text(encoding="utf-8").partition("\nVehicle: ")[2]


def test_names_that_a_text_may_be() -> None:
    switch = load_tree().node("Vehicle.Body.Lights.LightSwitch")
    assert switch.allowed == ("OFF", "POSITION", "DAYTIME_RUNNING_LIGHTS", "AUTO", "BEAM")


def test_files_include_files_below_a_branch(tmp_path: Path) -> None:
    _file(tmp_path, "wheel.vspec", "Speed: {type: sensor, datatype: float, unit: km/h}\n")
    tree = _tree(
        tmp_path,
        f"{ROOT}Vehicle.Wheel: {{type: branch, instances: [Left]}}\n#include wheel.vspec Vehicle.Wheel\n",
    )
    assert list(tree.nodes) == ["Vehicle.Wheel.Left.Speed"]
    assert tree.nodes["Vehicle.Wheel.Left.Speed"].where.endswith("wheel.vspec:1")


def test_units_beside_the_source_count(tmp_path: Path) -> None:
    _file(tmp_path, "quantities.yaml", "warp: {definition: how fast in fiction}\n")
    _file(
        tmp_path,
        "units.yaml",
        "cochrane: {definition: warp, unit: cochranes, quantity: warp, allowed-datatypes: [numeric]}\n",
    )
    own = ROOT + SPEED.replace("km/h", "cochrane")
    assert _tree(tmp_path, own).node("Vehicle.Speed").unit == "cochrane"
    (tmp_path / "units.yaml").unlink()
    with pytest.raises(ToolError, match="cochrane"):  # nothing of the tree before is left
        _tree(tmp_path, own)


def test_a_release_is_the_same_tree(tmp_path: Path) -> None:
    nested = {
        "Vehicle": {
            "type": "branch",
            "children": {
                "Speed": {"type": "sensor", "datatype": "float", "unit": "km/h", "description": "How fast."}
            },
        }
    }
    flat = {"Vehicle": {"type": "branch"}, "Vehicle.Speed": nested["Vehicle"]["children"]["Speed"]}  # type: ignore[index]
    files = [
        _file(tmp_path, "nested.json", json.dumps(nested)),
        _file(tmp_path, "flat.json", json.dumps(flat)),
        _file(tmp_path, "nested.yaml", yaml.safe_dump(nested)),
    ]
    for file in files:
        node = load_tree(file).node("Vehicle.Speed")
        assert (node.datatype, node.unit, node.description) == ("float", "km/h", "How fast.")


def test_a_release_may_name_units_that_we_do_not_know(tmp_path: Path) -> None:
    tree = {
        "Vehicle": {"type": "branch"},
        "Vehicle.X": {"type": "sensor", "datatype": "float", "unit": "kat"},
    }
    assert load_tree(_file(tmp_path, "vss.json", json.dumps(tree))).node("Vehicle.X").unit == "kat"


def test_an_overlay_adds_and_the_last_one_wins(tmp_path: Path) -> None:
    tree = _tree(
        tmp_path,
        ROOT + SPEED,
        "Vehicle.Speed: {max: 300, description: first}\n",
        "Vehicle.Speed: {description: last}\nVehicle.FSD.Deep.Down: {type: sensor, datatype: uint8}\n",
    )
    speed = tree.node("Vehicle.Speed")
    assert (speed.maximum, speed.description, speed.unit) == (300, "last", "km/h")
    assert speed.where.endswith("overlay1.vspec:1")
    assert tree.node("Vehicle.FSD.Deep.Down").datatype == "uint8"


def test_an_overlay_may_name_one_instance_or_a_pattern(tmp_path: Path) -> None:
    tree = _tree(
        tmp_path,
        ROOT + SPEED + WHEELS,
        "Vehicle.Wheel.Row1.Left.Speed: {type: sensor, datatype: float, max: 100}\n",
        "Vehicle.*Speed: {description: any}\n",
    )
    ends = {path: node.maximum for path, node in tree.nodes.items() if "Wheel" in path}
    assert ends.pop("Vehicle.Wheel.Row1.Left.Speed") == 100
    assert set(ends.values()) == {300}
    assert tree.node("Vehicle.Speed").description == "any"
    assert tree.node("Vehicle.Wheel.Row2.Left.Speed").description == "any"


def test_an_overlay_may_delete(tmp_path: Path) -> None:
    tree = _tree(tmp_path, ROOT + SPEED + WHEELS, "Vehicle.Wheel: {delete: true}\n")
    assert list(tree.nodes) == ["Vehicle.Speed"]


def test_names_of_numbers(tmp_path: Path) -> None:
    tree = _tree(tmp_path, ROOT + "Vehicle.G: {type: sensor, datatype: int8, enum: {P: 3, R: -1}}\n")
    assert tree.node("Vehicle.G").codes == ((-1, "R"), (3, "P"))


@pytest.mark.parametrize(
    ("standard", "overlay", "named"),
    [
        (ROOT + SPEED.replace("float", "flaot"), "", r"car\.vspec:2: Vehicle\.Speed: .*'flaot'"),
        (ROOT + SPEED.replace("sensor", "sensr"), "", r"car\.vspec:2: Vehicle\.Speed"),
        (ROOT + SPEED.replace("km/h", "furlong"), "", r"car\.vspec:2: Vehicle\.Speed: unit: .*'furlong'"),
        (ROOT + "Vehicle.Speed: {type: sensor}\n", "", r"car\.vspec:2: Vehicle\.Speed: datatype"),
        (ROOT + SPEED.replace("}", ", min: 9, max: 2}"), "", r"car\.vspec:2: Vehicle\.Speed: range: min 9 .* max 2"),
        (ROOT + WHEELS.replace("max: 300", "max: -1"), "", r"car\.vspec:4: Vehicle\.Wheel\.Row1\.Left\.Speed: range"),
        (ROOT + SPEED, "Vehicle.Speed: {min: 5, max: 4}\n", r"overlay0\.vspec:1: Vehicle\.Speed: range"),
        (ROOT + SPEED, "Vehicle.Speed: {datatype: uint8}\n", r"overlay0\.vspec:1: .*change float into uint8"),
        (
            ROOT + WHEELS,
            "\nVehicle.Wheel.Row2.Right.Speed: {type: sensor, datatype: double}\n",
            r"overlay0\.vspec:2: Vehicle\.Wheel\.Row2\.Right\.Speed: datatype: .*float into double",
        ),
        (ROOT + SPEED, "Vehicle.*.Nothing: {max: 1}\n", r"overlay0\.vspec: Vehicle\.\*\.Nothing: matches no path"),
        (ROOT + SPEED, "Vehicle.Speed: 3\n", r"overlay0\.vspec.*Vehicle\.Speed"),
        (ROOT + SPEED, "Vehicle.FSD.X: {type: sensor, datatype: float, unit: m}\nVehicle.FSD.X: {}\n", "overlay0.vspec:2: .*twice"),
        (ROOT + SPEED, "Vehicle.Speed.Below: {type: sensor, datatype: float}\n", r"overlay0\.vspec:1: Vehicle\.Speed\.Below: is below a signal"),
        (ROOT + SPEED, "Boat.Speed: {type: sensor, datatype: float}\n", r"overlay0\.vspec:1: Boat\.Speed: is below another root"),
        (ROOT + SPEED + SPEED, "", r"car\.vspec:3: Vehicle\.Speed: is there twice"),
        (ROOT + SPEED.replace("}", ", unit: m}"), "", r"car\.vspec:2: unit: is there twice"),
        (ROOT + "#include gone.vspec\n", "", r"car\.vspec: .*gone\.vspec"),
        (ROOT + "#include car.vspec\n", "", r"car\.vspec: includes itself: car\.vspec -> car\.vspec"),
        (ROOT + "#include\n", "", r"car\.vspec: .*include"),
        ("- a\n- b\n", "", r"car\.vspec: is a list"),
        ("a: [\n", "", r"car\.vspec: is not YAML"),
        ("", "", r"car\.vspec: has no root"),
        (ROOT + "3: {type: branch}\n", "", r"car\.vspec:2: a path is text, not '3'"),
        (ROOT + "Boat: {type: branch}\n", "", r"car\.vspec: has more than one root: .*Boat"),
        (ROOT + "Vehicle.A: {type: sensor, datatype: string, allowed: [OFF, X]}\n", "", r"Vehicle\.A: .*False"),
        (ROOT + "Vehicle.A: {type: sensor, datatype: string, min: 0}\n", "", r"Vehicle\.A: min .* is not an .string"),
        (ROOT + "Vehicle.A: {type: branch, instances: 'R[3,1]'}\n", "", r"car\.vspec: .*\[3,1\]"),
        (ROOT + "Vehicle.A: {type: branch, instances: 3}\n", "", r"car\.vspec:2: Vehicle\.A: instances"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named(tmp_path: Path, standard: str, overlay: str, named: str) -> None:
    with pytest.raises(ToolError, match=named):
        _tree(tmp_path, standard, *([overlay] if overlay else []))


def test_a_circle_of_files_is_named(tmp_path: Path) -> None:
    _file(tmp_path, "a.vspec", "#include b.vspec\n")
    _file(tmp_path, "b.vspec", "#include a.vspec\n")
    with pytest.raises(ToolError, match=r"a\.vspec: includes itself: a\.vspec -> b\.vspec -> a\.vspec"):
        _tree(tmp_path, f"{ROOT}#include a.vspec Vehicle\n")


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("vss.json", "{", r"vss\.json: can't be read"),
        ("vss.json", "[]", r"vss\.json: is not a map"),
        ("vss.json", '{"Vehicle": 3}', r"vss\.json: Vehicle: a map"),
        ("vss.json", '{"Vehicle": {"type": "branch", "children": []}}', r"vss\.json: Vehicle: children"),
        ("vss.yaml", "a: [", r"vss\.yaml: can't be read"),
    ],
)
def test_a_broken_release_is_named(tmp_path: Path, name: str, text: str, named: str) -> None:
    with pytest.raises(ToolError, match=named):
        load_tree(_file(tmp_path, name, text))


def test_files_that_are_no_trees(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"absent\.vspec: can't be read"):
        load_tree(tmp_path / "absent.vspec")
    with pytest.raises(ToolError, match=r"o\.json: an overlay is a \.vspec file"):
        load_tree(BUILT_IN, [_file(tmp_path, "o.json", "{}")])
    (tmp_path / "latin.vspec").write_bytes(b"\xe4: 1\n")
    with pytest.raises(ToolError, match=r"latin\.vspec: is not UTF-8"):
        load_tree(tmp_path / "latin.vspec")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("Vehicle.Sped", "did you mean Vehicle.Speed"),
        ("vehicle.speed", r"did you mean Vehicle\.Speed\?"),
        ("Vehicle.ABS.IsEngaged", "did you mean Vehicle.ADAS.ABS.IsEngaged"),
        ("Vehicle.Chassis.Wheel.Row1.Left.Speed", "Vehicle.Chassis.Axle.Row1.Wheel.Left.Speed"),
        ("Vehicle.ADAS.ABS", "is a branch of 3 signals, among them Vehicle.ADAS.ABS.IsEnabled"),
        ("Zzz", r"is neither in vss_6_0\.vspec nor in an overlay$"),
    ],
)
def test_a_path_that_is_not_there(path: str, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        load_tree().node(path)


def test_reading_leaves_the_log_alone() -> None:
    load_tree()
    assert not any(type(handler).__module__.startswith("rich") for handler in logging.getLogger().handlers)


NUMBERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float", "double")
LEAF = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["sensor", "actuator", "attribute"]),
        "datatype": st.sampled_from(NUMBERS),
        "unit": st.sampled_from(["km/h", "m", "percent", "Celsius"]),
    },
    optional={"min": st.integers(0, 50), "max": st.integers(51, 100), "description": st.just("d")},
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.from_regex(r"\A([A-Z][a-z]{0,3}\.){0,3}[A-Z][a-z]{0,3}X\Z"), LEAF, min_size=1))
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, leaves: dict[str, dict[str, Any]]
) -> None:
    """Random leaves, as a source and as an overlay on an empty standard, give the same tree."""
    folder = tmp_path_factory.mktemp("tree")
    text = yaml.safe_dump({f"Vehicle.{path}": own for path, own in leaves.items()})
    as_source = load_tree(_file(folder, "source.vspec", ROOT + text))
    as_overlay = load_tree(_file(folder, "empty.vspec", ROOT), [_file(folder, "over.vspec", text)])
    for tree in (as_source, as_overlay):
        assert sorted(tree.nodes) == sorted(f"Vehicle.{path}" for path in leaves)
        for path, own in leaves.items():
            node = tree.nodes[f"Vehicle.{path}"]
            assert (node.datatype, node.unit) == (own["datatype"], own["unit"])
            assert (node.minimum, node.maximum) == (own.get("min", -math.inf), own.get("max", math.inf))
