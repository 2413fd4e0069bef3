"""The systemd units that integrators install: systemd takes them, and they say what the documentation says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import fsd_tools.vehicle
from fsd_tools.main import main

UNITS = Path(fsd_tools.vehicle.__file__).parent / "systemd"
NAMES = ("fsd-agent.service", "fsd-egress.path", "fsd-egress.service", "fsd-egress.timer")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "residency.md"


def read(name: str) -> dict[str, dict[str, list[str]]]:
    unit: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = unit.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, found, value = line.partition("=")
            assert found, f"{name}: {line}"
            section.setdefault(key, []).append(value)
    return unit


def test_all_files_are_there_and_documented() -> None:
    assert sorted(path.name for path in UNITS.iterdir()) == sorted((*NAMES, "fsd.conf"))
    assert "tools/fsd_tools/vehicle/systemd" in DOCS.read_text(encoding="utf-8")


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    for name in NAMES:
        text = (UNITS / name).read_text(encoding="utf-8")
        for program in ("fsd-agent", "fsdctl"):  # They are looked for, and this machine has none
            text = text.replace(f"/usr/bin/{program} ", "/bin/true ")
        (tmp_path / name).write_text(text, encoding="utf-8")
    argv = [analyze, "verify", "--man=no", *(str(tmp_path / name) for name in NAMES)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    about = [line for line in (done.stdout + done.stderr).splitlines() if "fsd-" in line]
    assert (done.returncode, about) == (0, [])


def test_the_agent_never_starts_without_the_list_and_can_not_change_it() -> None:
    agent, egress = read("fsd-agent.service"), read("fsd-egress.service")
    assert agent["Unit"]["Requires"] == agent["Unit"]["After"] == ["fsd-egress.service"]
    assert agent["Service"]["User"] == ["fsd"]
    assert agent["Service"]["CapabilityBoundingSet"] == [""]
    assert agent["Service"]["NoNewPrivileges"] == ["yes"]
    assert "AF_PACKET" not in agent["Service"]["RestrictAddressFamilies"][0]
    assert egress["Service"]["Type"] == ["oneshot"]
    assert "RemainAfterExit" not in egress["Service"], "a unit that stays up is not started again by the path"


def test_the_command_of_the_unit_is_one_that_fsdctl_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (command,) = read("fsd-egress.service")["Service"]["ExecStart"]
    program, *argv = command.split()
    assert program == "/usr/bin/fsdctl"
    argv = ["0" if part == "fsd" else part.replace("/var/lib/fsd", str(tmp_path / "no")) for part in argv]
    assert main(argv) == 1
    assert "is not a vehicle's directory" in capsys.readouterr().err


def test_every_file_that_decides_is_watched() -> None:
    assert read("fsd-egress.path")["Path"]["PathChanged"] == [
        "/var/lib/fsd/registration.signed",
        "/var/lib/fsd/policies",
        "/var/lib/fsd/trust",
    ]
