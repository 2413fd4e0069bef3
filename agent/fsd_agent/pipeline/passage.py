"""What of one route's clips may go over the link that there is, and which link the connection was made over.

A connection belongs to the link that it was made over: packets go on over a metered one after firmware has named another. So
when it names another, whoever holds the connection is told to make it anew. A link of which nothing is known is no other.

Threads: the delivering one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from fsd_agent.pipeline.gate import Gate
from fsd_agent.pipeline.lane import Lane
from fsd_agent.ports.journal import Journal
from fsd_agent.records.link_rule import EVERYTHING, Admits
from fsd_firmware.surroundings import LinkKind, LinkState


class Passage:
    """See the module."""

    def __init__(self, gate: Gate) -> None:
        self.admits: Admits = EVERYTHING
        """As of the newest look."""
        self.waits: Mapping[str, int] = {}
        """Sealed clips that may not go, by reason; as of the newest count."""
        self._gate = gate
        self._over: LinkState | None = None

    def look(self, lane: Lane, now_ns: int) -> bool:
        """Let the lane send what may go now; True where that is not what it was."""
        admits = self._gate.look(lane.route.policy.metered, now_ns)
        lane.schedule.admit(admits, now_ns)
        before, self.admits = self.admits, admits
        return admits != before

    def is_another_link(self) -> bool:
        """Whether a connection that was made before is over another link than there is; asked once for each."""
        link, before = self._gate.link, self._over
        if link.kind is LinkKind.UNKNOWN or link == before:
            return False
        self._over = link
        return before is not None

    def count(self, journal: Journal, region_id: str) -> None:
        """Take over how many clips wait and why. Raises ``JournalError``."""
        found: Counter[str] = Counter()
        for rule, count in journal.waiting(region_id).items():
            reason = self._gate.waits(rule)
            if reason is not None:
                found[str(reason)] += count
        self.waits = found

    def close(self) -> None:
        """The connection is closed, and nothing waits here any more."""
        self.waits = {}
        self._gate.close()
