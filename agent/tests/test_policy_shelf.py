"""Policies in force: verified, kept, never older; what is refused changes nothing and is told."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.pipeline.policies import PolicyShelf
from fsd_agent.ports.trust_store import TrustError
from fsd_agent.records.region import RegionPolicy
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.regions import SampleRegion, sample_region
from fsd_agent.testing.trust import MemoryTrust
from fsd_agent.wire.policy import MAX_SIGNED_POLICY_BYTES, PolicyError, encode_policy, sign_policy


class Bench:
    def __init__(self) -> None:
        self.region = sample_region("cn")
        self.trust, self.journal, self.events = (
            MemoryTrust.of(self.region),
            MemoryJournal(),
            RememberedEvents(),
        )
        self.restart()

    def restart(self) -> None:
        self.shelf = PolicyShelf(self.trust, self.journal, self.events)

    def signed(self, version: int, *, key: bytes | None = None, **changes: object) -> bytes:
        policy = dataclasses.replace(self.region.policy, version=version, **changes)  # type: ignore[arg-type]
        return sign_policy(encode_policy(policy), key or self.region.root_key, "draft")

    def lay(self, version: int, **changes: object) -> None:
        self.trust.lay("cn", self.signed(version, **changes))  # type: ignore[arg-type]  # as signed

    def version(self) -> int:
        """Of the policy in force; 0 for none."""
        (found,) = self.shelf.look()
        return found.version if isinstance(found, RegionPolicy) else 0

    def refusals(self) -> list[str]:
        return [str(event["reason"]) for event in self.events.of("policy_refused")]


def test_a_new_version_is_in_force_at_the_next_look_and_told_once() -> None:
    bench = Bench()
    assert bench.version() == bench.version() == 1
    bench.lay(2, retention_days=7)
    assert bench.version() == bench.version() == 2
    assert [event["version"] for event in bench.events.of("policy")] == [1, 2]
    assert bench.shelf.refused == {}


@pytest.mark.parametrize(
    ("signed", "says"),
    [
        (lambda bench: bench.signed(2), "version: 2, but 3 was accepted before"),
        (
            lambda bench: bench.signed(3, retention_days=1),
            "version: 3 was accepted before with other content",
        ),
        (lambda bench: bench.signed(4, key=bytes(32)), "bad_signature"),
        (lambda bench: bench.signed(4)[:-1], "malformed"),
        (lambda bench: bench.signed(4) + b"\0", "malformed"),
        (lambda _: bytes(MAX_SIGNED_POLICY_BYTES + 1), "more than"),
        (lambda _: b"", "malformed"),
        (lambda _: sample_region("eu", ("DE",)).signed(), "bad_signature"),
        (
            lambda bench: bench.signed(4, jurisdictions=("CN", "HK")),
            "jurisdictions: CN can't be served together",
        ),
        (
            lambda bench: bench.signed(
                4,
                endpoints=tuple(
                    dataclasses.replace(one, country="SG") for one in bench.region.policy.endpoints
                ),
            ),
            r"endpoints[0].country: SG is not allowed for CN",
        ),
        (
            lambda bench: bench.signed(4, region_id="hk", identity_uri="urn:fsd:region:hk"),
            "region: is 'hk', expected 'cn'",
        ),
    ],
)
def test_what_is_refused_leaves_the_good_one_in_force_and_says_why(signed: object, says: str) -> None:
    bench = Bench()
    bench.lay(3)
    assert bench.version() == 3
    assert callable(signed)
    bench.trust.lay("cn", signed(bench))
    assert bench.version() == bench.version() == 3
    (reason,) = bench.refusals()
    assert reason.startswith("policies/cn.signed: ")
    assert says in reason
    assert bench.shelf.refused == {"cn": reason}
    bench.restart()
    assert bench.version() == 3, "after a restart too"
    bench.lay(4)
    assert bench.version() == 4
    assert bench.shelf.refused == {}


def test_without_a_good_one_there_is_none() -> None:
    bench = Bench()
    bench.trust.lay("cn", b"torn")
    (found,) = bench.shelf.look()
    assert isinstance(found, PolicyError)
    assert str(found).startswith("policies/cn.signed: malformed")
    bench.trust.laid.clear()
    bench.restart()
    (found,) = bench.shelf.look()
    assert str(found) == "region 'cn': no policy was laid down"


def test_the_one_in_force_outlives_its_file_and_its_root_ends_it() -> None:
    bench = Bench()
    bench.lay(2)
    assert bench.version() == 2
    bench.trust.laid.clear()
    assert bench.version() == 2
    bench.restart()
    assert bench.version() == 2
    bench.trust.laid["cn"] = TrustError("policies/cn.signed: can't be read: Is a directory")
    assert bench.version() == bench.version() == 2
    assert bench.refusals() == ["policies/cn.signed: can't be read: Is a directory"]
    del bench.trust.pinned["cn"]
    assert bench.shelf.look() == ()


def test_a_region_that_was_made_anew_counts_anew_under_its_new_root() -> None:
    bench = Bench()
    bench.lay(7)
    assert bench.version() == 7
    other = sample_region("elsewhere")
    bench.trust.pinned["cn"] = MemoryTrust.of(other).pinned["elsewhere"]
    assert bench.version() == 0
    bench.lay(1, key=other.root_key)
    assert bench.version() == 1
    bench.trust.enrol(bench.region)
    assert bench.version() == 7, "and the old root's versions are not forgotten"
    assert "7 was accepted before" in bench.refusals()[-1]


def test_a_root_that_can_not_be_read_holds_its_region() -> None:
    bench = Bench()
    bench.trust.pinned["cn"] = TrustError("trust/cn.root: line 1: not base64")
    (found,) = bench.shelf.look()
    assert str(found) == "trust/cn.root: line 1: not base64"


def test_a_policy_of_a_region_that_is_not_pinned_is_told_and_holds_nothing() -> None:
    bench = Bench()
    bench.trust.lay("eu", sample_region("eu", ("DE",)).signed())
    assert bench.version() == bench.version() == 1
    assert bench.refusals() == ["the vehicle pins no root key of region 'eu'"]
    assert list(bench.shelf.refused) == ["eu"]
    del bench.trust.laid["eu"]
    assert bench.version() == 1
    assert bench.shelf.refused == {}


def test_what_can_not_be_kept_is_not_in_force_and_is_tried_again() -> None:
    bench = Bench()
    assert bench.version() == 1
    bench.journal.full = True
    bench.lay(2)
    assert bench.version() == bench.version() == 1
    assert len(bench.refusals()) == 1
    assert "can't be kept" in bench.refusals()[0]
    bench.journal.full = False
    assert bench.version() == 2


def test_what_is_in_force_already_is_not_kept_or_told_again() -> None:
    bench = Bench()
    assert bench.version() == 1
    bench.journal.full = True
    bench.restart()
    assert bench.version() == 1
    assert bench.refusals() == []
    assert [event["version"] for event in bench.events.of("policy")] == [1, 1], "once for each start"


def test_a_damaged_floor_lets_nothing_in() -> None:
    bench = Bench()
    assert bench.version() == 1
    (key,) = [key for key in bench.journal.state if key.startswith("policy/cn/")]
    kept = bench.journal.state[key]
    bench.journal.set_state(key, b"damaged")
    bench.restart()
    bench.lay(9)
    (found,) = bench.shelf.look()
    assert str(found).startswith("region 'cn': what was accepted before can't be read: ")
    bench.journal.set_state(key, kept)
    assert bench.version() == 9


def test_a_kept_policy_of_a_format_that_is_no_longer_read_still_counts_as_a_version() -> None:
    from fsd_agent.wire.floors import PolicyFloor, encode_policy_floor

    bench = Bench()
    assert bench.version() == 1
    (key,) = [key for key in bench.journal.state if key.startswith("policy/cn/")]
    bench.journal.set_state(key, encode_policy_floor(PolicyFloor(5, bytes(32), b"of another time")))
    bench.restart()
    bench.lay(4)
    assert bench.version() == 0
    bench.lay(6)
    assert bench.version() == 6


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 5), st.integers(1, 2), st.booleans(), st.booleans()), min_size=1, max_size=12
    )
)
def test_versions_never_go_down_and_one_version_has_one_content(
    steps: list[tuple[int, int, bool, bool]],
) -> None:
    """Steps: version, content, whether the signature is right, whether the agent restarts first."""
    bench = Bench()
    bench.trust.laid.clear()
    newest, contents = 0, dict[int, int]()
    for version, content, genuine, restart in steps:
        if restart:
            bench.restart()
        bench.lay(version, retention_days=content, key=None if genuine else bytes(32))
        (found,) = bench.shelf.look()
        acceptable = genuine and version >= newest and contents.get(version, content) == content
        if acceptable:
            newest, contents[version] = version, content
        if isinstance(found, RegionPolicy):
            assert (found.version, found.retention_days) == (newest, contents[newest])
        else:
            assert newest == 0


def test_regions_are_judged_one_by_one() -> None:
    regions: list[SampleRegion] = [sample_region("cn"), sample_region("eu", ("DE",))]
    trust = MemoryTrust.of(*regions)
    trust.lay("eu", b"torn")
    shelf = PolicyShelf(trust, MemoryJournal(), RememberedEvents())
    cn, eu = shelf.look()
    assert cn == regions[0].policy
    assert isinstance(eu, PolicyError)
