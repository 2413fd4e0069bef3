"""The vehicle's own status as text for people, and as JSON for machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from fsd_agent.records.clip import ClipState
from fsd_agent.records.local_status import Belongs
from fsd_agent.records.status import Fault, HoldSpan, SpoolLevel
from fsd_agent.wire.moments import NS_PER_S, show_moment
from fsd_tools.vehicle.local_status import Agent, VehicleStatus, wall_age_s


def facts(found: VehicleStatus) -> dict[str, Any]:
    """For machines: everything, with the exit code."""
    said: dict[str, Any] = msgspec.to_builtins(found)
    return said | {"exit_code": found.exit_code}


def lines(found: VehicleStatus) -> Iterator[str]:
    """For people: what counts first."""
    yield _state(found.belongs)
    if found.advice:
        yield f"  {found.belongs.hold_detail}"
        yield f"  what to do: {found.advice}"
    yield f"agent: {_agent(found)}"
    if found.agent is Agent.RUNNING and found.belongs != found.by_files:
        yield f"  its files say otherwise now: {_state(found.by_files)}"
    yield from _policies(found)
    yield from _waiting(found)
    yield from _uplink(found)
    for region_id, until in found.certificates.items():
        shown = f"until {show_moment(int(until) * NS_PER_S)}" if until.isdecimal() else until
        over = ", OVER" if until.isdecimal() and wall_age_s(int(until) * NS_PER_S) else ""
        yield f"certificate for region {region_id}: {shown}{over}"
    yield _ledger(found)
    if found.told is not None:
        if found.told.trouble:
            yield f"trouble: {found.told.trouble}"
        yield from fault_lines(found.told.faults)
        yield from hold_lines(found.told.holds)


def hold_lines(holds: tuple[HoldSpan, ...]) -> Iterator[str]:
    """The history of holds, the newest first."""
    for one in reversed(holds):
        until = f"until {show_moment(one.until_wall_ns)}" if one.until_wall_ns else "and still"
        since = show_moment(one.since_wall_ns)
        yield f"held for {duration(one.held_ns // NS_PER_S)}: {one.reason}, from {since} {until}"


def wait_lines(waits: Mapping[str, int]) -> Iterator[str]:
    """Why sealed clips are not sent now, the most first."""
    if waits:
        shown = sorted(waits.items(), key=lambda each: (-each[1], each[0]))
        yield f"not sent now: {', '.join(f'{count} {reason}' for reason, count in shown)}"


def parked_lines(captured: int, *, until_parked: bool) -> Iterator[str]:
    """Why clips that are captured stay that, if there are any."""
    if captured and until_parked:
        yield f"not painted and encoded before the car is parked: {captured} captured"


def fault_lines(faults: tuple[Fault, ...]) -> Iterator[str]:
    """What went wrong lately, the newest first."""
    for one in reversed(faults):
        often = f" ({one.times} times)" if one.times > 1 else ""
        what = f": {one.what}" if one.what else ", told on the vehicle alone"
        yield f"fault {duration(wall_age_s(one.wall_ns))} ago: {one.where}{what}{often}"


def level_line(state: str, level: SpoolLevel) -> str:
    """Clips in one state, how much that is, and since when."""
    size = f", {level.bytes / 1e6:.1f} MB" if level.bytes else ""
    return f"{level.clips} {state}{size}, the oldest {duration(wall_age_s(level.oldest_wall_ns))} old"


def duration(seconds: int) -> str:
    """Two units: ``3 d 4 h``."""
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def _state(belongs: Belongs) -> str:
    if belongs.hold_reason:
        return f"HOLD {belongs.hold_reason}: nothing is collected or sent"
    return (
        f"ROUTE to region {belongs.region}: vehicle {belongs.vehicle}, jurisdiction {belongs.jurisdiction}, "
        f"registration {belongs.serial}, policy {belongs.policy_version}"
    )


def _agent(found: VehicleStatus) -> str:
    if found.told is None or found.age_s is None:
        return f"nothing is known of it: {found.why_not_told}; the files decide what is said here"
    ago, version = f"{duration(found.age_s)} ago", found.told.agent_version
    if found.agent is Agent.RUNNING:
        return f"runs, version {version}, told {ago}"
    if found.agent is Agent.ENDED:
        return f"ended as {found.told.ended} {ago}; the files decide what is said here"
    return (
        f"SILENT: it last told {ago} and does not run any more, or hangs; the files decide what is said here"
    )


def _policies(found: VehicleStatus) -> Iterator[str]:
    in_force = ", ".join(f"{region} {version}" for region, version in sorted(found.policies.items()))
    yield f"policies in force: {in_force or 'none'}"
    for region_id, reason in sorted(found.refused_policies.items()):
        yield f"  refused for region {region_id}: {reason}"


def _waiting(found: VehicleStatus) -> Iterator[str]:
    if found.journal:
        yield f"clips: the journal can't be read: {found.journal}"
    elif not found.waiting:
        yield "clips: none waits"
    for region_id, one in found.waiting.items():
        counts = ", ".join(f"{count} {state}" for state, count in one.clips.items())
        oldest = "not noted yet" if one.oldest_s is None else duration(one.oldest_s)
        may = f"of {one.retention_days} d" if one.retention_days is not None else "without a policy in force"
        yield f"clips for region {region_id}: {counts}; the oldest has waited {oldest} {may}"
    if found.told is not None and found.agent is Agent.RUNNING:
        captured = sum(one.clips.get(ClipState.CAPTURED, 0) for one in found.waiting.values())
        yield from parked_lines(captured, until_parked=found.told.until_parked)


def _uplink(found: VehicleStatus) -> Iterator[str]:
    if found.told is None:
        return
    uplink = found.told.uplink
    last = uplink.last_connected_wall_ns
    when = f"last up {duration(wall_age_s(last))} ago" if last else "never up"
    is_up = found.agent is Agent.RUNNING and uplink.connected
    state = f"connected to region {uplink.region}" if is_up else f"not connected, {when}"
    failed = f"{uplink.failures} attempts or connections failed, {uplink.refused} of them refused"
    yield f"connection: {state}; {failed}; {uplink.delivered_clips} clips delivered by this run"
    if found.agent is Agent.RUNNING:
        yield from wait_lines(uplink.waits)


def _ledger(found: VehicleStatus) -> str:
    if found.ledger is None:
        return "ledger: there is none that can be looked at"
    size = f"{found.ledger.bytes / 1e6:.2f} MB in {found.ledger.files} files"
    if found.ledger.records is None:
        return f"ledger: {size}; {found.ledger.root or 'the agent has signed no head of it lately'}"
    return f"ledger: {found.ledger.records} records, {size}, root {found.ledger.root}"
