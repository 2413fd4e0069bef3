"""What a vehicle tells its region of a firing: kept once, answered each time, shown, and removed when it is over."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.records.firing import ToldFiring
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.trust.registration import BELIEVE_NS
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.firing import About, encode_firing
from fsd_agent.wire.firing_ack import verify_firing_ack
from fsd_agent.wire.moments import DAY_NS
from fsd_agent.wire.policy import decode_policy
from fsd_agent.wire.transfer import Topics
from fsd_tools.main import main
from fsd_tools.region.firings import FiringStore
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.receiver import Receiver
from fsd_tools.region.retention import Keeper

NOW_NS = 1_780_000_000_000_000_000
ONE, OTHER = "1" * 32, "2" * 32
TOLD = ToldFiring(
    campaign_id="walker",
    campaign_version=3,
    purpose=Purpose.SAFETY,
    t_ns=5,
    wall_ns=NOW_NS,
    clip_id="ab" * 16,
    drop=None,
    evidence=(("Vehicle.Speed", 8.5),),
    left_out=0,
    registration_serial=1,
    policy_version=1,
)


@dataclass
class Yard:
    """A region on disk with one enrolled vehicle."""

    region: RegionDir
    keys: KeyFiles
    now_ns: int = NOW_NS
    told: list[tuple[str, dict[str, str | int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.policy = decode_policy(self.region.policy.read_bytes(), "policy")
        self.topics = Topics("cn", "car-1")
        self.start()

    def start(self) -> None:
        self.receiver = Receiver(
            self.region,
            wall_ns=lambda: self.now_ns,
            on_event=lambda name, fields: self.told.append((name, fields)),
        )

    def message(self, firing: str = ONE, told: ToldFiring = TOLD, vehicle: str = "car-1") -> bytes:
        return encode_firing(
            told,
            About("cn", vehicle, firing),
            to=self.policy.sealing_keys[0],
            sign=self.keys.sign,
            device_key_id=self.keys.device_key_id(),
        )

    def tell(self, firing: str = ONE, told: ToldFiring = TOLD) -> bool:
        """Whether it was acknowledged."""
        answers = self.receiver.handle(self.topics.firing(firing), self.message(firing, told))
        for topic, payload in answers:
            assert topic == self.topics.firing_ack
            keys = self.policy.receipt_public_keys
            assert verify_firing_ack(payload, keys, region_id="cn", vehicle="car-1") == firing
        return bool(answers)

    def kept(self) -> dict[str, ToldFiring]:
        return {one.firing: one.told for one in FiringStore(self.region.firings).of("car-1")}


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    assert main(["region", "init", str(tmp_path / "cn"), "--id", "cn", "--jurisdiction", "CN"]) == 0
    argv = ["vehicle", "enrol", str(tmp_path / "cn"), "--vehicle", "car-1", "-o", str(tmp_path / "car")]
    assert main(argv) == 0
    return Yard(RegionDir(tmp_path / "cn"), KeyFiles(tmp_path / "car"))


def test_a_firing_is_kept_once_and_acknowledged_each_time(yard: Yard) -> None:
    assert yard.tell()
    path = yard.region.firings / "car-1" / f"{ONE}.json"
    before = path.read_bytes()
    yard.start()
    yard.now_ns += 1
    assert yard.tell()
    assert path.read_bytes() == before
    assert yard.kept() == {ONE: TOLD}
    what = {"vehicle": "car-1", "firing": ONE, "campaign": "walker", "clip": "ab" * 16, "reason": ""}
    assert yard.told == [("firing", what)]


def test_it_is_durable_before_the_answer(yard: Yard) -> None:
    yard.region.firings.write_bytes(b"in the way")
    assert not yard.tell()
    assert [name for name, _ in yard.told] == ["held"]
    yard.region.firings.unlink()
    assert yard.tell()


@pytest.mark.parametrize("bad", ["damaged", "another firing", "another vehicle", "another key", "nonsense"])
def test_what_is_not_the_vehicles_word_about_this_firing_is_nothing(yard: Yard, bad: str) -> None:
    message = yard.message()
    stranger = replace(yard, keys=MemoryVehicleKeys("stranger"))  # type: ignore[arg-type]
    payload = {
        "damaged": message[:-1] + bytes([message[-1] ^ 1]),
        "another firing": yard.message(OTHER),
        "another vehicle": yard.message(vehicle="car-2"),
        "another key": stranger.message(),
        "nonsense": b"\xc1",
    }[bad]
    assert yard.receiver.handle(yard.topics.firing(ONE), payload) == []
    assert yard.kept() == {}
    assert [name for name, _ in yard.told] == ["held" if bad == "another key" else "ignored"]


def test_a_vehicle_that_nobody_knows_gets_no_disk(yard: Yard) -> None:
    topic = Topics("cn", "car-2").firing(ONE)
    assert yard.receiver.handle(topic, yard.message(vehicle="car-2")) == []
    assert not yard.region.firings.exists()


@pytest.mark.parametrize("firing", ["..", "a/b", "A" * 32, "1" * 31, ""])
def test_a_firing_id_that_is_none_is_no_firing(yard: Yard, firing: str) -> None:
    assert yard.receiver.handle(yard.topics.firing(firing), yard.message()) == []
    assert [name for name, _ in yard.told] == ["ignored"]
    assert not yard.region.firings.exists()


def test_the_catalogue_of_a_vehicle_has_its_firings(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    yard.tell(
        OTHER, replace(TOLD, wall_ns=NOW_NS + 1, clip_id=None, drop=DropReason.SAMPLED_OUT, evidence=())
    )
    yard.tell(ONE)
    capsys.readouterr()
    assert main(["region", "data", str(yard.region.root), "--vehicle", "car-1", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [one["firing"] for one in answer["firings"]] == [ONE, OTHER], "the oldest first"
    assert answer["firings"][0] == {
        "firing": ONE,
        "campaign": "walker",
        "version": 3,
        "purpose": "safety",
        "wall_ns": NOW_NS,
        "stored_wall_ns": NOW_NS,
        "clip": "ab" * 16,
        "reason": "",
        "evidence": [["Vehicle.Speed", 8.5]],
    }
    assert main(["region", "data", str(yard.region.root), "--vehicle", "car-1"]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"firing {ONE} 2026-05-28")
    assert first.endswith(f"walker v3 for safety; clip {'ab' * 16}; saw Vehicle.Speed 8.5")
    assert second.endswith("no clip: the campaign keeps a sample, and this was not in it")
    assert last.endswith("0 are over, and was told of 2 firings")


def test_a_damaged_file_is_named(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    yard.tell()
    path = yard.region.firings / "car-1" / f"{ONE}.json"
    path.write_bytes(b"{")
    assert main(["region", "data", str(yard.region.root), "--vehicle", "car-1"]) == 1
    assert str(path) in capsys.readouterr().err


def test_what_is_over_goes_while_the_region_is_served(yard: Yard) -> None:
    yard.tell(ONE)
    yard.now_ns += 10 * DAY_NS
    yard.tell(OTHER)
    days = yard.policy.retention_days
    clock = ManualClock(wall_ns=NOW_NS + (days + 1) * DAY_NS)
    keeper = Keeper(yard.region, lambda *_: None, wall_ns=clock.wall_ns, monotonic_ns=clock.monotonic_ns)
    keeper.step()
    clock.advance(BELIEVE_NS + 1)
    for _ in range(3):
        keeper.step()
    assert list(yard.kept()) == [OTHER]


def test_the_command_says_what_would_go(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    yard.now_ns = 1
    yard.tell(ONE)
    capsys.readouterr()
    assert main(["region", "retention", str(yard.region.root), "--dry-run"]) == 0
    assert "1 firings that vehicles told of would go, 0 stay" in capsys.readouterr().out
    assert list(yard.kept()) == [ONE]
    assert main(["region", "retention", str(yard.region.root)]) == 0
    assert yard.kept() == {}
