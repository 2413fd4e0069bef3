"""The file of a head made of curves: JSON that a person can read, and where it was learned from.

``{"name", "source", "learned_from", "licence", "base", "curves": [{"feature", "knots", "values"}, ...]}``. ``source`` is that
of the features (``tracks@2``); a file for another one, or with other features, is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from fsd_agent.records.head import Head
from fsd_agent.rules.selection.tracks import FEATURES, LIMIT, SOURCE
from fsd_tools.campaign.head_fixed import to_fixed
from fsd_tools.errors import ToolError
from fsd_tools.selection.curves import Curve, Curves, layers_of

SHIPPED: Final = Path(__file__).parent / "heads" / "begins_to_cross-2.json"
CAMERA: Final = "front"


class HeadFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module."""

    name: str
    source: str
    learned_from: str
    licence: str
    base: float
    curves: tuple[Curve, ...]

    def as_curves(self) -> Curves:
        """Without where it comes from."""
        return Curves(self.base, self.curves)

    def as_head(self) -> Head:
        """As the vehicle takes it."""
        return to_fixed(self.name, self.source, CAMERA, layers_of(self.as_curves()), LIMIT, None)


def read_head_file(path: Path) -> HeadFile:
    """Raises :class:`ToolError` naming the file and the reason."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=HeadFile)
    except OSError as error:
        raise ToolError(f"{path}: can't be read: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise ToolError(f"{path}: {error}") from error
    if found.source != SOURCE or tuple(one.feature for one in found.curves) != FEATURES:
        raise ToolError(f"{path}: is for other features than {SOURCE}")
    for one in found.curves:
        rising = all(low < high for low, high in zip(one.knots, one.knots[1:], strict=False))
        if len(one.knots) != len(one.values) or len(one.knots) == 1 or not rising:
            raise ToolError(
                f"{path}: {one.feature}: a curve has two or more rising knots and a value at each"
            )
    return found


def write_head_file(path: Path, head: HeadFile) -> None:
    """As text that diffs well."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(head), indent=1) + b"\n")
