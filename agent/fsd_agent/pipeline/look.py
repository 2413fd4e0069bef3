"""Who is in one camera's video: the agent's models look three times a second and, where that may have missed somebody, again.

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
from fsd_agent.rules.privacy.again import look_again, within
from fsd_agent.rules.privacy.counted import lowest_score, lowest_score_again
from fsd_agent.rules.privacy.plan import persons_seen
from fsd_firmware.codec import DecodedFrame
from fsd_firmware.samples import Detections, Frame

LOOKS_AT_ONCE = 256
"""Joined into one set of columns: as a value each, those of a long clip would take ten times the memory."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How far looks are apart at most, however fast the camera; 0 for every frame. What it leaves: docs/privacy.md, "In time"."""

    first_ns: int
    """The first time. A box is painted up to the neighbouring looks, and the ends of a track are looked at again: what is
    missed is who came and went between two looks."""
    broken_ns: int
    """Again, where somebody is there now and then."""
    empty_ns: int
    """Again, where nobody was seen."""


PACES = {
    # Of thirty frames a second every tenth, second, fifth; of twelve every fourth, each, every second.
    Strictness.STANDARD: Pace(340_000_000, 70_000_000, 170_000_000),
    Strictness.STRICT: Pace(170_000_000, 0, 0),
}


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
    at_ns = frozenset(look_times(rules, frame_t_ns))
    own = _look(decoded(at_ns), camera, detectors, at_ns, rules.strictness)
    looks = join_detections([*seen, *own])
    again_ns = _again_times(rules, looks, at_ns, frame_t_ns, size) if rules.faces != FaceRule.NONE else None
    if not again_ns:
        return Looked(looks, (), 0)
    again = _look(decoded(again_ns), camera, detectors, again_ns, rules.strictness, again=True)
    return Looked(looks, again, len(again_ns))


def _again_times(
    rules: RedactionRules,
    looks: Sequence[Detections],
    at_ns: frozenset[int],
    frame_t_ns: NDArray[np.int64],
    size: tuple[int, int],
) -> frozenset[int]:
    """Times of the frames that are looked at again, after ``looks``, the agent's own at ``at_ns``."""
    doubtful = look_again(np.array(sorted(at_ns), np.int64), persons_seen(rules, looks), *size)
    broken = within(doubtful.broken, frame_t_ns)
    empty = within(doubtful.empty, frame_t_ns) & ~broken
    pace = PACES[rules.strictness]
    return frozenset(
        _spaced(rules, pace.broken_ns, frame_t_ns[broken]) + _spaced(rules, pace.empty_ns, frame_t_ns[empty])
    )


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


def look_times(rules: RedactionRules, frame_t_ns: NDArray[np.int64]) -> list[int]:
    """Times of the frames that are looked at the first time."""
    return _spaced(rules, PACES[rules.strictness].first_ns, frame_t_ns)


def _spaced(rules: RedactionRules, apart_ns: int, frame_t_ns: NDArray[np.int64]) -> list[int]:
    """Of these times as few as are no further apart than this and than the rules allow, wherever frames are as near.

    The last one always, because no later look can be held back over it.
    """
    times = frame_t_ns.tolist()
    chosen = times[:1]
    for t_ns, next_ns in pairwise([*times[1:], *times[-1:]]):
        if next_ns - chosen[-1] > min(apart_ns, rules.max_gap_ns):
            chosen.append(t_ns)
    return chosen if chosen[-1:] == times[-1:] else [*chosen, times[-1]]
