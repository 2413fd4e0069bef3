"""What the agent writes down on the vehicle: whole, also on hold, and never in the way of anything."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fsd_agent.adapters.process_use import process_use
from fsd_agent.adapters.status_file import STATUS_FILE, StatusFile, boot_id, read_status
from fsd_agent.pipeline.faults import FaultLog
from fsd_agent.pipeline.holds import Holds
from fsd_agent.pipeline.tell_locally import LocalTeller
from fsd_agent.pipeline.video_work import WhenParked
from fsd_agent.ports.local_status import StatusStore, StatusStoreError
from fsd_agent.records.delivery import BytesSent
from fsd_agent.records.local_status import LocalStatus
from fsd_agent.records.region import Hold, HoldReason, Route
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.local_status import MemoryStatusStore
from fsd_agent.testing.regions import sample_region
from fsd_agent.testing.unlimited import AlwaysOn
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.ledger import decode_head
from fsd_agent.wire.local_status import (
    MAX_BYTES,
    LocalStatusError,
    decode_local_status,
    encode_local_status,
)

S = 1_000_000_000
CN = sample_region("cn")


class Bench:
    def __init__(self, store: StatusStore | None = None) -> None:
        self.store: Any = store or MemoryStatusStore()
        self.clock, self.events = ManualClock(monotonic_ns=5), RememberedEvents()
        self.ledger = MemoryLedger(keys=MemoryVehicleKeys(), clock=self.clock)
        self.where: Route | Hold = CN.route()
        self.stats = SimpleNamespace(
            region_id="cn", connected=False, connections=0, connection_failures=2, brokers_refused=1,
            delivered_clips=3, waits={"roaming": 2},
            sent=(BytesSent("cn", "h", 1, 2, 7), BytesSent("eu", "h", 1, 3, 8)),
        )  # fmt: skip
        self.journal = MemoryJournal()
        self.faults = FaultLog(self.events, self.clock)
        self.video = WhenParked(AlwaysOn(), self.events)
        self.teller = LocalTeller(
            store=self.store,
            known=cast("Any", self),
            holds=Holds(MemoryJournal(), self.clock, self.events),
            journal=self.journal,
            ledger=self.ledger,
            stats=lambda: cast("Any", self.stats),
            trouble=lambda: "broker: refused",
            use=process_use,
            clock=self.clock,
            boot_id="boot",
            every_s=5.0,
            faults=self.faults.all,
            models=("nanodet@1",),
            events=self.events,
            video=self.video,
        )

    @property
    def current(self) -> Route | Hold:
        return self.where

    policies = (CN.policy,)

    @property
    def refused_policies(self) -> dict[str, str]:
        return {"eu": "eu.signed: torn"}

    def tell(self, ended: str = "") -> LocalStatus:
        self.teller.tell(ended)
        found = self.store.newest()
        assert found is not None
        return cast("LocalStatus", found)


def test_a_route_and_everything_about_it() -> None:
    bench = Bench()
    told = bench.tell()
    assert (told.belongs.region, told.belongs.serial, told.belongs.hold_reason) == ("cn", 1, "")
    assert (told.wall_ns, told.mono_ns, told.boot_id, told.every_s) == (bench.clock.wall_ns(), 5, "boot", 5.0)
    assert told.policies == {"cn": 1}
    assert told.refused_policies == {"eu": "eu.signed: torn"}
    assert (told.uplink.failures, told.uplink.refused, told.uplink.delivered_clips) == (2, 1, 3)
    assert told.uplink.waits == {"roaming": 2}
    assert told.trouble == "broker: refused"
    assert told.until_parked
    assert decode_head(told.ledger_head).value.size == 0
    assert told.ended == ""
    assert bench.tell("stopped").ended == "stopped"


def test_a_hold_says_which_and_for_how_long() -> None:
    bench = Bench()
    bench.where = Hold(HoldReason.REGISTRATION_EXPIRED, "not_after: over")
    bench.tell()
    bench.clock.advance(60 * S)
    told = bench.tell()
    assert (told.belongs.region, told.belongs.hold_reason, told.belongs.hold_detail) == (
        "", "registration_expired", "not_after: over",
    )  # fmt: skip
    assert [(one.reason, one.held_ns, one.until_wall_ns) for one in told.holds] == [
        ("registration_expired", 60 * S, 0)
    ]


def test_when_it_was_last_connected_is_known_also_after_a_restart() -> None:
    bench = Bench()
    assert bench.tell().uplink.last_connected_wall_ns == 0
    bench.stats.connected, bench.stats.connections = True, 1
    up_ns = bench.clock.wall_ns()
    assert bench.tell().uplink.last_connected_wall_ns == up_ns
    bench.stats.connected = False
    bench.clock.advance(60 * S)
    assert bench.tell().uplink.last_connected_wall_ns == up_ns
    bench.stats.connections = 2
    short_ns = bench.clock.wall_ns()
    assert bench.tell().uplink.last_connected_wall_ns == short_ns, "up and down between two looks"
    again = Bench(bench.store)
    again.clock.advance(600 * S)
    assert again.tell().uplink.last_connected_wall_ns == short_ns


def test_what_can_not_be_written_is_told_once_and_a_ledger_that_fails_has_no_head() -> None:
    bench = Bench()
    bench.store.full = True
    bench.teller.tell()
    bench.teller.tell()
    assert len(bench.events.of("disk_failed")) == 1
    bench.store.full = False
    bench.ledger.broken = True
    assert bench.tell().ledger_head == b""


def test_the_file_is_whole_private_and_replaced(tmp_path: Path) -> None:
    bench = Bench(StatusFile(tmp_path / STATUS_FILE))
    (tmp_path / f".{STATUS_FILE}.new").write_bytes(b"left by a kill" * 9999)
    first = bench.tell()
    bench.clock.advance(S)
    assert bench.tell().wall_ns == first.wall_ns + S == read_status(tmp_path / STATUS_FILE).wall_ns
    assert [path.name for path in tmp_path.iterdir()] == [STATUS_FILE]
    assert (tmp_path / STATUS_FILE).stat().st_mode & 0o777 == 0o600
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_a_file_that_can_not_be_written_or_read(tmp_path: Path) -> None:
    status = Bench().tell()
    gone = StatusFile(tmp_path / "no" / STATUS_FILE)
    with pytest.raises(StatusStoreError, match=r"status\.json: No such file"):
        gone.put(status)
    assert gone.newest() is None
    (tmp_path / "target").write_text("not ours")
    (tmp_path / f".{STATUS_FILE}.new").symlink_to(tmp_path / "target")
    with pytest.raises(StatusStoreError):
        StatusFile(tmp_path / STATUS_FILE).put(status)
    assert (tmp_path / "target").read_text() == "not ours"
    (tmp_path / STATUS_FILE).write_text("{}")
    assert StatusFile(tmp_path / STATUS_FILE).newest() is None


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data.replace(b'{"v":1', b'{"v":2'), r"\$\.v"),
        (lambda data: data.replace(b'"mono_ns":', b'"mono":'), "mono_ns"),
        (lambda data: data.replace(b'"none"', b'"n\xff"'), "utf-8"),
        (lambda data: bytes(MAX_BYTES + 1), "more than"),
    ],
)
def test_it_goes_round_and_bad_bytes_are_refused(spoil: Any, says: str) -> None:
    bench = Bench()
    bench.where = Hold(HoldReason.NO_REGISTRATION, "none")
    status = bench.tell()
    data = encode_local_status(status)
    assert decode_local_status(data) == status
    with pytest.raises(LocalStatusError, match=says):
        decode_local_status(spoil(data))
