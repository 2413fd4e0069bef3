"""Regions and vehicles laid down in one folder, each as an operator would make them, and their processes.

<root>/registry/          the registration authority of every vehicle
<root>/regions/<id>/      a region directory (``fsdctl region init``)
<root>/vehicles/<id>/     keys, policies, registration, agent.toml and the agent's data
<root>/logs/              what every process printed
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from fsd_agent.adapters.key_files import VehicleDir
from fsd_agent.records.purpose import Purpose
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir
from fsd_tools.rig.forks import Forks
from fsd_tools.rig.namespaces import Network
from fsd_tools.rig.processes import Child, ForkedChild, OnEvent, fsdctl, hear, wait_until

START_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 120.0
AGENT, FSDCTL = "fsd_agent.daemon.main:main", "fsd_tools.main:main"
FORKED = (
    "fsd_agent.daemon.main", "fsd_agent.adapters.mqtt", "fsd_firmware.codec_pyav", "fsd_tools.main",
    *(f"fsd_tools.{group}.commands" for group in ("audit", "campaign", "region", "registry", "vehicle")),
)  # fmt: skip
"""What to import before forking."""
AnyChild = Child | ForkedChild


class RigVehicle(VehicleDir):
    """A vehicle directory that also holds the agent's configuration and data."""

    @property
    def config(self) -> Path:
        """The agent's configuration."""
        return self.root / "agent.toml"

    @property
    def data(self) -> Path:
        """Journal, ledger, staging and spool."""
        return self.root / "data"

    @property
    def ledger(self) -> Path:
        """The agent's ledger."""
        return self.data / "ledger"


class Rig:
    """Makes and runs regions and vehicles. Close it to stop every process.

    With a ``network``, a region or vehicle that has a member of its name there runs inside that member. With ``forks``, which
    have imported :data:`FORKED`, whatever runs outside of members is forked from there instead of started anew.
    """

    def __init__(self, root: Path, network: Network | None = None, *, forks: Forks | None = None) -> None:
        self.root = root
        self._network = network
        self._forks = forks
        self._children: list[AnyChild] = []

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self.close()

    def region(self, region_id: str) -> RegionDir:
        """One region's directory."""
        return RegionDir(self.root / "regions" / region_id)

    def vehicle(self, vehicle: str) -> RigVehicle:
        """One vehicle's directory."""
        return RigVehicle(self.root / "vehicles" / vehicle)

    def add_region(self, region_id: str, jurisdictions: Sequence[str], **options: str) -> RegionDir:
        """Make a region, on a free loopback port unless ``options``, further ``region init`` options, say where."""
        options = {"port": str(free_port())} | options
        served = [part for code in jurisdictions for part in ("--jurisdiction", code)]
        extra = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
        directory = self.region(region_id)
        self.fsdctl("region", "init", directory.root, "--id", region_id, *served, *extra)
        return directory

    def add_vehicle(
        self, vehicle: str, jurisdiction: str, regions: Sequence[str], agent: dict[str, dict[str, Any]]
    ) -> RigVehicle:
        """Enrol a vehicle with ``regions``, register it, and write its configuration.

        ``agent`` are the tables of ``agent.toml`` beside ``vehicle``, ``storage``'s folder and firmware's documents.

        It stands where there is Wi-Fi. Its user has not consented to anything: see :meth:`link` and :meth:`consent`.
        """
        directory = self.vehicle(vehicle)
        for region_id in regions:
            self.fsdctl(
                "vehicle", "enrol", self.region(region_id).root, "--vehicle", vehicle, "-o", directory.root
            )
        self.register(vehicle, jurisdiction, serial=1)
        self.link(vehicle, "wifi")
        documents = {
            "registration": directory.registration.name,
            "consent": directory.consent.name,
            "link": directory.link.name,
        }
        firmware = {**agent.get("firmware", {}), **documents}
        storage = {"dir": "data", **agent.get("storage", {})}
        tables = {**agent, "firmware": firmware, "vehicle": {"dir": "."}, "storage": storage}
        directory.config.write_text(_toml(tables), encoding="utf-8")
        return directory

    def register(self, vehicle: str, jurisdiction: str, *, serial: int) -> None:
        """(Re-)register a vehicle to a jurisdiction."""
        registry = self.root / "registry"
        if not registry.exists():
            self.fsdctl("registry", "init", registry)
        self.fsdctl(
            "vehicle",
            "register",
            self.vehicle(vehicle).root,
            "--registry",
            registry,
            "--vehicle",
            vehicle,
            "--jurisdiction",
            jurisdiction,
            "--serial",
            str(serial),
        )

    def link(self, vehicle: str, *arguments: str) -> None:
        """Have firmware say which link is up and what the ignition is, by arguments of ``fsdctl vehicle link``."""
        self.fsdctl("vehicle", "link", self.vehicle(vehicle).root, *arguments)

    def consent(
        self, vehicle: str, *, give: Iterable[Purpose] = (), withdraw: Iterable[Purpose] = ()
    ) -> None:
        """The user gives or withdraws consent; without this a vehicle collects nothing."""
        changes = [("--give", purpose) for purpose in give] + [
            ("--withdraw", purpose) for purpose in withdraw
        ]
        self.fsdctl(
            "vehicle",
            "consent",
            self.vehicle(vehicle).root,
            *(str(part) for change in changes for part in change),
        )

    def serve(self, region_id: str, on_event: OnEvent | None = None) -> AnyChild:
        """Start a region's broker and receiver, and wait until they take connections."""
        ready: list[bool] = []

        def heard(event: Any) -> None:
            if event.get("event") == "ready":
                ready.append(True)
            if on_event is not None:
                on_event(event)

        words = ["region", "serve", str(self.region(region_id).root), "--json"]
        child = self._start(f"region {region_id}", region_id, FSDCTL, words, heard)
        wait_until(
            lambda: bool(ready) or not child.running(),
            timeout_s=START_TIMEOUT_S,
            what=f"region {region_id} starts",
        )
        if not ready:
            child.wait(1.0)
            raise ToolError(f"region {region_id} did not start:\n{child.log_tail()}")
        return child

    def push(self, region_id: str, campaigns: Sequence[Path], *, drive: Path) -> None:
        """Publish campaigns to a region, checked against what the vehicle of ``drive`` has."""
        words: list[str | Path] = [
            "campaign",
            "push",
            *campaigns,
            "--region",
            self.region(region_id).root,
            "--vehicle",
            drive,
        ]
        if self._network is None or region_id not in self._network.members:
            self.fsdctl(*words)
        else:
            fsdctl(*words, place=lambda argv: self._place(region_id, argv))

    def start_agent(self, vehicle: str, *arguments: str, on_event: OnEvent | None = None) -> AnyChild:
        """Start a vehicle's agent with further ``fsd-agent run`` arguments."""
        words = ["run", "--config", str(self.vehicle(vehicle).config), "--json", *arguments]
        return self._start(f"agent {vehicle}", vehicle, AGENT, words, on_event)

    def close(self) -> None:
        """Stop every process, newest first."""
        while self._children:
            child = self._children.pop()
            if child.running():
                child.stop()

    def fsdctl(self, *arguments: str | Path) -> str:
        """Run one ``fsdctl`` command and return its stdout; raises :class:`ToolError` with what it said."""
        if self._forks is None:
            return fsdctl(*arguments)
        lines: list[bytes] = []
        with tempfile.NamedTemporaryFile(prefix="fsdctl-", suffix=".log") as log:
            fork = self._forks.start(
                FSDCTL, [str(one) for one in arguments], log=Path(log.name), on_line=lines.append
            )
            if fork.wait(COMMAND_TIMEOUT_S) != 0:
                raise ToolError(f"fsdctl {' '.join(map(str, arguments[:2]))}: {fork.log_tail()}")
        return b"".join(lines).decode()

    def _place(self, name: str, argv: Sequence[str]) -> list[str]:
        """``argv`` where it must run."""
        member = self._network.members.get(name) if self._network is not None else None
        return list(argv) if member is None else member.argv(*argv)

    def _start(
        self, what: str, place: str, target: str, words: Sequence[str], on_event: OnEvent | None
    ) -> AnyChild:
        log = self.root / "logs" / f"{what.replace(' ', '-')}.log"
        child: AnyChild
        if self._forks is not None and (self._network is None or place not in self._network.members):
            fork = self._forks.start(
                target, words, log=log, on_line=lambda line: hear(line, on_event) if on_event else None
            )
            child = ForkedChild(what, fork, log)
        else:
            program = "fsd_agent" if target == AGENT else "fsd_tools"
            argv = self._place(place, [sys.executable, "-m", program, *words])
            child = Child(what, argv, log=log, on_event=on_event)
        self._children.append(child)
        return child


def free_port() -> int:
    """A loopback TCP port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _toml(tables: dict[str, dict[str, Any]]) -> str:
    """Two levels of TOML with strings, numbers and booleans: JSON's forms of these are TOML's."""
    lines: list[str] = []
    for table, values in tables.items():
        lines.append(f"[{table}]")
        lines.extend(f"{key} = {json.dumps(value)}" for key, value in values.items())
        lines.append("")
    return "\n".join(lines)
