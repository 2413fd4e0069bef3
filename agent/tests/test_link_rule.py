"""Which clips a rule lets go, and what becomes of two rules that one clip is for."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.link_rule import EVERYTHING, NOTHING, Admits, LinkRule, Links, wider

RULES = st.builds(
    LinkRule, st.sampled_from(Links), st.booleans(), st.booleans(), st.none() | st.integers(1, 9)
)
ADMITS = st.builds(Admits, st.frozensets(st.sampled_from(Links)), st.booleans(), st.booleans())


def test_a_campaign_that_says_nothing_costs_nothing() -> None:
    assert LinkRule() == LinkRule(Links.UNMETERED, roaming=False, urgent=False, deadline_ns=None)


def test_what_is_admitted() -> None:
    plain, urgent, far = (
        LinkRule(Links.ANY),
        LinkRule(Links.ANY, urgent=True),
        LinkRule(Links.ANY, roaming=True),
    )
    every = Admits(frozenset({Links.ANY}))
    assert every.admits(plain)
    assert not every.admits(LinkRule(Links.UNMETERED))
    assert not replace(every, urgent_only=True).admits(plain)
    assert replace(every, urgent_only=True).admits(urgent)
    assert not replace(every, roaming_only=True).admits(plain)
    assert replace(every, roaming_only=True).admits(far)
    assert not replace(every, roaming_only=True, urgent_only=True).admits(far)


def test_of_two_rules_each_part_is_the_wider_one() -> None:
    one, other = (
        LinkRule(Links.WIFI, roaming=True, deadline_ns=5),
        LinkRule(Links.UNMETERED, urgent=True, deadline_ns=9),
    )
    both = LinkRule(Links.UNMETERED, roaming=True, urgent=True, deadline_ns=9)
    assert wider(one, other) == wider(other, one) == both
    assert wider(both, LinkRule(Links.ANY)) == LinkRule(
        Links.ANY, roaming=True, urgent=True, deadline_ns=None
    )
    assert wider(LinkRule(Links.WIFI), LinkRule(Links.WIFI)) == LinkRule(Links.WIFI)


@given(RULES, RULES, RULES)
def test_the_order_of_firings_does_not_matter(one: LinkRule, two: LinkRule, three: LinkRule) -> None:
    assert wider(one, two) == wider(two, one)
    assert wider(wider(one, two), three) == wider(one, wider(two, three))
    assert wider(one, one) == one


@given(RULES, RULES, st.booleans(), st.booleans(), st.sampled_from([Links.WIFI, Links.UNMETERED, Links.ANY]))
def test_what_may_go_for_one_of_its_firings_may_go(
    one: LinkRule, other: LinkRule, roaming: bool, urgent: bool, least: Links
) -> None:
    """A link admits every set that is as wide as the one that it is in."""
    names = tuple(Links)
    link = Admits(frozenset(names[names.index(least) :]), roaming, urgent)
    if link.admits(one):
        assert link.admits(wider(one, other))


@given(RULES)
def test_everything_and_nothing(rule: LinkRule) -> None:
    assert EVERYTHING.admits(rule)
    assert not NOTHING.admits(rule)


def test_the_words_of_campaign_files_and_of_the_journal() -> None:
    assert [str(links) for links in Links] == ["wifi", "unmetered", "any"]
