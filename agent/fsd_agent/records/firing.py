"""A campaign's condition came true."""

from __future__ import annotations

from dataclasses import dataclass

from fsd_agent.records.reasons import DropReason


@dataclass(frozen=True, slots=True)
class Firing:
    """The moment at which a campaign asks for data. A function of the input and the campaign alone."""

    campaign_id: str
    campaign_version: int
    t_ns: int
    """Event time of the sample that made the condition true (plus the hold time, where one is asked)."""
    evidence: tuple[tuple[str, float | str], ...]
    """What the condition saw at ``t_ns``: signal paths with values, and for each kind that it names
    ``detections.<kind>`` with the count in the newest frame. For people, not for rules."""


@dataclass(frozen=True, slots=True)
class JudgedFiring:
    """A firing with its id and the verdict of selection: exactly one of ``clip_id`` and ``drop`` is set."""

    firing_id: str
    firing: Firing
    wall_ns: int
    """Unix time of ``firing.t_ns``."""
    clip_id: str | None
    drop: DropReason | None
