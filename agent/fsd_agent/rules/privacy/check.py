"""Does redacted video still show whom it should hide? Looks of other models at the painted pixels, and nothing of the record.

What is painted is found in the pixels alone (:mod:`.painted`), so a record that claims more than was done changes nothing.

Misses, of sights from their model's score on (:data:`SCORES`):

* a *face*, or a *plate*, of which less than ``COVERED`` is painted;
* a *head*: a person at least ``TALL_PX`` high, where less than ``OPEN_HEAD`` is painted of the head (upper 22 % of the box, middle
  60 %) and of the places above it. A head that was painted can't be seen, so a model's box often begins below it: that the
  paint is just above the box is as good;
* a *plate band*: a vehicle at least ``TALL_PX`` high, of which less than ``OPEN_BAND`` is painted between 50 and 95 % of its height;
* *not painted*: a box that redaction itself counted in this frame, of whose zone less than ``PAINTED`` is nearly painted after it was encoded
  and decoded again. This needs no model, and holds the encoder to its word.

A plate is wider than high and no wider than ``WIDEST_PLATE`` of the picture: the plate model calls whole tiles plates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fsd_agent.records.check import Finding, Miss, Sight, Sightings
from fsd_agent.records.region import FaceRule, Fill, PlateRule, RedactionRules
from fsd_agent.rules.privacy.counted import Shows, counted
from fsd_agent.rules.privacy.painted import Painted, painted_in
from fsd_agent.rules.privacy.zones import SHAPES, head_zones, plate_bands, to_pixels
from fsd_firmware.codec import DecodedFrame
from fsd_firmware.samples import Detections

COVERED = 0.4
OPEN_HEAD = 0.35
OPEN_BAND = 0.3
PAINTED = {Fill.SOLID: 0.8, Fill.PIXELATE: 0.4}
"""For what redaction itself saw, which an encoder must not bring back. Where cells are small and lie over each other, little is flat."""
TALL_PX = 60
SMALLEST_FACE_PX = 9
"""Narrower ones tell nobody apart, and are mostly none."""
WIDEST_PLATE = 0.12

DEFAULT_SCORE = 0.5
SCORES: Mapping[str, Mapping[Sight, float]] = {
    "nanodet-m-416": {Sight.PERSON: 0.35, Sight.VEHICLE: 0.4},
    "yunet-n": {Sight.FACE: 0.7},
    "lpd-yunet": {Sight.PLATE: 0.9},
}
"""By model; set on one half of `street_eval`, docs/privacy.md has the figures of the other."""

_HEAD = (0.2, 0.0, 0.8, 0.22)
_BAND = (0.1, 0.5, 0.9, 0.95)
_ABOVE = (0.1, 0.2, 0.3)
"""How far above the box a painted head is looked for too, shares of its height. What lies outside of the picture has no paint."""


def lowest_score(source: str) -> float:
    """What a checker's model must be asked for, so that nothing is missing that may count."""
    return min(SCORES.get(_model(source), {}).values(), default=DEFAULT_SCORE)


def misses(
    rules: RedactionRules, sightings: Sequence[Sightings], painted: Painted, camera: str, t_ns: int
) -> list[Finding]:
    """What ``sightings`` of one frame show that ``rules`` want painted and ``painted`` says is not."""
    heads, plates = rules.faces is not FaceRule.NONE, rules.plates is not PlateRule.NONE
    found = []
    for one in sightings:
        for what, score, box in zip(one.what, one.score.tolist(), one.box.tolist(), strict=True):
            sight = Sight(what)
            wanted = heads if sight in {Sight.FACE, Sight.PERSON} else plates
            if not wanted or score < SCORES.get(_model(one.source), {}).get(sight, DEFAULT_SCORE):
                continue
            miss = _MISS[sight](box, painted)
            if miss is not None:
                found.append(Finding(camera, t_ns, miss, one.source, score, (box[0], box[1], box[2], box[3])))
    return found


def not_painted(
    rules: RedactionRules, detections: Sequence[Detections], frame: DecodedFrame, camera: str
) -> list[Finding]:
    """Boxes that redaction counted in ``frame`` and whose zone is not painted; ``detections`` are all of this camera."""
    painted = painted_in(frame, rules.fill, nearly=True)
    shape, (height, width), found = SHAPES[rules.strictness], painted.shape, list[Finding]()
    for one in detections:
        for shows in (Shows.HEAD, Shows.PLATE):
            if not _asked(rules, shows):
                continue
            rows = counted(one, detections, shows, rules.strictness)
            rows = rows[one.frame_t_ns[one.frame[rows]] == frame.t_ns]
            for row in rows:
                this = slice(row, row + 1)
                box, kind = one.box[this], one.kind[this]
                zone = head_zones(box, shape) if shows is Shows.HEAD else plate_bands(box, kind, shape)
                for pixels in to_pixels(zone, width, height):  # None where it is outside of the picture
                    if _share(painted, pixels) < PAINTED[rules.fill]:
                        corners = one.box[row].tolist()
                        where = (corners[0], corners[1], corners[2], corners[3])
                        score = float(one.score[row])
                        found.append(Finding(camera, frame.t_ns, Miss.NOT_PAINTED, one.source, score, where))
    return found


def _asked(rules: RedactionRules, shows: Shows) -> bool:
    if shows is Shows.HEAD:
        return rules.faces is not FaceRule.NONE
    return rules.plates is not PlateRule.NONE


def _face(box: Sequence[float], painted: Painted) -> Miss | None:
    small = box[2] - box[0] < SMALLEST_FACE_PX
    return None if small or _share(painted, box) >= COVERED else Miss.FACE


def _plate(box: Sequence[float], painted: Painted) -> Miss | None:
    width, height = box[2] - box[0], box[3] - box[1]
    if width <= height or width > WIDEST_PLATE * painted.shape[1]:
        return None
    return None if _share(painted, box) >= COVERED else Miss.PLATE


def _head(box: Sequence[float], painted: Painted) -> Miss | None:
    height = box[3] - box[1]
    if height < TALL_PX:
        return None
    head = _part(box, _HEAD)
    above = ((head[0], head[1] - up * height, head[2], head[3] - up * height) for up in _ABOVE)
    most = max(_share(painted, head), *(_share(painted, place, painted_outside=False) for place in above))
    return None if most >= OPEN_HEAD else Miss.HEAD


def _band(box: Sequence[float], painted: Painted) -> Miss | None:
    if box[3] - box[1] < TALL_PX:
        return None
    return None if _share(painted, _part(box, _BAND)) >= OPEN_BAND else Miss.PLATE_BAND


_MISS = {Sight.FACE: _face, Sight.PLATE: _plate, Sight.PERSON: _head, Sight.VEHICLE: _band}


def _part(box: Sequence[float], share: tuple[float, float, float, float]) -> tuple[float, ...]:
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    return (
        x1 + share[0] * width,
        y1 + share[1] * height,
        x1 + share[2] * width,
        y1 + share[3] * height,
    )


def _share(painted: Painted, box: Iterable[float], *, painted_outside: bool = True) -> float:
    """Painted share of the part of ``box`` inside the picture. One with nothing inside shows nobody: as if all of it were painted."""
    x1, y1, x2, y2 = (max(round(side), 0) for side in box)
    inside = painted[y1:y2, x1:x2]
    return float(inside.mean()) if inside.size else float(painted_outside)


def _model(source: str) -> str:
    """Its name, of ``name@version``."""
    return source.partition("@")[0]
