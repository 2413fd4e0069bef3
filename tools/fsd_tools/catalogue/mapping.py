"""The mapping file of a vehicle line (TOML): which DBC message and signal fills which path of the catalogue.

::

    overlays = ["fsd.vspec"]                     # on the standard, beside this file; later ones win

    [signals."Vehicle.Speed"]
    bus = 0
    message = "VEHICLE_SPEED"
    signal = "SPEED"

Type, unit, range and description come from the catalogue. What only the vehicle line knows may be said here:

- ``unit``: what the DBC signal is in, where the DBC doesn't say or says it wrongly. It is converted into the
  catalogue's unit;
- ``range``: what this car can say, in the catalogue's unit and inside its range. A value outside is not known;
- ``labels``: which value of the DBC's table, by name or number, is which of the catalogue's allowed values. Names
  that are equal but for the size of letters need no line;
- ``stale``: how old the newest value may grow (``"500ms"``), or ``"never"``. Left out, it is five of the message's
  cycles where the DBC states a cycle, and never where it doesn't.
"""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from fsd_tools.catalogue.vspec_files import read_text
from fsd_tools.errors import ToolError

Text = Annotated[str, Meta(min_length=1)]
_UNITS_NS: Final = {"ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
_DURATION: Final = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>ms|s|min|h)\Z")
MAX_STALE_NS: Final = 24 * 3600 * 10**9
NEVER: Final = "never"


class SignalFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One path of the mapping, as its author wrote it."""

    bus: Annotated[int, Meta(ge=0, le=255)]
    message: Text
    signal: Text
    unit: str | None = None
    range: tuple[float, float] | None = None
    labels: dict[str, str | int] = {}
    stale: str | None = None

    def stale_ns(self) -> int | None:
        """Nanoseconds, 0 for never; None where the file leaves it to the DBC. Raises :class:`ToolError`."""
        if self.stale is None:
            return None
        if self.stale == NEVER:
            return 0
        found = _DURATION.match(self.stale)
        if found is None:
            raise ToolError(f'stale: {self.stale!r} is neither "{NEVER}" nor a duration such as 500ms or 2s')
        value = int(Decimal(found["number"]) * _UNITS_NS[found["unit"]])
        if not 0 < value <= MAX_STALE_NS:
            raise ToolError(f'stale: {self.stale!r}: more than 0 and at most 24h, or "{NEVER}"')
        return value


class MappingFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; the order of ``signals`` is the order of the catalogue."""

    signals: dict[str, SignalFile]
    overlays: tuple[Text, ...] = ()
    """Files beside this one."""


def load_mapping(path: Path) -> MappingFile:
    """Read a mapping file. Raises :class:`ToolError` naming the file and the key."""
    return parse_mapping(read_text(path), str(path))


def parse_mapping(text: str, name: str) -> MappingFile:
    """Check a mapping's text. Raises :class:`ToolError` naming ``name`` and the key."""
    try:
        return msgspec.convert(tomllib.loads(text), MappingFile, strict=True)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ToolError(f"{name}: {error}") from None
