"""The table of events in the documentation is complete and holds nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from fsd_agent.ports.events import EventName

ARCHITECTURE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"


def test_every_event_is_documented() -> None:
    section = ARCHITECTURE.read_text(encoding="utf-8").partition("## Events")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    assert documented == set(get_args(EventName))
