"""The user's setting as ``fsdctl`` writes it for firmware, and as the agent reads it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from fsd_agent.adapters.key_files import VehicleDir
from fsd_agent.records.purpose import Purpose
from fsd_agent.wire.consent import decode_consent
from fsd_tools.main import main
from fsd_tools.vehicle.consent import change_consent

NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)


def shown(car: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, bool]:
    assert main(["vehicle", "consent", str(car), *arguments, "--json"]) == 0
    consent: dict[str, bool] = json.loads(capsys.readouterr().out)["consent"]
    return consent


def test_off_until_given_and_off_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not any(shown(tmp_path, capsys).values())
    assert not VehicleDir(tmp_path).consent.exists(), "looking writes nothing"
    both = shown(tmp_path, capsys, "--give", "safety", "--give", "diagnostics")
    assert both == {
        "automated_driving": False,
        "safety": True,
        "diagnostics": True,
        "occupant_monitoring": False,
    }
    first = decode_consent(VehicleDir(tmp_path).consent.read_bytes())
    assert shown(tmp_path, capsys, "--withdraw", "safety", "--give", "automated_driving") == {
        "automated_driving": True,
        "safety": False,
        "diagnostics": True,
        "occupant_monitoring": False,
    }
    second = decode_consent(VehicleDir(tmp_path).consent.read_bytes())
    assert second.revision > first.revision
    assert second.given == {Purpose.AUTOMATED_DRIVING, Purpose.DIAGNOSTICS}
    assert main(["vehicle", "consent", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "not given" in out
    assert "find faults" in out
    assert "pictures and sound of the cabin" in " ".join(out.split())


def test_a_change_that_is_none_is_no_new_revision(tmp_path: Path) -> None:
    one = change_consent(tmp_path, [Purpose.SAFETY], [], NOW)
    assert change_consent(tmp_path, [Purpose.SAFETY], [Purpose.DIAGNOSTICS], NOW) == one
    assert change_consent(tmp_path, [], [], NOW) == one


def test_a_document_that_is_made_anew_is_newer_than_the_lost_one(tmp_path: Path) -> None:
    before = change_consent(tmp_path, [Purpose.SAFETY], [], NOW)
    VehicleDir(tmp_path).consent.unlink()
    after = change_consent(tmp_path, [Purpose.SAFETY], [], NOW + dt.timedelta(seconds=1))
    assert after.revision > before.revision
    again = change_consent(tmp_path, [], [Purpose.SAFETY], NOW - dt.timedelta(days=9))
    assert again.revision == after.revision + 1, "also with a clock that went back"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--give", "hobby"], 2, "hobby"),
        (["--give", "safety", "--withdraw", "safety"], 2, "one or the other"),
    ],
)
def test_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    assert main(["vehicle", "consent", str(tmp_path), *arguments]) == code
    said = capsys.readouterr()
    assert says in said.out + said.err
    assert not VehicleDir(tmp_path).consent.exists()


def test_what_can_not_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = VehicleDir(tmp_path).consent
    path.write_text('{"v": 1, "revision": 1, "given": ["hobby"]}')
    assert main(["vehicle", "consent", str(tmp_path), "--give", "safety"]) == 1
    said = capsys.readouterr().err
    assert str(path) in said
    assert "consent to nothing" in said
    assert main(["vehicle", "consent", str(tmp_path / "none")]) == 1
    assert "fsdctl vehicle enrol" in capsys.readouterr().err
