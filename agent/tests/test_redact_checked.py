"""What redaction leaves open is found before it is sealed; checkers and codec are fakes that behave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from fsd_agent.pipeline.check import SAMPLES, Means, redact_checked
from fsd_agent.pipeline.redact import RedactionStoppedError
from fsd_agent.ports.detector import DetectorStalledError
from fsd_agent.records.check import Sight
from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.redaction import CheckRecord
from fsd_agent.records.region import FaceRule, Fill, LocationRule, PlateRule, RedactionRules, Strictness
from fsd_agent.rules.privacy.plan import Refused
from fsd_agent.testing.checker import MarkerChecker
from fsd_agent.testing.codec import PictureCodec, PictureFrame
from fsd_agent.testing.streams import looks, row
from fsd_firmware.codec import CodecError, DecodedFrame
from fsd_firmware.samples import Detections, EncodedPacket, Kind, empty_gnss, empty_signals

STEP = 50_000_000
FRAMES, GROUP = 60, 20
WIDTH, HEIGHT = 200, 160
RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, 0, 10 * STEP, LocationRule.DROP, 0.1)
STRICT = replace(RULES, strictness=Strictness.STRICT)
SIZES = dict.fromkeys(("front", "rear"), (WIDTH, HEIGHT))
FACE = (40, 200, 250)
"""Blue, green, red of the face that the checker looks for."""
BODY = (80, 20, 130, 140)


def clip(
    face: tuple[int, int, int, int] | None = None,
    *,
    cameras: tuple[str, ...] = ("front",),
    frames: int = FRAMES,
) -> Clip:
    """A person stands still; ``face`` is where the face is, if any is shown."""
    bgr = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    if face is not None:
        bgr[face[1] : face[3], face[0] : face[2]] = FACE
    packets: list[EncodedPacket] = []
    seen: list[Detections] = []
    for camera in cameras:
        pictures = [PictureFrame(n * STEP, bgr) for n in range(frames)]
        packets += PictureCodec().encode(camera, pictures, fps=20, keyframe_every=GROUP)
        boxes = [(int(Kind.PEDESTRIAN), 0.9, BODY)]
        seen.append(looks(camera, "firmware", [(n * STEP, boxes) for n in range(0, frames, 3)]))
    where = row(0, frames * STEP, cameras=cameras, signals=())
    return Clip(where, (), (), empty_signals(), tuple(packets), tuple(seen), empty_gnss(), ())


IN_HEAD, BELOW, FAR = (95, 25, 115, 45), (95, 55, 115, 66), (10, 100, 40, 130)
"""Painted by standard rules, by strict ones alone, by none."""


def means(*checkers: MarkerChecker, codec: PictureCodec | None = None) -> Means:
    return Means(codec or PictureCodec(), (), checkers, SIZES)


def checked(
    source: Clip,
    rules: RedactionRules,
    how: Means,
    stopped: Callable[[], bool] = lambda: False,
) -> RedactedClip:
    outcome = redact_checked(source, rules, how, stopped)
    assert isinstance(outcome, RedactedClip), outcome
    return outcome


def test_what_passes_says_who_looked_at_how_many_frames() -> None:
    checker = MarkerChecker({Sight.FACE: FACE})
    done = checked(clip(IN_HEAD), RULES, means(checker))
    assert done.redaction.check == CheckRecord((checker.source,), (checker.digest,), SAMPLES, "")
    assert "strictness=standard" in done.redaction.rules


@pytest.mark.parametrize("fill", list(Fill))
def test_whatever_is_painted_is_told_from_what_is_not(fill: Fill) -> None:
    checker = MarkerChecker({Sight.FACE: FACE})
    rules = replace(RULES, fill=fill)
    assert checked(clip(IN_HEAD), rules, means(checker)).redaction.check is not None
    outcome = redact_checked(clip(FAR), rules, means(checker))
    assert isinstance(outcome, Refused)
    assert outcome.reason == DropReason.REDACTION_CHECK_FAILED


def test_the_sample_is_spread_over_the_clip_and_ends_at_looks() -> None:
    checker = MarkerChecker({Sight.FACE: FACE})
    checked(clip(cameras=("front", "rear")), RULES, means(checker))
    last_looks = [(GROUP * group - 1) // 3 * 3 * STEP for group in (1, 2, 3)]
    assert checker.looked_at == [(camera, t_ns) for camera in ("front", "rear") for t_ns in last_looks]
    assert checker.full == [False] * 6
    many = MarkerChecker({Sight.FACE: FACE})
    checked(clip(frames=10 * GROUP), RULES, means(many))
    assert [t_ns // STEP // GROUP for _, t_ns in many.looked_at] == [0, 4, 9]
    one = MarkerChecker({Sight.FACE: FACE})
    assert checked(clip(frames=2), RULES, means(one)).redaction.check == CheckRecord(
        (one.source,), (one.digest,), 1, ""
    )


def test_a_face_that_strict_rules_paint_is_redacted_again_and_the_record_says_why() -> None:
    checker = MarkerChecker({Sight.FACE: FACE})
    done = checked(clip(BELOW), RULES, means(checker))
    assert "strictness=strict" in done.redaction.rules
    check = done.redaction.check
    assert check is not None
    assert check.again.startswith("face in front at 0.900 s (95, 55, 115, 66), marker-checker@1")
    for frame in PictureCodec().decode(done.clip.packets):
        assert not frame.bgr()[BELOW[1] : BELOW[3], BELOW[0] : BELOW[2]].any()


@pytest.mark.parametrize(("rules", "rounds"), [(RULES, 2), (STRICT, 1)])
def test_a_face_that_no_rule_paints_does_not_leave(rules: RedactionRules, rounds: int) -> None:
    checker = MarkerChecker({Sight.FACE: FACE})
    outcome = redact_checked(clip(FAR), rules, means(checker))
    assert isinstance(outcome, Refused)
    assert outcome.reason is DropReason.REDACTION_CHECK_FAILED
    assert outcome.detail.startswith("face in front at")
    assert len(checker.looked_at) == rounds * SAMPLES


def test_a_miss_in_the_last_camera_counts_as_much() -> None:
    both = clip(cameras=("front",))
    rear = clip(FAR, cameras=("rear",))
    joined = replace(
        both,
        row=row(0, FRAMES * STEP, cameras=("front", "rear"), signals=()),
        packets=(*both.packets, *rear.packets),
        detections=(*both.detections, *rear.detections),
    )
    outcome = redact_checked(joined, RULES, means(MarkerChecker({Sight.FACE: FACE})))
    assert isinstance(outcome, Refused)
    assert "face in rear" in outcome.detail


def test_without_checkers_what_was_seen_must_still_be_black() -> None:
    done = checked(clip(FAR), RULES, means())
    assert done.redaction.check == CheckRecord((), (), SAMPLES, "")


class Bleaching(PictureCodec):
    """An encoder that makes black grey again."""

    def encode(
        self, camera: str, frames: Iterable[DecodedFrame], *, fps: float, keyframe_every: int
    ) -> Iterator[EncodedPacket]:
        def bleached() -> Iterator[PictureFrame]:
            for frame in frames:
                yield PictureFrame(frame.t_ns, np.maximum(frame.bgr(), 90))

        yield from super().encode(camera, bleached(), fps=fps, keyframe_every=keyframe_every)


def test_an_encoder_that_brings_the_painted_back_is_found_without_any_model() -> None:
    outcome = redact_checked(clip(), RULES, means(codec=Bleaching()))
    assert isinstance(outcome, Refused)
    assert outcome.reason is DropReason.REDACTION_CHECK_FAILED
    assert outcome.detail.startswith("not_painted in front at")
    assert "firmware 0.90" in outcome.detail


class Forgetful(PictureCodec):
    """Decodes what vehicles recorded, and of what it wrote itself breaks or leaves out the last frame."""

    def __init__(self, *, breaks: bool) -> None:
        super().__init__()
        self._breaks = breaks
        self._wrote = False

    def encode(
        self, camera: str, frames: Iterable[DecodedFrame], *, fps: float, keyframe_every: int
    ) -> Iterator[EncodedPacket]:
        made = list(super().encode(camera, frames, fps=fps, keyframe_every=keyframe_every))
        self._wrote = True
        yield from made

    def decode(self, packets: Iterable[EncodedPacket]) -> Iterator[PictureFrame]:
        given: Sequence[EncodedPacket] = list(packets)
        if self._wrote and self._breaks:
            raise CodecError("told to break")
        yield from super().decode(given[:-1] if self._wrote else given)


@pytest.mark.parametrize(
    ("breaks", "text"), [(True, "told to break"), (False, "no frame for a packet of ours")]
)
def test_what_can_t_be_decoded_again_does_not_leave(breaks: bool, text: str) -> None:
    outcome = redact_checked(clip(), RULES, means(codec=Forgetful(breaks=breaks)))
    assert isinstance(outcome, Refused)
    assert outcome.reason is DropReason.REDACTION_CHECK_FAILED
    assert outcome.detail.startswith("not checked: ")
    assert text in outcome.detail


def test_a_checker_that_breaks_lets_nothing_leave() -> None:
    checker = MarkerChecker({Sight.FACE: FACE})
    checker.fail_next()
    outcome = redact_checked(clip(), RULES, means(checker))
    assert isinstance(outcome, Refused)
    assert outcome.reason is DropReason.REDACTION_CHECK_FAILED
    assert "told to fail" in outcome.detail


def test_a_checker_that_stalls_decides_nothing_about_the_clip() -> None:
    checker = MarkerChecker({Sight.FACE: FACE})
    checker.fail_next(error=DetectorStalledError)
    with pytest.raises(DetectorStalledError, match="told to fail"):
        redact_checked(clip(), RULES, means(checker))


def test_what_redaction_refuses_is_refused_with_its_own_reason() -> None:
    unlooked = replace(clip(), detections=())
    outcome = redact_checked(unlooked, RULES, means(MarkerChecker({Sight.FACE: FACE})))
    assert isinstance(outcome, Refused)
    assert outcome.reason is DropReason.REDACTION_NOT_LOOKED


def test_a_second_redaction_that_is_refused_is_refused_with_its_reason() -> None:
    class Once(PictureCodec):
        rounds = 0

        def encode(
            self, camera: str, frames: Iterable[DecodedFrame], *, fps: float, keyframe_every: int
        ) -> Iterator[EncodedPacket]:
            self.rounds += 1
            if self.rounds > 1:
                raise CodecError("worn out")
            yield from super().encode(camera, frames, fps=fps, keyframe_every=keyframe_every)

    outcome = redact_checked(clip(BELOW), RULES, means(MarkerChecker({Sight.FACE: FACE}), codec=Once()))
    assert outcome == Refused(DropReason.REDACTION_FAILED, "worn out")


def test_where_nothing_is_painted_nothing_is_checked() -> None:
    none = replace(RULES, faces=FaceRule.NONE, plates=PlateRule.NONE)
    checker = MarkerChecker({Sight.FACE: FACE})
    assert checked(clip(FAR), none, means(checker)).redaction.check is None
    assert checker.looked_at == []
    without_video = replace(clip(cameras=()), packets=(), detections=())
    assert checked(without_video, none, Means(None, (), (checker,), SIZES)).redaction.check is None


def test_it_stops_when_told_to_also_while_it_checks() -> None:
    source = clip(IN_HEAD)
    asked = 0

    def never() -> bool:
        nonlocal asked
        asked += 1
        return False

    checked(source, RULES, means(), never)
    looks_too = asked

    def late() -> bool:
        nonlocal asked
        asked += 1
        return asked >= looks_too

    asked = 0
    with pytest.raises(RedactionStoppedError):
        redact_checked(source, RULES, means(), late)
