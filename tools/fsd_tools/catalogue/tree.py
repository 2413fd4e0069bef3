"""The standard's tree of signals as plain values: leaves by path, and the branches between them.

What a leaf may be for the rest of the product: a number, a boolean, or one of a list of names. Text without a list,
lists of values and structures exist in the standard but not in a CAN frame.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from fsd_tools.errors import ToolError

NUMBERS = frozenset(
    {"uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float", "double"}
)
"""Datatypes that conditions see as ``double``."""


@dataclass(frozen=True, slots=True)
class Node:
    """One leaf of the tree."""

    path: str
    datatype: str
    """As the standard names it: ``uint8`` to ``double``, ``boolean``, ``string``."""
    unit: str
    """In the standard's spelling, empty for none."""
    minimum: float
    maximum: float
    """Infinite where the standard sets no limit."""
    allowed: tuple[str, ...]
    """The names that a text may be; empty for any."""
    codes: tuple[tuple[int, str], ...]
    """Names of numbers (``enum``), by rising number."""
    description: str
    where: str
    """File and line that said the last word on it."""


@dataclass(frozen=True)
class SignalTree:
    """A standard with its overlays."""

    name: str
    """Where it comes from, for messages."""
    nodes: Mapping[str, Node]

    @cached_property
    def branches(self) -> frozenset[str]:
        """Paths that have leaves below them."""
        found: set[str] = set()
        for path in self.nodes:
            while "." in path:
                path = path.rpartition(".")[0]  # noqa: PLW2901 - walks up
                found.add(path)
        return frozenset(found)

    def node(self, path: str) -> Node:
        """The leaf at ``path``. Raises :class:`ToolError` with what was probably meant."""
        found = self.nodes.get(path)
        if found is not None:
            return found
        if path in self.branches:
            below = [leaf for leaf in self.nodes if leaf.startswith(f"{path}.")]
            raise ToolError(f"is a branch of {len(below)} signals, among them {', '.join(below[:3])}")
        meant = self._near(path)
        hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
        raise ToolError(f"is neither in {self.name} nor in an overlay{hint}")

    def _near(self, path: str) -> list[str]:
        """Up to three paths that look like ``path``; the same last name counts more than the way to it."""
        by_small = {leaf.lower(): leaf for leaf in self.nodes}
        if path.lower() in by_small:
            return [by_small[path.lower()]]
        last = path.rpartition(".")[2].lower()
        same = [leaf for leaf in by_small if leaf.rpartition(".")[2] == last]
        found = difflib.get_close_matches(path.lower(), same, 3, 0.5)
        found += difflib.get_close_matches(path.lower(), list(by_small), 3, 0.75)
        return [by_small[leaf] for leaf in dict.fromkeys(found)][:3]


def limit(raw: float | None, otherwise: float) -> float:
    """A range's end; ``otherwise`` (an infinity) where the standard is silent."""
    return otherwise if raw is None or math.isnan(raw) else float(raw)
