"""Data classes: what a region's policy does not list, or the clip's purpose has no part in, never gets into a clip.

    exterior_video   packets of cameras that look out
    cabin_video      packets of cameras that look into the car (``rules.cabin``); in clips of one purpose alone
    audio            of the cabin, too; none of our sources gives any
    signals          samples of signals, and evidence that names them
    detections       what was seen, and evidence of it; it still tells redaction where to paint. The clip's value is made of
                     detections and signals, and leaves only where both may
    location         positions, signals that tell one and the time zone, whatever the location rule is

Packets and signals are taken out before redaction, so that nothing is decoded that may not leave; detections after it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import DataClass, LocationRule, RedactionRules, Route
from fsd_agent.records.worth import Valued, Worth
from fsd_agent.rules.cabin import class_of_camera, may_hold

WITHHELD: Final = Worth(0.0, Valued.WITHHELD)


def for_purpose(where: Route, purpose: Purpose) -> Route:
    """The route with a policy that lists no more than a clip of this purpose may hold: all that follows goes by it."""
    classes = may_hold(where.policy.data_classes, purpose)
    return replace(where, policy=replace(where.policy, data_classes=classes))


def before_redaction(clip: Clip, allowed: Collection[DataClass]) -> Clip:
    """The clip without cameras and signals that may not be collected; its row names no more than it may hold."""
    cameras = tuple(camera for camera in clip.row.cameras if class_of_camera(camera) in allowed)
    signals = clip.row.signals if DataClass.SIGNALS in allowed else ()
    return replace(
        clip,
        row=replace(clip.row, cameras=cameras, signals=signals),
        packets=tuple(packet for packet in clip.packets if class_of_camera(packet.camera) in allowed),
        detections=tuple(looks for looks in clip.detections if class_of_camera(looks.camera) in allowed),
    )


def rules_of(rules: RedactionRules, allowed: Collection[DataClass]) -> RedactionRules:
    """The redaction rules, with positions dropped where they may not be collected, the time zone with them."""
    withheld = replace(rules, location=LocationRule.DROP, time_zone=False)
    return rules if DataClass.LOCATION in allowed else withheld


def after_redaction(redacted: RedactedClip, allowed: Collection[DataClass]) -> RedactedClip:
    """The redacted clip without what was seen in it, where that may not be collected; its record names the classes."""
    named = f"classes={'+'.join(sorted(allowed))}"
    redacted = replace(
        redacted, redaction=replace(redacted.redaction, rules=(*redacted.redaction.rules, named))
    )
    if not {DataClass.DETECTIONS, DataClass.SIGNALS} <= set(allowed):
        clip = replace(redacted.clip, row=replace(redacted.clip.row, worth=WITHHELD))
        redacted = replace(redacted, clip=clip)
    if DataClass.DETECTIONS in allowed:
        return redacted
    clip = redacted.clip
    bare = replace(clip, detections=(), firings=tuple(map(_without_looks, clip.firings)))
    return replace(redacted, clip=bare)


def _without_looks(judged: JudgedFiring) -> JudgedFiring:
    evidence = tuple(pair for pair in judged.firing.evidence if not pair[0].startswith("detections."))
    return replace(judged, firing=replace(judged.firing, evidence=evidence))
