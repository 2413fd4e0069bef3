"""Runs a scenario: two regions, two vehicles, campaigns pushed, everything delivered, everything stopped.

Where that is allowed, each region and each vehicle runs in a network namespace of its own, so that the kernel counts
every packet that reaches a region, and from whom. Otherwise all of them share loopback, and the regions' receivers
count what they are given.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fsd_agent.records.purpose import Purpose
from fsd_tools.demo.account import Account, Heard, settle
from fsd_tools.demo.ledgers import audit_ledgers
from fsd_tools.demo.scenario import Scenario
from fsd_tools.errors import ToolError
from fsd_tools.rig.namespaces import Count, Namespace, Network, count_from, why_not
from fsd_tools.rig.processes import wait_until
from fsd_tools.rig.rig import AnyChild, Rig

REGIONS: Mapping[str, tuple[str, ...]] = {"cn": ("CN",), "eu": ("DE", "FR", "NL")}
HOME: Mapping[str, str] = {"car-sh-01": "cn", "car-be-01": "eu"}
"""The demo's vehicles and the region where each is registered."""
JURISDICTION: Mapping[str, str] = {"car-sh-01": "CN", "car-be-01": "DE"}

CONSENT = (Purpose.AUTOMATED_DRIVING, Purpose.SAFETY)
"""What the users of both vehicles consent to: the purposes of the demo's campaigns."""

AGENT_TIMEOUT_S = 420.0
DRAIN_S = "300"
"""Redaction gives way to everything else on the computer: beside other work it takes several times as long."""


@dataclass(slots=True)
class Progress:
    """What the screen shows while the demo runs; written by reader threads, read by the painter."""

    heard: dict[str, Heard] = field(default_factory=dict)
    received: dict[str, Counter[str]] = field(default_factory=dict)
    """Bytes by region and vehicle."""
    lock: threading.Lock = field(default_factory=threading.Lock)


def play(
    scenario: Scenario,
    root: Path,
    *,
    say: Callable[[str], None],
    paint: Callable[[Progress], None],
) -> Account:
    """Run to the end and settle. Raises :class:`ToolError` when a process fails."""
    progress = Progress(
        heard={vehicle: Heard() for vehicle in HOME},
        received={region: Counter() for region in REGIONS},
    )
    wire: dict[str, dict[str, Count]] | None = None
    with _network(say) as network, Rig(root, network) as rig:
        _lay_down(rig, network, scenario, say)
        for region in REGIONS:
            say(f"starting region {region} and pushing {len(scenario.campaigns)} campaigns to it")
            rig.serve(region, on_event=_region_ear(progress, region))
            rig.push(region, scenario.campaigns, drive=scenario.drive)
        agents = {
            vehicle: rig.start_agent(
                vehicle,
                "--wait-for-campaigns",
                "30",
                "--drain",
                DRAIN_S,
                on_event=_agent_ear(progress, vehicle),
            )
            for vehicle in HOME
        }
        _wait(agents, lambda: paint(progress))
        if network is not None:
            wire = {region: network.members[region].counted(*_cars(network)) for region in REGIONS}
    say("auditing both ledgers against both regions")
    return _audited(
        rig,
        settle(
            journals={vehicle: rig.vehicle(vehicle).data / "journal.db" for vehicle in HOME},
            stores={region: rig.region(region).store for region in REGIONS},
            home=HOME,
            heard=progress.heard,
            received=progress.received,
            wire=wire,
        ),
    )


def _audited(rig: Rig, account: Account) -> Account:
    """With what the vehicles' ledgers prove."""
    ledgers = audit_ledgers(
        {vehicle: rig.vehicle(vehicle).ledger for vehicle in HOME},
        [rig.region(region).root for region in REGIONS],
        {vehicle: [one.clip_id for one in account.arrived if one.vehicle == vehicle] for vehicle in HOME},
    )
    complaints = [complaint for ledger in ledgers for complaint in ledger.complaints]
    return replace(account, ledgers=ledgers, complaints=(*account.complaints, *complaints))


@contextmanager
def _network(say: Callable[[str], None]) -> Iterator[Network | None]:
    """Regions and vehicles as members, counting; None where namespaces can't be made."""
    reason = why_not()
    if reason is not None:
        say(f"on loopback, without packet counters: {reason}")
        yield None
        return
    say("every region and vehicle in a network namespace of its own, with packet counters")
    with Network() as network:
        for name in (*HOME, *REGIONS):
            network.add(name)
        for region in REGIONS:
            network.members[region].nft(count_from(_cars(network)))
        yield network


def _cars(network: Network) -> list[Namespace]:
    return [network.members[vehicle] for vehicle in HOME]


def _lay_down(rig: Rig, network: Network | None, scenario: Scenario, say: Callable[[str], None]) -> None:
    say("making two regions, each with its own authority, broker and keys")
    for region, jurisdictions in REGIONS.items():
        where = {"host": network.members[region].address, "port": "8883"} if network is not None else {}
        rig.add_region(region, jurisdictions, **where)
    say("enrolling two vehicles, whose users consent to " + " and ".join(CONSENT))
    for vehicle, region in HOME.items():
        # Both vehicles hold both policies, as a maker would ship them: the registration alone decides.
        others = [other for other in REGIONS if other != region]
        rig.add_vehicle(vehicle, JURISDICTION[vehicle], [region, *others], scenario.agent)
        rig.consent(vehicle, give=CONSENT)


def _wait(agents: Mapping[str, AnyChild], paint: Callable[[], None]) -> None:
    def ended() -> bool:
        paint()
        return not any(child.running() for child in agents.values())

    wait_until(ended, timeout_s=AGENT_TIMEOUT_S, what="both agents have delivered everything")
    for vehicle, child in agents.items():
        code = child.wait(1.0)
        if code != 0:
            raise ToolError(f"the agent of {vehicle} ended with exit code {code}:\n{child.log_tail()}")
    paint()


def _agent_ear(progress: Progress, vehicle: str) -> Callable[[Mapping[str, Any]], None]:
    def hear(event: Mapping[str, Any]) -> None:
        with progress.lock:
            progress.heard[vehicle].take(event)

    return hear


def _region_ear(progress: Progress, region: str) -> Callable[[Mapping[str, Any]], None]:
    def hear(event: Mapping[str, Any]) -> None:
        if event.get("event") == "received":
            with progress.lock:
                progress.received[region][event["vehicle"]] += int(event["bytes"])

    return hear
