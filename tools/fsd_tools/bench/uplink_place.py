"""Where ``fsdctl bench uplink`` runs: a region, an enrolled vehicle with sealed clips, and the processes that are compared."""

from __future__ import annotations

import itertools
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.daemon.config import UplinkConfig
from fsd_agent.pipeline.consent import ConsentKeeper
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.region import Route
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.regions import sample_registration
from fsd_agent.testing.sealed import as_file, sealed_sample
from fsd_agent.wire.policy import decode_policy
from fsd_agent.wire.transfer import Topics
from fsd_tools.bench.uplink_car import LIMIT_S, Measured, Until
from fsd_tools.bench.uplink_peers import Peer, Spent, Target, spent
from fsd_tools.errors import ToolError
from fsd_tools.rig.namespaces import Network
from fsd_tools.rig.processes import Child, wait_until
from fsd_tools.rig.rig import START_TIMEOUT_S, Rig

REGION, VEHICLE = "cn", "car-bench"
WINDOW: Final = UplinkConfig().window
"""As the agent runs unless it is told otherwise; the peer gets the same."""
STREAM_PORT: Final = 8884


class Place:
    """One region and one vehicle; inside the members of these names where a ``network`` is given. Close it."""

    def __init__(self, root: Path, network: Network | None = None) -> None:
        self.root = root
        self.network = network
        self._rig = Rig(root, network)
        self._numbers = itertools.count(1)
        self._children: list[Child] = []
        where = {"host": network.members[REGION].address, "port": "8883"} if network is not None else {}
        self.region = self._rig.add_region(REGION, ["CN"], **where)
        self.policy = decode_policy(self.region.policy.read_bytes(), str(self.region.policy))
        self.vehicle = self._rig.add_vehicle(VEHICLE, "CN", [REGION], {})
        self._rig.consent(VEHICLE, give=[Purpose.SAFETY])
        self.data = root / "data"
        self._keys = KeyFiles(self.vehicle.root)
        self._consent()

    def close(self) -> None:
        """Stop every process."""
        while self._children:
            self._children.pop().stop()
        self._rig.close()

    def _consent(self) -> None:
        """Recorded before there is a clip, as in a vehicle: what was there before consent is erased."""
        self.data.mkdir()
        clock, events = SystemClock(), RememberedEvents()
        journal = SqliteJournal(self.data / "journal.db")
        ledger = LedgerFiles(self.data / "ledger", keys=self._keys, clock=clock, events=events)
        document = self.vehicle.consent.read_bytes
        keeper = ConsentKeeper(
            document, keys=self._keys, journal=journal, ledger=ledger, clock=clock, events=events
        )
        keeper.look()
        ledger.close()
        journal.close()

    def fill(self, clips: int, clip_bytes: int, *, real: bool) -> None:
        """Add so many sealed clips of about this size; ``real`` ones open, the others are noise."""
        compartment = Compartment(REGION, Purpose.SAFETY)
        self._keys.compartment_key(*compartment, make=True)
        spool, journal = SpoolFiles(self.data / "spool", self._keys), SqliteJournal(self.data / "journal.db")
        route = Route(sample_registration(VEHICLE, "CN"), self.policy)
        for number in itertools.islice(self._numbers, clips):
            clip_id = f"{number:032x}"
            row = ClipRow(clip_id, REGION, Purpose.SAFETY, ClipState.STAGED, number, number + 1, 0, (), (), 0)
            # A clip's noise is written in hex, twice as long.
            content = (
                sealed_sample(route, self._keys, clip_id, filler_bytes=clip_bytes // 2)
                if real
                else os.urandom(clip_bytes)
            )
            journal.accept((), (row,))
            journal.captured(clip_id, cut=False)
            journal.sealed(spool.put(compartment, clip_id, as_file(content)))
        journal.close()

    def serve(self) -> None:
        """Start the region as it is: broker and receiver."""
        self._rig.serve(REGION)

    def count(self) -> None:
        """Start the broker alone, with who asks for everything (:mod:`.uplink_region`)."""
        self._start("fsd_tools.bench.uplink_region", self.region.root)

    def listen(self) -> None:
        """Start who takes plain TLS streams (:mod:`.uplink_stream`)."""
        host = self.policy.endpoints[0].host
        self._start("fsd_tools.bench.uplink_stream", "serve", self.region.root, host, STREAM_PORT)

    def _start(self, module: str, *arguments: object) -> None:
        ready: list[bool] = []
        name = module.rpartition(".")[2]
        child = Child(
            name,
            self._inside(REGION, sys.executable, "-m", module, *arguments),
            log=self.root / "logs" / f"{name}.log",
            on_event=lambda _: ready.append(True),
        )
        self._children.append(child)
        wait_until(lambda: bool(ready) or not child.running(), timeout_s=START_TIMEOUT_S, what=name)
        if not ready:
            raise ToolError(f"bench uplink: {name} did not start:\n{child.log_tail()}")

    def car(self, until: Until, on_event: Callable[[Mapping[str, Any]], None] = lambda _: None) -> Measured:
        """The agent's delivering loop sends what is sealed."""
        found: list[Measured] = []

        def hear(event: Mapping[str, Any]) -> None:
            if event["event"] == "measured":
                found.append(msgspec.convert(event, Measured))
            else:
                on_event(event)

        argv = self._inside(
            VEHICLE,
            sys.executable,
            "-m",
            "fsd_tools.bench.uplink_car",
            self.vehicle.root,
            self.data,
            until,
            WINDOW,
        )
        child = Child("car", argv, log=self.root / "logs" / "car.log", on_event=hear)
        self._children.append(child)
        code = child.wait(LIMIT_S + START_TIMEOUT_S)
        self._children.remove(child)
        if code or not found:
            raise ToolError(f"bench uplink: the vehicle's side ended with {code}:\n{child.log_tail()}")
        return found[0]

    def peer(self, peer: Peer, messages: int) -> Spent:
        """A peer sends so many segments to the same topics, as the vehicle."""
        endpoint = self.policy.endpoints[0]
        certificate, key = self._keys.tls_certificate(REGION)
        target = Target(
            endpoint.host,
            endpoint.port,
            self.region.authority_cert,
            certificate,
            key,
            VEHICLE,
            Topics(REGION, VEHICLE).segment("0" * 32, 0, bytes(32)).removesuffix(f"/0/{'0' * 64}"),
            WINDOW,
        )
        return peer.send(target, messages, partial(self._inside, VEHICLE))

    def stream(self, count: int) -> Spent:
        """A plain TLS stream of so many bytes."""
        return spent(
            self._inside(
                VEHICLE, sys.executable, "-m", "fsd_tools.bench.uplink_stream",
                "send", self.region.root, self.vehicle.root, STREAM_PORT, count,
            )
        )  # fmt: skip

    def _inside(self, name: str, *command: object) -> list[str]:
        argv = [str(part) for part in command]
        member = self.network.members.get(name) if self.network is not None else None
        return argv if member is None else member.argv(*argv)


def in_turns(rounds: int, *turns: Callable[[], None]) -> Iterator[int]:
    """Take turns, every second round in reverse; gives the number of each round before it. Number 0 is not to count."""
    for number in range(rounds + 1):
        yield number
        for turn in turns if number % 2 else reversed(turns):
            turn()


def median_s(runs: Sequence[Spent | Measured]) -> float:
    """Median of the rounds that count."""
    return statistics.median(one.seconds for one in runs[1:])


def median_cpu_s(runs: Sequence[Spent | Measured]) -> float:
    """Median of the rounds that count."""
    return statistics.median(one.cpu_s for one in runs[1:])
