"""Which code of a CAN signal is which of the names that the catalogue allows.

A sample stays the number that was on the bus; its label is what a condition compares with
(``Vehicle.X == "LABEL"``). One name has one code: a second code for it could not be written as one comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsd_tools.catalogue.tree import Node
from fsd_tools.errors import ToolError

Labels = tuple[tuple[int, str], ...]


def labels_of(node: Node, said: Mapping[str, str | int], signal: Any | None) -> Labels:
    """Codes and names by rising code. ``signal`` is cantools', or None where only the catalogue is asked.

    Raises :class:`ToolError` naming the label and the reason.
    """
    for name in said:
        if name not in node.allowed:
            raise ToolError(f"labels: {name}: the catalogue allows {', '.join(node.allowed)} ({node.where})")
    if not node.allowed:
        return node.codes
    if signal is None:
        return ()
    if (signal.scale, signal.offset) != (1, 0):
        raise ToolError("labels: the DBC signal is scaled, so its codes are not what a sample holds")
    table = {int(code): str(name) for code, name in (signal.choices or {}).items()}
    found = _said(said, table) if said else {}
    by_small = {name.lower(): name for name in node.allowed}
    for code, text in table.items():
        same = by_small.get(text.lower())
        if same is not None and same not in said and code not in found:
            _take(found, code, same)
    if not found:
        names = ", ".join(table.values()) or "none"
        raise ToolError(
            f"labels: of the DBC's names ({names}) none is one of the catalogue's ({', '.join(node.allowed)});"
            f" say which is which: labels = {{{node.allowed[0]} = ...}}"
        )
    return tuple(sorted(found.items()))


def _said(said: Mapping[str, str | int], table: Mapping[int, str]) -> dict[int, str]:
    found: dict[int, str] = {}
    for name, wanted in said.items():
        codes = [wanted] if isinstance(wanted, int) else [c for c, text in table.items() if text == wanted]
        if len(codes) != 1:
            there = ", ".join(f"{text!r}" for text in table.values()) or "nothing"
            why = (
                "is there more than once" if codes else f"is not in the DBC's value table, which has {there}"
            )
            raise ToolError(f"labels: {name}: {wanted!r} {why}")
        _take(found, codes[0], name)
    return found


def _take(found: dict[int, str], code: int, name: str) -> None:
    if code in found:
        raise ToolError(f"labels: {name}: code {code} is already {found[code]}")
    if name in found.values():
        raise ToolError(f"labels: {name}: has more than one code; name the one that counts")
    found[code] = name
