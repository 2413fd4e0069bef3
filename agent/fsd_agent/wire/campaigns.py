r"""A campaign set as msgpack, version 5.

A map ``{v, region_id, version, campaigns, sketch}``, the sketch as ``wire.sketch`` has it; a campaign is a map of the fields below, whose larger parts
``wire.campaign_parts`` describes. Decoding checks version, unknown fields, types, bounds, every part in itself (the
records check themselves), and that a condition names no zone or head but the campaign's own; it names campaign,
field and reason when it refuses. Whether this vehicle can run a campaign is another question: ``rules.triggers.check``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from fsd_agent.records.campaign import LIMITS, Budget, Campaign, CampaignSet, CaptureSpec
from fsd_agent.records.head import HeadError
from fsd_agent.records.link_rule import SAYS_NOTHING
from fsd_agent.records.novelty import NoveltyMode, Sketch
from fsd_agent.records.program import Op, ProgramError, names
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.schedule import ScheduleError
from fsd_agent.records.selection_rule import SELECTS_AS_USUAL
from fsd_agent.records.worth import DEFAULT_WEIGHTS, WeightsError
from fsd_agent.records.zone import ZoneError
from fsd_agent.wire.campaign_parts import (
    Name,
    SelectionError,
    Text,
    WireHead,
    WireLinkRule,
    WireProgram,
    WireSchedule,
    WireSelection,
    WireWeights,
    WireZone,
)
from fsd_agent.wire.sketch import SketchFormatError, pack_sketch, unpack_sketch

VERSION: Final = 5
_NEW: Final = {4: ("uplink",), 5: ("selection", "novelty", "weights")}
"""Fields by the version that brought them. Sets of before are still read, from a vehicle's disk and from regions that have not
pushed since: their campaigns say nothing of these, and to them each clip counts."""
_NEW_OF_SET: Final = {5: ("sketch",)}
OLDEST: Final = min(_NEW) - 1
_PART_ERRORS: Final = (ProgramError, ScheduleError, ZoneError, HeadError, SelectionError, WeightsError)
_From = TypeVar("_From")
_To = TypeVar("_To")

_RegionId = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
_Version = Annotated[int, Meta(ge=0, le=2**53 - 1)]
_Wall = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class CampaignFormatError(ValueError):
    """The bytes are not a campaign set; says which campaign, which field and why."""

    def __init__(self, campaign: str, field: str, reason: str) -> None:
        super().__init__(f"{campaign}: {field}: {reason}")
        self.campaign = campaign
        """Its id, or ``set`` for what surrounds the campaigns."""
        self.field = field
        self.reason = reason


class _Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    before_ns: Annotated[int, Meta(ge=0, le=LIMITS.before_ns)]
    after_ns: Annotated[int, Meta(ge=0, le=LIMITS.after_ns)]
    cameras: Annotated[tuple[Text, ...], Meta(max_length=LIMITS.cameras)]
    signals: Annotated[tuple[Text, ...], Meta(max_length=LIMITS.signals)]


class _Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    clips_per_day: _Count | None
    bytes_per_day: _Count | None


class _Campaign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Name
    version: _Version
    purpose: Purpose
    description: Annotated[str, Meta(min_length=1, max_length=LIMITS.description_chars)]
    region_id: _RegionId
    source: Annotated[str, Meta(min_length=1, max_length=LIMITS.source_chars)]
    program: WireProgram
    hold_ns: Annotated[int, Meta(ge=0, le=LIMITS.hold_ns)]
    rearm_ns: Annotated[int, Meta(ge=0, le=LIMITS.rearm_ns)]
    cooldown_ns: Annotated[int, Meta(ge=0, le=LIMITS.cooldown_ns)]
    capture: _Capture
    budget: _Budget
    sample_ratio: Annotated[float, Meta(gt=0, le=1)]
    priority: Annotated[int, Meta(ge=-LIMITS.priority, le=LIMITS.priority)]
    valid_from_wall_ns: _Wall
    valid_until_wall_ns: _Wall
    schedule: WireSchedule | None
    zones: Annotated[tuple[WireZone, ...], Meta(max_length=LIMITS.zones)]
    heads: Annotated[tuple[WireHead, ...], Meta(max_length=LIMITS.heads)]
    uplink: WireLinkRule
    selection: WireSelection
    novelty: NoveltyMode
    weights: WireWeights


class _Set(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: Literal[5]
    region_id: _RegionId
    version: _Version
    campaigns: Annotated[list[Any], Meta(max_length=LIMITS.campaigns)]
    sketch: Any
    """Nothing where there is none."""


def encode_set(campaigns: CampaignSet) -> bytes:
    """Bytes of a set; the same set gives the same bytes.

    Raises :class:`CampaignFormatError` for what :func:`decode_set` would refuse.
    """
    packed: list[Any] = [_pack(campaign) for campaign in campaigns.campaigns]
    found = _Set(
        v=VERSION,
        region_id=campaigns.region_id,
        version=campaigns.version,
        campaigns=packed,
        sketch=pack_sketch(campaigns.sketch) if campaigns.sketch is not None else None,
    )
    data = msgspec.msgpack.encode(found)
    decode_set(data)
    return data


def decode_set(data: bytes) -> CampaignSet:
    """The checked set. Raises :class:`CampaignFormatError`."""
    try:
        raw = msgspec.msgpack.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CampaignFormatError("set", "bytes", str(error)) from None
    version = raw.get("v") if isinstance(raw, dict) else None
    if type(version) is int and OLDEST <= version < VERSION:
        _bring_up(raw, version)
    elif version != VERSION:
        reads = f"{OLDEST} to {VERSION}"
        raise CampaignFormatError("set", "v", f"version {version!r}; this software reads {reads}")
    found: _Set = _convert("set", raw, _Set)
    campaigns = tuple(_unpack(at, one) for at, one in enumerate(found.campaigns))
    seen: set[str] = set()
    for campaign in campaigns:
        if campaign.id in seen:
            raise CampaignFormatError(campaign.id, "id", "is in the set twice")
        seen.add(campaign.id)
        if campaign.region_id != found.region_id:
            reason = f"{campaign.region_id!r} in a set for {found.region_id!r}"
            raise CampaignFormatError(campaign.id, "region_id", reason)
    return CampaignSet(found.region_id, found.version, campaigns, _sketch(found))


def _sketch(found: _Set) -> Sketch | None:
    if found.sketch is None:
        return None
    try:
        sketch = unpack_sketch(found.sketch)
    except SketchFormatError as error:
        raise CampaignFormatError("set", "sketch", str(error)) from None
    if sketch.region_id != found.region_id:
        reason = f"of region {sketch.region_id!r} in a set for {found.region_id!r}"
        raise CampaignFormatError("set", "sketch", reason)
    return sketch


def _bring_up(raw: dict[str, Any], version: int) -> None:
    """Make a set of a version before one of this: what it can't say is as of a campaign that says nothing."""
    raw["v"] = VERSION
    says_nothing = {
        "uplink": WireLinkRule.pack(SAYS_NOTHING),
        "selection": WireSelection.pack(SELECTS_AS_USUAL),
        "novelty": NoveltyMode.OFF,
        "weights": WireWeights.pack(DEFAULT_WEIGHTS),
    }
    _add(raw, "set", {"sketch": None}, _NEW_OF_SET, version)
    campaigns = raw.get("campaigns")
    for one in campaigns if isinstance(campaigns, list) else ():
        if isinstance(one, dict):
            _add(one, str(one.get("id")), says_nothing, _NEW, version)


def _add(
    raw: dict[str, Any],
    name: str,
    says_nothing: Mapping[str, Any],
    new: Mapping[int, tuple[str, ...]],
    version: int,
) -> None:
    """What ``version`` did not have yet. Raises :class:`CampaignFormatError` where it is there nevertheless."""
    for field in (field for since, fields in new.items() if since > version for field in fields):
        if field in raw:
            raise CampaignFormatError(name, field, f"version {version} has no such field")
        raw[field] = msgspec.to_builtins(says_nothing[field])


def _pack(campaign: Campaign) -> _Campaign:
    capture, budget = campaign.capture, campaign.budget
    return _Campaign(
        id=campaign.id,
        version=campaign.version,
        purpose=campaign.purpose,
        description=campaign.description,
        region_id=campaign.region_id,
        source=campaign.source,
        program=WireProgram.pack(campaign.program),
        hold_ns=campaign.hold_ns,
        rearm_ns=campaign.rearm_ns,
        cooldown_ns=campaign.cooldown_ns,
        capture=_Capture(capture.before_ns, capture.after_ns, capture.cameras, capture.signals),
        budget=_Budget(budget.clips_per_day, budget.bytes_per_day),
        sample_ratio=campaign.sample_ratio,
        priority=campaign.priority,
        valid_from_wall_ns=campaign.valid_from_wall_ns,
        valid_until_wall_ns=campaign.valid_until_wall_ns,
        schedule=WireSchedule.pack(campaign.schedule) if campaign.schedule else None,
        zones=tuple(WireZone.pack(zone) for zone in campaign.zones),
        heads=tuple(_part(campaign.id, f"heads.{head.name}", WireHead.pack, head) for head in campaign.heads),
        uplink=WireLinkRule.pack(campaign.uplink),
        selection=WireSelection.pack(campaign.selection),
        novelty=campaign.novelty,
        weights=WireWeights.pack(campaign.weights),
    )


def _unpack(at: int, obj: Any) -> Campaign:
    named = obj.get("id") if isinstance(obj, dict) else None
    name = named if isinstance(named, str) else f"campaign {at}"
    raw: _Campaign = _convert(name, obj, _Campaign)
    if raw.capture.before_ns + raw.capture.after_ns == 0:
        raise CampaignFormatError(name, "capture", "before and after are both zero: the clip would be empty")
    if raw.valid_from_wall_ns >= raw.valid_until_wall_ns:
        raise CampaignFormatError(name, "valid_until_wall_ns", "is not after valid_from_wall_ns")
    capture = CaptureSpec(
        raw.capture.before_ns, raw.capture.after_ns, raw.capture.cameras, raw.capture.signals
    )
    campaign = Campaign(
        id=raw.id,
        version=raw.version,
        purpose=raw.purpose,
        description=raw.description,
        region_id=raw.region_id,
        source=raw.source,
        program=_part(name, "program", WireProgram.unpack, raw.program),
        hold_ns=raw.hold_ns,
        rearm_ns=raw.rearm_ns,
        cooldown_ns=raw.cooldown_ns,
        capture=capture,
        budget=Budget(raw.budget.clips_per_day, raw.budget.bytes_per_day),
        sample_ratio=raw.sample_ratio,
        priority=raw.priority,
        valid_from_wall_ns=raw.valid_from_wall_ns,
        valid_until_wall_ns=raw.valid_until_wall_ns,
        schedule=_part(name, "schedule", WireSchedule.unpack, raw.schedule) if raw.schedule else None,
        zones=tuple(_part(name, f"zones.{zone.name}", WireZone.unpack, zone) for zone in raw.zones),
        heads=tuple(_part(name, f"heads.{head.name}", WireHead.unpack, head) for head in raw.heads),
        uplink=raw.uplink.unpack(),
        selection=_part(name, "selection", WireSelection.unpack, raw.selection),
        novelty=raw.novelty,
        weights=_part(name, "weights", WireWeights.unpack, raw.weights),
    )
    _check_together(campaign)
    return campaign


def _check_together(campaign: Campaign) -> None:
    """What is right in itself must also fit: schedule to validity, the condition's names to zones and heads."""
    schedule = campaign.schedule
    if schedule and schedule.offsets[0].from_wall_ns > campaign.valid_from_wall_ns:
        reason = "its first offset begins after the campaign's validity"
        raise CampaignFormatError(campaign.id, "schedule", reason)
    for field, op, own in (
        ("zones", Op.ZONE, [zone.name for zone in campaign.zones]),
        ("heads", Op.HEAD, [head.name for head in campaign.heads]),
    ):
        if len(set(own)) != len(own):
            raise CampaignFormatError(campaign.id, field, "a name is there twice")
        for used in names(campaign.program, op):
            if used not in own:
                reason = f"names {used!r}, which is not among the campaign's {field}"
                raise CampaignFormatError(campaign.id, "program", reason)


def _part(name: str, field: str, convert: Callable[[_From], _To], part: _From) -> _To:
    """The part converted; what it is refused for is told with campaign and field."""
    try:
        return convert(part)
    except _PART_ERRORS as error:
        raise CampaignFormatError(name, field, str(error)) from None


_AT: Final = re.compile(r"^(?P<reason>.*?) - at `\$\.?(?P<path>[^`]*)`$", re.DOTALL)


def _convert(name: str, obj: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(obj, kind, strict=True, builtin_types=(bytes,))
    except (msgspec.ValidationError, RecursionError) as error:
        found = _AT.match(str(error))
        if found is None:
            raise CampaignFormatError(name, "format", str(error)) from None
        raise CampaignFormatError(name, found["path"] or "format", found["reason"]) from None
