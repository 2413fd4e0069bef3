"""A campaign as the vehicle runs it: checked, compiled, with units in its names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fsd_agent.records.head import Head
from fsd_agent.records.link_rule import SAYS_NOTHING, LinkRule
from fsd_agent.records.novelty import NoveltyMode, Sketch
from fsd_agent.records.program import Program
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.schedule import Schedule
from fsd_agent.records.selection_rule import SELECTS_AS_USUAL, SelectionRule
from fsd_agent.records.worth import DEFAULT_WEIGHTS, Weights
from fsd_agent.records.zone import Zone

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CampaignLimits:
    """Bounds of a campaign's fields, checked where it is written and again where it arrives."""

    before_ns: int = 30 * SECOND_NS
    """The ring holds this in memory for every camera: about 20 MB each at 5 Mbit/s."""
    after_ns: int = 60 * SECOND_NS
    """A longer window is a recording, not an event, and keeps its clip open to power cuts."""
    hold_ns: int = 60 * SECOND_NS
    """A condition that must hold longer is a state, not an event."""
    rearm_ns: int = 3600 * SECOND_NS
    cooldown_ns: int = 7 * 86_400 * SECOND_NS
    """A week; a campaign that should rest longer has a shorter validity."""
    cameras: int = 16
    signals: int = 256
    """Of a clip; more is a log of the bus."""
    source_chars: int = 4096
    """Of the condition."""
    description_chars: int = 1024
    priority: int = 1000
    """Magnitude."""
    campaigns: int = 1000
    """In one set."""
    zones: int = 16
    """Of a campaign."""
    corners: int = 256
    """Of a zone."""
    heads: int = 4
    """Of a campaign."""
    spans: int = 64
    """Of a schedule."""
    offsets: int = 256
    """Of a schedule: two a year for a century."""
    deadline_min_ns: int = 600 * SECOND_NS
    """The vehicle looks every five minutes whether a deadline has passed, and believes a clock after another five."""
    deadline_max_ns: int = 366 * 86_400 * SECOND_NS
    """A year; a region's retention ends what has none."""
    keep_min_ns: int = 3 * SECOND_NS
    """As long as the windows that a clip is valued by: what is best within one nobody says."""
    keep_max_ns: int = 90 * SECOND_NS
    """No window of one firing is longer."""
    operations_per_s: int = 2_000_000
    """Evaluation budget of one campaign, in operations on one value each, per second of driving (see ``rules.triggers.firing.cost``).
    A family that ships needs under 5 % of it with forty boxes in view."""


LIMITS: Final = CampaignLimits()


@dataclass(frozen=True, slots=True)
class CaptureSpec:
    """Which seconds and which sources a firing asks for."""

    before_ns: int
    after_ns: int
    cameras: tuple[str, ...]
    signals: tuple[str, ...]
    """VSS paths that the clip holds."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Per vehicle and UTC day; None is no limit."""

    clips_per_day: int | None
    bytes_per_day: int | None


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign."""

    id: str
    version: int
    purpose: Purpose
    """Nothing is collected for it without consent to this."""
    description: str
    """For people: what is looked for, and how often it is expected."""
    region_id: str
    """The one region it is for; another region's vehicles refuse it."""
    source: str
    """The CEL condition as its author wrote it."""
    program: Program
    hold_ns: int
    """The condition must stay true this long before it fires."""
    cooldown_ns: int
    """No second firing sooner than this after the last."""
    capture: CaptureSpec
    budget: Budget
    sample_ratio: float
    """Share of firings to keep, 0 < ratio <= 1, decided by a hash of the firing so that it is reproducible."""
    priority: int
    valid_from_wall_ns: int
    valid_until_wall_ns: int
    rearm_ns: int = 0
    """After a firing the condition must be not true for this long before it can fire again."""
    schedule: Schedule | None = None
    zones: tuple[Zone, ...] = ()
    heads: tuple[Head, ...] = ()
    uplink: LinkRule = SAYS_NOTHING
    selection: SelectionRule = SELECTS_AS_USUAL
    novelty: NoveltyMode = NoveltyMode.OFF
    weights: Weights = DEFAULT_WEIGHTS
    """What its clips are valued by, among those of its priority."""


@dataclass(frozen=True, slots=True)
class CampaignSet:
    """What a region's operators have in force; swapped in whole."""

    region_id: str
    version: int
    """Grows with every push; an older one is refused."""
    campaigns: tuple[Campaign, ...]
    sketch: Sketch | None = None
    """What the region has enough of; it comes and goes with the set."""
