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
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from fsd_agent.adapters.key_files import VehicleDir
from fsd_agent.records.purpose import Purpose
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir
from fsd_tools.rig.namespaces import Network
from fsd_tools.rig.processes import Child, OnEvent, fsdctl, wait_until

START_TIMEOUT_S = 30.0


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

    With a ``network``, a region or vehicle that has a member of its name there runs inside that member.
    """

    def __init__(self, root: Path, network: Network | None = None) -> None:
        self.root = root
        self._network = network
        self._children: list[Child] = []

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
        fsdctl("region", "init", directory.root, "--id", region_id, *served, *extra)
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
            fsdctl(
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
            fsdctl("registry", "init", registry)
        fsdctl(
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
        fsdctl("vehicle", "link", self.vehicle(vehicle).root, *arguments)

    def consent(
        self, vehicle: str, *, give: Iterable[Purpose] = (), withdraw: Iterable[Purpose] = ()
    ) -> None:
        """The user gives or withdraws consent; without this a vehicle collects nothing."""
        changes = [("--give", purpose) for purpose in give] + [
            ("--withdraw", purpose) for purpose in withdraw
        ]
        fsdctl(
            "vehicle",
            "consent",
            self.vehicle(vehicle).root,
            *(str(part) for change in changes for part in change),
        )

    def serve(self, region_id: str, on_event: OnEvent | None = None) -> Child:
        """Start a region's broker and receiver, and wait until they take connections."""
        ready: list[bool] = []

        def heard(event: Any) -> None:
            if event.get("event") == "ready":
                ready.append(True)
            if on_event is not None:
                on_event(event)

        argv = [
            sys.executable,
            "-m",
            "fsd_tools",
            "region",
            "serve",
            str(self.region(region_id).root),
            "--json",
        ]
        argv = self._place(region_id, argv)
        child = self._start(f"region {region_id}", argv, f"region-{region_id}.log", heard)
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
        root = self.region(region_id).root
        fsdctl(
            "campaign", "push", *campaigns, "--region", root, "--vehicle", str(drive),
            place=lambda argv: self._place(region_id, argv),
        )  # fmt: skip

    def start_agent(self, vehicle: str, *arguments: str, on_event: OnEvent | None = None) -> Child:
        """Start a vehicle's agent with further ``fsd-agent run`` arguments."""
        config = str(self.vehicle(vehicle).config)
        argv = [sys.executable, "-m", "fsd_agent", "run", "--config", config, "--json", *arguments]
        return self._start(f"agent {vehicle}", self._place(vehicle, argv), f"agent-{vehicle}.log", on_event)

    def close(self) -> None:
        """Stop every process, newest first."""
        while self._children:
            child = self._children.pop()
            if child.running():
                child.stop()

    def _place(self, name: str, argv: Sequence[str]) -> list[str]:
        """``argv`` where it must run."""
        member = self._network.members.get(name) if self._network is not None else None
        return list(argv) if member is None else member.argv(*argv)

    def _start(self, name: str, argv: Sequence[str], log: str, on_event: OnEvent | None) -> Child:
        child = Child(name, argv, log=self.root / "logs" / log, on_event=on_event)
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
