"""The examples of docs/campaigns.md, "Functions that look back", come out as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from fsd_agent.records.program import Op
from fsd_agent.rules.triggers.past.memories import make_temporal
from fsd_agent.rules.triggers.past.temporal import Scalar, follow

MS = 1_000_000
TEXT = (Path(__file__).parents[2] / "docs" / "campaigns.md").read_text(encoding="utf-8")
SECTION = TEXT.split("## Reference: functions that look back\n")[1].split("\n## ")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in SECTION.splitlines() if "|" in line]
EXAMPLE = re.compile(r'`(\w+)\((\w+)(?:, "(\d+)ms")?\)(?: < (0\.\d+))?`: (.*)')
STEP = re.compile(r"(unknown|true|false|-?\d+\.?\d*) from (\d+) ms( \+ 1 ns)?")
EXAMPLES = [found.groups() for row in ROWS if (found := EXAMPLE.fullmatch(row[-1]))]
FUNCTIONS: Final = {
    "held": Op.ONCE,
    "since": Op.ONCE,
    "rose": Op.RISE,
    "fell": Op.RISE,
    "previous": Op.PREVIOUS,
    "rate": Op.RATE,
    "max_over": Op.MAX_OVER,
    "min_over": Op.MIN_OVER,
    "mean_over": Op.MEAN_OVER,
    "std_over": Op.STD_OVER,
    "count_over": Op.COUNT_OVER,
}


def timeline(name: str) -> list[Scalar]:
    words = next(row for row in ROWS if row[0] == f"`{name}`")[1:]
    named: dict[str, Scalar] = {"true": True, "false": False, "unknown": None}
    return [named[word] if word in named else float(word) for word in words]


def opposite(values: list[Scalar]) -> list[Scalar]:
    return [None if value is None else not value for value in values]


def word(value: Scalar) -> str:
    if value is None:
        return "unknown"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


@pytest.mark.parametrize(("function", "argument", "window_ms", "below_s", "stated"), EXAMPLES)
def test_example(
    function: str, argument: str, window_ms: str | None, below_s: str | None, stated: str
) -> None:
    t_ns = [int(cell.removesuffix(" ms")) * MS for cell in ROWS[0][1:]]
    window_ns = round(float(below_s) * 1e9) if below_s else int(window_ms or 0) * MS
    values = timeline(argument)
    taken = opposite(values) if function in {"held", "fell"} else values
    arrivals = list(zip(t_ns, taken, strict=True))
    shown = follow(make_temporal(FUNCTIONS[function], window_ns), arrivals, 10_000 * MS)
    result = [value for _, value in shown]
    result = opposite(result) if function == "held" else result
    found = [(word(value), divmod(t, MS)) for value, (t, _) in zip(result, shown, strict=True)]
    expected = [
        (text if text.isalpha() else f"{float(text):g}", (int(ms), int(bool(later))))
        for text, ms, later in STEP.findall(stated)
    ]
    assert found == expected
    assert len(expected) == stated.count("from")


def test_every_function_has_an_example() -> None:
    assert {function for function, *_ in EXAMPLES} == set(FUNCTIONS)
