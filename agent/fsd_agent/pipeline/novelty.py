"""Is this clip new to the region, and what is remembered of those that were sent.

A clip is asked about before anything is painted. It is dropped where the rule finds it known for every one of its campaigns;
one campaign that wants each clip (``off``, or that is in force no more) keeps it.

When it counts. A code is remembered when its clip is sealed, not when the region has signed for it: a vehicle that meets a
crossing ten times before the next link would seal it ten times. It stays tied to its clip until the clip has ended: one that was
delivered counts for good, and nobody can tell any more which clip it was; one that was dropped (evicted, refused,
damaged) counts no more from the next look on. A power cut between sealing and remembering costs a clip that is sent though it is
known; nothing is lost.

Where. In the journal's state, a value for each region and purpose, under that compartment's key: it is noise when consent is
withdrawn or the region is left and its key is destroyed. It is never sent. The clip itself carries its code to the region, inside of what
is encrypted, and only where pictures and detections may be collected there, for it is made of both.

Fail soft: whatever can't be read, made or kept keeps the clip, and is counted.

Threads: the one that finishes clips; ``counted`` for any.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from fsd_agent.pipeline.clip_code import make_code
from fsd_agent.ports.detector import Detector
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.clip import Clip, ClipRow, ClipState
from fsd_agent.records.novelty import ClipCode, Judged, MadeCode, NoveltyMode, SentCode, Subject
from fsd_agent.records.purpose import Compartment
from fsd_agent.records.region import DataClass
from fsd_agent.rules.selection.novelty import Verdict, judge_novelty, remember
from fsd_agent.wire.sent_codes import SentCodesError, open_sent, seal_sent, state_key
from fsd_firmware.codec import VideoCodec

_log = logging.getLogger(__name__)


class JudgesNovelty(Protocol):
    """What the Finisher asks and tells."""

    def judge(self, clip: Clip, allowed: Collection[DataClass]) -> Judged:
        """Whether to keep ``clip``; ``allowed`` is what may be collected in its region."""
        ...

    def sealed(self, row: ClipRow, judged: Judged) -> None:
        """The clip is sealed, and counts from now on. Never raises for what can't be kept."""
        ...


class Novelty:
    """See the module."""

    def __init__(
        self,
        *,
        in_force: Callable[[str], CampaignSet | None],
        journal: Journal,
        keys: VehicleKeys,
        codec: VideoCodec | None,
        detectors: Sequence[Detector],
        sizes: Mapping[str, tuple[int, int]],
        events: EventSink,
    ) -> None:
        """``sizes``: width and height in pixels of each camera; ``in_force`` gives a region's set."""
        self._in_force = in_force
        self._journal = journal
        self._keys = keys
        self._codec = codec
        self._detectors = tuple(detectors)
        self._sizes = sizes
        self._events = events
        self._counts = {"novelty_no_code": 0, "novelty_not_read": 0, "novelty_not_kept": 0}

    def counted(self) -> dict[str, int]:
        """Clips since the start that were kept without a verdict, and whose codes could not be kept."""
        return {name: count for name, count in self._counts.items() if count}

    def judge(self, clip: Clip, allowed: Collection[DataClass]) -> Judged:
        """See :class:`JudgesNovelty`."""
        campaigns = self._in_force(clip.row.region_id)
        modes = _modes(clip, campaigns)
        asking = {name: mode for name, mode in modes.items() if mode is not NoveltyMode.OFF}
        if campaigns is None or not asking:
            return Judged()
        made = self._made(clip)
        if made is None:
            self._counts["novelty_no_code"] += 1
            return Judged()
        codes = {name: _code(name, made) for name in asking}
        told = made if {DataClass.EXTERIOR_VIDEO, DataClass.DETECTIONS} <= set(allowed) else None
        kept = Judged(codes=tuple(codes.values()), told=told)
        if len(asking) < len(modes):
            return kept
        sent = self._sent(clip.row.compartment)
        verdicts = [judge_novelty(codes[name], sent, campaigns.sketch, mode) for name, mode in asking.items()]
        return _together(verdicts, kept)

    def _made(self, clip: Clip) -> MadeCode | None:
        """None where it can't be had, whatever the reason is."""
        try:
            return make_code(clip, self._codec, self._detectors, self._sizes)
        except Exception:  # noqa: BLE001 - codecs and models are foreign; their faults cost no clip here
            _log.exception("clip %s: novelty: unforeseen, and kept", clip.row.clip_id)
            return None

    def sealed(self, row: ClipRow, judged: Judged) -> None:
        """See :class:`JudgesNovelty`."""
        if not judged.codes:
            return
        compartment = row.compartment
        try:
            sent = self._sent(compartment)
            for code in judged.codes:
                sent = remember(sent, SentCode(code, row.clip_id))
            key = self._keys.compartment_key(*compartment)
            self._journal.set_state(state_key(compartment), seal_sent(sent, compartment, key))
        except (JournalError, VehicleKeyError) as error:
            self._counts["novelty_not_kept"] += 1
            self._events.emit("journal_failed", clip=row.clip_id, what=f"novelty: {error}")

    def _sent(self, compartment: Compartment) -> tuple[SentCode, ...]:
        """What counts as sent now; nothing where it can't be read."""
        try:
            kept = self._journal.get_state(state_key(compartment))
            if kept is None:
                return ()
            found = open_sent(kept, compartment, self._keys.compartment_key(*compartment))
            return tuple(one for code in found if (one := self._now(code)) is not None)
        except SentCodesError:  # Of before a withdrawal, or damaged: the next that is kept replaces it
            return ()
        except (JournalError, VehicleKeyError):
            self._counts["novelty_not_read"] += 1
            return ()

    def _now(self, sent: SentCode) -> SentCode | None:
        """What has become of it since; None where it counts no more."""
        if not sent.clip_id:
            return sent
        row = self._journal.clip(sent.clip_id)
        if row is None or row.state is ClipState.DROPPED:
            return None
        return SentCode(sent.code, "") if row.state is ClipState.DELIVERED else sent


def _modes(clip: Clip, campaigns: CampaignSet | None) -> dict[str, NoveltyMode]:
    """Of each campaign of the clip's."""
    wanted = {one.id: one.novelty for one in campaigns.campaigns} if campaigns is not None else {}
    names = dict.fromkeys(one.firing.campaign_id for one in clip.firings)
    return {name: wanted.get(name, NoveltyMode.OFF) for name in names}


def _code(campaign_id: str, made: MadeCode) -> ClipCode:
    return ClipCode(Subject(campaign_id, made.maker, made.source, made.camera), made.values)


def _together(verdicts: Sequence[Verdict], kept: Judged) -> Judged:
    """Dropped where every campaign's verdict is so; for the reason and the distance of the one that came nearest to keeping it."""
    nearest_to_new = max(verdicts, key=lambda one: (one.drop is None, one.distance))
    if nearest_to_new.drop is None:
        return kept
    maker = kept.codes[0].subject.maker
    detail = f"by {maker}: distance {nearest_to_new.distance:.2f}"
    return Judged(nearest_to_new.drop, detail if math.isfinite(nearest_to_new.distance) else "")
