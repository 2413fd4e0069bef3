"""The documentation names files that exist, and every direct dependency has its line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASES = (
    ROOT,
    ROOT / "docs",
    ROOT / "hil_tests",
    *(ROOT / "agent" / "fsd_agent" / sub for sub in ("", "rules")),
    *(ROOT / folder for folder in ("agent", "firmware_bindings", "models", "tools")),
    ROOT / "firmware_bindings" / "fsd_firmware",
)
PAGES = sorted([ROOT / "README.md", ROOT / "hil_tests" / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`([a-z_][\w./]*\.(?:py|md|toml|yaml|txt))`", text))
    links = {link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not link.startswith("http")}
    made_by_users = {"agent.toml", "model.toml", "region.toml", "braking.yaml", "city.toml"}
    missing = [
        name
        for name in sorted(named | links)
        if name not in made_by_users
        and not any((base / name).exists() for base in (*BASES, page.parent))
        and not list(ROOT.glob(f"*/fsd_*/**/{name}"))
    ]
    assert not missing


def test_every_direct_dependency_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    names = {re.split(r"[<>=~\[ ]", requirement)[0] for requirement in wanted}
    table = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| ([A-Za-z0-9-]+)", table, re.MULTILINE))
    assert names <= listed, sorted(names - listed)


def test_locks_name_no_index_and_hash_everything() -> None:
    for lock in ("car.txt", "dev.txt"):
        lines = (ROOT / "requirements" / lock).read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if "index" in line or "http" in line]
        pinned = [line for line in lines if re.match(r"[a-z].*==", line)]
        assert pinned
        assert all(line.rstrip().endswith("\\") for line in pinned), "a pin without hashes"
