"""Redact a clip, then look at it again: encoded as it will leave, by models that redaction did not use. Before it is sealed.

A sample: of each camera's new video up to ``SAMPLES`` groups of pictures, spread over the clip, are decoded from their key frame up to
the last frame that redaction looked at, and that frame is checked (``rules/privacy/check.py``): what redaction itself saw must be
painted in it, and no checker may see a face, a head or a plate that is open. So the encoder is checked with the painting.

    passes                    the record says who looked again
    fails                     redacted once more with ``strict`` rules, and checked again
    fails with strict rules   refused as ``redaction_check_failed``: it is not sealed
    can't be decoded, or a    refused likewise: what nobody could check does not leave
    checker breaks
    a checker or the codec    raised: another try may well succeed, and the clip stays until then
    stalls

Where nothing has to be painted there is nothing to check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fsd_agent.pipeline.redact import RedactionStoppedError, redact
from fsd_agent.ports.checker import Checker
from fsd_agent.ports.detector import Detector, DetectorError, DetectorStalledError
from fsd_agent.records.check import Finding, Verdict
from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.redaction import CheckRecord
from fsd_agent.records.region import RedactionRules, Strictness
from fsd_agent.rules.privacy.check import misses, not_painted
from fsd_agent.rules.privacy.painted import painted_in
from fsd_agent.rules.privacy.plan import Refused, paints_video
from fsd_firmware.codec import CodecError, DecodedFrame, VideoCodec
from fsd_firmware.samples import EncodedPacket, Frame

SAMPLES = 3
"""Frames of each camera: the first group of pictures, the last, and those between in equal steps."""


@dataclass(frozen=True, slots=True)
class Means:
    """What redaction and its check need, and keep from clip to clip."""

    codec: VideoCodec | None
    detectors: Sequence[Detector]
    checkers: Sequence[Checker]
    sizes: Mapping[str, tuple[int, int]]
    """As ``redact`` takes them."""


def redact_checked(
    clip: Clip, rules: RedactionRules, means: Means, stopped: Callable[[], bool] = lambda: False
) -> RedactedClip | Refused:
    """The clip without what ``rules`` forbid, looked at again; or why it must not leave.

    Raises :class:`RedactionStoppedError` soon after ``stopped`` has become true, ``DetectorStalledError`` and
    ``CodecStalledError``.
    """
    outcome, why = _once(clip, rules, means, stopped)
    if why and rules.strictness is not Strictness.STRICT:
        again, still = _once(clip, replace(rules, strictness=Strictness.STRICT), means, stopped)
        if isinstance(again, RedactedClip) and not still:
            return _noted(again, why)
        outcome, why = again, still
    if isinstance(outcome, Refused):
        return outcome
    return Refused(DropReason.REDACTION_CHECK_FAILED, why) if why else outcome


def _once(
    clip: Clip, rules: RedactionRules, means: Means, stopped: Callable[[], bool]
) -> tuple[RedactedClip | Refused, str]:
    """Redacted and checked, and what the check found; empty where it passed."""
    made = redact(clip, rules, means.codec, means.detectors, sizes=means.sizes, stopped=stopped)
    if isinstance(made, Refused) or paints_video(rules) is not True or means.codec is None:
        return made, ""
    try:
        verdict = sample(made, rules, means.codec, means.checkers, stopped)
    except DetectorStalledError:
        raise
    except (CodecError, DetectorError) as error:
        return Refused(DropReason.REDACTION_CHECK_FAILED, f"not checked: {error}"), ""
    checkers = means.checkers
    names, digests = tuple(one.source for one in checkers), tuple(one.digest for one in checkers)
    record = replace(made.redaction, check=CheckRecord(names, digests, verdict.frames, ""))
    return replace(made, redaction=record), verdict.reason


def sample(
    redacted: RedactedClip,
    rules: RedactionRules,
    codec: VideoCodec,
    checkers: Sequence[Checker],
    stopped: Callable[[], bool],
) -> Verdict:
    """Look at some frames of every camera. Raises ``CodecError``, ``DetectorError``, :class:`RedactionStoppedError`."""
    clip, findings, frames = redacted.clip, list[Finding](), 0
    for camera in dict.fromkeys(packet.camera for packet in clip.packets):
        looks = [one for one in clip.detections if one.camera == camera]
        looked = {t_ns for one in looks for t_ns in one.frame_t_ns.tolist()}
        groups = _groups([packet for packet in clip.packets if packet.camera == camera])
        for at in sorted(set(np.linspace(0, len(groups) - 1, SAMPLES).round().astype(int).tolist())):
            frame = _last(codec, _up_to_a_look(groups[at], looked), stopped)
            findings += not_painted(rules, looks, frame, camera)
            picture = Frame(camera, frame.t_ns, frame.bgr())
            sightings = [one.look(picture, full=False) for one in checkers]
            findings += misses(rules, sightings, painted_in(frame, rules.fill), camera, frame.t_ns)
            frames += 1
    return Verdict(frames, tuple(findings))


def _groups(packets: Sequence[EncodedPacket]) -> list[list[EncodedPacket]]:
    """Each begins with a key frame, as the first packet of a redacted clip does."""
    groups: list[list[EncodedPacket]] = []
    for packet in packets:
        if packet.keyframe or not groups:
            groups.append([])
        groups[-1].append(packet)
    return groups


def _up_to_a_look(group: Sequence[EncodedPacket], looked: set[int]) -> Sequence[EncodedPacket]:
    """The group up to its last frame that was looked at; all of it where none was."""
    seen = [at for at, packet in enumerate(group) if packet.t_ns in looked]
    return group[: seen[-1] + 1] if seen else group


def _last(codec: VideoCodec, packets: Sequence[EncodedPacket], stopped: Callable[[], bool]) -> DecodedFrame:
    """The last frame of ``packets``. Raises ``CodecError``, :class:`RedactionStoppedError`."""
    last: DecodedFrame | None = None
    for frame in codec.decode(packets):
        if stopped():
            raise RedactionStoppedError
        last = frame
    if last is None or last.t_ns != packets[-1].t_ns:
        raise CodecError(f"camera {packets[0].camera}: {packets[-1].t_ns} ns: no frame for a packet of ours")
    return last


def _noted(redacted: RedactedClip, why: str) -> RedactedClip:
    """With the reason why strict rules were needed."""
    check = redacted.redaction.check
    if check is None:
        return redacted
    return replace(redacted, redaction=replace(redacted.redaction, check=replace(check, again=why[:200])))
