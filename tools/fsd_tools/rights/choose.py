"""Which clips a person means, by the beginnings of their ids."""

from __future__ import annotations

from collections.abc import Sequence

from fsd_tools.errors import ToolError


def choose(ids: Sequence[str], wanted: Sequence[str]) -> frozenset[str]:
    """The ids that ``wanted`` are the beginnings of; all where none is wanted.

    Raises :class:`ToolError` for what begins no id, or several.
    """
    found = []
    for begin in wanted:
        matching = [one for one in ids if one.startswith(begin)] if begin else []
        if len(matching) != 1:
            many = (
                f"begins {len(matching)} clip ids; give more of it" if matching else "is no clip known here"
            )
            raise ToolError(f"--clip {begin!r}: {many}")
        found += matching
    return frozenset(found if wanted else ids)
