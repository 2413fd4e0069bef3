"""Which boxes count as seen. One table, by model; each has its own scale of scores.

A source looks at a frame.

* Firmware, and a model that the table doesn't know: a box counts from ``MIN_SCORE`` on.
* A model of the table counts from ``MIN_SCORE`` on as well, wherever no other model of the table looked at the same frame.
* Where another one did, a box counts from ``alone`` on, and from ``confirmed`` on where the other has a box from its own
  ``confirmed`` on in the same place: what both suspect is there more often than what one of them believes. Scores are
  never averaged, and of two boxes in one place both are painted.

* Where a stretch is looked at again (:mod:`.again`), heads count from the scores of ``AGAIN`` on instead, whatever the strictness.

So a second model lets weak boxes of one alone go, and lets weaker ones of both count. A model that is missing, fails, or
looked at other frames never takes a box away. A score that is not a number counts.

The numbers were set on one half of `street_eval` and are reported on the other: docs/privacy.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.region import Strictness
from fsd_agent.rules.privacy.zones import has_head, has_plate, has_rider, overlap_of_pairs
from fsd_firmware.samples import Detections

MIN_SCORE = 0.15
"""At this score one detector's head zones cover the most that they ever cover; lower ones add area and no heads. A
campaign's own threshold (0.35 and more) would lose a fifth of the heads."""


class Shows(Enum):
    """What a box may show."""

    HEAD = auto()
    PLATE = auto()
    RIDER = auto()
    """Above it, although nobody was found there."""


@dataclass(frozen=True, slots=True)
class Scores:
    """From where boxes of one model count."""

    alone: float
    confirmed: float


_NANODET_INT8, _NANODET, _FASTESTDET = "nanodet-m-416-int8", "nanodet-m-416", "fastestdet-352"
_STANDARD: Mapping[Shows, Mapping[str, Scores]] = {
    Shows.HEAD: {
        _NANODET_INT8: Scores(0.25, 0.12),
        _NANODET: Scores(0.25, 0.12),
        _FASTESTDET: Scores(0.55, 0.12),
    },
    Shows.PLATE: {
        _NANODET_INT8: Scores(0.35, 0.08),
        _NANODET: Scores(0.35, 0.08),
        _FASTESTDET: Scores(0.7, 0.2),
    },
    Shows.RIDER: {},
}
_STRICT: Mapping[Shows, Mapping[str, Scores]] = {
    Shows.HEAD: {
        _NANODET_INT8: Scores(0.15, 0.06),
        _NANODET: Scores(0.15, 0.06),
        _FASTESTDET: Scores(0.4, 0.1),
    },
    Shows.PLATE: {
        _NANODET_INT8: Scores(0.25, 0.12),
        _NANODET: Scores(0.25, 0.12),
        _FASTESTDET: Scores(0.5, 0.2),
    },
    Shows.RIDER: {
        _NANODET_INT8: Scores(0.3, 0.3),
        _NANODET: Scores(0.3, 0.3),
        _FASTESTDET: Scores(0.5, 0.5),
    },
}
SCORES: Mapping[Strictness, Mapping[Shows, Mapping[str, Scores]]] = {
    Strictness.STANDARD: _STANDARD,
    Strictness.STRICT: _STRICT,
}
AGAIN: Mapping[str, Scores] = {
    _NANODET_INT8: Scores(0.12, 0.06),
    _NANODET: Scores(0.12, 0.06),
    _FASTESTDET: Scores(0.3, 0.1),
}
"""Below those of any strictness: somebody was there a moment ago."""
SAME_PLACE_IOU: Mapping[Shows, float] = {Shows.HEAD: 0.4, Shows.PLATE: 0.6, Shows.RIDER: 0.4}
"""Two models' boxes that overlap by more confirm each other."""
ROWS_AT_ONCE = 1024
"""Of one model: pairs of the boxes of a long clip would take more memory than its boxes."""

_MAY_SHOW = {Shows.HEAD: has_head, Shows.PLATE: has_plate, Shows.RIDER: has_rider}


def lowest_score(source: str, strictness: Strictness) -> float:
    """What a detector must be asked for, so that no box is missing that may count."""
    named = [table[_model(source)] for table in SCORES[strictness].values() if _model(source) in table]
    return min([MIN_SCORE, *(one.confirmed for one in named)])


def lowest_score_again(source: str, strictness: Strictness) -> float:
    """The same for a stretch that is looked at again."""
    again = AGAIN.get(_model(source))
    least = lowest_score(source, strictness)
    return least if again is None else min(least, again.confirmed)


def counted(
    one: Detections,
    others: Sequence[Detections],
    shows: Shows,
    strictness: Strictness,
    *,
    again: bool = False,
) -> NDArray[np.intp]:
    """Rows of ``one`` that count and may show it, in order; ``others`` are all sources of the same camera.

    ``again`` says that these are looks at a stretch that is looked at again.
    """
    table = AGAIN if again and shows is Shows.HEAD else SCORES[strictness][shows]
    rows = np.flatnonzero(_MAY_SHOW[shows](one.kind))
    mine = table.get(_model(one.source))
    needed = np.full(rows.shape, MIN_SCORE, np.float32)
    if mine is not None:
        partners = [
            (other, table[_model(other.source)]) for other in others if _is_partner(one, other, table)
        ]
        looked, confirmed = _second_looks(one, rows, partners, shows)
        needed[looked] = mine.alone
        needed[confirmed] = mine.confirmed
    return rows[~(one.score[rows] < needed)]


def _model(source: str) -> str:
    """Its name, of ``name@version``."""
    return source.partition("@")[0]


def _is_partner(one: Detections, other: Detections, table: Mapping[str, Scores]) -> bool:
    return _model(other.source) != _model(one.source) and _model(other.source) in table


def _second_looks(
    one: Detections,
    rows: NDArray[np.intp],
    partners: Sequence[tuple[Detections, Scores]],
    shows: Shows,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of ``rows`` of ``one``: whose frames a partner looked at too, and who was confirmed by one."""
    t_ns = one.frame_t_ns[one.frame[rows]]
    looked, confirmed = np.zeros(rows.shape, np.bool_), np.zeros(rows.shape, np.bool_)
    for other, scores in partners:
        looked |= np.isin(t_ns, other.frame_t_ns)
        theirs = _MAY_SHOW[shows](other.kind) & ~(other.score < scores.confirmed)
        for at in range(0, rows.size, ROWS_AT_ONCE):
            some = slice(at, at + ROWS_AT_ONCE)
            confirmed[some] |= _confirmed(one, rows[some], other, theirs, SAME_PLACE_IOU[shows])
    return looked, confirmed


def _confirmed(
    one: Detections, rows: NDArray[np.intp], other: Detections, theirs: NDArray[np.bool_], iou: float
) -> NDArray[np.bool_]:
    """Which of ``rows`` of ``one`` are in the place of one of ``theirs`` of ``other`` in the same frame."""
    confirmed = np.zeros(rows.shape, np.bool_)
    mine, partner = _of_one_frame(one.frame_t_ns[one.frame[rows]], other.frame_t_ns[other.frame[theirs]])
    place = overlap_of_pairs(one.box[rows], other.box[theirs], mine, partner) > iou
    confirmed[mine[place]] = True
    return confirmed


def _of_one_frame(
    t_ns: NDArray[np.int64], other_t_ns: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All pairs of a box of the one and a box of the other that are of one time, as two columns of rows.

    A table of all boxes by all boxes would grow with the square of the clip: gigabytes for a minute of a busy street.
    """
    order = np.argsort(other_t_ns)
    first = np.searchsorted(other_t_ns[order], t_ns, "left")
    count = np.searchsorted(other_t_ns[order], t_ns, "right") - first
    mine = np.repeat(np.arange(t_ns.size), count)
    nth = np.arange(mine.size) - np.repeat(np.cumsum(count) - count, count)
    return mine, order[first[mine] + nth]
