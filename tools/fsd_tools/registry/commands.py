"""``fsdctl registry``: make a registration authority."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
from cyclopts import Parameter

from fsd_tools.registry.registry import Registry, init_registry

app = cyclopts.App(
    name="registry",
    help="""A registration authority: it signs where vehicles belong.

    For example:

        fsdctl registry init ./registry
        fsdctl vehicle register ./car-1 --registry ./registry --vehicle car-1 --jurisdiction CN
    """,
)


@app.command
def init(directory: Path, *, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Make a registration authority in DIRECTORY: a key that signs registrations, and its public half.

    Example: fsdctl registry init ./registry

    Parameters
    ----------
    directory
        Made if it is not there; a key that is there is never replaced.
    json
        Print what was made as one JSON object.
    """
    key_id, registry = init_registry(directory), Registry(directory)
    if json:
        print(msgspec.json.encode({"key_id": key_id, "public": str(registry.public)}).decode())
    else:
        print(f"Registration authority {key_id} made in {directory}")
        print(f"Vehicles are given {registry.public}; {registry.key.name} stays where it is.")
    return 0
