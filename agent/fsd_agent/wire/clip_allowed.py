"""The last look at a clip's file: read back from its bytes, and refused for whatever is not on the list.

It knows nothing of how the file was written, so that what a writer adds by mistake does not leave. Each byte of the file belongs to a
record that is looked at here; the library's own readers would pass over what they don't know. The list:

=================  ================================================================================================
kind of record     what an indexed file of chunks needs; no attachment, no private kind, no message outside of a chunk
header             our profile and library
metadata record    ``foxglove`` and ``fsd``, each with its names: this vehicle's pseudonym, this clip, this region
topic              those of ``wire/clip.py``: of cameras and signals that the clip's row names; ``/gnss`` where the record of
                   redaction does not say ``dropped``
schema, encoding   those of the topic (``wire/clip_schemas.py``), to the byte
channel metadata   of a signal what describes it; of others nothing
JSON documents     ``/provenance``, once, and ``/firing``: members that their schemas name, of the type that they name; evidence of
                   the row's signals and of detections
text               anywhere here of a bounded length (``wire/clip_listed.py``)
=================  ================================================================================================

Not looked into: the content of protobuf messages and of a signal's samples, the numbers of indexes.

What is refused is told by its place alone, never by its value: the reason of a drop is kept and told.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any, Final, TypeVar

import zstandard
from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    Chunk,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Message,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)

from fsd_agent.records.clip import ClipFile, ClipRow
from fsd_agent.wire import clip_messages as messages
from fsd_agent.wire import clip_schemas as schemas
from fsd_agent.wire.clip import FOREIGN, ClipFormatError
from fsd_agent.wire.clip_listed import check_document, check_text, shown
from fsd_agent.wire.clip_messages import ClipMessageError

MAGIC: Final = b"\x89MCAP0\r\n"
SEEN: Final = "detections."
"""What evidence of detections begins with; other evidence is named by its signal."""
DROPPED: Final = "dropped"
"""What the record of redaction says where no position may be in the clip."""

_HEAD: Final = struct.Struct("<BQ")
_MESSAGE_INDEX: Final = struct.Struct("<HI")
_Taker = Callable[[memoryview], object]
"""Looks at the content of one record; a view, because the file as a whole may be as large as what memory is left."""
_Record = TypeVar("_Record", bound=McapRecord)


def allowed_file(data: bytes, row: ClipRow, vehicle: str) -> ClipFile:
    """The file as one that may be sealed: the only maker of :class:`ClipFile`.

    ``row``: of the redacted clip that it is to be; ``vehicle``: the pseudonym. Raises :class:`ClipFormatError`, which names the place.
    """
    try:
        _Look(row, vehicle).at_file(data)
    except FOREIGN as error:
        raise ClipFormatError(f"clip {row.clip_id}: can't be read back: {type(error).__name__}") from error
    except ClipMessageError as error:
        raise ClipFormatError(f"clip {row.clip_id}: {error}") from error
    return ClipFile(data)


class _Look:
    """One look at one file. Every method raises :class:`ClipMessageError`, and what the library raises on damage."""

    def __init__(self, row: ClipRow, vehicle: str) -> None:
        self._row = row
        self._vehicle = vehicle
        self._topics = _topics_of(row)
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, str] = {}
        self._provenance: list[dict[str, Any]] = []
        self._in_file: dict[int, _Taker] = {
            Opcode.HEADER: self._header,
            Opcode.SCHEMA: self._schema,
            Opcode.CHANNEL: self._channel,
            Opcode.CHUNK: self._chunk,
            Opcode.METADATA: self._metadata,
            Opcode.METADATA_INDEX: self._metadata_index,
            Opcode.CHUNK_INDEX: self._chunk_index,
            Opcode.MESSAGE_INDEX: _message_index,
            Opcode.STATISTICS: lambda data: _exactly(Statistics.read, data),
            Opcode.SUMMARY_OFFSET: lambda data: _exactly(SummaryOffset.read, data),
            Opcode.DATA_END: lambda data: _exactly(DataEnd.read, data),
            Opcode.FOOTER: lambda data: _exactly(Footer.read, data),
        }
        self._in_chunk: dict[int, _Taker] = {
            Opcode.SCHEMA: self._schema,
            Opcode.CHANNEL: self._channel,
            Opcode.MESSAGE: self._message,
        }

    def at_file(self, data: bytes) -> None:
        """Every record, then what concerns several."""
        if not (data.startswith(MAGIC) and data.endswith(MAGIC)):
            raise ClipMessageError("does not begin and end as an MCAP file")
        _each(memoryview(data)[len(MAGIC) : -len(MAGIC)], self._in_file, "the file")
        if len(self._provenance) != 1:
            raise ClipMessageError(f"{messages.PROVENANCE}: {len(self._provenance)} messages, not 1")
        (told,) = self._provenance
        located = told.get("redaction", {}).get("location")
        if located == DROPPED and messages.GNSS in self._channels.values():
            raise ClipMessageError(f"{messages.GNSS}: positions, where the record says that they are dropped")

    def _header(self, data: memoryview) -> None:
        header = _exactly(Header.read, data)
        if header.profile or header.library != messages.LIBRARY:
            raise ClipMessageError("header: another profile or library than ours")

    def _metadata(self, data: memoryview) -> None:
        record = _exactly(Metadata.read, data)
        place, told = f"metadata {shown(record.name)}", record.metadata
        if record.name == messages.META_FOXGLOVE:
            _only(place, told, messages.FOXGLOVE_NAMES)
            mine = all(value == self._vehicle for value in told.values())
        elif record.name == messages.META_FSD:
            _only(place, told, messages.ABOUT_NAMES)
            about = messages.decode_about(told)
            mine = self._is_mine(about.clip, about.region, about.vehicle)
        else:
            raise ClipMessageError(f"{place}: no clip has this record")
        if not mine:
            raise ClipMessageError(f"{place}: another vehicle, clip or region")

    def _metadata_index(self, data: memoryview) -> None:
        name = _exactly(MetadataIndex.read, data).name
        if name not in {messages.META_FOXGLOVE, messages.META_FSD}:
            raise ClipMessageError(f"index of metadata {shown(name)}: no clip has this record")

    def _schema(self, data: memoryview) -> None:
        record = _exactly(Schema.read, data)
        if record.name not in schemas.NAMES:
            raise ClipMessageError(f"schema {shown(record.name)}: no clip has it")
        if (record.encoding, record.data) != schemas.schema(record.name):
            raise ClipMessageError(f"schema {record.name}: not as it is listed")
        if self._schemas.setdefault(record.id, record.name) != record.name:
            raise ClipMessageError(f"schema {record.name}: the number of another")

    def _channel(self, data: memoryview) -> None:
        record = _exactly(Channel.read, data)
        topic, name = record.topic, self._schemas.get(record.schema_id)
        place = f"topic {shown(topic)}"
        if topic not in self._topics:
            raise ClipMessageError(f"{place}: no clip has it, or the row does not name what it is of")
        if name != self._topics[topic] or record.message_encoding != schemas.message_encoding(name):
            raise ClipMessageError(f"{place}: not the schema or encoding of this topic")
        _only(place, record.metadata, messages.ENTRY_NAMES if name == schemas.SIGNAL else ())
        if self._channels.setdefault(record.id, topic) != topic:
            raise ClipMessageError(f"{place}: the number of another")

    def _chunk(self, data: memoryview) -> None:
        chunk = _exactly(Chunk.read, data)
        if chunk.compression != "zstd":
            raise ClipMessageError("a chunk that is not packed as ours are")
        inside = zstandard.ZstdDecompressor().decompress(chunk.data, allow_extra_data=False)
        if not inside:  # The decompressor asks for nothing behind a frame of nothing
            raise ClipMessageError("a chunk with nothing in it")
        _each(memoryview(inside), self._in_chunk, "a chunk")

    def _chunk_index(self, data: memoryview) -> None:
        if _exactly(ChunkIndex.read, data).compression != "zstd":
            raise ClipMessageError("an index of a chunk that is not packed as ours are")

    def _message(self, data: memoryview) -> None:
        channel = int.from_bytes(data[:2], "little")  # Its first field: most messages need no more
        topic = self._channels.get(channel)
        if topic is None:
            raise ClipMessageError("a message of no channel")
        if topic == messages.PROVENANCE:
            self._provenance.append(self._provenance_in(_json(data)))
        elif topic == messages.FIRING:
            self._firing(_json(data))

    def _provenance_in(self, told: dict[str, Any]) -> dict[str, Any]:
        check_document(messages.PROVENANCE, told, schemas.PROVENANCE_SCHEMA)
        if not self._is_mine(told.get("clip"), told.get("region"), told.get("vehicle")):
            raise ClipMessageError(f"{messages.PROVENANCE}: another vehicle, clip or region")
        return told

    def _firing(self, told: dict[str, Any]) -> None:
        check_document(messages.FIRING, told, schemas.FIRING_SCHEMA)
        for name in told.get("evidence", ()):
            if name not in self._row.signals and not name.startswith(SEEN):
                raise ClipMessageError(
                    f"{messages.FIRING}: evidence {shown(name)}, which the row does not name"
                )

    def _is_mine(self, clip: object, region: object, vehicle: object) -> bool:
        return (clip, region, vehicle) == (self._row.clip_id, self._row.region_id, self._vehicle)


def _topics_of(row: ClipRow) -> dict[str, str]:
    """Every topic that a clip of this row may have, with its schema."""
    topics = {
        messages.PROVENANCE: schemas.PROVENANCE,
        messages.FIRING: schemas.FIRING,
        messages.GNSS: schemas.FIX,
    }
    for camera in row.cameras:
        topics[f"{messages.CAMERA}{camera}{messages.VIDEO}"] = schemas.VIDEO
        topics[f"{messages.CAMERA}{camera}{messages.ANNOTATIONS}"] = schemas.ANNOTATIONS
    return topics | {f"{messages.SIGNALS}{path}": schemas.SIGNAL for path in row.signals}


def _each(data: memoryview, looks: Mapping[int, _Taker], where: str) -> None:
    """Every record of ``data``, which is nothing but records."""
    for opcode, content in _records(data):
        look = looks.get(opcode)
        if look is None:
            raise ClipMessageError(f"a record of kind {opcode:#04x} in {where}, where no clip has one")
        look(content)


def _records(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(data):
        opcode, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if at + length > len(data):
            raise ClipMessageError("a record that is cut off")
        yield opcode, data[at : at + length]
        at += length


def _exactly(read: Callable[[ReadDataStream], _Record], data: memoryview) -> _Record:
    """The record that ``data`` is, to the byte: bytes behind its fields and a name that is said twice would be lost in reading."""
    content = data.tobytes()  # Views are compared element by element, which took longer than all the rest
    record = read(ReadDataStream(BytesIO(content)))
    again = RecordBuilder()
    record.write(again)
    written: bytes = again.end()  # type: ignore[no-untyped-call]  # the library annotates most but not all of it
    if written[_HEAD.size :] != content:
        raise ClipMessageError(f"a {type(record).__name__} record with more in it than its fields")
    return record


def _message_index(data: memoryview) -> None:
    """Numbers, 16 bytes for each message: told by the length, for there are as many as messages."""
    _, length = _MESSAGE_INDEX.unpack_from(data)
    if len(data) != _MESSAGE_INDEX.size + length:
        raise ClipMessageError("a MessageIndex record with more in it than its fields")


def _json(data: memoryview) -> dict[str, Any]:
    """The document in a message, which is written as ours are: of a member that is said twice a reader keeps the last."""
    content = Message.read(ReadDataStream(BytesIO(data)), len(data)).data
    told = messages.decode_json(content)
    if messages.encode_json(told) != content:
        raise ClipMessageError("a JSON document that says more than can be read from it")
    return told


def _only(place: str, told: Mapping[str, str], names: tuple[str, ...]) -> None:
    """Refuse a name that is not among ``names``, and text that is too long."""
    for name, value in told.items():
        if name not in names:
            raise ClipMessageError(f"{place}: {shown(name)} is not listed")
        check_text(f"{place}: {name}", value)
