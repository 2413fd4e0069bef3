"""Rotating a device key with clips on board: sealed before, delivered after, and the audit of it all holds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fsd_agent.adapters.key_files import KeyFiles, VehicleDir, own_key_ids
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.adapters.trust_files import TrustFiles
from fsd_agent.pipeline.residence import Residence
from fsd_agent.records.ledger import Cause, ConsentChanged, Copy, Receipted
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import Route
from fsd_agent.records.status import ProcessUse, Status
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.decisions import Decisions, clip_id_of
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.regions import SampleRegion
from fsd_agent.testing.sealed import sealed_sample
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.status import encode_status
from fsd_agent.wire.transfer import Fin, Init, Topics, encode
from fsd_tools.main import main
from fsd_tools.region.enrolled import FORMER_DAYS, AcceptedKeys, load_enrolled
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy
from fsd_tools.region.receiver import Receiver
from fsd_tools.vehicle.rotate import rotation_state

DAY_NS = 86_400 * 10**9
SEGMENT = 65_536


class Trip:
    """A region, a registrar, and a vehicle that is driven step by step."""

    def __init__(self, root: Path) -> None:
        self.root, self.car = root, root / "car"
        self.region = RegionDir(root / "cn")
        self.do_main("region", "init", "./cn", "--id", "cn", "--jurisdiction", "CN")
        self.do_main("registry", "init", "./registry")
        self.do_main("vehicle", "enrol", "./cn", "--vehicle", "car-1", "-o", "./car")
        self.register()
        self.journal, self.clock = MemoryJournal(), SystemClock()
        self.files: dict[str, bytes] = {}
        self.held: list[str] = []
        self.later_ns = 0
        self.receiver = Receiver(
            self.region, wall_ns=lambda: self.clock.wall_ns() + self.later_ns, on_event=self._told
        )

    def do_main(self, *argv: str, code: int = 0) -> None:
        full = [str(self.root / one[2:]) if one.startswith("./") else one for one in argv]
        assert main(full) == code

    def register(self) -> None:
        argv = ["vehicle", "register", "./car", "--registry", "./registry", "--vehicle", "car-1"]
        self.do_main(*argv, "--jurisdiction", "CN")

    def _told(self, name: str, fields: dict[str, str | int]) -> None:
        if name in {"held", "refused", "ledger_break"}:
            self.held.append(f"{name} {fields.get('reason', '')}")

    @property
    def keys(self) -> KeyFiles:
        """As an agent that starts now reads them."""
        return KeyFiles(self.car)

    def where(self) -> Route:
        """Where the vehicle belongs: never a hold in these tests."""
        where = Residence(
            VehicleDir(self.car).registration.read_bytes,
            TrustFiles(self.car),
            device_key_ids=lambda: own_key_ids(self.car),
            journal=self.journal,
            clock=self.clock,
            events=RememberedEvents(),
        ).current
        assert isinstance(where, Route), where
        return where

    def ledger(self) -> LedgerFiles:
        return LedgerFiles(
            self.car / "ledger", keys=self.keys, clock=ManualClock(), events=RememberedEvents()
        )

    def decisions(self) -> Decisions:
        return Decisions(SampleRegion(load_policy(self.region), b"", b"", b""))

    def seal(self, number: int) -> str:
        """Collect, redact and seal a clip; an agent's start and end around it."""
        clip, do = clip_id_of(number), self.decisions()
        self.files[clip] = sealed_sample(self.where(), self.keys, clip)
        digest, size = hashlib.sha256(self.files[clip]).digest(), len(self.files[clip])
        ledger = self.ledger()
        if number == 1:
            ledger.append(ConsentChanged(Purpose.SAFETY, given=True))
        ledger.append(do.registered(), do.fired(clip), do.redacted(clip))
        ledger.append(replace(do.sealed(clip), sha256=digest, size_bytes=size))
        ledger.append(do.erased(clip, Copy.STAGED, Cause.SEALED))
        ledger.close()
        return clip

    def send(self, clip: str) -> bytes | None:
        """Every byte to the receiver; its receipt, if it gives one."""
        data, topics = self.files[clip], Topics("cn", "car-1")
        common = {
            "ask": 7,
            "size": len(data),
            "sha256": hashlib.sha256(data).digest(),
            "segment_bytes": SEGMENT,
        }
        self.receiver.handle(topics.init(clip), encode(Init(v=1, **common)))  # type: ignore[arg-type]
        for offset in range(0, len(data), SEGMENT):
            part = data[offset : offset + SEGMENT]
            self.receiver.handle(topics.segment(clip, offset, hashlib.sha256(part).digest()), part)
        answers = self.receiver.handle(topics.fin(clip), encode(Fin(v=1, **common)))  # type: ignore[arg-type]
        return answers[0][1] if answers and "/receipt/" in answers[0][0] else None

    def deliver(self, clip: str) -> None:
        receipt = self.send(clip)
        assert receipt is not None, self.held
        do, ledger = self.decisions(), self.ledger()
        ledger.append(
            do.sent(clip), Receipted(clip, "cn", receipt), do.erased(clip, Copy.SEALED, Cause.RECEIPTED)
        )
        ledger.close()

    def tell_head(self) -> bool:
        """Tell the receiver the ledger's head; whether it is acknowledged."""
        ledger = self.ledger()
        head = ledger.head()
        ledger.close()
        said = Status(
            "car-1", "cn", 1, 1, 0, "0", 0, (), {}, "", "", {}, {}, ProcessUse(0.0, 0, 0), "", head.encode()
        )
        topics = Topics("cn", "car-1")
        return [topic for topic, _ in self.receiver.handle(topics.status, encode_status(said))] == [
            topics.head_ack
        ]

    def audit(self, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, object]]:
        capsys.readouterr()
        argv = ["audit", "verify", str(self.car / "ledger"), "--receipts", str(self.region.root), "--json"]
        code = main([*argv, *more])
        return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def trip(tmp_path: Path) -> Trip:
    return Trip(tmp_path)


@pytest.mark.parametrize("registered", ["before", "after", "never"])
def test_sealed_before_delivered_after_and_the_audit_holds(
    trip: Trip, capsys: pytest.CaptureFixture[str], registered: str
) -> None:
    """Whenever the new document comes, the vehicle holds at no step."""
    first, second, third = trip.seal(1), trip.seal(2), trip.seal(3)
    old = trip.keys.device_key_id()
    trip.deliver(first)
    trip.do_main("vehicle", "rotate", "./car", "--region", "./cn")
    trip.where()
    trip.deliver(second)  # the vehicle goes on with the key that it has
    if registered == "before":
        trip.register()
        trip.where()
    trip.do_main("vehicle", "rotate", "./car", "--finish")
    new = trip.keys.device_key_id()
    assert new != old
    trip.where()
    if registered == "after":
        trip.register()
    assert trip.where().registration.device_key_id == (old if registered == "never" else new)
    trip.deliver(third)
    trip.deliver(trip.seal(4))
    assert not trip.held
    code, said = trip.audit(capsys)
    assert (code, said["findings"]) == (0, [])
    assert len(said["clips"]) == 4  # type: ignore[arg-type]
    known = load_enrolled(trip.region.vehicle("car-1"))
    assert known is not None
    assert (key_id_of(known.device_key), [key_id_of(one.key) for one in known.former]) == (new, [old])


def test_a_region_that_was_not_told_stops_the_switch_and_not_the_vehicle(
    trip: Trip, capsys: pytest.CaptureFixture[str]
) -> None:
    trip.do_main("vehicle", "rotate", "./car")
    state = rotation_state(trip.car, None)
    assert (state.told, state.not_told) == ((), ("cn",))
    old = trip.keys.device_key_id()
    trip.do_main("vehicle", "rotate", "./car", "--finish", code=1)
    assert "not told of device key" in capsys.readouterr().err
    assert trip.keys.device_key_id() == old
    trip.do_main("vehicle", "rotate", "./car", "--finish", "--anyway")
    clip = trip.seal(1)
    assert trip.send(clip) is None
    assert "not the enrolled one" in trip.held[-1]
    trip.do_main(
        "vehicle", "enrol", "./cn", "--renew", "-o", "./car"
    )  # with the statement, it is told after all
    trip.deliver(clip)
    assert trip.audit(capsys)[0] == 0


def test_by_request_and_answer_and_again_after_every_step(trip: Trip) -> None:
    """Each step twice, as after a power cut."""
    request, answer = str(trip.root / "r"), str(trip.root / "a")
    for _ in range(2):
        trip.do_main("vehicle", "rotate", "./car")
    for _ in range(2):
        trip.do_main("vehicle", "request", "./car", "--region", "cn", "-o", request)
        trip.do_main("region", "enrol", "./cn", request, "-o", answer)
    for _ in range(2):
        trip.do_main("vehicle", "accept", "./car", answer)
    state = rotation_state(trip.car, None)
    assert state.not_told == ()
    for _ in range(2):
        trip.do_main("vehicle", "rotate", "./car", "--finish")
    assert rotation_state(trip.car, None) == replace(state, device_key_id=state.next_key_id, next_key_id="")


def test_a_former_key_counts_for_a_time(trip: Trip) -> None:
    first, second = trip.seal(1), trip.seal(2)
    old = trip.keys.device_key_id()
    trip.do_main("vehicle", "rotate", "./car", "--region", "./cn", "--finish")
    accepted = AcceptedKeys(trip.region, lambda: trip.clock.wall_ns() + trip.later_ns)
    trip.later_ns = (FORMER_DAYS - 1) * DAY_NS
    assert set(accepted("car-1")) == {old, trip.keys.device_key_id()}
    trip.deliver(first)
    trip.later_ns = (FORMER_DAYS + 1) * DAY_NS
    assert set(accepted("car-1")) == {trip.keys.device_key_id()}
    assert trip.send(second) is None, "held, not refused: nothing is lost"
    assert f"signed by device key {old}" in trip.held[-1]
    assert "`until`" in trip.held[-1]
    trip.later_ns = 0
    trip.deliver(second)


def test_another_device_can_not_take_the_name(trip: Trip, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor a former key take it back."""
    request, late = str(trip.root / "other"), str(trip.root / "late")
    trip.do_main("vehicle", "request", "./car", "--region", "cn", "-o", late)
    trip.do_main("vehicle", "rotate", "./car", "--region", "./cn", "--finish")
    assert (
        main(
            [
                "vehicle",
                "request",
                str(trip.root / "b"),
                "--region",
                "cn",
                "--vehicle",
                "car-1",
                "-o",
                request,
            ]
        )
        == 0
    )
    for path in (request, late):
        trip.do_main("region", "enrol", "./cn", path, "-o", str(trip.root / "a"), code=1)
        assert "no statement leads from that key to this one" in capsys.readouterr().err


def test_the_head_of_either_key_is_kept_and_the_ledgers_record_says_which_signs(trip: Trip) -> None:
    assert trip.tell_head()
    trip.do_main("vehicle", "rotate", "./car", "--region", "./cn", "--finish")
    assert trip.tell_head()
    assert not trip.held
