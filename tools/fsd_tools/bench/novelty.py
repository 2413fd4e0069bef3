"""``fsdctl bench novelty``: what a drive costs that is repeated, and what different drives lose to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fsd_agent.records.novelty import ClipCode, Maker, NoveltyMode, SentCode, Subject
from fsd_agent.rules.selection.code import BOXES_SOURCE, boxes_code
from fsd_agent.rules.selection.novelty import judge_novelty, remember
from fsd_agent.rules.selection.window import Window
from fsd_firmware.samples import Kind
from fsd_tools.bench.frame import BenchResult, Figure, Goal, Progress, figure, interleaved, this_machine
from fsd_tools.bench.novelty_again import Driven, driven
from fsd_tools.bench.novelty_pictures import picture_figures
from fsd_tools.data import data_dir
from fsd_tools.drive.import_jaad import Tracks, load_tracks
from fsd_tools.selection.jaad import drives_of_half

PASSES: Final = 10
DIFFERENT: Final = 10
DRAWS: Final = 100
HARDER: Final = 2.0
MOST_COST: Final = 1.3
MOST_LOST: Final = 10.0
SUBJECT: Final = Subject("bench", Maker.BOXES, BOXES_SOURCE, "front")

Code = ClipCode | None


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A drive's clips as codes; None where nothing is made of one: such a clip is always kept."""

    true: tuple[bool, ...]
    first: tuple[Code, ...]
    passes: tuple[tuple[Code, ...], ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """Of many draws of ten different drives."""

    true: float
    """Share of the true clips that were left out."""
    true_often: float
    """That share in the worst of twenty draws."""
    clips: float
    """Share of all clips."""


def bench_novelty(rounds: int, progress: Progress) -> BenchResult:
    """The rule that the vehicle has, on the half of the 173 JAAD drives on which its limits were not chosen.

    Clips: windows of 3 s, one after the other, with a person's box. True: somebody begins to cross while the car moves.
    All clips are of one length, and a camera's bytes follow its seconds, so that clips kept are bytes. Repeated: each
    drive ten times with an empty memory; no two passes are alike (clips up to 0.3 s earlier or later, the picture aside
    by 2 % and nearer or farther by 3 %, as normal errors; boxes as from a detector: a third of the pictures, a fifth of
    the boxes lost, edges that shake by 3 % of the height). Harder: twice that, but for the detector. The bytes are those
    of the drive once without novelty; "of what it keeps" those of its first pass with it. Different: ten drives
    drawn at random, one memory, a hundred draws; the peer keeps clips at fixed intervals, as many of ten different drives as
    the rule keeps of one drive ten times. "All drives": one vehicle drives all of the half, one memory. JAAD has boxes of persons alone and no pixels. Cost: processor time for a
    code and a verdict against a full memory. Pictures: half of the ones of street_eval, each against itself cut to 95 % and up to a quarter
    brighter or darker, against its mirror image, and ten different ones at a time; and the two videos in clips of a
    second, one memory each.
    """
    tracks = load_tracks(data_dir() / "jaad" / "tracks_dev.npz")
    figures: list[Figure] = []
    progress("the half that the limits were not chosen on")
    half = coded(tracks, learning=False)
    for mode in (NoveltyMode.NORMAL, NoveltyMode.STRICT):
        figures += _figures(half, mode)
    progress("twice as different, and the other half")
    harder, _ = repeated(coded(tracks, learning=False, harder=HARDER), NoveltyMode.NORMAL)
    figures.append(
        figure("a drive ten times, passes twice as different", harder, "times its bytes", peer="no novelty",
               peer_value=PASSES)
    )  # fmt: skip
    other = coded(tracks, learning=True)
    figures += [
        figure("a drive ten times, half that the limits were chosen on", repeated(other, NoveltyMode.NORMAL)[0],
               "times its bytes", peer="no novelty", peer_value=PASSES),
        figure("ten different drives, that half", 100 * different(other, NoveltyMode.NORMAL).true,
               "% of true clips lost"),
        _cost(rounds, tracks),
    ]  # fmt: skip
    progress("pictures")
    figures += picture_figures()
    return BenchResult("novelty", this_machine(), tuple(figures))


def coded(tracks: Tracks, *, learning: bool, harder: float = 1.0) -> list[Coded]:
    """Every drive of one half that has a clip."""
    rng = np.random.default_rng(7)
    drives = drives_of_half(tracks, learning=learning)
    found = (driven(tracks, drive, PASSES, rng, harder) for drive in drives)
    return [_coded(one) for one in found if one.first]


def repeated(drives: Sequence[Coded], mode: NoveltyMode) -> tuple[float, float]:
    """All passes' kept clips over those of the drive, and over those that are kept of the first pass; all drives together."""
    clips = kept = first = 0
    for drive in drives:
        new = kept_of((code for one in drive.passes for code in one), mode)
        clips, kept, first = (
            clips + len(drive.first),
            kept + sum(new),
            first + sum(new[: len(drive.first)]),
        )
    return kept / clips, kept / first


def different(drives: Sequence[Coded], mode: NoveltyMode, *, seen: bool = False) -> Lost:
    """``seen``: as from a detector, each drive a little aside."""
    rng = np.random.default_rng(1)
    draws = [rng.choice(len(drives), DIFFERENT, replace=False).tolist() for _ in range(DRAWS)]
    return lost_of([[drives[at] for at in drawn] for drawn in draws], mode, seen=seen)


def lost_of(draws: Sequence[Sequence[Coded]], mode: NoveltyMode, *, seen: bool = False) -> Lost:
    """Each draw with a memory of its own."""
    lost, true, left_out, clips = [], 0, 0, 0
    for drawn in draws:
        truth = np.array([is_true for one in drawn for is_true in one.true])
        codes = (code for one in drawn for code in (one.passes[0] if seen else one.first))
        new = np.array(kept_of(codes, mode))
        true, clips, left_out = true + int(truth.sum()), clips + len(new), left_out + int((~new).sum())
        lost.append((int((truth & ~new).sum()), int(truth.sum())))
    shares = [part / whole for part, whole in lost if whole]
    worst = float(np.quantile(shares, 0.95))
    return Lost(sum(part for part, _ in lost) / true, worst, left_out / clips)


def kept_of(codes: Iterable[Code], mode: NoveltyMode) -> list[bool]:
    """Which of one vehicle's clips are kept, one after the other."""
    sent: tuple[SentCode, ...] = ()
    kept = []
    for code in codes:
        new = code is None or judge_novelty(code, sent, None, mode).drop is None
        if new and code is not None:
            sent = remember(sent, SentCode(code, ""))
        kept.append(new)
    return kept


def code_of(window: Window) -> Code:
    """JAAD has boxes of pedestrians alone."""
    values = boxes_code(window, np.full(len(window.t_ns), Kind.PEDESTRIAN, np.uint8))
    return None if values is None else ClipCode(SUBJECT, values)


def _coded(one: Driven) -> Coded:
    passes = tuple(tuple(map(code_of, windows)) for windows in one.passes)
    return Coded(one.true, tuple(map(code_of, one.first)), passes)


def _figures(half: Sequence[Coded], mode: NoveltyMode) -> list[Figure]:
    cost, of_kept = repeated(half, mode)
    plain, seen = different(half, mode), different(half, mode, seen=True)
    all_drives = lost_of([half], mode)
    name = "" if mode is NoveltyMode.NORMAL else f", {mode}"
    cost_goal, lost_goal = Goal("<=", MOST_COST, "value"), Goal("<=", MOST_LOST, "value")
    at_intervals = 100 * (1 - min(1.0, cost / PASSES))
    return [
        figure(f"a drive ten times{name}", cost, "times its bytes", peer="no novelty", peer_value=PASSES,
               goal=cost_goal),
        figure(f"a drive ten times{name}, of what it keeps once", of_kept, "times its bytes", peer="no novelty",
               peer_value=PASSES, goal=cost_goal),
        figure(f"ten different drives{name}", 100 * plain.true, "% of true clips lost", peer="fixed intervals",
               peer_value=at_intervals, goal=lost_goal),
        figure(f"ten different drives{name}, boxes as from a detector", 100 * seen.true, "% of true clips lost",
               peer="fixed intervals", peer_value=at_intervals, goal=lost_goal),
        figure(f"ten different drives{name}, in the worst of twenty draws", 100 * plain.true_often,
               "% of true clips lost"),
        figure(f"ten different drives{name}, of all clips", 100 * plain.clips, "% left out"),
        figure(f"all {len(half)} drives{name}", 100 * all_drives.true, "% of true clips lost"),
    ]  # fmt: skip


def _cost(rounds: int, tracks: Tracks) -> Figure:
    rng = np.random.default_rng(5)
    windows = [one for drive in range(20) for one in driven(tracks, drive, 1, rng).passes[0]]
    full = tuple(SentCode(ClipCode(SUBJECT, rng.bytes(96)), "") for _ in range(256))

    def run() -> None:
        for window in windows:
            code = code_of(window)
            if code is not None:
                judge_novelty(code, full, None, NoveltyMode.NORMAL)

    spent = interleaved(rounds, {"ours": run})["ours"] / len(windows)
    return figure("a code of boxes and its verdict", 1000 * spent, "ms a clip")
