"""Which document the vehicle goes by, what is kept of it, and until when a time that was believed counts."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.pipeline.registrar import Registrar
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.records.region import HoldReason, Registration
from fsd_agent.rules.trust.registration import BELIEVE_NS
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.regions import END_WALL_NS, sample_document, sample_registration
from fsd_agent.testing.trust import MemoryTrust
from fsd_agent.wire.envelope import public_key_of
from fsd_agent.wire.floors import RegistrationFloor, digest_of, encode_registration_floor
from fsd_agent.wire.registration import RegistrationError, encode_registration
from fsd_firmware.contract import FirmwareError

T = TypeVar("T")
T0 = 1_700_000_000_000_000_000
DAY = 86_400_000_000_000
FIRST, SECOND = sample_registration(), sample_registration(serial=2)
DOCUMENTS = {one.serial: sample_document(one) for one in (FIRST, SECOND)}


class Bench:
    """A registrar, over any number of restarts."""

    def __init__(self) -> None:
        self.document: bytes | Exception | None = DOCUMENTS[1]
        self.keys: set[str] | Exception = {FIRST.device_key_id}
        self.trust, self.journal, self.clock = MemoryTrust(), MemoryJournal(), ManualClock(wall_ns=T0)
        self.restart()

    def restart(self) -> None:
        self.registrar = Registrar(
            lambda: _or_raise(self.document),
            self.trust,
            device_key_ids=lambda: _or_raise(self.keys),
            journal=self.journal,
            clock=self.clock,
        )

    def look(self, proved_ns: int = 0) -> Registration | tuple[HoldReason, str] | None:
        found = self.registrar.look(proved_ns)
        return (found.reason, str(found)) if isinstance(found, RegistrationError) else found

    def believe(self) -> int:
        """Let the clock go on until what it shows now is believed; that time."""
        self.registrar.look(0)
        self.clock.advance(BELIEVE_NS)
        self.registrar.look(0)
        then_ns = self.clock.wall_ns()
        self.clock.advance(BELIEVE_NS)
        return then_ns

    def keep(self, registration: Registration, clock_ns: int) -> bytes:
        floor = RegistrationFloor(registration.serial, digest_of(encode_registration(registration)), clock_ns)
        return encode_registration_floor(floor)


def _or_raise(value: T | Exception) -> T:
    if isinstance(value, Exception):
        raise value
    return value


def test_what_is_accepted_is_kept_before_it_is_said_and_only_once() -> None:
    bench = Bench()
    assert [bench.look(), bench.look()] == [FIRST, FIRST]
    assert bench.journal.state == {"registration": bench.keep(FIRST, 0)}
    assert bench.journal.state_writes == ["registration"], "a write each second would wear the disk out"
    bench.restart()
    assert bench.look() == FIRST
    assert bench.journal.state_writes == ["registration"]
    bench.document = DOCUMENTS[2]
    assert bench.look() == SECOND
    assert bench.journal.state == {"registration": bench.keep(SECOND, 0)}


def test_without_a_document_there_is_none_and_nothing_is_kept() -> None:
    bench = Bench()
    bench.document = None
    assert bench.look() is None
    assert bench.journal.state == {}
    bench.trust.keys = ()
    bench.journal.broken = True
    assert bench.look() is None, "whatever else is wrong"


@pytest.mark.parametrize(
    ("document", "keys", "reason", "says"),
    [
        (
            FirmwareError("registration.signed: can't be read"),
            {FIRST.device_key_id},
            HoldReason.BAD_REGISTRATION,
            "registration.signed: can't be read",
        ),
        (
            sample_document(dataclasses.replace(FIRST, not_after_wall_ns=T0)),
            {FIRST.device_key_id},
            HoldReason.REGISTRATION_EXPIRED,
            "not_after: 2023-11-14T22:13:20Z, it is 2023-11-14",
        ),
        (
            DOCUMENTS[1],
            VehicleKeyError("keys/rotations: can't be read"),
            HoldReason.REGISTRATION_OTHER_VEHICLE,
            "keys/rotations: can't be read",
        ),
        (
            DOCUMENTS[1],
            {"0" * 16},
            HoldReason.REGISTRATION_OTHER_VEHICLE,
            f"device_key_id: {FIRST.device_key_id}, this vehicle's is {'0' * 16}",
        ),
    ],
)
def test_what_can_not_be_gone_by_says_why_and_leaves_nothing(
    document: bytes | Exception, keys: set[str] | Exception, reason: HoldReason, says: str
) -> None:
    bench = Bench()
    bench.document, bench.keys = document, keys
    assert bench.look() == (reason, says)
    assert bench.journal.state == {}
    assert bench.registrar.believed_ns == 0


def test_without_an_authority_nobody_is_believed() -> None:
    bench = Bench()
    bench.trust.keys = ()
    fault = "trust/registration.pub: can't be read: No such file or directory"
    assert bench.look() == (HoldReason.NO_AUTHORITY, fault)


def test_where_nobody_can_say_what_was_accepted_nothing_is() -> None:
    bench = Bench()
    bench.journal.broken = True
    assert bench.look() == (HoldReason.REGISTRATION_NOT_KEPT, "memory journal: can't be read")
    assert bench.registrar.believed_ns == 0
    bench.journal.broken = False
    bench.journal.state["registration"] = b""
    assert bench.look() == (HoldReason.REGISTRATION_NOT_KEPT, "Input data was truncated")
    assert bench.journal.state == {"registration": b""}, "and nothing takes its place"


def test_what_can_not_be_kept_is_not_gone_by() -> None:
    bench = Bench()
    bench.journal.full = True
    assert bench.look() == (HoldReason.REGISTRATION_NOT_KEPT, "memory journal: no space left")
    bench.journal.full = False
    assert bench.look() == FIRST


def test_a_time_that_a_signature_proves_counts() -> None:
    bench = Bench()
    assert bench.look(END_WALL_NS - 1) == FIRST
    over = (HoldReason.REGISTRATION_EXPIRED, "not_after: 2096-10-02T07:06:40Z, it is 2096-10-02")
    assert bench.look(END_WALL_NS) == over
    assert bench.registrar.believed_ns == 0, "by itself it is not what the clock is believed to have reached"


def test_a_document_that_stays_the_same_is_still_measured_by_everything_else_at_each_look() -> None:
    bench, registered = Bench(), dataclasses.replace(FIRST, not_after_wall_ns=T0 + DAY)
    bench.document = sample_document(registered)
    assert bench.look() == bench.look() == registered
    bench.clock.advance(DAY - 1)
    assert bench.look() == registered
    bench.clock.advance(1)
    assert bench.look() == (
        HoldReason.REGISTRATION_EXPIRED,
        "not_after: 2023-11-15T22:13:20Z, it is 2023-11-15",
    )
    bench.clock.jump_wall(-DAY)
    assert bench.look() == registered
    bench.keys = {"0" * 16}
    assert bench.look() != registered
    bench.keys = {FIRST.device_key_id}
    trusted, bench.trust.keys = bench.trust.keys, (public_key_of(bytes(32)),)
    found = bench.look()
    assert isinstance(found, tuple)
    assert found[0] is HoldReason.REGISTRATION_UNKNOWN_KEY
    bench.trust.keys = trusted
    assert bench.look() == registered
    bench.document = DOCUMENTS[2][:-1] + bytes([DOCUMENTS[2][-1] ^ 1])
    found = bench.look()
    assert isinstance(found, tuple)
    assert found[0] is HoldReason.REGISTRATION_BAD_SIGNATURE
    bench.document = DOCUMENTS[2]
    assert bench.look() == SECOND


# What the clock is believed to have reached.


def test_a_time_is_believed_once_the_clock_has_gone_on_from_it_and_outlives_a_restart() -> None:
    bench = Bench()
    bench.look()
    bench.clock.advance(BELIEVE_NS - 1)
    bench.look()
    assert bench.registrar.believed_ns == 0
    bench.clock.advance(1)
    assert bench.look() == FIRST
    assert bench.registrar.believed_ns == T0
    assert bench.journal.state == {"registration": bench.keep(FIRST, T0)}
    assert bench.journal.state_writes == ["registration"] * 2
    bench.restart()
    assert bench.registrar.believed_ns == 0
    bench.look()
    assert bench.registrar.believed_ns == T0


def test_before_any_document_was_accepted_no_time_counts() -> None:
    bench = Bench()
    bench.document = None
    for _ in range(3):
        bench.look()
        bench.clock.advance(BELIEVE_NS)
    assert (bench.registrar.believed_ns, bench.journal.state) == (0, {})
    bench.document = DOCUMENTS[1]
    assert bench.look() == FIRST
    assert bench.registrar.believed_ns == 0


def test_time_passes_also_while_there_is_no_document() -> None:
    bench = Bench()
    bench.look()
    bench.document = None
    then_ns = bench.believe()
    bench.look()
    assert bench.registrar.believed_ns == then_ns
    assert bench.journal.state == {"registration": bench.keep(FIRST, then_ns)}


def test_a_newer_document_is_measured_anew() -> None:
    bench = Bench()
    bench.clock.jump_wall(400 * DAY)
    bench.believe()
    bench.look()
    bench.clock.jump_wall(-400 * DAY)
    bench.document = sample_document(dataclasses.replace(SECOND, not_after_wall_ns=T0 + DAY))
    for _ in range(2):
        assert isinstance(bench.look(), Registration)
        assert bench.registrar.believed_ns == 0


def test_a_newer_document_that_can_not_be_kept_changes_nothing_about_time() -> None:
    bench = Bench()
    then_ns = bench.believe()
    bench.look()
    bench.document, bench.journal.full = DOCUMENTS[2], True
    assert bench.look() == (HoldReason.REGISTRATION_NOT_KEPT, "memory journal: no space left")
    assert bench.registrar.believed_ns == then_ns


@pytest.mark.parametrize("fault", ["full", "broken"])
def test_a_time_that_can_not_be_kept_counts_and_is_kept_as_soon_as_it_can(fault: str) -> None:
    bench = Bench()
    then_ns = bench.believe()
    setattr(bench.journal, fault, True)
    bench.look()
    assert bench.registrar.believed_ns == then_ns
    bench.clock.jump_wall(-400 * DAY)
    bench.look()
    setattr(bench.journal, fault, False)
    assert bench.look() == FIRST
    assert bench.registrar.believed_ns == then_ns
    assert bench.journal.state == {"registration": bench.keep(FIRST, then_ns)}


def test_a_clock_that_stays_set_back_takes_no_time_back() -> None:
    bench = Bench()
    then_ns = bench.believe()
    bench.look()
    bench.clock.jump_wall(-DAY)
    bench.believe()
    bench.look()
    assert bench.registrar.believed_ns == then_ns
    expired = dataclasses.replace(FIRST, not_after_wall_ns=then_ns)
    bench.journal.state["registration"] = bench.keep(expired, then_ns)
    bench.document = sample_document(expired)
    found = bench.look()
    assert isinstance(found, tuple)
    assert found[0] is HoldReason.REGISTRATION_EXPIRED


@settings(max_examples=30)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 2 * BELIEVE_NS), st.integers(-DAY, DAY), st.sampled_from(["full", "broken", ""])
        ),
        max_size=12,
    )
)
def test_believed_time_never_goes_back_while_one_serial_is_the_newest(
    steps: list[tuple[int, int, str]],
) -> None:
    """Steps: how long the clock goes on, how far it is set, what the journal suffers from."""
    bench = Bench()
    bench.look()
    newest_ns = shown_ns = 0
    for on_ns, by_ns, fault in steps:
        bench.journal.full, bench.journal.broken = fault == "full", fault == "broken"
        bench.look()
        shown_ns = max(shown_ns, bench.clock.wall_ns())
        bench.clock.advance(on_ns)
        bench.look()
        assert newest_ns <= bench.registrar.believed_ns <= shown_ns
        newest_ns = bench.registrar.believed_ns
        bench.clock.jump_wall(by_ns)
