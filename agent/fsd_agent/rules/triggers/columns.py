"""Signals as columns: the newest value of every row, and a guard that drops samples that can't matter.

Guard. A row that conditions use only in comparisons with literals keeps the gap between neighbouring literals
that its newest value lies in. While samples stay inside the gap no condition over the row can change, so they
are not looked at. A row that is used in any other way has no gap: each of its samples counts. Values between two
guarded samples are not exact, but every comparison over them is; :meth:`SignalState.newest` gives exact values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.values import NO, YES, Number
from fsd_firmware.samples import Signals

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ActiveSamples:
    """Samples of the rows that may have changed something. Arrays of length k, in order of time."""

    t_ns: Times
    signal: NDArray[np.int32]
    value: NDArray[np.float64]
    rows: NDArray[np.intp]
    """Which rows, increasing."""


class SignalState:
    """Newest values of all rows, and the guard."""

    def __init__(self, row_count: int) -> None:
        self._value = np.zeros(row_count, np.float64)
        self._seen = np.zeros(row_count, np.bool_)
        self._needed = np.zeros(row_count, np.bool_)
        self._guarded: dict[int, NDArray[np.float64]] = {}
        # The gap, both ends inside it; empty as long as any sample matters.
        self._low = np.full(row_count, np.inf)
        self._high = np.full(row_count, -np.inf)
        self._is_active = np.zeros(row_count, np.bool_)

    def watch(
        self, thresholds: Mapping[int, Collection[float]], exact: Collection[int], fresh: Collection[int]
    ) -> None:
        """Look out for these rows from now on: literals by row, rows used otherwise, rows of new campaigns.

        The next sample of a fresh row counts whatever its value: a new campaign has not been evaluated yet.
        """
        self._needed[:] = False
        self._needed[[*thresholds, *exact]] = True
        self._guarded = {
            row: np.unique(np.array(list(literals), np.float64))
            for row, literals in thresholds.items()
            if row not in exact
        }
        self._low[:], self._high[:] = np.inf, -np.inf
        for row in self._guarded.keys() - set(fresh):
            self._close_gap(row)

    def active(self, signals: Signals) -> ActiveSamples | None:
        """The samples that may matter; None where there are none."""
        row = signals.signal
        if not row.shape[0]:
            return None
        value = signals.value
        outside = ~((value >= self._low[row]) & (value <= self._high[row])) & self._needed[row]
        if not outside.any():
            return None
        rows = np.unique(row[outside]).astype(np.intp)
        self._is_active[rows] = True
        keep = self._is_active[row]
        self._is_active[rows] = False
        return ActiveSamples(signals.t_ns[keep], row[keep], value[keep], rows)

    def column(self, row: int, active: ActiveSamples | None, instants: Times) -> Number:
        """The row's newest value at each of the instants."""
        if active is not None:
            mine = active.signal == row
            if mine.any():
                return self._as_of(row, active.t_ns[mine], active.value[mine], instants)
        return Number(self._value[row : row + 1].copy(), YES if self._seen[row] else NO)

    def newest(self, row: int, signals: Signals, t_ns: int) -> float | None:
        """The exact newest value at ``t_ns`` of this batch; None before the first sample."""
        end = int(np.searchsorted(signals.t_ns, t_ns, side="right"))
        at = np.flatnonzero(signals.signal[:end] == row)
        if at.shape[0]:
            return float(signals.value[at[-1]])
        return float(self._value[row]) if self._seen[row] else None

    def store(self, signals: Signals, active: ActiveSamples | None) -> None:
        """The batch is over: its last values are the newest, and gaps move to where they lie."""
        if not len(signals):
            return
        # Where a row is there more than once, numpy keeps the last.
        self._value[signals.signal] = signals.value
        self._seen[signals.signal] = True
        if active is not None:
            for row in active.rows.tolist():
                self._close_gap(row)

    def _as_of(self, row: int, t_ns: Times, value: NDArray[np.float64], instants: Times) -> Number:
        at = np.searchsorted(t_ns, instants, side="right") - 1
        before = at < 0
        if not before.any():
            return Number(value[at], YES)
        known = ~before | self._seen[row]
        return Number(np.where(before, self._value[row], value[at]), known)

    def _close_gap(self, row: int) -> None:
        literals = self._guarded.get(row)
        if literals is None:
            return
        value = self._value[row]
        if not self._seen[row] or np.isnan(value):
            self._low[row], self._high[row] = np.inf, -np.inf
            return
        left, right = np.searchsorted(literals, value, "left"), np.searchsorted(literals, value, "right")
        if left != right:
            self._low[row] = self._high[row] = value
            return
        self._low[row] = np.nextafter(literals[left - 1], np.inf) if left > 0 else -np.inf
        self._high[row] = np.nextafter(literals[left], -np.inf) if left < literals.shape[0] else np.inf
