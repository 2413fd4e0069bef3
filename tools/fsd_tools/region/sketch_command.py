"""``fsdctl region sketch``: what the region has enough of, for its vehicles."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy
from fsd_tools.region.sketch import build_sketch, received_codes, write_sketch

ENOUGH: Final = 20
VEHICLES: Final = 3


def sketch(
    directory: Path,
    *,
    enough: Annotated[int, Parameter(validator=Number(gte=1))] = ENOUGH,
    vehicles: Annotated[int, Parameter(validator=Number(gte=1))] = VEHICLES,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Make the sketch of what the region in DIRECTORY has enough of; the next `fsdctl campaign push` takes it along.

    A vehicle then leaves out clips that show nearly the same, where the campaign asks for novelty. To take a sketch back,
    remove the file and push again. Example: fsdctl region sketch ./cn --enough 50

    Parameters
    ----------
    directory
        The region's directory, with its store.
    enough
        So many clips that show nearly the same are enough.
    vehicles
        From at least so many different vehicles; fewer tell where one of them goes.
    json
        Print what was made as one JSON object.
    """
    region = RegionDir(directory)
    region_id = load_policy(region).region_id
    unread: list[str] = []
    received = tuple(received_codes(region.store, unread.append))
    made = build_sketch(region_id, received, enough=enough, vehicles=vehicles)
    size = write_sketch(region, made)
    campaigns = Counter(code.subject.campaign_id for code in made.codes)
    if json:
        facts = {
            "region": region_id,
            "codes_received": len(received),
            "codes": len(made.codes),
            "campaigns": dict(campaigns),
            "bytes": size,
            "not_read": unread,
            "sketch": str(region.sketch),
        }
        print(msgspec.json.encode(facts).decode())
        return 0
    print(
        f"Region {region_id}: {len(made.codes)} codes of {len(received)} received ({size} bytes) in {region.sketch}"
    )
    for campaign_id, count in sorted(campaigns.items()):
        print(f"  {campaign_id}: {count}")
    for why in unread:
        print(f"not read: {why}", file=sys.stderr)
    return 0
