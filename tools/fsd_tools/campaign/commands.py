"""``fsdctl campaign``: check campaign files, push them to a region, run them over recorded drives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress

from fsd_agent.records.campaign import LIMITS, SECOND_NS, Campaign, CampaignSet
from fsd_tools.campaign.backtest import Backtest, Source, drive_files, run_backtest
from fsd_tools.campaign.compiler import CampaignError, compile_campaign, compile_files
from fsd_tools.campaign.head_commands import heads
from fsd_tools.campaign.push import push as publish
from fsd_tools.campaign.schema import FieldError, parse_file, read_text
from fsd_tools.campaign.summary import as_dict, campaign_table, program_lines
from fsd_tools.campaign.vehicle import vehicle_of
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir

app = cyclopts.App(
    name="campaign",
    help="""Check, push and backtest campaigns.

    For example:

        fsdctl campaign check braking.yaml
        fsdctl campaign backtest braking.yaml --drives ./drives
        fsdctl campaign push braking.yaml --region ./cn
    """,
)

app.command(heads)

Json = Annotated[bool, Parameter(name="--json", negative="")]
Files = Annotated[tuple[Path, ...], Parameter(negative="")]


@app.command
def check(*files: Path, vehicle: Path | None = None, json: Json = False) -> int:
    """Check campaign FILES: schema, condition, signals, cameras, window; says what each reads, looks back and costs.

    Example: fsdctl campaign check braking.yaml --vehicle city.mcap

    Parameters
    ----------
    files
        Campaign files (YAML).
    vehicle
        A drive whose signals and cameras to check against; the car of generated drives when left out.
    json
        Print one JSON object with every file's result.
    """
    _need(files)
    against = vehicle_of(vehicle)
    good: list[Campaign] = []
    bad: list[CampaignError] = []
    for file in files:
        try:
            good.append(
                compile_campaign(
                    read_text(file), file=str(file), catalogue=against.catalogue, cameras=against.cameras
                )
            )
        except CampaignError as error:
            bad.append(error)
    if json:
        refused = [{"file": one.file, "field": one.field, "reason": one.reason} for one in bad]
        _print_json({"campaigns": [as_dict(one) for one in good], "refused": refused})
    elif good:
        Console().print(campaign_table("Sound campaigns", good))
        for one in good:
            print("\n".join(program_lines(one)))
        print(f"{LIMITS.operations_per_s:,} operations a second are allowed to each campaign")
    if bad and not json:
        raise ToolError("\n".join(str(error) for error in bad))
    return 1 if bad else 0


@app.command
def push(*files: Path, region: Path, vehicle: Path | None = None, json: Json = False) -> int:
    """Publish campaign FILES to a region as the whole set that is in force there from now on.

    Example: fsdctl campaign push braking.yaml cyclists.yaml --region ./cn

    Parameters
    ----------
    files
        Campaign files; a file that names another region is refused, one that names none goes to this region.
    region
        Region directory; its operator's certificate and campaign key are used.
    vehicle
        A drive whose signals and cameras to check against; the car of generated drives when left out.
    json
        Print what was published as one JSON object.
    """
    _need(files)
    against = vehicle_of(vehicle)

    def compiled(region_id: str, version: int) -> CampaignSet:
        return compile_files(
            files,
            catalogue=against.catalogue,
            cameras=against.cameras,
            region_id=region_id,
            version=version,
        )

    pushed = publish(RegionDir(region), compiled)
    campaigns = pushed.campaigns
    if json:
        _print_json(
            {
                "region": pushed.region_id,
                "version": campaigns.version,
                "topic": pushed.topic,
                "bytes": pushed.envelope_bytes,
                "sketch_codes": len(campaigns.sketch.codes) if campaigns.sketch else 0,
                "campaigns": [as_dict(one) for one in campaigns.campaigns],
            }
        )
    else:
        title = f"Set {campaigns.version} is in force in region {pushed.region_id} ({pushed.envelope_bytes} bytes)"
        Console().print(campaign_table(title, campaigns.campaigns))
    return 0


@app.command
def backtest(
    *files: Path,
    drives: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")],
    json: Json = False,
) -> int:
    """Run campaign FILES over recorded drives with the car's own engine and print every firing.

    Exit code 1 when a drive could not be read whole or a campaign could not be run on a drive; both are listed.

    Example: fsdctl campaign backtest braking.yaml --drives ./drives city.mcap

    Parameters
    ----------
    files
        Campaign files; each is compiled against each drive's own vehicle.
    drives
        Drive files, and folders to look through for them.
    json
        Print one JSON object with the firings, totals and what was not run.
    """
    _need(files)
    sources = [_source(file) for file in files]
    paths = drive_files(drives)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(paths))

        def began(path: Path) -> None:
            bar.update(task, description=path.name, advance=1)

        result = run_backtest(sources, paths, progress=began)
    if json:
        _print_json(_backtest_dict(result))
    else:
        _print_backtest(result)
    return 1 if result.not_run else 0


def _need(files: Sequence[Path]) -> None:
    if not files:
        raise ToolError("no campaign files given")


def _source(file: Path) -> Source:
    """A file that is sound in itself; whether a vehicle can run it is another question."""
    text = read_text(file)
    try:
        parse_file(text)
    except FieldError as error:
        raise CampaignError(str(file), error.field, error.reason) from None
    return Source(str(file), text)


def _print_json(data: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())


def _backtest_dict(result: Backtest) -> dict[str, Any]:
    return {
        "drives": result.drives,
        "seconds": result.seconds,
        "firings": [
            {
                "drive": one.drive,
                "campaign": one.firing.campaign_id,
                "version": one.firing.campaign_version,
                "t_ns": one.firing.t_ns,
                "wall_ns": one.wall_ns,
                "drive_s": one.drive_ns / SECOND_NS,
                "evidence": dict(one.firing.evidence),
            }
            for one in result.fired
        ],
        "totals": result.totals(),
        "not_run": [
            {"drive": one.drive, "campaign": one.campaign, "reason": one.reason} for one in result.not_run
        ],
    }


def _print_backtest(result: Backtest) -> None:
    """One line a firing, so that it can be searched and sorted with ordinary tools."""
    for one in result.fired:
        seen = " ".join(f"{name}={value}" for name, value in one.firing.evidence)
        at = f"{one.drive_ns / SECOND_NS:.3f} s"
        print(f"{Path(one.drive).name}  {one.firing.campaign_id}  {at}  t_ns={one.firing.t_ns}  {seen}")
    for lost in result.not_run:
        what = f"{lost.drive}: {lost.campaign}" if lost.campaign else lost.drive
        print(f"not run: {what}: {lost.reason}")
    totals = ", ".join(f"{campaign} {count}" for campaign, count in result.totals().items()) or "none"
    print(f"{result.drives} drives, {result.seconds:.0f} s; firings: {totals}")
