"""Cuts a finished clip to its most promising seconds, where its campaigns ask for no more (``selection.keep``).

The one place that cuts, and it comes before anything is decoded: what is not kept is not judged, not painted, not encoded and not sent.
Which seconds: ``rules.selection.span``, from what valuing left in the journal. How: as a clip is put together from what
is staged (``wire.staged``), with another begin and end, so that a cut clip is what a shorter window would have been:

    video                 of each camera from its last key frame at or before the begin
    detections            from that picture on; fixes in the span alone
    signals, drive mode   with each one's last value before the begin
    firings               all of them, with their own times: that they happened is a fact, also of those outside of the span

Sensitive zones are asked before, of the whole window (``finish.py``).

The campaigns in force now say how much is kept; the longest of several counts, and one that states nothing or is not in force
any more keeps all. Fail soft: without detections, with a value that failed or that is not there yet nothing is cut, and that is
counted.

Threads: the one that finishes clips; :meth:`Keeper.counted` is for any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Protocol

from fsd_agent.pipeline.by_campaign import CountsByCampaign, selection_of
from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.clip import Clip
from fsd_agent.records.staged import StagedPart
from fsd_agent.rules.selection.span import kept_span
from fsd_agent.wire.staged import assemble


class Outcome(StrEnum):
    """Of a clip whose campaigns ask for less than all, as the status counts it."""

    SHORTENED = "shortened"
    SHORT_ENOUGH = "short_enough"
    """Not longer than asked for."""
    UNDECIDED = "undecided"
    """Kept whole, for nobody can say which seconds are best."""


class Keeps(Protocol):
    """What the Finisher asks."""

    def kept(self, clip: Clip) -> Clip:
        """Of ``clip`` what is kept; itself where that is all."""
        ...


class Keeper:
    """See the module."""

    def __init__(self, in_force: Callable[[str], CampaignSet | None]) -> None:
        """``in_force``: the campaigns of a region."""
        self._in_force = in_force
        self._counts = CountsByCampaign()

    def counted(self, region_id: str) -> dict[str, dict[str, int]]:
        """By campaign, what became of the region's clips since the start, by :class:`Outcome`."""
        return self._counts.of_region(region_id)

    def kept(self, clip: Clip) -> Clip:
        """See :class:`Keeps`."""
        row = clip.row
        rule, _ = selection_of(clip, self._in_force(row.region_id))
        keep_ns = rule.keep_ns
        if keep_ns is None:
            return clip
        window = row.start_ns, row.end_ns
        span = kept_span(window, row.worth.best_ns, keep_ns)
        if span != window:
            self._counts.count(clip, Outcome.SHORTENED)
            return shortened(clip, *span)
        short = row.end_ns - row.start_ns <= keep_ns
        self._counts.count(clip, Outcome.SHORT_ENOUGH if short else Outcome.UNDECIDED)
        return clip


def shortened(clip: Clip, start_ns: int, end_ns: int) -> Clip:
    """What the clip would be if its window had been ``[start_ns, end_ns)``, within its own; it says of which window it is."""
    row = clip.row
    whole = StagedPart(clip.packets, clip.catalogue, clip.signals, clip.detections, clip.gnss, clip.modes)
    cut = assemble([whole], replace(row, start_ns=start_ns, end_ns=end_ns), clip.firings)
    return replace(cut, kept_of=clip.kept_of or (row.start_ns, row.end_ns))
