"""What CEL has and conditions don't, refused by name before types are checked.

Before, because the checker's words for a type that does not fit would hide the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fsd_firmware.catalogue import Catalogue
from fsd_tools.campaign.checked import Call, Comprehension, Expr, Ident, ListOf, Select, Tree

_TEXT: Final = "text is compared whole, with == or 'in'"
_CALENDAR: Final = "conditions have no calendar; the file's 'schedule' says when a campaign runs"
_CONVERSION: Final = "the only conversion is double(n)"
_CALENDAR_NAMES: Final = (
    "timestamp",
    *(
        f"get{part}"
        for part in (
            "FullYear",
            "Month",
            "Date",
            "DayOfMonth",
            "DayOfWeek",
            "DayOfYear",
            "Hours",
            "Minutes",
            "Seconds",
            "Milliseconds",
        )
    ),
)
REFUSED: Final[dict[str, str]] = {
    "matches": "conditions have no regular expressions, so that none can take long; compare with == or 'in'",
    "_[_]": "there are no maps, and lists have no positions; use exists, all or filter",
    **dict.fromkeys(("startsWith", "endsWith", "contains"), _TEXT),
    **dict.fromkeys(_CALENDAR_NAMES, _CALENDAR),
    **dict.fromkeys(("string", "bytes", "int", "uint", "bool", "dyn", "type"), _CONVERSION),
}
"""Reason by function."""


class ConditionError(Exception):
    """The condition is not accepted; the message says where and why."""


def refuse_what_is_not_possible(parsed: Tree, catalogue: Catalogue) -> None:
    """Refuse functions of :data:`REFUSED`, and ``has(Vehicle.Speed)``, which the checker takes for the signal itself.

    Raises :class:`ConditionError`.
    """
    for expr in _every(parsed.root):
        if isinstance(expr, Call) and expr.function in REFUSED:
            what = "[...]" if expr.function == "_[_]" else f"function {expr.function!r}"
            reason = f"{what} is not possible in conditions: {REFUSED[expr.function]}"
            raise ConditionError(f"{where(parsed.positions, expr)}: {reason}")
        if isinstance(expr, Select) and expr.test_only and dotted(expr) in catalogue.rows:
            reason = f"has({dotted(expr)}): a signal has no has(); what was never received is unknown"
            raise ConditionError(f"{where(parsed.positions, expr)}: {reason}")


def dotted(expr: Expr) -> str:
    """``a.b.c`` of selections; empty for anything else."""
    if isinstance(expr, Select):
        return f"{dotted(expr.operand)}.{expr.field}"
    return expr.name if isinstance(expr, Ident) else ""


def where(positions: dict[int, int], expr: Expr) -> str:
    """Where an expression stands, for people."""
    at = positions.get(expr.id)
    return f"character {at + 1}" if at is not None else "condition"


def _every(root: Expr) -> Iterator[Expr]:
    """The expression and all its parts."""
    todo = [root]
    while todo:
        expr = todo.pop()
        yield expr
        if isinstance(expr, Select):
            todo.append(expr.operand)
        elif isinstance(expr, Call):
            todo.extend(expr.args)
        elif isinstance(expr, ListOf):
            todo.extend(expr.elements)
        elif isinstance(expr, Comprehension):
            todo.extend((expr.over, expr.init, expr.condition, expr.step, expr.result))
