"""One camera's video of a clip: look, plan, paint, encode again.

The video is decoded twice, once to look and once to paint, so memory does not grow with the clip. The new video
begins with its own key frame at the window's start; the lead-in is decoded but not encoded. Frames keep their
times. Every frame is checked on its way: a frame that is missing, late or of another size is damage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.ports.detector import Detector, DetectorError
from fsd_agent.records.clip import Clip
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import RedactionRules
from fsd_agent.records.staged import cut_detections, join_detections
from fsd_agent.rules.privacy.plan import MIN_SCORE, RedactionPlan, Refused, plan_redaction
from fsd_firmware.codec import CodecError, DecodedFrame, VideoCodec
from fsd_firmware.samples import Detections, EncodedPacket, Frame

LOOK_EVERY_FRAMES = 3
"""Held over their neighbours, looks at every third frame missed at most 0.5 % of the frames that looks at every
frame would have painted, at a third of the cost."""
KEYFRAME_EVERY_S = 1.0
"""Key frames of the new video: seeking lands at most this far away."""


class _DamagedError(Exception):
    """The source video can't be decoded as it should; told apart from an encoder that fails."""


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """One camera's new video."""

    packets: tuple[EncodedPacket, ...]
    detections: tuple[Detections, ...]
    """What the painting was planned from, cut to the window."""
    plan: RedactionPlan
    pixels: int
    """Of all frames together."""


def paint(
    clip: Clip,
    camera: str,
    rules: RedactionRules,
    codec: VideoCodec,
    detector: Detector | None,
    look_every_ns: int | None,
) -> Painted | Refused:
    """The video of ``camera`` inside the clip's window as ``rules`` want it, or why it can't be had."""
    packets = [packet for packet in clip.packets if packet.camera == camera]
    frame_t_ns = np.array([p.t_ns for p in packets if p.t_ns >= clip.row.start_ns], np.int64)
    if not frame_t_ns.shape[0]:
        return Refused(DropReason.NO_VIDEO, f"{camera}: no frame inside the window")
    try:
        width, height = _size(codec, packets)
        seen = [one for one in clip.detections if one.camera == camera]
        if detector is not None:
            at_ns = _look_times(frame_t_ns, look_every_ns)
            seen += _look(_decoded(codec, packets, width, height), camera, detector, at_ns)
        looks = join_detections(seen)
        plan = plan_redaction(rules, looks, frame_t_ns, width, height)
        if isinstance(plan, Refused):
            return Refused(plan.reason, f"{camera}: {plan.detail}")
        fps = _fps(frame_t_ns)
        frames = _fill(_decoded(codec, packets, width, height), plan, clip.row.start_ns)
        every = max(1, round(fps * KEYFRAME_EVERY_S))
        new = tuple(codec.encode(camera, frames, fps=fps, keyframe_every=every))
    except _DamagedError as error:
        return Refused(DropReason.VIDEO_DAMAGED, str(error))
    except (DetectorError, CodecError) as error:
        return Refused(DropReason.REDACTION_FAILED, str(error))
    if [packet.t_ns for packet in new] != frame_t_ns.tolist() or not new[0].keyframe:
        detail = f"{camera}: {len(new)} packets for {frame_t_ns.shape[0]} frames, or of other times"
        return Refused(DropReason.REDACTION_FAILED, f"{detail}, or without a key frame at the start")
    window = (cut_detections(one, clip.row.start_ns, clip.row.end_ns) for one in looks)
    kept = tuple(one for one in window if one is not None)
    return Painted(new, kept, plan, width * height * frame_t_ns.shape[0])


def _size(codec: VideoCodec, packets: Sequence[EncodedPacket]) -> tuple[int, int]:
    """Width and height as the first packet alone tells them. Raises :class:`_DamagedError`."""
    try:
        for frame in codec.decode(packets[:1]):
            return frame.width, frame.height
    except CodecError as error:
        raise _DamagedError(str(error)) from error
    raise _DamagedError(f"camera {packets[0].camera}: {packets[0].t_ns} ns: the first packet gave no frame")


def _decoded(
    codec: VideoCodec, packets: Sequence[EncodedPacket], width: int, height: int
) -> Iterator[DecodedFrame]:
    """Every frame of ``packets``, checked. Raises :class:`_DamagedError`."""
    frames = codec.decode(packets)
    for packet in packets:
        where = f"camera {packet.camera}: {packet.t_ns} ns"
        try:
            frame = next(frames, None)
        except CodecError as error:
            raise _DamagedError(str(error)) from error
        if frame is None or frame.t_ns != packet.t_ns:
            raise _DamagedError(f"{where}: the decoder gave no frame for it")
        if (frame.width, frame.height) != (width, height):
            raise _DamagedError(f"{where}: {frame.width}x{frame.height} after {width}x{height}")
        yield frame


def _look_times(frame_t_ns: NDArray[np.int64], look_every_ns: int | None) -> frozenset[int]:
    """Frames to look at; the last one always, because no later look can be held back over it."""
    if look_every_ns is None:
        chosen = frame_t_ns[::LOOK_EVERY_FRAMES]
    else:
        period = (frame_t_ns - frame_t_ns[0]) // max(look_every_ns, 1)
        chosen = frame_t_ns[np.unique(period, return_index=True)[1]]
    return frozenset([*chosen.tolist(), int(frame_t_ns[-1])])


def _look(
    frames: Iterator[DecodedFrame], camera: str, detector: Detector, at_ns: frozenset[int]
) -> list[Detections]:
    return [
        detector.detect(Frame(camera, frame.t_ns, frame.bgr()), min_score=MIN_SCORE)
        for frame in frames
        if frame.t_ns in at_ns
    ]


def _fill(frames: Iterator[DecodedFrame], plan: RedactionPlan, start_ns: int) -> Iterator[DecodedFrame]:
    """Frames from ``start_ns`` on, painted."""
    number = 0
    for frame in frames:
        if frame.t_ns >= start_ns:
            frame.fill(plan.at(number))
            number += 1
            yield frame


def _fps(frame_t_ns: NDArray[np.int64]) -> float:
    """The usual rate; a pause in the middle must not slow the rate control down. 1 for a single frame."""
    if frame_t_ns.shape[0] < 2:
        return 1.0
    return 1e9 / float(np.median(np.diff(frame_t_ns)))
