"""The campaigns in force, with everything that evaluates them; made anew for every set, and takes over what stays.

What stays: a member that was in force before (same campaign, same epoch) keeps its condition's truth and its phase, a
function that looks back keeps its memory, a row keeps its newest value, each found by its digest (see ``plan``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fsd_agent.records.campaign import LIMITS, Campaign
from fsd_agent.records.program import SIGNALS, Node, signal_types, texts
from fsd_agent.rules.triggers.arrivals import Arrivals
from fsd_agent.rules.triggers.conditions.bank import Bank, takes
from fsd_agent.rules.triggers.conditions.conditions import Conditions
from fsd_agent.rules.triggers.detections.looks import Looks
from fsd_agent.rules.triggers.expressions.events import Event, in_time, take_up
from fsd_agent.rules.triggers.expressions.graph import DETECTIONS_INPUT, Batch
from fsd_agent.rules.triggers.firing.cost import Costs
from fsd_agent.rules.triggers.firing.phases import Phases, Transitions
from fsd_agent.rules.triggers.past.past import Now, Past
from fsd_agent.rules.triggers.past.temporal import Scalar
from fsd_agent.rules.triggers.plan import Looking, make_plan, row_of
from fsd_agent.rules.triggers.signals.columns import ActiveSamples, ListedSamples, Samples
from fsd_agent.rules.triggers.signals.state import SignalState
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
        self._newest: list[Scalar] = [None] * self._plan.row_count
        """Of each row before the batch, as far as a question refers to it."""
        self._loaded = False
        self._divide()
        if before is not None:
            self._take_over(before)
        self._watch(before)
        looking = tuple(self._plan.looking.values())
        self.past = Past(self._plan.graph, looking, self._plan.row_count, self._newest)

    def evaluate(
        self,
        samples: Samples,
        looks: Looks | None,
        make_looks: Callable[[], Looks],
        until_ns: int,
    ) -> tuple[Samples | None, list[Transitions]]:
        """One batch: what functions that look back give, as samples, and how conditions change."""
        active = self._signals.active(samples)
        if active is None and looks is None and not self.past.levels:
            return None, []
        if not self._loaded:
            self._load()
        with np.errstate(all="ignore"):  # Overflow and invalid are values here; see ``values``.
            return self._evaluate(active, looks, make_looks, until_ns)

    def _evaluate(
        self,
        active: ActiveSamples | None,
        looks: Looks | None,
        make_looks: Callable[[], Looks],
        until_ns: int,
    ) -> tuple[Samples | None, list[Transitions]]:
        graph, signals = self._plan.graph, self._signals
        events = active.items if active is not None else []
        results: list[Event] = []
        changed = set(active.row_set) if active is not None else set[int]()
        if looks is not None:
            changed.add(DETECTIONS_INPUT)
        graph.begin(changed)

        def now() -> Now:
            newest = active
            return Now(
                until_ns, changed, newest, looks, lambda times: Batch(times, signals, newest, make_looks)
            )

        for level in range(len(self.past.levels)):
            made = self.past.events(level, events, now(), self._fail_looking)
            if not made:
                continue
            results += made
            events = sorted([*events, *made], key=in_time)
            active = ListedSamples(events)
            rows = {row for _, row, _, _ in made}
            changed |= rows
            graph.changed(rows)
        transitions = self.conditions.follow(events, now(), self._fail)
        if active is not None:
            transitions.append(self.bank.follow(active, signals))
        take_up(self._newest, events)
        results.sort(key=in_time)
        return (ListedSamples(results).samples if results else None), transitions

    def _load(self) -> None:
        """Begin with what the rows were before this batch."""
        self._loaded = True
        for row in range(len(self._newest)):
            value, known = self._signals.before(row)
            self._newest[row] = value if known else None

    def rows(self) -> dict[bytes, int]:
        """Rows after the catalogue's, by the digest of their node."""
        return self._plan.rows()

    def stops(
        self, arrived: Samples, detections: Sequence[Detections], until_ns: int
    ) -> dict[int, tuple[int, str]]:
        """Members that are suspended: from when on, and why. ``arrived`` is everything that the batch brought."""
        over = self.costs.count(arrived.t_ns, arrived.row, detections, until_ns)
        refused = self.arrivals.refused()
        if not over and not refused and not self._failed:
            return {}
        stops = {
            at: (
                from_ns,
                f"takes {operations:,} operations in a second, {LIMITS.operations_per_s:,} are allowed",
            )
            for at, from_ns, operations in over
        }
        for row, (t_ns, reason) in refused.items():
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
        """Conditions that only compare rows with numbers go to the bank, all others to the graph."""
        banked: list[tuple[int, tuple[Node, ...]]] = []
        others: list[tuple[int, int]] = []
        for position, cut in enumerate(self._plan.tops):
            if takes(cut.nodes, _row_of):
                banked.append((position, cut.nodes))
            else:
                others.append((position, self._plan.add(cut)))
        plan = self._plan
        self.conditions = Conditions(plan.graph, others, plan.row_count, self._newest)
        self.bank = Bank(banked, _row_of)
        self._banked = [position for position, _ in banked]

    def _take_over(self, before: Force) -> None:
        pairs = [
            (at, before._positions[key]) for key, at in self._positions.items() if key in before._positions
        ]
        self.phases.carry(before.phases, pairs)
        self.costs.carry(before.costs, pairs)
        for mine, theirs in pairs:
            self.conditions.carry(before.conditions, mine, theirs)
        places = {position: at for at, position in enumerate(before._banked)}
        theirs_of = dict(pairs)
        self.bank.carry(
            before.bank,
            [
                (at, places[theirs_of[position]])
                for at, position in enumerate(self._banked)
                if theirs_of.get(position) in places
            ],
        )
        for digest, one in before._plan.looking.items():
            if digest in self._plan.looking:
                self._plan.looking[digest].memory = one.memory

    def _watch(self, before: Force | None) -> None:
        """Tell the signals which rows there are, and what of each counts."""
        plan = self._plan
        rows, were = plan.rows(), before.rows() if before is not None else {}
        kept = {row: rows[digest] for digest, row in were.items() if digest in rows}
        self._signals.resize(plan.row_count, kept, self.arrivals.stale_ns)
        literals, exact = plan.graph.thresholds(plan.exact)
        for row, more in self.bank.thresholds()[0].items():
            literals.setdefault(row, set()).update(more)
        fresh = self.bank.fresh() | self.conditions.fresh()
        for digest, one in plan.looking.items():
            if digest not in were:
                fresh |= plan.graph.rows_below(one.argument)
        self._signals.watch(literals, exact, fresh)
        self.new_rows = frozenset(set(rows.values()) - set(kept.values()))

    def _fail_looking(self, looking: Looking, error: Exception) -> None:
        for position in looking.campaigns:
            self._fail(position, error)

    def _fail(self, position: int, error: Exception) -> None:
        self._failed[position] = f"{type(error).__name__}: {error}"


def _row_of(node: Node) -> int | None:
    return row_of(node) if node.op in SIGNALS else None
