"""Every campaign family fires on its own drive and on no other's; docs/campaigns.md has the matrix."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from fsd_tools.campaign.backtest import Backtest, Source, run_backtest
from fsd_tools.campaign.compiler import compile_campaign
from fsd_tools.campaign.families import FAMILIES
from fsd_tools.drive.generate.drive import generate_drive
from fsd_tools.drive.generate.options import GenerateOptions, default_seconds
from fsd_tools.drive.generate.scenarios import SCENARIOS
from fsd_tools.drive.vehicles import DEMO_CAMERAS, fsd_demo

DOCS = (Path(__file__).parents[2] / "docs" / "campaigns.md").read_text(encoding="utf-8")
SECTION = DOCS.split("## Families that ship", 1)[1].split("\n## ", 1)[0]
FILES = sorted(FAMILIES.glob("*.yaml"))
SOURCES = [Source(path.name, path.read_text(encoding="utf-8")) for path in FILES]
CITY = {
    "cyclist_overtaken_close",
    "hard_braking_vru_near",
    "late_detection",
    "near_miss",
    "pedestrian_crossing_ahead",
}
"""What the city's story holds: it overtakes cyclists, and brakes hard for those who step out between parked cars."""


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    folder = tmp_path_factory.mktemp("scenarios")
    drives = []
    for name in SCENARIOS:
        drives.append(folder / f"{name}.mcap")
        options = GenerateOptions(seconds=default_seconds(name), scenario=name, video=False)
        generate_drive(drives[-1], options)
    return run_backtest(SOURCES, drives, progress=lambda _: None)


def _firings(result: Backtest) -> Counter[tuple[str, str]]:
    return Counter((one.firing.campaign_id, Path(one.drive).stem) for one in result.fired)


def test_there_is_a_family_for_every_scenario_and_the_other_way_round() -> None:
    assert {path.stem for path in FILES} == set(SCENARIOS)
    assert len(SCENARIOS) == 14


def test_every_family_fires_on_its_own_drive_and_on_no_other(result: Backtest) -> None:
    assert result.not_run == []
    assert set(_firings(result)) == {(name, name) for name in SCENARIOS}


def test_the_matrix_of_the_docs_is_the_result(result: Backtest) -> None:
    fired = _firings(result)
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|(.*)\|$", SECTION, re.MULTILINE)
    names = [name for _, name, _ in rows]
    assert [int(number) for number, _, _ in rows] == list(range(1, len(names) + 1))
    assert set(names) == set(SCENARIOS)
    assert re.search(r"^\| \| campaign \|(.*)\|$", SECTION, re.MULTILINE)[1].replace(" ", "").split("|") == [
        str(number) for number in range(1, len(names) + 1)
    ]
    for _, campaign, cells in rows:
        told = [int(cell) if cell.strip() else 0 for cell in cells.split("|")]
        assert told == [fired[campaign, drive] for drive in names], campaign


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_family_says_what_it_is_for_and_how_often_it_fires(path: Path) -> None:
    found = compile_campaign(
        path.read_text(encoding="utf-8"), file=path.name, catalogue=fsd_demo().catalogue, cameras=DEMO_CAMERAS
    )
    assert found.id == path.stem
    assert re.search(r"Expected[^:]*: .+\.$", " ".join(found.description.split()))
    assert found.budget.clips_per_day is not None
    assert found.capture.cameras
    assert found.capture.signals
    assert re.search(rf"^\| `{path.stem}` \| .+ \| .+ \|$", SECTION, re.MULTILINE)


def test_on_the_city_fires_what_the_docs_say(tmp_path: Path) -> None:
    drive = tmp_path / "city.mcap"
    generate_drive(drive, GenerateOptions(seconds=20, seed=7, width=160, height=120, fps=10, video=False))
    result = run_backtest(SOURCES, [drive], progress=lambda _: None)
    assert set(result.totals()) == CITY
    # The city has one camera, and a campaign for two does not run on it.
    assert [(one.campaign, one.reason.split(";")[0]) for one in result.not_run] == [
        ("main_narrow_disagreement.yaml", "capture.cameras: no camera 'narrow' on this vehicle")
    ]
    line = next(line for line in SECTION.splitlines() if line.startswith("The city"))
    assert set(re.findall(r"`(\w+)`", SECTION[SECTION.index(line) :].split("\n\n")[0])) >= CITY
