"""Survivors that somebody has looked at: each changes no decision, and ``allowed.toml`` says why.

An entry is for one scope of one file and for the hash of that scope: after any change to it, other than to layout and
comments, the entry is stale, its mutants survive unexplained, and both are said. The same when a test kills one::

    [[allowed]]
    file = "agent/fsd_agent/rules/residency/zones.py"
    scope = "Positions.take"
    code = "0123456789ab"
    why = "..."
    changes = [["0", "-1"], ["0", "-1", 2]]     # was, becomes, and which of several
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil_tests.mutation.mutants import Mutant

_MEMBERS = {"file", "scope", "code", "why", "changes"}


class AllowedError(Exception):
    """The file is not as it must be; the message names it, the entry and what is wrong."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """One mutant that may survive."""

    file: str
    scope: str
    code: str
    was: str
    becomes: str
    nth: int
    why: str

    def fits(self, file: str, mutant: Mutant) -> bool:
        """Whether it was said of this mutant, in the code as it is now."""
        return (self.file, self.code) == (file, mutant.code) and self.name == mutant.name

    @property
    def name(self) -> tuple[str, str, str, int]:
        """As :attr:`Mutant.name`."""
        return self.scope, self.was, self.becomes, self.nth


def read_allowed(path: Path) -> tuple[Allowed, ...]:
    """Every entry of a file; raises :class:`AllowedError`."""
    try:
        entries = tomllib.loads(path.read_text()).get("allowed", [])
    except (OSError, ValueError) as error:
        raise AllowedError(f"{path}: {error}") from error
    return tuple(
        one for number, entry in enumerate(entries) for one in _entry(f"{path}: allowed[{number}]", entry)
    )


def _entry(where: str, entry: dict[str, Any]) -> list[Allowed]:
    if entry.keys() != _MEMBERS:
        raise AllowedError(f"{where}: needs exactly {', '.join(sorted(_MEMBERS))}")
    if not entry["why"].strip() or not entry["changes"]:
        raise AllowedError(f"{where}: says nothing")
    found = []
    for change in entry["changes"]:
        was, becomes, nth = (*change, 1) if len(change) == 2 else change
        found.append(Allowed(entry["file"], entry["scope"], entry["code"], was, becomes, nth, entry["why"]))
    return found


def proposal(file: str, mutants: Sequence[Mutant]) -> str:
    """Entries for these survivors, to be reviewed, reasoned and pasted."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in mutants:
        change = [one.was, one.becomes, *([one.nth] if one.nth > 1 else [])]
        groups.setdefault((one.scope, one.code), []).append(f"    {json.dumps(change, ensure_ascii=False)},")
    return "\n".join(
        f'[[allowed]]\nfile = "{file}"\nscope = "{scope}"\ncode = "{code}"\nwhy = ""\nchanges = [\n'
        + "\n".join(changes)
        + "\n]\n"
        for (scope, code), changes in groups.items()
    )
