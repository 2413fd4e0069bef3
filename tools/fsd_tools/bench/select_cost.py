"""What selecting a clip costs beside redacting it: the agent's own code on one real clip of two seconds, encoded as a camera's is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from fsd_agent.pipeline.redact import redact
from fsd_agent.pipeline.select import Selector
from fsd_agent.ports.detector import Detector
from fsd_agent.records.campaign import Budget, Campaign, CampaignSet, CaptureSpec
from fsd_agent.records.clip import Clip, ClipRow, ClipState, RedactedClip
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.program import PROGRAM_VERSION, Node, Op, Program
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules
from fsd_agent.records.selection_rule import SelectionRule
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.pyav_frames import file_fps, frames_of_file
from fsd_firmware.samples import Detections, Frame, Kind, empty_gnss, empty_signals
from fsd_tools.bench.frame import Figure, Goal, figure, interleaved
from fsd_tools.errors import ToolError

CAMERA, CAMPAIGN, REGION, ID = "front", "bench", "cn", "0" * 32
SECOND_NS: Final = 1_000_000_000
RULES = RedactionRules(
    FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, SECOND_NS, SECOND_NS, LocationRule.DROP, 0.05
)


def cost_beside_redaction(rounds: int, video: Path, models: Sequence[Detector]) -> list[Figure]:
    """Quality alone, both verdicts, and the redaction that follows them, in turns."""
    clip, size = _clip(video)
    codec = PyAvCodec()

    def selecting(rule: SelectionRule) -> Selector:
        found = CampaignSet(REGION, 1, (_campaign(rule),))
        return Selector(in_force={REGION: found}.get, codec=codec, detectors=models, sizes={CAMERA: size})

    both, quality = selecting(SelectionRule()), selecting(SelectionRule(confirm=False))
    picture = np.zeros((size[1], size[0], 3), np.uint8)

    def redacting() -> None:
        done = redact(clip, RULES, codec, models, sizes={CAMERA: size})
        if not isinstance(done, RedactedClip):
            raise ToolError(f"the clip can't be redacted: {done.detail}")

    spent = interleaved(
        rounds,
        {
            "quality": lambda: quality.judge(clip, lambda: False),
            "both": lambda: both.judge(clip, lambda: False),
            "redact": redacting,
            "look": lambda: models[0].detect(Frame(CAMERA, 0, picture), min_score=0.35),
        },
    )
    if both.missed(REGION):
        raise ToolError(f"verdicts were missed: {both.missed(REGION)}")
    ms = {name: 1e3 * seconds for name, seconds in spent.items()}
    look = f"a look of {models[0].source}"
    return [
        figure("quality of a clip of one camera", ms["quality"], "ms", peer=look, peer_value=ms["look"]),
        figure("the second look at one firing", ms["both"] - ms["quality"], "ms", peer=look, peer_value=ms["look"]),
        figure("both, clip of two seconds", ms["both"], "ms", peer="redacting it", peer_value=ms["redact"],
               goal=Goal("<=", 1.0)),
    ]  # fmt: skip


def _clip(video: Path) -> tuple[Clip, tuple[int, int]]:
    """The video with key frames half a second apart, and a claim where nobody is, in its middle."""
    frames = list(frames_of_file(video))
    fps = file_fps(video)
    packets = tuple(PyAvCodec().encode(CAMERA, frames, fps=fps, keyframe_every=max(1, round(fps / 2))))
    at_ns, end_ns = packets[len(packets) // 2].t_ns, packets[-1].t_ns + 1
    width, height = frames[0].width, frames[0].height
    box = np.array([[1, 1, 1 + width // 20, 1 + height // 4]], np.float32)
    unknown = np.full(1, np.nan, np.float32)
    claimed = Detections(
        CAMERA, "firmware", np.array([at_ns]), np.zeros(1, np.int32), np.full(1, Kind.PEDESTRIAN, np.uint8),
        np.full(1, 0.9, np.float32), box, unknown, np.full(1, -1, np.int32), unknown,
    )  # fmt: skip
    row = ClipRow(
        clip_id=ID, region_id=REGION, purpose=Purpose.SAFETY, state=ClipState.CAPTURED, start_ns=0,
        end_ns=end_ns, wall_minus_mono_ns=0, cameras=(CAMERA,), signals=(), priority=0,
    )  # fmt: skip
    firing = Firing(CAMPAIGN, 1, at_ns, (("detections.pedestrian", 1.0),))
    firings = (JudgedFiring("bench", firing, 0, ID, None),)
    clip = Clip(row, firings, (), empty_signals(), packets, (claimed,), empty_gnss(), ())
    return clip, (width, height)


def _campaign(rule: SelectionRule) -> Campaign:
    return Campaign(
        id=CAMPAIGN, version=1, purpose=Purpose.SAFETY, description="", region_id=REGION, source="true",
        program=Program(PROGRAM_VERSION, (Node(Op.LITERAL, (), value=True),)), hold_ns=0, cooldown_ns=0,
        capture=CaptureSpec(0, 0, (CAMERA,), ()), budget=Budget(None, None), sample_ratio=1.0, priority=0,
        valid_from_wall_ns=0, valid_until_wall_ns=1, selection=rule,
    )  # fmt: skip
