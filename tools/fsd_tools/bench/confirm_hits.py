"""Hits that are true and hits that are planted, and what a second look at them would see.

A **hit** is a box that a driving computer claims at every tenth of a second around a firing. Of street pictures a true hit is a
labelled pedestrian or cyclist; of videos, whoever is steady in a denser pass (every picture). A planted one has the size of a true
one, at a random place of the same pictures where nobody is by the labels, or by that pass from :data:`SUSPECTED` on.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fsd_agent.ports.detector import Detector
from fsd_agent.records.firing import Firing
from fsd_agent.records.staged import join_detections
from fsd_agent.rules.selection.confirm import LOOKS, Verdict, claims, overlap, scores_of, second_look
from fsd_firmware.samples import PERSON_KINDS, Detections, Frame, Kind
from fsd_tools.bench.quality_spoilt import Picture

Box = NDArray[np.float32]
STEP_NS: Final = 100_000_000
APART: Final = 2
"""Steps between two looks."""
ZOOM: Final = 0.01
"""A street picture is driven into by so much a look: seven looks at one picture would be one look."""
STEADY_SCORE, STEADY_LOOKS = 0.5, 6
SUSPECTED: Final = 0.25
PLANTED_TRIES: Final = 20
_PERSONS: Final = ("Pedestrian", "Cyclist")


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """What a driving computer claims in a scene."""

    box: Box
    """Shape (LOOKS, 4): where it is at each look."""
    is_true: bool

    @property
    def height(self) -> float:
        """Pixels, in the middle."""
        middle = self.box[LOOKS // 2]
        return float(middle[3] - middle[1])


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What the models see around one moment, and who claims what there."""

    half: int
    width: int
    looks: tuple[Detections, ...]
    """Of each model, at :data:`LOOKS` pictures."""
    hits: tuple[Hit, ...]


def judged(scene: Scene, hit: Hit, sources: Sequence[str]) -> Verdict:
    """The verdict of the agent's rule with these models alone."""
    persons = np.full(LOOKS, int(Kind.PEDESTRIAN), np.uint8)
    nothing = np.full(LOOKS, np.nan, np.float32)
    times = np.arange(LOOKS, dtype=np.int64) * APART * STEP_NS
    claimed = Detections(
        "front", "firmware", times, np.arange(LOOKS, dtype=np.int32), persons,
        np.full(LOOKS, 0.9, np.float32), hit.box, nothing, np.full(LOOKS, 1, np.int32), nothing,
    )  # fmt: skip
    firing = Firing("bench", 1, int(times[LOOKS // 2]), (("detections.pedestrian", 1.0),))
    used = [one for one in scene.looks if one.source in sources]
    return second_look(claims(firing, [claimed]), used, {"front": scene.width})


def street_scene(
    picture: Picture, truth: Box, half: int, models: Sequence[Detector], rng: np.random.Generator
) -> Scene:
    """Of one street picture, driven into a little."""
    height, width = picture.shape[:2]
    middle = np.array([width / 2, height / 2] * 2, np.float32)
    zooms = [1 + ZOOM * at for at in range(LOOKS)]
    turns = [cv2.getRotationMatrix2D((width / 2, height / 2), 0, zoom) for zoom in zooms]
    pictures = [np.asarray(cv2.warpAffine(picture, turn, (width, height)), np.uint8) for turn in turns]

    def driven(box: Box) -> Box:
        return np.stack([(box - middle) * np.float32(zoom) + middle for zoom in zooms])

    planted = [_plant(box, truth, width, height, rng) for box in truth]
    hits = [Hit(driven(box), is_true=True) for box in truth]
    hits += [Hit(driven(box), is_true=False) for box in planted if box is not None]
    return Scene(half, width, looks(pictures, models), tuple(hits))


def video_scenes(
    seen: Sequence[Detections], size: tuple[int, int], dense_source: str, rng: np.random.Generator
) -> list[Scene]:
    """Of what models saw (:func:`looks`) in pictures a fifth of a second apart or less, of ``size`` (width, height).

    The pass of ``dense_source`` is the denser one.
    """
    width, height = size
    dense = next(one for one in seen if one.source == dense_source)
    scenes = []
    for first in range(0, len(dense.frame_t_ns) - LOOKS + 1, LOOKS):
        window = tuple(_between(one, first, first + LOOKS) for one in seen)
        steady = _steady(_between(dense, first, first + LOOKS))
        suspected = _persons(dense, SUSPECTED, range(first, first + LOOKS))
        sizes = [box[LOOKS // 2] for box in steady] or [np.array([0, 0, width / 16, width / 6], np.float32)]
        planted = [_plant(box, suspected, width, height, rng) for box in sizes]
        hits = [Hit(box, is_true=True) for box in steady]
        hits += [
            Hit(np.repeat(box[None], LOOKS, axis=0), is_true=False) for box in planted if box is not None
        ]
        scenes.append(Scene(0, width, window, tuple(hits)))
    return scenes


def read_persons(folder: Path) -> dict[str, Box]:
    """Labelled pedestrians and cyclists of each street picture, (n, 4)."""
    found: dict[str, list[list[float]]] = {}
    with (folder / "boxes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            boxes = found.setdefault(row["image"], [])
            if row["class"] in _PERSONS:
                boxes.append([float(row[side]) for side in ("x1", "y1", "x2", "y2")])
    return {name: np.array(boxes, np.float32).reshape(-1, 4) for name, boxes in found.items()}


def looks(pictures: Sequence[Picture], models: Sequence[Detector], first: int = 0) -> tuple[Detections, ...]:
    """Every model at every picture, as the agent asks them; ``first`` of all is the first of these."""
    return join_detections(
        model.detect(
            Frame("front", at * APART * STEP_NS, picture), min_score=scores_of(model.source).weak
        ).detections
        for model in models
        for at, picture in enumerate(pictures, first)
    )


def _plant(box: Box, persons: Box, width: int, height: int, rng: np.random.Generator) -> Box | None:
    """A box of this size where nobody is; None where there is no room."""
    wide, tall = float(box[2] - box[0]), float(box[3] - box[1])
    for _ in range(PLANTED_TRIES):
        x, y = rng.uniform(0, max(1.0, width - wide)), rng.uniform(0, max(1.0, height - tall))
        planted = np.array([x, y, x + wide, y + tall], np.float32)
        if not overlap(planted[None], persons).any():
            return planted
    return None


def _between(one: Detections, first: int, last: int) -> Detections:
    rows = (one.frame >= first) & (one.frame < last)
    columns = {
        name: getattr(one, name)[rows] for name in ("kind", "score", "box", "distance_m", "track_id", "ttc_s")
    }
    times = np.arange(last - first, dtype=np.int64) * APART * STEP_NS
    return replace(one, frame_t_ns=times, frame=(one.frame[rows] - first).astype(np.int32), **columns)


def _persons(one: Detections, least: float, frames: Sequence[int]) -> Box:
    rows = np.isin(one.kind, [int(kind) for kind in PERSON_KINDS]) & (one.score >= least)
    found: Box = one.box[rows & np.isin(one.frame, frames)]
    return found


def _steady(window: Detections) -> list[Box]:
    """Whom the pass follows by overlap through nearly all of the looks; where one is lost it stays where it was."""
    found: list[Box] = []
    for start in _persons(window, STEADY_SCORE, range(1)):
        boxes, lost = [start], 0
        for at in range(1, LOOKS):
            there = _persons(window, STEADY_SCORE, range(at, at + 1))
            shared = overlap(boxes[-1][None], there)[0] if there.size else np.zeros(1)
            lost += int(shared.max() < 0.2)
            boxes.append(there[int(shared.argmax())] if shared.max() >= 0.2 else boxes[-1])
        if LOOKS - lost >= STEADY_LOOKS:
            found.append(np.stack(boxes))
    return found
