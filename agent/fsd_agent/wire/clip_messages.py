"""The messages inside a clip, one encoder and one decoder each. The file around them: ``wire/clip.py``.

Protobuf messages are Foxglove's own. JSON messages have the schemas of ``wire/clip_schemas.py``; numbers are written with the fewest
digits that read back as the same double, and what is no number is ``null``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from fsd_agent.records.clip import Clip, ClipRow
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.worth import Worth
from fsd_firmware.catalogue import CatalogueEntry, SignalType

VERSION: Final = 1
WORTH_VERSION: Final = 1
"""Of the provenance's ``value``, which readers that do not know it pass over."""
FORMAT: Final = "fsd-clip"
LIBRARY: Final = f"{FORMAT} {VERSION}"
"""What the file's header says of who wrote it."""
META_FOXGLOVE: Final = "foxglove"
FOXGLOVE_NAMES: Final = ("deviceId", "deviceName")
"""Both are the vehicle's pseudonym."""
META_FSD: Final = "fsd"

CAMERA: Final = "/camera/"
VIDEO: Final = "/video"
ANNOTATIONS: Final = "/annotations"
GNSS: Final = "/gnss"
SIGNALS: Final = "/signals/"
FIRING: Final = "/firing"
PROVENANCE: Final = "/provenance"
DESCRIPTION_CHARS: Final = 1000
"""So much of a signal's description is in a clip: a catalogue may say more, and a file holds no longer text than ``wire/clip_listed.py`` says."""


class ClipMessageError(ValueError):
    """A message is not what its schema says; the text names the field."""


def encode_value(value: float) -> bytes:
    """``{"value": x}``."""
    return b'{"value": %s}' % (repr(value).encode() if math.isfinite(value) else b"null")


def decode_value(data: bytes) -> float:
    """Inverse of :func:`encode_value`; ``null`` is NaN. Raises :class:`ClipMessageError`."""
    value = decode_json(data).get("value", "nothing")
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ClipMessageError(f"value: {value!r} is no number")
    return float(value)


def encode_firing(judged: JudgedFiring) -> bytes:
    """The firing, its campaign and what the condition saw."""
    firing = judged.firing
    return encode_json(
        {
            "firing": judged.firing_id,
            "campaign": firing.campaign_id,
            "version": firing.campaign_version,
            "t_ns": firing.t_ns,
            "wall_ns": judged.wall_ns,
            "evidence": dict(firing.evidence),
        }
    )


def encode_json(value: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON. Raises ``TypeError`` on what JSON can't hold; NaN becomes ``null``."""
    return msgspec.json.encode(value)


def decode_json(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises :class:`ClipMessageError`."""
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ClipMessageError(f"not a JSON object: {error}") from None


def worth_told(worth: Worth) -> dict[str, Any]:
    """What the clip is worth and why, for the provenance; clips of before it have none."""
    told = {"v": WORTH_VERSION, "value": worth.value, "why": str(worth.why) or "not_yet"}
    return told | {"parts": dict(worth.parts)}


def kept_told(clip: Clip) -> dict[str, int] | None:
    """Which span of which captured window the clip is, for the provenance; None where it is all of it. Clips of before say nothing."""
    if clip.kept_of is None:
        return None
    row, (of_start_ns, of_end_ns) = clip.row, clip.kept_of
    return {
        "start_ns": row.start_ns,
        "end_ns": row.end_ns,
        "of_start_ns": of_start_ns,
        "of_end_ns": of_end_ns,
    }


class _About(msgspec.Struct, frozen=True):
    """Metadata record ``fsd``. MCAP keeps text only, so it is read without strictness."""

    format: Literal["fsd-clip"]
    version: Literal[1]
    clip: str
    region: str
    vehicle: str
    start_ns: int
    end_ns: int
    wall_minus_mono_ns: int
    cut: bool


ABOUT_NAMES: Final = _About.__struct_fields__


def encode_about(row: ClipRow, vehicle: str) -> dict[str, str]:
    """The metadata record ``fsd``."""
    return {
        "format": FORMAT,
        "version": str(VERSION),
        "clip": row.clip_id,
        "region": row.region_id,
        "vehicle": vehicle,
        "start_ns": str(row.start_ns),
        "end_ns": str(row.end_ns),
        "wall_minus_mono_ns": str(row.wall_minus_mono_ns),
        "cut": str(row.cut).lower(),
    }


def decode_about(metadata: Mapping[str, str] | None) -> _About:
    """Inverse of :func:`encode_about`. Raises :class:`ClipMessageError`."""
    if metadata is None:
        raise ClipMessageError(f"metadata {META_FSD}: missing")
    try:
        return msgspec.convert(metadata, _About, strict=False)
    except msgspec.ValidationError as error:
        raise ClipMessageError(f"metadata {META_FSD}: {error}") from None


class _Entry(msgspec.Struct, frozen=True):
    """Metadata of a signal's channel."""

    type: SignalType
    unit: str
    minimum: float
    maximum: float
    description: str


ENTRY_NAMES: Final = _Entry.__struct_fields__


def encode_entry(entry: CatalogueEntry) -> dict[str, str]:
    """The metadata of a signal's channel."""
    return {
        "type": entry.type,
        "unit": entry.unit,
        "minimum": repr(entry.minimum),
        "maximum": repr(entry.maximum),
        "description": entry.description[:DESCRIPTION_CHARS],
    }


def decode_entry(path: str, metadata: Mapping[str, str]) -> CatalogueEntry:
    """Inverse of :func:`encode_entry`. Raises :class:`ClipMessageError`."""
    try:
        raw = msgspec.convert(metadata, _Entry, strict=False)
    except msgspec.ValidationError as error:
        raise ClipMessageError(f"{SIGNALS}{path}: {error}") from None
    return CatalogueEntry(path, raw.type, raw.unit, raw.minimum, raw.maximum, raw.description)
