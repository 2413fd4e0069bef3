"""Shared by the benches: one small rendered drive, and the campaigns that fire on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd_tools.campaign.families import FAMILIES
from fsd_tools.rig.forks import Forks
from fsd_tools.rig.processes import fsdctl
from fsd_tools.rig.rig import FORKED

FIRING_CAMPAIGNS = ("pedestrian_crossing_ahead", "cyclist_overtaken_close")


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Agents, regions and commands start from here at once; the demo and the agent's own tests start them as a shell does."""
    forks = Forks(*FORKED)
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def city_drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of city in small pictures: cheap to redact, rich in firings."""
    drive = tmp_path_factory.mktemp("drive") / "city.mcap"
    fsdctl(
        "drive", "generate", "-o", drive, "--seconds", "20", "--seed", "7",
        "--width", "160", "--height", "120", "--fps", "10",
    )  # fmt: skip
    return drive


@pytest.fixture(scope="session")
def campaigns(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Campaigns that fire on :func:`city_drive`, without budgets and novelty: a bench drives the same day many times."""
    folder = tmp_path_factory.mktemp("campaigns")
    paths = []
    for name in FIRING_CAMPAIGNS:
        lines = (FAMILIES / f"{name}.yaml").read_text().splitlines(keepends=True)
        path = folder / f"{name}.yaml"
        kept = [line for line in lines if not line.startswith(("budget:", "selection:"))]
        path.write_text("".join([*kept, "selection: {novelty: off}\n"]))
        paths.append(path)
    return tuple(paths)
