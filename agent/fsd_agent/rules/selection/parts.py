"""What a clip's value is made of, each part from 0 to 1, and how they come together.

==================  ==========================================================================================
``begins_to_cross``  the chance, by a head on tracks, that somebody begins to cross (:mod:`~.value`); of the most promising
                     window of 3 s of any camera
``rarity``           how seldom what was seen is seen on roads: 1 less the product of (1 - rarity) of each kind, by
                     :data:`RARE`; so two kinds together are rarer than either. A kind counts from :data:`SEEN_LEAST` looks on
``motion``           how hard the car braked or gained speed (:mod:`~.moving`)
``closeness``        of the nearest person: 1 at the car, 0 from :data:`FAR_M` on; where no distance is known, the tallest box
                     as a share of :data:`TALL` of the picture
``uncertainty``      mean over the persons' boxes of how undecided the score is: 1 at one half, 0 at 0 and 1
``disagreement``     two who looked at one camera: of the half seconds in which both did, the share in which just one saw a
                     person
==================  ==========================================================================================

What nobody can say is 0. The value is the mean of the parts, weighed by the campaign's weights: it never falls where a part
rises, and the order of boxes, frames and sources does not matter. Scores, distances and boxes that are no numbers count
for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.worth import Part, Weights
from fsd_firmware.samples import PERSON_KINDS, Detections, Kind

RARE: Mapping[Kind, float] = MappingProxyType(
    {
        Kind.UNKNOWN: 0.1,
        Kind.PEDESTRIAN: 0.2,
        Kind.CYCLIST: 0.4,
        Kind.BICYCLE: 0.2,
        Kind.MOTORCYCLE: 0.4,
        Kind.CAR: 0.0,
        Kind.TRUCK: 0.1,
        Kind.BUS: 0.2,
        Kind.ANIMAL: 0.9,
    }
)
"""A judgement from what street data sets hold, not a count: it orders kinds, and no more is asked of it."""
SEEN_LEAST: Final = 3
"""Looks; less is a flicker, which uncertainty tells."""
FAR_M: Final = 40.0
TALL: Final = 0.6
BIN_NS: Final = 500_000_000
_PERSONS: Final = np.array(sorted(PERSON_KINDS), np.uint8)

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one who looked saw of one camera."""

    looks: Detections
    height_px: float
    """Of the camera's picture."""

    @property
    def is_person(self) -> NDArray[np.bool_]:
        """Shape (n,): which boxes are of persons."""
        return np.isin(self.looks.kind, _PERSONS)


def weighed(parts: Mapping[Part, float], weights: Weights) -> float:
    """See the module. ``parts``: each 0 to 1; what is not named is 0."""
    total = sum(weight for _, weight in weights.items())
    found = sum(weight * parts.get(part, 0.0) for part, weight in weights.items())
    return min(found / total, 1.0)


def rarity(seen: Sequence[Seen]) -> float:
    """See the module."""
    common = 1.0
    for kind, rare in RARE.items():
        if any(int((one.looks.kind == kind).sum()) >= SEEN_LEAST for one in seen):
            common *= 1 - rare
    return 1 - common


def closeness(seen: Sequence[Seen]) -> float:
    """See the module."""
    return max((_closest(one) for one in seen), default=0.0)


def uncertainty(seen: Sequence[Seen]) -> float:
    """See the module."""
    scores = [one.looks.score[one.is_person].astype(np.float64) for one in seen]
    known = np.concatenate([np.empty(0), *scores])
    known = known[(known >= 0) & (known <= 1)]
    return _share(float(np.sort(1 - np.abs(2 * known - 1)).mean())) if known.shape[0] else 0.0


def disagreement(seen: Sequence[Seen]) -> float:
    """See the module; of the two that disagree most."""
    pairs = [pair for pair in combinations(seen, 2) if pair[0].looks.camera == pair[1].looks.camera]
    return max((_differ(ours, theirs) for ours, theirs in pairs), default=0.0)


def _closest(one: Seen) -> float:
    person = one.is_person
    far_m = one.looks.distance_m[person].astype(np.float64)
    far_m = far_m[far_m >= 0]
    if far_m.shape[0]:
        return _share(1 - float(far_m.min()) / FAR_M)
    low, high = one.looks.box[person][:, [1, 3]].astype(np.float64).T
    whole = np.isfinite(low) & np.isfinite(high)
    height = high[whole] - low[whole]
    return _share(float(height.max()) / (TALL * one.height_px)) if height.shape[0] else 0.0


def _differ(ours: Seen, theirs: Seen) -> float:
    looked, saw = zip(*(_half_seconds(one) for one in (ours, theirs)), strict=True)
    both = looked[0] & looked[1]
    return len(both & (saw[0] ^ saw[1])) / len(both) if both else 0.0


def _half_seconds(one: Seen) -> tuple[set[int], set[int]]:
    """Those in which it looked, and in which it saw a person."""
    at = one.looks.frame_t_ns // BIN_NS
    return set(at.tolist()), set(at[one.looks.frame[one.is_person]].tolist())


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
