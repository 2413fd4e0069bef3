"""A car between links: clips wait on cellular, go at home, and what the ignition leaves is given back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fsd_agent.records.purpose import ALL_PURPOSES
from fsd_firmware.surroundings_file import given_back_path
from fsd_tools.rig.forks import Forks
from fsd_tools.rig.processes import wait_until
from fsd_tools.rig.rig import Rig

VEHICLE = "car-a"


@pytest.mark.slow
def test_from_cellular_to_the_garage(
    tmp_path: Path, forks: Forks, city_drive: Path, campaigns: tuple[Path, ...]
) -> None:
    heard: list[Mapping[str, Any]] = []

    def events(name: str) -> list[Mapping[str, Any]]:
        return [one for one in heard if one["event"] == name]

    with Rig(tmp_path, forks=forks) as rig:
        rig.add_region("cn", ["CN"])
        firmware = {"source": f"drive:{city_drive}", "speed": "real", "loop": True}
        vehicle = rig.add_vehicle(
            VEHICLE, "CN", ["cn"], {"firmware": firmware, "uplink": {"status_every_s": 0.2}}
        )
        rig.serve("cn")
        rig.push("cn", campaigns, drive=city_drive)
        rig.consent(VEHICLE, give=ALL_PURPOSES)
        rig.link(VEHICLE, "cellular", "--metered")
        agent = rig.start_agent(VEHICLE, "--wait-for-campaigns", "30", on_event=heard.append)
        wait_until(lambda: bool(events("sealed")), timeout_s=60, what="a clip is sealed")

        def waiting() -> dict[str, int]:
            found = json.loads(rig.fsdctl("vehicle", "status", vehicle.root, "--json"))
            waits: dict[str, int] = found["told"]["uplink"]["waits"]
            return waits

        wait_until(
            lambda: set(waiting()) == {"waits_for_unmetered"}, timeout_s=60, what="the status says why"
        )
        assert not events("delivered")
        rig.link(VEHICLE, "wifi")
        wait_until(lambda: bool(events("delivered")), timeout_s=60, what="it is delivered at home")
        rig.link(VEHICLE, "wifi", "--ignition-off", "--drain-s", "300")
        back = given_back_path(vehicle.link)
        wait_until(back.exists, timeout_s=120, what="the window is given back before it ends")
        sealed = {one["clip"] for one in events("sealed")}
        assert {one["clip"] for one in events("delivered")} == sealed
        fired = len([one for one in events("fired") if "clip" in one])
        assert agent.running()
        rig.link(VEHICLE, "wifi")
        wait_until(
            lambda: len([one for one in events("fired") if "clip" in one]) > fired,
            timeout_s=60,
            what="it collects again",
        )
        phases = [one["phase"] for one in events("power")]
        assert phases[-3:] == ["asleep", "given_back", "on"]
        assert phases[:-3] in (["draining"], []), "with nothing left to do there is nothing to drain"
        assert [one["kind"] for one in events("link")] == ["cellular", "wifi"]
        assert agent.stop() == 0
