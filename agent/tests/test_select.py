"""Verdicts on finished clips: real rules over made-up streets, with a codec and detectors that behave, and fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fsd_agent.pipeline.by_campaign import TOLD_MOST
from fsd_agent.pipeline.paint import RedactionStoppedError
from fsd_agent.pipeline.select import DECODED_MOST, FIRINGS_MOST, Asked, Selector, Unwanted
from fsd_agent.ports.detector import Detector, Seen
from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.clip import Clip
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.program import PROGRAM_VERSION, Node, Op, Program
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.selection_rule import Cameras, Fault, SelectionRule
from fsd_agent.testing.campaigns import plain_campaign
from fsd_agent.testing.codec import PictureCodec, PictureFrame
from fsd_agent.testing.detector import MARKERS, MarkerDetector
from fsd_agent.testing.streams import looks, row
from fsd_firmware.codec import DecodedFrame, VideoCodec
from fsd_firmware.samples import Detections, EncodedPacket, Frame, GnssFixes, Kind, empty_gnss, empty_signals

MS = 1_000_000
STEP = 100 * MS
FRAMES, AT = 40, 2_000 * MS
HEIGHT, WIDTH = 184, 320
PERSON = (100, 60, 124, 124)
SIZES = {"front": (WIDTH, HEIGHT), "rear": (WIDTH, HEIGHT)}
PROGRAM = Program(PROGRAM_VERSION, (Node(Op.LITERAL, (), value=True),))
Picture = NDArray[np.uint8]
Spoil = Callable[[int, Picture], Picture]


def street(number: int) -> Picture:
    """Grey rectangles, others in each picture."""
    rng = np.random.default_rng(number)
    picture = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    for _ in range(300):
        y, x = int(rng.integers(HEIGHT)), int(rng.integers(WIDTH))
        picture[y : y + int(rng.integers(3, 30)), x : x + int(rng.integers(3, 30))] = rng.integers(20, 230)
    return picture


def as_it_is(number: int, picture: Picture) -> Picture:
    return picture


def black(number: int, picture: Picture) -> Picture:
    return np.zeros_like(picture)


def night(number: int, picture: Picture) -> Picture:
    dim = picture // 9
    dim[20:40, 100:130] = 255
    return dim


def with_person(number: int, picture: Picture) -> Picture:
    x1, y1, x2, y2 = PERSON
    shown = picture.copy()
    shown[y1 - 8 : y2 + 8, x1 - 8 : x2 + 8] = 110
    shown[y1:y2, x1:x2] = MARKERS[Kind.PEDESTRIAN]
    return shown


def packets(spoil: Spoil = as_it_is, camera: str = "front", every: int = 10) -> tuple[EncodedPacket, ...]:
    frames = [PictureFrame(n * STEP, spoil(n, street(n))) for n in range(FRAMES)]
    return tuple(PictureCodec().encode(camera, frames, fps=10.0, keyframe_every=every))


def firing(
    campaign: str = "walker", at_ns: int = AT, evidence: str = "detections.pedestrian"
) -> JudgedFiring:
    return JudgedFiring(
        f"{campaign}-{at_ns}", Firing(campaign, 1, at_ns, ((evidence, 1.0),)), 0, "0" * 32, None
    )


def claimed(source: str = "firmware") -> Detections:
    return looks(
        "front", source, [(n * STEP, [(int(Kind.PEDESTRIAN), 0.9, PERSON)]) for n in range(0, FRAMES, 2)]
    )


def clip(
    *video: tuple[EncodedPacket, ...],
    cameras: tuple[str, ...] = ("front",),
    firings: Iterable[JudgedFiring] = (firing(evidence="Vehicle.Speed"),),
    detections: tuple[Detections, ...] = (),
    gnss: GnssFixes | None = None,
    clip_id: str = "0" * 32,
) -> Clip:
    return Clip(
        row=row(0, FRAMES * STEP, cameras=cameras, clip_id=clip_id),
        firings=tuple(firings),
        catalogue=(),
        signals=empty_signals(),
        packets=tuple(packet for one in video for packet in one),
        detections=detections,
        gnss=gnss or empty_gnss(),
        modes=(),
    )


def selector(
    *detectors: Detector, codec: VideoCodec | None = None, no_codec: bool = False, **rules: SelectionRule
) -> Selector:
    """``rules``: of each campaign; "walker" is one that says nothing, where none are named."""
    named = rules or {"walker": SelectionRule()}
    campaigns = tuple(plain_campaign(PROGRAM, name, selection=rule) for name, rule in named.items())
    sets = {"cn": CampaignSet("cn", 1, campaigns)}
    return Selector(
        in_force=sets.get,
        codec=None if no_codec else codec or PictureCodec(),
        detectors=detectors,
        sizes=SIZES,
    )


def running() -> bool:
    return False


def missed(found: Selector) -> dict[str, dict[str, int]]:
    return found.missed("cn")


def test_a_good_clip_goes_on_and_nothing_was_missed() -> None:
    ours = selector()
    assert ours.judge(clip(packets()), running) is None
    assert missed(ours) == {}


@pytest.mark.parametrize("every", [10, 1000])
def test_a_bad_clip_is_dropped_with_camera_and_fault_also_where_key_frames_are_rare(every: int) -> None:
    found = selector().judge(clip(packets(black, every=every)), running)
    assert found == Unwanted(DropReason.PICTURE_BLACK, "front: black")


def test_night_is_kept_unless_a_campaign_asks_otherwise() -> None:
    assert selector().judge(clip(packets(night)), running) is None
    by_day = selector(walker=SelectionRule(frozenset({Fault.DARK})))
    assert by_day.judge(clip(packets(night)), running) == Unwanted(DropReason.PICTURE_DARK, "front: dark")


def test_a_campaign_that_wants_what_is_black_has_it() -> None:
    ours = selector(walker=SelectionRule(frozenset(Fault) - {Fault.BLACK, Fault.DARK}))
    assert ours.judge(clip(packets(black)), running) is None


def test_one_good_camera_saves_a_clip_unless_all_are_needed() -> None:
    both = clip(packets(), packets(black, "rear"), cameras=("front", "rear"))
    alone = clip(packets(), cameras=("front", "rear"))
    assert selector().judge(both, running) is None
    assert selector().judge(alone, running) is None
    strict = selector(walker=SelectionRule(cameras=Cameras.ALL))
    assert strict.judge(both, running) == Unwanted(DropReason.PICTURE_BLACK, "rear: black")
    assert strict.judge(alone, running) == Unwanted(DropReason.CAMERA_MISSING, "rear: missing")


def test_of_campaigns_that_share_a_clip_the_mildest_counts() -> None:
    shared = clip(packets(black), firings=[firing("walker"), firing("night")])
    strict = SelectionRule()
    assert selector(walker=strict, night=strict).judge(shared, running) is not None
    assert selector(walker=strict, night=SelectionRule(frozenset())).judge(shared, running) is None


def test_a_campaign_that_is_not_in_force_any_more_keeps_its_clips_and_is_counted() -> None:
    ours = selector(other=SelectionRule())
    assert ours.judge(clip(packets(black)), running) is None
    assert missed(ours) == {"walker": {"campaign": 1}}
    assert ours.missed("eu") == {}
    elsewhere = Selector(in_force=lambda _: None, codec=PictureCodec(), detectors=(), sizes=SIZES)
    assert elsewhere.judge(clip(packets(black)), running) is None


def test_a_clip_without_any_video_is_left_to_redaction() -> None:
    ours = selector()
    assert ours.judge(clip(), running) is None
    assert missed(ours) == {}


def moving(*speeds: float) -> GnssFixes:
    zeros = np.zeros(len(speeds))
    return GnssFixes(np.arange(len(speeds)) * 500 * MS, zeros, zeros, zeros, np.array(speeds), zeros)


@pytest.mark.parametrize(
    ("speeds", "dropped"),
    [((9.0, 3.0), True), ((9.0, 2.9), False), ((9.0, float("nan")), False), ((), False)],
)
def test_a_picture_that_hardly_changes_is_frozen_where_every_fix_says_that_the_car_moves(
    speeds: tuple[float, ...], dropped: bool
) -> None:
    def still(number: int, picture: Picture) -> Picture:
        first = street(0)
        first[60:120, 100:180] += np.uint8(4 * (number // 10 % 2))
        return first

    found = selector().judge(clip(packets(still), gnss=moving(*speeds)), running)
    assert found == (Unwanted(DropReason.PICTURE_FROZEN, "front: frozen") if dropped else None)


def test_somebody_who_is_there_at_a_second_look_is_kept() -> None:
    detector = MarkerDetector()
    seen = clip(packets(with_person), firings=[firing()], detections=(claimed(),))
    ours = selector(detector)
    assert ours.judge(seen, running) is None
    assert missed(ours) == {}
    assert [t_ns // STEP for _, t_ns in detector.looked_at] == [14, 16, 18, 20, 22, 24, 26]


def test_somebody_whom_no_model_finds_is_a_false_hit() -> None:
    unseen = clip(packets(), firings=[firing()], detections=(claimed(),))
    found = selector(MarkerDetector(), MarkerDetector(source="other@1")).judge(unseen, running)
    assert found == Unwanted(DropReason.FALSE_HIT, "nobody where 1 firing(s) saw somebody")
    assert selector(MarkerDetector(), walker=SelectionRule(confirm=False)).judge(unseen, running) is None


def test_one_true_firing_of_several_keeps_their_clip() -> None:
    def walks_off(number: int, picture: Picture) -> Picture:
        return with_person(number, picture) if number < 18 else picture

    both = clip(
        packets(walks_off),
        firings=[firing(at_ns=3_000 * MS), firing(at_ns=800 * MS)],
        detections=(claimed(),),
    )
    assert selector(MarkerDetector()).judge(both, running) is None
    false = replace(both, firings=both.firings[:1])
    assert selector(MarkerDetector()).judge(false, running) is not None
    one_on_speed = replace(false, firings=(*false.firings, firing(evidence="Vehicle.Speed")))
    detector = MarkerDetector()
    assert selector(detector).judge(one_on_speed, running) is None
    assert detector.looked_at == []


def test_a_model_alone_looks_more_thoroughly_at_what_it_claimed_itself() -> None:
    unseen = clip(packets(), firings=[firing()], detections=(claimed("marker@1"),))
    own, other = MarkerDetector(), MarkerDetector(source="other@1")
    assert selector(own).judge(unseen, running) is not None
    assert set(own.thorough) == {True}
    assert selector(own, other).judge(unseen, running) is not None
    assert set(other.thorough) == {False}


def test_at_night_silence_means_nothing() -> None:
    dark = clip(packets(night), firings=[firing()], detections=(claimed(),))
    ours = selector(MarkerDetector())
    assert ours.judge(dark, running) is None
    assert missed(ours) == {}


class _Bug(MarkerDetector):
    def detect(self, frame: Frame, *, min_score: float, thorough: bool = False) -> Seen:
        raise ZeroDivisionError


def failing() -> Detector:
    detector = MarkerDetector()
    detector.fail_next(100)
    return detector


FALSE_HIT = clip(packets(), firings=[firing()], detections=(claimed(),))
CONFIRMATION, QUALITY = {"walker": {"confirmation": 1}}, {"walker": {"quality": 1}}


@pytest.mark.parametrize(
    ("ours", "one", "expected"),
    [
        (selector(), FALSE_HIT, CONFIRMATION),
        (selector(failing()), FALSE_HIT, CONFIRMATION),
        (selector(_Bug()), FALSE_HIT, CONFIRMATION),
        (selector(MarkerDetector()), replace(FALSE_HIT, detections=()), CONFIRMATION),
        (
            selector(MarkerDetector()),
            replace(FALSE_HIT, firings=tuple(firing(at_ns=AT + at) for at in range(FIRINGS_MOST + 1))),
            CONFIRMATION,
        ),
        (selector(codec=PictureCodec(fail_decode_at=0)), clip(packets(black)), QUALITY),
        (selector(codec=PictureCodec(fail_decode_at=3)), clip(packets(black, every=1000)), QUALITY),
        (selector(no_codec=True), clip(packets(black)), QUALITY),
        (selector(), clip(packets(lambda _, picture: picture[:80])), QUALITY),
    ],
    ids=["no model", "failing model", "bug", "no box", "many firings", "damaged", "torn", "no codec", "tiny"],
)
def test_a_verdict_that_can_not_be_had_keeps_the_clip_and_is_counted_once(
    ours: Selector, one: Clip, expected: dict[str, dict[str, int]]
) -> None:
    assert ours.judge(one, running) is None
    assert ours.judge(one, running) is None
    assert missed(ours) == expected


def test_boxes_about_another_size_of_picture_are_not_compared() -> None:
    ours = Selector(
        in_force={"cn": CampaignSet("cn", 1, (plain_campaign(PROGRAM, "walker"),))}.get,
        codec=PictureCodec(),
        detectors=(MarkerDetector(),),
        sizes={"front": (2 * WIDTH, 2 * HEIGHT)},
    )
    assert ours.judge(FALSE_HIT, running) is None
    assert missed(ours) == CONFIRMATION


def test_four_firings_that_are_all_false_are_still_judged() -> None:
    many = replace(FALSE_HIT, firings=tuple(firing(at_ns=AT + at) for at in range(FIRINGS_MOST)))
    found = selector(MarkerDetector()).judge(many, running)
    assert found is not None
    assert found.reason is DropReason.FALSE_HIT


class _Counting(PictureCodec):
    """Counts what it decodes."""

    def __init__(self) -> None:
        super().__init__()
        self.decoded = 0

    def decode(self, packets: Iterable[EncodedPacket]) -> Iterator[PictureFrame]:
        for frame in super().decode(packets):
            self.decoded += 1
            yield frame


def long_video(spoil: Spoil, count: int) -> tuple[EncodedPacket, ...]:
    same = spoil(0, street(0))
    frames: list[DecodedFrame] = [PictureFrame(n * STEP // 10, same) for n in range(count)]
    return tuple(PictureCodec().encode("front", frames, fps=100.0, keyframe_every=10_000))


def test_no_more_is_decoded_than_the_bound_allows() -> None:
    codec = _Counting()
    found = selector(codec=codec).judge(clip(long_video(black, 2 * DECODED_MOST)), running)
    assert found is not None
    assert found.reason is DropReason.PICTURE_BLACK
    assert 0 < codec.decoded <= DECODED_MOST
    late = firing(at_ns=(DECODED_MOST + 20) * STEP // 10)
    seen = looks("front", "firmware", [(late.firing.t_ns, [(int(Kind.PEDESTRIAN), 0.9, PERSON)])])
    ours = selector(MarkerDetector(), codec=codec, walker=SelectionRule(frozenset()))
    assert (
        ours.judge(clip(long_video(as_it_is, 2 * DECODED_MOST), firings=[late], detections=(seen,)), running)
        is None
    )
    assert missed(ours) == CONFIRMATION
    assert codec.decoded <= DECODED_MOST


@pytest.mark.parametrize("detectors", [(), (MarkerDetector(),)])
def test_a_stop_in_the_middle_decides_nothing(detectors: tuple[Detector, ...]) -> None:
    ours = selector(*detectors)
    with pytest.raises(RedactionStoppedError):
        ours.judge(FALSE_HIT, lambda: True)
    assert missed(ours) == {}


def test_what_is_told_is_bounded_and_the_most_come_first() -> None:
    ours = selector(other=SelectionRule())
    for number in range(TOLD_MOST + 10):
        ours.judge(clip(packets_once(), firings=[firing(f"c{number}")], clip_id=f"{number:032x}"), running)
    ours.judge(clip(packets_once(), firings=[firing("c59")], clip_id="f" * 32), running)
    told = missed(ours)
    assert len(told) == TOLD_MOST
    assert next(iter(told.items())) == ("c59", {str(Asked.CAMPAIGN): 2})


def packets_once() -> tuple[EncodedPacket, ...]:
    return FALSE_HIT.packets
