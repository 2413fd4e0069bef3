"""Which policy is in force, what is kept of it under which key, and what is told of one that is refused."""

from __future__ import annotations

import dataclasses

import pytest

from fsd_agent.pipeline.policies import PolicyShelf
from fsd_agent.ports.trust_store import TrustError
from fsd_agent.records.region import RegionPolicy
from fsd_agent.rules.residency.jurisdictions import violations
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.regions import SampleRegion, sample_region
from fsd_agent.testing.trust import MemoryTrust
from fsd_agent.wire.envelope import key_id_of, public_key_of
from fsd_agent.wire.floors import PolicyFloor, digest_of, encode_policy_floor
from fsd_agent.wire.policy import PolicyError, encode_policy, sign_policy

CN, EU = sample_region("cn"), sample_region("eu", ("DE",))
ROOT = public_key_of(CN.root_key)
KEY = f"policy/cn/{key_id_of(ROOT)}"
UNREADABLE = TrustError("policies/cn.signed: can't be read: Is a directory")


def changed(region: SampleRegion = CN, **changes: object) -> SampleRegion:
    policy = dataclasses.replace(region.policy, **changes)  # type: ignore[arg-type]  # as of the policy
    return dataclasses.replace(region, policy=policy)


V2, V4 = (changed(version=version, retention_days=version) for version in (2, 4))
ABROAD = changed(version=5, jurisdictions=("CN", "HK"))
ABROAD_SAYS = f"policies/cn.signed: {'; '.join(violations(ABROAD.policy))}"
TORN = "malformed: Expected `object`, got `int`"
OTHER_ROOT = public_key_of(EU.root_key)


def _not_by(root: bytes, named: bytes) -> str:
    return f"bad_signature: not by key {key_id_of(root)} (the envelope names '{key_id_of(named)}')"


class Bench:
    """A vehicle's shelf, over any number of restarts."""

    def __init__(self, *regions: SampleRegion) -> None:
        self.trust, self.journal, self.events = MemoryTrust.of(*regions), MemoryJournal(), RememberedEvents()
        self.restart()

    def restart(self) -> None:
        self.shelf = PolicyShelf(self.trust, self.journal, self.events)

    def look(self) -> list[RegionPolicy | str]:
        """What is in force, or why nothing is; the same whoever looks."""
        first, second = self.shelf.look(), self.shelf.look()
        assert list(map(str, first)) == list(map(str, second))
        return [str(one) if isinstance(one, PolicyError) else one for one in second]

    def told(self) -> list[tuple[object, object]]:
        """Of each policy that was refused: which region, and why."""
        events = self.events.of("policy_refused")
        assert all(event.keys() == {"region", "reason"} for event in events)
        return [(event["region"], event["reason"]) for event in events]

    def in_force(self) -> list[dict[str, object]]:
        return [dict(fields) for fields in self.events.of("policy")]


def kept(region: SampleRegion) -> bytes:
    policy = region.policy
    return encode_policy_floor(PolicyFloor(policy.version, digest_of(encode_policy(policy)), region.signed()))


# What is in force.


def test_a_vehicle_that_is_enrolled_nowhere_has_none() -> None:
    bench = Bench()
    assert (bench.look(), bench.shelf.refused) == ([], {})


def test_there_is_one_for_each_region_by_region_id() -> None:
    gb, jp, us = (sample_region(*of) for of in (("gb", ("GB",)), ("jp", ("JP",)), ("us", ("US",))))
    regions = [us, EU, jp, CN, gb]
    assert Bench(*regions).look() == [one.policy for one in (CN, EU, gb, jp, us)]


def test_what_is_taken_up_is_kept_whole_before_it_is_told_and_once() -> None:
    bench = Bench(CN)
    assert bench.look() == [CN.policy]
    assert bench.journal.state == {KEY: kept(CN)}
    bench.restart()
    assert bench.look() == [CN.policy]
    assert bench.journal.state_writes == [KEY]
    bench.trust.enrol(V2)
    assert bench.look() == [V2.policy]
    assert bench.journal.state == {KEY: kept(V2)}
    assert bench.journal.state_writes == [KEY, KEY]
    assert bench.in_force() == [{"region": "cn", "version": version} for version in (1, 1, 2)]
    assert (bench.told(), bench.shelf.refused) == ([], {})


def test_nothing_was_laid_down_for_a_region() -> None:
    bench = Bench(CN)
    bench.trust.laid.clear()
    assert bench.look() == ["region 'cn': no policy was laid down"]
    assert (bench.told(), bench.shelf.refused) == ([], {})


def test_a_root_that_can_not_be_read_or_changes_ends_what_it_signed() -> None:
    bench = Bench(CN, EU)
    assert bench.look() == [CN.policy, EU.policy]
    bench.trust.pinned["cn"] = TrustError("trust/cn.root: line 1: not base64")
    assert bench.look() == ["trust/cn.root: line 1: not base64", EU.policy]
    bench.trust.pinned["cn"] = OTHER_ROOT
    bad = f"policies/cn.signed: {_not_by(OTHER_ROOT, ROOT)}"
    assert bench.look() == [bad, EU.policy]
    assert bench.shelf.refused == {"cn": bad}
    assert bench.told() == [("cn", bad)]


# What is refused.


@pytest.mark.parametrize(
    ("laid", "says"),
    [
        (b"torn", f"policies/cn.signed: {TORN}"),
        (CN.signed(), "policies/cn.signed: version: 1, but 2 was accepted before"),
        (
            changed(version=2, retention_days=9).signed(),
            "policies/cn.signed: version: 2 was accepted before with other content",
        ),
        (
            EU.signed(),
            f"policies/cn.signed: {_not_by(ROOT, OTHER_ROOT)}",
        ),
        (
            sign_policy(encode_policy(changed(EU, version=9).policy), CN.root_key, "cn"),
            "policies/cn.signed: region: is 'eu', expected 'cn'",
        ),
        (ABROAD.signed(), ABROAD_SAYS),
    ],
)
def test_what_is_refused_is_told_once_stays_readable_and_changes_nothing(laid: bytes, says: str) -> None:
    bench = Bench(V2)
    assert bench.look() == [V2.policy]
    bench.trust.lay("cn", laid)
    assert bench.look() == [V2.policy]
    assert bench.told() == [("cn", says)]
    assert bench.shelf.refused == {"cn": says}
    assert bench.journal.state == {KEY: kept(V2)}
    bench.trust.enrol(V2)
    assert bench.look() == [V2.policy]
    assert bench.shelf.refused == {}, "what lies there now is in force"
    bench.trust.lay("cn", laid)
    assert bench.look() == [V2.policy]
    assert bench.told() == [("cn", says)] * 2, "it is news again"
    assert bench.in_force() == [{"region": "cn", "version": 2}]


def test_a_policy_that_its_jurisdiction_forbids_is_refused_with_every_rule_that_it_breaks() -> None:
    endpoints = tuple(dataclasses.replace(one, country="SG") for one in CN.policy.endpoints)
    bad = changed(jurisdictions=("CN", "HK"), endpoints=endpoints)
    bench = Bench(bad)
    (_, *more) = broken = violations(bad.policy)
    assert more, "it breaks several"
    reason = f"policies/cn.signed: {'; '.join(broken)}"
    assert bench.look() == [reason]
    assert bench.shelf.refused == {"cn": reason}
    assert bench.journal.state == {}


def test_what_was_taken_away_is_not_refused_any_more_and_is_news_if_it_comes_back() -> None:
    bench = Bench(CN)
    bench.trust.lay("cn", b"torn")
    torn = f"policies/cn.signed: {TORN}"
    assert (bench.look(), bench.shelf.refused) == ([torn], {"cn": torn})
    del bench.trust.laid["cn"]
    assert (bench.look(), bench.shelf.refused) == (["region 'cn': no policy was laid down"], {})
    bench.trust.lay("cn", b"torn")
    assert (bench.look(), bench.shelf.refused) == ([torn], {"cn": torn})
    assert bench.told() == [("cn", torn)] * 2
    bench.trust.enrol(CN)
    assert bench.look() == [CN.policy]
    bench.trust.lay("cn", b"torn")
    assert (bench.look(), bench.shelf.refused) == ([CN.policy], {"cn": torn})
    del bench.trust.laid["cn"]
    assert (bench.look(), bench.shelf.refused) == ([CN.policy], {}), "the one in force goes on"


def test_a_file_that_can_not_be_read_is_refused_until_it_can() -> None:
    bench = Bench(CN)
    assert bench.look() == [CN.policy]
    for times in (1, 2):
        bench.trust.laid["cn"] = UNREADABLE
        assert bench.look() == [CN.policy]
        bench.trust.laid["cn"] = TrustError(str(UNREADABLE))
        assert bench.look() == [CN.policy]
        assert bench.shelf.refused == {"cn": str(UNREADABLE)}
        assert bench.told() == [("cn", str(UNREADABLE))] * times
        bench.trust.enrol(CN)
        assert bench.look() == [CN.policy]
        assert bench.shelf.refused == {}
    bench.trust.laid["cn"] = UNREADABLE
    bench.look()
    bench.trust.laid["cn"] = TrustError("policies/cn.signed: can't be read: Permission denied")
    bench.look()
    assert bench.told()[2:] == [
        ("cn", str(UNREADABLE)),
        ("cn", "policies/cn.signed: can't be read: Permission denied"),
    ]


def test_policies_of_regions_that_are_not_pinned_are_told_by_region_id_and_once() -> None:
    bench = Bench(CN)
    strangers = ("us", "eu", "jp", "gb", "kr", "br", "za")
    says = {region_id: f"the vehicle pins no root key of region '{region_id}'" for region_id in strangers}
    for region_id in strangers:
        bench.trust.lay(region_id, b"")
    assert bench.look() == [CN.policy]
    assert bench.told() == sorted(says.items())
    assert bench.shelf.refused == says
    bench.trust.lay("cn", b"torn")
    del bench.trust.laid["us"]
    bench.look()
    torn = f"policies/cn.signed: {TORN}"
    del says["us"]
    assert bench.shelf.refused == {"cn": torn, **says}
    assert bench.told()[7:] == [("cn", torn)]
    bench.trust.lay("us", b"")
    bench.look()
    assert bench.told()[8:] == [("us", "the vehicle pins no root key of region 'us'")]


# What can't be kept, or read again.


def test_what_can_not_be_kept_is_not_in_force_and_is_tried_again_until_it_can() -> None:
    bench = Bench(CN)
    assert bench.look() == [CN.policy]
    bench.journal.full = True
    bench.trust.enrol(V2)
    says = "the policy of region 'cn' can't be kept: memory journal: no space left"
    assert bench.look() == [CN.policy]
    assert bench.told() == [("cn", says)]
    assert bench.shelf.refused == {"cn": says}
    bench.trust.enrol(CN)
    assert bench.look() == [CN.policy]
    assert bench.shelf.refused == {}, "what is in force needs no room"
    bench.trust.enrol(V2)
    assert bench.look() == [CN.policy]
    bench.journal.full = False
    assert bench.look() == [V2.policy]
    assert bench.shelf.refused == {}


@pytest.mark.parametrize(
    ("damage", "says"), [(b"", "Input data was truncated"), (None, "memory journal: can't be read")]
)
def test_where_nobody_can_say_what_was_accepted_nothing_is(damage: bytes | None, says: str) -> None:
    bench = Bench(CN)
    assert bench.look() == [CN.policy]
    bench.restart()
    bench.trust.enrol(V2)
    if damage is None:
        bench.journal.broken = True
    else:
        bench.journal.state[KEY] = damage
    assert bench.look() == [f"region 'cn': what was accepted before can't be read: {says}"]
    bench.journal.broken, bench.journal.state[KEY] = False, kept(CN)
    assert bench.look() == [V2.policy]


def test_a_kept_policy_that_is_not_understood_any_more_counts_as_a_version() -> None:
    bench = Bench(CN)
    bench.trust.laid.clear()
    bench.journal.state[KEY] = encode_policy_floor(PolicyFloor(3, bytes(32), b"of another time"))
    lost = f"the kept policy of region 'cn': {TORN}"
    assert bench.look() == [lost]
    assert bench.shelf.refused == {"cn": lost}
    bench.trust.enrol(V2)
    older = "policies/cn.signed: version: 2, but 3 was accepted before"
    assert bench.look() == [older]
    assert bench.shelf.refused == {"cn": older}
    del bench.trust.laid["cn"]
    assert bench.look() == [lost]
    bench.trust.enrol(V4)
    assert bench.look() == [V4.policy]
    assert bench.shelf.refused == {}
    del bench.trust.laid["cn"]
    assert (bench.look(), bench.shelf.refused) == ([V4.policy], {})
