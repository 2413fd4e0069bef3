"""The small internet of the proof: a car and three regions, kept up while many schedules run in it.

Every region has its own namespace, address, authority, broker and receiver (``fsdctl region serve``), and beside the
broker one that is faulty in many ways. Captures are taken where packets leave the car and where they reach a region;
the kernel's counters beside them show that no capture missed anything.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from fsd_agent.records.region import RegionPolicy
from fsd_agent.rules.residency.egress import Destination, Opening, egress_ruleset
from fsd_agent.wire.transfer import campaigns_topic
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir
from fsd_tools.rig.forks import Forks
from fsd_tools.rig.namespaces import Namespace, Network, count_from
from fsd_tools.rig.processes import Child, wait_until
from fsd_tools.rig.rig import Rig
from hil_tests.wire import fleet
from hil_tests.wire.brokers import Fault, port_of, write_brokers
from hil_tests.wire.clock import WallClock
from hil_tests.wire.flows import Packet, parse
from hil_tests.wire.watch import Memory

_SOL_PACKET, _PACKET_STATISTICS = 263, 6
MEMORY = Path("/dev/shm")
"""Clips of a few kilobytes, thousands of them, each synced many times: a disk would only make it slow."""

LIST_LASTS_NS = 86_400_000_000_000


class CarDiedError(Exception):
    """The vehicle's process ended by itself: a fault of the agent or of the proof, never part of a schedule."""


class World:
    """See the module. Close it to remove everything; a SIGKILL of this process does so too."""

    at_once = True

    def __init__(self, forks: Forks | None = None) -> None:
        self.memory = Memory()
        self.owners: dict[str, str] = {}
        """The region of every clip that any schedule collected."""
        self.told: set[Path] = set()
        """What regions were told of firings, as far as it was looked at."""
        self.root = _folder()
        self.data = self.root / "data"
        self.pid = 0
        """Of the life; 0 between two."""
        self._captures: list[tuple[str, socket.socket]] = []
        self._car_process: subprocess.Popen[bytes] | None = None
        self._operators: dict[str, subprocess.Popen[bytes]] = {}
        self._children: list[Child] = []
        self.clock = WallClock(self.root)
        self.network = Network()
        self.rig = Rig(self.root, self.network, forks=forks)
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove everything."""
        self.close()

    def _build(self) -> None:
        self.car: Namespace = self.network.add(fleet.CAR)
        self.addresses = {region: self.network.add(region).address for region in fleet.REGIONS}
        self.regions: dict[str, RegionDir] = {
            region: fleet.make_region(self.rig, region, address) for region, address in self.addresses.items()
        }
        self.policies: dict[str, RegionPolicy] = {
            region: fleet.pristine_policy(directory) for region, directory in self.regions.items()
        }
        self.vehicle = fleet.make_vehicle(self.rig)
        self.policy_texts = {region: one.policy.read_bytes() for region, one in self.regions.items()}
        self.sealing_keys = {
            region: directory.sealing_key.read_bytes() for region, directory in self.regions.items()
        }
        for region in self.regions:
            member = self.network.members[region]
            member.nft(count_from([self.car]))
            self._captures.append((region, member.capture("eth0")))
            self.rig.serve(region)
            self._serve_faulty(region)
            self._operators[region] = self._operator(region)
            self.publish(region, fleet.signed_campaigns(self.regions[region], region, 1), retain=True)
        for place in ("car", "net"):
            self.hijack(place, {})
        self._captures.append(("", self.network.router.capture(self.network.port(fleet.CAR))))
        self._hosts = self.root / "hosts"
        self.names({})
        self.car.run("mount", "--bind", self._hosts, "/etc/hosts")
        self._car_process = self._popen(
            self.car, [sys.executable, "-m", "hil_tests.wire.car"], self.clock.environment
        )

    # What the car does

    def start(self, data: Path, broken: str = "") -> dict[str, Any]:
        """Begin a life on a data folder; the answer says ``failed`` where the agent refuses to start."""
        answer = self._ask({"vehicle": str(self.vehicle.root), "data": str(data), "broken": broken})
        self.pid = answer.get("pid", 0)
        if not self.pid:
            self._read()
        return answer

    def ask(self, **command: object) -> dict[str, Any]:
        """Let the life do something."""
        answer = self._ask(command)
        if "ended" in answer:
            raise CarDiedError(f"the vehicle's process ended with status {answer['ended']}; see {self._log}")
        return answer

    def stop(self) -> None:
        """End the life cleanly."""
        self._ask({"do": "stop"})
        self._read()
        self.pid = 0

    def kill(self) -> None:
        """End it as a crash would."""
        os.kill(self.pid, 9)
        self._read()
        self.pid = 0

    # What happens to the car

    def names(self, where: Mapping[str, str]) -> None:
        """What the regions' host names mean on the car: by name's region, the region whose address is given."""
        lines = [
            f"{self.addresses[where.get(region, region)]} {fleet.name_of(region)}"
            for region in self.addresses
        ]
        # In place: a file that is mounted elsewhere can't be replaced.
        self._hosts.write_text("\n".join(["127.0.0.1 localhost", *lines]) + "\n")

    def hijack(self, place: str, where: Mapping[str, tuple[str, int]]) -> None:
        """Rewrite addresses, on the ``car`` or in the ``net``: by victim, region and port that it is sent to."""
        hook = "output" if place == "car" else "prerouting"
        rules = [
            f"ip saddr {self.car.address} ip daddr {self.addresses[victim]} tcp dport {fleet.PORT}"
            f" dnat to {self.addresses[region]}:{port}"
            for victim, (region, port) in where.items()
        ]
        member = self.car if place == "car" else self.network.router
        # The chain stays, and one rule that is never met keeps connections tracked: those that are open keep the way
        # that they have, and only new ones are led astray.
        rules.append("ip daddr 192.0.2.1 tcp dport 1 dnat to 192.0.2.1:1")
        chain = ["chain rewrite {", f"type nat hook {hook} priority -100;", "}"]
        rules = [f"add rule ip hijack rewrite {rule}" for rule in rules]
        member.nft("\n".join(["table ip hijack {", *chain, "}", "flush chain ip hijack rewrite", *rules, ""]))

    def egress(self, allowed: tuple[Destination, ...] | None) -> None:
        """Put a list in force, as the integrator would; None takes it away. It outlasts any schedule."""
        if allowed is None:  # the first line makes it where it isn't there
            self.car.nft("table inet fsd_egress\ndelete table inet fsd_egress\n")
        else:
            now_ns = time.time_ns()  # the kernel's clock: schedules move only that of the vehicle's processes
            self.car.nft(egress_ruleset(os.getuid(), Opening(allowed, now_ns, now_ns + LIST_LASTS_NS)))

    def publish(self, region: str, payload: bytes, *, retain: bool) -> None:
        """As a region's operator, on its campaigns' topic."""
        process = self._operators[region]
        command = {"topic": campaigns_topic(region), "payload": payload.hex(), "retain": retain}
        _write(process, command)
        if _line(process).strip() != b"taken":
            raise ToolError(f"the operator of {region} ended; see {self._log}")

    # What is seen

    def packets(self) -> Iterator[tuple[str, Packet]]:
        """Everything captured since the last call: the region where it arrived, or "" where it left the car."""
        for region, capture in self._captures:
            while True:
                try:
                    frame = capture.recv(1 << 17)
                except BlockingIOError:
                    break
                packet = parse(frame)
                if packet is not None:
                    yield region, packet
            lost = struct.unpack("=II", capture.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
            if lost:
                raise ToolError(f"the capture at {region or 'the car'} lost {lost} packets")

    def counted(self) -> dict[str, int]:
        """Packets from the car that each region's kernel has counted since the world began."""
        members = self.network.members
        return {region: members[region].counted(self.car)[fleet.CAR].packets for region in self.regions}

    def close(self) -> None:
        """Remove everything."""
        for process in (self._car_process, *self._operators.values()):
            if process is not None:
                process.kill()
                process.communicate()
        for child in self._children:
            child.kill()
        self.rig.close()
        for _, capture in self._captures:
            capture.close()
        self.network.close()
        self.clock.close()
        shutil.rmtree(self.root, ignore_errors=True)

    # Inside

    def _serve_faulty(self, region: str) -> None:
        command = write_brokers(self.root / f"faulty-{region}", region, self.regions, self.policies)
        log = self.root / "logs" / f"faulty-{region}.log"
        member = self.network.members[region]
        self._children.append(Child(f"faulty brokers of {region}", member.argv(*command), log=log))
        probe = f"import socket; socket.create_connection(('{member.address}', {port_of(Fault.SWAPPED)}), 1)"

        def up() -> bool:
            try:
                member.run("python3", "-c", probe)
            except ToolError:
                return False
            return True

        wait_until(up, timeout_s=10.0, what=f"faulty brokers of {region} listen")

    def _operator(self, region: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "hil_tests.wire.operator", str(self.regions[region].root)]
        return self._popen(self.network.members[region], argv, {})

    @property
    def _log(self) -> Path:
        return self.root / "logs" / "wire.log"

    def _popen(
        self, member: Namespace, argv: list[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                member.argv(*argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **environment},
                bufsize=0,
            )

    def _ask(self, command: dict[str, object]) -> dict[str, Any]:
        _write(self._process, command)
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = _line(self._process)
        if not line:
            raise CarDiedError(f"the vehicle's process ended:\n{self._log.read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        if self._car_process is None:
            raise AssertionError("the world is not built")
        return self._car_process


def _write(process: subprocess.Popen[bytes], command: Mapping[str, object]) -> None:
    if process.stdin is None:
        raise AssertionError("stdin is a pipe")
    process.stdin.write(json.dumps(command).encode() + b"\n")


def _line(process: subprocess.Popen[bytes]) -> bytes:
    if process.stdout is None:
        raise AssertionError("stdout is a pipe")
    return process.stdout.readline()


def _folder() -> Path:
    """A fresh folder in memory, named after this process; those of processes that are gone are removed."""
    parent = MEMORY if MEMORY.is_dir() else Path("/tmp")
    for old in parent.glob("fsd-wire-*"):
        if not Path("/proc", old.name.rpartition("-")[2]).exists():
            shutil.rmtree(old, ignore_errors=True)
    folder = parent / f"fsd-wire-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder
