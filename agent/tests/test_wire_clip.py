"""A clip file: opens with the mcap library alone, holds what its row names and nothing more, comes back the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
from foxglove_schemas_protobuf.ImageAnnotations_pb2 import ImageAnnotations
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import Writer

from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.testing.streams import looks, row
from fsd_agent.wire.clip import ClipFormatError, decode_clip, encode_clip
from fsd_agent.wire.clip_messages import decode_value, encode_value
from fsd_firmware.catalogue import CatalogueEntry
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.pyav_frames import frame_from_bgr
from fsd_firmware.samples import EncodedPacket, GnssFixes, Kind, Signals, empty_gnss

STEP = 50_000_000
START = 1_000_000_000
OFFSET = 1_700_000_000_000_000_000
PATHS = ("Vehicle.Speed", "Vehicle.Chassis.Brake.IsPressed")
PROVENANCE = {"agent": "0.1.0", "policy_version": 3}


def video(camera: str = "front") -> tuple[EncodedPacket, ...]:
    rng = np.random.default_rng(0)
    frames = [
        frame_from_bgr(START + n * STEP, rng.integers(0, 255, (64, 96, 3), np.uint8).repeat(1, axis=0))
        for n in range(9)
    ]
    return tuple(PyAvCodec().encode(camera, frames, fps=20, keyframe_every=4))


@pytest.fixture(scope="module")
def redacted() -> RedactedClip:
    evidence: tuple[tuple[str, float | str], ...] = (("Vehicle.Speed", 8.25), ("detections.pedestrian", 1.0))
    firing = Firing("crossing", 2, START + 4 * STEP, evidence)
    seen = looks(
        "front",
        "firmware",
        [
            (START, [(int(Kind.PEDESTRIAN), 0.875, (10, 20, 30, 60)), (250, 0.5, (1, 2, 3, 4))]),
            (START + STEP, []),
        ],
    )
    known = np.array([0, np.nan], np.float32)
    seen = replace(seen, distance_m=known + np.float32(12.5), ttc_s=known + np.float32(0.75))
    model = looks("front", "nanodet@1", [(START, [(int(Kind.CAR), 0.7, (40.5, 20, 70, 60))])])
    clip = Clip(
        row=row(START, START + 9 * STEP, signals=PATHS, clip_id="ab" * 16, priority=5),
        firings=(JudgedFiring("f1", firing, firing.t_ns + OFFSET, "ab" * 16, None),),
        catalogue=(
            CatalogueEntry(PATHS[0], "double", "m/s", 0.0, 1e300, "how fast"),
            CatalogueEntry(PATHS[1], "bool", "", 0.0, 1.0, ""),
        ),
        signals=Signals(
            np.array([START - 7_000_000_000, START, START, START + 3]),
            np.array([1, 0, 0, 0], np.int32),
            np.array([1.0, 0.1 + 0.2, np.nan, -1e-308]),
        ),
        packets=video(),
        detections=(seen, model),
        gnss=GnssFixes(
            np.array([START + 5]), *(np.array([value]) for value in (31.25, 121.5, 4.0, 8.0, 90.0))
        ),
        modes=(),
    )
    record = RedactionRecord(("faces=head_zone",), ("firmware", "nanodet@1"), 9, 30, 0.125, "kept")
    return RedactedClip(clip, record)


@pytest.fixture(scope="module")
def data(redacted: RedactedClip) -> bytes:
    return encode_clip(redacted, vehicle="veh-7", provenance=PROVENANCE)


def test_it_comes_back_as_it_was(redacted: RedactedClip, data: bytes) -> None:
    back, clip = decode_clip(BytesIO(data)), redacted.clip
    assert (back.clip_id, back.region_id, back.vehicle, back.cut) == ("ab" * 16, "cn", "veh-7", False)
    assert (back.start_ns, back.end_ns, back.wall_minus_mono_ns) == (START, START + 9 * STEP, OFFSET)
    assert back.packets == clip.packets
    assert back.catalogue == clip.catalogue
    for name in ("t_ns", "signal", "value"):
        np.testing.assert_array_equal(getattr(back.signals, name), getattr(clip.signals, name))
    for name in ("t_ns", "lat_deg", "lon_deg", "alt_m"):
        np.testing.assert_array_equal(getattr(back.gnss, name), getattr(clip.gnss, name))
    assert [firing["firing"] for firing in back.firings] == ["f1"]
    assert back.firings[0]["t_ns"] == START + 4 * STEP
    assert back.firings[0]["evidence"] == {"Vehicle.Speed": 8.25, "detections.pedestrian": 1.0}
    first, second = back.frames
    assert [(one.distance_m, one.ttc_s) for one in first.boxes] == [(12.5, 0.75), (None, None), (None, None)]
    assert [(one.kind, one.source, one.box) for one in first.boxes] == [
        (Kind.PEDESTRIAN, "firmware", (10.0, 20.0, 30.0, 60.0)),
        (Kind.UNKNOWN, "firmware", (1.0, 2.0, 3.0, 4.0)),
        (Kind.CAR, "nanodet@1", (40.5, 20.0, 70.0, 60.0)),
    ]
    assert (second.t_ns, second.boxes) == (START + STEP, ())


def test_the_provenance_says_how_it_came_to_be(data: bytes) -> None:
    provenance = decode_clip(data).provenance
    assert provenance["campaigns"] == [{"id": "crossing", "version": 2}]
    assert provenance["region"] == "cn"
    assert provenance["agent"] == "0.1.0"
    assert provenance["models"] == ["nanodet@1"]
    assert provenance["redaction"]["boxes"] == 30
    assert provenance["window"]["start_wall_ns"] == START + OFFSET
    assert provenance["wall_minus_mono_ns"] == OFFSET


def test_what_is_kept_of_a_window_says_so_and_firings_keep_their_times(redacted: RedactedClip) -> None:
    (first,) = redacted.clip.firings
    outside = [
        replace(first, firing_id=f"f{at}", firing=replace(first.firing, t_ns=at))
        for at in (7, START + 30 * STEP)
    ]
    cut = replace(redacted.clip, kept_of=(5, START + 40 * STEP), firings=(first, *outside))
    data = encode_clip(RedactedClip(cut, redacted.redaction), vehicle="v", provenance={"kept": "nothing"})
    clip = decode_clip(data)
    assert clip.provenance["kept"] == {
        "start_ns": START,
        "end_ns": START + 9 * STEP,
        "of_start_ns": 5,
        "of_end_ns": START + 40 * STEP,
    }
    assert sorted(firing["t_ns"] for firing in clip.firings) == [7, first.firing.t_ns, START + 30 * STEP]
    logged = [
        message.log_time - OFFSET
        for _, _, message in make_reader(BytesIO(data)).iter_messages(topics=["/firing"])
    ]
    assert logged == [START, first.firing.t_ns, START + 9 * STEP - 1], "viewers show no empty time"


def test_a_clip_that_is_whole_says_that(data: bytes) -> None:
    assert decode_clip(data).provenance["kept"] is None


def test_the_caller_can_not_overrule_what_the_clip_knows(redacted: RedactedClip) -> None:
    data = encode_clip(redacted, vehicle="veh-7", provenance={"region": "eu", "redaction": {}})
    provenance = decode_clip(data).provenance
    assert provenance["region"] == "cn"
    assert provenance["redaction"]["frames"] == 9


def test_it_opens_with_the_mcap_library_and_decodes_frame_by_frame(data: bytes) -> None:
    reader = make_reader(BytesIO(data), validate_crcs=True)
    assert reader.get_header().profile == ""
    metadata = {record.name: record.metadata for record in reader.iter_metadata()}
    assert metadata["foxglove"] == {"deviceId": "veh-7", "deviceName": "veh-7"}
    summary = reader.get_summary()
    assert summary is not None
    assert {
        channel.topic: summary.schemas[channel.schema_id].name for channel in summary.channels.values()
    } == {
        "/camera/front/video": "foxglove.CompressedVideo",
        "/camera/front/annotations": "foxglove.ImageAnnotations",
        "/gnss": "foxglove.LocationFix",
        "/signals/Vehicle.Speed": "fsd.Signal",
        "/signals/Vehicle.Chassis.Brake.IsPressed": "fsd.Signal",
        "/firing": "fsd.Firing",
        "/provenance": "fsd.Provenance",
    }
    assert {index.compression for index in summary.chunk_indexes} == {"zstd"}

    def packets() -> Iterator[EncodedPacket]:
        for _, _, message in reader.iter_messages(topics="/camera/front/video"):
            video = CompressedVideo.FromString(message.data)
            assert video.timestamp.ToNanoseconds() == message.log_time
            assert (video.frame_id, video.format) == ("front", "vp9")
            yield EncodedPacket(
                "front", message.log_time - OFFSET, video.format, message.sequence == 0, video.data
            )

    decoded = PyAvCodec().decode(packets())
    assert [frame.t_ns for frame in decoded] == [START + n * STEP for n in range(9)]


def test_messages_are_in_order_and_a_value_from_before_is_logged_at_the_start(data: bytes) -> None:
    log_times = [m.log_time for _, _, m in make_reader(BytesIO(data)).iter_messages(log_time_order=False)]
    assert log_times == sorted(log_times)
    assert log_times[0] == START + OFFSET
    (early,) = [m for _, c, m in make_reader(BytesIO(data)).iter_messages() if c.topic.endswith("IsPressed")]
    assert (early.log_time, early.publish_time) == (START + OFFSET, START + OFFSET - 7_000_000_000)


def test_the_schemas_in_the_file_are_enough_to_read_it(data: bytes) -> None:
    summary = make_reader(BytesIO(data)).get_summary()
    assert summary is not None
    for schema in summary.schemas.values():
        if schema.encoding == "jsonschema":
            assert json.loads(schema.data)["type"] == "object"
            continue
        pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(schema.data).file:
            pool.Add(file)
        message_factory.GetMessageClass(pool.FindMessageTypeByName(schema.name))


def test_annotations_are_what_foxglove_draws(data: bytes) -> None:
    messages = [m for _, _, m in make_reader(BytesIO(data)).iter_messages(topics="/camera/front/annotations")]
    first = ImageAnnotations.FromString(messages[0].data)
    assert [text.text for text in first.texts] == ["pedestrian 0.88", "unknown 0.50", "car 0.70"]
    assert [(p.x, p.y) for p in first.points[0].points] == [(10, 20), (30, 20), (30, 60), (10, 60)]
    assert len({(p.outline_color.r, p.outline_color.g) for p in first.points}) == 3
    assert len(ImageAnnotations.FromString(messages[1].data).points) == 0


def test_what_the_row_does_not_name_never_gets_in(redacted: RedactedClip) -> None:
    def encode(**changes: Any) -> None:
        encode_clip(
            RedactedClip(replace(redacted.clip, **changes), redacted.redaction), vehicle="v", provenance={}
        )

    with pytest.raises(ClipFormatError, match=r"signal Vehicle\.Secret is not one"):
        encode(catalogue=(*redacted.clip.catalogue, CatalogueEntry("Vehicle.Secret", "double", "", 0, 1, "")))
    with pytest.raises(ClipFormatError, match="camera rear is not one"):
        encode(packets=(replace(redacted.clip.packets[0], camera="rear"),))
    with pytest.raises(ClipFormatError, match="camera rear is not one"):
        encode(detections=(replace(redacted.clip.detections[0], camera="rear"),))
    with pytest.raises(ClipFormatError, match="video in mpeg1"):
        encode(packets=(replace(redacted.clip.packets[0], codec="mpeg1"),))
    with pytest.raises(ClipFormatError, match="before 1970"):
        encode(row=replace(redacted.clip.row, wall_minus_mono_ns=-(1 << 62)))
    with pytest.raises(ClipFormatError, match="can't be part of a topic"):
        encode(row=replace(redacted.clip.row, cameras=("front", "a/b")))


def test_no_positions_means_no_channel_for_them(redacted: RedactedClip) -> None:
    clean = RedactedClip(replace(redacted.clip, gnss=empty_gnss()), redacted.redaction)
    data = encode_clip(clean, vehicle="v", provenance={})
    summary = make_reader(BytesIO(data)).get_summary()
    assert summary is not None
    assert "/gnss" not in {channel.topic for channel in summary.channels.values()}
    assert len(decode_clip(data).gnss) == 0


@settings(max_examples=200)
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_come_back_to_the_last_bit(value: float) -> None:
    back = decode_value(encode_value(value))
    assert np.float64(back).tobytes() == np.float64(value).tobytes()
    assert json.loads(encode_value(value)) == {"value": value}


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10**6), what=st.integers(1, 255))
def test_damage_is_an_error_of_ours_or_changes_nothing(data: bytes, at: int, what: int) -> None:
    broken = bytearray(data)
    broken[at % len(data)] ^= what
    try:
        back = decode_clip(bytes(broken))
    except ClipFormatError:
        return
    assert back.packets == decode_clip(data).packets


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 0.999))
def test_a_file_that_is_cut_off_is_refused(data: bytes, share: float) -> None:
    with pytest.raises(ClipFormatError):
        decode_clip(data[: int(len(data) * share)])


def test_another_mcap_file_is_no_clip() -> None:
    other = BytesIO()
    writer = Writer(other)
    writer.start()
    writer.finish()
    with pytest.raises(ClipFormatError, match=r"other\.mcap: metadata fsd: missing"):
        decode_clip(other.getvalue(), "other.mcap")
