"""The cabin: pictures and sound of the people in the vehicle. The one home of the rule when they may be collected.

Off, unless three say otherwise: the region's policy lists the data class; the clip's purpose is occupant monitoring; and the
user consents to that purpose, which is asked wherever any purpose is (``pipeline.consent``). Consent to another purpose is
none to pictures of the cabin, so clips of other purposes never hold any, whatever a policy lists and a campaign names.

    publishing, and where a set arrives    a campaign of another purpose that names a camera of the cabin is refused
    capture                                such a camera is not staged
    before redaction                       what was staged nevertheless is taken out (``pipeline.classes``)

A camera looks into the car if its name begins with ``cabin``. A condition that says ``d.camera != "cabin_driver"`` does not
ask what that one sees, so it is no such naming.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from fsd_agent.records.campaign import Campaign
from fsd_agent.records.program import Op, is_source, names, texts
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import DataClass

CABIN: Final = "cabin"
CABIN_CLASSES: Final = frozenset({DataClass.CABIN_VIDEO, DataClass.AUDIO})


def class_of_camera(camera: str) -> DataClass:
    """What the video of the camera of this name is."""
    return DataClass.CABIN_VIDEO if camera.startswith(CABIN) else DataClass.EXTERIOR_VIDEO


def may_hold(listed: Collection[DataClass], purpose: Purpose) -> frozenset[DataClass]:
    """Of the classes that a policy lists those that a clip of this purpose may hold."""
    classes = frozenset(listed)
    return classes if purpose is Purpose.OCCUPANT_MONITORING else classes - CABIN_CLASSES


def may_show(camera: str, purpose: Purpose) -> bool:
    """Whether a clip of this purpose may hold this camera's video in any region at all."""
    return class_of_camera(camera) in may_hold(frozenset(DataClass), purpose)


def why_not(campaign: Campaign) -> tuple[str, str] | None:
    """Field and reason where a campaign names a camera that its purpose has no part in; None where it names none."""
    for field, camera in _named(campaign):
        if not may_show(camera, campaign.purpose):
            reason = (
                f"camera {camera!r} looks into the cabin, and the purpose is {campaign.purpose}: leave the camera out, "
                f"or make a campaign for it whose purpose is {Purpose.OCCUPANT_MONITORING}"
            )
            return field, reason
    return None


def _named(campaign: Campaign) -> Iterator[tuple[str, str]]:
    """Fields and the cameras whose pictures they ask for."""
    for camera in campaign.capture.cameras:
        yield "capture.cameras", camera
    seen = (name for name in names(campaign.program, Op.SEEN) if not is_source(name))
    for camera in (*texts(campaign.program, "camera", by={Op.EQ}), *seen):
        yield "condition", camera
    for head in campaign.heads:
        yield f"heads.{head.name}.camera", head.camera
