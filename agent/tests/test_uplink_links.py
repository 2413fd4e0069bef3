"""Which clips may go over which link: the whole table, and that the two ways of asking agree."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.link_rule import EVERYTHING, NOTHING, Admits, LinkRule, Links
from fsd_agent.records.reasons import Waits
from fsd_agent.rules.uplink.links import Way, admits, waits
from fsd_firmware.surroundings import UNKNOWN_LINK, LinkKind, LinkState

DAY, MONTH = Waits.BUDGET_DAY, Waits.BUDGET_MONTH
WIFI, FREE, ANY = Links.WIFI, Links.UNMETERED, Links.ANY


def way(
    kind: LinkKind = LinkKind.WIFI,
    *,
    metered: bool = False,
    roaming: bool = False,
    asleep: bool = False,
    budget: Waits | None = None,
    urgent: Waits | None = None,
) -> Way:
    return Way(LinkState(kind, metered, roaming), asleep, budget, urgent)


@pytest.mark.parametrize(
    ("kind", "metered", "may"),
    [
        (LinkKind.WIFI, False, {WIFI, FREE, ANY}),
        (LinkKind.ETHERNET, False, {WIFI, FREE, ANY}),
        (LinkKind.CELLULAR, False, {FREE, ANY}),
        (LinkKind.UNKNOWN, False, {FREE, ANY}),
        (LinkKind.NONE, False, set()),
        (LinkKind.WIFI, True, {ANY}),
        (LinkKind.ETHERNET, True, {ANY}),
        (LinkKind.CELLULAR, True, {ANY}),
        (LinkKind.UNKNOWN, True, {ANY}),
        (LinkKind.NONE, True, set()),
    ],
)
def test_which_links_are_in_which_set(kind: LinkKind, metered: bool, may: set[Links]) -> None:
    there = way(kind, metered=metered)
    assert {links for links in Links if waits(LinkRule(links), there) is None} == may
    assert admits(there) == (Admits(frozenset(may)) if may else NOTHING)
    if may == set(Links):
        assert admits(there) == EVERYTHING


def test_why_a_clip_waits() -> None:
    metered = way(LinkKind.CELLULAR, metered=True)
    assert waits(LinkRule(WIFI), metered) is Waits.FOR_WIFI
    assert waits(LinkRule(FREE), metered) is Waits.FOR_UNMETERED
    assert waits(LinkRule(WIFI), way(LinkKind.CELLULAR)) is Waits.FOR_WIFI
    assert waits(LinkRule(ANY), way(roaming=True)) is Waits.ROAMING
    assert waits(LinkRule(ANY, roaming=True), way(roaming=True)) is None
    assert waits(LinkRule(ANY, roaming=True), way(LinkKind.NONE)) is Waits.NO_LINK
    assert waits(LinkRule(ANY, roaming=True, urgent=True), way(asleep=True)) is Waits.IGNITION_OFF


def test_nothing_that_is_unknown_is_guessed_in_favour_of_sending() -> None:
    unknown = Way(UNKNOWN_LINK, asleep=False, budget=None, urgent_budget=None)
    assert waits(LinkRule(FREE, roaming=True), unknown) is Waits.FOR_UNMETERED
    assert waits(LinkRule(ANY), unknown) is Waits.ROAMING
    assert waits(LinkRule(ANY, roaming=True), unknown) is None


def test_urgency_reaches_further_into_the_budget_and_widens_no_link() -> None:
    spent = way(LinkKind.CELLULAR, metered=True, budget=DAY)
    assert waits(LinkRule(ANY), spent) is DAY
    assert waits(LinkRule(ANY, urgent=True), spent) is None
    assert waits(LinkRule(FREE, urgent=True), spent) is Waits.FOR_UNMETERED
    assert admits(spent) == Admits(frozenset({ANY}), urgent_only=True)
    used_up = way(LinkKind.CELLULAR, metered=True, budget=MONTH, urgent=DAY)
    assert waits(LinkRule(ANY), used_up) is MONTH
    assert waits(LinkRule(ANY, urgent=True), used_up) is DAY
    assert admits(used_up) is NOTHING
    assert waits(LinkRule(FREE), way(budget=DAY, urgent=DAY)) is None, (
        "a link that costs nothing has no budget"
    )
    assert admits(way(budget=DAY, urgent=DAY)) == EVERYTHING


WAYS = [
    way(kind, metered=metered, roaming=roaming, asleep=asleep, budget=budget, urgent=urgent)
    for kind, metered, roaming, asleep in itertools.product(
        LinkKind, (False, True), (False, True), (False, True)
    )
    for budget, urgent in ((None, None), (DAY, None), (MONTH, DAY))
]


@given(
    st.sampled_from(WAYS),
    st.builds(LinkRule, st.sampled_from(Links), st.booleans(), st.booleans(), st.none() | st.integers(1, 9)),
)
def test_what_is_admitted_is_what_does_not_wait(there: Way, rule: LinkRule) -> None:
    assert admits(there).admits(rule) == (waits(rule, there) is None)
