"""The last look at a clip's file: what a writer could add to it, and where it is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from io import BytesIO
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mcap.data_stream import RecordBuilder
from mcap.reader import make_reader
from mcap.records import Channel, Chunk, ChunkIndex, McapRecord, MetadataIndex, Schema
from mcap.writer import CompressionType, Writer

from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.redaction import (
    CameraRecord,
    CheckRecord,
    RedactionRecord,
    ScoreRecord,
    SourceRecord,
)
from fsd_agent.records.worth import Part, Valued, Worth
from fsd_agent.testing.regions import sample_redacted_clip
from fsd_agent.testing.streams import looks, row
from fsd_agent.wire import clip_schemas as schemas
from fsd_agent.wire.clip import ClipFormatError, decode_clip, encode_clip
from fsd_agent.wire.clip_allowed import allowed_file
from fsd_firmware.catalogue import CatalogueEntry
from fsd_firmware.samples import EncodedPacket, GnssFixes, Kind, Signals, empty_gnss

S = 1_000_000_000
CAR = "car-1"
ROW = replace(
    row(0, S, signals=("Vehicle.Speed",), clip_id="ab" * 16),
    worth=Worth(0.5, Valued.VALUED, tuple((str(part), 0.5) for part in Part)),
)
RECORD = RedactionRecord(
    ("faces=head_zone",),
    ("nanodet@1",),
    1,
    2,
    0.25,
    "kept",
    version=2,
    models=(SourceRecord("nanodet@1", "ab" * 32, 1, (ScoreRecord("head", 0.5, 0.25),)),),
    cameras=(CameraRecord("front", 640, 480, 1, 0.25, 1, "2"),),
    check=CheckRecord(("yunet@1",), ("cd" * 32,), 1, ""),
    utc_offset_h=8,
)
NOVELTY = {"maker": "boxes", "source": "1", "camera": "front", "code": "ab" * 96}
TOPICS = ("/camera/front/video", "/camera/front/annotations", "/gnss", "/signals/Vehicle.Speed", "/firing")
NAMES = st.text(min_size=1, max_size=20)


def redacted(**changes: Any) -> RedactedClip:
    evidence = (("Vehicle.Speed", 8.25), ("detections.pedestrian", 1.0), ("detections.note", "near"))
    one = np.ones(1)
    values: dict[str, Any] = {
        "row": ROW,
        "firings": (JudgedFiring("f1", Firing("walker", 1, 5, evidence), 5, ROW.clip_id, None),),
        "catalogue": (CatalogueEntry("Vehicle.Speed", "double", "m/s", 0.0, 90.0, "how fast"),),
        "signals": Signals(np.array([0, 1]), np.zeros(2, np.int32), np.array([1.5, np.nan])),
        "packets": (EncodedPacket("front", 0, "vp9", keyframe=True, data=b"video"),),
        "detections": (looks("front", "nanodet@1", [(0, [(int(Kind.CAR), 0.9, (1.0, 1.0, 9.0, 9.0))])]),),
        "gnss": GnssFixes(np.array([5]), one, one, one, one, one),
        "modes": (),
        "kept_of": (-5, S),
        **changes,
    }
    return RedactedClip(Clip(**values), RECORD)


@cache
def valid() -> bytes:
    """A clip with everything in it that a clip may have."""
    said = {"agent": "0.1.0", "data_classes": ["signals"], "policy_version": 3, "novelty": NOVELTY}
    return encode_clip(redacted(), vehicle=CAR, provenance=said)


def accepted(data: bytes) -> bool:
    return allowed_file(data, ROW, CAR) == data


def refused(data: bytes, place: str) -> None:
    with pytest.raises(ClipFormatError) as caught:
        allowed_file(data, ROW, CAR)
    assert place in str(caught.value)
    assert str(caught.value).startswith(f"clip {ROW.clip_id}: ")


Edit = Callable[[str, Any], Any]


def same(_what: str, value: Any) -> Any:
    return value


def rewritten(
    *,
    edit: Edit = same,
    more: Callable[[Writer, dict[str, int]], object] = lambda _writer, _schemas: None,
    skip: str = "",
    header: tuple[str, str] = ("", "fsd-clip 1"),
    compression: CompressionType = CompressionType.ZSTD,
    chunks: bool = True,
) -> bytes:
    """The valid clip, written anew by the library.

    ``edit`` may change each schema, channel, metadata record and message: it is given what it is called and gives what is
    written. ``more`` adds to the file, knowing the numbers of the schemas.
    """
    reader, output = make_reader(BytesIO(valid())), BytesIO()
    summary = reader.get_summary()
    assert summary is not None
    writer = Writer(output, compression=compression, use_chunking=chunks)
    writer.start(*header)
    for record in reader.iter_metadata():
        writer.add_metadata(record.name, edit(f"metadata {record.name}", dict(record.metadata)))
    schemas, numbers, channels = dict[int, int](), dict[str, int](), dict[int, int]()
    for one in summary.schemas.values():
        made = edit(f"schema {one.name}", (one.name, one.encoding, one.data))
        numbers[one.name] = schemas[one.id] = writer.register_schema(*made)
    for channel in summary.channels.values():
        told = (channel.topic, channel.message_encoding, schemas[channel.schema_id], dict(channel.metadata))
        channels[channel.id] = writer.register_channel(*edit(f"channel {channel.topic}", told))
    for _, channel, message in reader.iter_messages():
        if channel.topic != skip:
            data = edit(channel.topic, message.data)
            writer.add_message(channels[channel.id], message.log_time, data, message.publish_time)
    more(writer, numbers)
    writer.finish()
    return output.getvalue()


def edited(what: str, change: Callable[[Any], Any]) -> bytes:
    return rewritten(edit=lambda name, value: change(value) if name == what else value)


def document(topic: str, change: Callable[[Any], object]) -> bytes:
    """With the JSON document of a topic changed in place."""

    def changed(data: bytes) -> bytes:
        told = msgspec.json.decode(data)
        change(told)
        return msgspec.json.encode(told)

    return edited(topic, changed)


def test_what_the_writer_writes_passes() -> None:
    assert accepted(valid())
    assert accepted(rewritten())
    assert accepted(rewritten(skip="/firing"))
    assert decode_clip(valid()).provenance["novelty"] == NOVELTY, "and it has all there is"


def test_a_clip_with_hardly_anything_in_it_passes() -> None:
    bare = sample_redacted_clip()
    data = encode_clip(bare, vehicle=CAR, provenance={})
    assert allowed_file(data, bare.clip.row, CAR) == data


def test_the_header_is_ours() -> None:
    refused(rewritten(header=("ros2", "fsd-clip 1")), "header")
    refused(rewritten(header=("", "fsd-clip 1 of car WVWZZZ1JZXW000001")), "header")


@given(name=NAMES, data=st.binary(max_size=20))
@settings(max_examples=20)
def test_an_attachment_is_refused(name: str, data: bytes) -> None:
    refused(
        rewritten(more=lambda writer, _: writer.add_attachment(0, 0, name, "text/plain", data)), "kind 0x09"
    )


@given(name=NAMES, told=st.dictionaries(NAMES, NAMES, max_size=2))
@settings(max_examples=20)
def test_a_metadata_record_of_another_name_is_refused(name: str, told: dict[str, str]) -> None:
    assume(name not in {"foxglove", "fsd"})
    refused(rewritten(more=lambda writer, _: writer.add_metadata(name, told)), "no clip has this record")


@pytest.mark.parametrize("record", ["foxglove", "fsd"])
@given(name=NAMES)
@settings(max_examples=10)
def test_a_metadata_name_that_is_not_listed_is_refused(record: str, name: str) -> None:
    told = {one.name: one.metadata for one in make_reader(BytesIO(valid())).iter_metadata()}[record]
    assume(name not in told)
    refused(edited(f"metadata {record}", lambda value: {**value, name: CAR}), "is not listed")


@pytest.mark.parametrize(
    ("what", "name", "place"),
    [
        ("metadata foxglove", "deviceId", "metadata foxglove"),
        ("metadata foxglove", "deviceName", "metadata foxglove"),
        ("metadata fsd", "vehicle", "metadata fsd"),
        ("metadata fsd", "clip", "metadata fsd"),
        ("metadata fsd", "region", "metadata fsd"),
    ],
)
def test_metadata_is_this_vehicles_and_no_value_is_told(what: str, name: str, place: str) -> None:
    data = edited(what, lambda told: {**told, name: "WVWZZZ1JZXW000001"})
    refused(data, place)
    with pytest.raises(ClipFormatError) as caught:
        allowed_file(data, ROW, CAR)
    assert "WVW" not in str(caught.value)


@pytest.mark.parametrize("name", ["vehicle", "clip", "region"])
def test_the_provenance_is_this_vehicles(name: str) -> None:
    refused(document("/provenance", lambda told: told.update({name: "other"})), "/provenance: another")
    refused(document("/provenance", lambda told: told.pop(name)), "/provenance: another")


@pytest.mark.parametrize("topic", TOPICS)
@given(name=NAMES)
@settings(max_examples=5)
def test_a_name_in_a_channels_metadata_is_refused(topic: str, name: str) -> None:
    assume(name not in {"type", "unit", "minimum", "maximum", "description"})
    data = edited(f"channel {topic}", lambda told: (*told[:3], {**told[3], name: "x"}))
    refused(data, f"topic {topic}: ")


@given(
    topic=st.one_of(
        NAMES,
        NAMES.map(lambda name: f"/camera/{name}/video"),
        NAMES.map(lambda name: f"/signals/{name}"),
        st.sampled_from(["/camera/rear/annotations", "/signals/Vehicle.CurrentLocation.Latitude", "/modes"]),
    ),
    schema=st.sampled_from(["foxglove.CompressedVideo", "fsd.Signal", "fsd.Firing"]),
)
@settings(max_examples=60)
def test_a_topic_that_the_row_does_not_name_is_refused(topic: str, schema: str) -> None:
    assume(topic not in TOPICS)
    data = rewritten(more=lambda writer, known: writer.register_channel(topic, "json", known[schema]))
    refused(data, "no clip has it, or the row")


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_has_its_own_schema_and_encoding(topic: str) -> None:
    refused(
        edited(f"channel {topic}", lambda told: (told[0], "cbor", *told[2:])),
        f"topic {topic}: not the schema",
    )
    refused(
        edited(f"channel {topic}", lambda told: (*told[:2], 0, told[3])), f"topic {topic}: not the schema"
    )


@pytest.mark.parametrize("name", ["foxglove.LocationFix", "fsd.Provenance"])
def test_schemas_are_those_that_are_listed(name: str) -> None:
    refused(edited(f"schema {name}", lambda told: (*told[:2], told[2] + b" VIN")), f"schema {name}: not as")
    refused(edited(f"schema {name}", lambda told: (told[0], "text", told[2])), f"schema {name}: not as")
    more = rewritten(more=lambda writer, _: writer.register_schema("vin", "jsonschema", b"{}"))
    refused(more, "schema vin: no clip has it")


def places(told: Any, at: str = "/provenance") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a document, with its place."""
    if isinstance(told, dict):
        yield at, told
        for name, inner in told.items():
            yield from places(inner, f"{at}.{name}")
    elif isinstance(told, list):
        for inner in told:
            yield from places(inner, f"{at}[]")


WHERE = sorted({at for at, _ in places(decode_clip(valid()).provenance)})


def test_the_documents_that_are_tried_are_all_that_there_are() -> None:
    assert {at.removeprefix("/provenance") for at in WHERE} == {
        "",
        ".campaigns[]",
        ".kept",
        ".novelty",
        ".redaction",
        ".redaction.cameras[]",
        ".redaction.check",
        ".redaction.models[]",
        ".redaction.models[].scores[]",
        ".value",
        ".value.parts",
        ".window",
    }


@pytest.mark.parametrize("where", WHERE)
@given(name=NAMES, value=st.one_of(st.none(), st.text(max_size=5), st.integers(0, 9), st.just({})))
@settings(max_examples=8)
def test_a_member_of_the_provenance_that_is_not_listed_is_refused(
    where: str, name: str, value: object
) -> None:
    def add(told: Any) -> None:
        (found,) = (one for at, one in places(told) if at == where)
        assume(name not in found)
        found[name] = value

    refused(document("/provenance", add), f"{where}: ")


@pytest.mark.parametrize("name", sorted(decode_clip(valid()).provenance))
def test_a_member_of_another_type_is_refused(name: str) -> None:
    """An object in place of text would be a document that nobody listed."""

    def change(told: Any) -> None:
        told[name] = [{"vin": "x"}] if not isinstance(told[name], list) else {"vin": "x"}

    refused(document("/provenance", change), f"/provenance.{name}: not of the type")


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update(vin="x"),
        lambda told: told.update(evidence={"Vehicle.Secret": 1.0}),
        lambda told: told.update(evidence={"detections.car": {"vin": 1}}),
        lambda told: told.update(evidence={"detections.car": [1]}),
        lambda told: told.update(firing=7),
    ],
)
def test_a_firing_says_what_is_listed(change: Callable[[Any], object]) -> None:
    refused(document("/firing", change), "/firing")


def test_text_is_bounded() -> None:
    long = "x" * 5000
    refused(document("/provenance", lambda told: told.update(agent=long)), "/provenance.agent: 5000")
    refused(
        document("/firing", lambda told: told["evidence"].update({f"detections.{long}": 1})),
        "/firing.evidence: 5011",
    )
    data = edited(
        "channel /signals/Vehicle.Speed", lambda told: (*told[:3], {**told[3], "description": long})
    )
    refused(data, "topic /signals/Vehicle.Speed: description: 5000")


def test_a_long_description_of_a_signal_is_cut_and_costs_no_clip() -> None:
    entry = CatalogueEntry("Vehicle.Speed", "double", "m/s", 0.0, 90.0, "x" * 5000)
    data = encode_clip(redacted(catalogue=(entry,)), vehicle=CAR, provenance={})
    assert allowed_file(data, redacted().clip.row, CAR) == data
    (kept,) = decode_clip(data).catalogue
    assert kept.description == "x" * 1000


@pytest.mark.parametrize("topic", ["/provenance", "/firing"])
def test_a_member_that_is_said_twice_is_refused(topic: str) -> None:
    """A reader keeps the last of them."""
    first = {"/provenance": b'{"agent":"VIN",', "/firing": b'{"firing":"VIN",'}[topic]
    refused(edited(topic, lambda data: first + data[1:]), "says more than can be read")
    refused(edited(topic, lambda data: data + b"  "), "says more than can be read")


def test_there_is_one_provenance() -> None:
    refused(rewritten(skip="/provenance"), "/provenance: 0 messages")

    def again(writer: Writer, known: dict[str, int]) -> None:
        (told,) = (m.data for _, _, m in make_reader(BytesIO(valid())).iter_messages("/provenance"))
        writer.add_message(
            writer.register_channel("/provenance", "json", known["fsd.Provenance"]), 0, told, 0
        )

    refused(rewritten(more=again), "/provenance: 2 messages")


def test_no_position_is_in_a_clip_that_says_they_are_dropped() -> None:
    data = document("/provenance", lambda told: told["redaction"].update(location="dropped"))
    refused(data, "/gnss: positions")


def test_what_readers_pass_over_is_refused() -> None:
    data, magic = valid(), 8
    private = struct.pack("<BQ", 0x80, 3) + b"VIN"
    refused(data[:-magic] + private + data[-magic:], "kind 0x80 in the file, where")
    refused(data + b"VIN", "does not begin and end")
    refused(b"VIN" + data, "does not begin and end")
    refused(data[:-magic] + b"\x02" + data[-magic:], "can't be read back")
    refused(data[:-magic] + struct.pack("<BQ", 0x80, 9) + data[-magic:], "cut off")
    length = int.from_bytes(data[magic + 1 : magic + 9], "little")
    end = magic + 9 + length
    padded = data[: magic + 1] + struct.pack("<Q", length + 3) + data[magic + 9 : end] + b"VIN" + data[end:]
    refused(padded, "a Header record with more in it")


def test_a_name_that_is_said_twice_is_refused() -> None:
    """A reader keeps the last of them."""
    pair = b"".join(struct.pack("<I", len(part)) + part for part in (b"deviceId", CAR.encode()))
    head, name = struct.Struct("<BQ"), struct.pack("<I", 8) + b"foxglove"
    once = valid().index(name) - head.size
    opcode, length = head.unpack_from(valid(), once)
    told = valid()[once + head.size + len(name) + 4 : once + head.size + length]
    twice = name + struct.pack("<I", len(told) + len(pair)) + pair + told
    data = valid()[:once] + head.pack(opcode, len(twice)) + twice + valid()[once + head.size + length :]
    refused(data, "a Metadata record with more in it")


def test_the_file_is_built_as_ours_are() -> None:
    refused(rewritten(chunks=False), "kind 0x05 in the file")
    for other in (CompressionType.NONE, CompressionType.LZ4):
        refused(rewritten(compression=other), "not packed as ours")
    refused(rewritten(more=lambda writer, _: writer.add_message(99, 0, b"{}", 0)), "a message of no channel")


@settings(max_examples=80, deadline=None)
@given(at=st.integers(0, 10**6), what=st.integers(1, 255))
def test_damage_is_an_error_of_ours_or_passes(at: int, what: int) -> None:
    broken = bytearray(valid())
    broken[at % len(broken)] ^= what
    try:
        allowed_file(bytes(broken), ROW, CAR)
    except ClipFormatError as error:
        assert ROW.clip_id in str(error)  # noqa: PT017 - either is fine


@given(told=st.text(max_size=200))
@settings(max_examples=30)
def test_a_name_is_told_on_one_line_and_shortly(told: str) -> None:
    assume(told not in {"foxglove", "fsd"})
    with pytest.raises(ClipFormatError) as caught:
        allowed_file(rewritten(more=lambda writer, _: writer.add_metadata(told, {})), ROW, CAR)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def appended(record: McapRecord) -> bytes:
    """The valid clip with one more record at its end, which its indexes do not know."""
    builder = RecordBuilder()
    record.write(builder)
    return valid()[:-8] + builder.end() + valid()[-8:]


def numbers() -> tuple[dict[str, int], dict[str, int]]:
    summary = make_reader(BytesIO(valid())).get_summary()
    assert summary is not None
    topics = {channel.topic: channel.id for channel in summary.channels.values()}
    return topics, {schema.name: schema.id for schema in summary.schemas.values()}


def test_a_record_at_the_end_is_looked_at_like_any_other() -> None:
    chunk = Chunk("zstd", b"", 0, 0, 0, 0)
    refused(appended(MetadataIndex(0, 0, "vin")), "index of metadata vin")
    refused(appended(ChunkIndex(0, 0, "vin", 0, 0, 0, {}, 0, 0)), "an index of a chunk")
    refused(valid()[:-8] + struct.pack("<BQHI", 7, 9, 0, 0) + b"VIN" + valid()[-8:], "a MessageIndex record")
    known = RecordBuilder()
    Channel(numbers()[0]["/firing"], "/firing", "json", {}, numbers()[1][schemas.FIRING]).write(known)
    packed = zstandard.compress(known.end())
    assert accepted(appended(replace(chunk, data=packed)))
    refused(appended(replace(chunk, data=packed + b"VIN")), "can't be read back")
    refused(appended(replace(chunk, data=zstandard.compress(b"") + b"VIN")), "nothing in it")


def test_a_number_is_given_once() -> None:
    """A reader that goes by the last would show what was looked at as something else."""
    topics, known = numbers()
    video, firing = topics["/camera/front/video"], schemas.FIRING
    assert accepted(appended(Channel(topics["/firing"], "/firing", "json", {}, known[firing])))
    refused(appended(Channel(video, "/firing", "json", {}, known[firing])), "/firing: the number of another")
    encoding, data = schemas.schema(firing)
    refused(
        appended(Schema(known[schemas.VIDEO], data, encoding, firing)), "fsd.Firing: the number of another"
    )


def test_what_describes_a_signal_describes_nothing_else() -> None:
    data = edited("channel /gnss", lambda told: (*told[:3], {"description": "VIN"}))
    refused(data, "topic /gnss: description is not listed")


def test_a_message_is_known_by_the_whole_number_of_its_channel() -> None:
    (first, *_) = numbers()[0].values()
    refused(rewritten(more=lambda writer, _: writer.add_message(first + 256, 0, b"{}", 0)), "no channel")
    assert accepted(rewritten(more=lambda writer, _: writer.add_message(numbers()[0]["/gnss"], 9, b"", 9, 1)))


def test_a_clip_whose_positions_are_dropped_has_no_topic_for_them() -> None:
    bare = replace(redacted(gnss=empty_gnss()), redaction=replace(RECORD, location="dropped"))
    assert accepted(encode_clip(bare, vehicle=CAR, provenance={}))


@pytest.mark.parametrize(("length", "passes"), [(4096, True), (4097, False)])
def test_how_long_text_may_be(length: int, passes: bool) -> None:
    data = document("/provenance", lambda told: told.update(agent="x" * length))
    if passes:
        assert accepted(data)
    else:
        refused(data, "/provenance.agent: 4097 characters, at most 4096")


@pytest.mark.parametrize("value", [1, 1.5, None, "near"])
def test_what_evidence_may_be(value: object) -> None:
    assert accepted(document("/firing", lambda told: told.update(evidence={"detections.car": value})))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("x" * 80, "x" * 80),
        ("x" * 81, "'" + "x" * 79),
        ("a\nb", "'a\\nb'"),
        ("\u2028" * 80, "'" + "\\u2028" * 13 + "\\"),
    ],
)
def test_how_a_name_is_told(name: str, told: str) -> None:
    refused(rewritten(more=lambda writer, _: writer.add_metadata(name, {})), f"metadata {told}: no clip")
    data = rewritten(more=lambda writer, known: writer.register_channel(name, "json", known["fsd.Firing"]))
    refused(data, f"topic {told}: no clip")
    refused(document("/firing", lambda one: one.update(evidence={name: []})), f"/firing.evidence.{told}: not")
