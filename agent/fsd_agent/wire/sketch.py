"""What a region has enough of, as msgpack: in a campaign set, and in the file that it is made into.

A map ``{v: 1, region_id, subjects}``; a subject is ``[campaign id, maker, source, camera, [code, ...]]``, a code 96 bytes.
Subjects are in order and none is there twice, and so are the codes of each: a sketch has one spelling. At most
``SKETCH_MAX`` codes in all.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from fsd_agent.records.novelty import ABOUT_CHARS, CODE_BYTES, SKETCH_MAX, ClipCode, Maker, Sketch, Subject

VERSION: Final = 1
SKETCH_BYTES_MAX: Final = 512 * 1024
"""Of a file: as many codes, each with a subject of its own."""

_Text = Annotated[str, Meta(min_length=1, max_length=ABOUT_CHARS)]
_Code = Annotated[bytes, Meta(min_length=CODE_BYTES, max_length=CODE_BYTES)]


class SketchFormatError(ValueError):
    """No sketch; the message says which field and why."""


class _Subject(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    campaign_id: _Text
    maker: Maker
    source: _Text
    camera: _Text
    codes: Annotated[tuple[_Code, ...], Meta(min_length=1, max_length=SKETCH_MAX)]


class _Sketch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: Literal[1]
    region_id: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    subjects: Annotated[tuple[_Subject, ...], Meta(max_length=SKETCH_MAX)]


def pack_sketch(sketch: Sketch) -> Any:
    """What stands for it in a message."""
    subjects = tuple(
        _Subject(
            about.campaign_id, about.maker, about.source, about.camera, tuple(one.values for one in codes)
        )
        for about, codes in groupby(sketch.codes, key=lambda one: one.subject)
    )
    return msgspec.to_builtins(_Sketch(VERSION, sketch.region_id, subjects), builtin_types=(bytes,))


def unpack_sketch(raw: Any) -> Sketch:
    """The checked sketch. Raises :class:`SketchFormatError`."""
    version = raw.get("v") if isinstance(raw, dict) else None
    if version != VERSION:
        raise SketchFormatError(f"v: version {version!r}; this software reads {VERSION}")
    try:
        found = msgspec.convert(raw, _Sketch, strict=True, builtin_types=(bytes,))
        codes = tuple(
            ClipCode(Subject(one.campaign_id, one.maker, one.source, one.camera), values)
            for one in found.subjects
            for values in one.codes
        )
    except (ValueError, RecursionError) as error:
        raise SketchFormatError(str(error)) from None
    if len(codes) > SKETCH_MAX:
        raise SketchFormatError(f"subjects: {len(codes)} codes, at most {SKETCH_MAX}")
    if any(after <= before for before, after in pairwise(codes)):
        raise SketchFormatError("subjects: not in order, or one is there twice")
    return Sketch(found.region_id, codes)


def encode_sketch(sketch: Sketch) -> bytes:
    """Bytes of a file. Raises :class:`SketchFormatError` for what :func:`decode_sketch` would refuse."""
    data = msgspec.msgpack.encode(pack_sketch(sketch))
    decode_sketch(data)
    return data


def decode_sketch(data: bytes) -> Sketch:
    """What is in a file. Raises :class:`SketchFormatError`."""
    if len(data) > SKETCH_BYTES_MAX:
        raise SketchFormatError(f"{len(data)} bytes, at most {SKETCH_BYTES_MAX}")
    try:
        return unpack_sketch(msgspec.msgpack.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SketchFormatError(str(error)) from None
