"""``fsdctl vehicle status``: how a vehicle is, on the vehicle; or what a region's vehicles last said of themselves.

A vehicle's directory is looked at without a network (:mod:`.local_status`). A region's is asked over its broker: there
one sees why a campaign has collected what it has.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.records.clip import ClipState
from fsd_agent.records.status import CampaignStatus, Status
from fsd_agent.rules.trust.certificates import CertificateState, certificate_life
from fsd_agent.wire.ledger import LedgerFormatError, decode_head
from fsd_agent.wire.moments import show_moment
from fsd_agent.wire.status import StatusFormatError, decode_status
from fsd_agent.wire.transfer import status_subscription
from fsd_tools.errors import ToolError, UsageError
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy, read_retained
from fsd_tools.vehicle.local_show import (
    facts,
    fault_lines,
    hold_lines,
    level_line,
    lines,
    parked_lines,
    wait_lines,
)
from fsd_tools.vehicle.local_status import vehicle_status


def status(
    directory: Path,
    *,
    data: Path | None = None,
    vehicle: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show how the vehicle in DIRECTORY is, asking nobody; or, of a region's DIRECTORY, what its vehicles last said.

    Exit codes for a vehicle: 0 it belongs to a region and its agent runs, 3 it holds (the reason and what to do about it
    are shown), 4 its agent does not run, or is not heard of.

    Example: fsdctl vehicle status ./car-1

    Parameters
    ----------
    directory
        A vehicle's directory, or a region's, which must be served.
    data
        Of a vehicle: its agent's [storage] dir; by default data in DIRECTORY.
    vehicle
        Of a region: only this one.
    json
        One JSON object a vehicle.
    """
    if not RegionDir(directory).policy.exists():
        if vehicle is not None:
            raise UsageError("--vehicle: DIRECTORY is not a region's.")
        return _local(directory, data or directory / "data", as_json=json)
    if data is not None:
        raise UsageError("--data: DIRECTORY is a region's, not a vehicle's.")
    return _of_region(directory, vehicle, as_json=json)


def _local(directory: Path, data: Path, *, as_json: bool) -> int:
    found = vehicle_status(directory, data, SystemClock())
    if as_json:
        print(msgspec.json.encode(facts(found)).decode())
    else:
        for line in lines(found):
            print(line)
    return found.exit_code


def _of_region(directory: Path, vehicle: str | None, *, as_json: bool) -> int:
    found = read_status(RegionDir(directory))
    if vehicle is not None:
        found = [one for one in found if one.vehicle == vehicle]
    if not found:
        raise ToolError(f"region {directory}: {vehicle or 'no vehicle'} has not said anything yet")
    for one in found:
        if as_json:
            print(msgspec.json.encode(status_facts(one)).decode())
        else:
            _show(one, Console())
    return 0


def read_status(region: RegionDir) -> list[Status]:
    """The retained status of every vehicle, by vehicle. Raises :class:`ToolError`."""
    policy = load_policy(region)
    retained = read_retained(region, policy, status_subscription(policy.region_id))
    try:
        found = [decode_status(payload) for payload in retained.values()]
    except StatusFormatError as error:
        raise ToolError(f"region {policy.region_id}: {error}") from None
    return sorted(found, key=lambda one: one.vehicle)


def status_facts(one: Status) -> dict[str, Any]:
    """The status as JSON can hold it, with the ledger's head readable."""
    facts: dict[str, Any] = msgspec.to_builtins(one)
    facts["campaigns"] = [{**each._asdict(), "in_progress": each.in_progress} for each in one.campaigns]
    head = decode_head(one.ledger_head).value if one.ledger_head else None
    facts["ledger"] = {"size": head.size, "root": head.root.hex()} if head is not None else None
    return facts


def _ledger(one: Status) -> str:
    """Size and root of its ledger, in words."""
    try:
        head = decode_head(one.ledger_head).value if one.ledger_head else None
    except LedgerFormatError as error:
        return f"[red]{error}[/red]"
    if head is None:
        return "[red]can't be written to: nothing is sealed, sent or erased[/red]"
    return f"{head.size} records, root {head.root.hex()}"


def _certificate(one: Status) -> str:
    """Until when it serves, in words."""
    until_ns = one.certificate_until_wall_ns
    if not until_ns:
        return "not told"
    life = certificate_life(one.region, until_wall_ns=until_ns, now_wall_ns=time.time_ns())
    until = show_moment(until_ns)
    if life.state is CertificateState.SERVES:
        return f"until {until}"
    return f"[red]{life.state}, until {until}: {life.days_left} days left[/red]; fsdctl vehicle enrol --renew"


def _show(one: Status, console: Console) -> None:
    age_s = max(0, time.time_ns() - one.wall_ns) // 1_000_000_000
    console.print(
        f"[bold]{one.vehicle}[/bold] in {one.region}, {age_s} s ago: agent {one.agent_version}, "
        f"registration {one.registration_serial}, policy {one.policy_version}, "
        f"campaign set {one.campaign_set or 'none'}, CPU {one.use.cpu_s:.1f} s, {one.use.resident_bytes / 1e6:.0f} MB",
        highlight=False,
    )
    console.print(f"  ledger: {_ledger(one)}", highlight=False)
    console.print(f"  certificate: {_certificate(one)}", highlight=False)
    for what, text in (
        ("refused push", one.refused_push),
        ("refused policy", one.refused_policy),
        ("trouble", one.trouble),
    ):
        if text:
            console.print(f"  [red]{what}[/red]: {text}", highlight=False)
    for name, reason in one.suspended.items():
        console.print(f"  [red]suspended[/red] {name}: {reason}", highlight=False)
    for line in hold_lines(one.holds):
        console.print(f"  {line}", highlight=False)
    waiting = "; ".join(level_line(state, level) for state, level in sorted(one.spool.items())) or "none"
    lost = ", ".join(f"{count} {name}" for name, count in sorted(one.lost.items()) if count) or "none"
    console.print(f"  clips under way: {waiting}; input lost: {lost}", highlight=False)
    captured = one.spool[ClipState.CAPTURED].clips if ClipState.CAPTURED in one.spool else 0
    for line in (*parked_lines(captured, until_parked=one.until_parked), *wait_lines(one.waits)):
        console.print(f"  {line}", highlight=False)
    console.print(f"  models: {', '.join(one.models) or 'none'}; formats: {_formats(one)}", highlight=False)
    for line in fault_lines(one.faults):
        console.print(f"  {line}", highlight=False)
    _show_campaigns(one, console)


def _show_campaigns(one: Status, console: Console) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("campaign", no_wrap=True)
    for name in ("fired", "under way", "delivered", "MB"):
        table.add_column(name, justify="right")
    table.add_column("dropped", overflow="fold")
    for campaign in one.campaigns:
        table.add_row(
            campaign.id,
            str(campaign.fired),
            _stages(campaign),
            str(campaign.delivered),
            f"{campaign.delivered_bytes / 1e6:.2f}",
            ", ".join(f"{count} {reason}" for reason, count in sorted(campaign.dropped.items())) or "0",
        )
    console.print(table)
    for name, counts in sorted(one.unjudged.items()):
        missed = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
        console.print(f"  kept, for it could not be judged: {name}: {missed}", highlight=False)
    for name, counts in sorted(one.kept.items()):
        became = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in sorted(counts.items()))
        console.print(f"  cut to the best seconds: {name}: {became}", highlight=False)
    if one.campaigns_left_out:
        console.print(
            f"  {one.campaigns_left_out} more campaigns fired less often; the message has no room for them"
        )


def _stages(campaign: CampaignStatus) -> str:
    """Its firings that are on board, a line a stage."""
    counts = {"staged": campaign.staged, "captured": campaign.captured, "sealed": campaign.sealed}
    return "\n".join(f"{count} {stage}" for stage, count in counts.items() if count) or "0"


def _formats(one: Status) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(one.wire.items())) or "not told"
