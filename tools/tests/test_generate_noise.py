"""The generated detector errs as real ones do: small and hidden things are missed, in runs, and boxes shake."""

from __future__ import annotations

import math
from itertools import groupby, pairwise

import numpy as np

from fsd_firmware.samples import Kind
from fsd_tools.drive.generate.noise import GHOSTS_PER_LOOK, DetectorNoise, Report, columns
from fsd_tools.drive.generate.truth import TrueBox

WIDTH, HEIGHT, STEP_NS = 1280, 960, 100_000_000


def _truth(tall_px: float, *, actors: int = 30, hidden: float = 0.0) -> tuple[TrueBox, ...]:
    return tuple(
        TrueBox(
            number,
            Kind.PEDESTRIAN,
            (40.0 * number, 400.0, 40.0 * number + tall_px / 2.5, 400 + tall_px),
            15.0,
            0.0,
            hidden,
            -1,
        )
        for number in range(actors)
    )


def _looks(
    truth: tuple[TrueBox, ...], *, night: float = 0.0, looks: int = 150, seed: int = 4
) -> list[list[Report]]:
    noise = DetectorNoise(seed, WIDTH, HEIGHT)
    return [noise.look(i * STEP_NS, truth, night) for i in range(looks)]


def _recall(tall_px: float, *, hidden: float = 0.0, night: float = 0.0) -> float:
    truth = _truth(tall_px, hidden=hidden)
    found = sum(r.track >= 0 for look in _looks(truth, night=night) for r in look)
    return found / (150 * len(truth))


def test_recall_grows_with_height_and_falls_with_cover_and_night() -> None:
    tiny, small, large = _recall(14), _recall(26), _recall(110)
    assert tiny < 0.25
    assert 0.4 < small < 0.7
    assert 0.93 < large < 1.0
    assert _recall(110, hidden=0.7) < large - 0.1
    assert _recall(110, hidden=0.9) == 0
    assert _recall(26, night=1.0) < small - 0.08


def test_misses_come_in_runs() -> None:
    looks = _looks(_truth(26))
    left = [40.0 * number for number in range(30)]
    runs: list[int] = []
    for x in left:
        seen = [any(abs(r.box[0] - x) < 12 and r.track >= 0 for r in look) for look in looks]
        runs += [len(list(group)) for found, group in groupby(seen) if not found]
    independent = 1 / _recall(26)
    assert np.mean(runs) > 1.25 * independent


def test_boxes_shake_by_about_a_percent_and_scores_vary() -> None:
    truth = _truth(200, actors=1)
    reports = [r for look in _looks(truth, looks=600) for r in look if r.track >= 0]
    error = np.array([r.box for r in reports]) - truth[0].box
    share = error / np.array([80, 200, 80, 200])
    assert 0.005 < share[:, 1].std() < 0.03
    assert np.abs(share[:, 1]).max() < 0.1
    scores = np.array([r.score for r in reports])
    assert 0.8 < scores.mean() < 0.97
    assert scores.std() > 0.01


def test_distances_are_biased_a_little_for_a_track_and_noisy() -> None:
    means = []
    for seed in range(40):
        reports = [
            r for look in _looks(_truth(200, actors=1), looks=40, seed=seed) for r in look if r.track >= 0
        ]
        share = np.array([r.distance_m for r in reports]) / 15.0 - 1
        assert share.std() < 0.03
        means.append(share.mean())
    assert 0.015 < float(np.std(means)) < 0.05


def test_ghosts_are_rare_and_untracked() -> None:
    looks = _looks((), looks=4000)
    ghosts = [r for look in looks for r in look]
    assert {r.track for r in ghosts} == {-1}
    assert math.isclose(len(ghosts) / 4000, GHOSTS_PER_LOOK, rel_tol=0.4)
    assert all(0 <= r.box[0] < r.box[2] <= WIDTH and 0 <= r.box[1] < r.box[3] <= HEIGHT for r in ghosts)


def test_a_lost_track_comes_back_under_a_new_number() -> None:
    noise = DetectorNoise(1, WIDTH, HEIGHT)
    truth = _truth(200, actors=1)
    first = {r.track for i in range(10) for r in noise.look(i * STEP_NS, truth, 0) if r.track >= 0}
    later = {r.track for i in range(40, 50) for r in noise.look(i * STEP_NS, truth, 0) if r.track >= 0}
    assert len(first) == 1
    assert len(later) == 1
    assert first != later


def test_the_same_seed_reports_the_same() -> None:
    assert _looks(_truth(40), looks=30) == _looks(_truth(40), looks=30)
    assert _looks(_truth(40), looks=30) != _looks(_truth(40), looks=30, seed=5)


def test_columns_keep_looks_without_boxes() -> None:
    report = Report(Kind.CAR, 0.5, (1, 2, 3, 4), 9.0, 3)
    table = columns("front", [(10, []), (20, [report, report]), (30, [])])
    assert table.frame_t_ns.tolist() == [10, 20, 30]
    assert table.frame.tolist() == [1, 1]
    assert table.box.shape == (2, 4)
    assert columns("front", [(10, [])]).box.shape == (0, 4)
    assert all(a <= b for a, b in pairwise(table.frame.tolist()))
