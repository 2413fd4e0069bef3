"""The demo on the screen: live progress, then the table, the matrix and where to look."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from fsd_tools.demo.account import Account
from fsd_tools.demo.play import HOME, REGIONS
from fsd_tools.demo.play import Progress as Played


class Painter:
    """One bar a vehicle on stderr. Use as a context manager."""

    def __init__(self, console: Console, seconds: float) -> None:
        self._seconds = seconds
        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(30),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def say(self, text: str) -> None:
        """One line above the bars."""
        self._bars.console.print(f"[dim]-[/dim] {text}")

    def paint(self, played: Played) -> None:
        """Bring the bars up to date."""
        if not self._tasks:
            self._bars.start()
            self._tasks = {
                vehicle: self._bars.add_task(vehicle, total=self._seconds, said="") for vehicle in HOME
            }
        with played.lock:
            for vehicle, task in self._tasks.items():
                heard = played.heard[vehicle]
                said = (
                    f"{heard.fired.total()} fired  {heard.count('sealed')} redacted and sealed  "
                    f"{heard.count('sent')} sent  {heard.count('delivered')} receipted"
                )
                self._bars.update(task, completed=min(heard.sensed_s, self._seconds), said=said)

    def stop(self) -> None:
        """Leave the bars as they are."""
        self._bars.stop()


def show(account: Account, console: Console, *, sheet: Path | None, root: Path) -> None:
    """Print the end of the demo for people."""
    console.print()
    console.print(_campaign_table(account))
    console.print(_matrix_table(account))
    if sheet is not None:
        console.print(f"contact sheet of the clips as they arrived: {sheet}")
    console.print(f"open in Foxglove (or with the mcap library): {root / 'regions'}/*/store/*/*.mcap")
    if account.complaints:
        console.print("[bold red]What does not add up:[/bold red]")
        for complaint in account.complaints:
            console.print(f"  - {complaint}")
    else:
        console.print(
            f"[bold green]Every firing is accounted for, {len(account.arrived)} clips arrived whole, "
            "and nothing went off the diagonal.[/bold green]"
        )


def as_json(account: Account, *, sheet: Path | None) -> dict[str, Any]:
    """The same for machines."""
    return {
        "ok": not account.complaints,
        "complaints": list(account.complaints),
        "campaigns": [
            {
                "vehicle": row.vehicle,
                "campaign": row.campaign,
                "fired": row.fired,
                "dropped": row.dropped,
                "redacted": row.redacted,
                "sent": row.sent,
                "receipted": row.receipted,
                "bytes": row.size_bytes,
            }
            for row in account.campaigns
        ],
        "bytes": account.bytes_matrix,
        "clips": [
            {
                "clip": one.clip_id,
                "vehicle": one.vehicle,
                "region": one.region,
                "campaigns": list(one.campaigns),
                "frames": one.frames,
                "path": str(one.path),
            }
            for one in account.arrived
        ],
        "sheet": str(sheet) if sheet is not None else None,
    }


def _campaign_table(account: Account) -> Table:
    table = Table(
        title="Firings, and the clips they became (a clip that campaigns share counts for each)",
        title_justify="left",
    )
    table.add_column("vehicle")
    table.add_column("campaign")
    for name in ("fired", "dropped"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for name in ("redacted", "sent", "receipted", "bytes"):
        table.add_column(name, justify="right")
    for row in account.campaigns:
        table.add_row(
            row.vehicle,
            row.campaign,
            str(row.fired),
            str(sum(row.dropped.values())),
            _reasons(row.dropped),
            str(row.redacted),
            str(row.sent),
            str(row.receipted),
            f"{row.size_bytes:,}",
        )
    return table


def _matrix_table(account: Account) -> Table:
    table = Table(title="Bytes that each region counted from each vehicle", title_justify="left")
    table.add_column("")
    for region in REGIONS:
        table.add_column(region, justify="right")
    for vehicle, regions in account.bytes_matrix.items():
        cells = [
            f"[green]{size:,}[/green]"
            if region == HOME[vehicle]
            else (f"[red]{size:,}[/red]" if size else "0")
            for region, size in regions.items()
        ]
        table.add_row(f"{vehicle} (registered in {HOME[vehicle]})", *cells)
    return table


def _reasons(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items()))
