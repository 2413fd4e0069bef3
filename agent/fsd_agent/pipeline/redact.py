"""Redact a clip. The only maker of :class:`RedactedClip`, and so the only way to sealing.

Fail closed. Whatever the region's rules require and can't be done ends in a :class:`Refused`: no codec, video
that can't be decoded to its last frame or is not of the size that the vehicle describes, a stretch that nobody looked at, a detector or encoder that breaks, a
condition that fired on persons while no look found one.

What leaves beside the painted video: samples of the row's signals that the rules allow, of the firings' evidence
only what those signals and the detections show anyway, positions by the location rule, the time zone, and the detections that
the painting was planned from. The vehicle's modes stay behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fsd_agent.pipeline.paint import Painted, RedactionStoppedError, paint
from fsd_agent.ports.detector import Detector
from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.redaction import VERSION, RedactionRecord
from fsd_agent.records.region import FaceRule, RedactionRules
from fsd_agent.rules.privacy.account import sources_of
from fsd_agent.rules.privacy.location import locate, may_leave, utc_offset_h
from fsd_agent.rules.privacy.plan import Refused, paints_video, persons_claimed
from fsd_firmware.catalogue import CatalogueEntry
from fsd_firmware.codec import VideoCodec
from fsd_firmware.samples import Signals

__all__ = ["RedactionStoppedError", "Refused", "redact"]


def redact(
    clip: Clip,
    rules: RedactionRules,
    codec: VideoCodec | None,
    detectors: Sequence[Detector],
    *,
    sizes: Mapping[str, tuple[int, int]],
    stopped: Callable[[], bool] = lambda: False,
) -> RedactedClip | Refused:
    """The clip without what ``rules`` forbid, or why that is impossible.

    Each of ``detectors`` looks three times a second (``strict``: six times), more often where the rules ask for it, and always at
    the last frame; what they see joins what the clip holds already. Without any the clip's own detections must do. ``sizes`` are
    each camera's width and height in pixels, as the vehicle describes it. Where nothing has to be painted, packets pass unchanged,
    lead-in included.

    Raises :class:`RedactionStoppedError` soon after ``stopped`` has become true.
    """
    paints = paints_video(rules)
    if isinstance(paints, Refused):
        return paints
    located = locate(rules, clip.gnss)
    if isinstance(located, Refused):
        return located
    painted = _video(clip, rules, codec, detectors, sizes, stopped) if paints else ()
    if isinstance(painted, Refused):
        return painted
    if painted:
        clip = replace(
            clip,
            packets=tuple(packet for one in painted for packet in one.packets),
            detections=tuple(looks for one in painted for looks in one.detections),
        )
    (gnss, location), zone_h = located, utc_offset_h(rules, clip.gnss)
    catalogue, signals = _leaving_signals(clip, rules)
    firings = tuple(_leaving_firing(judged, catalogue) for judged in clip.firings)
    clean = replace(clip, firings=firings, catalogue=catalogue, signals=signals, gnss=gnss, modes=())
    digests = {one.source: one.digest for one in detectors}
    return RedactedClip(
        clean, replace(_record(clean, rules, painted, location, digests), utc_offset_h=zone_h)
    )


def _video(
    clip: Clip,
    rules: RedactionRules,
    codec: VideoCodec | None,
    detectors: Sequence[Detector],
    sizes: Mapping[str, tuple[int, int]],
    stopped: Callable[[], bool],
) -> tuple[Painted, ...] | Refused:
    """Every camera's new video; nothing for a clip that asks for no camera."""
    if not clip.packets:
        missing = ", ".join(clip.row.cameras)
        return Refused(DropReason.NO_VIDEO, f"no packet of {missing}") if missing else ()
    if codec is None:
        return Refused(DropReason.REDACTION_NO_CODEC, "the rules ask for painting and there is no codec")
    painted: list[Painted] = []
    for camera in dict.fromkeys(packet.camera for packet in clip.packets):
        one = paint(clip, camera, rules, codec, detectors, sizes.get(camera), stopped)
        if isinstance(one, Refused):
            return one
        painted.append(one)
    return _blind(clip, rules, painted) or tuple(painted)


def _blind(clip: Clip, rules: RedactionRules, painted: Sequence[Painted]) -> Refused | None:
    """Refuse where a condition saw persons and no look did: then the looks are worth nothing."""
    if rules.faces == FaceRule.NONE or any(one.plan.persons for one in painted):
        return None
    if not persons_claimed(clip.firings):
        return None
    return Refused(DropReason.REDACTION_FAILED, "a condition fired on persons, but no look found any")


def _leaving_signals(clip: Clip, rules: RedactionRules) -> tuple[tuple[CatalogueEntry, ...], Signals]:
    """The clip's signals that the row names and the rules let go, with their samples."""
    leaving = [
        row
        for row, entry in enumerate(clip.catalogue)
        if entry.path in clip.row.signals and may_leave(rules, entry.path)
    ]
    new_row = np.full(len(clip.catalogue), -1, np.int32)
    new_row[leaving] = np.arange(len(leaving), dtype=np.int32)
    signal = new_row[clip.signals.signal]
    keep = signal >= 0
    samples = Signals(clip.signals.t_ns[keep], signal[keep], clip.signals.value[keep])
    return tuple(clip.catalogue[row] for row in leaving), samples


def _leaving_firing(judged: JudgedFiring, catalogue: Sequence[CatalogueEntry]) -> JudgedFiring:
    """The firing with the evidence that may leave: a condition may read signals that its clip may not hold."""
    paths = {entry.path for entry in catalogue}
    evidence = tuple(
        (name, value)
        for name, value in judged.firing.evidence
        if name in paths or name.startswith("detections.")
    )
    return replace(judged, firing=replace(judged.firing, evidence=evidence))


def _record(
    clip: Clip,
    rules: RedactionRules,
    painted: Sequence[Painted],
    location: str,
    digests: Mapping[str, str],
) -> RedactionRecord:
    pixels = sum(one.pixels for one in painted)
    looks = [look for one in painted for look in one.detections]
    return RedactionRecord(
        rules=(
            f"faces={rules.faces}",
            f"plates={rules.plates}",
            f"strictness={rules.strictness}",
            f"fill={rules.fill}",
            f"location={rules.location}",
        ),
        sources=tuple(sorted({look.source for look in looks})),
        frames=len(clip.packets),
        boxes=sum(int(one.plan.boxes.shape[0]) for one in painted),
        filled_share=sum(one.plan.filled_px for one in painted) / pixels if pixels else 0.0,
        location=location,
        version=VERSION,
        models=sources_of(rules, looks, digests),
        cameras=tuple(one.record for one in painted),
        looked_again=sum(one.frames_again for one in painted),
    )
