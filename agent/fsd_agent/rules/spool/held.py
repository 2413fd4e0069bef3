"""Since when each clip on board is held, in columns: 40 bytes a clip, however many wait.

The clips are gone over in rounds: who was not met in a round is not on board any more, and is forgotten at its end. What a
clip's moment is, says ``rules.spool.retention``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from fsd_agent.rules.id_rows import IdRows, take_out
from fsd_agent.rules.spool.retention import held_since

_EARLIER = -1
"""In place of when this run saw a clip first: a run before had noted it."""


class HeldClips:
    """See the module. ``noted``: (clip id, moment) of each clip, as an earlier run has left it."""

    def __init__(self, noted: Iterable[tuple[str, int]] = ()) -> None:
        self.is_changed = False
        """Something is other than it was when this was last set to False."""
        self._rows = IdRows()
        self._since_ns = array("q")
        self._seen_ns = array("q")
        """Monotonic time when this run saw it first."""
        self._met = bytearray()
        for clip_id, since_ns in noted:
            self._add(clip_id, since_ns, _EARLIER)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """(clip id, moment) of each clip."""
        return zip(map(self._rows.id_of, range(len(self._rows))), self._since_ns, strict=True)

    def begin(self) -> None:
        """A round begins: nobody was met yet."""
        self._met = bytearray(len(self._rows))

    def meet(self, clip_id: str, *, now_ns: int, proved_ns: int, clock_ns: int) -> int:
        """A clip is on board: since when it is held, by all that is known; ``now_ns`` is monotonic."""
        row = self._rows.find(clip_id)
        if row is None:
            since_ns = held_since(None, elapsed_ns=0, proved_ns=proved_ns, clock_ns=clock_ns)
            self.is_changed = True
            self._met[self._add(clip_id, since_ns, now_ns)] = True
            return since_ns
        before_ns, seen_ns = self._since_ns[row], self._seen_ns[row]
        elapsed_ns = None if seen_ns == _EARLIER else now_ns - seen_ns
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
        self._met = bytearray()

    def _add(self, clip_id: str, since_ns: int, seen_ns: int) -> int:
        row = self._rows.add(clip_id)
        self._since_ns.append(since_ns)
        self._seen_ns.append(seen_ns)
        self._met.append(False)
        return row
