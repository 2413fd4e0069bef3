"""The car as it really runs: ``fsd-agent`` in a process of its own, driving a recorded drive in real time.

Answers the same commands as :class:`.world.World`'s stepped car, by waiting: nothing in it can be hurried, so one
schedule takes about as long as a hundred of the others.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fsd_tools.errors import ToolError
from fsd_tools.rig.processes import Child, wait_until
from hil_tests.wire.world import World

WAIT_S: Mapping[str, float] = {"collect": 1.0, "deliver": 2.2}
"""The registration is looked at every second, and the delivering loop turns twice a second."""
START_S = 20.0


class AgentProcess:
    """One agent at a time, in the world's car."""

    at_once = False

    def __init__(self, world: World, drive: Path) -> None:
        """``drive`` is copied to where the vehicle's configuration looks for it."""
        self._world = world
        self.data = world.vehicle.root / "data"
        shutil.copy(drive, world.vehicle.root / "drive.mcap")
        self._child: Child | None = None
        self._lock = threading.Lock()
        self._where = ""
        self._trouble = ""
        self._connections = 0
        self._clips: dict[str, tuple[str, str]] = {}

    @property
    def pid(self) -> int:
        """Of the agent; 0 while none runs."""
        return self._child.pid if self._child is not None else 0

    def start(self, data: Path, broken: str = "") -> dict[str, Any]:
        """Start it and wait until it has said where it belongs."""
        if data != self.data or broken:
            raise ToolError("the real agent has one data folder and no broken walls")
        if not data.exists():
            self._clips.clear()
        self._where, self._trouble, self._connections = "", "", 0
        config = self._world.vehicle.root / "agent.toml"
        environment = [f"{name}={value}" for name, value in self._world.clock.environment.items()]
        argv = [sys.executable, "-m", "fsd_agent", "run", "--config", str(config), "--json"]
        child = Child(
            "agent",
            self._world.car.argv("env", *environment, *argv),
            log=self._world.root / "logs" / "agent.log",
            on_event=self._hear,
        )
        self._child = child
        wait_until(
            lambda: bool(self._where) or not child.running(), timeout_s=START_S, what="the agent starts"
        )
        if not child.running():
            self._child = None
            return {"failed": child.log_tail(3)}
        return self._report()

    def ask(self, **command: object) -> dict[str, Any]:
        """Let time pass."""
        time.sleep(WAIT_S[str(command["do"])])
        if self._child is None or not self._child.running():
            raise ToolError(f"the agent ended by itself:\n{self._child.log_tail() if self._child else ''}")
        return self._report()

    def stop(self) -> None:
        """SIGTERM."""
        self._end(kill=False)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        if self._child is not None:
            _ = self._child.kill() if kill else self._child.stop()
            self._child = None

    def _report(self) -> dict[str, Any]:
        with self._lock:
            return {
                "where": self._where,
                "trouble": self._trouble,
                "connections": self._connections,
                "clips": dict(self._clips),
            }

    def _hear(self, event: Mapping[str, Any]) -> None:
        with self._lock:
            match event["event"]:
                case "route":
                    self._where = event["region"]
                case "hold":
                    self._where = f"hold: {event['reason']}"
                case "connected":
                    self._connections, self._trouble = self._connections + 1, ""
                case "refused" | "disconnected":
                    self._trouble = event["reason"]
                case "sealed" | "delivered":
                    self._clips[event["clip"]] = (event["region"], event["event"])
