"""Whether a JSON document holds only what its schema names (``wire/clip_schemas.py``), and text of a bounded length.

Stricter than JSON Schema: an object has no member that is not named. What is missing is no matter here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fsd_agent.wire.clip_messages import ClipMessageError
from fsd_agent.wire.clip_schemas import Schema

TEXT_CHARS_MAX: Final = 4096
"""Descriptions of signals have hundreds, a camera's counts of rectangles 512."""
_SHOWN_CHARS: Final = 80
_TYPES: Final[Mapping[type, frozenset[str]]] = {
    dict: frozenset({"object"}),
    list: frozenset({"array"}),
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"number"}),
    type(None): frozenset({"null", "number"}),
}
"""Of what ``msgspec.json`` decodes; a number that is none is written as null."""


def check_document(place: str, value: object, schema: Schema) -> None:
    """Refuse what the schema does not name. Raises :class:`ClipMessageError`, which names the place and not the value."""
    named = schema["type"]
    if not _TYPES[type(value)] & ({named} if isinstance(named, str) else set(named)):
        raise ClipMessageError(f"{place}: not of the type that is listed")
    match value:
        case dict():
            _check_members(place, value, schema)
        case list():
            for one in value:
                check_document(f"{place}[]", one, schema["items"])
        case str():
            check_text(place, value)


def _check_members(place: str, value: Mapping[str, Any], schema: Schema) -> None:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, inner in value.items():
        known = properties.get(name, others)
        if known is None:
            raise ClipMessageError(f"{place}: {shown(name)} is not listed")
        check_text(place, name)
        check_document(f"{place}.{shown(name)}", inner, known)


def check_text(place: str, text: str) -> None:
    """Refuse text that is longer than any of ours. Raises :class:`ClipMessageError`."""
    if len(text) > TEXT_CHARS_MAX:
        raise ClipMessageError(f"{place}: {len(text)} characters, at most {TEXT_CHARS_MAX}")


def shown(name: str) -> str:
    """A name from a file, for an error."""
    return name if name.isprintable() and len(name) <= _SHOWN_CHARS else ascii(name)[:_SHOWN_CHARS]
