"""What was compiled, for people: what a campaign reads, how far it looks back, and what it costs.

Costs are those that the vehicle charges to the campaign's evaluation budget (``rules.triggers.firing.prices``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from rich.table import Table

from fsd_agent.records.campaign import SECOND_NS, Campaign
from fsd_agent.records.link_rule import LinkRule, Links
from fsd_agent.records.program import NAMED, SIGNALS, TEMPORAL, Op
from fsd_agent.rules.triggers.firing.prices import FRAMES, price

_ROWS: Final = SIGNALS | NAMED - {Op.SEEN}
_SAID: Final = {
    Op.ONCE: "once (held, since)",
    Op.RISE: "rose",
    Op.PREVIOUS: "previous",
    Op.RATE: "rate",
    Op.MAX_OVER: "max_over",
    Op.MIN_OVER: "min_over",
    Op.MEAN_OVER: "mean_over",
    Op.STD_OVER: "std_over",
    Op.COUNT_OVER: "count_over",
}


@dataclass(frozen=True, slots=True)
class LookingBack:
    """One function of the program that has a memory."""

    function: str
    window_ns: int
    """0 where it has none."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What arrives, and what one arrival costs."""

    what: str
    operations: int
    operations_per_box: int
    """For each box in view."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Of one campaign."""

    nodes: int
    reads: tuple[Reading, ...]
    looks_back: tuple[LookingBack, ...]


def summarise(campaign: Campaign) -> Summary:
    """Everything that its program says about itself."""
    nodes = campaign.program.nodes
    leaves = list(dict.fromkeys(node for node in nodes if node.op in _ROWS))
    found = price(campaign, {leaf: row for row, leaf in enumerate(leaves)})
    rows = [*range(len(leaves)), *([FRAMES] if FRAMES in found.flat | found.per_box else [])]
    return Summary(
        len(nodes),
        tuple(Reading(_said(campaign, leaves, row), found.flat[row], found.per_box[row]) for row in rows),
        tuple(LookingBack(_SAID[node.op], node.window_ns) for node in nodes if node.op in TEMPORAL),
    )


def as_dict(campaign: Campaign) -> dict[str, Any]:
    """For ``--json``: the campaign's fields, its program and heads as figures, and its summary."""
    found: dict[str, Any] = msgspec.to_builtins(campaign)
    del found["program"]
    heads = [
        {"name": head.name, "source": head.source, "camera": head.camera, "inputs": head.inputs}
        | {"weights": head.weight_count}
        for head in campaign.heads
    ]
    said = summarise(campaign)
    return found | {
        "heads": heads,
        "program_version": campaign.program.version,
        "program_nodes": said.nodes,
        "reads": msgspec.to_builtins(said.reads),
        "looks_back": msgspec.to_builtins(said.looks_back),
    }


def campaign_table(title: str, campaigns: Sequence[Campaign]) -> Table:
    """When each may fire, and what it keeps."""
    table = Table(title=title, title_justify="left")
    table.add_column("campaign", no_wrap=True)
    for column in ("hold", "cool-down", "window", "a day at most", "uplink"):
        table.add_column(column, no_wrap=True)
    for one in campaigns:
        budget = one.budget
        limits = [f"{budget.clips_per_day} clips"] if budget.clips_per_day is not None else []
        limits += [f"{budget.bytes_per_day / 1e6:g} MB"] if budget.bytes_per_day is not None else []
        table.add_row(
            one.id,
            _seconds(one.hold_ns),
            _seconds(one.cooldown_ns),
            _window(one),
            "\n".join(limits) or "no limit",
            _uplink(one.uplink),
        )
    return table


def _window(campaign: Campaign) -> str:
    """What is captured around a firing and, in a line of its own, what is kept of a clip."""
    capture, keep_ns = campaign.capture, campaign.selection.keep_ns
    around = f"-{_seconds(capture.before_ns)} +{_seconds(capture.after_ns)}"
    return around if keep_ns is None else f"{around}\nbest {_seconds(keep_ns)}"


def _uplink(rule: LinkRule) -> str:
    """Which links, in one line."""
    words = [f"{rule.links} links" if rule.links is Links.ANY else str(rule.links)]
    words += ["roaming"] if rule.roaming else []
    words += ["urgent"] if rule.urgent else []
    words += [f"within {rule.deadline_ns / 3600 / SECOND_NS:g} h"] if rule.deadline_ns is not None else []
    return ", ".join(words)


def program_lines(campaign: Campaign) -> Iterator[str]:
    """What it looks back at, what it reads, and what an arrival costs; lines, because paths are long."""
    said = summarise(campaign)
    back = Counter(
        f"{looking.function} {_seconds(looking.window_ns)}" if looking.window_ns else looking.function
        for looking in said.looks_back
    )
    again = ", ".join(f"{count} x {what}" if count > 1 else what for what, count in back.items())
    yield f"{campaign.id}: {said.nodes} nodes; looks back: {again or 'no'}"
    for reading in said.reads:
        per_box = f" and {reading.operations_per_box} a box" if reading.operations_per_box else ""
        yield f"    {reading.what}: {reading.operations} operations an arrival{per_box}"


def _said(campaign: Campaign, leaves: Sequence[Any], row: int) -> str:
    if row == FRAMES:
        return "detections"
    leaf = leaves[row]
    if leaf.op is Op.HEAD:
        source = next(head.source for head in campaign.heads if head.name == leaf.value)
        return f"features of {source}"
    return {Op.ZONE: "position fixes", Op.MODE: "drive modes"}.get(leaf.op, str(leaf.value))


def _seconds(duration_ns: int) -> str:
    return f"{duration_ns / SECOND_NS:g} s"
