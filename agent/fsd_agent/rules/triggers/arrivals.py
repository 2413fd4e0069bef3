"""What arrives beside the buses, as samples on rows of their own: drive modes, zones, scores of heads.

A mode holds until the next one. A zone is decided at every position fix; a fix is good for less than
:data:`FIX_STALE_NS`, the score of a head for less than :data:`~.heads.SCORE_STALE_NS` after its picture. What was the
newest before a campaign came into force counts for it, too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.program import Op
from fsd_agent.rules.triggers.heads import SCORE_STALE_NS, HeadBank
from fsd_agent.rules.triggers.plan import Own
from fsd_agent.rules.triggers.signals.columns import Samples, join_samples
from fsd_firmware.samples import Features, GnssFixes, ModeChange, Signals, empty_gnss

FIX_STALE_NS: Final = 3_000_000_000
"""Three fixes of the slowest receivers: at 130 km/h the car is 110 m further on."""

_NEWEST: Final = slice(-1, None)
Timed = TypeVar("Timed", GnssFixes, Features)


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """What arrived in a batch, each in order of time."""

    modes: Sequence[ModeChange] = ()
    fixes: GnssFixes = field(default_factory=empty_gnss)
    features: Sequence[Features] = ()

    def __len__(self) -> int:
        """Count modes, fixes and pictures."""
        return len(self.modes) + len(self.fixes) + sum(len(one) for one in self.features)

    def since(self, from_ns: int) -> Arrived:
        """What is in time: not what comes after the source had promised no more of its time."""
        features = (_from(one, from_ns) for one in self.features)
        return Arrived(
            tuple(one for one in self.modes if one.t_ns >= from_ns),
            _from(self.fixes, from_ns),
            tuple(one for one in features if len(one)),
        )

    def newest(self, before: Arrived) -> Arrived:
        """The newest of everything, at most one of each, after ``before``."""
        if self is NOTHING:
            return before
        vectors = {(one.camera, one.source): one for one in before.features}
        for one in self.features:
            if len(one):
                vectors[one.camera, one.source] = _rows(one, _NEWEST)
        fixes = _rows(self.fixes, _NEWEST) if len(self.fixes) else before.fixes
        return Arrived(self.modes[-1:] or before.modes, fixes, tuple(vectors.values()))


NOTHING: Final = Arrived()


class Arrivals:
    """Samples for the rows of one plan."""

    def __init__(self, own: Collection[Own]) -> None:
        self._modes = [(str(one.node.value).upper(), one.row) for one in own if one.node.op is Op.MODE]
        self._zones = [(one.zone, one.row) for one in own if one.zone is not None]
        heads = [(one.row, one.head) for one in own if one.head is not None]
        self._heads = HeadBank(heads)
        self.stale_ns = dict.fromkeys((row for _, row in self._zones), FIX_STALE_NS) | dict.fromkeys(
            (row for row, _ in heads), SCORE_STALE_NS
        )
        """After how long a row goes stale."""

    @property
    def any_refused(self) -> bool:
        """Whether a head does not fit the features that came."""
        return self._heads.any_refused

    def refused(self) -> dict[int, tuple[int, str]]:
        """Rows of heads that don't fit the features that came: since when, and why."""
        return {row: (one.t_ns, one.reason) for row, one in self._heads.refused().items()}

    def samples(self, arrived: Arrived) -> Samples | None:
        """Samples of what arrived, in order of time; None where there is none."""
        if arrived is NOTHING:
            return None
        parts: list[Samples] = []
        if arrived.modes and self._modes:
            t_ns = np.array([one.t_ns for one in arrived.modes], np.int64)
            names = [one.mode.name for one in arrived.modes]
            parts += [
                _bools(t_ns, row, np.array([one == name for one in names])) for name, row in self._modes
            ]
        fixes = arrived.fixes
        if len(fixes):
            parts += [
                _bools(fixes.t_ns, row, zone.contains(fixes.lat_deg, fixes.lon_deg))
                for zone, row in self._zones
            ]
        for one in self._heads.samples(arrived.features) if arrived.features else ():
            parts.append(Samples(Signals(one.t_ns, one.row, one.value), one.known))
        parts = [part for part in parts if len(part)]
        return join_samples(parts) if parts else None


def _from(table: Timed, from_ns: int) -> Timed:
    """What is not before ``from_ns``."""
    if not len(table) or table.t_ns[0] >= from_ns:
        return table
    return _rows(table, slice(int(np.searchsorted(table.t_ns, from_ns)), None))


def _rows(table: Timed, which: slice) -> Timed:
    every = {one.name: getattr(table, one.name) for one in fields(table)}
    cut: dict[str, Any] = {
        name: column[which] for name, column in every.items() if isinstance(column, np.ndarray)
    }
    return replace(table, **cut)


def _bools(t_ns: NDArray[np.int64], row: int, true: NDArray[np.bool_]) -> Samples:
    rows = np.full(t_ns.shape, row, np.int32)
    return Samples(Signals(t_ns, rows, true.astype(np.float64)), np.ones(t_ns.shape, np.bool_))
