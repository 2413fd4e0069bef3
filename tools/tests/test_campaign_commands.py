"""The commands on real files: a generated drive, and a push to a real broker."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd_agent.adapters.mqtt_dial import Dial
from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.adapters.tls import region_context
from fsd_agent.ports.broker import Connected, Message
from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.novelty import ClipCode, Maker, Sketch, Subject
from fsd_agent.rules.trust.campaigns import Accepted, accept_campaigns
from fsd_agent.wire.transfer import campaigns_topic
from fsd_tools.campaign.families import FAMILIES
from fsd_tools.demo.scenario import VRU_ANY
from fsd_tools.main import main
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.mosquitto import Mosquitto
from fsd_tools.region.operator import load_policy
from fsd_tools.region.sketch import write_sketch

VRU = VRU_ANY


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drive") / "city.mcap"
    argv = ["drive", "generate", "-o", str(path), "--seconds", "18", "--seed", "7"]
    assert main([*argv, "--width", "96", "--height", "96", "--fps", "5"]) == 0
    return path


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegionDir]:
    root = tmp_path_factory.mktemp("region") / "cn"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert main(["region", "init", str(root), "--id", "cn", "--jurisdiction", "CN", "--port", str(port)]) == 0
    with Mosquitto(RegionDir(root), "127.0.0.1", port):
        yield RegionDir(root)


def test_check_says_what_is_sound_and_what_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(VRU.read_text().replace("d.score", "d.scroe"))
    assert main(["campaign", "check", str(VRU)]) == 0
    assert main(["campaign", "check", str(VRU), str(bad)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"fsdctl: error: {bad}: condition: ")
    assert "did you mean 'score'?" in error
    assert main(["campaign", "check", str(VRU), str(bad), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in found["campaigns"]] == ["vru_any"]
    assert [one["field"] for one in found["refused"]] == ["condition"]


LOOKING_BACK = """
id: braking_after_flicker
purpose: safety
description: What check says.
condition: >-
  rate(Vehicle.Speed, "1s") < -8.0 && held(Vehicle.Speed > 30, "2s") && within("depot")
  && since(flicker("pedestrian", "2s") > 3) < 5
  && mean_over(Vehicle.Speed, "5s") > 40.0
zones: {depot: [[48.0, 11.0], [48.0, 11.1], [48.1, 11.1]]}
states: [assisted]
capture: {before: 3s, after: 2s}
valid: {from: 2026-01-01, until: 2026-12-31}
"""


def test_check_says_what_was_compiled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "looking.yaml"
    file.write_text(LOOKING_BACK)
    assert main(["campaign", "check", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["campaigns"][0]
    assert [one["what"] for one in found["reads"]] == [
        "Vehicle.Speed",
        "position fixes",
        "drive modes",
        "detections",
    ]
    assert [(one["function"], one["window_ns"]) for one in found["looks_back"]] == [
        ("rate", 10**9),
        ("once (held, since)", 2 * 10**9),
        ("count_over", 2 * 10**9),
        ("once (held, since)", 5 * 10**9),
        ("mean_over", 5 * 10**9),
    ]
    costs = {one["what"]: (one["operations"], one["operations_per_box"]) for one in found["reads"]}
    assert costs["detections"][1] > 0
    # A zone costs its corners.
    assert costs["position fixes"][0] >= 3
    assert costs["Vehicle.Speed"][0] > costs["drive modes"][0] > 0
    assert main(["campaign", "check", str(file)]) == 0
    said = capsys.readouterr().out
    assert (
        f"braking_after_flicker: {found['program_nodes']} nodes; looks back: "
        "rate 1 s, once (held, since) 2 s, count_over 2 s, once (held, since) 5 s, mean_over 5 s"
    ) in said
    assert f"    Vehicle.Speed: {costs['Vehicle.Speed'][0]} operations an arrival\n" in said


def test_a_backtest_says_what_fired_when_and_on_what(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("cyclist_overtaken_close", "hard_braking_vru_near", "pedestrian_crossing_ahead")
    files = [str(FAMILIES / f"{name}.yaml") for name in names]
    capsys.readouterr()
    assert main(["campaign", "backtest", *files, "--drives", str(drive), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["totals"]) == set(names)
    assert found["not_run"] == []
    hard = next(one for one in found["firings"] if one["campaign"] == "hard_braking_vru_near")
    assert hard["evidence"]["Vehicle.Acceleration.Longitudinal"] < -5.0
    assert hard["wall_ns"] > hard["t_ns"] > 0


def test_what_could_not_be_run_is_listed(
    drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(drive.read_bytes()[: drive.stat().st_size * 2 // 3])
    (tmp_path / "noise.mcap").write_bytes(b"not a drive")
    other = tmp_path / "other.yaml"
    other.write_text(
        VRU.read_text().replace("cameras: [front]", "cameras: [rear]").replace("vru_any", "rear")
    )
    capsys.readouterr()
    argv = ["campaign", "backtest", str(VRU), str(other), "--drives", str(tmp_path), "--json"]
    assert main(argv) == 1
    found = json.loads(capsys.readouterr().out)
    assert {one["campaign"] for one in found["firings"]} == {"vru_any"}
    reasons = {
        (Path(one["drive"]).name, Path(one["campaign"]).name): one["reason"] for one in found["not_run"]
    }
    assert set(reasons) == {("cut.mcap", ""), ("cut.mcap", "other.yaml"), ("noise.mcap", "")}
    assert "no camera 'rear'" in reasons["cut.mcap", "other.yaml"]
    assert main(["campaign", "backtest", str(VRU), "--drives", str(tmp_path / "none")]) == 1


def received(region: RegionDir) -> Message:
    """The retained set as a newcomer gets it."""
    policy = load_policy(region)
    context = region_context(policy, policy.endpoints[0], region.receiver_cert, region.receiver_key)
    link = MqttLink(MqttOptions())
    topic = campaigns_topic("cn")
    link.connect(Dial(policy.endpoints[0], context, "receiver", (topic,)))
    try:
        for _ in range(50):
            for event in link.events(0.2):
                # What was published while its session was away comes first, and is not marked retained.
                if isinstance(event, Message) and event.retained:
                    return event
                assert isinstance(event, Connected | Message), event
    finally:
        link.close()
    raise AssertionError("no campaign set was retained")


def pushed(region: RegionDir) -> CampaignSet:
    message = received(region)
    decided = accept_campaigns(message.payload, load_policy(region), floor_version=0)
    assert isinstance(decided, Accepted)
    return decided.campaigns


def test_a_push_is_signed_numbered_and_retained(
    region: RegionDir, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["campaign", "push", str(VRU), "--region", str(region.root)]) == 0
    first = pushed(region)
    assert [(one.id, one.region_id) for one in first.campaigns] == [("vru_any", "cn")]
    other = FAMILIES / "night_vru.yaml"
    capsys.readouterr()
    assert main(["campaign", "push", str(VRU), str(other), "--region", str(region.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == first.version + 1
    assert pushed(region).version == first.version + 1
    assert len(pushed(region).campaigns) == 2


def test_a_push_takes_the_sketch_along_as_far_as_it_is_about_its_campaigns(
    region: RegionDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asks = tmp_path / "asks.yaml"
    asks.write_text(VRU.read_text().replace("novelty: off", "novelty: normal"))
    ours, gone = (
        ClipCode(Subject(name, Maker.BOXES, "boxes@1", "front"), bytes([9] * 96))
        for name in ("vru_any", "gone")
    )
    write_sketch(region, Sketch("cn", (gone, ours)))
    capsys.readouterr()
    assert main(["campaign", "push", str(asks), "--region", str(region.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sketch_codes"] == 1
    assert pushed(region).sketch == Sketch("cn", (ours,))
    number = region.campaign_version.read_text()
    region.sketch.write_bytes(b"damaged")
    assert main(["campaign", "push", str(asks), "--region", str(region.root)]) == 1
    assert str(region.sketch) in capsys.readouterr().err
    assert region.campaign_version.read_text() == number
    region.sketch.unlink()
    assert main(["campaign", "push", str(asks), "--region", str(region.root)]) == 0
    assert pushed(region).sketch is None


def test_pushes_at_once_get_different_numbers(region: RegionDir) -> None:
    before = int(region.campaign_version.read_text()) if region.campaign_version.exists() else 0
    argv = ["campaign", "push", str(VRU), "--region", str(region.root)]
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(main(argv))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0, 0]
    assert pushed(region).version == before + 3


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["campaign", "push", *argv]) == 1
    return capsys.readouterr().err


def test_pushes_that_are_refused_take_no_number(
    region: RegionDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["campaign", "push", str(VRU), "--region", str(region.root)]) == 0
    in_force = pushed(region).version
    foreign = tmp_path / "foreign.yaml"
    foreign.write_text(f"region: eu\n{VRU.read_text()}")
    to_region = ["--region", str(region.root)]
    assert "region: 'eu': the campaign is for another region than 'cn'" in refused(
        [str(foreign), *to_region], capsys
    )
    assert "is also the id of" in refused([str(VRU), str(VRU), *to_region], capsys)
    assert "no campaign files given" in refused(to_region, capsys)
    assert "fsdctl region init" in refused([str(VRU), "--region", str(tmp_path)], capsys)
    assert "--vehicle" in refused([str(VRU), *to_region, "--vehicle", str(foreign)], capsys)
    assert int(region.campaign_version.read_text()) == in_force == pushed(region).version


def test_a_key_that_vehicles_do_not_trust_is_noticed_here(
    region: RegionDir, capsys: pytest.CaptureFixture[str]
) -> None:
    good = region.campaign_key.read_bytes()
    region.campaign_key.write_bytes(bytes(32))
    try:
        error = refused([str(VRU), "--region", str(region.root)], capsys)
    finally:
        region.campaign_key.write_bytes(good)
    assert "no vehicle would accept it" in error


def test_a_broker_that_is_away_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "cn"
    assert main(["region", "init", str(root), "--id", "cn", "--jurisdiction", "CN", "--port", "1"]) == 0
    assert "broker 127.0.0.1:1: can't connect" in refused([str(VRU), "--region", str(root)], capsys)
