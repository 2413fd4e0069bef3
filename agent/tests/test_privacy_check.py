"""What counts as open in redacted video: every threshold from both sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.check import Finding, Miss, Sight, Sightings, Verdict
from fsd_agent.records.region import FaceRule, Fill, LocationRule, PlateRule, RedactionRules, Strictness
from fsd_agent.rules.privacy import check
from fsd_agent.rules.privacy.check import (
    DEFAULT_SCORE,
    SCORES,
    lowest_score,
    misses,
    not_painted,
)
from fsd_agent.rules.privacy.counted import MIN_SCORE
from fsd_agent.rules.privacy.painted import BLACK_MOST, NEARLY_BLACK, black_of, cells_of, painted_in
from fsd_agent.rules.privacy.zones import SHAPES, head_zones, plate_bands, to_pixels
from fsd_agent.testing.codec import PictureFrame
from fsd_agent.testing.streams import looks
from fsd_firmware.samples import Detections, Kind

RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, 0, 1, LocationRule.DROP, 0.05)
NO_FACES = replace(RULES, faces=FaceRule.NONE)
NO_PLATES = replace(RULES, plates=PlateRule.NONE)
WIDTH, HEIGHT = 640, 480
ANY = "unheard-of@1"
PIXELATED = replace(RULES, fill=Fill.PIXELATE)
PAINTED = check.PAINTED[Fill.SOLID]
Box = tuple[float, float, float, float]
PERSON: Box = (100, 100, 200, 300)
VEHICLE: Box = (300, 200, 500, 300)
FACE: Box = (20, 24, 60, 66)
PLATE: Box = (20, 24, 60, 44)


def black(*painted: Box) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    for x1, y1, x2, y2 in painted:
        mask[round(y1) : round(y2), round(x1) : round(x2)] = True
    return mask


def seen(what: Sight, box: Box, score: float = 0.99, source: str = ANY) -> Sightings:
    return Sightings(
        source, np.array([what], np.uint8), np.array([score], np.float32), np.array([box], np.float32)
    )


def found(sighting: Sightings, mask: np.ndarray | None = None, rules: RedactionRules = RULES) -> list[Miss]:
    some = misses(rules, [sighting], black() if mask is None else mask, "front", 7)
    return [one.miss for one in some]


def part(box: Box, share: float) -> Box:
    """So much of the box, from its left."""
    x1, y1, x2, y2 = box
    return (x1, y1, x1 + share * (x2 - x1), y2)


HEAD: Box = (120, 100, 180, 144)
BAND: Box = (320, 250, 480, 295)


@pytest.mark.parametrize(
    ("what", "box", "zone", "enough", "miss"),
    [
        (Sight.FACE, FACE, FACE, check.COVERED, Miss.FACE),
        (Sight.PLATE, PLATE, PLATE, check.COVERED, Miss.PLATE),
        (Sight.PERSON, PERSON, HEAD, check.OPEN_HEAD, Miss.HEAD),
        (Sight.VEHICLE, VEHICLE, BAND, check.OPEN_BAND, Miss.PLATE_BAND),
    ],
)
def test_what_is_seen_and_not_black_enough_is_a_miss(
    what: Sight, box: Box, zone: Box, enough: float, miss: Miss
) -> None:
    sighting = seen(what, box)
    assert found(sighting) == [miss]
    assert found(sighting, black(zone)) == []
    assert found(sighting, black(part(zone, enough + 0.05))) == []
    assert found(sighting, black(part(zone, enough - 0.05))) == [miss]
    assert found(sighting, black(part(zone, enough))) == []


def test_a_finding_says_where_when_who_and_how_sure() -> None:
    (one,) = misses(RULES, [seen(Sight.FACE, FACE, 0.75)], black(), "rear", 2_500_000_000)
    assert one == Finding("rear", 2_500_000_000, Miss.FACE, ANY, 0.75, FACE)
    assert all(type(number) is float for number in (one.score, *one.box))
    assert str(one) == "face in rear at 2.500 s (20, 24, 60, 66), unheard-of@1 0.75"


def test_sightings_that_do_not_fit_together_are_refused() -> None:
    broken = replace(seen(Sight.FACE, FACE), score=np.array([0.9, 0.9], np.float32))
    with pytest.raises(ValueError, match="zip"):
        found(broken)


def test_only_what_the_rules_ask_for_is_a_miss() -> None:
    for what, box in ((Sight.FACE, FACE), (Sight.PERSON, PERSON)):
        assert found(seen(what, box), rules=NO_FACES) == []
        assert found(seen(what, box), rules=NO_PLATES) != []
    for what, box in ((Sight.PLATE, PLATE), (Sight.VEHICLE, VEHICLE)):
        assert found(seen(what, box), rules=NO_PLATES) == []
        assert found(seen(what, box), rules=NO_FACES) != []


@pytest.mark.parametrize(
    ("source", "what", "box"),
    [
        ("nanodet-m-416@1", Sight.PERSON, PERSON),
        ("nanodet-m-416@2", Sight.VEHICLE, VEHICLE),
        ("yunet-n@1", Sight.FACE, FACE),
        ("lpd-yunet@1", Sight.PLATE, PLATE),
    ],
)
def test_a_model_counts_from_its_own_score_on(source: str, what: Sight, box: Box) -> None:
    needed = SCORES[source.partition("@")[0]][what]
    assert found(seen(what, box, needed + 0.01, source)) != []
    assert found(seen(what, box, needed - 0.01, source)) == []
    assert lowest_score(source) <= needed


def test_a_model_that_is_not_in_the_table_counts_from_the_middle_on() -> None:
    assert found(seen(Sight.FACE, FACE, DEFAULT_SCORE)) == [Miss.FACE]
    assert found(seen(Sight.FACE, FACE, DEFAULT_SCORE - 0.01)) == []
    assert found(seen(Sight.FACE, FACE, DEFAULT_SCORE, "nanodet-m-416@1")) == [Miss.FACE]
    assert lowest_score(ANY) == DEFAULT_SCORE
    assert lowest_score("yunet-n") == SCORES["yunet-n"][Sight.FACE]
    assert lowest_score("nanodet-m-416@1") == min(SCORES["nanodet-m-416"].values())


def test_small_faces_persons_and_vehicles_are_not_asked_for() -> None:
    least, tall = check.SMALLEST_FACE_PX, check.TALL_PX
    assert found(seen(Sight.FACE, (50, 57, 50 + least, 90))) == [Miss.FACE]
    assert found(seen(Sight.FACE, (50, 57, 49.9 + least, 90))) == []
    for what in (Sight.PERSON, Sight.VEHICLE):
        for left in (50, 170):
            assert found(seen(what, (left, 100, left + 30, 100 + tall))) != []
            assert found(seen(what, (left, 100, left + 30, 99.9 + tall))) == []


def test_what_is_no_plate_by_its_shape_is_none() -> None:
    mask = np.zeros((100, 400), np.bool_)
    widest = check.WIDEST_PLATE * 400
    assert widest == 48
    for top in (20, 60):
        assert found(seen(Sight.PLATE, (50, top, 98, top + 20)), mask) == [Miss.PLATE]
        assert found(seen(Sight.PLATE, (50, top, 98.1, top + 20)), mask) == []
        assert found(seen(Sight.PLATE, (50, top, 81, top + 30))) == [Miss.PLATE]
        assert found(seen(Sight.PLATE, (50, top, 80, top + 30))) == []


@pytest.mark.parametrize("up", [0.0, *check._ABOVE])
def test_a_painted_head_may_be_above_the_box_of_who_has_it(up: float) -> None:
    """What is seen is a body without a head."""
    shift = up * (PERSON[3] - PERSON[1])
    above = (HEAD[0], HEAD[1] - shift, HEAD[2], HEAD[3] - shift)
    assert found(seen(Sight.PERSON, PERSON), black(above)) == []


@pytest.mark.parametrize("side", ["left", "right", "top"])
def test_the_place_above_the_box_is_as_large_as_the_head(side: str) -> None:
    person: Box = (300, 150, 400, 350)
    x1, y1, x2, y2 = 320, 90, 380, 134  # The head, 0.3 of the person's height above

    def some(share: float) -> Box:
        wide, high = share * (x2 - x1), share * (y2 - y1)
        painted: dict[str, Box] = {
            "left": (x1, y1, x1 + wide, y2),
            "right": (x2 - wide, y1, x2, y2),
            "top": (x1, y1, x2, y1 + high),
        }
        return painted[side]

    assert found(seen(Sight.PERSON, person), black(some(check.OPEN_HEAD + 0.02))) == []
    assert found(seen(Sight.PERSON, person), black(some(check.OPEN_HEAD - 0.02))) == [Miss.HEAD]


def test_black_that_is_not_where_a_head_is_covers_none() -> None:
    beside: Box = (HEAD[2], HEAD[1] - 80, 260, HEAD[3])
    below: Box = (HEAD[0], HEAD[3] + 1, HEAD[2], PERSON[3])
    far_above: Box = (HEAD[0], 0, HEAD[2], HEAD[1] - 0.3 * 200 - 1)
    assert found(seen(Sight.PERSON, PERSON), black(beside, below, far_above)) == [Miss.HEAD]
    above_band: Box = (VEHICLE[0], VEHICLE[1], VEHICLE[2], BAND[1])
    under_band: Box = (VEHICLE[0], BAND[3], VEHICLE[2], VEHICLE[3])
    sides: tuple[Box, Box] = ((300, 200, BAND[0], 300), (BAND[2], 200, 500, 300))
    assert found(seen(Sight.VEHICLE, VEHICLE), black(above_band, under_band, *sides)) == [Miss.PLATE_BAND]


def test_what_lies_outside_of_the_picture_shows_nobody() -> None:
    assert found(seen(Sight.FACE, (-80, 20, -40, 60))) == []
    assert found(seen(Sight.FACE, (WIDTH, 20, WIDTH + 40, 60))) == []
    assert found(seen(Sight.FACE, (-20, 20, 20, 60)), black((0, 20, 20, 60))) == []
    assert found(seen(Sight.FACE, (-20, 20, 20, 60))) == [Miss.FACE]
    assert found(seen(Sight.FACE, (0, 20, 10, 60)), black((0, 20, 4, 60))) == []
    assert found(seen(Sight.FACE, (20, 0, 30, 10)), black((20, 0, 30, 4))) == []


@pytest.mark.parametrize("top", [0.0, 1.0, 15.0])
def test_a_head_at_the_upper_edge_is_not_covered_by_what_is_outside_of_the_picture(top: float) -> None:
    """Places above it lie outside: there is no paint."""
    box = (100, top, 200, top + 200)
    assert found(seen(Sight.PERSON, box)) == [Miss.HEAD]
    assert found(seen(Sight.PERSON, box), black((120, top, 180, top + 44))) == []


def test_black_is_as_dark_as_the_codec_leaves_it() -> None:
    bgr = np.full((2, 3, 3), BLACK_MOST, np.uint8)
    bgr[0, 1, 2] += 1
    assert black_of(bgr).tolist() == [[True, False, True], [True, True, True]]


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_paint_never_makes_a_miss(share: float, more: float) -> None:
    low, high = sorted((share, more))
    for what, box in ((Sight.FACE, FACE), (Sight.PERSON, PERSON), (Sight.VEHICLE, VEHICLE)):
        if not found(seen(what, box), black(part(box, low))):
            assert not found(seen(what, box), black(part(box, high)))


def test_a_verdict_passes_without_findings_and_names_the_surest() -> None:
    assert (Verdict(3, ()).passed, Verdict(3, ()).reason) == (True, "")
    weak = Finding("front", 0, Miss.FACE, "a@1", 0.5, FACE)
    sure = replace(weak, source="b@1", score=0.9)
    verdict = Verdict(3, (weak, sure))
    assert not verdict.passed
    assert verdict.reason == f"{sure} and 1 more"
    assert Verdict(3, (weak,)).reason == str(weak)


# What redaction itself saw


def picture(*painted: tuple[int, int, int, int], shade: int = 0) -> np.ndarray:
    bgr = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    for x1, y1, x2, y2 in painted:
        bgr[y1:y2, x1:x2] = shade
    return bgr


def open_boxes(
    rules: RedactionRules, seen_by: list[Detections], bgr: np.ndarray, t_ns: int = 7
) -> list[Finding]:
    return not_painted(rules, seen_by, PictureFrame(t_ns, bgr), "front")


def zone_of(kind: Kind, box: Box, strictness: Strictness = Strictness.STANDARD) -> tuple[int, ...]:
    shape, boxes = SHAPES[strictness], np.array([box], np.float32)
    zone = head_zones(boxes, shape)
    if kind is Kind.CAR:
        zone = plate_bands(boxes, np.array([kind], np.uint8), shape)
    return tuple(to_pixels(zone, WIDTH, HEIGHT)[0].tolist())


@pytest.mark.parametrize(
    ("kind", "box", "other"), [(Kind.PEDESTRIAN, PERSON, NO_FACES), (Kind.CAR, VEHICLE, NO_PLATES)]
)
def test_a_counted_box_whose_zone_is_not_black_is_a_miss(kind: Kind, box: Box, other: RedactionRules) -> None:
    seen_by = [looks("front", "firmware", [(0, []), (7, [(int(kind), 0.5, box)])])]
    (one,) = open_boxes(RULES, seen_by, picture())
    assert one == Finding("front", 7, Miss.NOT_PAINTED, "firmware", 0.5, box)
    assert all(type(side) is float for side in one.box)
    x1, y1, x2, y2 = zone_of(kind, box)
    assert open_boxes(RULES, seen_by, picture((x1, y1, x2, y2))) == []
    assert open_boxes(RULES, seen_by, picture((x1, y1, x2, y2), shade=NEARLY_BLACK)) == []
    grey = picture((x1, y1, x2, y2), shade=NEARLY_BLACK + 1)
    assert open_boxes(RULES, seen_by, grey) == [one]
    for share, wanted in ((PAINTED + 0.05, []), (PAINTED - 0.05, [one])):
        some = picture((x1, y1, round(x1 + share * (x2 - x1)), y2))
        assert open_boxes(RULES, seen_by, some) == wanted
    assert open_boxes(other, seen_by, picture()) == []
    assert open_boxes(RULES, seen_by, picture(), 0) == []


def test_each_box_is_asked_for_by_itself() -> None:
    """One that lies outside of the picture, one that is painted, two that are not."""
    outside: Box = (-300, 0, -200, 90)
    others: tuple[Box, ...] = ((250, 100, 350, 300), (400, 100, 500, 300))
    rows = [(int(Kind.PEDESTRIAN), 0.5, box) for box in (outside, PERSON, *others)]
    painted = picture(zone_of(Kind.PEDESTRIAN, PERSON))  # type: ignore[arg-type]
    open_ones = open_boxes(RULES, [looks("front", "firmware", [(7, rows)])], painted)
    assert [one.box for one in open_ones] == list(others)


def test_a_coloured_zone_is_not_black() -> None:
    x1, y1, x2, y2 = zone_of(Kind.PEDESTRIAN, PERSON)
    blue = picture((x1, y1, x2, y2))
    blue[y1:y2, x1:x2, 0] = 200
    seen_by = [looks("front", "firmware", [(7, [(int(Kind.PEDESTRIAN), 0.5, PERSON)])])]
    assert len(open_boxes(RULES, seen_by, blue)) == 1


def test_exactly_enough_of_a_zone_is_enough() -> None:
    box: Box = (100, 100, 200, 300)
    x1, y1, x2, y2 = zone_of(Kind.PEDESTRIAN, box)
    rows = round(PAINTED * (y2 - y1))
    assert rows / (y2 - y1) == pytest.approx(PAINTED, abs=0.01)
    seen_by = [looks("front", "firmware", [(7, [(int(Kind.PEDESTRIAN), 0.5, box)])])]
    bgr = picture((x1, y1, x2, y2))
    bgr.reshape(-1, 3)[:] = 200
    area = bgr[y1:y2, x1:x2]
    flat = np.full(area.shape[0] * area.shape[1], 200, np.uint8)
    flat[: int(np.ceil(PAINTED * flat.size))] = 0
    area[:] = flat.reshape(area.shape[:2])[..., None]
    assert open_boxes(RULES, seen_by, bgr) == []
    flat[int(np.ceil(PAINTED * flat.size)) - 2] = 200
    area[:] = flat.reshape(area.shape[:2])[..., None]
    assert len(open_boxes(RULES, seen_by, bgr)) == 1


def test_boxes_that_did_not_count_or_are_outside_are_not_asked_for() -> None:
    weak = [looks("front", "firmware", [(7, [(int(Kind.PEDESTRIAN), MIN_SCORE - 0.01, PERSON)])])]
    assert open_boxes(RULES, weak, picture()) == []
    outside = [looks("front", "firmware", [(7, [(int(Kind.PEDESTRIAN), 0.9, (-300, 0, -200, 90))])])]
    assert open_boxes(RULES, outside, picture()) == []


def test_the_zone_is_that_of_the_rules_strictness() -> None:
    seen_by = [looks("front", "firmware", [(7, [(int(Kind.PEDESTRIAN), 0.5, PERSON)])])]
    x1, y1, x2, y2 = zone_of(Kind.PEDESTRIAN, PERSON)
    painted = picture((x1, y1, x2, y2))
    assert open_boxes(RULES, seen_by, painted) == []
    strict = replace(RULES, strictness=Strictness.STRICT)
    assert len(open_boxes(strict, seen_by, painted)) == 1


# Pixelated


def street(seed: int = 5) -> np.ndarray:
    """Something to see everywhere, of which little is flat."""
    return np.random.default_rng(seed).integers(20, 230, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.mark.parametrize(("kind", "box"), [(Kind.PEDESTRIAN, PERSON), (Kind.CAR, VEHICLE)])
def test_a_zone_that_was_pixelated_is_painted_for_rules_that_want_it_so_and_for_no_others(
    kind: Kind, box: Box
) -> None:
    seen_by = [looks("front", "firmware", [(7, [(int(kind), 0.5, box)])])]
    frame = PictureFrame(7, street())
    assert len(not_painted(PIXELATED, seen_by, frame, "front")) == 1
    frame.pixelate(np.array([zone_of(kind, box)], np.int32))
    assert not_painted(PIXELATED, seen_by, frame, "front") == []
    assert len(not_painted(RULES, seen_by, frame, "front")) == 1


def test_a_pixelated_place_is_found_in_the_pixels_and_nothing_beside_it() -> None:
    frame = PictureFrame(7, street())
    frame.pixelate(np.array([(100, 100, 200, 180)], np.int32))
    cells = painted_in(frame, Fill.PIXELATE)
    assert cells[100:180, 100:200].all()
    cells[100:180, 100:200] = False
    assert not cells.any()
    assert not painted_in(frame, Fill.SOLID).any()


class Flat(PictureFrame):
    """Of this brightness."""

    def __init__(self, luma: np.ndarray) -> None:
        super().__init__(0, np.zeros((*luma.shape, 3), np.uint8))
        self._luma = luma

    def luma(self) -> np.ndarray:
        """As given."""
        return self._luma


@pytest.mark.parametrize(
    ("level", "is_cell"),
    [(16, True), (17, True), (18, False), (24, False), (30, False), (31, True), (128, True)],
)
def test_a_flat_place_counts_next_to_a_level_that_cells_have(level: int, is_cell: bool) -> None:
    luma = np.full((9, 9), level, np.uint8)
    assert cells_of(luma).all() == is_cell
    assert cells_of(luma).any() == is_cell


@pytest.mark.parametrize(
    ("spread", "is_cell", "nearly"),
    [(6, True, True), (7, False, True), (14, False, True), (15, False, False)],
)
def test_a_cell_may_be_as_rough_as_an_encoder_leaves_it(spread: int, is_cell: bool, nearly: bool) -> None:
    luma = np.full((9, 9), 128, np.uint8)
    luma[::2, ::2], luma[1::2, 1::2] = 128 - spread // 2, 128 - spread // 2 + spread
    assert cells_of(luma).any() == is_cell
    frame = Flat(luma)
    assert painted_in(frame, Fill.PIXELATE).any() == is_cell
    assert painted_in(frame, Fill.PIXELATE, nearly=True).any() == nearly


def test_one_pixel_of_another_brightness_is_enough_to_be_no_cell() -> None:
    for row in range(5):
        for column in range(5):
            luma = np.full((5, 5), 128, np.uint8)
            luma[row, column] = 160
            assert not cells_of(luma).any(), (row, column)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (3, 9), (9, 3), (5, 5), (0, 7)])
def test_nothing_smaller_than_a_cell_is_one(shape: tuple[int, int]) -> None:
    assert cells_of(np.full(shape, 128, np.uint8)).sum() == (25 if shape == (5, 5) else 0)


def test_the_numbers_are_those_that_were_measured() -> None:
    """docs/privacy.md has what they catch; whoever changes one measures again."""
    assert (BLACK_MOST, NEARLY_BLACK) == (16, 48)
    assert (check.COVERED, check.OPEN_HEAD, check.OPEN_BAND) == (0.4, 0.35, 0.3)
    assert check.PAINTED == {Fill.SOLID: 0.8, Fill.PIXELATE: 0.4}
    assert (check.TALL_PX, check.SMALLEST_FACE_PX, check.WIDEST_PLATE) == (60, 9, 0.12)
    assert check._HEAD == (0.2, 0.0, 0.8, 0.22)
    assert check._BAND == (0.1, 0.5, 0.9, 0.95)
    assert check._ABOVE == (0.1, 0.2, 0.3)
    assert DEFAULT_SCORE == 0.5
    assert SCORES == {
        "nanodet-m-416": {Sight.PERSON: 0.35, Sight.VEHICLE: 0.4},
        "yunet-n": {Sight.FACE: 0.7},
        "lpd-yunet": {Sight.PLATE: 0.9},
    }
