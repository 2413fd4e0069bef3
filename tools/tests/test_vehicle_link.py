"""Link and ignition as ``fsdctl`` writes them for firmware, and as the agent is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fsd_tools.main import main


def shown(car: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["vehicle", "link", str(car), *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_what_is_said_is_what_the_agent_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = shown(tmp_path, capsys)
    assert unknown["link"] == {"kind": "unknown", "metered": True, "roaming": True}
    assert "link.json: No such file" in unknown["fault"]
    assert not list(tmp_path.iterdir()), "looking writes nothing"
    said = shown(tmp_path, capsys, "cellular", "--metered", "--ignition-off", "--drain-s", "60")
    assert said["link"] == {"kind": "cellular", "metered": True, "roaming": False}
    assert not said["power"]["ignition_on"]
    assert 0 < said["power"]["drain_left_ns"] <= 60 * 10**9
    home = shown(tmp_path, capsys, "wifi")
    assert home["link"] == {"kind": "wifi", "metered": False, "roaming": False}
    assert home["power"] == {"ignition_on": True, "drain_left_ns": 0}
    assert main(["vehicle", "link", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "link: wifi, not metered; ignition on\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--metered"], "KIND: say which link"),
        (["wifi", "--drain-s", "5"], "--drain-s: the drain window begins with --ignition-off"),
        (["wifi", "--ignition-off", "--drain-s", "nan"], "--drain-s nan: is no number of seconds"),
        (["bluetooth"], "bluetooth"),
    ],
)
def test_wrong_usage(
    tmp_path: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vehicle", "link", str(tmp_path), *arguments]) == 2
    assert says in capsys.readouterr().err
