"""Campaign files to campaigns: schema, then meaning, then the condition; every refusal names file, field and value."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from fsd_agent.records.campaign import LIMITS, SECOND_NS, Budget, Campaign, CampaignSet, CaptureSpec
from fsd_agent.records.head import Head
from fsd_agent.records.link_rule import LinkRule
from fsd_agent.records.novelty import NoveltyMode
from fsd_agent.records.program import Op, Program, names
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.selection_rule import SelectionRule
from fsd_agent.records.worth import DEFAULT_WEIGHTS, Part, Weights, WeightsError
from fsd_agent.records.zone import Zone
from fsd_agent.rules.cabin import why_not
from fsd_firmware.catalogue import Catalogue
from fsd_tools.campaign.cel import Environment, did_you_mean
from fsd_tools.campaign.head import compile_heads
from fsd_tools.campaign.lower import Gates, lower
from fsd_tools.campaign.lower_functions import Names, closest
from fsd_tools.campaign.refusals import ConditionError, refuse_what_is_not_possible
from fsd_tools.campaign.schedule import compile_schedule
from fsd_tools.campaign.schema import (
    CampaignFile,
    CaptureFile,
    FieldError,
    SelectionFile,
    UplinkFile,
    duration_ns,
    parse_file,
    read_text,
    wall_ns,
)
from fsd_tools.campaign.zones import compile_zones
from fsd_tools.errors import ToolError

UNASSIGNED: Final = "unassigned"
"""Stands for the region of a template that is checked or backtested, never of one that is pushed."""
_EACH_COUNTS: Final = frozenset({Purpose.SAFETY, Purpose.OCCUPANT_MONITORING})
_HOLD_WHY: Final = "a condition that must hold longer is a state, not an event"
_REARM_WHY: Final = "use cooldown for a longer rest"
_KEEP_WHY: Final = "no window of one firing is longer; leave it out to keep all"
_DEADLINE_WHY: Final = "leave it out; the region's retention ends it"
_COOLDOWN_WHY: Final = "end the campaign earlier instead, with valid.until"


class CampaignError(ToolError):
    """A campaign can't be compiled; says which file, which field and why."""

    def __init__(self, file: str, field: str, reason: str) -> None:
        super().__init__(f"{file}: {field}: {reason}")
        self.file = file
        self.field = field
        self.reason = reason


def compile_campaign(
    text: str,
    *,
    file: str,
    catalogue: Catalogue,
    cameras: Collection[str],
    region_id: str | None = None,
) -> Campaign:
    """Compile one campaign file for vehicles with this catalogue and these cameras.

    ``region_id`` is where it is going: a file that names no region takes it, a file that names another is refused.
    Without it the file's own region counts, or :data:`UNASSIGNED`. ``file`` is the file's path: other files that it
    names lie beside it. Raises :class:`CampaignError`.
    """
    try:
        parsed = parse_file(text)
        region = _region(parsed.region, region_id)
        return _out_of_the_cabin(_build(parsed, catalogue, tuple(cameras), region, Path(file).parent))
    except FieldError as error:
        raise CampaignError(file, error.field, error.reason) from None


def compile_condition(
    source: str,
    catalogue: Catalogue,
    cameras: Collection[str],
    *,
    zones: Collection[str] = (),
    heads: Collection[str] = (),
    gates: Gates | None = None,
) -> Program:
    """Check and compile one CEL condition, with what the file adds to it. Raises :class:`~.cel.ConditionError`."""
    environment = _environment(catalogue.entries)
    refuse_what_is_not_possible(environment.parse(source), catalogue)
    tree, kind = environment.check(source)
    if kind != "bool":
        raise ConditionError(f"is a {kind}; a condition is a bool, true or false")
    return lower(tree, Names(catalogue, tuple(cameras), tuple(zones), tuple(heads)), gates or Gates())


def compile_files(
    paths: Sequence[Path],
    *,
    catalogue: Catalogue,
    cameras: Collection[str],
    region_id: str | None,
    version: int,
) -> CampaignSet:
    """Compile files to one set. Raises :class:`ToolError` naming the file."""
    campaigns: dict[str, tuple[Path, Campaign]] = {}
    for path in paths:
        campaign = compile_campaign(
            read_text(path), file=str(path), catalogue=catalogue, cameras=cameras, region_id=region_id
        )
        if campaign.id in campaigns:
            other = campaigns[campaign.id][0]
            raise CampaignError(str(path), "id", f"{campaign.id!r} is also the id of {other}")
        campaigns[campaign.id] = path, campaign
    return CampaignSet(
        region_id or UNASSIGNED, version, tuple(campaign for _, campaign in campaigns.values())
    )


def _build(
    parsed: CampaignFile, catalogue: Catalogue, cameras: tuple[str, ...], region_id: str, folder: Path
) -> Campaign:
    capture = _capture(parsed.capture, catalogue, cameras)
    zones, heads = compile_zones(parsed.zones, folder), _heads(parsed, cameras, folder)
    valid_from = wall_ns("valid.from", parsed.valid.from_, end_of_day=False)
    valid_until = wall_ns("valid.until", parsed.valid.until, end_of_day=True)
    if valid_from >= valid_until:
        raise FieldError("valid", f"until {parsed.valid.until} is not after from {parsed.valid.from_}")
    return Campaign(
        id=parsed.id,
        version=parsed.version,
        purpose=parsed.purpose,
        description=parsed.description,
        region_id=region_id,
        source=parsed.condition,
        program=_program(parsed, catalogue, cameras, zones, heads),
        hold_ns=duration_ns("hold", parsed.hold, LIMITS.hold_ns, _HOLD_WHY),
        cooldown_ns=duration_ns("cooldown", parsed.cooldown, LIMITS.cooldown_ns, _COOLDOWN_WHY),
        capture=capture,
        budget=Budget(parsed.budget.clips_per_day, parsed.budget.bytes_per_day),
        sample_ratio=parsed.sample_ratio,
        priority=parsed.priority,
        valid_from_wall_ns=valid_from,
        valid_until_wall_ns=valid_until,
        rearm_ns=duration_ns("rearm", parsed.rearm, LIMITS.rearm_ns, _REARM_WHY),
        schedule=compile_schedule(parsed.schedule, valid_from, valid_until) if parsed.schedule else None,
        zones=zones,
        heads=heads,
        uplink=_uplink(parsed.uplink),
        selection=_selection(parsed.selection),
        novelty=_novelty(parsed.selection, parsed.purpose),
        weights=_weights(parsed.selection),
    )


def _out_of_the_cabin(campaign: Campaign) -> Campaign:
    """The campaign, unless it names a camera that its purpose has no part in."""
    refused = why_not(campaign)
    if refused is not None:
        raise FieldError(*refused)
    return campaign


def _weights(selection: SelectionFile) -> Weights:
    stated = selection.weights
    if stated is None:
        return DEFAULT_WEIGHTS
    parts = tuple(str(part) for part in Part)
    for name in stated:
        if name not in parts:
            raise FieldError(f"selection.weights.{name}", f"no such part of a value{closest(name, parts)}")
    try:
        return Weights(*(stated.get(part, 0.0) for part in parts))
    except WeightsError as error:
        raise FieldError("selection.weights", str(error)) from None


def _novelty(selection: SelectionFile, purpose: Purpose) -> NoveltyMode:
    """What is dangerous is not less so the second time, and codes never tell what the cabin shows: each clip of these is wanted."""
    wanted = selection.novelty
    if wanted is None:
        return NoveltyMode.OFF if purpose in _EACH_COUNTS else NoveltyMode.NORMAL
    if isinstance(wanted, bool):
        if wanted:
            raise FieldError("selection.novelty", f"'on': there is {', '.join(NoveltyMode)}")
        return NoveltyMode.OFF
    return wanted


def _uplink(uplink: UplinkFile) -> LinkRule:
    if uplink.deadline is None:
        return LinkRule(uplink.links, uplink.roaming, uplink.urgent)
    deadline = duration_ns("uplink.deadline", uplink.deadline, LIMITS.deadline_max_ns, _DEADLINE_WHY)
    if deadline < LIMITS.deadline_min_ns:
        reason = f"{uplink.deadline!r} is less than {LIMITS.deadline_min_ns / SECOND_NS:g} s: the vehicle looks no oftener"
        raise FieldError("uplink.deadline", reason)
    return LinkRule(uplink.links, uplink.roaming, uplink.urgent, deadline)


def _selection(selection: SelectionFile) -> SelectionRule:
    quality = selection.quality
    if len(set(quality.reject)) != len(quality.reject):
        raise FieldError("selection.quality.reject", "a fault is there twice")
    return SelectionRule(frozenset(quality.reject), quality.cameras, selection.confirm, _keep(selection.keep))


def _keep(stated: str | None) -> int | None:
    if stated is None:
        return None
    keep_ns = duration_ns("selection.keep", stated, LIMITS.keep_max_ns, _KEEP_WHY)
    if keep_ns < LIMITS.keep_min_ns:
        reason = f"{stated!r} is less than {LIMITS.keep_min_ns / SECOND_NS:g} s, which clips are valued by: which part of those is best nobody says"
        raise FieldError("selection.keep", reason)
    return keep_ns


def _heads(parsed: CampaignFile, cameras: tuple[str, ...], folder: Path) -> tuple[Head, ...]:
    heads = compile_heads(parsed.heads, folder)
    for head in heads:
        if head.camera not in cameras:
            reason = f"no camera {head.camera!r} on this vehicle{closest(head.camera, cameras)}"
            raise FieldError(f"heads.{head.name}.camera", reason)
    return heads


def _program(
    parsed: CampaignFile,
    catalogue: Catalogue,
    cameras: tuple[str, ...],
    zones: tuple[Zone, ...],
    heads: tuple[Head, ...],
) -> Program:
    zone_names, head_names = tuple(zone.name for zone in zones), tuple(head.name for head in heads)
    fence, states = parsed.geofence, parsed.states or ()
    for field, named in (("geofence.inside", fence.inside), ("geofence.outside", fence.outside)):
        for name in named:
            if name not in zone_names:
                raise FieldError(field, f"no zone {name!r} in this file's 'zones'{closest(name, zone_names)}")
    for field, given in (("states", states), ("geofence", fence.inside + fence.outside)):
        if len(set(given)) != len(given):
            raise FieldError(field, "a name is there twice")
    try:
        program = compile_condition(
            parsed.condition,
            catalogue,
            cameras,
            zones=zone_names,
            heads=head_names,
            gates=Gates(states, fence.inside, fence.outside),
        )
    except ConditionError as error:
        raise FieldError("condition", str(error)) from None
    for kind, op, own in (("zones", Op.ZONE, zone_names), ("heads", Op.HEAD, head_names)):
        for name in own:
            if name not in names(program, op):
                raise FieldError(f"{kind}.{name}", "nothing refers to it")
    return program


def _region(named: str | None, going_to: str | None) -> str:
    if named is not None and going_to not in {None, named}:
        raise FieldError("region", f"{named!r}: the campaign is for another region than {going_to!r}")
    return named or going_to or UNASSIGNED


def _capture(capture: CaptureFile, catalogue: Catalogue, cameras: tuple[str, ...]) -> CaptureSpec:
    before_why = "the vehicle's ring reaches no further back"
    after_why = "a longer window is a recording, not an event"
    before = duration_ns("capture.before", capture.before, LIMITS.before_ns, before_why)
    after = duration_ns("capture.after", capture.after, LIMITS.after_ns, after_why)
    if before + after == 0:
        reason = f"before {capture.before!r} and after {capture.after!r}: the clip would be empty"
        raise FieldError("capture", reason)
    for camera in capture.cameras:
        if camera not in cameras:
            reason = f"no camera {camera!r} on this vehicle{closest(camera, cameras)}"
            raise FieldError("capture.cameras", reason)
    for path in capture.signals:
        if path not in catalogue.rows:
            hint = did_you_mean(path, tuple(catalogue.rows))
            raise FieldError("capture.signals", f"unknown signal {path!r}{hint}")
    for field, given in (("cameras", capture.cameras), ("signals", capture.signals)):
        if len(set(given)) != len(given):
            raise FieldError(f"capture.{field}", "a name is there twice")
    return CaptureSpec(before, after, capture.cameras, capture.signals)


@lru_cache(maxsize=8)
def _environment(entries: tuple[object, ...]) -> Environment:
    """Environments are kept: making one costs more than checking a condition. Keyed by what it depends on."""
    return Environment(Catalogue(entries))  # type: ignore[arg-type]  # lru_cache takes any hashable
