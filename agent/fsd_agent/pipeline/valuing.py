"""Values the clips that wait to be finished, before any of them is: what is worth most is then finished and sent first.

From a clip's own detections, tracks and speed (``rules.selection.worth``), with the weights that its campaigns state; a campaign
that is not in force any more gets the defaults. The outcome, with when the most promising seconds begin, is kept in the journal, and nothing
else changes.

Fail soft. Whatever goes wrong with one clip, it is worth 0 with :attr:`Valued.FAILED`, counted, and goes its way. What the journal
can't take is tried again after a pause, and holds up nobody: a clip that is finished before it is valued stays so.

A clip whose purpose is not consented to is not looked at, and nothing is while the agent sleeps.

Threads: ``step`` for the one that finishes clips, which is of low priority; ``counts`` for any.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import numpy as np

from fsd_agent.pipeline.by_campaign import campaigns_of
from fsd_agent.pipeline.consent import Consents
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.spool import Staging
from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.clip import Clip, ClipRow
from fsd_agent.records.head import Head
from fsd_agent.records.worth import DEFAULT_WEIGHTS, Valued, Weights, Worth
from fsd_agent.rules.selection.moving import Speed
from fsd_agent.rules.selection.worth import Looked, worth
from fsd_agent.rules.triggers.detections.tracks import Tracker
from fsd_agent.rules.uplink.power import Phase
from fsd_agent.wire.staged import assemble, decode_part
from fsd_firmware.samples import PERSON_KINDS, Detections

_log = logging.getLogger(__name__)

AT_ONCE: Final = 8
"""Clips of one step; one transaction for all of them."""
PAUSE_NS: Final = 5_000_000_000
SPEED: Final = "Vehicle.Speed"
PER_MPS: Mapping[str, float] = {"km/h": 3.6, "m/s": 1.0}


class InForce(Protocol):
    """What is known of campaigns."""

    def in_force(self, region_id: str | None) -> CampaignSet | None:
        """The set in force for a region."""
        ...


class Sleeps(Protocol):
    """What is known of the ignition."""

    @property
    def phase(self) -> Phase:
        """Now."""
        ...


class Valuing:
    """See the module."""

    def __init__(
        self,
        head: Head,
        *,
        journal: Journal,
        staging: Staging,
        campaigns: InForce,
        consent: Consents,
        sizes: Mapping[str, tuple[int, int]],
        power: Sleeps,
        clock: Clock,
        events: EventSink,
    ) -> None:
        """``head``: of tracks. ``sizes``: width and height in pixels of each camera that the vehicle describes."""
        self._head = head
        self._journal = journal
        self._staging = staging
        self._campaigns = campaigns
        self._consent = consent
        self._sizes = sizes
        self._power = power
        self._clock = clock
        self._events = events
        self._not_before_ns = clock.monotonic_ns()
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """Clips valued since the start, by :class:`Valued`."""
        return dict(self._counts)

    def step(self) -> bool:
        """Value some clips; False where none waits for it."""
        if self._clock.monotonic_ns() < self._not_before_ns or self._power.phase is Phase.ASLEEP:
            return False
        try:
            rows = self._journal.unvalued(AT_ONCE, purposes=self._consent.now.given)
            if not rows:
                return False
            worths = {row.clip_id: self._worth(row) for row in rows}
            self._journal.valued(worths)
        except JournalError as error:
            self._not_before_ns = self._clock.monotonic_ns() + PAUSE_NS
            self._events.emit("journal_failed", clip="", what=str(error))
            return False
        self._counts.update(str(one.why) for one in worths.values())
        return True

    def _worth(self, row: ClipRow) -> Worth:
        try:
            parts = [decode_part(part) for part in self._staging.read(row.compartment, row.clip_id)]
            clip = assemble(parts, row, self._journal.firings_of(row.clip_id))
            looked = [self._looked(one) for one in clip.detections]
            span_ns, moments_ns = (row.start_ns, row.end_ns), [one.firing.t_ns for one in clip.firings]
            return worth(looked, speed_of(clip), span_ns, self._head, self._weights(clip), moments_ns)
        except JournalError:
            raise
        except Exception:  # noqa: BLE001 - a file, a key or foreign numbers: who finishes the clip judges what is wrong with it
            _log.exception("clip %s: can't be valued", row.clip_id)
            return Worth(0.0, Valued.FAILED)

    def _weights(self, clip: Clip) -> Sequence[Weights]:
        found = self._campaigns.in_force(clip.row.region_id)
        stated = {} if found is None else {one.id: one.weights for one in found.campaigns}
        return [stated.get(one, DEFAULT_WEIGHTS) for one in sorted(campaigns_of(clip))] or [DEFAULT_WEIGHTS]

    def _looked(self, looks: Detections) -> Looked:
        """With the tracks that were given, or of our own where somebody has none."""
        width, height = self._sizes[looks.camera]
        nameless = np.isin(looks.kind, sorted(PERSON_KINDS)) & (looks.track_id < 0)
        track = looks.track_id.astype(np.int64)
        if nameless.any():
            (followed,) = Tracker({looks.camera: (width, height)}).follow([looks])
            looks, track = followed.seen, followed.track
        return Looked(looks, track, (float(width), float(height)))


def speed_of(clip: Clip) -> Speed | None:
    """The car's, by the signal, where the clip holds it; else None.

    Not by position fixes: the value leaves with the clip, also where positions may not.
    """
    for at, entry in enumerate(clip.catalogue):
        rows = clip.signals.signal == at
        if entry.path == SPEED and entry.unit in PER_MPS and rows.any():
            return Speed(clip.signals.t_ns[rows], clip.signals.value[rows] / PER_MPS[entry.unit])
    return None
