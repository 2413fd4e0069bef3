"""What a watch shows: one line a vehicle for people, one object a status for machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from fsd_tools.vehicle.local_show import duration
from fsd_tools.vehicle.watch_state import Told, Watched

TOP_REASONS = 2
"""Drop reasons that are shown of each vehicle."""
STATES = ("sealed", "captured", "staged")
COLUMNS = ("vehicle", "heard", "on board", "MB", "oldest", "kB/s", "fired", "dropped", "ledger")
NUMBERS = frozenset({"MB", "oldest", "kB/s", "fired", "ledger"})


def table(
    vehicles: Iterable[Watched],
    now_s: float,
    now_wall_ns: int,
    *,
    title: str,
    broken: str = "",
    unreadable: Mapping[str, str] = MappingProxyType({}),
) -> Group:
    """Every vehicle, and below what is wrong: ``broken``, why nothing arrives; ``unreadable``, by vehicle, why."""
    shown = sorted(vehicles, key=lambda each: each.told.vehicle)
    found = Table(
        box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title=escape(title), title_justify="left"
    )
    for name in COLUMNS:
        side: Literal["left", "right"] = "right" if name in NUMBERS else "left"
        found.add_column(name, justify=side, no_wrap=name != "dropped", overflow="fold")
    for one in shown:
        found.add_row(*_cells(one, now_s, now_wall_ns))
    above = [f"[red]not connected[/red]: {escape(broken)}"] if broken else []
    wrong = [(one.told.vehicle, text) for one in shown if (text := _trouble(one.told))] + sorted(
        unreadable.items()
    )
    return Group(*above, found, *(f"[red]{escape(name)}[/red]: {escape(text)}" for name, text in wrong))


def facts(one: Watched, now_s: float, now_wall_ns: int) -> dict[str, Any]:
    """What a watch adds to a status."""
    rate = one.rate(now_s)
    return {
        "vehicle": one.told.vehicle,
        "region": one.told.region,
        "age_s": round(one.age_s(now_s, now_wall_ns), 1),
        "silent": one.is_silent(now_s, now_wall_ns),
        "sent_bytes_per_s": None if rate is None else round(rate, 1),
        "oldest_s": oldest_s(one.told, now_wall_ns),
        "ledger_records": one.told.records,
    }


def oldest_s(told: Told, now_wall_ns: int) -> int | None:
    """Age of the oldest clip on board; None where there is none."""
    oldest_ns = min((level.oldest_wall_ns for level in told.spool.values()), default=None)
    return None if oldest_ns is None else max(0, now_wall_ns - oldest_ns) // 1_000_000_000


def _cells(one: Watched, now_s: float, now_wall_ns: int) -> tuple[str, ...]:
    told, rate, oldest = one.told, one.rate(now_s), oldest_s(one.told, now_wall_ns)
    return (
        escape(told.vehicle),
        _heard(one, now_s, now_wall_ns),
        "\n".join(f"{told.spool[state].clips} {state}" for state in STATES if state in told.spool)
        or "nothing",
        f"{sum(level.bytes for level in told.spool.values()) / 1e6:.1f}",
        "-" if oldest is None else duration(oldest),
        "-" if rate is None else f"{rate / 1e3:.1f}",
        str(told.fired),
        _top(told.dropped),
        "[red]none[/red]" if told.records is None else str(told.records),
    )


def _heard(one: Watched, now_s: float, now_wall_ns: int) -> str:
    ago = f"{duration(int(one.age_s(now_s, now_wall_ns)))} ago"
    if one.is_silent(now_s, now_wall_ns):
        return f"[red]SILENT[/red]\n{ago}"
    return f"{ago}\n{escape(one.told.link)}" if one.told.link else ago


def _top(dropped: Mapping[str, int]) -> str:
    """The most frequent reasons, and how many firings all others took."""
    most = sorted(
        ((count, reason) for reason, count in dropped.items() if count), key=lambda one: (-one[0], one[1])
    )
    shown = [f"{count} {reason}" for count, reason in most[:TOP_REASONS]]
    others = sum(count for count, _ in most[TOP_REASONS:])
    return escape("\n".join([*shown, *([f"{others} others"] if others else [])])) or "0"


def _trouble(told: Told) -> str:
    """What a person should look at: the newest trouble, else the newest fault."""
    if told.trouble or not told.faults:
        return told.trouble
    newest = told.faults[-1]
    often = f" ({newest.times} times)" if newest.times > 1 else ""
    return f"{newest.where} {newest.what}".strip() + often
