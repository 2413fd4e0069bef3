"""The campaign file: YAML, strict. Unknown fields, repeated keys and values of another type are refused.

Required: ``id``, ``purpose``, ``description``, ``condition``, ``capture``, ``valid``. The rest has a default; ``docs/campaigns.md``
is the reference. A file names at most one region; without one it is a template for the region it is pushed to.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec
import yaml
from msgspec import Meta

from fsd_agent.records.campaign import LIMITS, SECOND_NS
from fsd_agent.records.link_rule import Links
from fsd_agent.records.novelty import NoveltyMode
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.selection_rule import USUAL, Cameras, Fault
from fsd_tools.campaign.schedule_form import ScheduleFile
from fsd_tools.errors import ToolError

UNITS_NS: Final = {
    "ms": 1_000_000,
    "s": SECOND_NS,
    "min": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
    "d": 86_400 * SECOND_NS,
}
_DURATION: Final = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>ms|s|min|h|d)\Z")
_AT: Final = re.compile(r"^(?P<reason>.*?) - at `\$\.?(?P<path>[^`]*)`$", re.DOTALL)
_SHOWN: Final = 100
"""Characters of a refused value: one that is refused for its length is not repeated whole."""

Text = Annotated[str, Meta(min_length=1)]
State = Literal["parked", "manual", "assisted"]


class FieldError(Exception):
    """One field of a campaign can't be accepted."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class CaptureFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``capture``."""

    before: str
    after: str
    cameras: Annotated[tuple[Text, ...], Meta(max_length=LIMITS.cameras)] = ()
    signals: Annotated[tuple[Text, ...], Meta(max_length=LIMITS.signals)] = ()


class BudgetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``budget``; left out is no limit."""

    clips_per_day: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    bytes_per_day: Annotated[int, Meta(ge=0, le=2**50)] | None = None


class ValidFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``valid``: dates (UTC, both included) or moments with a zone, as YAML reads them; see :func:`wall_ns`."""

    from_: Any = msgspec.field(name="from")
    until: Any


class GeofenceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``geofence``: in one of the zones ``inside``, in none of ``outside``."""

    inside: tuple[Text, ...] = ()
    outside: tuple[Text, ...] = ()


class UplinkFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``uplink``; left out, clips wait for a link that costs nothing by the byte, and there is no deadline."""

    links: Links = Links.UNMETERED
    roaming: bool = False
    urgent: bool = False
    deadline: str | None = None


class QualityFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``selection.quality``."""

    reject: Annotated[tuple[Fault, ...], Meta(max_length=len(Fault))] = tuple(
        fault for fault in Fault if fault in USUAL
    )
    cameras: Cameras = Cameras.ANY


class SelectionFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``selection``: how much of a finished clip is kept, which verdicts may throw it away, what the others are valued by."""

    keep: str | None = None
    """Left out, all of it."""
    quality: QualityFile = QualityFile()
    confirm: bool = True
    novelty: NoveltyMode | bool | None = None
    """A bool, because YAML takes a bare ``off`` for one. Left out: ``off`` for safety, else ``normal``."""
    weights: dict[str, float] | None = None
    """By part; a part that is not named counts for nothing. Left out, they are the default's."""


class CampaignFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One campaign as its author wrote it."""

    id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\Z")]
    purpose: Purpose
    description: Annotated[str, Meta(min_length=1, max_length=LIMITS.description_chars)]
    condition: Annotated[str, Meta(min_length=1, max_length=LIMITS.source_chars)]
    capture: CaptureFile
    valid: ValidFile
    version: Annotated[int, Meta(ge=1, le=2**53 - 1)] = 1
    region: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}\Z")] | None = None
    hold: str = "0s"
    rearm: str = "0s"
    cooldown: str = "0s"
    states: Annotated[tuple[State, ...], Meta(min_length=1)] | None = None
    schedule: ScheduleFile | None = None
    zones: dict[Any, Any] = {}
    """Each checked by ``zones``."""
    geofence: GeofenceFile = GeofenceFile()
    heads: dict[Any, Any] = {}
    """Each checked by ``head``."""
    budget: BudgetFile = BudgetFile()
    sample_ratio: Annotated[float, Meta(gt=0, le=1)] = 1.0
    priority: Annotated[int, Meta(ge=-LIMITS.priority, le=LIMITS.priority)] = 0
    uplink: UplinkFile = UplinkFile()
    selection: SelectionFile = SelectionFile()


def parse_file(text: str) -> CampaignFile:
    """Read one campaign file's text. Raises :class:`FieldError`."""
    try:
        raw = yaml.load(text, _StrictLoader)  # noqa: S506 - a SafeLoader, made stricter
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FieldError("YAML", " ".join(str(error).split())) from None
    if not isinstance(raw, dict):
        raise FieldError("YAML", f"a campaign is a map of fields, not {type(raw).__name__}")
    if isinstance(raw.get("region"), list) or "regions" in raw:
        named = raw.get("regions", raw.get("region"))
        raise FieldError("region", f"{named!r}: a campaign is for one region; push one file to each")
    try:
        return msgspec.convert(raw, CampaignFile, strict=True)
    except msgspec.ValidationError as error:
        raise _named(error, raw) from None


def duration_ns(field: str, text: str, limit_ns: int, why: str) -> int:
    """``300ms``, ``5s``, ``1.5min``, ``2h`` or ``3d`` in nanoseconds, at most ``limit_ns``. Raises :class:`FieldError`."""
    found = _DURATION.match(text)
    if found is None:
        raise FieldError(field, f"{text!r} is not a duration such as 300ms, 5s, 1.5min, 2h or 3d")
    value = Decimal(found["number"]) * UNITS_NS[found["unit"]]
    if value > limit_ns:
        raise FieldError(field, f"{text!r} is more than {limit_ns / SECOND_NS:g} s: {why}")
    return int(value)


def wall_ns(field: str, moment: Any, *, end_of_day: bool) -> int:
    """Unix time of a moment with a zone, or of the beginning or end of a day in UTC. Raises :class:`FieldError`."""
    if not isinstance(moment, dt.date):
        raise FieldError(field, f"{moment!r} is not a date such as 2026-11-20 (without quotes)")
    if not isinstance(moment, dt.datetime):
        day = dt.datetime(moment.year, moment.month, moment.day, tzinfo=dt.UTC)
        try:
            moment = day + dt.timedelta(days=1) if end_of_day else day
        except OverflowError:
            raise FieldError(field, f"{moment}: past the end of the calendar") from None
    elif moment.tzinfo is None:
        raise FieldError(field, f"{moment.isoformat()}: needs a zone, as in {moment.isoformat()}Z")
    seconds: dt.timedelta = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    found = (seconds.days * 86_400 + seconds.seconds) * SECOND_NS + seconds.microseconds * 1000
    if not 0 <= found < 2**63:
        raise FieldError(field, f"{moment.isoformat()}: from 1970 to 2261 is possible")
    return found


def read_text(path: Any) -> str:
    """A file's text. Raises :class:`ToolError` naming it."""
    try:
        return str(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"{path}: can't be read: {error}") from None


def _named(error: msgspec.ValidationError, raw: Any) -> FieldError:
    """The field, the reason and, where there is one, the value that was refused."""
    found = _AT.match(str(error))
    if found is None:
        unknown = re.match(r"Object (?:contains unknown|missing required) field `([^`]*)`", str(error))
        return FieldError(unknown[1] if unknown else "file", str(error))
    value = raw
    for step in re.findall(r"[^.\[\]]+", found["path"]):
        try:
            value = value[int(step)] if step.isdigit() else value[step]
        except (KeyError, IndexError, TypeError):
            return FieldError(found["path"], found["reason"])
    reason = found["reason"]
    if found["path"] == "purpose":
        reason += f": there is {', '.join(Purpose)}; what is looked for is for description"
    if isinstance(value, dict):
        return FieldError(found["path"], reason)
    shown = repr(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[: _SHOWN // 2]}...{shown[-_SHOWN // 2 :]}"
    return FieldError(found["path"], f"{shown}: {reason}")


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice: the last one would win in silence."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen:
            line = key.start_mark.line + 1
            raise yaml.constructor.ConstructorError(
                None, None, f"line {line}: {key.value} is there twice", None
            )
        seen.add(key.value)
    return dict(loader.construct_mapping(node, deep=True))


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
