"""The benches of quality and confirmation on made-up streets: what they spoil is spoilt, what they plant is false."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("cv2", reason="the video part is not installed")
pytest.importorskip("av", reason="the video part is not installed")

from fsd_agent.records.selection_rule import Fault  # after the check that they are there
from fsd_agent.records.staged import join_detections
from fsd_agent.rules.selection.confirm import LOOKS, Verdict, overlap
from fsd_agent.rules.selection.quality import faults
from fsd_agent.testing.detector import MARKERS, MarkerDetector
from fsd_firmware.samples import Kind
from fsd_models.boxes import RawBoxes
from fsd_tools.bench.confirm_hits import judged, looks, street_scene, video_scenes
from fsd_tools.bench.quality import PICTURES, is_dropped, small
from fsd_tools.bench.quality_spoilt import WAYS, Shots, driven, shots
from fsd_tools.bench.seen_before import KEPT, SeenBefore
from fsd_tools.bench.side_by_side import drawn_for, side_by_side
from fsd_tools.errors import ToolError

if TYPE_CHECKING:
    from fsd_models.package import Manifest

HEIGHT, WIDTH = 360, 640
PERSON = np.array([[300, 120, 360, 300]], np.float32)


def street(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    for _ in range(1500):
        y, x = int(rng.integers(HEIGHT)), int(rng.integers(WIDTH))
        picture[y : y + int(rng.integers(3, 40)), x : x + int(rng.integers(3, 40))] = rng.integers(20, 225)
    return picture


def peopled(seed: int, box: NDArray[np.float32] = PERSON) -> NDArray[np.uint8]:
    picture = street(seed)
    x1, y1, x2, y2 = box[0].astype(int).tolist()
    picture[y1:y2, x1:x2] = MARKERS[Kind.PEDESTRIAN]
    return picture


@pytest.fixture(scope="module")
def clip() -> Shots:
    return shots(driven(street(1), PICTURES), np.random.default_rng(0))


@pytest.mark.parametrize("name", WAYS)
def test_each_way_to_spoil_is_found_and_what_is_to_be_kept_is(name: str, clip: Shots) -> None:
    way = WAYS[name]
    spoilt = way.spoil(clip, np.random.default_rng(0))
    assert len(spoilt) == PICTURES
    assert all(one.shape == clip.pictures[0].shape and one.dtype == np.uint8 for one in spoilt)
    found = faults(small(spoilt, through_codec=False))
    assert found is not None
    if name == "dirt on three tenths":  # Too little for a certain verdict
        return
    if name == "overexposed three times":
        assert Fault.BLURRED not in found
        return
    assert is_dropped(small(spoilt, through_codec=False)) is (way.fault is not None)
    assert way.fault is None or way.fault in found


def test_driving_on_moves_the_picture_and_keeps_its_size() -> None:
    pictures = driven(street(2), 3)
    assert [one.shape for one in pictures] == [(HEIGHT, WIDTH, 3)] * 3
    assert (pictures[0] == street(2)).all()
    assert (pictures[1] != pictures[0]).any()


@pytest.mark.parametrize("seed", range(5))
def test_the_labelled_are_true_hits_and_the_planted_lie_where_nobody_is(seed: int) -> None:
    detector = MarkerDetector()
    scene = street_scene(peopled(seed), PERSON, 0, [detector], np.random.default_rng(seed))
    assert [hit.is_true for hit in scene.hits] == [True, False]
    true, planted = scene.hits
    assert not overlap(planted.box[:1], PERSON).any()
    assert (true.height, planted.height) == (pytest.approx(180 * 1.03), pytest.approx(180 * 1.03))
    assert len(detector.looked_at) == LOOKS
    assert judged(scene, true, ["marker@1"]) is Verdict.CONFIRMED
    assert judged(scene, planted, ["marker@1"]) is Verdict.FALSE_HIT
    assert judged(scene, planted, []) is Verdict.CANT_TELL


def test_of_a_video_whoever_stays_is_true_and_a_stretch_with_nobody_gets_a_planted_hit() -> None:
    walk = [peopled(at, PERSON + np.float32(4 * at)) for at in range(LOOKS)]
    models = [MarkerDetector()]
    seen = looks(walk, models) + looks([street(at) for at in range(LOOKS)], models, LOOKS)
    scenes = video_scenes(join_detections(seen), (WIDTH, HEIGHT), models[0].source, np.random.default_rng(0))
    assert [[hit.is_true for hit in scene.hits] for scene in scenes] == [[True, False], [False]]
    verdicts = [[judged(scene, hit, ["marker@1"]) for hit in scene.hits] for scene in scenes]
    assert verdicts == [[Verdict.CONFIRMED, Verdict.FALSE_HIT], [Verdict.FALSE_HIT]]


def test_chance_belongs_to_the_thing_and_not_to_who_was_drawn_for_before() -> None:
    def drawn(number: int) -> float:
        return float(drawn_for(number).random())

    assert drawn(1) != drawn(2)
    assert drawn(1) == drawn(1)


def test_side_by_side_gives_results_in_order_and_no_tool_to_two_at_once() -> None:
    told: list[str] = []
    at_work, meet = [0, 0], threading.Barrier(2)

    def work(tool: int, thing: int) -> int:
        at_work[tool] += 1
        assert at_work[tool] == 1
        meet.wait(60)
        at_work[tool] -= 1
        return thing * 10

    assert list(side_by_side([0, 1], range(6), work, told.append, "thing")) == [0, 10, 20, 30, 40, 50]
    assert told[-1] == "thing 6 of 6"


def test_what_one_of_them_raises_is_raised() -> None:
    def work(_: None, thing: int) -> int:
        raise ToolError(f"no {thing}")

    with pytest.raises(ToolError, match="no 0"):
        list(side_by_side([None], [0], work, lambda _: None, "thing"))


class Counting:
    """Sees one person in the bright rows of a piece."""

    manifest = cast("Manifest", None)

    def __init__(self) -> None:
        self.asked = 0

    def detect(self, bgr: NDArray[np.uint8], min_score: float) -> RawBoxes:
        self.asked += 1
        box = np.array([[0, 0, bgr.shape[1], float(bgr.max())]], np.float32)
        return RawBoxes(box, np.array([0.9], np.float32), np.zeros(1, np.int32))


def test_a_piece_that_was_seen_is_not_looked_at_again_and_another_is() -> None:
    asked = Counting()
    model = SeenBefore(asked)
    picture = street(1)
    first = model.detect(picture[:, :320], 0.5)
    kept = first.box.copy()
    first.box[:] = 0
    assert (model.detect(picture[:, :320].copy(), 0.5).box == kept).all()
    assert asked.asked == model.passes == 1
    model.detect(picture[:, :320], 0.4)
    model.detect(picture[:320, :320], 0.5)
    changed = picture.copy()
    changed[0, 0] = 255 - changed[0, 0]
    model.detect(changed[:, :320], 0.5)
    assert asked.asked == 4


def test_only_the_last_pieces_are_remembered() -> None:
    asked = Counting()
    model = SeenBefore(asked)
    for value in [*range(KEPT), 0, KEPT, 1]:
        model.detect(np.full((2, 2, 3), value, np.uint8), 0.5)
    assert asked.asked == KEPT + 2
