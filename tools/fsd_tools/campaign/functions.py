"""Functions of the condition language that CEL itself does not have, as they are declared to its type checker.

``docs/campaigns.md`` says what each means; ``lower_functions`` turns them into programs. A window is written as text
(``"2s"``) or as CEL's ``duration("2s")``. Times, kinds and names are arguments of type text or duration here, and
lowering takes them as literals only: what a campaign looks back at, and how far, is known before it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Type = Literal["bool", "int", "double", "text", "duration"]
_WINDOWS: Final[tuple[Type, ...]] = ("text", "duration")


@dataclass(frozen=True, slots=True)
class Overload:
    """One way to call a function."""

    parameters: tuple[Type, ...]
    result: Type


@dataclass(frozen=True, slots=True)
class Function:
    """One function."""

    usage: str
    """How it is written, for who wrote it otherwise."""
    overloads: tuple[Overload, ...]


def _windowed(usage: str, *kinds: tuple[Type, Type]) -> Function:
    """A function of a value and a window; ``kinds`` are the value's type and the result's."""
    return Function(usage, tuple(Overload((kind, window), to) for kind, to in kinds for window in _WINDOWS))


def _plain(usage: str, *kinds: tuple[tuple[Type, ...], Type]) -> Function:
    return Function(usage, tuple(Overload(parameters, to) for parameters, to in kinds))


_SAME: Final[tuple[tuple[Type, Type], ...]] = (("double", "double"), ("int", "int"))
_STATISTIC: Final[tuple[tuple[Type, Type], ...]] = (("double", "double"), ("int", "double"))

FUNCTIONS: Final[dict[str, Function]] = {
    "held": _windowed('held(condition, "2s")', ("bool", "bool")),
    "rose": _plain("rose(condition)", (("bool",), "bool")),
    "fell": _plain("fell(condition)", (("bool",), "bool")),
    "since": _plain("since(condition) < 3.0", (("bool",), "double")),
    "previous": _plain("previous(value)", *(((kind,), kind) for kind in ("bool", "int", "double"))),
    "rate": _windowed('rate(number, "1s")', *_STATISTIC),
    "max_over": _windowed('max_over(number, "5s")', *_SAME),
    "min_over": _windowed('min_over(number, "5s")', *_SAME),
    "mean_over": _windowed('mean_over(number, "5s")', *_STATISTIC),
    "std_over": _windowed('std_over(number, "5s")', *_STATISTIC),
    "count_over": _windowed('count_over(condition, "10s")', ("bool", "int")),
    "flicker": _windowed('flicker("pedestrian", "2s")', ("text", "int")),
    "jitter": _windowed('jitter("pedestrian", "2s")', ("text", "double")),
    "disagree": _plain('disagree("front", "narrow")', (("text", "text"), "bool")),
    "within": _plain('within("zone")', (("text",), "bool")),
    "head": _plain('head("name")', (("text",), "double")),
    "mode": _plain('mode("assisted")', (("text",), "bool")),
}
