"""``fsdctl vehicle watch``: over a real broker, beside a push, across a restart; and at a vehicle's own file."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.adapters.status_file import STATUS_FILE, StatusFile, boot_id
from fsd_agent.adapters.tls_files import TlsFiles
from fsd_agent.adapters.vehicle_dir import VehicleDir
from fsd_agent.ports.broker import Acked, Connected
from fsd_agent.records.local_status import Belongs, LocalStatus, Uplink
from fsd_agent.records.status import CampaignStatus, Fault, ProcessUse, SpoolLevel, Status
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.status import encode_status
from fsd_agent.wire.transfer import Topics, campaigns_topic
from fsd_tools.errors import ToolError
from fsd_tools.main import main
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.mosquitto import Mosquitto, find_mosquitto
from fsd_tools.region.operator import dial_as, load_policy, publish_retained
from fsd_tools.rig.processes import Child
from fsd_tools.rig.rig import free_port
from fsd_tools.vehicle.watch_state import Watch, Watched, told_by
from fsd_tools.vehicle.watch_view import facts, table

S = 1_000_000_000
HEAD = MemoryLedger(keys=MemoryVehicleKeys(), clock=ManualClock()).head().encode()


def needs() -> str:
    try:
        find_mosquitto()
    except ToolError as error:
        return str(error)
    return ""


needs_mosquitto = pytest.mark.skipif(bool(needs()), reason=needs())


def said(**changes: Any) -> Status:
    status = Status(
        vehicle="car-1",
        region="cn",
        registration_serial=1,
        policy_version=1,
        wall_ns=time.time_ns(),
        agent_version="9.9",
        campaign_set=1,
        campaigns=(
            CampaignStatus("near_miss", 10, 1, 2, 3, 1, {"sampled_out": 2, "disk_full": 1}, 1, 4096),
            CampaignStatus("overtaken", 5, 0, 0, 0, 0, {"no_consent": 4, "sampled_out": 1}, 0, 0),
        ),
        suspended={},
        refused_push="",
        refused_policy="",
        spool={
            "sealed": SpoolLevel(3, 9_000_000, time.time_ns() - 7300 * S),
            "captured": SpoolLevel(2, 0, time.time_ns() - 60 * S),
        },
        lost={},
        use=ProcessUse(1.0, 2, 3),
        trouble="",
        ledger_head=HEAD,
        every_s=5.0,
        sent_bytes=1000,
        faults=(Fault(time.time_ns(), "disconnected", "timed out", 12),),
    )
    return replace(status, **changes)


def text_of(*vehicles: Watched, now_s: float = 0.0, broken: str = "") -> str:
    console = Console(record=True, width=100)
    console.print(table(vehicles, now_s, time.time_ns(), title="region cn", broken=broken))
    return console.export_text()


def test_a_row_says_what_waits_how_old_it_is_what_was_dropped_and_what_is_wrong() -> None:
    lines = text_of(Watch().take(told_by(said()), 0.0, retained=False), broken="timed out").splitlines()
    assert lines[0] == "not connected: timed out"
    (at,) = (number for number, line in enumerate(lines) if line.split()[:1] == ["car-1"])
    row, second, third, *_, wrong = lines[at:]
    assert " ".join(row.split()) == "car-1 0 s ago 3 sealed 9.0 2 h 1 min - 15 4 no_consent 0"
    assert " ".join(second.split()) == "2 captured 3 sampled_out"
    assert " ".join(third.split()) == "1 others"
    assert wrong == "car-1: disconnected timed out (12 times)"


def test_trouble_comes_before_faults_and_a_ledger_that_can_not_be_written_is_seen() -> None:
    one = told_by(said(trouble="[bad] x", ledger_head=b"", spool={}))
    text = text_of(Watch().take(one, 0.0, retained=False))
    assert text.rstrip().endswith("car-1: [bad] x")
    assert "none" in text
    assert "nothing" in text
    assert "disconnected" not in text


def test_age_is_taken_on_our_clock_once_we_have_heard_it_ourselves() -> None:
    watch, now_ns = Watch(), time.time_ns()
    watched = watch.take(told_by(said(wall_ns=now_ns - 40 * S)), 100.0, retained=True)
    assert watched.age_s(100.0, now_ns) == pytest.approx(40)
    assert watched.is_silent(100.0, now_ns), "three turns of 5 s, and 5 s"
    watch.take(told_by(said(wall_ns=now_ns - 10**6 * S)), 101.0, retained=False)
    assert watched.age_s(121.0, now_ns) == 20
    assert not watched.is_silent(121.0, now_ns)
    assert watched.is_silent(121.1, now_ns)


def test_a_vehicle_that_does_not_say_when_it_speaks_again_has_a_minute() -> None:
    watched = Watch().take(told_by(said(every_s=0.0)), 0.0, retained=False)
    assert not watched.is_silent(60.0, 0)
    assert watched.is_silent(60.1, 0)


def test_what_a_broker_kept_does_not_replace_what_was_heard_after_it() -> None:
    """After a broken connection the broker sends what it kept once more."""
    watch, now_ns = Watch(), time.time_ns()
    watch.take(told_by(said(wall_ns=now_ns, sent_bytes=7)), 1.0, retained=False)
    watched = watch.take(told_by(said(wall_ns=now_ns, sent_bytes=7)), 9.0, retained=True)
    assert watched.age_s(9.0, now_ns) == 8
    watch.take(told_by(said(wall_ns=now_ns + S, sent_bytes=9)), 9.0, retained=True)
    assert watched.told.sent_bytes == 9


def test_the_rate_is_over_the_last_minute_that_was_seen() -> None:
    watch = Watch()
    watched = watch.take(told_by(said(sent_bytes=5)), 0.0, retained=True)
    assert watched.rate(0.0) is None
    for at_s, sent in ((10.0, 1_000), (20.0, 21_000)):
        watch.take(told_by(said(sent_bytes=sent)), at_s, retained=False)
    assert watched.rate(21.0) == 2_000
    for at_s in (40.0, 60.0, 80.0, 100.0):
        watch.take(told_by(said(sent_bytes=21_000)), at_s, retained=False)
    assert watched.rate(101.0) == 0, "what came before the minute counts no more"
    watch.take(told_by(said(sent_bytes=50)), 110.0, retained=False)
    assert watched.rate(110.0) is None, "the agent was started again"
    watch.take(told_by(said(sent_bytes=550)), 120.0, retained=False)
    assert watched.rate(121.0) == 50
    assert watched.rate(200.0) == 0


def test_facts_are_complete() -> None:
    watched = Watch().take(told_by(said()), 0.0, retained=False)
    assert facts(watched, 1.0, time.time_ns()) == {
        "vehicle": "car-1",
        "region": "cn",
        "age_s": 1.0,
        "silent": False,
        "sent_bytes_per_s": None,
        "oldest_s": 7300,
        "ledger_records": 0,
    }


class Yard:
    """A region with a broker, and a vehicle's own connection to it."""

    def __init__(self, root: Path) -> None:
        self.root, self.region = root, RegionDir(root / "cn")
        port = str(free_port())
        argv = ["region", "init", str(self.region.root), "--id", "cn", "--jurisdiction", "CN", "--port", port]
        assert main(argv) == 0
        assert (
            main(["vehicle", "enrol", str(self.region.root), "--vehicle", "car-1", "-o", str(root / "car")])
            == 0
        )
        self.policy = load_policy(self.region)
        endpoint = self.policy.endpoints[0]
        self.broker = Mosquitto(self.region, endpoint.host, endpoint.port)
        self.children: list[Child] = []

    def say(self, payload: bytes) -> None:
        """As the vehicle, retained, on a connection of its own."""
        link, token = MqttLink(MqttOptions()), None
        certificate, key = TlsFiles(VehicleDir(self.root / "car")).pair("cn")
        link.connect(dial_as(self.policy, "car-1", certificate, key, ()))
        until_s = time.monotonic() + 10
        while time.monotonic() < until_s:
            for event in link.events(1.0):
                if isinstance(event, Connected):
                    token = link.publish(Topics("cn", "car-1").status, payload, retain=True)
                elif isinstance(event, Acked) and event.token == token:
                    link.close()
                    return
        raise AssertionError("the broker did not take it")

    def watch(self) -> tuple[Child, queue.Queue[dict[str, Any]]]:
        lines: queue.Queue[dict[str, Any]] = queue.Queue()
        argv = [sys.executable, "-m", "fsd_tools", "vehicle", "watch", str(self.region.root), "--json"]
        child = Child(
            "watch", argv, log=self.root / "watch.log", on_event=lambda event: lines.put(dict(event))
        )
        self.children.append(child)
        return child, lines


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    with made.broker:
        yield made
        for child in made.children:
            if child.running():
                child.stop()


@needs_mosquitto
def test_it_goes_on_beside_a_push_and_over_a_broker_that_starts_again(yard: Yard) -> None:
    yard.say(encode_status(said(sent_bytes=1)))
    child, lines = yard.watch()
    first = lines.get(timeout=20)
    assert (first["vehicle"], first["silent"], first["status"]["sent_bytes"]) == ("car-1", False, 1)
    assert first["status"]["campaigns"][0]["dropped"] == {"sampled_out": 2, "disk_full": 1}
    assert first["status"]["ledger"]["size"] == 0
    publish_retained(yard.region, yard.policy, campaigns_topic("cn"), b"as a push does")
    yard.say(b"\x92\x01\x80")
    assert lines.get(timeout=20) == {"vehicle": "car-1", "error": "status: version 1, this program reads 2"}
    yard.say(encode_status(said(sent_bytes=2)))
    assert lines.get(timeout=20)["status"]["sent_bytes"] == 2
    yard.broker.stop()
    with yard.broker:
        yard.say(encode_status(said(sent_bytes=3)))
        while (heard := lines.get(timeout=20))["status"]["sent_bytes"] != 3:
            assert heard["status"]["sent_bytes"] == 2, "what the broker had kept"
    child._signal(signal.SIGINT)
    assert child.wait(10) == 0


@needs_mosquitto
def test_a_second_watch_is_refused_and_the_first_goes_on(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    yard.say(encode_status(said(sent_bytes=1)))
    _, lines = yard.watch()
    lines.get(timeout=20)
    region = str(yard.region.root)
    assert main(["vehicle", "watch", region, "--json"]) == 1
    assert (
        "another watch uses this certificate, and a broker takes one connection of it"
        in capsys.readouterr().err
    )
    assert main(["vehicle", "watch", region, "--once", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"]["sent_bytes"] == 1
    yard.say(encode_status(said(sent_bytes=2)))
    assert lines.get(timeout=20)["status"]["sent_bytes"] == 2


@needs_mosquitto
def test_once(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    region = str(yard.region.root)
    assert main(["vehicle", "watch", region, "--once"]) == 1
    assert "region cn: no vehicle has said anything yet" in capsys.readouterr().err
    yard.say(encode_status(said(wall_ns=time.time_ns() - 3700 * S)))
    assert main(["vehicle", "watch", region, "--once", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["silent"], 3700 <= found["age_s"] < 3800, found["sent_bytes_per_s"]) == (True, True, None)
    assert main(["vehicle", "watch", region, "--once"]) == 0
    assert "SILENT" in capsys.readouterr().out
    assert main(["vehicle", "watch", region, "--once", "--vehicle", "car-2"]) == 1


def test_without_a_broker_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    region = str(tmp_path / "cn")
    argv = ["region", "init", region, "--id", "cn", "--jurisdiction", "CN", "--port", str(free_port())]
    assert main(argv) == 0
    assert main(["vehicle", "watch", region, "--json"]) == 1
    assert "can't connect: Connection refused" in capsys.readouterr().err


def own(**changes: Any) -> LocalStatus:
    status = LocalStatus(
        wall_ns=time.time_ns(),
        mono_ns=time.monotonic_ns(),
        boot_id=boot_id(),
        every_s=5.0,
        ended="",
        agent_version="9.9",
        belongs=Belongs("cn", "car-1", "CN", 1, 1, "", ""),
        policies={},
        refused_policies={},
        uplink=Uplink("cn", True, 0, 0, 0, 0, sent_bytes=70),
        holds=(),
        ledger_head=HEAD,
        trouble="",
        use=ProcessUse(1.0, 2, 3),
        spool={"cn": {"sealed": SpoolLevel(1, 2_000_000, 9)}, "eu": {"sealed": SpoolLevel(2, 3_000_000, 5)}},
        fired=8,
        dropped={"no_consent": 4},
    )
    return replace(status, **changes)


def test_a_vehicles_own_file_shows_all_regions_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = StatusFile(tmp_path / STATUS_FILE)
    assert main(["vehicle", "watch", str(tmp_path), "--data", str(tmp_path), "--once"]) == 1
    assert "has an agent run on it?" in capsys.readouterr().err
    file.put(own())
    assert main(["vehicle", "watch", str(tmp_path), "--data", str(tmp_path), "--once", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["vehicle"], found["region"], found["silent"]) == ("car-1", "cn", False)
    assert found["status"]["spool"]["eu"]["sealed"]["clips"] == 2
    file.put(own(belongs=Belongs("", "", "", 0, 0, "no_registration", ""), ended="stopped"))
    assert main(["vehicle", "watch", str(tmp_path), "--data", str(tmp_path), "--once"]) == 0
    text = capsys.readouterr().out
    assert "this vehicle" in text
    file.put(own(mono_ns=time.monotonic_ns() - 60 * S))
    assert main(["vehicle", "watch", str(tmp_path), "--data", str(tmp_path), "--once", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["silent"]


def test_on_a_terminal_it_is_drawn_again_until_somebody_ends_it(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / STATUS_FILE)
    file.put(own(fired=8))
    reading, writing = os.openpty()
    argv = [sys.executable, "-m", "fsd_tools", "vehicle", "watch", str(tmp_path), "--data", str(tmp_path)]
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    with subprocess.Popen(argv, stdout=writing, stderr=writing, env=environment) as process:
        os.close(writing)
        drawn = b""
        try:
            for wanted in (b"connected to cn", b" 4711 "):
                while wanted not in drawn:
                    drawn += os.read(reading, 4096)
                file.put(own(fired=4711))
        except BaseException:
            process.kill()
            raise
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(10) == 0
        finally:
            process.kill()
    os.close(reading)


def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vehicle", "watch", str(tmp_path)]) == 2
    assert "no terminal: give --json or --once" in capsys.readouterr().err
    assert main(["vehicle", "watch", str(tmp_path), "--vehicle", "car-1", "--once"]) == 2
