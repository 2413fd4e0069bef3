"""What is cut out of whole drives, by the product's own windows, value and rule: for ``fsdctl bench selection``.

A drive is a clip here. Its windows are those that a clip of its length is judged by, each at the nearest frame; each is worth what
it is by the default weights. Kept is either the best windows of all drives, none of which overlaps another, or one span of 3 s of
each drive, as a campaign gets it that says ``keep: 3s``, and of those the best. No firing is known: of equal ones the earliest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.selection.span import WINDOW_NS, kept_span, most_promising, windows
from fsd_tools.bench.frame import Figure, Goal, figure
from fsd_tools.bench.selection_half import ranked_by, steady_by_drive
from fsd_tools.bench.selection_ranks import Ranked, apart
from fsd_tools.bench.selection_whole import whole_values
from fsd_tools.drive.import_jaad import FPS, Tracks
from fsd_tools.selection.jaad import FRAMES, Labelled, windows_at

Rows = NDArray[np.int64]


def product_windows(tracks: Tracks, drives: Iterable[int]) -> list[Labelled]:
    """Those that the product judges where each drive is a clip; none of a drive that is shorter than one."""
    found: list[Labelled] = []
    for drive in drives:
        frames = int(tracks.clips[drive]["frames"])
        if frames >= FRAMES:
            begins = (begin_ns for begin_ns, _ in windows(0, frames * 1_000_000_000 // FPS))
            at = [min(round(begin_ns * FPS / 1e9), frames - FRAMES) for begin_ns in begins]
            found += windows_at(tracks, drive, at)
    return found


def valued(moments: Sequence[Labelled], scores: Sequence[float | None]) -> Ranked:
    """As the product values them, by the scores of the head."""
    chances = steady_by_drive(moments, scores)
    return ranked_by(moments, whole_values([one.window for one in moments], chances))


def best_anywhere(moments: Sequence[Labelled], ranked: Ranked, budget: int) -> Rows:
    """Rows of the most valuable windows, none of which overlaps another."""
    frame = np.array([one.frame for one in moments], np.int64)
    return apart(ranked.value, ranked.drive, frame, FRAMES)[:budget]


def best_spans(moments: Sequence[Labelled], ranked: Ranked, budget: int) -> Rows:
    """Rows of the most valuable spans, one of each drive."""
    spans = []
    for _, group in groupby(range(len(moments)), key=lambda at: moments[at].drive):
        rows = list(group)
        each = [(moments[at].window.start_ns, moments[at].window.end_ns) for at in rows]
        best_ns = most_promising(each, ranked.value[rows].tolist(), ())
        span = kept_span((each[0][0], each[-1][1]), best_ns, WINDOW_NS)
        spans.append(rows[[begin_ns for begin_ns, _ in each].index(span[0])])
    order = np.argsort(-ranked.value[spans], kind="stable")[:budget]
    return np.array(spans, np.int64)[order]


def cut_figures(moments: Sequence[Labelled], ranked: Ranked, budget: int, wanted: float) -> list[Figure]:
    """Of the half that was not learned from; both peers are even choices among all windows that may begin."""
    every = {(one.drive, begin.frame) for one in moments for begin in one.begins}
    figures = []
    for name, kept in (
        ("cut around the best moments", best_anywhere(moments, ranked, budget)),
        ("one span of each drive, the best of them", best_spans(moments, ranked, budget)),
    ):
        right = 100 * float(ranked.true[kept].mean())
        found = {(moments[at].drive, one.frame) for at in kept.tolist() for one in moments[at].begins}
        unit = f"% true of {kept.shape[0]} clips"
        figures += [
            figure(name, right, unit, peer="fixed intervals",
                   peer_value=100 * float(ranked.true.mean()), goal=Goal(">=", wanted)),
            figure(f"{name}, against a plain condition", right, unit, peer="any pedestrian",
                   peer_value=100 * ranked.any_person(), goal=Goal(">=", wanted)),
            figure(f"recall, {name}", 100 * len(found) / len(every), f"% of {len(every)} moments",
                   peer="fixed intervals", peer_value=25.0),
        ]  # fmt: skip
    return figures


def held_out_figures(
    moments: Sequence[Labelled], scores: Sequence[Sequence[float | None]], budget: int
) -> list[Figure]:
    """Of the learning half; ``scores``: by each draw, by who did not learn from the drive."""
    ranks = [valued(moments, one) for one in scores]
    base = 100 * float(ranks[0].true.mean())
    return [
        figure(f"learning half, drives held out, {name}",
               100 * float(np.mean([one.true[kept(moments, one, budget)].mean() for one in ranks])),
               "% true of the kept clips", peer="fixed intervals", peer_value=base)
        for name, kept in (
            ("cut around the best moments", best_anywhere),
            ("one span of each drive", best_spans),
        )
    ]  # fmt: skip
