"""Misses that are planted in video: short stretches, redacted and encoded by the agent's own code, with every person forgotten.

A stretch is ``FRAMES`` consecutive frames in which a model sees a person of at least ``TALL_PX`` pixels with ``SURE``; some a video, in
equal steps. It is made twice: as the policy says, and with all boxes of persons taken out of what the plan is made from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fsd_agent.pipeline.look import look_at
from fsd_agent.ports.detector import Detector
from fsd_agent.records.clip import Clip, ClipRow, ClipState, RedactedClip
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.records.region import RedactionRules
from fsd_agent.records.staged import join_detections
from fsd_agent.rules.privacy.plan import RedactionPlan, plan_redaction
from fsd_agent.rules.privacy.zones import has_head
from fsd_firmware.codec import VideoCodec
from fsd_firmware.pyav_frames import frame_from_bgr
from fsd_firmware.samples import PERSON_KINDS, Detections, Frame, empty_gnss, empty_signals
from fsd_tools.errors import ToolError

FRAMES: Final = 12
LOOK_EVERY: Final = 3
STRETCHES: Final = 5
"""A video, at most."""
TALL_PX, SURE = 60, 0.5
STEP_NS: Final = 40_000_000
HOLD_NS, MAX_GAP_NS = 300_000_000, 500_000_000
"""Of the rules, as a region sets them."""
CAMERA: Final = "front"


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """The same frames, redacted and with persons forgotten."""

    clean: RedactedClip
    planted: RedactedClip


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some frames of a video, and what the models see in them."""

    frames: Sequence[NDArray[np.uint8]]
    looks: Sequence[Detections]

    def stretch(self, codec: VideoCodec, rules: RedactionRules) -> Stretch:
        """Redacted in both ways. Raises :class:`ToolError` where the policy refuses."""
        forgotten = [_without_heads(one) for one in self.looks]
        return Stretch(
            _made(self.frames, self.looks, codec, rules), _made(self.frames, forgotten, codec, rules)
        )


def video_rules(rules: RedactionRules) -> RedactionRules:
    """For moving pictures."""
    return replace(rules, hold_ns=HOLD_NS, max_gap_ns=MAX_GAP_NS)


def looked_at(
    frames: Sequence[NDArray[np.uint8]], detectors: Sequence[Detector], rules: RedactionRules
) -> Part | None:
    """None where no person is seen who is large enough."""
    looks = _looks(frames, detectors, rules)
    return Part(frames, looks) if any(_shows_person(one) for one in looks) else None


def chosen(parts: Sequence[Part]) -> Sequence[Part]:
    """:data:`STRETCHES` of a video's, in equal steps."""
    return parts[:: max(1, len(parts) // STRETCHES)][:STRETCHES]


def cut(video: Path) -> Iterator[list[NDArray[np.uint8]]]:
    """A video's frames in order, :data:`FRAMES` at a time. Raises :class:`ToolError` where it can't be read."""
    reader = cv2.VideoCapture(str(video))
    if not reader.isOpened():
        raise ToolError(f"{video}: can't be read as video; FSD_DATA names the data's folder")
    frames = _read(reader)
    while len(part := list(islice(frames, FRAMES))) == FRAMES:
        yield part


def _read(reader: cv2.VideoCapture) -> Iterator[NDArray[np.uint8]]:
    while True:
        more, bgr = reader.read()
        if not more:
            return
        yield np.asarray(bgr, np.uint8)


def _looks(
    frames: Sequence[NDArray[np.uint8]], detectors: Sequence[Detector], rules: RedactionRules
) -> list[Detections]:
    at = [*range(0, len(frames), LOOK_EVERY), len(frames) - 1]
    seen = [
        one for n in at for one in look_at(Frame(CAMERA, n * STEP_NS, frames[n]), detectors, rules.strictness)
    ]
    return list(join_detections(seen))


def _shows_person(one: Detections) -> bool:
    person = np.isin(one.kind, [int(kind) for kind in PERSON_KINDS])
    tall = one.box[:, 3] - one.box[:, 1] >= TALL_PX
    return bool((person & tall & (one.score >= SURE)).any())


def _without_heads(one: Detections) -> Detections:
    kept = ~has_head(one.kind)
    return Detections(
        one.camera,
        one.source,
        one.frame_t_ns,
        one.frame[kept],
        one.kind[kept],
        one.score[kept],
        one.box[kept],
        one.distance_m[kept],
        one.track_id[kept],
        one.ttc_s[kept],
    )


def _made(
    frames: Sequence[NDArray[np.uint8]],
    looks: Sequence[Detections],
    codec: VideoCodec,
    rules: RedactionRules,
) -> RedactedClip:
    height, width = frames[0].shape[:2]
    plan = plan_redaction(rules, looks, np.arange(len(frames), dtype=np.int64) * STEP_NS, width, height)
    if not isinstance(plan, RedactionPlan):
        raise ToolError(f"the policy refuses: {plan.reason}: {plan.detail}")
    painted = [frame_from_bgr(n * STEP_NS, bgr) for n, bgr in enumerate(frames)]
    for n, frame in enumerate(painted):
        frame.fill(plan.at(n))
    packets = tuple(codec.encode(CAMERA, painted, fps=1e9 / STEP_NS, keyframe_every=len(frames)))
    end_ns = len(frames) * STEP_NS
    row = ClipRow("0" * 32, "r", Purpose.SAFETY, ClipState.CAPTURED, 0, end_ns, 0, (CAMERA,), (), 0)
    clip = Clip(row, (), (), empty_signals(), packets, tuple(looks), empty_gnss(), ())
    return RedactedClip(clip, RedactionRecord((), (), len(frames), 0, 0.0, "dropped"))
