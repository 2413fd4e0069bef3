"""Looks at every frame of a clip as it arrived, for whom it should hide and still shows.

The checker's models look at whole pictures and at tiles (``full``); what is painted is found in the pixels. Two questions need the
record that the clip carries: which rules were applied, of which the region's own policy may ask for more and never for less; and
which share of a camera's pixels is said to be filled: where less than that is painted, the record is not of this video.

A clip that can't be decoded to its end is not passed: nobody could look at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from fsd_agent.adapters.model_faults import LOOK_LIMIT_S
from fsd_agent.ports.checker import Checker
from fsd_agent.ports.detector import DetectorError
from fsd_agent.records.check import Finding, Miss, Verdict
from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.records.region import FaceRule, Fill, LocationRule, PlateRule, RedactionRules
from fsd_agent.rules.privacy.check import PAINTED, misses
from fsd_agent.rules.privacy.painted import painted_in
from fsd_agent.wire.clip import ClipContents
from fsd_agent.wire.clip_messages import ClipMessageError
from fsd_firmware.codec import CodecError, VideoCodec
from fsd_firmware.samples import Frame
from fsd_tools.errors import ToolError

RECORD = "record"
"""The source of a finding that needs no model."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of one clip."""

    verdict: Verdict
    fault: str
    """Why it could not be looked at to its end; empty where it could."""

    @property
    def passed(self) -> bool:
        """Only what was looked at as a whole, and showed nothing."""
        return self.verdict.passed and not self.fault


def check_clip(
    clip: ClipContents,
    codec: VideoCodec,
    checkers: Sequence[Checker],
    asked: RedactionRules | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Looked | None:
    """Every frame of every camera; None where it was told to stop. ``asked`` is what the region's policy asks for."""
    findings, frames = list[Finding](), 0
    try:
        record = record_of(clip)
        rules = rules_for(record, asked)
        if rules.faces is FaceRule.NONE and rules.plates is PlateRule.NONE:
            return Looked(Verdict(0, ()), "")
        for camera in sorted({packet.camera for packet in clip.packets}):
            packets, shares = [packet for packet in clip.packets if packet.camera == camera], list[float]()
            for frame in codec.decode(packets):
                if stopped():
                    return None
                painted = painted_in(frame, rules.fill)
                picture = Frame(camera, frame.t_ns, frame.bgr())
                seen = [one.look(picture, full=True) for one in checkers]
                findings += misses(rules, seen, painted, camera, frame.t_ns)
                shares.append(float(painted.mean()))
            findings += _unfilled(record, camera, packets[0].t_ns, PAINTED[rules.fill], shares)
            frames += len(shares)
    except (CodecError, DetectorError, ClipMessageError) as error:
        return Looked(Verdict(frames, tuple(findings)), str(error))
    return Looked(Verdict(frames, tuple(findings)), "")


def record_of(clip: ClipContents) -> RedactionRecord:
    """The record that the clip carries. Raises :class:`ClipMessageError`."""
    try:
        return msgspec.convert(clip.provenance.get("redaction"), RedactionRecord)
    except msgspec.ValidationError as error:
        raise ClipMessageError(f"provenance.redaction: {error}") from None


def rules_for(record: RedactionRecord, asked: RedactionRules | None) -> RedactionRules:
    """The rules that the record says were applied, and those of the region's policy where they ask for more."""
    heads = f"faces={FaceRule.NONE}" not in record.rules
    plates = f"plates={PlateRule.NONE}" not in record.rules
    pixelated = f"fill={Fill.PIXELATE}" in record.rules
    if asked is not None:
        pixelated = asked.fill is Fill.PIXELATE
        heads = heads or asked.faces is not FaceRule.NONE
        plates = plates or asked.plates is not PlateRule.NONE
    return RedactionRules(
        FaceRule.HEAD_ZONE if heads else FaceRule.NONE,
        PlateRule.PLATE_BAND if plates else PlateRule.NONE,
        hold_ns=0,
        max_gap_ns=1,
        location=LocationRule.DROP,
        location_grid_deg=1.0,
        fill=Fill.PIXELATE if pixelated else Fill.SOLID,
    )


def _unfilled(
    record: RedactionRecord, camera: str, t_ns: int, least: float, painted: Sequence[float]
) -> Iterator[Finding]:
    """A finding where less than the share ``least`` of what the record claims is there; ``painted`` is the share of each frame."""
    for one in record.cameras:
        if one.camera == camera and float(np.mean(painted)) < least * one.filled_share:
            where = (0.0, 0.0, float(one.width), float(one.height))
            yield Finding(camera, t_ns, Miss.NOT_PAINTED, RECORD, 1.0, where)


def open_checkers(packages: Sequence[Path], threads: int) -> tuple[VideoCodec, tuple[Checker, ...]]:
    """Raises :class:`ToolError` where a package or the codec can't be used."""
    try:
        from fsd_agent.adapters.onnx_checker import OnnxChecker
        from fsd_firmware.codec_pyav import PyAvCodec
    except ImportError as error:
        raise ToolError(f"checking needs the optional part 'video': {error}") from error
    try:
        return PyAvCodec(), tuple(
            OnnxChecker(one, threads=threads, run_limit_s=LOOK_LIMIT_S) for one in packages
        )
    except DetectorError as error:
        raise ToolError(str(error)) from error
