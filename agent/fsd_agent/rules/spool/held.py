"""Since when each clip on board is held, while all of them are gone over: in columns, 40 bytes a clip.

The clips are gone over in rounds: who was not met in a round is not on board any more, and is forgotten at its end. What a
clip's moment is, says ``rules.spool.retention``.
"""

from __future__ import annotations

from array import array

from fsd_agent.records.held_since import EARLIER_NS, HeldSince
from fsd_agent.rules.id_rows import IdRows, take_out
from fsd_agent.rules.spool.retention import held_since

_NOTHING = array("q")
NOBODY = HeldSince(b"", _NOTHING, _NOTHING)


class HeldClips:
    """See the module."""

    def __init__(self, noted: HeldSince, *, of_this_run: bool) -> None:
        """``noted``: as it was left; what a run before has left says nothing of when this one saw a clip."""
        self.is_changed = False
        """Something is other than it was noted."""
        self._rows = IdRows.of(noted.ids)
        self._since_ns = noted.since_ns[:]
        self._seen_ns = noted.seen_ns[:] if of_this_run else array("q", [EARLIER_NS]) * len(self._rows)

    def noted(self) -> HeldSince:
        """To be kept; not to be changed."""
        return HeldSince(bytes(self._rows), self._since_ns, self._seen_ns)

    def begin(self) -> None:
        """A round begins: nobody was met yet. Comes before :meth:`meet` and :meth:`end`."""
        self._met = bytearray(len(self._rows))

    def meet(self, clip_id: str, *, now_ns: int, proved_ns: int, clock_ns: int) -> int:
        """A clip is on board: since when it is held, by all that is known; ``now_ns`` is monotonic."""
        row = self._rows.find(clip_id)
        if row is None:
            since_ns = held_since(None, elapsed_ns=None, proved_ns=proved_ns, clock_ns=clock_ns)
            self._rows.add(clip_id)
            self._since_ns.append(since_ns)
            self._seen_ns.append(now_ns)
            self._met.append(True)
            self.is_changed = True
            return since_ns
        before_ns, seen_ns = self._since_ns[row], self._seen_ns[row]
        elapsed_ns = None if seen_ns == EARLIER_NS else now_ns - seen_ns
        since_ns = held_since(before_ns, elapsed_ns=elapsed_ns, proved_ns=proved_ns, clock_ns=clock_ns)
        self.is_changed |= since_ns != before_ns
        self._since_ns[row], self._met[row] = since_ns, True
        return since_ns

    def end(self) -> None:
        """The round is over: who was not met is forgotten."""
        for row in reversed(range(len(self._rows))):  # The last takes the place of one that goes: it was met
            if not self._met[row]:
                self._rows.remove(self._rows.id_of(row))
                take_out(self._since_ns, row)
                take_out(self._seen_ns, row)
                self.is_changed = True
