"""What lies in the car's spool and in the regions' stores opens where it should, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fsd_agent.wire.sealed import SealedError, open_sealed
from fsd_tools.region.enrolled import device_keys
from hil_tests.wire import fleet
from hil_tests.wire.world import World


def wrong_in_spool(world: World, data: Path, own: Mapping[str, str], checked: set[str]) -> list[str]:
    """Every sealed clip opens with its own region's key and with no other.

    ``own`` is each clip's region. Files in ``checked`` are not looked at again, and those looked at are added.
    """
    wrong = []
    for path in fleet.sealed_files(data):
        region = own.get(path.stem)
        if region is None or path.parent.name != region or str(path) in checked:
            continue
        checked.add(str(path))
        opens = {name for name, key in world.sealing_keys.items() if fleet.unwraps(path, key)}
        if opens - {region}:
            wrong.append(f"clip {path.stem} of {region} opens with the keys of {', '.join(sorted(opens))}")
        elif not _opens(world, path, region):
            wrong.append(f"clip {path.stem} does not open in its own region {region}")
    return wrong


def wrong_in_stores(world: World, own: Mapping[str, str]) -> list[str]:
    """No region has stored another one's clip."""
    return [
        f"clip {clip_id} of {region} is in the store of {name}"
        for clip_id, region in own.items()
        for name, directory in world.regions.items()
        if name != region and (directory.store / fleet.CAR / f"{clip_id}.mcap").exists()
    ]


def _opens(world: World, path: Path, region: str) -> bool:
    with path.open("rb") as file:
        try:
            _, parts = open_sealed(
                file,
                region_id=region,
                private_key=world.sealing_keys[region],
                device_public_key=device_keys(world.regions[region]),
            )
            return sum(map(len, parts)) > 0
        except SealedError:
            return False
