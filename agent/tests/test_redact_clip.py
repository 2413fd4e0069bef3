"""Redaction with a codec that loses nothing: what is painted, what stays, and every way in which it refuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.pipeline.paint import needed_for
from fsd_agent.pipeline.redact import RedactionStoppedError, redact
from fsd_agent.ports.detector import Detector, DetectorError, Seen
from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules, Strictness
from fsd_agent.rules.privacy.plan import Refused
from fsd_agent.testing.codec import PictureCodec, PictureFrame
from fsd_agent.testing.detector import MARKERS, MarkerDetector
from fsd_agent.testing.streams import looks, row
from fsd_agent.wire.box_counts import decode_counts
from fsd_firmware.catalogue import CatalogueEntry
from fsd_firmware.samples import (
    Detections,
    DriveMode,
    EncodedPacket,
    Frame,
    GnssFixes,
    Kind,
    ModeChange,
    Signals,
    empty_gnss,
)

STEP = 50_000_000
RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, 3 * STEP, 10 * STEP, LocationRule.DROP, 0.1)
NO_PAINT = replace(RULES, faces=FaceRule.NONE, plates=PlateRule.NONE)
FRAMES, LEAD = 20, 3
WIDTH, HEIGHT = 160, 120
SIZES = dict.fromkeys(("front", "rear"), (WIDTH, HEIGHT))
PATHS = ("Vehicle.Speed", "Vehicle.CurrentLocation.Latitude", "Vehicle.Secret")


def picture(number: int, *, persons: bool = True) -> np.ndarray:
    """Grey noise, a pedestrian walking right and a standing car, in the colours that the detector sees."""
    bgr = np.random.default_rng(number).integers(90, 130, (HEIGHT, WIDTH, 3), np.uint8)
    if persons:
        x = 20 + 2 * number
        bgr[30:80, x : x + 16] = MARKERS[Kind.PEDESTRIAN]
    bgr[70:110, 100:150] = MARKERS[Kind.CAR]
    return bgr


def video(camera: str = "front", *, persons: bool = True) -> tuple[EncodedPacket, ...]:
    frames = [PictureFrame((n - LEAD) * STEP, picture(n, persons=persons)) for n in range(FRAMES + LEAD)]
    return tuple(PictureCodec().encode(camera, frames, fps=20, keyframe_every=8))


def firmware(camera: str = "front", *, persons: bool = True) -> Detections:
    seen = []
    for n in range(FRAMES + LEAD):
        x = 20 + 2 * n
        boxes: list[tuple[int, float, tuple[float, ...]]] = [(int(Kind.CAR), 0.9, (100, 70, 150, 110))]
        if persons:
            boxes.append((int(Kind.PEDESTRIAN), 0.8, (x, 30, x + 16, 80)))
        seen.append(((n - LEAD) * STEP, boxes))
    return looks(camera, "firmware", seen)


def clip(**changes: Any) -> Clip:
    evidence = (("Vehicle.Speed", 3.5), ("Vehicle.Secret", 1.0), ("detections.pedestrian", 1.0))
    values: dict[str, Any] = {
        "row": row(0, FRAMES * STEP, cameras=("front",), signals=PATHS[:2]),
        "firings": (JudgedFiring("f", Firing("c", 1, 5 * STEP, evidence), 5, "0" * 32, None),),
        "catalogue": tuple(CatalogueEntry(path, "double", "", 0, 1, "") for path in PATHS),
        "signals": Signals(
            np.array([0, 1, 2, 3]), np.array([2, 0, 1, 0], np.int32), np.array([0.1, 0.2, 0.3, 0.4])
        ),
        "packets": video(),
        "detections": (firmware(),),
        "gnss": GnssFixes(np.array([1]), *(np.array([7.0]) for _ in range(5))),
        "modes": (ModeChange(0, DriveMode.MANUAL),),
        **changes,
    }
    return Clip(**values)


def done(
    source: Clip,
    rules: RedactionRules = RULES,
    codec: PictureCodec | None = None,
    detectors: Sequence[Detector] = (),
    **more: Any,
) -> RedactedClip:
    result = redact(source, rules, codec or PictureCodec(), detectors, sizes=SIZES, **more)
    assert isinstance(result, RedactedClip), result
    return result


def pictures(packets: Sequence[EncodedPacket]) -> dict[int, np.ndarray]:
    return {frame.t_ns: frame.bgr() for frame in PictureCodec().decode(packets)}


def test_heads_and_plates_are_black_and_the_rest_is_untouched() -> None:
    redacted = done(clip())
    before, after = pictures(video()), pictures(redacted.clip.packets)
    assert list(after) == [n * STEP for n in range(FRAMES)]
    assert redacted.clip.packets[0].keyframe
    for t_ns, now in after.items():
        x = 20 + 2 * (t_ns // STEP + LEAD)
        head = now[30:44, x : x + 16]
        plate = now[88:110, 100:150]
        assert not head.any()
        assert not plate.any()
        changed = (now != before[t_ns]).any(axis=2)
        assert not now[changed].any()  # what changed is black
        assert not changed[:24].any()
        assert not changed[46:86, :94].any()


def test_the_record_counts_what_was_done() -> None:
    redacted = done(clip())
    record = redacted.redaction
    assert record.rules == (
        "faces=head_zone",
        "plates=plate_band",
        "strictness=standard",
        "fill=solid",
        "location=drop",
    )
    assert record.sources == ("firmware",)
    assert record.frames == FRAMES
    assert record.boxes >= 2 * FRAMES
    black = sum(int((~bgr.any(axis=2)).sum()) for bgr in pictures(redacted.clip.packets).values())
    assert record.filled_share == pytest.approx(black / (FRAMES * WIDTH * HEIGHT))
    assert record.location == "dropped"
    assert record.version == 2
    (source,) = record.models
    assert (source.source, source.digest, source.looks) == ("firmware", "", FRAMES)
    (camera,) = record.cameras
    assert (camera.camera, camera.width, camera.height) == ("front", WIDTH, HEIGHT)
    assert (camera.frames, camera.filled_share, camera.counted_every) == (FRAMES, record.filled_share, 1)
    assert decode_counts(camera.counts).shape == (FRAMES,)
    assert decode_counts(camera.counts).sum() == record.boxes


def test_the_record_tells_cameras_and_packages_apart() -> None:
    detector = MarkerDetector()
    both = clip(
        row=row(0, FRAMES * STEP, cameras=("front", "rear"), signals=()),
        packets=(*video("front"), *video("rear", persons=False)),
        detections=(),
    )
    record = done(both, detectors=[detector]).redaction
    assert [(one.source, one.digest, one.looks) for one in record.models] == [
        ("marker@1", detector.digest, len(detector.looked_at))
    ]
    front, rear = record.cameras
    assert (front.camera, rear.camera) == ("front", "rear")
    assert front.filled_share > rear.filled_share > 0
    assert record.filled_share == pytest.approx((front.filled_share + rear.filled_share) / 2)


def test_a_detector_alone_covers_them_too_and_its_boxes_stay_as_annotations() -> None:
    detector = MarkerDetector()
    redacted = done(clip(detections=()), detectors=[detector])
    assert [t // STEP for _, t in detector.looked_at] == [0, 6, 12, 18, 19]
    for t_ns, now in pictures(redacted.clip.packets).items():
        x = 20 + 2 * (t_ns // STEP + LEAD)
        assert not now[30:44, x : x + 16].any()
        assert not now[88:110, 100:150].any()
    assert [one.source for one in redacted.clip.detections] == ["marker@1"]
    assert redacted.redaction.sources == ("marker@1",)


def test_a_slow_camera_is_looked_at_often_enough_for_the_rules() -> None:
    """Every sixth of its frames would be further apart than the rules allow, and no clip would ever leave."""
    detector = MarkerDetector()
    done(clip(detections=()), replace(RULES, max_gap_ns=2 * STEP), detectors=[detector])
    assert [t // STEP for _, t in detector.looked_at] == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 19]


def test_the_frames_around_a_pause_of_the_camera_are_looked_at() -> None:
    """A camera that gave no frame for longer than the rules allow costs a clip nothing but those frames."""
    restarted = tuple(
        PictureCodec().encode(
            "front",
            [PictureFrame((n - LEAD) * STEP, picture(n)) for n in range(16 + LEAD, FRAMES + LEAD)],
            fps=20,
            keyframe_every=8,
        )
    )
    detector = MarkerDetector()
    packets = video()[: 8 + LEAD] + restarted
    redacted = done(
        clip(packets=packets, detections=()), replace(RULES, max_gap_ns=4 * STEP), detectors=[detector]
    )
    assert [t // STEP for _, t in detector.looked_at] == [0, 4, 7, 16, 19]
    assert len(redacted.clip.packets) == 12


@pytest.mark.parametrize("sizes", [{"front": (2 * WIDTH, 2 * HEIGHT)}, {"rear": (WIDTH, HEIGHT)}, {}])
def test_boxes_in_pixels_of_another_picture_size_paint_nothing_that_may_leave(
    sizes: dict[str, tuple[int, int]],
) -> None:
    """Firmware's boxes are in pixels of the camera that it describes; on other video they miss the heads."""
    result = redact(clip(), RULES, PictureCodec(), [MarkerDetector()], sizes=sizes)
    assert isinstance(result, Refused)
    assert result.reason == DropReason.REDACTION_FAILED
    assert "160x120" in result.detail


def test_redaction_that_is_told_to_stop_stops_at_once() -> None:
    with pytest.raises(RedactionStoppedError):
        redact(clip(), RULES, PictureCodec(), (), sizes=SIZES, stopped=lambda: True)


def test_every_detector_looks_at_the_same_frames_and_strict_rules_ask_them_to_be_thorough() -> None:
    for strictness in Strictness:
        both = MarkerDetector(source="one@1"), MarkerDetector(source="two@1")
        redacted = done(clip(detections=()), replace(RULES, strictness=strictness), detectors=both)
        assert redacted.redaction.sources == ("one@1", "two@1")
        assert both[0].looked_at == both[1].looked_at
        assert set(both[0].thorough + both[1].thorough) == {strictness is Strictness.STRICT}
        assert f"strictness={strictness}" in redacted.redaction.rules


def test_one_broken_detector_of_two_refuses_the_clip() -> None:
    both = [MarkerDetector(source="one@1"), broken_detector()]
    result = redact(clip(), RULES, PictureCodec(), both, sizes=SIZES)
    assert isinstance(result, Refused)
    assert result.reason == DropReason.REDACTION_FAILED


def test_firmware_and_detector_are_united() -> None:
    cars_only = firmware(persons=False)
    redacted = done(clip(detections=(cars_only,)), detectors=[MarkerDetector()])
    assert redacted.redaction.sources == ("firmware", "marker@1")
    for t_ns, now in pictures(redacted.clip.packets).items():
        x = 20 + 2 * (t_ns // STEP + LEAD)
        assert not now[30:44, x : x + 16].any()


def test_only_allowed_signals_evidence_and_positions_leave() -> None:
    redacted = done(clip()).clip
    assert [entry.path for entry in redacted.catalogue] == ["Vehicle.Speed"]
    assert redacted.signals.value.tolist() == [0.2, 0.4]
    assert redacted.signals.signal.tolist() == [0, 0]
    assert redacted.firings[0].firing.evidence == (("Vehicle.Speed", 3.5), ("detections.pedestrian", 1.0))
    assert len(redacted.gnss) == 0
    assert redacted.modes == ()
    kept = done(clip(), replace(RULES, location=LocationRule.KEEP)).clip
    assert [entry.path for entry in kept.catalogue] == list(PATHS[:2])
    assert len(kept.gnss) == 1


def test_without_rules_packets_pass_unchanged_and_no_codec_is_needed() -> None:
    source = clip()
    result = redact(source, NO_PAINT, None, (), sizes={})
    assert isinstance(result, RedactedClip)
    assert result.clip.packets == source.packets
    assert (result.redaction.boxes, result.redaction.filled_share) == (0, 0.0)
    assert len(result.clip.gnss) == 0  # the location rule still holds


def test_a_clip_without_cameras_needs_no_video() -> None:
    no_cameras = replace(clip().row, cameras=())
    result = redact(clip(row=no_cameras, packets=(), detections=()), RULES, None, (), sizes=SIZES)
    assert isinstance(result, RedactedClip)
    assert result.redaction.frames == 0


def damaged(at: int) -> tuple[EncodedPacket, ...]:
    packets = list(video())
    packets[at] = replace(packets[at], data=packets[at].data[:-9])
    return tuple(packets)


def broken_detector() -> MarkerDetector:
    detector = MarkerDetector()
    detector.fail_next()
    return detector


@pytest.mark.parametrize(
    ("changes", "rules", "codec", "detector", "reason", "detail"),
    [
        ({}, RULES, None, None, DropReason.REDACTION_NO_CODEC, "no codec"),
        ({"packets": ()}, RULES, PictureCodec(), None, DropReason.NO_VIDEO, "no packet of front"),
        ({"packets": video()[:2]}, RULES, PictureCodec(), None, DropReason.NO_VIDEO, "no frame inside"),
        (
            {"detections": ()},
            RULES,
            PictureCodec(),
            None,
            DropReason.REDACTION_NOT_LOOKED,
            "no source looked",
        ),
        (
            {"detections": (firmware("rear"),)},
            RULES,
            PictureCodec(),
            None,
            DropReason.REDACTION_NOT_LOOKED,
            "front: no source",
        ),
        (
            {"packets": video() + video("rear")},
            RULES,
            PictureCodec(),
            None,
            DropReason.REDACTION_NOT_LOOKED,
            "rear: no source",
        ),
        ({}, RULES, PictureCodec(fail_decode_at=7), None, DropReason.VIDEO_DAMAGED, "told to fail"),
        ({"packets": damaged(0)}, RULES, PictureCodec(), None, DropReason.VIDEO_DAMAGED, "can't be decoded"),
        ({"packets": damaged(22)}, RULES, PictureCodec(), None, DropReason.VIDEO_DAMAGED, "can't be decoded"),
        ({"packets": video()[1:]}, RULES, PictureCodec(), None, DropReason.VIDEO_DAMAGED, "no key frame"),
        ({}, RULES, PictureCodec(fail_encode_at=7), None, DropReason.REDACTION_FAILED, "can't be encoded"),
        ({}, RULES, PictureCodec(), broken_detector(), DropReason.REDACTION_FAILED, "told to fail"),
        (
            {"detections": (firmware(persons=False),)},
            RULES,
            PictureCodec(),
            None,
            DropReason.REDACTION_FAILED,
            "fired on persons",
        ),
        (
            {},
            replace(RULES, faces="unheard of"),
            PictureCodec(),
            None,
            DropReason.REDACTION_UNKNOWN_RULE,
            "faces: unheard of",
        ),
        (
            {},
            replace(RULES, location="unheard of"),
            PictureCodec(),
            None,
            DropReason.REDACTION_UNKNOWN_RULE,
            "location: unheard of",
        ),
        (
            {},
            replace(RULES, strictness="unheard of"),
            PictureCodec(),
            None,
            DropReason.REDACTION_UNKNOWN_RULE,
            "strictness: unheard of",
        ),
    ],
)
def test_it_fails_closed(
    changes: dict[str, Any],
    rules: RedactionRules,
    codec: PictureCodec | None,
    detector: MarkerDetector | None,
    reason: DropReason,
    detail: str,
) -> None:
    result = redact(clip(**changes), rules, codec, [detector] if detector else [], sizes=SIZES)
    assert isinstance(result, Refused)
    assert result.reason == reason
    assert detail in result.detail


class ShortCodec(PictureCodec):
    """Loses the last packet without saying so."""

    def encode(self, *args: Any, **kwargs: Any) -> Any:
        return list(super().encode(*args, **kwargs))[:-1]


def test_an_encoder_that_loses_a_frame_is_refused() -> None:
    result = redact(clip(), RULES, ShortCodec(), (), sizes=SIZES)
    assert isinstance(result, Refused)
    assert result.reason == DropReason.REDACTION_FAILED
    assert "19 packets for 20 frames" in result.detail


def test_where_faces_need_no_cover_nobody_has_to_be_seen() -> None:
    assert done(clip(detections=(firmware(persons=False),)), replace(RULES, faces=FaceRule.NONE))


class BlinkingDetector(MarkerDetector):
    """Overlooks persons at the frames of ``blind`` unless it is asked to be thorough."""

    def __init__(self, blind: Sequence[int], **more: Any) -> None:
        super().__init__(**more)
        self._blind = {at * STEP for at in blind}

    def detect(self, frame: Frame, *, min_score: float, thorough: bool = False) -> Seen:
        """As its parent, but for persons."""
        seen = super().detect(frame, min_score=min_score, thorough=thorough)
        if thorough or frame.t_ns not in self._blind:
            return seen
        found = seen.detections
        kept = found.kind != Kind.PEDESTRIAN
        rows = {name: getattr(found, name)[kept] for name in ("frame", "kind", "score", "box", "distance_m")}
        more = {name: getattr(found, name)[kept] for name in ("track_id", "ttc_s")}
        return Seen(replace(found, **rows, **more), seen.features)


SHORT_HOLD = replace(RULES, hold_ns=0)


def heads_open(redacted: RedactedClip) -> list[int]:
    """Numbers of frames in which something of the head shows."""
    after = pictures(redacted.clip.packets)
    shown = []
    for t_ns, now in after.items():
        x = 20 + 2 * (t_ns // STEP + LEAD)
        if now[30:44, x : x + 16].any():
            shown.append(t_ns // STEP)
    return shown


def test_a_stretch_that_has_nobody_is_looked_at_again_at_every_frame() -> None:
    """Without the second look the frames 7 to 17 would show the head: the looks at 6, 12 and 18 are the nearest."""
    detector = BlinkingDetector([12])
    redacted = done(clip(detections=()), SHORT_HOLD, detectors=[detector])
    looked = [t // STEP for _, t in detector.looked_at]
    assert looked == [0, 6, 12, 18, 19, *range(6, 19)]
    assert detector.thorough == [False] * 5 + [True] * 13
    assert redacted.redaction.looked_again == 13
    assert heads_open(redacted) == []
    (kept,) = redacted.clip.detections
    assert kept.frame_t_ns.tolist() == sorted({t * STEP for t in looked})


def test_where_nobody_was_missed_no_frame_is_looked_at_twice() -> None:
    detector = MarkerDetector()
    redacted = done(clip(detections=()), detectors=[detector])
    assert redacted.redaction.looked_again == 0
    assert len(detector.looked_at) == 5


def test_whoever_goes_missing_in_mid_picture_is_looked_for_behind_it() -> None:
    detector = BlinkingDetector(range(12, 20))
    redacted = done(clip(detections=()), SHORT_HOLD, detectors=[detector])
    assert [t // STEP for _, t in detector.looked_at[5:]] == [*range(6, 18), 19]
    assert heads_open(redacted) == []


class CountingCodec(PictureCodec):
    """Knows what it has decoded, in streams."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: list[list[int]] = []

    def decode(self, packets: Iterable[EncodedPacket]) -> Iterator[PictureFrame]:
        """As its parent."""
        packets = list(packets)
        self.streams.append([packet.t_ns // STEP for packet in packets])
        return super().decode(packets)


def test_to_look_a_video_is_decoded_as_far_as_it_is_looked_at() -> None:
    """Key frames at -3, 5 and 13; looks at 0, 6, 12, 18, 19, and again at 6 to 18."""
    codec = CountingCodec()
    done(clip(detections=()), SHORT_HOLD, codec, detectors=[BlinkingDetector([12])])
    size, first, again, painting = codec.streams
    assert size == [-3]
    assert first == [*range(-3, 1), *range(5, 13), *range(13, 20)]
    assert again == list(range(5, 19))
    assert painting == list(range(-3, 20))


@given(keys=st.lists(st.booleans(), max_size=12), wanted=st.sets(st.integers(0, 12)), seed=st.integers(0, 99))
def test_what_is_decoded_for_some_frames_shows_them_as_the_whole_video_does(
    keys: list[bool], wanted: set[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    packets: list[EncodedPacket] = []
    frames = [PictureFrame(n, rng.integers(0, 255, (2, 2, 3), np.uint8)) for n in range(len(keys) + 1)]
    starts = [0, *(n for n, key in enumerate(keys, 1) if key), len(frames)]
    for start, end in pairwise(starts):
        packets += PictureCodec().encode("front", frames[start:end], fps=1, keyframe_every=99)
    needed = needed_for(frozenset(wanted), packets)
    whole, some = pictures(packets), pictures(needed)
    assert wanted & set(whole) <= set(some)
    assert all((some[t] == whole[t]).all() for t in some)
    lasts = [one.t_ns for one, then in pairwise([*needed, None]) if then is None or then.keyframe]
    assert set(lasts) <= wanted, "nothing is decoded behind the last of a group that is wanted"


def test_rules_without_faces_look_once() -> None:
    rules = replace(RULES, faces=FaceRule.NONE)
    detector = BlinkingDetector([12])
    assert done(clip(detections=()), rules, detectors=[detector]).redaction.looked_again == 0


def test_a_second_look_that_fails_refuses_the_clip() -> None:
    detector = BlinkingDetector([12])
    broken = FailsLater(detector, after=5)
    result = redact(clip(detections=()), SHORT_HOLD, PictureCodec(), [broken], sizes=SIZES)
    assert isinstance(result, Refused)
    assert result.reason == DropReason.REDACTION_FAILED


class FailsLater:
    """Breaks after some looks."""

    def __init__(self, inner: Detector, after: int) -> None:
        self._inner, self._left = inner, after

    @property
    def source(self) -> str:
        """As the one inside."""
        return self._inner.source

    def detect(self, frame: Frame, *, min_score: float, thorough: bool = False) -> Seen:
        """As the one inside, until it breaks."""
        if not self._left:
            raise DetectorError("told to fail")
        self._left -= 1
        return self._inner.detect(frame, min_score=min_score, thorough=thorough)


def test_what_the_models_see_of_nobody_on_a_clip_that_fired_on_persons_is_refused() -> None:
    """The trigger saw a pedestrian; no model sees anybody in any frame."""
    detector = MarkerDetector({Kind.CAR: MARKERS[Kind.CAR]})
    result = redact(clip(detections=()), RULES, PictureCodec(), [detector], sizes=SIZES)
    assert isinstance(result, Refused)
    assert result.reason == DropReason.REDACTION_FAILED
    assert "fired on persons" in result.detail


@given(
    hours=st.integers(-11, 11),
    places=st.lists(st.tuples(st.floats(-90, 90), st.floats(-7.4, 7.4)), min_size=2, max_size=2),
    after=st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), max_size=3),
)
def test_of_a_dropped_position_nothing_but_the_time_zone_can_be_told(
    hours: int, places: list[tuple[float, float]], after: list[tuple[float, float]]
) -> None:
    def made(lat: float, off: float, *more: tuple[float, float]) -> RedactedClip:
        lats, lons = zip((lat, 15 * hours + off), *more, strict=True)
        other = np.zeros(len(lats))
        gnss = GnssFixes(np.arange(len(lats)), np.array(lats), np.array(lons), other, other, other)
        return done(clip(gnss=gnss, packets=(), row=row(0, FRAMES * STEP, cameras=())), NO_PAINT)

    one, two = made(*places[0]), made(*places[1], *after)
    assert one.redaction == two.redaction
    assert one.redaction.utc_offset_h == hours
    assert not len(one.clip.gnss)
    assert not len(two.clip.gnss)


@pytest.mark.parametrize("location", LocationRule)
def test_the_time_zone_is_kept_whatever_is_done_to_positions(location: LocationRule) -> None:
    rules = replace(NO_PAINT, location=location)
    far_east = GnssFixes(np.array([1]), *(np.array([value]) for value in (31.2, 121.5, 4.0, 0.0, 0.0)))
    assert done(clip(gnss=far_east), rules).redaction.utc_offset_h == 8
    assert done(clip(gnss=far_east), replace(rules, time_zone=False)).redaction.utc_offset_h is None
    assert done(clip(gnss=empty_gnss()), rules).redaction.utc_offset_h is None
