"""What the graph needs to know of a batch, as it comes to light stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fsd_agent.rules.triggers.detections.looks import Looks
from fsd_agent.rules.triggers.expressions.graph import DETECTIONS_INPUT, Batch, Graph
from fsd_agent.rules.triggers.past.seen import Now
from fsd_agent.rules.triggers.signals.columns import Event, ListedSamples
from fsd_agent.rules.triggers.signals.state import SignalState


class Seeing:
    """See the module. ``inputs`` are those of everything that the graph evaluates."""

    def __init__(
        self,
        graph: Graph,
        inputs: frozenset[int],
        signals: SignalState,
        looks: Looks | None,
        make_looks: Callable[[], Looks],
        until_ns: int,
    ) -> None:
        self._graph = graph
        self._inputs = inputs
        self._signals = signals
        self._looks = looks
        self._make_looks = make_looks
        self.until_ns = until_ns
        self.changed: set[int] = set()
        """Inputs of what the graph evaluates that changed."""
        if looks is not None:
            self.changed.add(DETECTIONS_INPUT)
        graph.begin(self.changed)

    def comes(self, events: Sequence[Event]) -> None:
        """These have come, too."""
        changed = self._inputs.intersection([row for _, row, _, _ in events])
        if changed:
            self._graph.changed(changed)
            self.changed |= changed

    def now(self, events: list[Event]) -> Now:
        """The batch as far as it is known, ``events`` being all that has come."""
        active = ListedSamples(events) if events else None
        signals, make_looks = self._signals, self._make_looks
        return Now(
            self.until_ns,
            self.changed,
            active,
            self._looks,
            lambda times: Batch(times, signals, active, make_looks),
        )
