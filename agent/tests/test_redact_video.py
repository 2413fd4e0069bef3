"""Redaction on real encoded video: what the plan says is black in the decoded pixels, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fsd_agent.pipeline.redact import redact
from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import FaceRule, Fill, LocationRule, PlateRule, RedactionRules
from fsd_agent.rules.privacy.painted import painted_in
from fsd_agent.rules.privacy.plan import Refused, plan_redaction
from fsd_agent.testing.detector import MARKERS, MarkerDetector
from fsd_agent.testing.streams import looks, row
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.pyav_frames import frame_from_bgr
from fsd_firmware.samples import EncodedPacket, Kind, empty_gnss, empty_signals

STEP = 50_000_000
FRAMES, LEAD = 16, 4
WIDTH, HEIGHT = 320, 192
SIZES = {"front": (WIDTH, HEIGHT)}
RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, 3 * STEP, 10 * STEP, LocationRule.DROP, 0.1)
BLACK = 24
"""Video-range black decodes to 0; the codec's own noise stays below this."""


def picture(number: int) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    bgr = np.stack([100 + x // 4, 110 + y // 4, np.full_like(x, 140)], axis=2).astype(np.uint8)
    left = 24 + 4 * number
    bgr[48:128, left : left + 28] = MARKERS[Kind.PEDESTRIAN]
    bgr[100:160, 200:296] = MARKERS[Kind.CAR]
    return bgr


@pytest.fixture(scope="module")
def packets() -> tuple[EncodedPacket, ...]:
    frames = [frame_from_bgr((n - LEAD) * STEP, picture(n)) for n in range(FRAMES + LEAD)]
    return tuple(PyAvCodec().encode("front", frames, fps=20, keyframe_every=10))


def clip_of(packets: tuple[EncodedPacket, ...], every: int = 4) -> Clip:
    """With firmware that looks at every fourth frame only, and at the last."""
    seen = [
        (
            (n - LEAD) * STEP,
            [
                (int(Kind.PEDESTRIAN), 0.9, (24 + 4 * n, 48, 52 + 4 * n, 128)),
                (int(Kind.CAR), 0.9, (200, 100, 296, 160)),
            ],
        )
        for n in [*range(0, FRAMES + LEAD, every), FRAMES + LEAD - 1]
    ]
    return Clip(
        row=row(0, FRAMES * STEP),
        firings=(),
        catalogue=(),
        signals=empty_signals(),
        packets=packets,
        detections=(looks("front", "firmware", seen),),
        gnss=empty_gnss(),
        modes=(),
    )


def decoded(packets: tuple[EncodedPacket, ...]) -> list[np.ndarray]:
    return [frame.bgr() for frame in PyAvCodec().decode(packets)]


def test_every_pixel_of_the_plan_is_black_and_the_rest_is_the_picture(
    packets: tuple[EncodedPacket, ...],
) -> None:
    source = clip_of(packets)
    redacted = redact(source, RULES, PyAvCodec(), (), sizes=SIZES)
    assert isinstance(redacted, RedactedClip)
    new = redacted.clip.packets
    assert [packet.t_ns for packet in new] == [n * STEP for n in range(FRAMES)]
    assert (new[0].keyframe, new[0].codec) == (True, "vp9")
    plan = plan_redaction(RULES, source.detections, np.array([p.t_ns for p in new], np.int64), WIDTH, HEIGHT)
    assert not isinstance(plan, Refused)
    for number, bgr in enumerate(decoded(new)):
        covered = np.zeros((HEIGHT, WIDTH), np.bool_)
        for x1, y1, x2, y2 in plan.at(number):
            covered[y1:y2, x1:x2] = True
        assert bgr[covered].mean() < 4
        assert np.percentile(bgr[covered], 99) < BLACK
        # Away from the edges of what was painted, the picture is what it was.
        grown = np.zeros_like(covered)
        for x1, y1, x2, y2 in plan.at(number):
            grown[max(y1 - 8, 0) : y2 + 8, max(x1 - 8, 0) : x2 + 8] = True
        change = np.abs(bgr.astype(int) - picture(number + LEAD).astype(int))[~grown]
        assert change.mean() < 12
        left = 24 + 4 * (number + LEAD)
        assert covered[48:70, left : left + 28].all()  # the walking head, between looks too
        assert covered[129:160, 200:296].all()


def test_where_a_region_allows_it_every_rectangle_is_a_few_flat_cells(
    packets: tuple[EncodedPacket, ...],
) -> None:
    rules = replace(RULES, fill=Fill.PIXELATE)
    source = clip_of(packets)
    solid, cells = (redact(source, one, PyAvCodec(), (), sizes=SIZES) for one in (RULES, rules))
    assert isinstance(solid, RedactedClip)
    assert isinstance(cells, RedactedClip)
    assert "fill=pixelate" in cells.redaction.rules
    assert "fill=solid" in solid.redaction.rules
    assert (cells.redaction.boxes, cells.redaction.filled_share) == (
        solid.redaction.boxes,
        solid.redaction.filled_share,
    )
    plan = plan_redaction(
        rules, source.detections, np.array([p.t_ns for p in cells.clip.packets], np.int64), WIDTH, HEIGHT
    )
    assert not isinstance(plan, Refused)
    for number, frame in enumerate(PyAvCodec().decode(cells.clip.packets)):
        covered = np.zeros((HEIGHT, WIDTH), np.bool_)
        for x1, y1, x2, y2 in plan.at(number):
            covered[y1:y2, x1:x2] = True
        assert painted_in(frame, Fill.PIXELATE)[covered].mean() > 0.5
        assert painted_in(frame, Fill.PIXELATE, nearly=True)[covered].mean() > 0.7
        assert not painted_in(frame, Fill.SOLID)[covered].all()


def test_the_detector_finds_nobody_in_what_was_painted(packets: tuple[EncodedPacket, ...]) -> None:
    redacted = redact(clip_of(packets), RULES, PyAvCodec(), [MarkerDetector()], sizes=SIZES)
    assert isinstance(redacted, RedactedClip)
    assert redacted.redaction.sources == ("firmware", "marker@1")
    for bgr in decoded(redacted.clip.packets):
        magenta = np.abs(bgr.astype(int) - np.array(MARKERS[Kind.PEDESTRIAN])).max(axis=2) < 60
        assert not magenta[:70].any()
        assert magenta[84:].any()  # legs are not a face


def test_frames_without_anything_seen_stay_bright(packets: tuple[EncodedPacket, ...]) -> None:
    source = clip_of(packets)
    nobody = looks("front", "firmware", [((n - LEAD) * STEP, []) for n in range(FRAMES + LEAD)])
    redacted = redact(
        Clip(source.row, (), (), source.signals, packets, (nobody,), source.gnss, ()),
        RULES,
        PyAvCodec(),
        (),
        sizes=SIZES,
    )
    assert isinstance(redacted, RedactedClip)
    assert redacted.redaction.boxes == 0
    assert all(bgr.min(axis=2).mean() > 80 for bgr in decoded(redacted.clip.packets))


@pytest.mark.parametrize("at", [0, 7, FRAMES + LEAD - 1])
def test_damaged_video_is_never_sent(packets: tuple[EncodedPacket, ...], at: int) -> None:
    broken = list(packets)
    one = broken[at]
    broken[at] = EncodedPacket(one.camera, one.t_ns, one.codec, one.keyframe, one.data[: len(one.data) // 2])
    result = redact(clip_of(tuple(broken)), RULES, PyAvCodec(), (), sizes=SIZES)
    assert isinstance(result, Refused)
    assert result.reason == DropReason.VIDEO_DAMAGED
    assert "camera front" in result.detail
