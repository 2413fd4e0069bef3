"""Whether a clip is new, to this vehicle and to its region.

Asked of a clip's code, of what the vehicle remembers having sent, and of the region's sketch; codes of another subject
(campaign, maker, source, camera) do not count:

    already_sent        the nearest remembered code is not farther than the limit
    region_has_enough   else the same of the sketch
    novel               else

The distance of two codes is that of the ends of their vectors brought to unit length: 0 of a code to itself, 2 of opposite ones.
It is made of whole numbers until the last step, so that everybody finds the same.

What is remembered is bounded. Beyond :data:`SENT_MAX` codes, of the two of one subject that are nearest to each other the older
goes: the other stands for both. So what is far from everything is kept longest, and the newest always stays: the same
clip twice is never new.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.novelty import SENT_MAX, ClipCode, Maker, NoveltyMode, SentCode, Sketch
from fsd_agent.records.reasons import DropReason

LIMITS: Final[Mapping[tuple[Maker, NoveltyMode], float]] = MappingProxyType(
    {
        (Maker.BOXES, NoveltyMode.NORMAL): 0.44,
        (Maker.BOXES, NoveltyMode.STRICT): 0.52,
        (Maker.PICTURES, NoveltyMode.NORMAL): 0.18,
        (Maker.PICTURES, NoveltyMode.STRICT): 0.22,
    }
)
"""How far from what is known a clip still counts as the same; ``docs/selection.md`` says how they were chosen."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """See the module."""

    drop: DropReason | None
    """None: it is new."""
    distance: float
    """To the nearest of what decided; of a new clip to the nearest of all. Infinite where there is none."""


def judge_novelty(
    code: ClipCode, sent: Sequence[SentCode], sketch: Sketch | None, mode: NoveltyMode
) -> Verdict:
    """See the module; ``OFF`` finds everything new."""
    limit = LIMITS.get((code.subject.maker, mode), -1.0)
    ours = [one.code for one in sent if one.code.subject == code.subject]
    theirs = [one for one in sketch.codes if one.subject == code.subject] if sketch is not None else []
    mine = _nearest(code, ours)
    if mine <= limit:
        return Verdict(DropReason.ALREADY_SENT, mine)
    regions = _nearest(code, theirs)
    if regions <= limit:
        return Verdict(DropReason.REGION_HAS_ENOUGH, regions)
    return Verdict(None, min(mine, regions))


def remember(sent: Sequence[SentCode], new: SentCode, most: int = SENT_MAX) -> tuple[SentCode, ...]:
    """What is remembered from now on, oldest first, at most ``most`` (from 1 on)."""
    kept = [*sent, new]
    while len(kept) > most:
        del kept[_most_covered([one.code for one in kept])]
    return tuple(kept)


def distances(codes: Sequence[ClipCode], to: Sequence[ClipCode]) -> NDArray[np.float64]:
    """Shape (codes, to). Subjects are the caller's matter."""
    ours, theirs = _matrix(codes), _matrix(to)
    # Sums of 96 products of bytes: whole, and exact as doubles in whatever order they are added.
    products = np.einsum("ak,bk->ab", ours, theirs)
    lengths = np.sqrt((ours * ours).sum(axis=1)[:, None] * (theirs * theirs).sum(axis=1))
    found: NDArray[np.float64] = np.sqrt(np.maximum(0.0, 2 - 2 * (products / lengths)))
    return found


def _matrix(codes: Sequence[ClipCode]) -> NDArray[np.float64]:
    values = np.frombuffer(b"".join(one.values for one in codes), np.int8)
    return values.reshape(len(codes), -1).astype(np.float64) if codes else np.empty((0, 1))


def _nearest(code: ClipCode, codes: Sequence[ClipCode]) -> float:
    return float(distances([code], codes).min()) if codes else math.inf


def _most_covered(codes: Sequence[ClipCode]) -> int:
    """The older of the nearest two of one subject; the oldest where every subject has one."""
    found = distances(codes, codes)
    subjects = {subject: at for at, subject in enumerate(dict.fromkeys(one.subject for one in codes))}
    about = np.array([subjects[one.subject] for one in codes])
    found[about[:, None] != about] = np.inf
    found[np.tril_indices(len(codes))] = np.inf
    return int(found.min(axis=1).argmin())
