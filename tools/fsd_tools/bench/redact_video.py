"""Redaction of video end to end, at 1280x720: what a frame costs to decode, to look at, to paint and to encode again.

Both videos of the data set, at 1280x720 and thirty frames a second, encoded as a camera would: one is of a busy street, by somebody who walks, and costs
an encoder as much as video does; the other of a yard, by a camera that stands, and costs it little. The parts are timed one after the other in the same rounds, and a frame's cost is
put together as the agent spends it: decoded to look as far as it is looked at, and once to paint, looked at as often as the agent does the
first time, painted and encoded. What is looked at again depends on who comes and goes: beside it stands what the agent takes for the whole clip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fsd_agent.pipeline.look import look_at, look_times
from fsd_agent.pipeline.paint import needed_for
from fsd_agent.pipeline.redact import redact
from fsd_agent.ports.detector import Detector
from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.region import RedactionRules
from fsd_agent.records.staged import join_detections
from fsd_agent.rules.privacy.plan import RedactionPlan, plan_redaction
from fsd_agent.testing.streams import row
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.pyav_frames import PyAvFrame, frames_of_file
from fsd_firmware.samples import Detections, EncodedPacket, Frame, empty_gnss, empty_signals
from fsd_tools.bench.frame import Figure, Goal, figure, interleaved
from fsd_tools.errors import ToolError

FRAMES = 60
"""Of each video: two groups of pictures, so that key frames are as frequent as in a longer clip."""
WIDTH, HEIGHT = 1280, 720
FPS = 30.0
LOOKED = 4
FRAMES_PER_S = 35.0
CAMERA = "front"


@dataclass(frozen=True, slots=True)
class _Parts:
    """Seconds of processor time a frame."""

    decode: float
    decode_to_look: float
    """For the first look: of each group of pictures what lies behind its last look is not decoded."""
    look: float
    paint: float
    encode: float
    whole: float
    """As the agent redacts the clip, with its own share of looks and of looking again."""

    def frame(self, looks: float) -> float:
        """Of one frame of which the share ``looks`` is looked at."""
        return self.decode_to_look + looks * self.look + self.decode + self.paint + self.encode


def video_figures(
    rounds: int, videos: Mapping[str, Path], detectors: Sequence[Detector], rules: RedactionRules
) -> list[Figure]:
    """Frames a second on one core, of each video by its name."""
    return [one for name, path in videos.items() for one in _of_video(name, path, rounds, detectors, rules)]


def _of_video(
    name: str, video: Path, rounds: int, detectors: Sequence[Detector], rules: RedactionRules
) -> list[Figure]:
    packets = tuple(PyAvCodec().encode(CAMERA, _frames(video), fps=FPS, keyframe_every=round(FPS)))
    parts = _timed(rounds, packets, detectors, rules)
    often = _often(rules)
    kb = sum(len(packet.data) for packet in packets) / len(packets) / 1e3
    named = f"1280x720, {name}"
    return [
        figure(
            f"{named}: decode, look, paint, encode, one core",
            1 / parts.frame(often),
            "frames/s",
            peer="encoding alone",
            peer_value=1 / parts.encode,
            goal=Goal(">=", FRAMES_PER_S, "value"),
        ),
        figure(
            f"{named}: the whole clip as the agent does it, looked at again where it must be",
            1 / parts.whole,
            "frames/s",
        ),
        figure(f"{named}: frames that are looked at the first time", 100 * often, "%"),
        figure(f"{named}: decode", 1e3 * parts.decode, "ms/frame"),
        figure(f"{named}: decode to look", 1e3 * parts.decode_to_look, "ms/frame"),
        figure(f"{named}: look, detectors and picture", 1e3 * parts.look, "ms/look"),
        figure(f"{named}: plan and paint", 1e3 * parts.paint, "ms/frame"),
        figure(f"{named}: encode", 1e3 * parts.encode, "ms/frame"),
        figure(f"{named}: encoded frame", kb, "kB"),
    ]


def _frames(video: Path) -> list[PyAvFrame]:
    """The first ones, of the size and rate that all are measured at."""
    first = zip(frames_of_file(video), range(FRAMES), strict=False)
    return [
        PyAvFrame(round(at * 1e9 / FPS), frame.picture.reformat(width=WIDTH, height=HEIGHT))
        for frame, at in first
    ]


def _often(rules: RedactionRules) -> float:
    """Share of the frames of a clip of a minute that are looked at."""
    times = (np.arange(round(60 * FPS)) * 1e9 / FPS).astype(np.int64)
    return len(look_times(rules, times)) / times.size


def _timed(
    rounds: int,
    packets: Sequence[EncodedPacket],
    detectors: Sequence[Detector],
    rules: RedactionRules,
) -> _Parts:
    codec = PyAvCodec()
    decoded = list(codec.decode(packets))
    looked = decoded[:: len(decoded) // LOOKED][:LOOKED]
    frame_t_ns = np.array([frame.t_ns for frame in decoded], np.int64)
    at_ns = frozenset(look_times(rules, frame_t_ns))
    seen = [one for frame in decoded if frame.t_ns in at_ns for one in _look(frame, detectors, rules)]
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

    clip = Clip(
        row(0, int(frame_t_ns[-1]) + 1), (), (), empty_signals(), tuple(packets), (), empty_gnss(), ()
    )

    def whole() -> None:
        done = redact(clip, rules, codec, detectors, sizes={CAMERA: (width, height)})
        if not isinstance(done, RedactedClip):
            raise ToolError(f"refused: {done.reason}: {done.detail}")

    ways: dict[str, Callable[[], object]] = {
        "decode": lambda: [frame.t_ns for frame in codec.decode(packets)],
        "decode to look": lambda: [frame.t_ns for frame in codec.decode(needed_for(at_ns, packets))],
        "look": lambda: [_look(frame, detectors, rules) for frame in looked],
        "paint": paint,
        "encode": lambda: list(codec.encode(CAMERA, decoded, fps=FPS, keyframe_every=round(FPS))),
        "whole": whole,
    }
    spent = interleaved(rounds, ways)
    n = len(decoded)
    a_frame = {name: seconds / (len(looked) if name == "look" else n) for name, seconds in spent.items()}
    return _Parts(**{name.replace(" ", "_"): seconds for name, seconds in a_frame.items()})


def _look(frame: PyAvFrame, detectors: Sequence[Detector], rules: RedactionRules) -> list[Detections]:
    return look_at(Frame(CAMERA, frame.t_ns, frame.bgr()), detectors, rules.strictness)
