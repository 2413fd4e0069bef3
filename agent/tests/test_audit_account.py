"""Clip by clip: the account says where data went, and every rule that is broken is named with its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from fsd_agent.records.clip import ExpiredClip
from fsd_agent.records.ledger import Cause, Checkpoint, ClipFact, Copy, Entry, Fact, Head, LiveClip
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Located
from fsd_agent.rules.audit.clip_account import AtRegion, ClipAccount, GoneAtRegion, RegionView, Where
from fsd_agent.rules.audit.findings import Finding
from fsd_agent.rules.audit.state import clip_after
from fsd_agent.testing.decisions import STORED_WALL_NS, Decisions, clip_id_of, sealed_hash
from fsd_agent.testing.regions import sample_region
from fsd_agent.wire.expired import encode_expired
from fsd_agent.wire.moments import DAY_NS

CN, EU = Decisions(sample_region("cn")), Decisions(sample_region("eu", ("DE",)))
CLIP, OTHER = clip_id_of(1), clip_id_of(2)
FIRED, AGAIN, REDACTED, SEALED, UNSTAGED, SENT, RESENT, RECEIPTED, ERASED = range(9)
"""Places of the records in a whole life."""
CONSENTED = Checkpoint(
    Head(20, bytes(32), bytes(32), 0, "0" * 16), (bytes(32),) * 2, (), 0, 0, (Purpose.SAFETY,), ()
)
"""What was removed says that the user consents, and nothing else."""


def view(do: Decisions, *clips: str, sha256: bytes | None = None) -> RegionView:
    policy = do.region.policy
    held = {one: AtRegion("car-1", sha256 or sealed_hash(one), f"{one}.json") for one in clips}
    return RegionView(policy.region_id, policy.identity_uri, policy.receipt_public_keys, held)


def judged(
    facts: Sequence[Fact], *views: RegionView, start: Checkpoint | None = None
) -> tuple[dict[str, ClipAccount], list[Finding]]:
    records = [Located(Entry(number, 0, 0, fact), "file") for number, fact in enumerate(facts)]
    return account(records, {one.region_id: one for one in views}, start or CONSENTED)


def broken(facts: Sequence[Fact], *views: RegionView) -> list[tuple[str, int | None]]:
    return [(str(one.kind), one.number) for one in judged(facts, *views)[1]]


def test_a_whole_life() -> None:
    clips, findings = judged(CN.life(CLIP), view(CN, CLIP))
    assert not findings
    clip = clips[CLIP]
    assert clip.where is Where.DELIVERED
    assert clip.receipt_checked
    assert (clip.firings, clip.region_id, len(clip.sent)) == (2, "cn", 2)
    assert clip.redacted is not None
    assert clip.redacted.sources == ("nanodet_m_416@1",)
    assert clip.sealed is not None
    assert clip.sealed.sealing_key_id == CN.region.policy.sealing_key_id
    assert clip.erased == {Copy.STAGED: Cause.SEALED, Copy.SEALED: Cause.RECEIPTED}


@pytest.mark.parametrize(
    ("records", "where"),
    [
        (1, Where.ON_VEHICLE), (3, Where.ON_VEHICLE), (5, Where.ON_VEHICLE),
        (6, Where.ON_THE_WAY), (8, Where.RECEIPTED), (9, Where.DELIVERED),
    ],
)  # fmt: skip
def test_where_a_clip_is(records: int, where: Where) -> None:
    clips, findings = judged(CN.life(CLIP)[:records], view(CN, CLIP) if records > 5 else view(CN))
    assert not findings
    assert clips[CLIP].where is where


def test_given_up() -> None:
    facts: list[Fact] = [CN.fired(CLIP), CN.redacted(CLIP), CN.dropped(CLIP)]
    clips, findings = judged(facts, view(CN))
    assert not findings
    assert clips[CLIP].where is Where.GIVEN_UP
    clips, findings = judged([*facts, CN.erased(CLIP, Copy.STAGED, Cause.DROPPED)], view(CN))
    assert not findings
    assert clips[CLIP].where is Where.NOWHERE


def test_a_sealing_that_was_cut_off_is_done_again() -> None:
    before = [CN.fired(CLIP), CN.redacted(CLIP), CN.sealed(CLIP), CN.erased(CLIP, Copy.SEALED, Cause.REDONE)]
    facts: list[Fact] = [*before, *CN.life(CLIP)[REDACTED:]]
    clips, findings = judged(facts, view(CN, CLIP))
    assert not findings
    assert clips[CLIP].where is Where.DELIVERED


def without(*places: int) -> list[Fact]:
    return [fact for place, fact in enumerate(CN.life(CLIP)) if place not in places]


def changed(place: int, fact: Fact) -> list[Fact]:
    life = list(CN.life(CLIP))
    life[place] = fact
    return life


def with_(place: int, fact: Fact) -> list[Fact]:
    life = list(CN.life(CLIP))
    return [*life[:place], fact, *life[place:]]


def elsewhere() -> Fact:
    """To region cn's address, where region eu's broker answered."""
    return replace(CN.sent(CLIP), identity_uri=EU.region.policy.identity_uri)


BROKEN: list[tuple[list[Fact], list[tuple[str, int | None]]]] = [
    (without(FIRED, AGAIN), [("unknown_clip", 0), ("wrong_order", 0), ("wrong_order", 1), ("wrong_order", 2)]),
    (without(REDACTED), [("wrong_order", 2)]),
    (without(SEALED), [
        ("erased_without_cause", 3), ("wrong_order", 4), ("wrong_order", 5), ("bad_receipt", 6), ("wrong_order", 7),
        ("wrong_file", None),
    ]),
    (without(SENT, RESENT), [("wrong_order", 5), ("not_in_ledger", None)]),
    (without(RECEIPTED), [("erased_without_cause", 7)]),
    (changed(SENT, EU.sent(CLIP)), [("wrong_region", 5), ("wrong_region", 5)]),
    (changed(SENT, elsewhere()), [("wrong_region", 5)]),
    (changed(REDACTED, EU.redacted(CLIP)), [("wrong_region", 2)]),
    (changed(RECEIPTED, CN.receipted(CLIP, signed_for=OTHER)), [("bad_receipt", 7)]),
    (changed(RECEIPTED, replace(EU.receipted(CLIP), region_id="cn")), [("bad_receipt", 7)]),
    (changed(UNSTAGED, CN.erased(CLIP, Copy.STAGED, Cause.RECEIPTED)), [("erased_without_cause", 4)]),
    (changed(ERASED, CN.erased(CLIP, Copy.SEALED, Cause.SEALED)), [("erased_without_cause", 8)]),
    (changed(ERASED, CN.erased(CLIP, Copy.SEALED, Cause.DROPPED)), [("erased_without_cause", 8)]),
    (changed(ERASED, CN.erased(CLIP, Copy.SEALED, Cause.CONSENT)), [("erased_without_cause", 8)]),
    ([*CN.life(CLIP), CN.sent(CLIP)], [("wrong_order", 9)]),
    ([*CN.life(CLIP), CN.erased(CLIP, Copy.SEALED, Cause.RECEIPTED)], [("wrong_order", 9)]),
    ([*CN.life(CLIP), CN.fired(CLIP)], [("wrong_order", 9)]),
    (with_(RECEIPTED + 1, CN.receipted(CLIP)), [("wrong_order", 8)]),
    (with_(UNSTAGED, CN.sealed(CLIP)), [("wrong_order", 4)]),
    (with_(UNSTAGED, CN.dropped(CLIP)), [("wrong_order", 6), ("wrong_order", 7), ("wrong_order", 8)]),
    (with_(SEALED, CN.dropped(CLIP)), [("wrong_order", 4), ("wrong_order", 6), ("wrong_order", 7), ("wrong_order", 8)]),
    ([CN.fired(CLIP), CN.dropped(CLIP), CN.dropped(CLIP)], [("wrong_order", 2), ("not_in_ledger", None)]),
    (with_(ERASED, CN.erased(CLIP, Copy.SEALED, Cause.REDONE)), [("erased_without_cause", 8), ("wrong_order", 9)]),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "says"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_rule_is_named(facts: list[Fact], says: list[tuple[str, int | None]]) -> None:
    assert broken(facts, view(CN, CLIP)) == says
    assert all(one.clip_id == CLIP for one in judged(facts, view(CN, CLIP))[1])


def test_against_what_regions_hold() -> None:
    life = CN.life(CLIP)
    assert broken(life, view(CN)) == [("not_at_region", 0)]
    assert broken(life, view(CN, CLIP, OTHER)) == [("not_in_ledger", None)]
    assert broken(life, view(CN, CLIP, sha256=bytes(32))) == [("wrong_file", None)]
    assert broken(life, view(CN, CLIP), view(EU, CLIP)) == [("wrong_region", None)]
    assert not broken(life)
    assert not judged(life)[0][CLIP].receipt_checked
    # Sent, stored, and the receipt still on its way: in order.
    assert not broken(life[:SENT + 1], view(CN, CLIP))  # fmt: skip


def checkpoint(
    *live: LiveClip, receipted: int = 0, consent: tuple[Purpose, ...] = (Purpose.SAFETY,)
) -> Checkpoint:
    counts = (("Dropped", "eu", 7), ("Fired", "cn", 9), ("Receipted", "cn", receipted))
    return replace(CONSENTED, counts=counts, consent=consent, live=live)


def dropped(reason: DropReason) -> list[Fact]:
    return [CN.fired(CLIP), CN.dropped(CLIP, reason), CN.erased(CLIP, Copy.STAGED, Cause.CONSENT)]


GIVEN, WITHDRAWN = CN.consented(), CN.consented(given=False)
TAKEN = DropReason.CONSENT_WITHDRAWN


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ([*CN.life(CLIP), WITHDRAWN, GIVEN, *CN.life(OTHER)], []),
        ([CN.fired(CLIP), WITHDRAWN, *dropped(TAKEN)[1:]], []),
        ([*CN.life(CLIP)[:SENT + 1], WITHDRAWN, CN.dropped(CLIP, TAKEN), CN.erased(CLIP, Copy.SEALED, Cause.CONSENT)], []),
        ([WITHDRAWN, CN.fired(CLIP)], [("no_consent", 1)]),
        ([WITHDRAWN, CN.consented(Purpose.DIAGNOSTICS), CN.fired(CLIP)], [("no_consent", 2)]),
        ([CN.fired(CLIP), CN.redacted(CLIP), WITHDRAWN, CN.sealed(CLIP)], [("no_consent", 3)]),
        ([CN.fired(CLIP), WITHDRAWN, CN.redacted(CLIP)], [("no_consent", 2)]),
        ([*CN.life(CLIP)[:SENT], WITHDRAWN, CN.sent(CLIP)], [("no_consent", 6)]),
        ([GIVEN], [("wrong_order", 0)]),
        ([WITHDRAWN, WITHDRAWN], [("wrong_order", 1)]),
        ([CN.fired(CLIP), replace(CN.fired(CLIP), purpose=Purpose.DIAGNOSTICS)], [("wrong_order", 1) ]),
        (dropped(DropReason.DISK_FULL), [("erased_without_cause", 2)]),
    ],
)  # fmt: skip
def test_consent(facts: list[Fact], says: list[tuple[str, int | None]]) -> None:
    assert broken(facts) == says


def test_consent_goes_on_from_the_checkpoint() -> None:
    clips, findings = judged([CN.fired(CLIP)], start=checkpoint(consent=(Purpose.DIAGNOSTICS,)))
    assert [one.kind for one in findings] == ["no_consent"]
    assert clips[CLIP].purpose is Purpose.SAFETY


def test_clips_of_removed_records_are_counted_against_their_checkpoint() -> None:
    held = view(CN, CLIP, OTHER, clip_id_of(3))
    assert not judged(CN.life(CLIP), held, start=checkpoint(receipted=2))[1]
    said = judged(CN.life(CLIP), held, start=checkpoint(receipted=1))[1]
    assert [(str(one.kind), one.clip_id) for one in said] == [
        ("not_in_ledger", OTHER),
        ("not_in_ledger", clip_id_of(3)),
    ]


@pytest.mark.parametrize("place", range(1, 9))
def test_a_clip_whose_beginning_was_removed_goes_on_as_it_was(place: int) -> None:
    life = CN.life(CLIP)
    clip: LiveClip | None = None
    for number, fact in enumerate(life[:place]):
        assert isinstance(fact, ClipFact)
        clip = clip_after(clip, number, fact)
    assert clip is not None
    clips, findings = judged(life[place:], view(CN, CLIP), start=checkpoint(clip))
    assert not findings
    assert clips[CLIP].where is Where.DELIVERED
    assert clips[CLIP].since == 0
    assert judged([], view(CN), start=checkpoint(clip))[0][CLIP].where is judged(life[:place])[0][CLIP].where
    if place > 1:  # the second firing might as well be the first
        assert broken(life[place:], view(CN, CLIP)), "without the checkpoint nobody knows its beginning"


def test_when_nothing_is_left_a_clip_is_not_live() -> None:
    clip: LiveClip | None = None
    for number, fact in enumerate(CN.life(CLIP)):
        assert isinstance(fact, ClipFact)
        clip = clip_after(clip, number, fact)
        assert (clip is None) == (number == ERASED)


def gone(*, key: bytes = CN.region.receipt_key, days_after: int = 365, **other: object) -> GoneAtRegion:
    """The region's word that the clip, which it kept for 365 days, is over."""
    end_ns = STORED_WALL_NS + days_after * DAY_NS
    said = ExpiredClip(CLIP, "cn", "car-1", sealed_hash(CLIP), STORED_WALL_NS, end_ns, 365)
    signed = encode_expired(replace(said, **other), key)  # type: ignore[arg-type]
    return GoneAtRegion(signed, AtRegion("car-1", sealed_hash(CLIP), f"expired/{CLIP}.json"))


def test_a_clip_that_the_region_says_is_over() -> None:
    clips, findings = judged(CN.life(CLIP), replace(view(CN), expired={CLIP: gone()}))
    assert not findings
    assert clips[CLIP].where is Where.EXPIRED
    assert clips[CLIP].expired is not None
    clips, findings = judged(CN.life(CLIP)[:ERASED], replace(view(CN), expired={CLIP: gone()}))
    assert not findings
    assert clips[CLIP].where is Where.RECEIPTED, "a copy is still on the vehicle"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (gone(key=EU.region.receipt_key), "does not count"),
        (gone(clip_id=OTHER), "does not count"),
        (gone(sha256=bytes(32)), "does not count"),
        (gone(vehicle="car-2"), "does not count"),
        (gone(stored_wall_ns=STORED_WALL_NS - 1), "another time of storing"),
        (gone(days_after=364), "before the 365 days"),
        (gone(expired_wall_ns=STORED_WALL_NS + 365 * DAY_NS - 1), "before the 365 days"),
        (None, "not among what region cn holds"),
    ],
)
def test_a_word_that_does_not_hold_is_a_clip_that_is_not_there(word: GoneAtRegion | None, says: str) -> None:
    expired = {} if word is None else {CLIP: word}
    clips, findings = judged(CN.life(CLIP), replace(view(CN), expired=expired))
    assert [(str(one.kind), one.clip_id) for one in findings] == [("not_at_region", CLIP)]
    assert says in findings[0].detail
    assert clips[CLIP].where is Where.DELIVERED


def test_a_region_that_removed_what_was_never_sent_to_it_had_it() -> None:
    held = replace(view(CN), expired={CLIP: gone()})
    assert broken(CN.life(CLIP)[:SENT], held) == [("not_in_ledger", None)]
    assert broken([], held) == [("not_in_ledger", None)]
    foreign = replace(view(CN), expired={CLIP: gone()})
    assert ("wrong_region", None) in broken(EU.life(CLIP), view(EU, CLIP), foreign)
