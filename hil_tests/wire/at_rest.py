"""What lies in the car's spool and in the regions' stores opens where it should, and nowhere else."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.wire.sealed import SealedError, open_sealed
from fsd_agent.wire.spool_head import SpoolFileError, read_header
from fsd_tools.region.enrolled import device_keys
from fsd_tools.region.firings import read_firing
from hil_tests.wire import fleet
from hil_tests.wire.world import World


def wrong_in_spool(world: World, data: Path, own: Mapping[str, str], checked: set[str]) -> list[str]:
    """Every sealed clip opens, once out of its compartment, with its own region's key and with no other.

    In another compartment, or as another clip's file, it is noise.

    ``own`` is each clip's region. Files in ``checked`` are not looked at again, and those looked at are added.
    """
    wrong = []
    keys = KeyFiles(world.vehicle.root)
    for path in fleet.sealed_files(data):
        region = own.get(path.stem)
        if region is None or str(path) in checked:
            continue
        try:
            sealed = fleet.inner(path, keys)
        except (SpoolFileError, VehicleKeyError) as error:
            if _is_as_put(path, region):
                wrong.append(f"clip {path.stem} does not open in its own compartment: {error}")
            continue
        if fleet.compartment_of(path).region_id != region:
            wrong.append(f"clip {path.stem} of {region} opens in compartment {fleet.compartment_of(path)}")
            continue
        checked.add(str(path))
        opens = {name for name, key in world.sealing_keys.items() if fleet.unwraps(sealed, key)}
        if opens - {region}:
            wrong.append(f"clip {path.stem} of {region} opens with the keys of {', '.join(sorted(opens))}")
        elif not _opens(world, sealed, region):
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


def wrong_in_told(world: World, own: Mapping[str, str]) -> tuple[int, list[str]]:
    """How many firings regions were told of since the last call; no region of one that another one's clip was made of.

    The region of a firing's clip is what ``own`` said of it in any call.
    """
    world.owners.update(own)
    count, wrong = 0, []
    for name, directory in world.regions.items():
        for path in (directory.firings / fleet.CAR).glob("*.json"):
            if path in world.told:
                continue
            world.told.add(path)
            found = read_firing(path)
            clip_id = found.told.clip_id if found is not None else None
            count += clip_id is not None
            owner = world.owners.get(clip_id or "", name)
            if owner != name:
                wrong.append(f"{name} was told of firing {path.stem}, whose clip {clip_id} is {owner}'s")
    return count, wrong


def _is_as_put(path: Path, region: str) -> bool:
    """Whether nobody laid another file over it: its header is its own."""
    header = read_header(path.read_bytes())
    return (header.region_id, header.clip_id) == (region, path.stem) and path.parents[1].name == region


def _opens(world: World, sealed: bytes, region: str) -> bool:
    try:
        _, parts = open_sealed(
            io.BytesIO(sealed),
            region_id=region,
            private_key=world.sealing_keys[region],
            device_public_key=device_keys(world.regions[region]),
        )
        return sum(map(len, parts)) > 0
    except SealedError:
        return False
