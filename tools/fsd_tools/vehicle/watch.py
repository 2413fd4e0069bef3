"""``fsdctl vehicle watch``: a region's vehicles, or the one that we stand beside, as they are now.

A region's broker is asked as its observer, which may read what vehicles say of themselves and nothing else. A vehicle's
own directory is looked at without a network, and shows what is on board for all regions together.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console, Group
from rich.live import Live

from fsd_agent.adapters.status_file import STATUS_FILE, boot_id, read_status
from fsd_agent.ports.broker import Message
from fsd_agent.records.local_status import LocalStatus
from fsd_agent.records.region import RegionPolicy
from fsd_agent.records.status import SpoolLevel
from fsd_agent.wire.ledger import LedgerFormatError
from fsd_agent.wire.local_status import LocalStatusError
from fsd_agent.wire.status import StatusFormatError, decode_status
from fsd_agent.wire.transfer import parse_status, status_subscription
from fsd_tools.errors import ToolError, UsageError
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import Connection, follow, load_policy, read_retained
from fsd_tools.vehicle.belonging import as_owner
from fsd_tools.vehicle.status import status_facts
from fsd_tools.vehicle.watch_state import Told, Watch, Watched, told_by
from fsd_tools.vehicle.watch_view import facts, table

LOOK_EVERY_S = 1.0
"""At a vehicle's own file."""


@dataclass(frozen=True, slots=True)
class Said:
    """One status: as it is shown, as it is printed, and whether it was there before we watched."""

    told: Told
    facts: dict[str, Any]
    retained: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What a vehicle said can't be read; others are shown all the same."""

    vehicle: str
    reason: str


Heard = Said | Unreadable | Connection | None
"""None: a second has gone by."""


def watch(
    directory: Path,
    *,
    data: Path | None = None,
    vehicle: str | None = None,
    once: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Watch what the vehicles of the region in DIRECTORY say of themselves, or a vehicle's own DIRECTORY; Ctrl-C ends.

    A vehicle that has missed three of its turns is shown as SILENT, with the age of what it said last.

    Example: fsdctl vehicle watch ./cn

    Parameters
    ----------
    directory
        A region's directory, which must be served; or a vehicle's.
    data
        Of a vehicle: its agent's [storage] dir; by default data in DIRECTORY.
    vehicle
        Of a region: only this one.
    once
        Show what was said last, and end.
    json
        One JSON object a line for each status as it comes, and one more when a vehicle falls silent.
    """
    is_region = RegionDir(directory).policy.exists()
    if is_region and data is not None:
        raise UsageError("--data: DIRECTORY is a region's, not a vehicle's.")
    if not is_region and vehicle is not None:
        raise UsageError("--vehicle: DIRECTORY is not a region's.")
    console = Console()
    if not (once or json or console.is_terminal):
        raise UsageError("the output is no terminal: give --json or --once.")
    if is_region:
        policy = load_policy(RegionDir(directory))
        source = _kept if once else _following
        heard = _region(source(RegionDir(directory), policy), policy, vehicle)
        title = f"region {policy.region_id}"
    else:
        looks = _vehicle(data or directory / "data")
        heard, title = islice(looks, 1) if once else looks, str(directory)
    try:
        if once:
            return _once(heard, console, title, as_json=json)
        return _lines(heard) if json else _live(heard, console, title)
    except KeyboardInterrupt:
        return 0


def _following(region: RegionDir, policy: RegionPolicy) -> Iterator[Message | Connection | None]:
    return follow(region, policy, status_subscription(policy.region_id))


def _kept(region: RegionDir, policy: RegionPolicy) -> Iterator[Message]:
    """What the broker keeps, asked for as the operator: that takes no watch's connection away."""
    kept = read_retained(region, policy, status_subscription(policy.region_id))
    return (Message(topic, payload, retained=True) for topic, payload in kept.items())


def _region(
    events: Iterable[Message | Connection | None], policy: RegionPolicy, only: str | None
) -> Iterator[Heard]:
    """What arrives at the region's broker, which lets a vehicle write under its own name alone."""
    for event in events:
        if not isinstance(event, Message):
            yield event
            continue
        vehicle = parse_status(policy.region_id, event.topic)
        if vehicle is None or only not in {None, vehicle}:
            continue
        try:
            status = decode_status(event.payload)
            yield Said(replace(told_by(status), vehicle=vehicle), status_facts(status), event.retained)
        except (StatusFormatError, LedgerFormatError) as error:
            yield Unreadable(vehicle, str(error))


def _vehicle(data: Path) -> Iterator[Heard]:
    """What the agent writes down, each time that it does."""
    last_ns, path = -1, data / STATUS_FILE
    while True:
        try:
            with as_owner(data):
                status = read_status(path)
        except OSError as error:
            raise ToolError(f"{path}: {error.strerror}; has an agent run on it?") from None
        except LocalStatusError as error:
            raise ToolError(f"{path}: {error}") from None
        if status.mono_ns != last_ns:
            known_before = last_ns == -1
            last_ns = status.mono_ns
            yield Said(_told_locally(status), msgspec.to_builtins(status), known_before)
        yield None
        time.sleep(LOOK_EVERY_S)


def _told_locally(status: LocalStatus) -> Told:
    belongs = status.belongs
    levels: dict[str, SpoolLevel] = {}
    for level_of in status.spool.values():
        for state, level in level_of.items():
            levels[state] = _together(levels[state], level) if state in levels else level
    link = f"connected to {status.uplink.region}" if status.uplink.connected else "not connected"
    same_start = bool(status.boot_id) and status.boot_id == boot_id()
    age_ns = (
        max(0, time.monotonic_ns() - status.mono_ns)
        if same_start
        else max(0, time.time_ns() - status.wall_ns)
    )
    return Told(
        vehicle=belongs.vehicle or "this vehicle",
        region=belongs.region or f"hold: {belongs.hold_reason}",
        wall_ns=time.time_ns() - age_ns,
        every_s=status.every_s,
        link=f"ended as {status.ended}" if status.ended else link,
        spool=levels,
        fired=status.fired,
        dropped=status.dropped,
        sent_bytes=status.uplink.sent_bytes,
        ledger_head=status.ledger_head,
        trouble=status.trouble,
        faults=status.faults,
    )


def _together(one: SpoolLevel, other: SpoolLevel) -> SpoolLevel:
    return SpoolLevel(
        one.clips + other.clips, one.bytes + other.bytes, min(one.oldest_wall_ns, other.oldest_wall_ns)
    )


def _once(heard: Iterator[Heard], console: Console, title: str, *, as_json: bool) -> int:
    watch, said, unreadable = Watch(), dict[str, dict[str, Any]](), dict[str, str]()
    for one in heard:
        if isinstance(one, Said):
            watch.take(one.told, time.monotonic(), retained=one.retained)
            said[one.told.vehicle] = one.facts
        elif isinstance(one, Unreadable):
            unreadable[one.vehicle] = one.reason
    if not watch.vehicles and not unreadable:
        raise ToolError(f"{title}: no vehicle has said anything yet")
    now_s, now_ns = time.monotonic(), time.time_ns()
    if as_json:
        for name in sorted(said):
            _print(watch.vehicles[name], said[name], now_s, now_ns)
        for vehicle, reason in sorted(unreadable.items()):
            _print_unreadable(vehicle, reason)
    else:
        shown = table(watch.vehicles.values(), now_s, now_ns, title=title, unreadable=unreadable)
        console.print(shown)
    return 0


def _lines(heard: Iterator[Heard]) -> int:
    watch, said, silent = Watch(), dict[str, dict[str, Any]](), set[str]()
    for one in heard:
        now_s, now_ns = time.monotonic(), time.time_ns()
        if isinstance(one, Unreadable):
            _print_unreadable(one.vehicle, one.reason)
        if isinstance(one, Said):
            name = one.told.vehicle
            watched, said[name] = watch.take(one.told, now_s, retained=one.retained), one.facts
            silent.discard(name)
            if watched.is_silent(now_s, now_ns):
                silent.add(name)
            _print(watched, said[name], now_s, now_ns)
        for name, watched in watch.vehicles.items():
            if name not in silent and watched.is_silent(now_s, now_ns):
                silent.add(name)
                _print(watched, said[name], now_s, now_ns)
    return 0


def _print(watched: Watched, status: dict[str, Any], now_s: float, now_ns: int) -> None:
    line = facts(watched, now_s, now_ns) | {"status": status}
    print(msgspec.json.encode(line).decode(), flush=True)


def _print_unreadable(vehicle: str, reason: str) -> None:
    print(msgspec.json.encode({"vehicle": vehicle, "error": reason}).decode(), flush=True)


def _live(heard: Iterator[Heard], console: Console, title: str) -> int:
    watch, broken, unreadable = Watch(), "", dict[str, str]()

    def shown() -> Group:
        now_s, now_ns = time.monotonic(), time.time_ns()
        vehicles = watch.vehicles.values()
        return table(vehicles, now_s, now_ns, title=title, broken=broken, unreadable=unreadable)

    with Live(shown(), console=console, auto_refresh=False, screen=False) as live:
        for one in heard:
            if isinstance(one, Said):
                watch.take(one.told, time.monotonic(), retained=one.retained)
                unreadable.pop(one.told.vehicle, None)
            elif isinstance(one, Unreadable):
                unreadable[one.vehicle] = one.reason
            elif isinstance(one, Connection):
                broken = one.reason
            live.update(shown(), refresh=True)
    return 0
