"""The evaluation budget: a campaign that costs too much is suspended, alone.

**Rule.** A campaign's operations in a full second of event time ``[s, s + 1)`` are its prices (``prices``) times
what arrived in that second, before any guard. Where they are more than the limit, its firings from ``s + 1`` on do
not count. The second in which a campaign comes into force is not full and is not judged.

The count is a function of the input and the campaign alone: not of the processor's speed, of how the input was cut
into batches, or of other campaigns. Boxes in view are taken as the most that one frame of a stream showed in this
second or the one before, summed over the streams: an older frame is stale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.campaign import LIMITS, SECOND_NS, Campaign
from fsd_agent.records.nodes import Node
from fsd_agent.rules.triggers.firing.prices import FRAMES, Arrivals, price
from fsd_agent.rules.triggers.signals.columns import HANDFUL, Samples
from fsd_firmware.samples import Detections

_LONG_AGO_NS: Final = -(2**62)

Whole = NDArray[np.int64]


class Costs:
    """The running second of every campaign of a set; ``campaigns[i]`` is campaign i.

    ``rows_of[i]`` has the row of each of its leaves that is a signal, mode, zone or head; rows lie below
    ``row_count``.
    """

    def __init__(
        self,
        campaigns: Sequence[Campaign],
        rows_of: Sequence[Mapping[Node, int]],
        row_count: int,
        limit: int = LIMITS.operations_per_s,
    ) -> None:
        prices = [price(one, rows) for one, rows in zip(campaigns, rows_of, strict=True)]
        read = sorted({row for one in prices for row in one.flat | one.per_box if row != FRAMES})
        self._rows_of, self._limit = tuple(rows_of), limit
        self._width = len(read) + 1
        """Of a column for each row that is read, and one for frames."""
        self._column = np.full(row_count, self._width, np.intp)
        """By row; the one past the last counts what nobody reads."""
        self._column[read] = np.arange(len(read))
        self._flat = self._matrix([one.flat for one in prices])
        self._per_box = self._matrix([one.per_box for one in prices])
        self._first_s = np.full(len(campaigns), _LONG_AGO_NS)
        """The first second that is judged."""
        self._over = np.zeros(len(campaigns), np.bool_)
        self._counts = np.zeros(self._width + 1, np.int64)
        self._waiting: list[int] = []
        """Rows of what arrived in the running second, a handful at a time, and was not counted yet."""
        self._most: dict[tuple[str, str], int] = {}
        """Boxes of the fullest frame of this second, by stream."""
        self._most_before: dict[tuple[str, str], int] = {}
        self._until_ns = _LONG_AGO_NS
        self._second = _LONG_AGO_NS // SECOND_NS
        """The running one."""
        self._end_ns = _LONG_AGO_NS

    def carry(self, before: Costs, pairs: Sequence[tuple[int, int]]) -> None:
        """Take over from the set that was in force: (position here, position there) of campaigns that stay the same."""
        before._take_up_waiting()
        self._until_ns, self._second, self._end_ns = before._until_ns, before._second, before._end_ns
        self._most, self._most_before = dict(before._most), dict(before._most_before)
        self._first_s[:] = -(-self._until_ns // SECOND_NS)
        self._counts[self._width - 1] = before._counts[before._width - 1]
        for mine, theirs in pairs:
            self._first_s[mine], self._over[mine] = before._first_s[theirs], before._over[theirs]
            for node, row in self._rows_of[mine].items():
                there = before._column[before._rows_of[theirs][node]]
                self._counts[self._column[row]] = before._counts[there]

    def count(
        self, arrived: Samples, detections: Sequence[Detections], until_ns: int
    ) -> list[tuple[int, int, int]]:
        """Count every arrival in ``[previous until_ns, until_ns)``.

        Returns each campaign that is over the limit, once: (campaign, from when on it is suspended, operations).
        """
        self._until_ns = until_ns
        if until_ns < self._end_ns and not detections:
            if len(arrived) <= HANDFUL:
                self._waiting += arrived.listed[1]
            else:
                self._take_up(arrived.row)
            return []
        self._take_up_waiting()
        frames = [(one, np.bincount(one.frame, minlength=len(one.frame_t_ns))) for one in detections]
        if until_ns < self._end_ns:
            self._take_up(arrived.row)
            for one, boxes in frames:
                self._look(one, boxes)
            return []
        parts = self._by_second(arrived.t_ns, arrived.row)
        looks_of = [np.maximum(one.frame_t_ns // SECOND_NS, self._second) for one in detections]
        found: list[tuple[int, int, int]] = []
        seconds = {self._second, *parts}
        for second in sorted(seconds.union(*(one.tolist() for one in looks_of))):
            self._begin(second)
            if second in parts:
                self._take_up(parts[second])
            for (one, boxes), look_of in zip(frames, looks_of, strict=True):
                self._look(one, boxes[_equal(look_of, second)])
            if self._end_ns <= until_ns:
                found += self._judge()
        self._begin(until_ns // SECOND_NS)
        return found

    def _by_second(self, t_ns: Whole, rows: NDArray[np.int32]) -> dict[int, NDArray[np.int32]]:
        """What arrived, by second; what should have come in an earlier one counts in the running one."""
        if (t_ns[1:] < t_ns[:-1]).any():
            order = t_ns.argsort(kind="stable")
            t_ns, rows = t_ns[order], rows[order]
        parts: dict[int, NDArray[np.int32]] = {}
        at, count = 0, len(t_ns)
        while at < count:
            second = max(int(t_ns[at]) // SECOND_NS, self._second)
            end = int(t_ns.searchsorted((second + 1) * SECOND_NS))
            parts[second], at = rows[at:end], end
        return parts

    def _matrix(self, arrivals: Sequence[Arrivals]) -> Whole:
        """Shape (arrivals, columns)."""
        matrix = np.zeros((len(arrivals), self._width), np.int64)
        for line, of_rows in zip(matrix, arrivals, strict=True):
            for row, count in of_rows.items():
                line[self._width - 1 if row == FRAMES else self._column[row]] = count
        return matrix

    def _take_up_waiting(self) -> None:
        """Count what came in the running second; by then it is counted at once."""
        if self._waiting:
            self._take_up(np.array(self._waiting, np.int32))
            self._waiting.clear()

    def _take_up(self, rows: NDArray[np.int32]) -> None:
        if len(rows):
            self._counts += np.bincount(self._column[rows], minlength=self._width + 1)

    def _look(self, one: Detections, boxes: NDArray[np.intp]) -> None:
        """``boxes`` of each frame of the running second."""
        if len(boxes):
            self._counts[self._width - 1] += len(boxes)
            stream = (one.camera, one.source)
            self._most[stream] = max(self._most.get(stream, 0), int(boxes.max()))

    def _begin(self, second: int) -> None:
        passed = second - self._second
        if not passed:
            return
        self._second, self._end_ns = second, (second + 1) * SECOND_NS
        self._counts[:] = 0
        self._most, self._most_before = {}, self._most if passed == 1 else {}

    def _judge(self) -> list[tuple[int, int, int]]:
        """The running second is complete."""
        counts = self._counts[: self._width]
        streams = self._most | self._most_before
        in_view = sum(max(self._most.get(one, 0), self._most_before.get(one, 0)) for one in streams)
        spent = self._flat @ counts
        if in_view:
            spent = spent + in_view * (self._per_box @ counts)
        over = (spent > self._limit) & (self._first_s <= self._second) & ~self._over
        self._over |= over
        return [(at, self._end_ns, int(spent[at])) for at in np.flatnonzero(over).tolist()]


def _equal(ordered: Whole, value: int) -> slice:
    return slice(int(ordered.searchsorted(value)), int(ordered.searchsorted(value, "right")))
