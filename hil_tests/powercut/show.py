"""A report for people."""

from __future__ import annotations

from collections import Counter

from hil_tests.powercut.journeys import Report

_PLACES = ("journal", "ledger", "staging", "spool", "keys", "status")


def show(report: Report) -> str:
    """The count, what was cut where, and what became of it."""
    lost = sum(map(len, report.wrong.values()))
    firings = (
        f"{report.firings} firings accepted, {report.clips} clips at the region; firings dropped: "
        f"{dict(report.dropped) or 'none'}; cut off between ledger and journal: {report.in_ledger_alone}"
    )
    lines = [
        f"{len(report.cuts)} power cuts in {report.lives} lives of {report.vehicles} vehicles, {report.seconds:.0f} s",
        f"{lost} findings of anything lost, stored twice or corrupt",
        firings,
        "",
        "live clips at the cuts: " + _counts(sum((one.live for one in report.cuts), Counter())),
        "what was not certain:   " + _counts(report.fate),
        "",
        *_table(Counter((place(one.at.path), one.at.kind) for one in report.cuts)),
    ]
    for seed, wrong in report.wrong.items():
        lines += ["", f"vehicle {seed} (REPLAY={seed}):", *(f"  {one}" for one in wrong)]
    return "\n".join(lines)


def place(path: str) -> str:
    """Whose file it is."""
    for name in _PLACES:
        if f"/{name}" in path or f"/.{name}" in path:
            return name
    return "folders"


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _table(cuts: Counter[tuple[str, str]]) -> list[str]:
    """Places down, operations across."""
    kinds = sorted({kind for _, kind in cuts})
    places = sorted({where for where, _ in cuts})
    rows = [
        ["cut at", *kinds],
        *([where, *(str(cuts[where, kind] or "-") for kind in kinds)] for where in places),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
