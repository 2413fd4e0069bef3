"""One camera's video of a clip: look, look again where somebody may have been missed, plan, paint, encode again.

The video is decoded once to paint, and before that as far as it is looked at: of each group of pictures up to the last that is. No
picture is kept for the next step: who is seen at the video's end may decide that its beginning is looked at again. The new video
begins with its own key frame at the window's start; the lead-in is decoded but not encoded. Frames keep their
times. Every frame is checked on its way: a frame that is missing, late or of another size is damage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.pipeline.look import look_over
from fsd_agent.ports.detector import Detector, DetectorError, DetectorStalledError
from fsd_agent.records.clip import Clip
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.redaction import CameraRecord
from fsd_agent.records.region import Fill, RedactionRules
from fsd_agent.records.staged import cut_detections, join_detections
from fsd_agent.rules.privacy.plan import RedactionPlan, Refused, plan_redaction
from fsd_agent.wire.box_counts import encode_counts
from fsd_firmware.codec import CodecError, DecodedFrame, VideoCodec
from fsd_firmware.samples import Detections, EncodedPacket

KEYFRAME_EVERY_S = 1.0
"""Key frames of the new video: seeking lands at most this far away."""


class RedactionStoppedError(Exception):
    """Told to stop in the middle; nothing was decided about the clip."""


class _DamagedError(Exception):
    """The source video can't be decoded as it should; told apart from an encoder that fails."""


class _MisfitError(Exception):
    """The video is not of the size that the boxes are about: painted places would miss the heads."""


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """One camera's new video."""

    packets: tuple[EncodedPacket, ...]
    detections: tuple[Detections, ...]
    """What the painting was planned from, cut to the window."""
    plan: RedactionPlan
    width: int
    height: int
    frames: int
    frames_again: int
    """Frames of the stretches that were looked at again."""

    @property
    def pixels(self) -> int:
        """Of all frames together."""
        return self.width * self.height * self.frames

    @property
    def record(self) -> CameraRecord:
        """What was filled in it."""
        every, counts = encode_counts(np.diff(self.plan.first))
        share = self.plan.filled_px / self.pixels
        camera = self.packets[0].camera
        return CameraRecord(camera, self.width, self.height, self.frames, share, every, counts)


def paint(
    clip: Clip,
    camera: str,
    rules: RedactionRules,
    codec: VideoCodec,
    detectors: Sequence[Detector],
    described: tuple[int, int] | None,
    stopped: Callable[[], bool],
) -> Painted | Refused:
    """The video of ``camera`` inside the clip's window as ``rules`` want it, or why it can't be had.

    ``described`` is the width and height of the pictures that the boxes of firmware are about.
    Raises :class:`RedactionStoppedError` soon after ``stopped`` has become true, and :class:`DetectorStalledError` and
    :class:`CodecStalledError`, after which another try may well succeed.
    """
    packets = [packet for packet in clip.packets if packet.camera == camera]
    frame_t_ns = np.array([p.t_ns for p in packets if p.t_ns >= clip.row.start_ns], np.int64)
    if not frame_t_ns.shape[0]:
        return Refused(DropReason.NO_VIDEO, f"{camera}: no frame inside the window")
    try:
        width, height = _size(codec, packets, described)
        seen = [one for one in clip.detections if one.camera == camera]
        looked = look_over(
            lambda at_ns: _decoded(codec, needed_for(at_ns, packets), width, height, stopped),
            camera,
            rules,
            detectors,
            seen,
            frame_t_ns,
            (width, height),
        )
        looks = looked.looks
        plan = plan_redaction(rules, looks, frame_t_ns, width, height, again=looked.again)
        if isinstance(plan, Refused):
            return Refused(plan.reason, f"{camera}: {plan.detail}")
        fps = _fps(frame_t_ns)
        new_frames = _fill(
            _decoded(codec, packets, width, height, stopped), plan, rules.fill, clip.row.start_ns
        )
        every = max(1, round(fps * KEYFRAME_EVERY_S))
        new = tuple(codec.encode(camera, new_frames, fps=fps, keyframe_every=every))
    except _DamagedError as error:
        return Refused(DropReason.VIDEO_DAMAGED, str(error))
    except DetectorStalledError:
        raise
    except (DetectorError, CodecError, _MisfitError) as error:
        return Refused(DropReason.REDACTION_FAILED, str(error))
    if [packet.t_ns for packet in new] != frame_t_ns.tolist() or not new[0].keyframe:
        detail = f"{camera}: {len(new)} packets for {frame_t_ns.shape[0]} frames, or of other times"
        return Refused(DropReason.REDACTION_FAILED, f"{detail}, or without a key frame at the start")
    everything = join_detections([*looked.again, *looks])
    window = (cut_detections(one, clip.row.start_ns, clip.row.end_ns) for one in everything)
    kept = tuple(one for one in window if one is not None)
    return Painted(new, kept, plan, width, height, frame_t_ns.shape[0], looked.frames_again)


def _size(
    codec: VideoCodec, packets: Sequence[EncodedPacket], described: tuple[int, int] | None
) -> tuple[int, int]:
    """Width and height as the first packet alone tells them.

    Raises :class:`_DamagedError`, and :class:`_MisfitError` where it is not what is ``described``.
    """
    camera = packets[0].camera
    try:
        first = next(codec.decode(packets[:1]), None)
    except CodecError as error:
        raise _DamagedError(str(error)) from error
    if first is None:
        raise _DamagedError(f"camera {camera}: {packets[0].t_ns} ns: the first packet gave no frame")
    if (first.width, first.height) != described:
        wanted = "no such camera" if described is None else f"{described[0]}x{described[1]}"
        raise _MisfitError(
            f"camera {camera}: video of {first.width}x{first.height}, the vehicle describes {wanted}"
        )
    return first.width, first.height


def _decoded(
    codec: VideoCodec,
    packets: Sequence[EncodedPacket],
    width: int,
    height: int,
    stopped: Callable[[], bool],
) -> Iterator[DecodedFrame]:
    """Every frame of ``packets``, checked. Raises :class:`_DamagedError`, :class:`RedactionStoppedError`."""
    frames = codec.decode(packets)
    for packet in packets:
        if stopped():
            raise RedactionStoppedError
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


def needed_for(at_ns: frozenset[int], packets: Sequence[EncodedPacket]) -> list[EncodedPacket]:
    """What has to be decoded for the frames at ``at_ns``: from the key frame of their group of pictures to the last of them there."""
    needed: list[EncodedPacket] = []
    group: list[EncodedPacket] = []
    for packet in packets:
        if packet.keyframe:
            group = []
        group.append(packet)
        if packet.t_ns in at_ns:
            needed += group
            group = []
    return needed


def _fill(
    frames: Iterator[DecodedFrame], plan: RedactionPlan, fill: Fill, start_ns: int
) -> Iterator[DecodedFrame]:
    """Frames from ``start_ns`` on, painted."""
    number = 0
    for frame in frames:
        if frame.t_ns >= start_ns:
            (frame.pixelate if fill is Fill.PIXELATE else frame.fill)(plan.at(number))
            number += 1
            yield frame


def _fps(frame_t_ns: NDArray[np.int64]) -> float:
    """The usual rate; a pause in the middle must not slow the rate control down. 1 for a single frame."""
    if frame_t_ns.shape[0] < 2:
        return 1.0
    return 1e9 / float(np.median(np.diff(frame_t_ns)))
