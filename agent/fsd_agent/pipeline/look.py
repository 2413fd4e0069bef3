"""Who is in one camera's video: the agent's models at every third frame and, where that may have missed somebody, at every one.

The second time the models look at the stretches that :mod:`fsd_agent.rules.privacy.again` names, thoroughly and down to lower
scores. The video is decoded once for each time; without such a stretch there is no second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.ports.detector import Detector
from fsd_agent.records.region import FaceRule, RedactionRules, Strictness
from fsd_agent.records.staged import join_detections
from fsd_agent.rules.privacy.again import Stretch, look_again, within
from fsd_agent.rules.privacy.counted import lowest_score, lowest_score_again
from fsd_agent.rules.privacy.plan import persons_seen
from fsd_firmware.codec import DecodedFrame
from fsd_firmware.samples import Detections, Frame

LOOK_EVERY_FRAMES = 3
"""At most, and always often enough for the rules' ``max_gap_ns``: at a third of the cost. What this misses of a track is found by
looking again."""


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """All looks at one camera's video."""

    looks: tuple[Detections, ...]
    again: tuple[Detections, ...]
    """Of the stretches that were looked at again, at each of their frames."""
    frames_again: int


def look_over(
    decoded: Callable[[], Iterator[DecodedFrame]],
    camera: str,
    rules: RedactionRules,
    detectors: Sequence[Detector],
    seen: Sequence[Detections],
    frame_t_ns: NDArray[np.int64],
    size: tuple[int, int],
) -> Looked:
    """Looks at the frames at ``frame_t_ns`` (f,), beside what others have ``seen`` of the same camera.

    ``size`` is the width and height of the pictures. ``decoded`` begins the video anew. Without detectors nobody can look, nor
    look again. Raises :class:`DetectorError`.
    """
    if not detectors:
        return Looked(join_detections(seen), (), 0)
    at_ns = _look_times(frame_t_ns, rules.max_gap_ns)
    own = _look(decoded(), camera, detectors, at_ns, rules.strictness)
    looks = join_detections([*seen, *own])
    stretches = _stretches(rules, looks, at_ns, *size) if rules.faces != FaceRule.NONE else ()
    again_ns = frozenset(frame_t_ns[within(stretches, frame_t_ns)].tolist())
    if not again_ns:
        return Looked(looks, (), 0)
    again = _look(decoded(), camera, detectors, again_ns, rules.strictness, again=True)
    return Looked(looks, join_detections(again), len(again_ns))


def _stretches(
    rules: RedactionRules, looks: Sequence[Detections], at_ns: frozenset[int], width: int, height: int
) -> tuple[Stretch, ...]:
    """Which stretches may have hidden somebody."""
    return look_again(np.array(sorted(at_ns), np.int64), persons_seen(rules, looks), width, height)


def look_at(
    picture: Frame, detectors: Sequence[Detector], strictness: Strictness, *, again: bool = False
) -> list[Detections]:
    """What each of ``detectors`` sees in one picture, down to the lowest score at which a box may count.

    All look at the same frames: only so can one confirm what another suspects. Raises :class:`DetectorError`.
    """
    thorough = again or strictness is Strictness.STRICT
    lowest = lowest_score_again if again else lowest_score
    return [
        detector.detect(picture, min_score=lowest(detector.source, strictness), thorough=thorough).detections
        for detector in detectors
    ]


def _look(
    frames: Iterator[DecodedFrame],
    camera: str,
    detectors: Sequence[Detector],
    at_ns: frozenset[int],
    strictness: Strictness,
    *,
    again: bool = False,
) -> list[Detections]:
    return [
        seen
        for frame in frames
        if frame.t_ns in at_ns
        for seen in look_at(Frame(camera, frame.t_ns, frame.bgr()), detectors, strictness, again=again)
    ]


def _look_times(frame_t_ns: NDArray[np.int64], max_gap_ns: int) -> frozenset[int]:
    """Frames to look at; the last one always, because no later look can be held back over it."""
    times = frame_t_ns.tolist()
    chosen = [0]
    for at in range(1, len(times)):
        next_ns = times[min(at + 1, len(times) - 1)]
        pause = times[at] - times[at - 1] > max_gap_ns
        if pause or at - chosen[-1] >= LOOK_EVERY_FRAMES or next_ns - times[chosen[-1]] > max_gap_ns:
            chosen.append(at)
    return frozenset([*(times[at] for at in chosen), times[-1]])
