"""Was anybody there? A second look at what a condition saw, by other eyes and at other moments.

A **claim** is a box of a person or cyclist that was there when the campaign fired, in the newest look of its camera, followed
back and forth: by its track, else by the best overlap with the look beside. The second look is that of the agent's own models at
:data:`LOOKS` pictures from half a second before to half a second after.

A look **supports** a claim where it has a person or cyclist in its place with a score from ``weak`` on (:data:`SCORES`, by model).
In its place: overlapping by :data:`SAME_PLACE_IOU` with where the claim is at that moment; where it was not seen within
:data:`NEAR_NS`, of about its height and no farther off than somebody walks.

| | |
| --- | --- |
| confirmed | a model other than the one that saw it is sure of it in :data:`STEADY` of its looks |
| false hit | large enough that it would have been seen; :data:`LEAST` looks or more; no look of another model supports it; of the looks of the model that saw it itself, one at most does: noise flashes up and is gone, people stay |
| can't tell | all else: small, far, the models disagree, nothing to compare with |

Any claim that is confirmed confirms the firing, and a firing is a false hit only where every claim is: which of them the
condition meant nobody knows. Scores that are not numbers support. The numbers were set on one half of real pictures and are
reported on the other: ``docs/selection.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.firing import Firing
from fsd_firmware.samples import PERSON_KINDS, Detections

LOOKS: Final = 7
LEAST: Final = 5
REACH_NS: Final = 600_000_000
"""Before and after the firing: long enough for noise to go, short enough for people to be still there."""
FRESH_NS: Final = 500_000_000
"""A look that is older than this, when the campaign fired, is not what it fired on."""
SAME_PLACE_IOU: Final = 0.2
FOLLOWED_IOU: Final = 0.1
NEAR_NS: Final = 100_000_000
FAR_NS: Final = 1_000_000_000
WALKS_HEIGHTS_PER_S: Final = 1.5
"""Across the picture, the car's own turning included; two walk at 0.8."""
TALLER: Final = 2.0
STEADY: Final = 0.5

Boxes = NDArray[np.float32]


class Verdict(Enum):
    """Of a second look."""

    CONFIRMED = auto()
    FALSE_HIT = auto()
    CANT_TELL = auto()


@dataclass(frozen=True, slots=True)
class Scores:
    """How far one model's silence counts."""

    weak: float
    """From where on it may be somebody. Far below what a campaign trusts: silence has to mean something."""
    sure: float
    tall: float
    """Of the picture's width: a person of this height it would have seen."""


SCORES: Final[Mapping[str, Scores]] = {
    "nanodet-m-416-int8": Scores(0.08, 0.25, 1 / 30),
    "nanodet-m-416": Scores(0.08, 0.25, 1 / 30),
    "fastestdet-352": Scores(0.3, 0.5, 1 / 12),
}
UNKNOWN: Final = Scores(0.1, 0.35, 1 / 12)
"""Of a model that was not measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Somebody whom a condition saw: where, at p moments."""

    camera: str
    source: str
    t_ns: NDArray[np.int64]
    """Shape (p,), increasing."""
    box: Boxes
    """Shape (p, 4)."""
    height: float
    """When it fired, pixels."""


def claims_persons(firing: Firing) -> bool:
    """Whether the condition fired on persons or cyclists that were in view."""
    named = {f"detections.{kind.name.lower()}" for kind in PERSON_KINDS}
    return any(
        name in named and isinstance(count, int | float) and count > 0 for name, count in firing.evidence
    )


def claims(firing: Firing, detections: Iterable[Detections]) -> tuple[Claim, ...]:
    """Everybody who was in view, in every camera and by every source."""
    return tuple(claim for one in detections for claim in _claims_of(firing.t_ns, one))


def look_times(at_ns: int, frame_t_ns: NDArray[np.int64]) -> tuple[int, ...]:
    """Which of a camera's pictures to look at: :data:`LOOKS` at most, spread evenly around the firing."""
    near = frame_t_ns[np.abs(frame_t_ns - at_ns) <= REACH_NS]
    if not near.shape[0]:
        return ()
    chosen = np.unique(np.linspace(0, near.shape[0] - 1, min(LOOKS, near.shape[0])).round().astype(np.intp))
    return tuple(int(one) for one in near[chosen])


def second_look(
    found: Sequence[Claim],
    looks: Sequence[Detections],
    widths: Mapping[str, int],
    blind: frozenset[str] = frozenset(),
) -> Verdict:
    """What the looks say of all claims of a firing together.

    ``widths`` of the cameras' pictures. Nothing is to be concluded from silence on ``blind`` cameras: they are dark or spoilt.
    """
    each = [
        _judged(
            claim,
            [one for one in looks if one.camera == claim.camera],
            widths.get(claim.camera, 0),
            claim.camera in blind,
        )
        for claim in found
    ]
    if Verdict.CONFIRMED in each:
        return Verdict.CONFIRMED
    if each and all(one is Verdict.FALSE_HIT for one in each):
        return Verdict.FALSE_HIT
    return Verdict.CANT_TELL


def _judged(claim: Claim, looks: Sequence[Detections], width: int, is_blind: bool) -> Verdict:
    others = [one for one in looks if one.source != claim.source]
    own = [one for one in looks if one.source == claim.source]
    for one in others:
        sure = supports(claim, one, scores_of(one.source).sure)
        if sure.size and sure.mean() >= STEADY:
            return Verdict.CONFIRMED
    tall = min((scores_of(one.source).tall for one in others or own), default=np.inf)
    seen_by_others = sum(int(supports(claim, one, scores_of(one.source).weak).sum()) for one in others)
    seen_by_own = sum(int(supports(claim, one, scores_of(one.source).weak).sum()) for one in own)
    looked = min((one.frame_t_ns.shape[0] for one in looks), default=0)
    is_large = width > 0 and claim.height >= tall * width
    if is_blind or not is_large or looked < LEAST or seen_by_others or seen_by_own > 1:
        return Verdict.CANT_TELL
    return Verdict.FALSE_HIT


def scores_of(source: str) -> Scores:
    """Of ``name@version``."""
    return SCORES.get(source.partition("@")[0], UNKNOWN)


def supports(claim: Claim, looks: Detections, least: float) -> NDArray[np.bool_]:
    """Shape (f,): in which of a model's looks somebody of at least this score is in the claim's place."""
    counts = np.isin(looks.kind, [int(kind) for kind in PERSON_KINDS]) & ~(looks.score < least)
    supported = np.zeros(looks.frame_t_ns.shape, np.bool_)
    for at, t_ns in enumerate(looks.frame_t_ns.tolist()):
        boxes = looks.box[counts & (looks.frame == at)]
        away = np.abs(claim.t_ns - t_ns)
        nearest = int(np.argmin(away))
        supported[at] = bool(_in_place(claim.box[nearest], boxes, int(away[nearest])).any())
    return supported


def _in_place(box: Boxes, others: Boxes, away_ns: int) -> NDArray[np.bool_]:
    overlaps: NDArray[np.bool_] = overlap(box[None], others)[0] >= SAME_PLACE_IOU
    if away_ns <= NEAR_NS:
        return overlaps
    height, tall = box[3] - box[1], others[:, 3] - others[:, 1]
    reach = height * (0.5 + WALKS_HEIGHTS_PER_S * min(away_ns, FAR_NS) / 1e9)
    apart = np.abs((others[:, :2] + others[:, 2:]) - (box[:2] + box[2:])).max(axis=1) / 2
    alike = (tall <= TALLER * height) & (height <= TALLER * tall)
    overlaps |= alike & (apart <= reach)
    return overlaps


def overlap(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Intersection over union of every pair, shape (len(a), len(b))."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    sizes = [np.maximum(one[:, 2:] - one[:, :2], 0).prod(axis=1) for one in (a, b)]
    union = sizes[0][:, None] + sizes[1][None, :] - common
    share: NDArray[np.float32] = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return share


def _claims_of(at_ns: int, one: Detections) -> list[Claim]:
    newest = int(one.frame_t_ns.searchsorted(at_ns, "right")) - 1
    if newest < 0 or at_ns - int(one.frame_t_ns[newest]) > FRESH_NS:
        return []
    persons = np.isin(one.kind, [int(kind) for kind in PERSON_KINDS])
    rows = np.flatnonzero(persons & (one.frame == newest)).tolist()
    return [_followed(one, persons, row) for row in rows]


def _followed(one: Detections, persons: NDArray[np.bool_], row: int) -> Claim:
    """The claim's places, from look to look as long as it is found again and within reach."""
    rows = [row]
    for step in (-1, 1):
        here = row
        while (there := _found_again(one, persons, here, int(one.frame[here]) + step)) is not None:
            here = there
            rows.append(here)
    order = sorted(rows, key=lambda at: int(one.frame[at]))
    box = one.box[order]
    height = float(one.box[row, 3] - one.box[row, 1])
    return Claim(one.camera, one.source, one.frame_t_ns[one.frame[order]], box, height)


def _found_again(one: Detections, persons: NDArray[np.bool_], row: int, frame: int) -> int | None:
    """The row of the same person in another look; None where it is not there, or there is no such look near."""
    if not 0 <= frame < one.frame_t_ns.shape[0]:
        return None
    if abs(int(one.frame_t_ns[frame]) - int(one.frame_t_ns[one.frame[row]])) > FRESH_NS:
        return None
    there = np.flatnonzero(persons & (one.frame == frame))
    if not there.shape[0]:
        return None
    same = there[(one.track_id[there] == one.track_id[row]) & (one.track_id[row] >= 0)]
    if same.shape[0]:
        return int(same[0])
    shared = overlap(one.box[row : row + 1], one.box[there])[0]
    best = int(np.argmax(shared))
    return int(there[best]) if shared[best] > FOLLOWED_IOU else None
