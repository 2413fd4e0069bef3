"""When a condition that is true becomes a firing.

A *true-phase* begins at the first instant at which the condition is true (the rise) and ends at the first at
which it is not (false or unknown). It fires at exactly ``rise + hold_ns``, provided that the condition is still
true at that instant, and fires once. A phase whose moment falls into the cool-down after the last firing, or
outside the campaign's validity, passes without firing.

Nothing is concluded before the watermark has passed it, so that it makes no difference how time was cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.campaign import Campaign


@dataclass(slots=True)
class Phase:
    """One campaign's state from batch to batch."""

    is_true: bool = False
    due_ns: int | None = None
    """When this true-phase fires, unless it ends first; None where it has fired, passed, or there is none."""
    last_ns: int | None = None
    """When the campaign last fired."""
    evaluated: bool = False

    def follow(self, true: NDArray[np.bool_], instants: NDArray[np.int64], hold_ns: int) -> list[int]:
        """Take up the condition at the instants of a batch; returns the moments that became certain."""
        self.evaluated = True
        moments: list[int] = []
        before = np.empty_like(true)
        before[0], before[1:] = self.is_true, true[:-1]
        for at in np.flatnonzero(before != true).tolist():
            t_ns = int(instants[at])
            self.is_true = bool(true[at])
            if self.is_true:
                self.due_ns = t_ns + hold_ns
            else:
                if self.due_ns is not None and self.due_ns < t_ns:
                    moments.append(self.due_ns)
                self.due_ns = None
        return moments

    def until(self, until_ns: int) -> list[int]:
        """All instants before ``until_ns`` are known: the moment that this makes certain, if any."""
        if self.due_ns is None or self.due_ns >= until_ns:
            return []
        moment, self.due_ns = self.due_ns, None
        return [moment]

    def fires(self, campaign: Campaign, t_ns: int, wall_ns: int) -> bool:
        """Whether the phase's moment is a firing; remembers it when it is."""
        if self.last_ns is not None and t_ns - self.last_ns < campaign.cooldown_ns:
            return False
        if not campaign.valid_from_wall_ns <= wall_ns < campaign.valid_until_wall_ns:
            return False
        self.last_ns = t_ns
        return True
