"""The sensing loop: poll, decode, perceive, trigger, judge, record.

One step handles one batch of the firmware, in this order, so that a firing always finds its window in the ring:

    firmware.poll -> CAN decoded -> frames seen by the detector -> engine -> ring -> selection -> recorder

Everything keeps arriving whatever happens downstream: redaction, sealing and delivery run on other threads and
are reached only through staging and the journal.

With the ignition off nothing new is kept; what firmware gives while the agent sleeps is thrown away unlooked at
(:mod:`fsd_agent.rules.uplink.power`).

Without consent to a campaign's purpose its firings are dropped and counted, and nothing of what it saw is noted. What a
region may be told of a firing at once (:mod:`fsd_agent.rules.privacy.telling`) is accepted with it.

Threads: one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fsd_agent.pipeline.consent import Consents
from fsd_agent.pipeline.control import Control
from fsd_agent.pipeline.power import Loop, Power
from fsd_agent.pipeline.record import Recorder
from fsd_agent.pipeline.video_work import VideoWork
from fsd_agent.pipeline.whereabouts import Whereabouts
from fsd_agent.ports.detector import Detector, DetectorError, Seen
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal
from fsd_agent.records.campaign import Campaign, CampaignSet
from fsd_agent.records.firing import Firing, JudgedFiring, Telling
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Route, SensitiveZone
from fsd_agent.rules.capture.plan import KeptFiring
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.rules.privacy.telling import telling_of
from fsd_agent.rules.residency.zones import Positions, collected_here
from fsd_agent.rules.selection.judge import day_start_wall_ns, judge
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.rules.uplink.power import Phase
from fsd_firmware.can.decoder import Decoder
from fsd_firmware.contract import Firmware
from fsd_firmware.samples import SensedBatch, Signals, merge_signals


class Sense:
    """See the module."""

    def __init__(
        self,
        *,
        firmware: Firmware,
        detector: Detector | None,
        min_score: float,
        engine: TriggerEngine,
        ring: Ring,
        recorder: Recorder,
        control: Control,
        residence: Whereabouts,
        consent: Consents,
        journal: Journal,
        events: EventSink,
        new_id: Callable[[], str],
        power: Power,
        video: VideoWork,
        no_room: Callable[[int], DropReason | None] = lambda _: None,
    ) -> None:
        """``no_room``: why the disk can't take a firing of this priority now, as ``room.py`` says."""
        self._power = power
        self._video = video
        self._phase = Phase.ON
        self._firmware = firmware
        table = firmware.describe().signal_table
        self._decoder = Decoder(table) if table is not None else None
        self._detector = detector
        self._min_score = min_score
        self._engine = engine
        self._ring = ring
        self._recorder = recorder
        self._control = control
        self._residence = residence
        self._consent = consent
        self._journal = journal
        self._events = events
        self._new_id = new_id
        self._no_room = no_room
        self._campaigns: dict[str, Campaign] = {}
        self._in_force: CampaignSet | None = None
        self._positions = Positions()
        self._zones: tuple[SensitiveZone, ...] = ()
        self._first_ns: int | None = None
        self._unseen = 0
        """Pictures that the detector failed on."""
        self.sensed_ns = 0
        """Event time handled so far."""

    def lost(self) -> dict[str, int]:
        """Input that was dropped or unusable so far, by name."""
        ring = self._ring.dropped
        lost = {
            "ring_packets": ring.packets,
            "ring_samples": ring.samples,
            "ring_looks": ring.looks,
            "unrecorded_drops": self._recorder.unrecorded_lost,
            **self._engine.unused(),
        }
        if self._detector is not None:
            lost["pictures_unseen"] = self._unseen
        if self._decoder is not None:
            counts = self._decoder.counts
            lost["can_frames_short"] = counts.frames_short
            lost["can_frames_overlong"] = counts.frames_overlong
            lost["can_frames_disordered"] = counts.frames_disordered
        return lost

    def stop(self) -> None:
        """No more steps will follow: close open windows, marked cut."""
        self._recorder.close_all()

    def step(self) -> bool:
        """Handle one batch; False when the source has ended (open windows are closed and marked cut).

        Raises :class:`~fsd_firmware.contract.FirmwareError` after closing open windows the same way.
        """
        try:
            batch = self._firmware.poll()
        except Exception:
            self._recorder.close_all()
            raise
        if batch is None:
            self._recorder.close_all()
            return False
        self._video.sensed(batch.modes)
        self._phase = self._power.phase
        if self._phase is Phase.ASLEEP:
            self._recorder.close_all()
            self._power.rest(Loop.SENSE)
            return True
        if self._first_ns is None:
            self._first_ns = batch.until_ns
        self.sensed_ns = batch.until_ns - self._first_ns
        self._follow_region()
        if len(batch.gnss):
            self._positions.take(batch.gnss)
        signals = self._decode(batch)
        batch = self._perceive(batch)
        firings = self._engine.advance_batch(batch, signals)
        self._ring.append(batch, signals, batch.detections)
        with self._consent.steady() as consented:  # No withdrawal comes between judging and keeping
            kept, dropped = self._judge(firings, batch.wall_minus_mono_ns, consented.given)
            self._recorder.step(
                kept,
                dropped,
                until_ns=batch.until_ns,
                region_id=self._in_force.region_id if self._in_force is not None else "",
                given=consented.given,
                wall_minus_mono_ns=batch.wall_minus_mono_ns,
            )
        return True

    def _follow_region(self) -> None:
        """Look where the vehicle belongs, and swap in what the control path has accepted."""
        where = self._residence.current
        region_id = where.policy.region_id if isinstance(where, Route) else None
        self._zones = where.policy.zones if isinstance(where, Route) else ()
        wanted = self._control.in_force(region_id)
        if wanted is self._in_force:
            return
        self._in_force = wanted
        self._engine.set_campaigns(wanted if wanted is not None else CampaignSet("", 0, ()))
        self._campaigns = {one.id: one for one in wanted.campaigns} if wanted is not None else {}

    def _decode(self, batch: SensedBatch) -> Signals:
        if self._decoder is None or not len(batch.can):
            return batch.signals
        return merge_signals(self._decoder.decode(batch.can), batch.signals)

    def _perceive(self, batch: SensedBatch) -> SensedBatch:
        """The batch with what the agent's own detector sees in its frames."""
        if self._detector is None or not batch.frames:
            return batch
        seen: list[Seen] = []
        for frame in batch.frames:
            try:
                seen.append(self._detector.detect(frame, min_score=self._min_score))
            except DetectorError as error:
                # One picture unseen is no reason to sense nothing at all.
                self._unseen += 1
                if self._unseen == 1:
                    self._events.emit("detector_failed", what=str(error))
        detections = (one.detections for one in seen)
        features = (one.features for one in seen if one.features is not None)
        return replace(
            batch, detections=(*batch.detections, *detections), features=(*batch.features, *features)
        )

    def _judge(
        self, firings: Sequence[Firing], wall_minus_mono_ns: int, given: frozenset[Purpose]
    ) -> tuple[tuple[KeptFiring, ...], tuple[JudgedFiring, ...]]:
        kept: list[KeptFiring] = []
        dropped: list[JudgedFiring] = []
        for firing in firings:
            campaign = self._campaigns[firing.campaign_id]
            wall_ns = firing.t_ns + wall_minus_mono_ns
            if self._phase is not Phase.ON:
                reason: DropReason | None = DropReason.IGNITION_OFF
                firing = replace(firing, evidence=())  # noqa: PLW2901 - what it saw is data, too
            elif campaign.purpose not in given:
                reason = DropReason.NO_CONSENT
                firing = replace(firing, evidence=())  # noqa: PLW2901 - what it saw is data, too
            else:
                reason = self._verdict(firing, campaign, wall_ns, kept)
            telling = telling_of(campaign, reason, given)
            if reason is None:
                kept.append(_kept(self._new_id(), firing, wall_ns, campaign, telling))
            else:
                one = JudgedFiring(self._new_id(), firing, wall_ns, None, reason, campaign.region_id, telling)
                dropped.append(one)
        return tuple(kept), tuple(dropped)

    def _verdict(
        self, firing: Firing, campaign: Campaign, wall_ns: int, kept_now: Sequence[KeptFiring]
    ) -> DropReason | None:
        closed = collected_here(self._zones, self._positions.at(firing.t_ns)) or self._no_room(
            campaign.priority
        )
        if closed is not None:
            return closed
        clips, size_bytes = self._journal.usage(
            campaign.region_id, campaign.id, since_wall_ns=day_start_wall_ns(wall_ns)
        )
        clips += sum(one.firing.campaign_id == campaign.id for one in kept_now)
        return judge(firing, campaign, wall_ns=wall_ns, usage=(clips, size_bytes))


def _kept(
    firing_id: str, firing: Firing, wall_ns: int, campaign: Campaign, telling: Telling | None
) -> KeptFiring:
    return KeptFiring(
        firing_id,
        firing,
        wall_ns,
        campaign.capture,
        campaign.priority,
        campaign.purpose,
        campaign.uplink,
        telling,
    )
