"""``fsdctl catalogue``: one line a signal, every problem at once, plain errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsd_tools.drive.vehicles import HERE
from fsd_tools.main import main

MAPPING = '[signals."Vehicle.Speed"]\nbus = 0\nmessage = "M"\nsignal = "S"\n'
DBC = 'VERSION ""\nNS_ :\nBS_:\nBU_: X\nBO_ 1 M: 8 X\n SG_ S : 0|16@1+ (0.01,0) [0|0] "kph" X\n'


@pytest.fixture
def car(tmp_path: Path) -> Path:
    (tmp_path / "car.dbc").write_text(DBC)
    path = tmp_path / "car.toml"
    path.write_text(MAPPING)
    return path


def _run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["catalogue", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_show_is_one_line_a_signal(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "show")
    speed = next(line for line in out.splitlines() if line.startswith("Vehicle.Speed "))
    assert code == 0
    assert speed.split() == [
        "Vehicle.Speed",
        "double",
        "km/h",
        "0",
        "..",
        "300",
        "stale",
        "after",
        "50",
        "ms",
    ]
    assert "0 OFF, 1 STANDBY, 2 ENGAGED, 3 TAKEOVER" in out


def test_show_of_a_mapping_as_json(car: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "show", "--mapping", car, "--dbc", f"0={car.with_suffix('.dbc')}", "--json")
    assert code == 0
    assert json.loads(out)["signals"] == [
        {
            "row": 0, "path": "Vehicle.Speed", "type": "double", "unit": "km/h", "minimum": None, "maximum": None,
            "description": "", "labels": {}, "stale_ns": 0,
        }
    ]  # fmt: skip


def test_check_against_everything(car: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "check", car, "--dbc", f"0={car.with_suffix('.dbc')}")
    assert (code, "1 signals, sound against the standard and the DBC files" in out) == (0, True)
    code, out, _ = _run(capsys, "check", HERE / "fsd_demo.toml")
    assert (code, "no --dbc" in out) == (0, True)


def test_check_names_every_problem(car: Path, capsys: pytest.CaptureFixture[str]) -> None:
    car.write_text(MAPPING.replace("Speed", "Sped") + MAPPING.replace("Vehicle.Speed", "Vehicle.Spede"))
    code, _, err = _run(capsys, "check", car)
    assert code == 1
    assert "Vehicle.Sped: " in err
    assert "Vehicle.Spede: " in err
    assert err.count("did you mean Vehicle.Speed") == 2
    code, out, _ = _run(capsys, "check", car, "--json")
    assert code == 1
    assert [one["path"] for one in json.loads(out)["refused"]] == ["Vehicle.Sped", "Vehicle.Spede"]


def test_a_release_and_an_overlay_of_ones_own(
    car: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = {"Vehicle": {"type": "branch", "children": {}}}
    (tmp_path / "vss.json").write_text(json.dumps(release))
    code, _, err = _run(capsys, "check", car, "--standard", tmp_path / "vss.json")
    assert (code, "is neither in vss.json nor in an overlay" in err) == (1, True)
    (tmp_path / "own.vspec").write_text("Vehicle.Speed: {type: sensor, datatype: float, unit: km/h}\n")
    words = ["check", car, "--standard", tmp_path / "vss.json", "--overlay", tmp_path / "own.vspec"]
    assert _run(capsys, *words)[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["show", "--dbc", "0=a.dbc"], 2, "go with --mapping"),
        (["show", "--mapping", "a.toml"], 2, "--dbc BUS=FILE"),
        (["show", "--mapping", "a.toml", "--vehicle", "b.mcap"], 2, "one of the two"),
        (["show", "--vehicle", "absent.mcap"], 1, "absent.mcap"),
        (["check", "absent.toml"], 1, "absent.toml: can't be read"),
        (["check", str(HERE / "fsd_demo.toml"), "--dbc", "a.dbc"], 2, "--dbc a.dbc: expected BUS=FILE"),
        (["check", str(HERE / "fsd_demo.toml"), "--dbc", "900=a.dbc"], 2, "expected BUS=FILE"),
        (["check", str(HERE / "fsd_demo.toml"), "--dbc", "0=absent.dbc"], 1, "absent.dbc: can't be read"),
        (["check"], 2, ""),
    ],
)
def test_plain_errors(
    words: list[str], code: int, named: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found, _, err = _run(capsys, *words)
    assert found == code
    assert err.startswith("fsdctl: error: ")
    assert named in err
    assert err.count("\n") == 1
