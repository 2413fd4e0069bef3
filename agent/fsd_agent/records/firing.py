"""A campaign's condition came true, and what a region may be told of it."""

from __future__ import annotations

from dataclasses import dataclass

from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason

Evidence = tuple[tuple[str, float | str], ...]


@dataclass(frozen=True, slots=True)
class Firing:
    """The moment at which a campaign asks for data. A function of the input and the campaign alone."""

    campaign_id: str
    campaign_version: int
    t_ns: int
    """Event time of the sample that made the condition true (plus the hold time, where one is asked)."""
    evidence: Evidence
    """What the condition saw at ``t_ns``: signal paths with values, and for each kind that it names
    ``detections.<kind>`` with the count in the newest frame. For people, not for rules."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What a campaign lets its region be told of a firing at once; ``rules.privacy.telling`` says when."""

    purpose: Purpose
    signals: tuple[str, ...]
    """VSS paths that the campaign's clips may hold: evidence of any other signal stays on the vehicle."""


@dataclass(frozen=True, slots=True)
class JudgedFiring:
    """A firing with its id and the verdict of selection: exactly one of ``clip_id`` and ``drop`` is set.

    ``region_id`` and ``telling`` are for the journal to take at acceptance; what is read back does not have them.
    """

    firing_id: str
    firing: Firing
    wall_ns: int
    """Unix time of ``firing.t_ns``."""
    clip_id: str | None
    drop: DropReason | None
    region_id: str = ""
    """Of its campaign, where it has no clip; that of the clip counts else."""
    telling: Telling | None = None
    """None: its region is not told of it by itself."""


@dataclass(frozen=True, slots=True)
class UntoldFiring:
    """A firing that its region is still to be told of, as it was accepted."""

    judged: JudgedFiring
    region_id: str
    telling: Telling


@dataclass(frozen=True, slots=True)
class ToldFiring:
    """What a region is told of one firing: everything that is in the message, under its seal."""

    campaign_id: str
    campaign_version: int
    purpose: Purpose
    t_ns: int
    """Monotonic, of the vehicle's computer since its start."""
    wall_ns: int
    """Unix time of ``t_ns``."""
    clip_id: str | None
    """The clip that is made of it, which may still be given up; None where there is none."""
    drop: DropReason | None
    """Why there is none."""
    evidence: tuple[tuple[str, float], ...]
    """Numbers alone, of signals and detections that may leave."""
    left_out: int
    """Pairs of evidence that had to stay on the vehicle, or found no room."""
    registration_serial: int
    policy_version: int
    """Of the rules that ``evidence`` went by."""
