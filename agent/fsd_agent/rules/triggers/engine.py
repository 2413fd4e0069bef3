"""The trigger engine: signals and detections in, firings out.

**The firings are a function of the input and the campaigns alone.** They do not depend on how the input was cut
into batches, on which other campaigns are in force, or on whether this is a car or a backtest.

Instants. A condition is evaluated where something it refers to arrives (a sample of a signal, a frame of any
camera) or goes stale, over the newest values at that instant, all that carry the same time included. What was
never received is unknown, and so is everything that depends on it, by CEL's rules (see ``values``).

Campaigns. A set is swapped in whole, between two batches. A campaign that is in both sets (same id, version,
condition and hold time) keeps its state; a new one is first evaluated at the next arrival of something it
refers to. A campaign whose evaluation raises is suspended alone, with the reason, until it is changed.

Order of work in :meth:`TriggerEngine.advance`: guard (``columns``), looks (``looks``), conditions (``graph``),
phases (``phase``). Single-threaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.campaign import Campaign, CampaignSet
from fsd_agent.records.firing import Firing
from fsd_agent.records.program import signal_types, texts
from fsd_agent.rules.triggers.columns import ActiveSamples, Samples
from fsd_agent.rules.triggers.graph import DETECTIONS_INPUT, Batch, Graph
from fsd_agent.rules.triggers.looks import DetectionState, Looks
from fsd_agent.rules.triggers.phase import Phase
from fsd_agent.rules.triggers.signals import SignalState
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.samples import Detections, Signals

_BEFORE_ALL_NS: Final = -(2**61)
"""Before any time of a sample, and far enough from the ends of int64 to count from."""


@dataclass(slots=True, eq=False)
class _Running:
    """One campaign in force."""

    campaign: Campaign
    at: int
    """Its condition in the graph."""
    inputs: frozenset[int]
    signals: tuple[tuple[str, int], ...]
    """Paths and rows, for the evidence."""
    kinds: tuple[str, ...]
    phase: Phase = field(default_factory=Phase)


class TriggerEngine:
    """See the module."""

    def __init__(
        self, catalogue: Catalogue, cameras: Mapping[str, tuple[int, int]] = MappingProxyType({})
    ) -> None:
        """``cameras``: width and height in pixels of each camera's picture, by name."""
        self._catalogue = catalogue
        self._signals = SignalState(catalogue)
        self._detections = DetectionState(cameras)
        self._graph = Graph(catalogue.rows)
        self._running: dict[str, _Running] = {}
        self._suspended: dict[str, tuple[Campaign, str]] = {}
        self._watermark_ns: int | None = None
        self.late_samples = 0
        """Samples that came after the source had promised no more of their time; they were not used."""

    def set_campaigns(self, campaigns: CampaignSet) -> None:
        """Put a set in force, from the next batch on."""
        self._graph = Graph(self._catalogue.rows)
        before, self._running = self._running, {}
        suspended, self._suspended = self._suspended, {}
        fresh: set[int] = set()
        for campaign in campaigns.campaigns:
            refused = suspended.get(campaign.id)
            if refused is not None and _unchanged(refused[0], campaign):
                self._suspended[campaign.id] = refused
                continue
            try:
                running = self._start(campaign)
            except KeyError as error:
                self._suspended[campaign.id] = (
                    campaign,
                    f"signal {error} is not in this vehicle's catalogue",
                )
                continue
            known = before.get(campaign.id)
            if known is not None and _unchanged(known.campaign, campaign):
                running.phase = known.phase
            if not running.phase.evaluated:
                fresh |= running.inputs - {DETECTIONS_INPUT}
            self._running[campaign.id] = running
        thresholds, exact = self._graph.thresholds()
        self._signals.watch(thresholds, exact, fresh)

    def advance(
        self,
        signals: Signals,
        detections: Sequence[Detections],
        *,
        until_ns: int,
        wall_minus_mono_ns: int,
    ) -> tuple[Firing, ...]:
        """Take up one batch and return what fired before ``until_ns``, by time and then campaign id.

        The batch holds every sample with a time in ``[previous until_ns, until_ns)``.
        """
        signals = self._in_time(signals)
        looks = self._look(detections, until_ns)
        samples = self._signals.samples(signals, until_ns)
        active = self._signals.active(samples)
        moments: list[tuple[int, _Running]] = []
        with np.errstate(all="ignore"):  # Overflow and invalid are values here; see ``values``.
            if active is not None or looks is not None:
                moments += self._evaluate(active, looks, until_ns)
            moments += [
                (t_ns, running)
                for running in self._running.values()
                for t_ns in running.phase.until(until_ns)
            ]
            moments.sort(key=lambda moment: (moment[0], moment[1].campaign.id))
            firings = tuple(
                Firing(
                    running.campaign.id,
                    running.campaign.version,
                    t_ns,
                    self._evidence(running, t_ns, samples, looks or self._carried(until_ns)),
                )
                for t_ns, running in moments
                if running.phase.fires(running.campaign, t_ns, t_ns + wall_minus_mono_ns)
            )
        self._signals.store(samples)
        if detections:
            self._detections.store(detections)
        self._watermark_ns = until_ns
        return firings

    def suspended(self) -> dict[str, str]:
        """Campaigns of the set that are not evaluated, with the reason."""
        return {campaign: reason for campaign, (_, reason) in self._suspended.items()}

    def _start(self, campaign: Campaign) -> _Running:
        rows = self._catalogue.rows
        paths = tuple((path, rows[path]) for path in sorted(signal_types(campaign.program)))
        at = self._graph.add(campaign.program)
        inputs = self._graph.vertices[at].inputs
        return _Running(campaign, at, inputs, paths, texts(campaign.program, "kind"))

    def _in_time(self, signals: Signals) -> Signals:
        if self._watermark_ns is None or not len(signals) or int(signals.t_ns[0]) >= self._watermark_ns:
            return signals
        keep = signals.t_ns >= self._watermark_ns
        self.late_samples += int(np.count_nonzero(~keep))
        return Signals(signals.t_ns[keep], signals.signal[keep], signals.value[keep])

    def _look(self, detections: Sequence[Detections], until_ns: int) -> Looks | None:
        """The looks of the batch where one begins in it; None where everything seen stays as it was."""
        stale_ns = self._detections.next_stale_ns(self._since_ns)
        if not detections and (stale_ns is None or stale_ns >= until_ns):
            return None
        looks = self._detections.looks(detections, since_ns=self._since_ns, until_ns=until_ns)
        return looks if looks.changes_ns.shape[0] else None

    def _carried(self, until_ns: int) -> Looks:
        return self._detections.looks((), since_ns=self._since_ns, until_ns=until_ns)

    @property
    def _since_ns(self) -> int:
        """Start of the batch; the first one holds everything there ever was."""
        return self._watermark_ns if self._watermark_ns is not None else _BEFORE_ALL_NS

    def _evaluate(
        self, active: ActiveSamples | None, looks: Looks | None, until_ns: int
    ) -> list[tuple[int, _Running]]:
        changed = set(active.rows.tolist()) if active is not None else set()
        times = [active.t_ns] if active is not None else []
        if looks is not None:
            changed.add(DETECTIONS_INPUT)
            times.append(looks.changes_ns)
        instants = np.unique(np.concatenate(times))
        batch = Batch(
            instants,
            self._signals,
            active,
            lambda: looks if looks is not None else self._carried(until_ns),
        )
        self._graph.changed(changed)
        moments: list[tuple[int, _Running]] = []
        for running in tuple(self._running.values()):
            if running.inputs.isdisjoint(changed):
                continue
            try:
                true = self._graph.evaluate(running.at, batch).true
            except Exception as error:  # noqa: BLE001 - one campaign's fault must not stop the others; it is reported
                self._suspend(running, error)
                continue
            true = self._from_first_arrival(running, true, batch, looks)
            ended = running.phase.follow(true, instants, running.campaign.hold_ns)
            moments.extend((t_ns, running) for t_ns in ended)
        self._graph.finish()
        return moments

    def _from_first_arrival(
        self, running: _Running, true: NDArray[np.bool_], batch: Batch, looks: Looks | None
    ) -> NDArray[np.bool_]:
        """The condition at every instant; a new campaign's begins where something it refers to arrives."""
        if true.shape[0] != batch.instants.shape[0]:
            true = np.broadcast_to(true, batch.instants.shape)
        if running.phase.evaluated:
            return true
        first: list[int] = []
        if looks is not None and DETECTIONS_INPUT in running.inputs:
            first.append(int(looks.changes_ns[0]))
        if batch.active is not None:
            mine = np.isin(batch.active.signal, list(running.inputs))
            first.extend(batch.active.t_ns[mine][:1].tolist())
        return true & (batch.instants >= min(first))

    def _suspend(self, running: _Running, error: Exception) -> None:
        del self._running[running.campaign.id]
        self._suspended[running.campaign.id] = (running.campaign, f"{type(error).__name__}: {error}")

    def _evidence(
        self, running: _Running, t_ns: int, samples: Samples, looks: Looks
    ) -> tuple[tuple[str, float | str], ...]:
        seen: list[tuple[str, float | str]] = []
        for path, row in running.signals:
            value = self._signals.newest(row, samples, t_ns)
            if value is not None:
                seen.append((path, value))
        for kind in running.kinds:
            count = looks.count_kind(kind, t_ns)
            if count is not None:
                seen.append((f"detections.{kind}", float(count)))
        return tuple(seen)


def _unchanged(a: Campaign, b: Campaign) -> bool:
    """Whether a campaign's state means the same under ``b``.

    The condition is compared as well as the version: an author who forgot to raise the version must not inherit
    another condition's phase.
    """
    return (a.id, a.version, a.program, a.hold_ns) == (b.id, b.version, b.program, b.hold_ns)
