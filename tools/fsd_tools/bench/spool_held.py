"""A vehicle whose spool holds many sealed clips, and its agent: how long it takes to start, and its memory.

The spool is filled through the agent's own stores, in memory where the kernel has a file system for that, and copied to the
disk then: fifty thousand durable puts would take minutes and show nothing here.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import Registration, Route
from fsd_tools.bench.spool_agent import Measured
from fsd_tools.bench.spool_stores import PURPOSE, Stores, sealed_file
from fsd_tools.errors import ToolError
from fsd_tools.region.operator import load_policy
from fsd_tools.rig.processes import Child, fsdctl
from fsd_tools.rig.rig import Rig, RigVehicle

REGION, VEHICLE = "cn", "car-bench"
BATCH = 1000
CLIP_BYTES = 1000
"""Of a clip's sealed file: at start a file is listed, and not opened."""
MEMORY = Path("/dev/shm")  # noqa: S108 - for a fresh folder of our own
CHILD_TIMEOUT_S = 300.0


class Fleet:
    """One region, whose receiver is away, and one vehicle with a drive; its data folders are made by :meth:`fill`."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        drive = rig.root / "drive.mcap"
        fsdctl("drive", "generate", "-o", drive, "--seconds", "5", "--without-video")
        rig.add_region(REGION, ["CN"])
        firmware: dict[str, Any] = {"source": f"drive:{drive}", "speed": "real", "loop": True}
        self.vehicle: RigVehicle = rig.add_vehicle(VEHICLE, "CN", [REGION], {"firmware": firmware})
        rig.consent(VEHICLE, give=[Purpose(PURPOSE)])
        self.route = Route(
            Registration(VEHICLE, "CN", 1, KeyFiles(self.vehicle.root).device_key_id(), 0, 2**62),
            load_policy(rig.region(REGION)),
        )

    def stores(self, data: Path) -> Stores:
        """The vehicle's stores in ``data``."""
        return Stores.open(self.vehicle.root, data, self.route)

    def fill(self, clips: int) -> Path:
        """A data folder on the disk with so many sealed clips in it; returns the configuration that names it."""
        name = f"data-{clips}"
        with tempfile.TemporaryDirectory(
            prefix="fsd-bench-", dir=MEMORY if MEMORY.is_dir() else None
        ) as folder:
            stores = self.stores(Path(folder))
            try:
                for done in range(0, clips, BATCH):
                    for clip in stores.captured(min(BATCH, clips - done)):
                        stores.take(clip, sealed_file(os.urandom(CLIP_BYTES)))
                        stores.unstage(clip)
                    stores.ledger.trim(0)  # As with every status
            finally:
                stores.close()
            shutil.copytree(folder, self.vehicle.root / name)
        os.sync()
        config = self.vehicle.root / f"agent-{clips}.toml"
        text = self.vehicle.config.read_text(encoding="utf-8")
        config.write_text(text.replace('dir = "data"', f'dir = "{name}"'), encoding="utf-8")
        return config

    def run_agent(self, config: Path, seconds: float) -> Measured:
        """Run an agent on ``config`` as a process of its own, and let it tell about itself."""
        argv = [sys.executable, "-m", "fsd_tools.bench.spool_agent", str(config), str(seconds)]
        said: list[Measured] = []
        child = Child(
            f"agent of {config.name}",
            argv,
            log=self._rig.root / "logs" / f"{config.stem}.log",
            on_event=lambda event: said.append(msgspec.convert(event, Measured)),
        )
        code = child.wait(CHILD_TIMEOUT_S)
        if code or not said:
            raise ToolError(f"bench spool: the agent ended with {code}:\n{child.log_tail()}")
        return said[-1]
