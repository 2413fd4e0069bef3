"""Since when each clip on board is held: as columns, because there may be tens of thousands."""

from __future__ import annotations

from array import array
from typing import NamedTuple

EARLIER_NS = -1
"""In place of when a run saw a clip first: a run before had noted it."""


class HeldSince(NamedTuple):
    """Row by row; no clip has two."""

    ids: bytes
    """16 bytes a clip, one behind the other."""
    since_ns: array[int]
    """Unix time, by all that is known."""
    seen_ns: array[int]
    """Monotonic time when the run that has written this saw the clip first, or ``EARLIER_NS``."""
