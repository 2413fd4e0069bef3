"""How the car moves, from its speed: what tracks are judged beside, and how hard it braked or gained speed.

================  ==================================================================
stopped           slower than :data:`STANDS_MPS`
slowing, gaining  changes by more than :data:`CHANGES_MPS2` over the second before
slow, fast        neither, under or from :data:`FAST_MPS` on
unknown           the speed is no number; what happened before is then unknown too
================  ==================================================================

The head that ships was learned with such names given by people who saw the video; these bounds are where they most
probably lie, not where anybody measured them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.selection.window import Motion

STANDS_MPS: Final = 0.3
FAST_MPS: Final = 7.0
"""25 km/h."""
CHANGES_MPS2: Final = 0.5
HARD_MPS2: Final = 5.0
"""An emergency braking; harder counts as this."""
FASTEST_MPS: Final = 200.0
BEFORE_NS: Final = 1_000_000_000
LEAST_NS: Final = 500_000_000
"""Over a shorter time a change of speed says more of the sensor than of the car."""

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Speed:
    """Samples, n of them."""

    t_ns: NDArray[np.int64]
    """Shape (n,), not decreasing."""
    mps: Column
    """Shape (n,), metres a second; what is no number, or no car's, is unknown."""

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Shape (n,): which samples are numbers, and a car's."""
        return np.abs(self.mps) < FASTEST_MPS  # not a number is not less than anything

    def known(self) -> Speed:
        """Those samples alone."""
        known = self.is_known
        return Speed(self.t_ns[known], self.mps[known])


def motion_of(speed: Speed) -> NDArray[np.uint8]:
    """Shape (n,), of :class:`Motion`; see the module."""
    found = np.full(speed.t_ns.shape[0], Motion.UNKNOWN, np.uint8)
    known = speed.known()
    change = change_mps2(known)
    mps = np.abs(known.mps)
    found[speed.is_known] = np.select(
        [mps < STANDS_MPS, change > CHANGES_MPS2, change < -CHANGES_MPS2, mps < FAST_MPS],
        [Motion.STOPPED, Motion.GAINING, Motion.SLOWING, Motion.SLOW],
        Motion.FAST,
    )
    return found


def change_mps2(known: Speed) -> Column:
    """Shape (n,): of the magnitude of the speed, over the last second or what there is of it; 0 where that is too short."""
    t_ns, mps = known.t_ns, np.abs(known.mps)
    before = np.minimum(t_ns.searchsorted(t_ns - BEFORE_NS, "left"), np.arange(t_ns.shape[0]))
    past_ns = t_ns - t_ns[before]
    change = (mps - mps[before]) * 1e9 / np.maximum(past_ns, 1)
    return np.where(past_ns >= LEAST_NS, change, 0.0)


def hardness(speed: Speed) -> float:
    """0 for a speed that stays, 1 for :data:`HARD_MPS2` and more; 0 where nothing is known."""
    change = np.abs(change_mps2(speed.known()))
    return _share(change)


def hardest(speed: Speed, spans: Sequence[tuple[int, int]]) -> list[float]:
    """The same of each span of time, by the samples in it; what came before still tells how they change."""
    known = speed.known()
    change = np.abs(change_mps2(known))
    edges = [known.t_ns.searchsorted(span, "left") for span in spans]
    return [_share(change[low:high]) for low, high in edges]


def _share(change: Column) -> float:
    return min(float(change.max(initial=0.0)) / HARD_MPS2, 1.0)
