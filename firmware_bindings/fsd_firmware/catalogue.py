"""The signal catalogue: which signals a vehicle line has, by VSS path, with type, unit and range.

A catalogue is a sequence; a signal's position in it is its *row*, the number that sample columns carry.
Paths follow the COVESA Vehicle Signal Specification (branches in CamelCase joined by dots).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

SignalType = Literal["double", "bool"]


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One signal."""

    path: str
    type: SignalType
    """What conditions see. Numbers of any width are ``double``; 0/1 signals declared boolean are ``bool``."""
    unit: str
    """As in VSS (``m/s``, ``degrees``, ``percent``), empty for none."""
    minimum: float
    maximum: float
    description: str
    labels: tuple[tuple[int, str], ...] = ()
    """Names of single values (a DBC's value table, VSS' ``allowed``), by rising value; the sample stays the number."""
    stale_ns: int = 0
    """A sample this old no longer says what the signal is; 0 means that it never grows stale."""


@dataclass(frozen=True)
class Catalogue:
    """The signals of a vehicle line. Raises ``ValueError`` on a repeated path."""

    entries: tuple[CatalogueEntry, ...]

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.entries):
            paths = [entry.path for entry in self.entries]
            twice = sorted({path for path in paths if paths.count(path) > 1})
            raise ValueError(f"catalogue: signal declared more than once: {', '.join(twice)}")

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row by path."""
        return {entry.path: row for row, entry in enumerate(self.entries)}

    def rows_of(self, paths: Sequence[str]) -> tuple[int, ...]:
        """Rows of ``paths``, in their order. Raises ``KeyError`` naming the first path that is not here."""
        return tuple(self.rows[path] for path in paths)
