"""``fsdctl audit show``: the records of a ledger, as they stand; ``verify`` says whether they hold."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from fsd_agent.records.ledger import Entry
from fsd_agent.wire.ledger import LedgerFormatError, decode_entry
from fsd_agent.wire.ledger_file import RECORD
from fsd_tools.audit.sources import read_ledger
from fsd_tools.clip.info import utc
from fsd_tools.errors import ToolError


def show(
    ledger_dir: Path,
    *,
    clip: str = "",
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Print the records of the ledger in LEDGER_DIR, unchecked.

    Example: fsdctl audit show ./car-1/data/ledger --clip 4f2a

    Parameters
    ----------
    ledger_dir
        The vehicle's ledger, or a copy.
    clip
        Only records of clips whose id begins so.
    as_json
        One JSON object a line.
    """
    table = Table(box=None, pad_edge=False)
    for name in ("record", "time", "what", "about"):
        table.add_column(name, overflow="fold")
    for entry in _entries(ledger_dir):
        members = {name: _plain(value) for name, value in dataclasses.asdict(entry.fact).items()}
        if not str(members.get("clip_id", "")).startswith(clip):
            continue
        kind = type(entry.fact).__name__
        if as_json:
            about = {"record": entry.number, "wall_ns": entry.wall_ns, "mono_ns": entry.mono_ns, "kind": kind}
            print(json.dumps(about | members))
        else:
            text = " ".join(f"{name}={value}" for name, value in members.items())
            table.add_row(str(entry.number), utc(entry.wall_ns), kind, text)
    if not as_json:
        Console().print(table, markup=False)
    return 0


def _entries(folder: Path) -> Iterator[Entry]:
    segments, findings = read_ledger(folder)
    if findings or not segments:
        why = str(findings[0]) if findings else "there is no segment"
        raise ToolError(f"{folder}: {why}")
    for name, segment in segments:
        for frame in segment.frames:
            if frame.kind == RECORD:
                try:
                    yield decode_entry(frame.body)
                except LedgerFormatError as error:
                    raise ToolError(f"{folder / name}: byte {frame.offset}: {error}") from error


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
