"""What arrives is true.

A receiver's clip opens with the mcap library's own reader, its video decodes frame by frame, and its signals equal
cantools' decoding of the same CAN frames of the drive.
"""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from pathlib import Path

import av
import pytest
from cantools.database.can import Database
from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
from mcap.reader import make_reader

from fsd_agent.records.purpose import ALL_PURPOSES
from fsd_firmware.drive.reader import DriveReader
from fsd_tools.drive import vehicles
from fsd_tools.rig.forks import Forks
from fsd_tools.rig.rig import Rig

VEHICLE = "car-a"
SECOND = 1_000_000_000


@pytest.mark.slow
def test_a_clip_of_the_receiver_tells_the_truth(
    tmp_path: Path, forks: Forks, city_drive: Path, campaigns: tuple[Path, ...]
) -> None:
    with Rig(tmp_path, forks=forks) as rig:
        rig.add_region("cn", ["CN"])
        rig.add_vehicle(
            VEHICLE, "CN", ["cn"], {"firmware": {"source": f"drive:{city_drive}", "speed": "max"}}
        )
        rig.consent(VEHICLE, give=ALL_PURPOSES)
        rig.serve("cn")
        rig.push("cn", campaigns, drive=city_drive)
        agent = rig.start_agent(VEHICLE, "--wait-for-campaigns", "30")
        assert agent.wait(90) == 0, agent.log_tail()
    clips = sorted((rig.region("cn").store / VEHICLE).glob("*.mcap"))
    assert clips
    truth = _truth(city_drive)
    for clip in clips:
        _check_video(clip)
        _check_signals(clip, truth)


def _check_video(clip: Path) -> None:
    """Every message is one frame, decodable as it comes."""
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    decoder.thread_count = 1
    messages = decoded = 0
    with clip.open("rb") as file:
        for schema, channel, message in make_reader(file, validate_crcs=True).iter_messages():
            if channel.topic != "/camera/front/video":
                continue
            assert schema is not None
            assert schema.name == "foxglove.CompressedVideo"
            video = CompressedVideo.FromString(message.data)
            assert video.format == "vp9"
            messages += 1
            frames = decoder.decode(av.Packet(video.data))
            assert len(frames) == 1, f"message {messages} gave {len(frames)} frames"
            assert (frames[0].width, frames[0].height) == (160, 120)
            decoded += 1
    assert messages == decoded > 20


def _check_signals(clip: Path, truth: dict[str, dict[int, float]]) -> None:
    """Every sample of every signal is what cantools decodes, at the frame's own time, and none is missing."""
    samples: dict[str, dict[int, float]] = defaultdict(dict)
    with clip.open("rb") as file:
        reader = make_reader(file)
        about = next(one.metadata for one in reader.iter_metadata() if one.name == "fsd")
        for _, channel, message in reader.iter_messages():
            if channel.topic.startswith("/signals/"):
                value = json.loads(message.data)["value"]
                samples[channel.topic.removeprefix("/signals/")][message.publish_time] = value
    offset_ns = int(about["wall_minus_mono_ns"])
    start_ns, end_ns = int(about["start_ns"]), int(about["end_ns"])
    assert len(samples) >= 3
    for path, got in samples.items():
        lead_ns = max((t for t in truth[path] if t < start_ns), default=start_ns)
        wanted = {t_ns + offset_ns: value for t_ns, value in truth[path].items() if lead_ns <= t_ns < end_ns}
        assert got == wanted, f"{path} differs from cantools"


def _truth(drive: Path) -> dict[str, dict[int, float]]:
    """What cantools makes of every CAN frame of the drive, by VSS path and time."""
    reader = DriveReader(drive)
    database = Database()
    database.add_dbc_string(reader.attachments["vehicle.dbc"].decode())
    mapping = tomllib.loads((Path(vehicles.__file__).parent / "fsd_demo.toml").read_text())["signals"]
    wanted: dict[tuple[int, int], list[tuple[str, str]]] = defaultdict(list)
    for path, entry in mapping.items():
        message = database.get_message_by_name(entry["message"])
        wanted[entry["bus"], message.frame_id].append((path, entry["signal"]))
    truth: dict[str, dict[int, float]] = defaultdict(dict)
    for batch in reader.batches(SECOND):
        can = batch.can
        for t_ns, bus, can_id, length, data in zip(
            can.t_ns, can.bus, can.can_id, can.length, can.data, strict=True
        ):
            fields = wanted.get((int(bus), int(can_id)))
            if not fields:
                continue
            decoded = database.decode_message(int(can_id), bytes(data[: int(length)]), decode_choices=False)
            for path, signal in fields:
                truth[path][int(t_ns)] = float(decoded[signal])
    return truth
