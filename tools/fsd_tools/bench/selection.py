"""``fsdctl bench selection``: whether the value of a clip puts the true ones first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from fsd_agent.records.head import Head
from fsd_agent.rules.selection.value import head_scores, score, steady
from fsd_agent.rules.selection.window import paths
from fsd_tools.bench.frame import BenchResult, Figure, Goal, Progress, figure, interleaved, this_machine
from fsd_tools.bench.selection_half import (
    GRID,
    Brought,
    Half,
    at_all_places,
    in_turn,
    judged,
    ranked_by,
    steady_by_drive,
)
from fsd_tools.bench.selection_held_out import DRAWS, HeldOut
from fsd_tools.bench.selection_ranks import Ranked, gain_between, quarter
from fsd_tools.bench.selection_spans import cut_figures, held_out_figures, product_windows, valued
from fsd_tools.bench.selection_whole import whole_values
from fsd_tools.bench.selection_worse import worsened
from fsd_tools.data import data_dir
from fsd_tools.drive.import_jaad import Tracks, load_tracks
from fsd_tools.selection.head_file import SHIPPED, read_head_file
from fsd_tools.selection.jaad import FRAMES, Labelled, cut, drives_of_half, whole, windows_every
from fsd_tools.selection.train import STEP, Examples, as_file, examples_of, learn_from

WANTED: Final = 2.4
EMPTY: Final = 20
"""Drives without a person for one of JAAD's."""
SMALL: Final = 100.0
"""Thousandths of the picture's height: a person of 1.7 m at about 20 m."""
LATE: Final = 15
"""Frames: half a second."""
WINDOW_S: Final = 3.0
BESIDE: Final = 3
"""A window and those beside it."""


def bench_selection(rounds: int, progress: Progress) -> BenchResult:
    """The clips of a quarter of the time that the shipped head values most, on the half of 173 JAAD drives that it was not learned from.

    Windows of 3 s, one after the other, each judged with the two that begin a third of a second beside it. True: somebody begins
    to cross while the car moves. The head is told boxes, tracks and the car's action, never a label. Peers, on the same
    windows: fixed intervals (every fourth window, the mean over all four first ones), any pedestrian (an even choice
    among the windows with a box), and the tallest box first. All clips are of one length, and a camera's bytes follow its
    seconds, so that shares of clips are true clips per megabyte. Wherever windows begin: the same for each third of a second at which
    the first window of all drives can begin, each with a budget of its own, all together. All drives: with the learning half by
    what the same recipe learns on the other one, a budget for each half; the recipe was chosen on the learning half. "In nine of ten draws": drives drawn with repeats, a
    thousand times. Cut around the best moments: as much time, each drive being one clip, of which the product's own windows (a third of a
    second apart at most) are kept that it values most, none overlapping another; the peers are even choices among all of them. One
    span of each drive: what is left where each drive is one clip and its campaign says ``keep: 3s``, by the product's rule. As from a detector: the shipped head
    on a third of the pictures, a fifth of the boxes lost, edges that shake by 3 % of the height; five draws. Learning
    half: the same recipe, learned on four fifths of the drives and tried on the rest, five times five. Mixed: for each drive
    twenty as long in which no box appears. The whole value: with closeness and rarity, as a campaign gets it that states no
    weights. Cost: processor time for all windows of the half and those beside them.
    """
    tracks = load_tracks(data_dir() / "jaad" / "tracks_dev.npz")
    head = read_head_file(SHIPPED).as_head()
    progress("the half that was not learned from")
    half = judged(tracks, drives_of_half(tracks, learning=False), head)
    progress("the half that was learned from")
    learned = windows_every(tracks, drives_of_half(tracks, learning=True), STEP)
    examples = examples_of(learned)
    figures = [
        *headline(half),
        *at_all_places(half).figures("wherever windows begin, nine grids", WANTED),
        *both_ways(tracks, half),
        _by_default(half.windows, half.ranked),
        *_cut_out(tracks, half, head),
        _seen_worse(tracks, half.moments, half.ranked, head),
        *_cross_validated(tracks, HeldOut(learned, examples)),
        _same_head(examples, head),
        _cost(rounds, half.windows, head),
    ]
    return BenchResult("selection", this_machine(), tuple(figures))


def headline(half: Half) -> list[Figure]:
    """What is gained over the peers, and what is found."""
    return [
        *_gains(half.windows, half.ranked, half.alone),
        *_recalls(half.windows, half.ranked),
        *_mixed(half.ranked),
    ]


def _depended_on(moments: Sequence[Labelled]) -> list[Labelled]:
    """Those that follow one another and those beside them: all that the values of the first depend on."""
    return [one for one in moments if one.frame % FRAMES in {0, GRID, FRAMES - GRID}]


def _tallest(one: Labelled) -> float:
    return max((float(np.exp(path.log_height.max())) for path in paths(one.window)), default=0.0)


def _gains(windows: Sequence[Labelled], ranked: Ranked, alone: Ranked) -> list[Figure]:
    count = len(windows)
    budget = quarter(count)
    right = 100 * ranked.right(budget)
    tallest = 100 * ranked_by(windows, np.array([_tallest(one) for one in windows])).right(budget)
    low, high = gain_between(ranked)
    under_way = 100 * float(np.mean([windows[at].has_crossing for at in ranked.kept(budget)]))
    usual = 100 * float(np.mean([one.has_crossing for one in windows]))
    unit = f"% true of {budget} clips of {count}"
    return [
        figure("begins to cross, a quarter of the time", right, unit, peer="fixed intervals",
               peer_value=100 * ranked.at_intervals(4), goal=Goal(">=", WANTED)),
        figure("the same against a plain condition", right, unit, peer="any pedestrian",
               peer_value=100 * ranked.any_person(), goal=Goal(">=", WANTED)),
        figure("the same, each window judged by itself", 100 * alone.right(budget), unit, peer="fixed intervals",
               peer_value=100 * ranked.at_intervals(4)),
        figure("the same against closeness alone", right, unit, peer="tallest box first", peer_value=tallest),
        figure("gain over fixed intervals in nine of ten draws, at least", low, "times"),
        figure("gain over fixed intervals in nine of ten draws, at most", high, "times"),
        figure("somebody crosses, begun in the clip or before", under_way, "% of kept clips",
               peer="all windows", peer_value=usual),
    ]  # fmt: skip


def both_ways(tracks: Tracks, half: Half) -> list[Figure]:
    """All drives: ``half`` by the shipped head, and the half that this one learned from by one that learned from ``half``."""
    learned = windows_every(tracks, drives_of_half(tracks, learning=False), STEP)
    other_head = as_file(learn_from(examples_of(learned))).as_head()
    other = judged(tracks, drives_of_half(tracks, learning=True), other_head)
    both = Brought.of(half.ranked) + Brought.of(other.ranked)
    return both.figures(f"all {len(tracks.clips)} drives, each half by what the other taught", WANTED)


def _by_default(windows: Sequence[Labelled], ranked: Ranked) -> Figure:
    """What a campaign that states no weights gets."""
    values = whole_values([one.window for one in windows], ranked.value)
    budget = quarter(len(windows))
    right = 100 * replace(ranked, value=values).right(budget)
    return figure("the whole value, by the default weights", right, f"% true of {budget} clips",
                  peer="fixed intervals", peer_value=100 * ranked.at_intervals(4), goal=Goal(">=", WANTED))  # fmt: skip


def _cut_out(tracks: Tracks, half: Half, head: Head) -> list[Figure]:
    """As many clips, each where its drive is worth most."""
    moments = product_windows(tracks, dict.fromkeys(one.drive for one in half.windows))
    ranked = valued(moments, [score(one.window, head) for one in moments])
    return cut_figures(moments, ranked, quarter(len(half.windows)), WANTED)


def _seen_worse(tracks: Tracks, moments: Sequence[Labelled], ranked: Ranked, head: Head) -> Figure:
    """The same head on boxes that no one drew; the mean of a few draws of what is lost and shakes."""
    moments = _depended_on(moments)
    drives = {one.drive: whole(tracks, one.drive) for one in moments}
    rights = []
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        seen = {drive: worsened(window, rng) for drive, window in drives.items()}
        cuts = [cut(seen[one.drive], one.window.start_ns, one.window.end_ns) for one in moments]
        worth = steady_by_drive(moments, [score(one, head) for one in cuts])
        _, worse = in_turn(moments, ranked_by(moments, worth))
        rights.append(100 * worse.right(quarter(ranked.value.shape[0])))
    base = 100 * ranked.at_intervals(4)
    return figure("the same, boxes as from a detector", float(np.mean(rights)), "% true of the kept clips",
                  peer="fixed intervals", peer_value=base)  # fmt: skip


def _recalls(windows: Sequence[Labelled], ranked: Ranked) -> list[Figure]:
    """Of what is true, the share that is kept, and where it is lost."""
    budget = quarter(len(windows))
    kept = set(ranked.kept(budget).tolist())
    true = [(at in kept, one) for at, one in enumerate(windows) if one.is_true]

    def part(name: str, belongs: Callable[[Labelled], bool]) -> Figure:
        found = [is_kept for is_kept, one in true if belongs(one)]
        share = 100 * float(np.mean(found)) if found else 0.0
        return figure(f"recall{name}", share, f"% of {len(found)}", peer="fixed intervals", peer_value=25.0)

    def tall(one: Labelled) -> float:
        return max(begin.height for begin in one.begins)

    def first(one: Labelled) -> int:
        return min(begin.frame for begin in one.begins) - one.frame

    return [
        part("", lambda _: True),
        part(", who begins is under a tenth of the picture tall", lambda one: tall(one) < SMALL),
        part(", a tenth to a fifth", lambda one: SMALL <= tall(one) < 2 * SMALL),
        part(", a fifth and more", lambda one: tall(one) >= 2 * SMALL),
        part(", begins in the clip's last half second", lambda one: first(one) >= FRAMES - LATE),
        part(", begins before that", lambda one: first(one) < FRAMES - LATE),
    ]


def _mixed(ranked: Ranked) -> list[Figure]:
    """With drives in which nobody is; their windows are worth 0, whatever the head."""
    count = ranked.value.shape[0]
    added = count * EMPTY
    nobody = np.zeros(added, bool)
    mixed = Ranked(
        np.concatenate([ranked.value, np.zeros(added)]),
        np.concatenate([ranked.true, nobody]),
        np.concatenate([ranked.person, nobody]),
        np.concatenate([ranked.drive, np.full(added, -1)]),
    )
    same, large = quarter(count), quarter(count + added)
    worth = min(large, int((mixed.value > 0).sum()))
    base = 100 * float(mixed.true.mean())
    share = f"1 of {round((count + added) / same)}"
    return [
        figure(f"mixed one to twenty, {share} of the time", 100 * mixed.right(same), f"% true of {same} clips",
               peer="fixed intervals", peer_value=base, goal=Goal(">=", WANTED)),
        figure(f"mixed one to twenty, {share}, against a plain condition", 100 * mixed.right(same),
               f"% true of {same} clips", peer="any pedestrian", peer_value=100 * mixed.any_person(),
               goal=Goal(">=", WANTED)),
        figure(f"recall, mixed one to twenty, {share}", 100 * mixed.recall(same), "%"),
        figure("mixed one to twenty, a quarter of the time: all that is worth anything", 100 * mixed.right(worth),
               f"% true of {worth} clips", peer="fixed intervals", peer_value=base),
        figure("recall of that", 100 * mixed.recall(worth), "%"),
    ]  # fmt: skip


def _cross_validated(tracks: Tracks, held_out: HeldOut) -> list[Figure]:
    """Learned and tried on different drives of the learning half."""
    moments = _depended_on(windows_every(tracks, drives_of_half(tracks, learning=True), GRID))
    rights, usual, budget = [], 0.0, 0
    for scores in held_out.scores(moments):
        _, ranked = in_turn(moments, ranked_by(moments, steady_by_drive(moments, scores)))
        budget = quarter(ranked.value.shape[0])
        rights.append(100 * ranked.right(budget))
        usual = 100 * float(ranked.true.mean())
    cut_out = product_windows(tracks, dict.fromkeys(one.drive for one in moments))
    return [
        figure("learning half, drives held out", float(np.mean(rights)), "% true of the kept clips",
               peer="fixed intervals", peer_value=usual),
        *held_out_figures(cut_out, held_out.scores(cut_out), budget),
    ]  # fmt: skip


def _same_head(examples: Examples, head: Head) -> Figure:
    """The shipped head against one that is learned now."""
    again = replace(as_file(learn_from(examples)).as_head(), name=head.name)
    ours, theirs = head_scores(head, examples.features), head_scores(again, examples.features)
    share = 100 * float(np.abs(ours - theirs).max() / np.ptp(theirs))
    return figure("scores of the shipped head against one learned now, largest difference", share,
                  "% of their range", goal=Goal("<=", 0.1, "value"))  # fmt: skip


def _cost(rounds: int, windows: Sequence[Labelled], head: Head) -> Figure:
    def run() -> None:
        for one in windows:
            steady([score(one.window, head) for _ in range(BESIDE)])

    spent = interleaved(rounds, {"ours": run})["ours"] / len(windows)
    return figure(
        "valuing every window of 3 s, with those beside it", 100 * spent / WINDOW_S, "% of a core",
        goal=Goal("<=", 1.0, "value"),
    )  # fmt: skip
