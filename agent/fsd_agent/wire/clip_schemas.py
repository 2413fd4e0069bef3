"""What the messages of a clip may hold: Foxglove's protobuf messages, and JSON documents with the schemas below.

The JSON schemas are complete, and each is in the file that its messages are in. They are the list that a finished clip is held
against (``wire/clip_allowed.py``): a member that no schema names can't leave the vehicle, so one that is new has to be added here. Of
JSON Schema they use ``type``, ``properties``, ``items`` and ``additionalProperties``, and an object has no member that it does not
name. A number may be ``null``: what is none (``wire/clip_messages.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
from foxglove_schemas_protobuf.ImageAnnotations_pb2 import ImageAnnotations
from foxglove_schemas_protobuf.LocationFix_pb2 import LocationFix
from msgspec import inspect

from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.records.worth import Part
from fsd_firmware.drive.descriptors import descriptor_set

Schema = Mapping[str, Any]
"""A JSON Schema, or a part of one."""

VIDEO: Final = "foxglove.CompressedVideo"
ANNOTATIONS: Final = "foxglove.ImageAnnotations"
FIX: Final = "foxglove.LocationFix"
SIGNAL: Final = "fsd.Signal"
FIRING: Final = "fsd.Firing"
PROVENANCE: Final = "fsd.Provenance"

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_INTEGER: Final = {"type": "integer"}
_NUMBER: Final = {"type": "number"}


def _object(**properties: Schema) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _of_record(kind: inspect.Type) -> dict[str, Any]:
    """The schema of a record as ``dataclasses.asdict`` writes it. Raises ``TypeError`` for what none of ours holds."""
    match kind:
        case inspect.DataclassType():
            return _object(**{field.encode_name: _of_record(field.type) for field in kind.fields})
        case inspect.VarTupleType():
            return {"type": "array", "items": _of_record(kind.item_type)}
        case inspect.UnionType():
            either = [_of_record(one) for one in kind.types]
            merged = {name: value for one in either for name, value in one.items()}
            return merged | {"type": [one["type"] for one in either]}
    for known, name in _SCALARS.items():
        if isinstance(kind, known):
            return {"type": name}
    raise TypeError(f"{kind}: no clip says such a thing")


_SCALARS: Final[Mapping[type[inspect.Type], str]] = {
    inspect.StrType: "string",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.BoolType: "boolean",
    inspect.NoneType: "null",
}

SIGNAL_SCHEMA: Final = {
    "title": SIGNAL,
    **_object(value={"type": ["number", "null"]}),
    "required": ["value"],
}
FIRING_SCHEMA: Final = {
    "title": FIRING,
    **_object(
        firing=_TEXT,
        campaign=_TEXT,
        version=_INTEGER,
        t_ns=_INTEGER,
        wall_ns=_INTEGER,
        evidence={"type": "object", "additionalProperties": {"type": ["number", "string"]}},
    ),
    "required": ["firing", "campaign", "version", "t_ns", "wall_ns", "evidence"],
}
PROVENANCE_SCHEMA: Final = {
    "title": PROVENANCE,
    **_object(
        clip=_TEXT,
        region=_TEXT,
        vehicle=_TEXT,
        campaigns={"type": "array", "items": _object(id=_TEXT, version=_INTEGER)},
        window=_object(start_ns=_INTEGER, end_ns=_INTEGER, start_wall_ns=_INTEGER, end_wall_ns=_INTEGER),
        kept={
            **_object(start_ns=_INTEGER, end_ns=_INTEGER, of_start_ns=_INTEGER, of_end_ns=_INTEGER),
            "type": ["object", "null"],
        },
        cut={"type": "boolean"},
        wall_minus_mono_ns=_INTEGER,
        priority=_INTEGER,
        cameras=_TEXTS,
        signals=_TEXTS,
        models=_TEXTS,
        redaction=_of_record(inspect.type_info(RedactionRecord)),
        value=_object(
            v=_INTEGER, value=_NUMBER, why=_TEXT, parts=_object(**{str(part): _NUMBER for part in Part})
        ),
        novelty=_object(maker=_TEXT, source=_TEXT, camera=_TEXT, code=_TEXT),
        agent=_TEXT,
        purpose=_TEXT,
        policy_version=_INTEGER,
        data_classes=_TEXTS,
        export=_TEXT,
        retention_days=_INTEGER,
        jurisdiction=_TEXT,
        registration_serial=_INTEGER,
        device_key_id=_TEXT,
    ),
    "required": ["clip", "region", "vehicle", "campaigns", "window", "cut", "redaction"],
}

_PROTOBUF: Final[Mapping[str, Any]] = {
    VIDEO: CompressedVideo,
    ANNOTATIONS: ImageAnnotations,
    FIX: LocationFix,
}
_JSON: Final[Mapping[str, Schema]] = {
    SIGNAL: SIGNAL_SCHEMA,
    FIRING: FIRING_SCHEMA,
    PROVENANCE: PROVENANCE_SCHEMA,
}
NAMES: Final = frozenset(_PROTOBUF) | frozenset(_JSON)


@cache
def schema(name: str) -> tuple[str, bytes]:
    """MCAP's schema encoding and data for one of :data:`NAMES`."""
    if name in _PROTOBUF:
        return "protobuf", descriptor_set(_PROTOBUF[name].DESCRIPTOR.file)
    return "jsonschema", json.dumps(_JSON[name], sort_keys=True, separators=(",", ":")).encode()


def message_encoding(name: str) -> str:
    """MCAP's message encoding for one of :data:`NAMES`."""
    return "protobuf" if name in _PROTOBUF else "json"
