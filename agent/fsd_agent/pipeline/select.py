"""Is a captured clip worth what redacting and encoding it costs? Asked before either; the cheapest verdict first.

    consent, schedule, budgets, zones   before: at the firing, and by the Finisher
    quality                             can anything be seen (``rules.selection.quality``)
    confirmation                        was anybody there (``rules.selection.confirm``)

Which of them may throw a clip away its campaigns say, as they are in force now; of several the mildest counts, and of one that
is not in force any more nothing. Fail soft: a verdict that can't be had keeps the clip, is counted for its campaigns and
told in the status. Nothing here takes the place of a check of redaction: what is kept goes through all of them.

Cost. Quality decodes :data:`PICTURES` key frames of each camera, each by itself; where there are too few, the beginning of the
video, :data:`DECODED_MOST` pictures of it at most. Confirmation decodes from the key frame before the firing to half a second after
it, and the models look at ``LOOKS`` pictures of that, of :data:`FIRINGS_MOST` firings at most. Frames are held one at a time.

Threads: one, the Finisher's; :meth:`Selector.missed` is for any.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import numpy as np

from fsd_agent.pipeline.by_campaign import CountsByCampaign, selection_of
from fsd_agent.pipeline.paint import RedactionStoppedError
from fsd_agent.ports.detector import Detector, DetectorError
from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.clip import Clip
from fsd_agent.records.firing import Firing
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.selection_rule import Fault, SelectionRule
from fsd_agent.records.staged import join_detections
from fsd_agent.rules.selection.confirm import (
    Claim,
    Verdict,
    claims,
    claims_persons,
    look_times,
    scores_of,
    second_look,
)
from fsd_agent.rules.selection.quality import DROPPED_FOR, LEAST, Pictures, faults, reason_to_drop, shrunk
from fsd_firmware.codec import CodecError, DecodedFrame, VideoCodec
from fsd_firmware.samples import Detections, EncodedPacket, Frame

_log = logging.getLogger(__name__)

PICTURES: Final = 5
DECODED_MOST: Final = 150
FIRINGS_MOST: Final = 4
MOVES_MPS: Final = 3.0
"""By every position fix of the clip: then the car drives all the time."""

Stopped = Callable[[], bool]


class Asked(StrEnum):
    """Verdicts, as the status counts those that could not be had."""

    CAMPAIGN = "campaign"
    """It is not in force any more: what it would say nobody knows."""
    QUALITY = "quality"
    CONFIRMATION = "confirmation"


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Why a clip is not worth encoding."""

    reason: DropReason
    detail: str


class Selects(Protocol):
    """What the Finisher asks."""

    def judge(self, clip: Clip, stopped: Stopped) -> Unwanted | None:
        """Why the clip is dropped, or None where it goes on. Raises ``RedactionStoppedError`` soon after ``stopped``."""
        ...


class _CantTellError(Exception):
    """A verdict can't be had; the message says why."""


class Selector:
    """See the module."""

    def __init__(
        self,
        *,
        in_force: Callable[[str], CampaignSet | None],
        codec: VideoCodec | None,
        detectors: Sequence[Detector],
        sizes: Mapping[str, tuple[int, int]],
    ) -> None:
        """``in_force``: the campaigns of a region. ``sizes``: of each camera's pictures, as the vehicle describes it."""
        self._in_force = in_force
        self._codec = codec
        self._detectors = tuple(detectors)
        self._sizes = sizes
        self._missed = CountsByCampaign()

    def missed(self, region_id: str) -> dict[str, dict[str, int]]:
        """By campaign, how many of the region's clips were kept since the start because a verdict could not be had."""
        return self._missed.of_region(region_id)

    def judge(self, clip: Clip, stopped: Stopped) -> Unwanted | None:
        """See :class:`Selects`. ``clip`` holds no more than its region allows."""
        rule = self._rule(clip)
        verdicts: tuple[tuple[Asked, Callable[[], Unwanted | None]], ...] = (
            (Asked.QUALITY, lambda: self._quality(clip, rule, stopped)),
            (Asked.CONFIRMATION, lambda: self._confirmation(clip, rule, stopped)),
        )
        for asked, verdict in verdicts:
            unwanted = self._softly(clip, asked, verdict)
            if unwanted is not None:
                return unwanted
        return None

    def _softly(self, clip: Clip, asked: Asked, verdict: Callable[[], Unwanted | None]) -> Unwanted | None:
        """The verdict; None where it can't be had, whatever the reason is."""
        try:
            return verdict()
        except RedactionStoppedError:
            raise
        except (_CantTellError, CodecError, DetectorError) as error:
            _log.info("clip %s: %s: kept, for %s", clip.row.clip_id, asked, error)
        except Exception:  # noqa: BLE001 - codecs and detectors are foreign; their faults cost no clip here
            _log.exception("clip %s: %s: unforeseen, and kept", clip.row.clip_id, asked)
        self._missed.count(clip, asked)
        return None

    def _rule(self, clip: Clip) -> SelectionRule:
        rule, all_in_force = selection_of(clip, self._in_force(clip.row.region_id))
        if not all_in_force:
            self._missed.count(clip, Asked.CAMPAIGN)
        return rule

    def _quality(self, clip: Clip, rule: SelectionRule, stopped: Stopped) -> Unwanted | None:
        if not rule.reject or not clip.packets:  # Without any video redaction has its own say
            return None
        codec = self._decoder()
        moves = bool(clip.gnss.speed_mps.size) and bool((clip.gnss.speed_mps >= MOVES_MPS).all())
        by_camera: dict[str, frozenset[Fault] | None] = {}
        for camera in clip.row.cameras:
            packets = [packet for packet in clip.packets if packet.camera == camera]
            pictures = _pictures(codec, packets, stopped)
            by_camera[camera] = faults(pictures, moves=moves) if packets else frozenset({Fault.MISSING})
        found = reason_to_drop(rule, by_camera)
        if found is not None:
            fault, camera = found
            return Unwanted(DROPPED_FOR[fault], f"{camera}: {fault}")
        if any(one is None for one in by_camera.values()):
            raise _CantTellError("too few pictures, or too small ones")
        return None

    def _confirmation(self, clip: Clip, rule: SelectionRule, stopped: Stopped) -> Unwanted | None:
        firings = [judged.firing for judged in clip.firings]
        if not rule.confirm or not firings or not all(map(claims_persons, firings)):
            return None
        if len(firings) > FIRINGS_MOST:
            raise _CantTellError(f"{len(firings)} firings")
        if any(self._looked_again(clip, one, stopped) is not Verdict.FALSE_HIT for one in firings):
            return None
        return Unwanted(DropReason.FALSE_HIT, f"nobody where {len(firings)} firing(s) saw somebody")

    def _looked_again(self, clip: Clip, firing: Firing, stopped: Stopped) -> Verdict:
        found = claims(firing, clip.detections)
        if not found or not self._detectors:
            raise _CantTellError("no box of what it fired on" if self._detectors else "no model to look with")
        looks: list[Detections] = []
        blind: set[str] = set()
        for camera in sorted({claim.camera for claim in found}):
            seen, can_see = self._look(clip, camera, firing.t_ns, found, stopped)
            looks += seen
            blind |= set() if can_see else {camera}
        widths = {camera: size[0] for camera, size in self._sizes.items()}
        return second_look(found, join_detections(looks), widths, frozenset(blind))

    def _look(
        self, clip: Clip, camera: str, at_ns: int, found: Sequence[Claim], stopped: Stopped
    ) -> tuple[list[Detections], bool]:
        """What the models see in a camera's pictures around a moment; and whether the pictures are good enough to ask."""
        claimed = {claim.source for claim in found if claim.camera == camera}
        alone = all(detector.source in claimed for detector in self._detectors)
        packets = [packet for packet in clip.packets if packet.camera == camera]
        times = look_times(at_ns, np.array([packet.t_ns for packet in packets], np.int64))
        looks: list[Detections] = []
        small = []
        for frame in _frames_at(self._decoder(), packets, times, stopped):
            if (frame.width, frame.height) != self._sizes.get(camera):
                raise _CantTellError(
                    f"{camera}: {frame.width}x{frame.height} is not what the boxes are about"
                )
            small.append(shrunk(frame.luma()))
            picture = Frame(camera, frame.t_ns, frame.bgr())
            looks += [
                one.detect(picture, min_score=scores_of(one.source).weak, thorough=alone).detections
                for one in self._detectors
            ]
        return looks, bool(small) and faults(np.stack(small)) == frozenset()

    def _decoder(self) -> VideoCodec:
        if self._codec is None:
            raise _CantTellError("no codec")
        return self._codec


def _pictures(codec: VideoCodec, packets: Sequence[EncodedPacket], stopped: Stopped) -> Pictures:
    """Some small pictures of one camera, from all over the clip where it has key frames enough."""
    keys = [packet for packet in packets if packet.keyframe]
    if len(keys) >= LEAST:
        each = (_frames_at(codec, [key], [key.t_ns], stopped) for key in _spread(keys))
        small = [shrunk(frame.luma()) for frames in each for frame in frames]
    else:
        first = packets[:DECODED_MOST]
        times_ns = [packet.t_ns for packet in _spread(first)]
        small = [shrunk(frame.luma()) for frame in _frames_at(codec, first, times_ns, stopped)]
    return np.stack(small) if small else np.empty((0, 0, 0), np.uint8)


def _spread(packets: Sequence[EncodedPacket]) -> list[EncodedPacket]:
    """:data:`PICTURES` of them at most, evenly."""
    if not packets:
        return []
    chosen = np.linspace(0, len(packets) - 1, min(PICTURES, len(packets))).round().astype(int)
    return [packets[at] for at in chosen.tolist()]


def _frames_at(
    codec: VideoCodec, packets: Sequence[EncodedPacket], times_ns: Sequence[int], stopped: Stopped
) -> Iterator[DecodedFrame]:
    """The frames of these moments, decoded from the last key frame before the first of them."""
    if not times_ns:
        return
    first = max((at for at, one in enumerate(packets) if one.keyframe and one.t_ns <= times_ns[0]), default=0)
    needed = [packet for packet in packets[first:] if packet.t_ns <= times_ns[-1]]
    if len(needed) > DECODED_MOST:
        raise _CantTellError(f"{len(needed)} pictures to decode since the last key frame")
    wanted = set(times_ns)
    for frame in codec.decode(needed):
        if stopped():
            raise RedactionStoppedError
        if frame.t_ns in wanted:
            yield frame
