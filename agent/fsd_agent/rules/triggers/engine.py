"""The trigger engine: what the vehicle senses in, firings out.

**The firings are a function of the input and the campaigns alone.** They do not depend on how the input was cut
into batches, on which other campaigns are in force, or on whether this is a car or a backtest.

The way of one batch through :meth:`TriggerEngine.advance`:

1. everything that arrives becomes samples on rows: signals, modes, zones and scores (``arrivals``), marked where
   they are out of range or stale (``signals``); frames of detections get tracks and become looks (``looks``);
2. the guard drops samples that can change no condition (``signals.guard``);
3. what is left goes through a cascade, one event after the other: each asks the functions that look back and the
   conditions that it concerns, and the results of functions are events as well (``cascade``); where many conditions
   that only compare rows with numbers are asked at once, arrays do it (``conditions.bank``);
4. functions and conditions that look at detections are evaluated over whole batches by the graph, between and after
   cascades (``stages``, ``past.seen``, ``conditions.conditions``);
5. what became true or not true moves the campaigns' phases, and phases fire (``phases``).

Instants. A condition is evaluated where something it refers to arrives or goes stale, over the newest values at
that instant, all that carry the same time included. What is not known makes what depends on it unknown, by CEL's
rules (see ``values``).

Campaigns. A set is swapped in whole, between two batches. A campaign that is in both sets unchanged keeps its state;
a new one is first evaluated at the next arrival of something it refers to. A campaign whose evaluation raises, whose
head does not fit, or that costs more than its budget (``cost``) is suspended alone, with the reason, until it is
changed.

Single-threaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from fsd_agent.records.campaign import Campaign, CampaignSet
from fsd_agent.records.firing import Firing
from fsd_agent.rules.triggers.arrivals import NOTHING, Arrived
from fsd_agent.rules.triggers.detections.looks import DetectionState, Looks
from fsd_agent.rules.triggers.force import Force, Member
from fsd_agent.rules.triggers.plan import missing_signal
from fsd_agent.rules.triggers.signals.columns import HANDFUL
from fsd_agent.rules.triggers.signals.state import SignalState
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.samples import Detections, Features, GnssFixes, ModeChange, SensedBatch, Signals, empty_gnss

_BEFORE_ALL_NS: Final = -(2**61)
"""Before any time of a sample, and far enough from the ends of int64 to count from."""


class TriggerEngine:
    """See the module."""

    def __init__(
        self, catalogue: Catalogue, cameras: Mapping[str, tuple[int, int]] = MappingProxyType({})
    ) -> None:
        """``cameras``: width and height in pixels of each camera's picture, by name."""
        self._catalogue = catalogue
        self._signals = SignalState(catalogue)
        self._detections = DetectionState(cameras)
        self._newest = Arrived()
        self._suspended: dict[str, tuple[Campaign, str]] = {}
        """Never written to: replaced, because another thread may ask."""
        self._watermark_ns: int | None = None
        self._epoch = 0
        self._force = Force((), catalogue, self._signals, None)
        self.late_samples = 0
        """Samples that came after the source had promised no more of their time, or after a later one; not used."""
        self.broken_looks = 0
        """Detections whose columns don't belong together; not used."""

    def set_campaigns(self, campaigns: CampaignSet) -> None:
        """Put a set in force, from the next batch on."""
        self._epoch += 1
        before = {one.campaign.id: one for one in self._force.members}
        suspended: dict[str, tuple[Campaign, str]] = {}
        members: list[Member] = []
        for campaign in campaigns.campaigns:
            refused, known = self._suspended.get(campaign.id), before.get(campaign.id)
            if refused is not None and _unchanged(refused[0], campaign):
                suspended[campaign.id] = refused
            elif (path := missing_signal(campaign, self._catalogue)) is not None:
                suspended[campaign.id] = campaign, f"signal {path!r} is not in this vehicle's catalogue"
            elif known is not None and _unchanged(known.campaign, campaign):
                members.append(Member(campaign, known.epoch))
            else:
                members.append(Member(campaign, self._epoch))
        self._suspended = suspended
        self._put_in_force(members)

    def advance(
        self,
        signals: Signals,
        detections: Sequence[Detections],
        *,
        until_ns: int,
        wall_minus_mono_ns: int,
        gnss: GnssFixes | None = None,
        modes: Sequence[ModeChange] = (),
        features: Sequence[Features] = (),
    ) -> tuple[Firing, ...]:
        """Take up one batch and return what fired before ``until_ns``, by time and then campaign id.

        The batch holds everything with a time in ``[previous until_ns, until_ns)``.
        """
        force = self._force
        arrived = self._arrived(gnss, modes, features)
        signals, detections = self._in_time(signals), self._whole(detections)
        came = self._signals.samples(signals, until_ns, force.arrivals.samples(arrived))
        looks = self._look(detections, until_ns)

        def make_looks() -> Looks:
            return looks or self._carried(until_ns)

        found = force.evaluate(came, looks, make_looks, until_ns)
        moments = force.phases.advance(found.changes, found.parts, until_ns, wall_minus_mono_ns)
        stops = force.stops(came, detections, until_ns)
        firings = [
            Firing(
                force.members[at].campaign.id,
                force.members[at].campaign.version,
                t_ns,
                force.evidence(at, t_ns, came, make_looks),
            )
            for t_ns, at in moments
            if at not in stops or t_ns < stops[at][0]
        ]
        self._signals.store(came)
        self._signals.remember(found.results)
        if detections:
            self._detections.store(detections)
        self._newest = arrived.newest(self._newest)
        self._watermark_ns = until_ns
        if stops:
            self._suspend({at: reason for at, (_, reason) in stops.items()})
        return tuple(firings)

    def advance_batch(self, batch: SensedBatch, signals: Signals) -> tuple[Firing, ...]:
        """:meth:`advance` by what a source gave; ``signals`` are the batch's own and those of its CAN frames."""
        return self.advance(
            signals,
            batch.detections,
            until_ns=batch.until_ns,
            wall_minus_mono_ns=batch.wall_minus_mono_ns,
            gnss=batch.gnss,
            modes=batch.modes,
            features=batch.features,
        )

    def unused(self) -> dict[str, int]:
        """Input that was not used as it came, by name. May be asked from any thread."""
        return {
            "late_samples": self.late_samples,
            "broken_looks": self.broken_looks,
            "late_looks": self._detections.late_frames,
            "samples_out_of_range": self._signals.out_of_range_count,
        }

    def suspended(self) -> dict[str, str]:
        """Campaigns of the set that are not evaluated, with the reason. May be asked from any thread."""
        return {campaign: reason for campaign, (_, reason) in self._suspended.items()}

    def _put_in_force(self, members: Sequence[Member]) -> None:
        self._force = Force(members, self._catalogue, self._signals, self._force)
        newest = self._force.arrivals.samples(self._newest)
        if newest is not None:
            self._signals.seed(newest, self._force.new_rows)

    def _suspend(self, reasons: Mapping[int, str]) -> None:
        members = self._force.members
        self._suspended = self._suspended | {
            members[at].campaign.id: (members[at].campaign, reason) for at, reason in reasons.items()
        }
        self._put_in_force([one for at, one in enumerate(members) if at not in reasons])

    def _arrived(
        self, gnss: GnssFixes | None, modes: Sequence[ModeChange], features: Sequence[Features]
    ) -> Arrived:
        """What is in time of what arrived beside the buses."""
        if not modes and not features and (gnss is None or not len(gnss)):
            return NOTHING
        brought = Arrived(modes, gnss if gnss is not None else empty_gnss(), features)
        arrived = brought.since(self._since_ns)
        self.late_samples += len(brought) - len(arrived)
        return arrived

    def _in_time(self, signals: Signals) -> Signals:
        """The samples that are in time and in order: none older than one before it."""
        if not len(signals) or _in_order(signals, self._since_ns):
            return signals
        t_ns = signals.t_ns
        keep = t_ns >= np.maximum(np.maximum.accumulate(t_ns), self._since_ns)
        self.late_samples += int(np.count_nonzero(~keep))
        return Signals(t_ns[keep], signals.signal[keep], signals.value[keep])

    def _whole(self, detections: Sequence[Detections]) -> Sequence[Detections]:
        """Those whose columns belong together: a source that breaks them must not stop every campaign."""
        whole = [one for one in detections if one.is_whole()]
        self.broken_looks += len(detections) - len(whole)
        return whole

    def _look(self, detections: Sequence[Detections], until_ns: int) -> Looks | None:
        """The looks of the batch where one begins in it; None where everything seen stays as it was."""
        stale_ns = self._detections.next_stale_ns(self._since_ns) if self._detections.has_any else None
        if not detections and (stale_ns is None or stale_ns >= until_ns):
            return None
        with np.errstate(all="ignore"):
            looks = self._detections.looks(detections, since_ns=self._since_ns, until_ns=until_ns)
        return looks if looks.changes_ns.shape[0] else None

    def _carried(self, until_ns: int) -> Looks:
        return self._detections.looks((), since_ns=self._since_ns, until_ns=until_ns)

    @property
    def _since_ns(self) -> int:
        """Start of the batch; the first one holds everything there ever was."""
        return self._watermark_ns if self._watermark_ns is not None else _BEFORE_ALL_NS


def _in_order(signals: Signals, since_ns: int) -> bool:
    if len(signals) <= HANDFUL:
        times = signals.listed[0]
        return times[0] >= since_ns and times == sorted(times)
    t_ns = signals.t_ns
    return int(t_ns[0]) >= since_ns and not np.count_nonzero(t_ns[1:] < t_ns[:-1])


def _unchanged(a: Campaign, b: Campaign) -> bool:
    """Whether a campaign's state means the same under ``b``.

    All that decides when it fires is compared as well as the version: an author who forgot to raise the version must
    not inherit another condition's phase.
    """
    return _meaning(a) == _meaning(b)


def _meaning(one: Campaign) -> tuple[object, ...]:
    return one.id, one.version, one.program, one.hold_ns, one.rearm_ns, one.zones, one.heads
