"""Who is in one camera's video: the agent's models look six times a second and more and, where that may have missed somebody, again.

The second time the models look at the stretches that :mod:`fsd_agent.rules.privacy.again` names, thoroughly and down to lower
scores. Each time the video is decoded where that time needs it; without such a stretch there is no second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

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

LOOK_EVERY_NS = 170_000_000
"""Looks are not further apart, however fast the camera: every fifth frame of thirty a second, every second of twelve, every one of ten.
What this misses of a track is found by looking again."""
AGAIN_EVERY_NS = {Strictness.STANDARD: 70_000_000, Strictness.STRICT: 0}
"""The same of looking again: every second frame of thirty a second, each of twenty; each of any."""
LOOKS_AT_ONCE = 256
"""Joined into one set of columns: as a value each, those of a long clip would take ten times the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """All looks at one camera's video."""

    looks: tuple[Detections, ...]
    again: tuple[Detections, ...]
    """Of the stretches that were looked at again."""
    frames_again: int


def look_over(
    decoded: Callable[[frozenset[int]], Iterator[DecodedFrame]],
    camera: str,
    rules: RedactionRules,
    detectors: Sequence[Detector],
    seen: Sequence[Detections],
    frame_t_ns: NDArray[np.int64],
    size: tuple[int, int],
) -> Looked:
    """Looks at the frames at ``frame_t_ns`` (f,), beside what others have ``seen`` of the same camera.

    ``size`` is the width and height of the pictures. ``decoded`` begins the video anew, and gives at least the frames at these times.
    Without detectors nobody can look, nor look again. Raises :class:`DetectorError`.
    """
    if not detectors:
        return Looked(join_detections(seen), (), 0)
    at_ns = frozenset(look_times(frame_t_ns, rules.max_gap_ns))
    own = _look(decoded(at_ns), camera, detectors, at_ns, rules.strictness)
    looks = join_detections([*seen, *own])
    stretches = _stretches(rules, looks, at_ns, *size) if rules.faces != FaceRule.NONE else ()
    doubtful_ns = frame_t_ns[within(stretches, frame_t_ns)]
    again_ns = frozenset(look_times(doubtful_ns, min(AGAIN_EVERY_NS[rules.strictness], rules.max_gap_ns)))
    if not again_ns:
        return Looked(looks, (), 0)
    again = _look(decoded(again_ns), camera, detectors, again_ns, rules.strictness, again=True)
    return Looked(looks, again, len(again_ns))


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
) -> tuple[Detections, ...]:
    """One set of looks for each of ``detectors``."""
    joined, fresh = list[Detections](), list[Detections]()
    for frame in frames:
        if frame.t_ns not in at_ns:
            continue
        fresh += look_at(Frame(camera, frame.t_ns, frame.bgr()), detectors, strictness, again=again)
        if len(fresh) >= LOOKS_AT_ONCE:
            joined += join_detections(fresh)
            fresh.clear()
    return join_detections([*joined, *fresh])


def look_times(frame_t_ns: NDArray[np.int64], max_gap_ns: int) -> list[int]:
    """Times of the frames to look at: at most ``LOOK_EVERY_NS`` and ``max_gap_ns`` apart, wherever frames are as near.

    The last one always, because no later look can be held back over it.
    """
    times = frame_t_ns.tolist()
    chosen = times[:1]
    for t_ns, next_ns in pairwise([*times[1:], *times[-1:]]):
        if next_ns - chosen[-1] > min(LOOK_EVERY_NS, max_gap_ns):
            chosen.append(t_ns)
    return chosen if chosen[-1:] == times[-1:] else [*chosen, times[-1]]
