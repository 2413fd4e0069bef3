"""The demo on the screen: live progress, then the table, the matrix and where to look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from fsd_tools.demo.account import Account
from fsd_tools.demo.ledgers import LedgerAccount
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
        self._rendering: TaskID | None = None

    def say(self, text: str) -> None:
        """One line above the bars."""
        self._bars.console.print(f"[dim]-[/dim] {text}")

    def rendered(self, share: float) -> None:
        """A bar for the drive while it is rendered."""
        if self._rendering is None:
            self._bars.start()
            self._rendering = self._bars.add_task("rendering", total=1.0, said="")
        self._bars.update(self._rendering, completed=share)

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
                driven = self._seconds if heard.ended else min(heard.sensed_s, self._seconds)
                self._bars.update(task, completed=driven, said=said)

    def stop(self) -> None:
        """Leave the bars as they are."""
        self._bars.stop()


def show(account: Account, console: Console, *, sheet: Path | None, root: Path) -> None:
    """Print the end of the demo for people."""
    console.print()
    console.print(_campaign_table(account))
    console.print("[dim]A clip that campaigns share counts for each of them.[/dim]\n")
    console.print(_matrix_table(account))
    for ledger in account.ledgers:
        for line in _ledger_lines(ledger):
            console.print(line, highlight=False, soft_wrap=True)
    console.print()
    if sheet is not None:
        console.print("Contact sheet of the clips as they arrived:")
        console.print(f"  {sheet}", highlight=False, soft_wrap=True)
    console.print("Open them in Foxglove, or look into one with `fsdctl clip info`:")
    console.print(f"  {root / 'regions'}/*/store/*/*.mcap\n", highlight=False, soft_wrap=True)
    if account.complaints:
        console.print("[bold red]What does not add up:[/bold red]")
        for complaint in account.complaints:
            console.print(f"  - {complaint}")
    else:
        console.print(
            f"[bold green]Every firing is accounted for, {len(account.arrived)} clips arrived whole, "
            "nothing went off the diagonal, and the ledgers prove it.[/bold green]"
        )


def _ledger_lines(ledger: LedgerAccount) -> Iterator[str]:
    """What the audit of one ledger said."""
    yield f"[dim]$ {ledger.command}[/dim]"
    if ledger.complaints:
        yield f"  [red]{ledger.vehicle}: {len(ledger.complaints)} findings[/red]"
        return
    yield (
        f"  [green]everything holds[/green]: {ledger.records} records, {ledger.delivered} clips at the region with "
        f"{ledger.receipts_verified} verified receipts, {ledger.given_up} given up"
    )
    told = (
        "and continues the head that the region was told"
        if ledger.heads_told
        else "of which no region was told"
    )
    yield f"  root {ledger.root}, {told}"


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
        "ledgers": [asdict(ledger) for ledger in account.ledgers],
        "wire": None
        if account.wire is None
        else {
            vehicle: {
                region: {"packets": count.packets, "bytes": count.bytes} for region, count in regions.items()
            }
            for vehicle, regions in account.wire.items()
        },
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
    """Narrow enough for a terminal of 80 columns: a section for each vehicle."""
    table = Table(
        title="Firings, and the clips they became",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        header_style="bold underline",
    )
    table.add_column("campaign", no_wrap=True)
    table.add_column("fired", justify="right")
    table.add_column("dropped", no_wrap=True)
    for name in ("redacted", "sent", "receipted", "MB"):
        table.add_column(name, justify="right")
    vehicle = None
    for row in account.campaigns:
        if row.vehicle != vehicle:
            vehicle = row.vehicle
            table.add_row()
            table.add_row(f"[bold]{vehicle}[/bold], to {HOME[vehicle]}")
        table.add_row(
            row.campaign,
            str(row.fired),
            _reasons(row.dropped) or "0",
            str(row.redacted),
            str(row.sent),
            str(row.receipted),
            f"{row.size_bytes / 1e6:.2f}",
        )
    return table


def _matrix_table(account: Account) -> Table:
    """By packet counters where there are any: they ask neither vehicle nor receiver."""
    if account.wire is not None:
        title = "Packets / bytes that reached each region (kernel's counters)"
        matrix = {
            vehicle: {
                region: (count.packets, f"{count.packets:,} / {count.bytes:,}")
                for region, count in row.items()
            }
            for vehicle, row in account.wire.items()
        }
    else:
        title = "Bytes that each region's receiver counted (no packet counters)"
        matrix = {
            vehicle: {region: (size, f"{size:,}") for region, size in row.items()}
            for vehicle, row in account.bytes_matrix.items()
        }
    table = Table(
        title=title,
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("")
    for region in REGIONS:
        table.add_column(region, justify="right")
    for vehicle, regions in matrix.items():
        cells = [
            f"[green]{said}[/green]" if region == HOME[vehicle] else (f"[red]{said}[/red]" if size else "0")
            for region, (size, said) in regions.items()
        ]
        table.add_row(f"{vehicle} (registered in {HOME[vehicle]})", *cells)
    return table


def _reasons(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
