"""Samples as columns, with whether each is known.

A sample is *not known* where its value is out of the range that the catalogue gives its row, and where something is
said to be unknown from then on (see ``signals`` for rows that go stale). A NaN that was received is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.samples import Signals, empty_signals

Times = NDArray[np.int64]
Plane = NDArray[np.bool_]
Column = NDArray[np.float64]
Event = tuple[int, int, float, bool]
"""Time, row, value, and whether it is known: one sample that may change something."""
HANDFUL: Final = 96
"""Samples that are cheaper to look at one by one than as arrays."""
in_time: Final = itemgetter(0)
"""Key to sort events by."""


class Samples:
    """Samples of rows in long form, in order of time. Arrays of length n, never written to."""

    __slots__ = ("_known", "_ranges", "_signals", "sound")

    def __init__(
        self,
        signals: Signals,
        known: Plane | None = None,
        ranges: tuple[Column, Column] | None = None,
    ) -> None:
        """``known`` is None where every sample is known that lies in the ``ranges`` (minimum, maximum by row)."""
        self._signals = signals
        self.sound = known
        """Where a sample is known if it is in range; None is everywhere."""
        self._ranges = ranges
        self._known: Plane | None = None

    def __len__(self) -> int:
        """Count samples."""
        return len(self._signals)

    @property
    def t_ns(self) -> Times:
        """When each sample came."""
        return self._signals.t_ns

    @property
    def row(self) -> NDArray[np.int32]:
        """Its row."""
        return self._signals.signal

    @property
    def value(self) -> Column:
        """What it says."""
        return self._signals.value

    @property
    def known(self) -> Plane:
        """Where a sample is known. Worked out when it is asked for."""
        if self._known is None:
            self._known = self.known_at(slice(None))
        return self._known

    @property
    def listed(self) -> tuple[list[int], list[int], list[float]]:
        """Times, rows and values as numbers."""
        return self._signals.listed

    def last_of(self, row: int, t_ns: int) -> int | None:
        """The position of a row's last sample at ``t_ns`` or before: the way for a handful."""
        times, rows, _ = self.listed
        if row not in rows:
            return None
        for at in range(len(rows) - 1, -1, -1):
            if rows[at] == row and times[at] <= t_ns:
                return at
        return None

    def known_at(self, at: NDArray[np.intp] | slice) -> Plane:
        """Whether samples are known, by position."""
        if self._ranges is None:
            return np.ones(self.row[at].shape, np.bool_) if self.sound is None else self.sound[at]
        known = ~outside(self.row[at], self.value[at], self._ranges)
        return known if self.sound is None else known & self.sound[at]

    def item(self, at: int) -> Event:
        """Time, row, value and whether it is known, of one sample."""
        if len(self) <= HANDFUL:
            times, rows, values = self.listed
            t_ns, row, value = times[at], rows[at], values[at]
        else:
            t_ns, row, value = int(self.t_ns[at]), int(self.row[at]), float(self.value[at])
        known = self.sound is None or bool(self.sound[at])
        if known and self._ranges is not None:
            known = not (value < self._ranges[0][row] or value > self._ranges[1][row])
        return t_ns, row, value, known

    def items(self, at: NDArray[np.intp]) -> list[tuple[int, int, float, bool]]:
        """Time, row, value and whether it is known, of many samples."""
        row, value = self.row.take(at), self.value.take(at)
        if self._ranges is None:
            known = self.known_at(at)
        else:
            known = ~outside(row, value, self._ranges)
            if self.sound is not None:
                np.logical_and(known, self.sound.take(at), out=known)
        columns = self.t_ns.take(at), row, value, known
        return list(zip(*(column.tolist() for column in columns), strict=True))


def join_samples(parts: Sequence[Samples]) -> Samples:
    """All of them in order of time; at one instant those of earlier parts first. ``parts`` is not empty."""
    if len(parts) == 1:
        return parts[0]
    t_ns = np.concatenate([part.t_ns for part in parts])
    order = np.argsort(t_ns, kind="stable")
    return Samples(
        Signals(
            t_ns[order],
            np.concatenate([part.row for part in parts])[order],
            np.concatenate([part.value for part in parts])[order],
        ),
        np.concatenate([part.known for part in parts])[order],
    )


def end_to_end(parts: Sequence[Samples]) -> Signals:
    """Times, rows and values of all of them, one after the other; ``parts`` is not empty."""
    if max(map(len, parts)) > HANDFUL:
        return Signals(
            np.concatenate([part.t_ns for part in parts]),
            np.concatenate([part.row for part in parts]),
            np.concatenate([part.value for part in parts]),
        )
    t_ns, row, value = list[int](), list[int](), list[float]()
    for part in parts:  # Many small arrays would cost far more than one of all
        more_t_ns, more_row, more_value = part.listed
        t_ns += more_t_ns
        row += more_row
        value += more_value
    return Signals.of_lists(t_ns, row, value)


@dataclass(eq=False)
class ActiveSamples:
    """Samples that may have changed something: some of a batch's, in order of time. At least one.

    A handful is taken up as numbers, many as arrays; either is made when it is asked for.
    """

    samples: Samples
    at: NDArray[np.intp]
    """Their positions in ``samples``."""

    @cached_property
    def t_ns(self) -> Times:
        """Shape (k,)."""
        return self.samples.t_ns[self.at]

    @cached_property
    def signal(self) -> NDArray[np.int32]:
        """Row of each. Shape (k,)."""
        return self.samples.row[self.at]

    @cached_property
    def value(self) -> Column:
        """Shape (k,); means nothing where not known."""
        return self.samples.value[self.at]

    @cached_property
    def known(self) -> Plane:
        """Shape (k,)."""
        return self.samples.known_at(self.at)

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """Which rows, increasing."""
        return np.array(sorted(self.row_set), np.intp)

    @cached_property
    def row_set(self) -> frozenset[int]:
        """Which rows."""
        return frozenset(self.signal.tolist())

    @cached_property
    def items(self) -> list[Event]:
        """Time, row, value and whether it is known, of each."""
        return self.samples.items(self.at)


class ListedSamples(ActiveSamples):
    """Active samples that are there as events, in order of time."""

    def __init__(self, items: list[Event]) -> None:
        super().__init__(_NO_SAMPLES, np.empty(0, np.intp))
        self.items = items

    @cached_property
    def t_ns(self) -> Times:
        """See the other; arrays are made when they are asked for."""
        return np.array([t_ns for t_ns, _, _, _ in self.items], np.int64)

    @cached_property
    def signal(self) -> NDArray[np.int32]:
        """Row of each."""
        return np.array([row for _, row, _, _ in self.items], np.int32)

    @cached_property
    def value(self) -> Column:
        """Means nothing where not known."""
        return np.array([value for _, _, value, _ in self.items], np.float64)

    @cached_property
    def known(self) -> Plane:
        """Whether each is."""
        return np.array([known for _, _, _, known in self.items], np.bool_)

    @cached_property
    def row_set(self) -> frozenset[int]:
        """Which rows."""
        return frozenset(row for _, row, _, _ in self.items)


_NO_SAMPLES: Final = Samples(empty_signals())


def outside(row: NDArray[np.integer], value: Column, ranges: tuple[Column, Column]) -> Plane:
    """Where a value is out of its row's range; ``ranges`` holds minimum and maximum of every row."""
    minimum, maximum = ranges
    found = value < minimum.take(row)
    np.logical_or(found, value > maximum.take(row), out=found)
    return found
