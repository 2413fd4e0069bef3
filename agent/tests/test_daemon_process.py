"""The daemon as a process: what it loads, how it refuses to start, how it stops."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from agent.tests.softhsm import MODULE, SoftToken, needs_softhsm, using
from fsd_agent.adapters.device_keys import DeviceKeys
from fsd_agent.adapters.key_files import KeyFiles, VehicleDir, create_keys
from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.daemon.agent import Agent, Ended, RunOptions
from fsd_agent.records.ledger import KeyRotated
from fsd_agent.records.region import Hold, HoldReason
from fsd_agent.rules.audit.chain import examine
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.firmware import ScriptedFirmware
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.ledger_file import read_segment
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.contract import VehicleDescription
from fsd_firmware.drive.writer import DriveWriter
from fsd_firmware.samples import Signals

S = 1_000_000_000
CATALOGUE = Catalogue((CatalogueEntry("Vehicle.Speed", "double", "km/h", 0, 300, "speed"),))
VEHICLE = VehicleDescription((), CATALOGUE, None)
CONFIG = """
[firmware]
source = "drive:{source}"
registration = "registration.signed"
speed = "{speed}"
[vehicle]
dir = "."
[storage]
dir = "{data}"
"""
NEVER_ON_THE_CAR = (
    "cantools",
    "yaml",
    "rich",
    "cyclopts",
    "PIL",
    "cel",
    "cel_expr_python",
    "fsd_tools",
    "fsd_agent.testing",
)
ONLY_WHEN_NEEDED = ("cv2", "onnxruntime", "av", "pkcs11")

Start = Callable[..., Path]


@pytest.fixture
def car(tmp_path: Path) -> Start:
    """A vehicle without a region and a drive of three seconds; returns the configuration file."""
    create_keys(tmp_path)
    t_ns = np.arange(0, 3 * S, S // 20)
    with DriveWriter(
        tmp_path / "drive.mcap",
        VEHICLE,
        name="d",
        wall_minus_mono_ns=1_780_000_000 * S,
        origin={},
        attachments={},
    ) as writer:
        writer.write_signals(Signals(t_ns, np.zeros(len(t_ns), np.int32), t_ns / S))

    def config(*, source: str = "drive.mcap", speed: str = "max", data: str = "data") -> Path:
        path = tmp_path / "agent.toml"
        path.write_text(CONFIG.format(source=source, speed=speed, data=data))
        return path

    return config


def run(
    *arguments: str | Path, module: str = "fsd_agent", **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip


def test_an_agent_that_only_listens_loads_nothing_it_does_not_need(car: Start) -> None:
    code = (
        "import sys\n"
        "from fsd_agent.daemon.main import main\n"
        "code = main(sys.argv[1:])\n"
        "print('LOADED', *sorted({name for name in sys.modules}), file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--config", str(car())],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.partition("LOADED")[2].split())
    assert "fsd_agent.pipeline.sense" in loaded
    assert not loaded & {*NEVER_ON_THE_CAR, *ONLY_WHEN_NEEDED}


@pytest.mark.parametrize("data", ["drive.mcap", "drive.mcap/data", "/proc/nowhere"])
def test_a_data_folder_that_can_not_be_made_is_named(car: Start, data: str) -> None:
    done = run("run", "--config", car(data=data))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("fsd-agent: error: /")
    assert len(done.stderr.splitlines()) == 1


def test_a_lock_that_can_not_be_made_is_named(car: Start, tmp_path: Path) -> None:
    (tmp_path / "data" / "lock").mkdir(parents=True)
    done = run("run", "--config", car())
    assert done.returncode == 1
    assert "data/lock: Is a directory" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_registration_that_can_not_be_read_is_a_hold_and_not_the_end(car: Start, tmp_path: Path) -> None:
    (tmp_path / "registration.signed").mkdir()
    done = run("run", "--json", "--config", car())
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert [event["event"] for event in events[:2]] == ["consent", "hold"]
    assert "registration.signed" in events[1]["detail"]
    assert events[-1] == events[-1] | {"event": "ended", "how": "done"}


@pytest.mark.parametrize("seconds", ["nan", "-1", "inf", "soon"])
def test_a_time_that_is_none_is_wrong_usage(car: Start, seconds: str) -> None:
    done = run("run", "--config", car(), f"--drain={seconds}")
    assert done.returncode == 2
    assert "--drain" in done.stderr


def test_sigterm_stops_it_and_a_second_agent_is_refused_until_then(car: Start) -> None:
    config = car(speed="real")
    # Again and again: the drive must not be over before the second agent has begun.
    config.write_text(config.read_text().replace("[firmware]\n", "[firmware]\nloop = true\n"))
    with subprocess.Popen(
        [sys.executable, "-m", "fsd_agent", "run", "--json", "--config", str(config)],
        stdout=subprocess.PIPE, text=True,
    ) as first:  # fmt: skip
        assert first.stdout is not None
        while json.loads(first.stdout.readline())["event"] != "progress":
            pass
        second = run("run", "--config", config)
        first.send_signal(signal.SIGTERM)
        rest = first.stdout.read()
    assert (second.returncode, len(second.stderr.splitlines())) == (1, 1)
    assert "another agent is running" in second.stderr
    assert first.returncode == 0
    assert json.loads(rest.splitlines()[-1])["how"] == "stopped"


def test_relative_paths_start_at_the_configuration(car: Start, tmp_path: Path) -> None:
    done = run("run", "--config", os.path.relpath(car(), "/"), cwd="/")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "journal.db").is_file()


class _Busy:
    """A finishing loop in the middle of a long clip."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()

    def step(self) -> bool:
        self.began.set()
        self.go_on.wait()
        return False

    def stop(self) -> None:
        """Asked to stop, but deep in a library."""


def test_a_loop_that_does_not_end_is_left_behind_with_journal_and_folder() -> None:
    busy, journal, released = _Busy(), MemoryJournal(), []
    firmware = ScriptedFirmware(VEHICLE, (), registration=None)
    idle: Any = SimpleNamespace(
        run=lambda stopping: stopping.wait(), notify=lambda: None, flushed=lambda: True
    )
    on_hold: Any = SimpleNamespace(current=Hold(HoldReason.NO_REGISTRATION, "none"))
    one = Agent(
        firmware=firmware,
        sense=cast(
            "Any", SimpleNamespace(step=lambda: not busy.began.wait(10), stop=lambda: None, sensed_ns=0)
        ),
        finisher=cast("Any", busy),
        valuing=cast("Any", SimpleNamespace(step=lambda: False)),
        withdrawn=cast("Any", SimpleNamespace(step=lambda: None)),
        left=cast("Any", SimpleNamespace(step=lambda: None)),
        retention=cast("Any", SimpleNamespace(step=lambda _state: ())),
        upkeep=cast("Any", SimpleNamespace(step=lambda _state: (), look=lambda: None)),
        deliverer=idle,
        control=cast("Any", None),
        residence=on_hold,
        teller=cast("Any", None),
        local=cast("Any", SimpleNamespace(tell=lambda _ended="": None)),
        journal=journal,
        ledger=MemoryLedger(keys=MemoryVehicleKeys(), clock=ManualClock()),
        events=RememberedEvents(),
        status_every_s=60.0,
        release=lambda: released.append(True),
    )
    try:
        assert one.run(threading.Event(), RunOptions(join_s=0.2)) is Ended.DONE
        assert one.left_behind == ("finish",)
        assert firmware.closed
        assert not released, "another agent could have started on the folder that this one still writes to"
        assert journal.totals() == ()
    finally:
        busy.go_on.set()


@needs_softhsm
def test_keys_in_a_token(car: Start, tmp_path: Path) -> None:
    """The agent starts with the token, says what is missing without it, and never falls back to keys in files."""
    shutil.rmtree(tmp_path / "keys")
    with using(SoftToken(tmp_path / "hsm")) as token:
        create_keys(tmp_path, token.element())
        path = car()
        done = run("run", "--config", path, env=token.environment())
        assert (done.returncode, "this vehicle's keys are in a token; name it" in done.stderr) == (1, True)
        with path.open("a") as file:
            file.write(f'[vehicle.token]\nmodule = "{MODULE}"\nlabel = "car-1"\npin_file = "hsm/pin"\n')
        done = run("run", "--config", path, env=token.environment())
        assert done.returncode == 0, done.stderr
        token.take_out()
        done = run("run", "--config", path, env=token.environment())
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert "there is no token of this name" in done.stderr
    segments = [
        (one.name, read_segment(one.read_bytes())) for one in segment_paths(tmp_path / "data" / "ledger")
    ]
    public_key = VehicleDir(tmp_path).device_token.read_bytes()
    assert not examine(segments, {key_id_of(public_key): public_key}).findings, "the token signed the ledger"


def test_an_agent_hands_its_ledger_over_to_a_rotated_key(car: Start, tmp_path: Path) -> None:
    path, first = car(), KeyFiles(tmp_path)
    assert run("run", "--config", path).returncode == 0
    devices = DeviceKeys(VehicleDir(tmp_path), None)
    devices.begin(7)
    assert run("run", "--config", path).returncode == 0
    devices.commit()
    assert run("run", "--config", path).returncode == 0
    segments = [
        (one.name, read_segment(one.read_bytes())) for one in segment_paths(tmp_path / "data" / "ledger")
    ]
    found = examine(segments, {first.device_key_id(): first.device_public_key()})
    assert not found.findings
    assert [type(one.entry.fact) for one in found.records].count(KeyRotated) == 1
