"""The examples of docs/campaigns.md, "Functions that look back", come out as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from fsd_agent.records.program import Op
from fsd_agent.rules.triggers.temporal import Steps, make_temporal
from fsd_agent.rules.triggers.values import Number, Planes, Value, negate

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


def timeline(name: str) -> Value:
    words = next(row for row in ROWS if row[0] == f"`{name}`")[1:]
    known = np.array([word != "unknown" for word in words])
    if name == "on":
        true = np.array([word == "true" for word in words])
        return Planes(true, known & ~true)
    return Number(np.array([float(word) if word != "unknown" else 0.0 for word in words]), known)


def words_of(value: Value) -> list[str]:
    if isinstance(value, Planes):
        return np.where(value.true, "true", np.where(value.false, "false", "unknown")).tolist()
    pairs = zip(value.value.tolist(), value.known.tolist(), strict=True)
    return [f"{number:g}" if known else "unknown" for number, known in pairs]


def opposite(value: Value) -> Value:
    assert isinstance(value, Planes)
    return negate(value)


@pytest.mark.parametrize(("function", "argument", "window_ms", "below_s", "stated"), EXAMPLES)
def test_example(
    function: str, argument: str, window_ms: str | None, below_s: str | None, stated: str
) -> None:
    t_ns = np.array([int(cell.removesuffix(" ms")) * MS for cell in ROWS[0][1:]], np.int64)
    window_ns = round(float(below_s) * 1e9) if below_s else int(window_ms or 0) * MS
    value = timeline(argument)
    taken = opposite(value) if function in {"held", "fell"} else value
    with np.errstate(all="ignore"):
        shown = make_temporal(FUNCTIONS[function], window_ns).follow(Steps(t_ns, taken), 10_000 * MS)
    result = opposite(shown.value) if function == "held" else shown.value
    found = [(word, divmod(t, MS)) for word, t in zip(words_of(result), shown.t_ns.tolist(), strict=True)]
    expected = [
        (word if word.isalpha() else f"{float(word):g}", (int(ms), int(bool(later))))
        for word, ms, later in STEP.findall(stated)
    ]
    assert found == expected
    assert len(expected) == stated.count("from")


def test_every_function_has_an_example() -> None:
    assert {function for function, *_ in EXAMPLES} == set(FUNCTIONS)
