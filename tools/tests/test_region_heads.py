"""From the ledger's head in a status to the region's file and back as an acknowledgement, and what a broken line leaves."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.adapters.key_files import KeyFiles, read_private
from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.pipeline.heads import Heads
from fsd_agent.ports.broker import Message
from fsd_agent.records.region import Route
from fsd_agent.records.status import ProcessUse, Status
from fsd_agent.rules.audit.writer import LedgerLimits
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.decisions import Decisions
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.regions import SampleRegion, sample_registration
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.head_ack import encode_head_ack, verify_head_ack
from fsd_agent.wire.ledger import decode_head, sign_value
from fsd_agent.wire.policy import decode_policy
from fsd_agent.wire.status import encode_status
from fsd_agent.wire.transfer import Topics
from fsd_agent.wire.verdict import VerdictError
from fsd_tools.main import main
from fsd_tools.region.heads import BREAKS_MAX
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.receiver import Receiver

LIMITS = LedgerLimits(segment_bytes=2000, keep_bytes=6000, most_bytes=60_000)
SECOND = 1_000_000_000


class Yard:
    """A region on disk, an enrolled vehicle with a ledger, and the region's receiver."""

    def __init__(self, root: Path) -> None:
        self.region, self.car = RegionDir(root / "cn"), root / "car"
        assert main(["region", "init", str(self.region.root), "--id", "cn", "--jurisdiction", "CN"]) == 0
        argv = ["vehicle", "enrol", str(self.region.root), "--vehicle", "car-1", "-o", str(self.car)]
        assert main(argv) == 0
        policy = decode_policy(self.region.policy.read_bytes(), "policy")
        self.route = Route(sample_registration("car-1"), policy)
        self.topics = Topics("cn", "car-1")
        self.receipt_key = read_private(self.region.receipt_key, 32)
        self.do = Decisions(SampleRegion(policy, b"", self.receipt_key, b""))
        self.keys, self.clock, self.events = KeyFiles(self.car), ManualClock(), RememberedEvents()
        self.told: list[tuple[str, dict[str, str | int]]] = []
        self.receiver = Receiver(self.region, on_event=lambda name, fields: self.told.append((name, fields)))
        self.open()

    def open(self) -> None:
        self.ledger = LedgerFiles(
            self.car / "ledger", keys=self.keys, clock=self.clock, events=self.events, limits=LIMITS
        )
        self.heads = Heads(self.ledger, self.events)

    def begin_anew(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.car / "ledger")
        self.clock.advance(SECOND)
        self.open()

    def status(self, head: bytes, vehicle: str = "car-1") -> list[tuple[str, bytes]]:
        use = ProcessUse(0.0, 0, 1)
        one = Status(vehicle, "cn", 1, 1, 0, "0", 0, (), {}, "", "", {}, {}, use, "", head)
        return self.receiver.handle(Topics("cn", vehicle).status, encode_status(one))

    def tell(self) -> None:
        """A status, and what comes back."""
        self.clock.advance(SECOND)
        for topic, payload in self.status(self.heads.tell()):
            assert topic == self.topics.head_ack
            assert self.heads.heard(self.route, Message(topic, payload, retained=False))

    def kept(self) -> list[str]:
        return sorted(path.name for path in self.region.heads.glob("*"))

    def verify(self, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = main(
            ["audit", "verify", str(self.car / "ledger"), "--receipts", str(self.region.root), "--json"]
        )
        return code, [one["kind"] for one in json.loads(capsys.readouterr().out)["findings"]]


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def test_a_head_is_kept_acknowledged_and_lets_old_records_go(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(120):
        yard.ledger.append(yard.do.firing_dropped(number))
    yard.tell()
    size = yard.heads.acknowledged
    assert size == 121
    assert yard.kept() == ["car-1.head"]
    assert decode_head((yard.region.heads / "car-1.head").read_bytes()).value.size == size
    files = len(segment_paths(yard.car / "ledger"))
    yard.tell()
    assert len(segment_paths(yard.car / "ledger")) < files
    assert yard.verify(capsys) == (0, [])
    assert not yard.told


def test_without_an_acknowledgement_nothing_goes_before_it_must(yard: Yard) -> None:
    for number in range(120):
        yard.ledger.append(yard.do.firing_dropped(number))
    files = len(segment_paths(yard.car / "ledger"))
    yard.heads.tell()
    yard.heads.tell()
    assert len(segment_paths(yard.car / "ledger")) == files


def test_a_ledger_begun_anew_is_told_and_found(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    yard.ledger.append(yard.do.registered(), yard.do.registered())
    yard.tell()
    yard.begin_anew()
    yard.tell()
    assert yard.told == [("ledger_break", {"vehicle": "car-1", "size": 1, "taken": "break"})]
    assert yard.kept() == ["car-1.3.head", "car-1.head"]
    assert yard.heads.acknowledged == 1
    code, kinds = yard.verify(capsys)
    assert (code, set(kinds)) == (1, {"not_as_told"})
    for again in range(BREAKS_MAX + 3):
        yard.ledger.append(*(yard.do.registered() for _ in range(again + 2)))
        yard.tell()
        yard.begin_anew()
        yard.tell()
    assert yard.told[-1][1]["taken"] == "too_many_breaks"
    assert len(yard.kept()) <= BREAKS_MAX + 1


def test_a_late_head_changes_nothing(yard: Yard) -> None:
    early = yard.heads.tell()
    yard.ledger.append(yard.do.registered())
    yard.tell()
    assert yard.status(early) == []
    assert not yard.told
    assert decode_head((yard.region.heads / "car-1.head").read_bytes()).value.size == 2


def test_a_head_that_is_not_the_vehicle_s_is_not_kept(yard: Yard) -> None:
    head = decode_head(yard.heads.tell())
    forged = sign_value(head.value, MemoryVehicleKeys("forger").sign)
    assert yard.status(forged.encode()) == []
    assert yard.status(replace(head, value=replace(head.value, size=9)).encode()) == []
    assert yard.status(b"nonsense") == []
    assert yard.status(head.encode(), vehicle="car-2") == []
    assert yard.receiver.handle(yard.topics.status, b"nonsense") == []
    assert [name for name, _ in yard.told] == ["ignored", "ignored", "ignored", "held", "ignored"]
    assert yard.kept() == []
    assert yard.status(b"") == []


def test_an_acknowledgement_of_something_else_changes_nothing(yard: Yard) -> None:
    head = decode_head(yard.heads.tell()).value
    right = {"region_id": "cn", "vehicle": "car-1", "size": head.size, "root": head.root}
    for change in (
        {"region_id": "eu"},
        {"vehicle": "car-2"},
        {"size": head.size + 1},
        {"root": bytes(32)},
        {"private_key": bytes(32)},
    ):
        ack = encode_head_ack(**({"private_key": yard.receipt_key} | right | change))  # type: ignore[arg-type]
        assert yard.heads.heard(yard.route, Message(yard.topics.head_ack, ack, retained=False))
        assert yard.heads.acknowledged == 0
    assert not yard.heads.heard(yard.route, Message(yard.topics.campaigns, b"", retained=True))
    ack = encode_head_ack(private_key=yard.receipt_key, **right)  # type: ignore[arg-type]
    assert yard.heads.heard(yard.route, Message(yard.topics.head_ack, ack, retained=False))
    assert yard.heads.acknowledged == head.size


@given(st.binary(max_size=1200))
def test_bytes_that_are_no_acknowledgement_are_refused(data: bytes) -> None:
    with pytest.raises(VerdictError):
        verify_head_ack(data, (bytes(32),), region_id="cn", vehicle="car-1", told={})
