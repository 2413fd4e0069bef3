"""Where the vehicle belongs: every way in which it can be nowhere, at any moment and over restarts."""

from __future__ import annotations

import dataclasses

import pytest

from fsd_agent.pipeline.residence import LOOK_EVERY_NS, Residence
from fsd_agent.ports.journal import JournalError
from fsd_agent.ports.trust_store import TrustError
from fsd_agent.records.region import Hold, HoldReason, LeftClips, Route
from fsd_agent.rules.trust.registration import BELIEVE_NS
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.regions import SampleRegion, sample_document, sample_region, sample_registration
from fsd_agent.testing.trust import MemoryTrust
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.registration import encode_registration, sign_registration
from fsd_firmware.contract import FirmwareError

S, DAY = 1_000_000_000, 86_400_000_000_000
CN, EU = sample_region("cn"), sample_region("eu", ("DE", "FR"))


class Bench:
    """A vehicle's residence, over any number of restarts."""

    def __init__(self, *regions: SampleRegion) -> None:
        self.document: bytes | Exception | None = sample_document(sample_registration())
        self.trust, self.journal = MemoryTrust.of(*(regions or (CN, EU))), MemoryJournal()
        self.clock, self.events = ManualClock(), RememberedEvents()
        self.restart()

    def restart(self) -> None:
        self.residence = Residence(
            self._read,
            self.trust,
            device_key_ids=lambda: {MemoryVehicleKeys().device_key_id()},
            journal=self.journal,
            clock=self.clock,
            events=self.events,
        )

    def _read(self) -> bytes | None:
        if isinstance(self.document, Exception):
            raise self.document
        return self.document

    def register(self, jurisdiction: str, serial: int, **changes: object) -> None:
        registration = sample_registration("car-1", jurisdiction, serial)
        self.document = sample_document(dataclasses.replace(registration, **changes))  # type: ignore[arg-type]

    def look(self) -> Route | Hold:
        self.clock.advance(LOOK_EVERY_NS)
        return self.residence.current

    def region(self) -> str:
        where = self.look()
        return where.policy.region_id if isinstance(where, Route) else f"hold: {where.reason}"

    def held(self) -> HoldReason:
        where = self.look()
        assert isinstance(where, Hold), where
        assert where.detail
        assert self.events.of("hold")[-1] == {"reason": str(where.reason), "detail": where.detail}
        return where.reason


def changed(document: bytes) -> bytes:
    return document[:-1] + bytes([document[-1] ^ 1])


def test_registered_here_then_there() -> None:
    bench = Bench()
    assert bench.region() == "cn"
    bench.register("FR", 2)
    assert bench.region() == "eu"
    assert [event["region"] for event in bench.events.of("route")] == ["cn", "eu"]
    bench.restart()
    assert bench.region() == "eu"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (None, HoldReason.NO_REGISTRATION),
        (FirmwareError("registration.signed: can't be read"), HoldReason.BAD_REGISTRATION),
        (b"", HoldReason.BAD_REGISTRATION),
        (sample_document(sample_registration())[:-1], HoldReason.BAD_REGISTRATION),
        (encode_registration(sample_registration()), HoldReason.REGISTRATION_UNSIGNED),
        (sign_registration(sample_registration(), bytes(32)), HoldReason.REGISTRATION_UNKNOWN_KEY),
        (changed(sample_document(sample_registration())), HoldReason.REGISTRATION_BAD_SIGNATURE),
        (bytes(5000), HoldReason.REGISTRATION_TOO_LARGE),
        (sample_document(sample_registration("car-2")), HoldReason.REGISTRATION_OTHER_VEHICLE),
        (sample_document(sample_registration("car-1", "US", 9)), HoldReason.NO_REGION),
    ],
)
def test_each_fault_holds_with_its_reason_and_ends_with_it(
    document: bytes | Exception | None, reason: HoldReason
) -> None:
    bench = Bench()
    assert bench.region() == "cn"
    bench.document = document
    assert bench.held() is reason
    assert (bench.residence.left, bench.residence.erased) == ((), frozenset())
    bench.restart()
    assert bench.held() is reason
    bench.register("CN", 10)
    assert bench.region() == "cn"


def test_older_and_contradicting_documents_hold_over_restarts() -> None:
    bench = Bench()
    bench.register("CN", 5)
    assert bench.region() == "cn"
    for jurisdiction, serial, reason in (
        ("CN", 4, HoldReason.REGISTRATION_OLDER),
        ("DE", 4, HoldReason.REGISTRATION_OLDER),
        ("DE", 5, HoldReason.REGISTRATION_CONTRADICTS),
    ):
        bench.register(jurisdiction, serial)
        assert bench.held() is reason
        bench.restart()
        assert bench.held() is reason
    bench.register("CN", 5)
    assert bench.region() == "cn"


def test_the_vehicle_needs_an_authority_to_believe() -> None:
    bench = Bench()
    bench.trust.keys = ()
    assert bench.held() is HoldReason.NO_AUTHORITY


def test_no_region_two_regions_and_a_region_without_a_policy() -> None:
    bench = Bench()
    bench.trust.enrol(sample_region("greedy", ("DE", "FR")))
    bench.register("DE", 2)
    assert bench.held() is HoldReason.TWO_REGIONS
    del bench.trust.pinned["greedy"]
    assert bench.region() == "eu"
    bench.trust.pinned["us"] = TrustError("trust/us.root: holds no key")
    assert bench.held() is HoldReason.NO_POLICY
    bench.trust.pinned.clear()
    assert bench.held() is HoldReason.NO_POLICY


def test_validity_ends_while_the_agent_runs_and_a_clock_that_is_set_back_revives_nothing() -> None:
    bench = Bench()
    begin = bench.clock.wall_ns()
    bench.register("CN", 2, not_before_wall_ns=begin, not_after_wall_ns=begin + DAY)
    assert bench.region() == "cn"
    for _ in range(25 * 12):
        bench.clock.advance(BELIEVE_NS)
        bench.look()
    assert bench.held() is HoldReason.REGISTRATION_EXPIRED
    bench.clock.jump_wall(-20 * DAY // 24)
    assert bench.held() is HoldReason.REGISTRATION_EXPIRED
    bench.restart()
    assert bench.held() is HoldReason.REGISTRATION_EXPIRED
    bench.register("CN", 3, not_before_wall_ns=begin, not_after_wall_ns=begin + 9 * DAY)
    assert bench.region() == "cn"


@pytest.mark.parametrize(
    "validity",
    [{"not_after_wall_ns": 1_600_000_000 * S}, {"not_before_wall_ns": 3_000_000_000 * S}],
)
def test_a_hold_is_told_once_and_not_every_second(validity: dict[str, int]) -> None:
    bench = Bench()
    bench.register("CN", 2, **validity)
    for _ in range(30):
        assert isinstance(bench.look(), Hold)
    (told,) = bench.events.of("hold")
    assert "it is 2023-11-14" in str(told["detail"])


def test_a_clock_that_is_set_ahead_holds_and_goes_on_once_it_is_right() -> None:
    bench = Bench()
    begin = bench.clock.wall_ns()
    bench.register("CN", 2, not_before_wall_ns=begin, not_after_wall_ns=begin + DAY)
    assert bench.region() == "cn"
    bench.clock.jump_wall(365 * DAY)
    assert bench.held() is HoldReason.REGISTRATION_EXPIRED
    bench.restart()
    assert bench.held() is HoldReason.REGISTRATION_EXPIRED
    bench.clock.jump_wall(-365 * DAY)
    assert bench.region() == "cn"


def test_a_clock_that_stayed_wrong_needs_a_newer_document() -> None:
    bench = Bench()
    begin = bench.clock.wall_ns()
    bench.register("CN", 2, not_before_wall_ns=begin, not_after_wall_ns=begin + DAY)
    bench.clock.jump_wall(365 * DAY)
    bench.look()
    assert bench.region() == "hold: registration_expired"
    bench.register("CN", 3, not_after_wall_ns=begin + 999 * DAY)
    assert bench.region() == "cn"
    for _ in range(3):
        bench.clock.advance(BELIEVE_NS)
        bench.look()
    bench.clock.jump_wall(-365 * DAY)
    assert bench.region() == "cn", "what was believed lies inside the validity"
    bench.register("CN", 4, not_before_wall_ns=begin, not_after_wall_ns=begin + DAY)
    assert bench.region() == "cn"


def test_a_policy_proves_the_time_at_which_it_was_signed() -> None:
    bench = Bench()
    now = bench.clock.wall_ns()
    bench.register("CN", 2, not_after_wall_ns=now + DAY)
    assert bench.region() == "cn"
    later = dataclasses.replace(CN.policy, version=2, issued_wall_ns=now + DAY)
    bench.trust.enrol(dataclasses.replace(CN, policy=later))
    assert bench.held() is HoldReason.REGISTRATION_EXPIRED
    right = dataclasses.replace(CN.policy, version=3, issued_wall_ns=now)
    bench.trust.enrol(dataclasses.replace(CN, policy=right))
    assert bench.region() == "cn", "a region that signed with a wrong clock signs again"


def test_what_can_not_be_kept_is_not_acted_on() -> None:
    bench = Bench()
    assert bench.region() == "cn"
    bench.journal.full = True
    bench.register("DE", 2)
    assert bench.held() is HoldReason.REGISTRATION_NOT_KEPT
    bench.journal.full = False
    assert bench.region() == "eu"
    bench.journal.set_state("registration", b"damaged")
    assert bench.held() is HoldReason.REGISTRATION_NOT_KEPT
    bench.restart()
    assert bench.held() is HoldReason.REGISTRATION_NOT_KEPT


def test_what_is_kept_already_needs_no_room() -> None:
    bench = Bench()
    assert bench.region() == "cn"
    bench.journal.full = True
    assert bench.region() == "cn"
    bench.restart()
    assert bench.region() == "cn"


def test_a_time_that_can_not_be_kept_is_believed_and_holds_nobody() -> None:
    """A vehicle whose disk is full must be able to deliver what fills it."""
    bench = Bench()
    bench.register("CN", 5, not_after_wall_ns=bench.clock.wall_ns() + 3 * DAY)
    assert bench.region() == "cn"
    bench.journal.full = True
    bench.clock.advance(DAY)
    for _ in range(4):
        bench.clock.advance(BELIEVE_NS)
        assert bench.region() == "cn"
    bench.clock.advance(3 * DAY)
    for _ in range(4):
        bench.clock.advance(BELIEVE_NS)
        assert bench.held() is HoldReason.REGISTRATION_EXPIRED
    bench.clock.jump_wall(-3 * DAY)
    assert bench.held() is HoldReason.REGISTRATION_EXPIRED, "a clock that is set back revives nothing"
    bench.journal.full = False
    assert bench.held() is HoldReason.REGISTRATION_EXPIRED
    bench.restart()
    assert bench.held() is HoldReason.REGISTRATION_EXPIRED
    bench.register("CN", 6)
    assert bench.region() == "cn"


def test_an_older_document_is_older_at_every_look() -> None:
    """Also at the one at which the clock comes to be believed."""
    bench = Bench()
    bench.register("CN", 5)
    assert bench.region() == "cn"
    bench.register("DE", 4)
    for _ in range(5):
        bench.clock.advance(BELIEVE_NS // 2)
        assert bench.region() == "hold: registration_older"


def test_a_policy_that_is_laid_down_counts_without_a_restart() -> None:
    bench = Bench()
    assert bench.region() == "cn"
    newer = dataclasses.replace(CN.policy, version=2, retention_days=7)
    bench.trust.enrol(dataclasses.replace(CN, policy=newer))
    where = bench.look()
    assert isinstance(where, Route)
    assert where.policy == newer
    assert bench.residence.policies == (newer, EU.policy)
    bench.trust.lay("eu", b"torn")
    assert bench.region() == "cn"
    assert list(bench.residence.refused_policies) == ["eu"]


def leaving(rule: LeftClips) -> SampleRegion:
    return dataclasses.replace(CN, policy=dataclasses.replace(CN.policy, left_clips=rule))


def test_the_way_back_to_a_region_that_was_left_is_the_registration_of_then() -> None:
    bench = Bench(leaving(LeftClips.DELIVER), EU)
    assert bench.region() == "cn"
    assert bench.residence.left == ()
    bench.register("DE", 2)
    for _ in range(2):
        assert bench.region() == "eu"
        (way,) = bench.residence.left
        assert way.registration == sample_registration("car-1", "CN", 1)
        assert way.policy.region_id == "cn"
        assert bench.residence.erased == frozenset()
        bench.restart()
    bench.register("CN", 3)
    assert bench.region() == "cn"
    assert [way.policy.region_id for way in bench.residence.left] == ["eu"]


def test_a_region_that_was_never_belonged_to_has_no_way_back() -> None:
    bench = Bench(leaving(LeftClips.DELIVER), EU)
    bench.register("DE", 2)
    bench.restart()
    bench.journal = MemoryJournal()
    bench.restart()
    assert bench.region() == "eu"
    assert bench.residence.left == ()


def test_a_region_that_wants_its_clips_erased_is_named_once_the_vehicle_has_arrived_elsewhere() -> None:
    bench = Bench(leaving(LeftClips.ERASE), EU)
    assert bench.region() == "cn"
    assert bench.residence.erased == frozenset()
    bench.register("US", 2)
    assert bench.held() is HoldReason.NO_REGION
    assert bench.residence.erased == frozenset()
    bench.register("DE", 3)
    assert bench.region() == "eu"
    assert (bench.residence.erased, bench.residence.left) == (frozenset({"cn"}), ())


class _Broken(MemoryJournal):
    def get_state(self, key: str) -> bytes | None:
        raise JournalError(f"journal.db: can't be read ({key})")


def test_a_journal_that_can_not_be_read_holds() -> None:
    bench = Bench()
    bench.journal = _Broken()
    bench.restart()
    assert bench.held() is HoldReason.REGISTRATION_NOT_KEPT
    assert bench.residence.policies == ()
