"""The campaigns in force, with everything that evaluates them; made anew for every set, and takes over what stays.

What stays: a member that was in force before (same campaign, same epoch) keeps its condition's truth and its phase, a
function that looks back keeps its memory, a row keeps its newest value, each found by its digest (see ``plan``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from fsd_agent.records.campaign import LIMITS, Campaign
from fsd_agent.records.program import SIGNALS, Node, signal_types, texts
from fsd_agent.rules.triggers.arrivals import Arrivals
from fsd_agent.rules.triggers.conditions.bank import Bank, takes
from fsd_agent.rules.triggers.conditions.conditions import Conditions
from fsd_agent.rules.triggers.detections.looks import Looks
from fsd_agent.rules.triggers.expressions.graph import DETECTIONS_INPUT
from fsd_agent.rules.triggers.firing.cost import Costs
from fsd_agent.rules.triggers.firing.phases import Change, Phases, Transitions
from fsd_agent.rules.triggers.plan import Looking, make_plan, row_of
from fsd_agent.rules.triggers.seeing import Seeing
from fsd_agent.rules.triggers.signals.columns import Event, ListedSamples, Samples, in_time
from fsd_agent.rules.triggers.signals.state import SignalState
from fsd_agent.rules.triggers.stages import stages_of
from fsd_agent.rules.triggers.step import Truth
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.samples import Detections

_BEFORE_ALL_NS: Final = -(2**61)
"""Before any time of a sample."""


@dataclass(frozen=True, slots=True)
class Member:
    """One campaign in force."""

    campaign: Campaign
    epoch: int
    """In which it came into force."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What came of one batch."""

    results: Sequence[Event]
    """Of functions that look back, as far as somebody wants to know of them; those of one row in order of time."""
    changes: Sequence[Change]
    parts: Sequence[Transitions]
    """How conditions change, too; one campaign's changes are all in one place."""


NOTHING_FOUND: Final = Found((), (), ())


def _merged(events: list[Event], more: list[Event]) -> list[Event]:
    return sorted([*events, *more], key=in_time) if more else events


class Force:
    """See the module. ``before`` is what was in force, and ``signals`` is told of the new rows.

    The catalogue has all signals of the members.
    """

    def __init__(
        self, members: Sequence[Member], catalogue: Catalogue, signals: SignalState, before: Force | None
    ) -> None:
        self.members = tuple(members)
        self._signals = signals
        self._plan = make_plan([(one.campaign, one.epoch) for one in members], catalogue)
        self._positions = {(one.campaign.id, one.epoch): at for at, one in enumerate(members)}
        self.arrivals = Arrivals(self._plan.own.values())
        campaigns = [one.campaign for one in members]
        self.phases = Phases(campaigns)
        self.costs = Costs(campaigns, self._plan.leaves, self._plan.row_count)
        self._named = [
            (
                tuple((path, catalogue.rows[path]) for path in sorted(signal_types(one.program))),
                texts(one.program, "kind"),
            )
            for one in campaigns
        ]
        """Of each member: the signals with their rows, and the kinds, that its condition names."""
        self._failed: dict[int, str] = {}
        """Positions of members whose evaluation raised, with the reason."""
        self._loaded = False
        self._divide()
        if before is not None:
            self._take_over(before)
        self._watch(before)
        self._stages = stages_of(
            self._plan.graph,
            tuple(self._plan.looking.values()),
            self._asked,
            self._bank,
            self._plan.row_count,
            self._fail_all,
            tells=bool(self._conditions.inputs),
        )
        self._by_graph = self._conditions.inputs.union(
            *(one.inputs for stage in self._stages for one in stage.seen)
        )
        """Inputs of everything that the graph evaluates."""

    def evaluate(
        self,
        samples: Samples,
        looks: Looks | None,
        make_looks: Callable[[], Looks],
        until_ns: int,
    ) -> Found:
        """One batch: what functions that look back give, and how conditions change."""
        active = self._signals.active(samples)
        if active is None and looks is None and all(stage.rests(until_ns) for stage in self._stages):
            return NOTHING_FOUND
        if not self._loaded:
            self._load()
        events = active.items if active is not None else []
        if not self._by_graph:
            return self._last_stage(events, until_ns, None)
        seeing = Seeing(self._plan.graph, self._by_graph, self._signals, looks, make_looks, until_ns)
        with np.errstate(all="ignore"):  # Overflow and invalid are values here; see ``values``.
            return self._evaluate(events, seeing)

    def _evaluate(self, events: list[Event], seeing: Seeing) -> Found:
        """Stage after stage."""
        results: list[Event] = []
        seeing.comes(events)
        for stage in self._stages[:-1]:
            made = stage.cascade.follow(events, seeing.until_ns).results
            seeing.comes(made)
            events = _merged(events, made)
            for one in stage.seen:
                if one.is_due(seeing.changed, seeing.until_ns):
                    more = one.events(seeing.now(events), self._fail_looking)
                    seeing.comes(more)
                    made += more
                    events = _merged(events, more)
            results += made
        found = self._last_stage(events, seeing.until_ns, seeing)
        return replace(found, results=[*results, *found.results])

    def _last_stage(self, events: list[Event], until_ns: int, seeing: Seeing | None) -> Found:
        """The conditions, and what looks back with no detections below or beside it."""
        followed = self._stages[-1].cascade.follow(events, until_ns)
        parts: list[Transitions] = []
        rest = followed.rest
        if seeing is not None:
            seeing.comes(followed.results)
        if rest is None and (seeing is None or not seeing.changed):
            return Found(followed.results, followed.changes, parts)
        events = _merged(events, followed.results)
        if seeing is not None and seeing.changed:
            parts += self._conditions.follow(seeing.now(events), self._fail)
        if rest is not None:
            after = bisect_right(events, rest.after_ns, key=in_time)
            parts.append(self._bank.at_once(ListedSamples(events[after:]), rest.newest))
        return Found(followed.results, followed.changes, parts)

    def _load(self) -> None:
        """Begin with what the rows were before this batch."""
        self._loaded = True
        before = [self._signals.before(row) for row in range(self._plan.row_count)]
        newest = [value if known else None for value, known in before]
        for stage in self._stages:
            stage.cascade.load(newest)

    def hand_over(self) -> None:
        """Tell the signals the newest results of functions: another set comes into force."""
        if self._loaded:
            for stage in self._stages:
                self._signals.remember(stage.cascade.newest())

    def rows(self) -> dict[bytes, int]:
        """Rows after the catalogue's, by the digest of their node."""
        return self._plan.rows()

    def stops(
        self, arrived: Samples, detections: Sequence[Detections], until_ns: int
    ) -> dict[int, tuple[int, str]]:
        """Members that are suspended: from when on, and why. ``arrived`` is everything that the batch brought."""
        over = self.costs.count(arrived, detections, until_ns)
        if not over and not self._failed and not self.arrivals.any_refused:
            return {}
        stops = {
            at: (
                from_ns,
                f"takes {operations:,} operations in a second, {LIMITS.operations_per_s:,} are allowed",
            )
            for at, from_ns, operations in over
        }
        for row, (t_ns, reason) in self.arrivals.refused().items():
            for at, leaves in enumerate(self._plan.leaves):
                if row in leaves.values() and (at not in stops or t_ns < stops[at][0]):
                    stops[at] = t_ns, reason
        return stops | {at: (_BEFORE_ALL_NS, reason) for at, reason in self._failed.items()}

    def evidence(
        self, position: int, t_ns: int, samples: Samples, make_looks: Callable[[], Looks]
    ) -> tuple[tuple[str, float | str], ...]:
        """What a member's condition saw at ``t_ns``: its signals, and how many of each kind that it names."""
        signals, kinds = self._named[position]
        seen: list[tuple[str, float | str]] = []
        for path, row in signals:
            value = self._signals.newest(row, samples, t_ns)
            if value is not None:
                seen.append((path, value))
        for kind in kinds:
            count = make_looks().count_kind(kind, t_ns)
            if count is not None:
                seen.append((f"detections.{kind}", float(count)))
        return tuple(seen)

    def _divide(self) -> None:
        """Conditions that only compare rows with numbers go to the bank, those that look at detections to the graph."""
        banked: list[tuple[Truth, tuple[Node, ...]]] = []
        seen: list[tuple[Truth, int]] = []
        graph = self._plan.graph
        self._truths = [Truth(position) for position in range(len(self.members))]
        self._asked: list[tuple[Truth, int]] = []
        """Conditions that are steps of the last cascade and not the bank's, with their vertices."""
        for truth, cut in zip(self._truths, self._plan.tops, strict=True):
            if takes(cut.nodes, _row_of):
                banked.append((truth, cut.nodes))
                continue
            at = self._plan.add(cut)
            looks = DETECTIONS_INPUT in graph.vertices[at].inputs
            (seen if looks else self._asked).append((truth, at))
        self._conditions = Conditions(graph, seen, self._plan.row_count)
        self._bank = Bank(banked, _row_of)

    def _take_over(self, before: Force) -> None:
        pairs = [
            (at, before._positions[key]) for key, at in self._positions.items() if key in before._positions
        ]
        self.phases.carry(before.phases, pairs)
        self.costs.carry(before.costs, pairs)
        for mine, theirs in pairs:
            self._truths[mine].carry(before._truths[theirs])
        for digest, one in before._plan.looking.items():
            if digest in self._plan.looking:
                self._plan.looking[digest].memory = one.memory

    def _watch(self, before: Force | None) -> None:
        """Tell the signals which rows there are, and what of each counts."""
        plan = self._plan
        if before is not None:
            before.hand_over()
        rows, were = plan.rows(), before.rows() if before is not None else {}
        kept = {row: rows[digest] for digest, row in were.items() if digest in rows}
        self._signals.resize(plan.row_count, kept, self.arrivals.stale_ns)
        literals, exact = plan.graph.thresholds(plan.exact)
        for row, more in self._bank.thresholds().items():
            literals.setdefault(row, set()).update(more)
        waiting = [at for truth, at in self._asked if not truth.evaluated]
        fresh = self._bank.fresh().union(
            *(plan.graph.rows_below(at) for at in waiting), self._conditions.fresh()
        )
        for one in plan.looking.values():
            if not one.memory.begun:
                fresh |= plan.graph.rows_below(one.argument)
        self._signals.watch(literals, exact, fresh)
        self.new_rows = frozenset(set(rows.values()) - set(kept.values()))

    def _fail_looking(self, looking: Looking, error: Exception) -> None:
        self._fail_all(looking.campaigns, error)

    def _fail_all(self, positions: Collection[int], error: Exception) -> None:
        for position in positions:
            self._fail(position, error)

    def _fail(self, position: int, error: Exception) -> None:
        self._failed[position] = f"{type(error).__name__}: {error}"


def _row_of(node: Node) -> int | None:
    return row_of(node) if node.op in SIGNALS else None
