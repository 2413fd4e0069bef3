"""From truth to what the driving computer reports: misses, flicker, jitter, wrong distances, ghosts.

Whether an actor is reported depends on its height in the picture, on how much of it is hidden, on the light,
and on a mood of its own that drifts slowly, so that misses come in runs as they do with real detectors. The
numbers are set so that figures over 80 px (of a picture 960 px high) are found in about 97 % of looks and
those of 25 px in about half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from fsd_firmware.samples import Detections, Kind
from fsd_tools.drive.generate.course import Floats
from fsd_tools.drive.generate.truth import TrueBox

SOURCE = "firmware"
REFERENCE_HEIGHT_PX = 960
"""Picture height for which the sizes below are meant."""
HALF_FOUND_PX = 25.0
PX_PER_LOGIT = 9.0
BEST_LOGIT = 4.2
HIDDEN_FREE, HIDDEN_LOGITS, HIDDEN_NEVER = 0.3, 7.0, 0.85
"""Covered up to the first share costs nothing, then the second a whole; above the third nothing is found."""
NIGHT_LOGITS = 0.7
MOOD_LOGITS, MOOD_KEPT = 0.9, 0.85
JITTER, DRIFT = 0.008, 0.012
"""Of the box's size: from look to look, and slowly."""
DISTANCE_BIAS, DISTANCE_NOISE = 0.03, 0.015
"""Of the distance: for the life of a track, and from look to look."""
GHOSTS_PER_LOOK = 0.02
MISTAKEN = 0.015
"""Share of cyclists reported as pedestrians."""
TRACK_LOST_NS = 1_000_000_000
"""An actor that was unseen for longer comes back under a new number."""

NEVER_NS = -(1 << 62)


@dataclass(slots=True)
class _Track:
    rng: np.random.Generator
    number: int = 0
    mood: float = 0.0
    drift: Floats = field(default_factory=lambda: np.zeros(4))
    bias: float = 0.0
    seen_ns: int = NEVER_NS


@dataclass(frozen=True, slots=True)
class Report:
    """One reported box."""

    kind: Kind
    score: float
    box: tuple[float, float, float, float]
    distance_m: float
    track: int
    ttc_s: float | None = None
    """Time to collision, where the driving computer knows it."""


class DetectorNoise:
    """Reports looks of one camera in order of time."""

    def __init__(self, seed: int, width: int, height: int) -> None:
        self._seed, self._size = seed, (width, height)
        self._rng = np.random.default_rng([seed, 6])
        self._tracks: dict[int, _Track] = {}
        self._next_number = 1

    def look(self, t_ns: int, truth: tuple[TrueBox, ...], night: float) -> list[Report]:
        """What is reported for one frame, nearest first, ghosts last."""
        found = [report for true in truth if (report := self._report(t_ns, true, night)) is not None]
        found += [self._ghost() for _ in range(int(self._rng.poisson(GHOSTS_PER_LOOK)))]
        return found

    def _report(self, t_ns: int, true: TrueBox, night: float) -> Report | None:
        track = self._tracks.get(true.actor)
        if track is None:
            track = self._tracks[true.actor] = _Track(np.random.default_rng([self._seed, 7, true.actor]))
            track.mood = float(track.rng.normal())
        rng = track.rng
        track.mood = MOOD_KEPT * track.mood + math.sqrt(1 - MOOD_KEPT**2) * float(rng.normal())
        track.drift = 0.9 * track.drift + math.sqrt(1 - 0.9**2) * rng.normal(0, DRIFT, 4)
        chance, jitter, off = (
            float(rng.logistic()),
            rng.normal(0, JITTER, 4),
            float(rng.normal(0, DISTANCE_NOISE)),
        )
        quality = self._quality(true, night)
        if true.hidden > HIDDEN_NEVER or quality + MOOD_LOGITS * track.mood + 0.6 * chance < 0:
            return None
        if t_ns - track.seen_ns > TRACK_LOST_NS:
            track.number, self._next_number = self._next_number, self._next_number + 1
            track.bias = float(rng.normal(0, DISTANCE_BIAS))
        track.seen_ns = t_ns
        mistaken = true.kind is Kind.CYCLIST and rng.random() < MISTAKEN
        score = 0.3 + 0.65 / (1 + math.exp(-0.8 * quality - 0.5 * track.mood)) + float(rng.normal(0, 0.03))
        return Report(
            Kind.PEDESTRIAN if mistaken else true.kind,
            min(max(score, 0.25), 0.99),
            self._shaken(true.box, track.drift + jitter),
            true.distance_m * (1 + track.bias + off),
            track.number,
            None if true.ttc_s is None else true.ttc_s * (1 + track.bias + off),
        )

    def _quality(self, true: TrueBox, night: float) -> float:
        tall = (true.box[3] - true.box[1]) * REFERENCE_HEIGHT_PX / self._size[1]
        quality = min((tall - HALF_FOUND_PX) / PX_PER_LOGIT, BEST_LOGIT)
        return quality - HIDDEN_LOGITS * max(0.0, true.hidden - HIDDEN_FREE) - NIGHT_LOGITS * night

    def _shaken(
        self, box: tuple[float, float, float, float], shares: Floats
    ) -> tuple[float, float, float, float]:
        wide, tall = box[2] - box[0], box[3] - box[1]
        moved = np.array(box) + shares * np.array([wide, tall, wide, tall])
        width, height = self._size
        x1, y1, x2, y2 = np.clip(moved, 0, [width, height, width, height]).tolist()
        return x1, y1, x2, y2

    def _ghost(self) -> Report:
        """A single look's mistake near the horizon, too short-lived to be tracked."""
        rng, (width, height) = self._rng, self._size
        kind = (Kind.PEDESTRIAN, Kind.CYCLIST, Kind.CAR)[int(rng.choice(3, p=[0.5, 0.15, 0.35]))]
        tall = rng.uniform(0.04, 0.12) * height
        wide = tall * (1.4 if kind is Kind.CAR else 0.4)
        x, y = rng.uniform(0, width - wide), rng.uniform(0.44, 0.5) * height
        return Report(kind, rng.uniform(0.25, 0.5), (x, y, x + wide, y + tall), 1.35 * height / tall, -1)


def columns(camera: str, looks: list[tuple[int, list[Report]]]) -> Detections:
    """Looks as the columns that a drive holds."""
    reports = [report for _, found in looks for report in found]
    return Detections(
        camera=camera,
        source=SOURCE,
        frame_t_ns=np.array([t_ns for t_ns, _ in looks], np.int64),
        frame=np.repeat(np.arange(len(looks), dtype=np.int32), [len(found) for _, found in looks]),
        kind=np.array([r.kind for r in reports], np.uint8),
        score=np.array([r.score for r in reports], np.float32),
        box=np.array([r.box for r in reports], np.float32).reshape(-1, 4),
        distance_m=np.array([r.distance_m for r in reports], np.float32),
        track_id=np.array([r.track for r in reports], np.int32),
        ttc_s=np.array([math.nan if r.ttc_s is None else r.ttc_s for r in reports], np.float32),
    )
