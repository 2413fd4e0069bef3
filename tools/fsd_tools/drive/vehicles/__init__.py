"""Vehicle lines that ship with the tools: one DBC file and one mapping to VSS paths each, and overlays for them.

``fsd.vspec`` is the overlay of all lines: signals that the standard has not, and descriptions in our words. Who
adds a signal to a line writes it there (unless the standard has it) and into the line's mapping.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fsd_firmware.can.table import SignalTable
from fsd_firmware.catalogue import Catalogue

HERE = Path(__file__).parent
DEMO_BUSES = 2
DEMO_CAMERAS = ("front", "narrow")
"""Of the fictional car: 66 degrees across, and 24 degrees of the same direction for what is further away."""


@dataclass(frozen=True, slots=True, eq=False)
class VehicleLine:
    """One compiled vehicle line."""

    name: str
    dbc: str
    """The text that describes all buses."""
    catalogue: Catalogue
    table: SignalTable


@cache
def fsd_demo() -> VehicleLine:
    """The fictional electric car of generated drives; one DBC text serves both of its buses."""
    from fsd_tools.catalogue.resolve import compile_line  # cantools and vss-tools take a second to import
    from fsd_tools.drive.dbc_compile import DbcSource

    text = (HERE / "fsd_demo.dbc").read_text(encoding="utf-8")
    sources = [DbcSource(bus, "fsd_demo.dbc", text) for bus in range(DEMO_BUSES)]
    catalogue, table = compile_line(HERE / "fsd_demo.toml", sources)
    return VehicleLine("fsd_demo", text, catalogue, table)
