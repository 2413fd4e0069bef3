"""Redaction of video end to end, at 1280x720: what a frame costs to decode, to look at, to paint and to encode again.

The street video of the data set, encoded as a camera would. The parts are timed one after the other in the same rounds, and a frame's cost is
put together as the agent spends it: decoded twice (to look and to paint), looked at every third time, painted and encoded. So other
shares of looks can be told from the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsd_agent.pipeline.look import LOOK_EVERY_FRAMES, look_at
from fsd_agent.ports.detector import Detector
from fsd_agent.records.region import RedactionRules
from fsd_agent.records.staged import join_detections
from fsd_agent.rules.privacy.plan import RedactionPlan, plan_redaction
from fsd_firmware.codec_pyav import PyAvCodec, PyAvFrame, file_fps, frames_of_file
from fsd_firmware.samples import Detections, EncodedPacket, Frame
from fsd_tools.bench.frame import Figure, Goal, figure, interleaved
from fsd_tools.errors import ToolError

FRAMES = 33
"""Of the video: enough for a key frame and what follows it."""
LOOKED = 4
FRAMES_PER_S = 35.0
CAMERA = "front"


@dataclass(frozen=True, slots=True)
class _Parts:
    """Seconds of processor time a frame."""

    decode: float
    look: float
    paint: float
    encode: float

    def frame(self, looks: float) -> float:
        """Of one frame that is looked at ``looks`` times on average; each time the video is looked through, it is decoded."""
        passes = 2 if looks < 1 else 3
        return passes * self.decode + looks * self.look + self.paint + self.encode


def video_figures(
    rounds: int, video: Path, detectors: Sequence[Detector], rules: RedactionRules
) -> list[Figure]:
    """Frames a second on one core."""
    fps = file_fps(video)
    frames = [frame for frame, _ in zip(frames_of_file(video), range(FRAMES), strict=False)]
    packets = tuple(PyAvCodec().encode(CAMERA, frames, fps=fps, keyframe_every=round(fps)))
    parts = _timed(rounds, packets, detectors, rules, fps)
    kb = sum(len(packet.data) for packet in packets) / len(packets) / 1e3
    return [
        figure(
            "1280x720 end to end: decode, look at every third frame, paint, encode, one core",
            1 / parts.frame(1 / LOOK_EVERY_FRAMES),
            "frames/s",
            peer="encoding alone",
            peer_value=1 / parts.encode,
            goal=Goal(">=", FRAMES_PER_S, "value"),
        ),
        figure(
            "where every frame is looked at again", 1 / parts.frame(1 + 1 / LOOK_EVERY_FRAMES), "frames/s"
        ),
        figure("1280x720: decode", 1e3 * parts.decode, "ms/frame"),
        figure("1280x720: look, detectors and picture", 1e3 * parts.look, "ms/look"),
        figure("1280x720: plan and paint", 1e3 * parts.paint, "ms/frame"),
        figure("1280x720: encode", 1e3 * parts.encode, "ms/frame"),
        figure("1280x720: encoded frame", kb, "kB"),
    ]


def _timed(
    rounds: int,
    packets: Sequence[EncodedPacket],
    detectors: Sequence[Detector],
    rules: RedactionRules,
    fps: float,
) -> _Parts:
    codec = PyAvCodec()
    decoded = list(codec.decode(packets))
    looked = decoded[:: len(decoded) // LOOKED][:LOOKED]
    seen = [one for frame in decoded[::LOOK_EVERY_FRAMES] for one in _look(frame, detectors, rules)]
    frame_t_ns = np.array([frame.t_ns for frame in decoded], np.int64)
    width, height = decoded[0].width, decoded[0].height

    def plan() -> RedactionPlan:
        made = plan_redaction(rules, join_detections(seen), frame_t_ns, width, height)
        if not isinstance(made, RedactionPlan):
            raise ToolError(f"the policy refuses: {made.reason}: {made.detail}")
        return made

    def paint() -> None:
        made = plan()
        for at, frame in enumerate(decoded):
            frame.fill(made.at(at))

    ways: dict[str, Callable[[], object]] = {
        "decode": lambda: [frame.t_ns for frame in codec.decode(packets)],
        "look": lambda: [_look(frame, detectors, rules) for frame in looked],
        "paint": paint,
        "encode": lambda: list(codec.encode(CAMERA, decoded, fps=fps, keyframe_every=round(fps))),
    }
    spent = interleaved(rounds, ways)
    n = len(decoded)
    return _Parts(spent["decode"] / n, spent["look"] / len(looked), spent["paint"] / n, spent["encode"] / n)


def _look(frame: PyAvFrame, detectors: Sequence[Detector], rules: RedactionRules) -> list[Detections]:
    return look_at(Frame(CAMERA, frame.t_ns, frame.bgr()), detectors, rules.strictness)
