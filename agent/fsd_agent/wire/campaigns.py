r"""A campaign set as msgpack, version 1.

A map ``{v, region_id, version, campaigns}``; a campaign is a map of the fields below, a program ``{v, nodes}``
with nodes as arrays ``[op, [argument positions], value]``. Decoding checks version, unknown fields, types, bounds
and the program itself (:class:`~fsd_agent.records.program.Program`), and names campaign, field and reason when it
refuses. Whether this vehicle can run a campaign is another question: ``rules.triggers.check``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from fsd_agent.records.campaign import LIMITS, Budget, Campaign, CampaignSet, CaptureSpec
from fsd_agent.records.program import MAX_NODES, MAX_TEXT, LiteralValue, Node, Op, Program, ProgramError

VERSION: Final = 1

_Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
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


class _Node(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    op: Op
    args: Annotated[tuple[int, ...], Meta(max_length=3)]
    value: LiteralValue | None


class _Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    nodes: Annotated[tuple[_Node, ...], Meta(min_length=1, max_length=MAX_NODES)]


class _Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    before_ns: Annotated[int, Meta(ge=0, le=LIMITS.before_ns)]
    after_ns: Annotated[int, Meta(ge=0, le=LIMITS.after_ns)]
    cameras: Annotated[tuple[_Text, ...], Meta(max_length=LIMITS.cameras)]
    signals: Annotated[tuple[_Text, ...], Meta(max_length=LIMITS.signals)]


class _Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    clips_per_day: _Count | None
    bytes_per_day: _Count | None


class _Campaign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\Z")]
    version: _Version
    purpose: Annotated[str, Meta(min_length=1, max_length=LIMITS.purpose_chars)]
    region_id: _RegionId
    source: Annotated[str, Meta(min_length=1, max_length=LIMITS.source_chars)]
    program: _Program
    hold_ns: Annotated[int, Meta(ge=0, le=LIMITS.hold_ns)]
    cooldown_ns: Annotated[int, Meta(ge=0, le=LIMITS.cooldown_ns)]
    capture: _Capture
    budget: _Budget
    sample_ratio: Annotated[float, Meta(gt=0, le=1)]
    priority: Annotated[int, Meta(ge=-LIMITS.priority, le=LIMITS.priority)]
    valid_from_wall_ns: _Wall
    valid_until_wall_ns: _Wall


class _Set(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: Literal[1]
    region_id: _RegionId
    version: _Version
    campaigns: Annotated[list[Any], Meta(max_length=LIMITS.campaigns)]


def encode_set(campaigns: CampaignSet) -> bytes:
    """Bytes of a set; the same set gives the same bytes.

    Raises :class:`CampaignFormatError` for what :func:`decode_set` would refuse.
    """
    data = msgspec.msgpack.encode(
        _Set(
            v=VERSION,
            region_id=campaigns.region_id,
            version=campaigns.version,
            campaigns=[_pack(campaign) for campaign in campaigns.campaigns],
        )
    )
    decode_set(data)
    return data


def decode_set(data: bytes) -> CampaignSet:
    """The checked set. Raises :class:`CampaignFormatError`."""
    try:
        raw = msgspec.msgpack.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CampaignFormatError("set", "bytes", str(error)) from None
    version = raw.get("v") if isinstance(raw, dict) else None
    if version != VERSION:
        raise CampaignFormatError("set", "v", f"version {version!r}; this software reads {VERSION}")
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
    return CampaignSet(found.region_id, found.version, campaigns)


def _pack(campaign: Campaign) -> _Campaign:
    capture, budget = campaign.capture, campaign.budget
    nodes = tuple(_Node(node.op, node.args, node.value) for node in campaign.program.nodes)
    return _Campaign(
        id=campaign.id,
        version=campaign.version,
        purpose=campaign.purpose,
        region_id=campaign.region_id,
        source=campaign.source,
        program=_Program(campaign.program.version, nodes),
        hold_ns=campaign.hold_ns,
        cooldown_ns=campaign.cooldown_ns,
        capture=_Capture(capture.before_ns, capture.after_ns, capture.cameras, capture.signals),
        budget=_Budget(budget.clips_per_day, budget.bytes_per_day),
        sample_ratio=campaign.sample_ratio,
        priority=campaign.priority,
        valid_from_wall_ns=campaign.valid_from_wall_ns,
        valid_until_wall_ns=campaign.valid_until_wall_ns,
    )


def _unpack(at: int, obj: Any) -> Campaign:
    named = obj.get("id") if isinstance(obj, dict) else None
    name = named if isinstance(named, str) else f"campaign {at}"
    raw: _Campaign = _convert(name, obj, _Campaign)
    if raw.capture.before_ns + raw.capture.after_ns == 0:
        raise CampaignFormatError(name, "capture", "before and after are both zero: the clip would be empty")
    if raw.valid_from_wall_ns >= raw.valid_until_wall_ns:
        raise CampaignFormatError(name, "valid_until_wall_ns", "is not after valid_from_wall_ns")
    try:
        nodes = tuple(Node(node.op, node.args, node.value) for node in raw.program.nodes)
        program = Program(raw.program.v, nodes)
    except ProgramError as error:
        raise CampaignFormatError(name, "program", str(error)) from None
    capture = CaptureSpec(
        raw.capture.before_ns, raw.capture.after_ns, raw.capture.cameras, raw.capture.signals
    )
    return Campaign(
        id=raw.id,
        version=raw.version,
        purpose=raw.purpose,
        region_id=raw.region_id,
        source=raw.source,
        program=program,
        hold_ns=raw.hold_ns,
        cooldown_ns=raw.cooldown_ns,
        capture=capture,
        budget=Budget(raw.budget.clips_per_day, raw.budget.bytes_per_day),
        sample_ratio=raw.sample_ratio,
        priority=raw.priority,
        valid_from_wall_ns=raw.valid_from_wall_ns,
        valid_until_wall_ns=raw.valid_until_wall_ns,
    )


_AT: Final = re.compile(r"^(?P<reason>.*?) - at `\$\.?(?P<path>[^`]*)`$", re.DOTALL)


def _convert(name: str, obj: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(obj, kind, strict=True)
    except (msgspec.ValidationError, RecursionError) as error:
        found = _AT.match(str(error))
        if found is None:
            raise CampaignFormatError(name, "format", str(error)) from None
        raise CampaignFormatError(name, found["path"] or "format", found["reason"]) from None
