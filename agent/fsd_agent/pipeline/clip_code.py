"""A captured clip to its code: from pictures where a detector of ours gives features of them, else from boxes.

Pictures: up to :data:`PICTURES` key frames of the window's camera, near its start, middle and end; a key frame is decoded
alone, which costs a few per cent of what painting the clip does. Boxes: those of the source that looked most often,
whoever it is, with the car's motion by its speed. The first camera of the clip's that looks out and gives a code gives it: what the
cabin shows is never coded.

Nothing that goes wrong here is the clip's fault: what a codec or a detector can't do makes a code of boxes, or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from fsd_agent.pipeline.valuing import speed_of
from fsd_agent.ports.detector import Detector, DetectorError
from fsd_agent.records.clip import Clip
from fsd_agent.records.novelty import MadeCode, Maker
from fsd_agent.records.region import DataClass
from fsd_agent.records.staged import cut_detections, join_detections
from fsd_agent.rules.cabin import class_of_camera
from fsd_agent.rules.selection.code import BOXES_SOURCE, boxes_code, pictures_code
from fsd_agent.rules.selection.moving import Speed, motion_of
from fsd_agent.rules.selection.window import Window
from fsd_firmware.codec import CodecError, CodecStalledError, VideoCodec
from fsd_firmware.samples import Detections, EncodedPacket, Features, Frame

PICTURES: Final = 3
_UNKNOWN_SPEED: Final = Speed(np.empty(0, np.int64), np.empty(0))


def make_code(
    clip: Clip,
    codec: VideoCodec | None,
    detectors: Sequence[Detector],
    sizes: Mapping[str, tuple[int, int]],
) -> MadeCode | None:
    """See the module; ``sizes`` are width and height in pixels of each camera. None: of too little."""
    for camera in clip.row.cameras:
        if class_of_camera(camera) is not DataClass.EXTERIOR_VIDEO:
            continue
        made = _of_pictures(clip, camera, codec, detectors) or _of_boxes(clip, camera, sizes.get(camera))
        if made is not None:
            return made
    return None


def _of_pictures(
    clip: Clip, camera: str, codec: VideoCodec | None, detectors: Sequence[Detector]
) -> MadeCode | None:
    keys = [one for one in clip.packets if one.camera == camera and one.keyframe]
    if codec is None or not keys:
        return None
    for detector in detectors:
        try:
            found = [_features(packet, codec, detector) for packet in _spread(keys, clip)]
        except (CodecError, CodecStalledError, DetectorError):
            continue
        known = [one for one in found if one is not None]
        values = pictures_code(np.concatenate([one.value for one in known])) if known else None
        if values is not None:
            return MadeCode(Maker.PICTURES, known[0].source, camera, values)
    return None


def _spread(keys: Sequence[EncodedPacket], clip: Clip) -> list[EncodedPacket]:
    """Key frames nearest to the window's start, middle and end, none twice."""
    row = clip.row
    wanted = [row.start_ns + (row.end_ns - row.start_ns) * at // (PICTURES - 1) for at in range(PICTURES)]
    near = (min(keys, key=lambda one: abs(one.t_ns - at_ns)) for at_ns in wanted)
    return list({one.t_ns: one for one in near}.values())


def _features(packet: EncodedPacket, codec: VideoCodec, detector: Detector) -> Features | None:
    frame = next(iter(codec.decode((packet,))), None)
    if frame is None:
        return None
    return detector.features(Frame(packet.camera, packet.t_ns, frame.bgr()))


def _of_boxes(clip: Clip, camera: str, size_px: tuple[int, int] | None) -> MadeCode | None:
    row = clip.row
    cut = (cut_detections(one, row.start_ns, row.end_ns) for one in clip.detections if one.camera == camera)
    by_source = join_detections(one for one in cut if one is not None)
    if size_px is None or not by_source:
        return None
    # Of equals the first by name: sets are in that order.
    seen = max(by_source, key=lambda one: one.frame_t_ns.shape[0])
    values = boxes_code(_window(clip, seen, size_px), seen.kind)
    return None if values is None else MadeCode(Maker.BOXES, BOXES_SOURCE, camera, values)


def _window(clip: Clip, seen: Detections, size_px: tuple[int, int]) -> Window:
    speed = speed_of(clip) or _UNKNOWN_SPEED
    return Window(
        clip.row.start_ns,
        clip.row.end_ns,
        (float(size_px[0]), float(size_px[1])),
        seen.frame_t_ns[seen.frame],
        seen.track_id.astype(np.int64),
        seen.box.astype(np.float64),
        speed.t_ns,
        motion_of(speed),
    )
