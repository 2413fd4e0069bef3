"""``fsdctl bench check``: how many planted misses the checkers of redacted clips find, and how often they find what is none."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fsd_agent.adapters.onnx_checker import OnnxChecker
from fsd_agent.adapters.onnx_detector import OnnxDetector
from fsd_agent.pipeline.check import sample
from fsd_agent.pipeline.look import look_at
from fsd_agent.records.check import Finding
from fsd_agent.records.region import RedactionRules
from fsd_agent.rules.privacy.check import misses
from fsd_agent.rules.privacy.painted import black_of
from fsd_agent.rules.privacy.plan import RedactionPlan, plan_redaction
from fsd_agent.wire.clip import decode_clip, encode_clip
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.samples import Frame
from fsd_models.package import ModelPackage
from fsd_models.session import SessionLimits
from fsd_models.tiles import Looks
from fsd_tools.bench.frame import BenchResult, Figure, Progress, figure, interleaved, this_machine
from fsd_tools.bench.planted import HEAD, NOTHING, PLATE, Planted, plant
from fsd_tools.bench.planted_video import Part, chosen, cut, looked_at, video_rules
from fsd_tools.bench.redact import FIRST, RULES, SECOND
from fsd_tools.bench.seen_before import open_remembering
from fsd_tools.bench.side_by_side import side_by_side, threads
from fsd_tools.bench.street import REPORTED, SET, StreetPicture, read_street
from fsd_tools.data import data_dir
from fsd_tools.errors import ToolError
from fsd_tools.model.assemble import assemble_package
from fsd_tools.region.check import check_clip

CHECKERS: Final = ("yunet-n", "lpd-yunet", "nanodet-m-416")
VIDEOS: Final = ("pedestrian_cyclist_1.mp4", "person-bicycle-car-detection.mp4")
PACKAGES: Final = (FIRST, SECOND, *CHECKERS)
SET_EVERY: Final = 2
"""Of the half that scores were set on, one picture in so many: its figures are beside the point."""
OpenWith = Callable[[ModelPackage, SessionLimits], Looks]
HEIGHTS: Final = (60, 80, 120, 10_000)
QUICK, FULL = "on the car", "at the region"
TIMED_PICTURES: Final = 3


@dataclass(frozen=True, slots=True)
class Result:
    """One planted picture by one of both checks."""

    half: int
    what: str
    of_px: float
    caught: bool
    """A finding where something is open."""
    alarm: bool
    """A finding where nothing is, by the boxes that people drew."""


def bench_check(rounds: int, progress: Progress) -> BenchResult:
    """What the checkers of redacted clips find: YuNet (faces), LPD-YuNet (plates) and NanoDet-m 416 float (persons, vehicles).

    `street_eval`: each of 195 pictures (all 130 that are reported, every second of those that scores were set on) is redacted by the agent's own policy (standard, two models on two halves). Then one head or
    plate that was covered, of a person or car at least 60 pixels high, is left open; a third time nothing is. Caught is a finding of
    that kind which touches it. A false alarm is a picture with nothing planted and a finding that touches no head or plate band which
    the policy left open; unlabelled vans and posters count as nothing. *On the car* is the quick look of the sample, *at the region*
    the full one. Scores were set on one half of the 260 pictures, figures are of the other. Pictures are not encoded. Videos: stretches of
    twelve frames of two street videos with persons, redacted, encoded and decoded; planted is that every person was forgotten. Caught
    is a stretch that does not pass. Times are of one thread and one picture of 1242x375.
    """
    street = read_street(data_dir() / "street_eval")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="fsd-bench-") as folder:
        progress("assembling packages")
        weights = data_dir() / "models"
        paths = {name: assemble_package(name, weights, Path(folder) / name) for name in PACKAGES}
        tools = [_open(paths, open_remembering) for _ in range(threads())]
        asked = [one for one in enumerate(street) if one[1].half == REPORTED or one[0] // 2 % SET_EVERY == 0]
        found = list(side_by_side(tools, asked, _street_results, progress, "picture"))
        figures = [
            one for way in (QUICK, FULL) for one in _figures(way, [r for each in found for r in each[way]])
        ]
        figures += _video_figures(tools, progress)
        progress(f"{rounds} rounds in turns")
        figures += _times(rounds, _open(paths), street)
    return BenchResult("check", this_machine(), tuple(figures))


def _street_results(tools: _Tools, numbered: tuple[int, StreetPicture]) -> dict[str, list[Result]]:
    """Of one picture in all its forms, by the way to look."""
    number, picture = numbered
    forms = plant(picture, picture.bgr(), tools.rectangles(picture), number)
    return {
        way: [_result(picture.half, one, tools.findings(one, full=way == FULL)) for one in forms]
        for way in (QUICK, FULL)
    }


@dataclass(frozen=True, slots=True)
class _Tools:
    detectors: tuple[OnnxDetector, ...]
    checkers: tuple[OnnxChecker, ...]
    rules: RedactionRules = RULES

    def rectangles(self, picture: StreetPicture) -> np.ndarray:
        bgr = picture.bgr()
        looks = look_at(Frame("front", 0, bgr), self.detectors, self.rules.strictness)
        plan = plan_redaction(self.rules, looks, np.zeros(1, np.int64), bgr.shape[1], bgr.shape[0])
        if not isinstance(plan, RedactionPlan):
            raise ToolError(f"the policy refuses: {plan.reason}: {plan.detail}")
        return plan.at(0)

    def findings(self, planted: Planted, *, full: bool) -> list[Finding]:
        frame = Frame("front", 0, planted.bgr)
        seen = [one.look(frame, full=full) for one in self.checkers]
        return misses(self.rules, seen, black_of(planted.bgr), "front", 0)


def _open(paths: Mapping[str, Path], open_with: OpenWith | None = None) -> _Tools:
    return _Tools(
        tuple(OnnxDetector(paths[name], halves=True, threads=1, fitted=True) for name in (FIRST, SECOND)),
        tuple(OnnxChecker(paths[name], threads=1, open_with=open_with) for name in CHECKERS),
    )


def _result(half: int, planted: Planted, findings: Sequence[Finding]) -> Result:
    caught = any(planted.shows(one) for one in findings)
    alarm = planted.what == NOTHING and any(not planted.shows(one) for one in findings)
    return Result(half, planted.what, planted.of_px, caught, alarm)


def _figures(way: str, found: Sequence[Result]) -> list[Figure]:
    figures: list[Figure] = []
    for what in (HEAD, PLATE):
        ours = [one for one in found if one.what == what]
        figures.append(
            _caught(f"{way}: planted {what}s caught", [one for one in ours if one.half == REPORTED])
        )
        figures.append(
            _caught(
                f"{way}: planted {what}s caught, half that it was set on",
                [one for one in ours if one.half == SET],
            )
        )
        for lowest, below in pairwise(HEIGHTS):
            named = f"{lowest} px and more" if below == HEIGHTS[-1] else f"{lowest} to {below} px"
            some = [one for one in ours if one.half == REPORTED and lowest <= one.of_px < below]
            figures.append(_caught(f"{way}: planted {what}s of {named} caught", some))
    clean = [one for one in found if one.what == NOTHING and one.half == REPORTED]
    set_on = [one for one in found if one.what == NOTHING and one.half == SET]
    figures += [
        _share(f"{way}: pictures with a false alarm", [one.alarm for one in clean]),
        _share(f"{way}: pictures with a false alarm, half that it was set on", [one.alarm for one in set_on]),
        _share(f"{way}: pictures in which redaction's own misses were found", [one.caught for one in clean]),
    ]
    return figures


def _caught(name: str, some: Sequence[Result]) -> Figure:
    return _share(name, [one.caught for one in some])


def _share(name: str, true: Sequence[bool]) -> Figure:
    return figure(name, 100 * float(np.mean(true)) if true else float("nan"), f"% of {len(true)}")


def _video_figures(tools: Sequence[_Tools], progress: Progress) -> list[Figure]:
    stopped: dict[tuple[str, str], list[bool]] = {}
    for video in VIDEOS:
        cuts = list(cut(data_dir() / "video" / video))
        parts = side_by_side(tools, cuts, _part, progress, f"{video}: look")
        some = chosen([one for one in parts if one is not None])
        for found in side_by_side(tools, some, _both, progress, f"{video}: stretch"):
            for way, what, is_stopped in found:
                stopped.setdefault((way, what), []).append(is_stopped)
    return [
        _share(f"video, {way}: stretches {named}", stopped.get((way, what), []))
        for way in (QUICK, FULL)
        for what, named in (
            ("planted", "with forgotten persons that are stopped"),
            ("clean", "as redacted that are stopped"),
        )
    ]


def _part(tools: _Tools, frames: Sequence[NDArray[np.uint8]]) -> Part | None:
    return looked_at(frames, tools.detectors, video_rules(tools.rules))


def _both(tools: _Tools, part: Part) -> list[tuple[str, str, bool]]:
    found, codec = [], PyAvCodec()
    one = part.stretch(codec, video_rules(tools.rules))
    for what, redacted in (("planted", one.planted), ("clean", one.clean)):
        verdict = sample(redacted, tools.rules, codec, tools.checkers, lambda: False)
        contents = decode_clip(encode_clip(redacted, vehicle="bench", provenance={}))
        looked = check_clip(contents, codec, tools.checkers, tools.rules)
        found += [(QUICK, what, not verdict.passed), (FULL, what, looked is not None and not looked.passed)]
    return found


def _times(rounds: int, tools: _Tools, street: Sequence[StreetPicture]) -> list[Figure]:
    pictures = [Planted(NOTHING, one.bgr(), one.heads, 0.0) for one in street[:TIMED_PICTURES]]

    def over(*, full: bool) -> None:
        for one in pictures:
            tools.findings(one, full=full)

    seconds = interleaved(rounds, {QUICK: lambda: over(full=False), FULL: lambda: over(full=True)})
    return [figure(f"{way}: one frame", 1e3 * spent / len(pictures), "ms") for way, spent in seconds.items()]
