"""Which links a clip may take, said by its campaigns and kept with the clip: a campaign may be gone before its clips are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Links(StrEnum):
    """A set of links. Each holds those before it, so that two always have a wider one."""

    WIFI = "wifi"
    """Wi-Fi or Ethernet that is not metered."""
    UNMETERED = "unmetered"
    """Whatever costs nothing by the byte, also cellular."""
    ANY = "any"
    """Metered ones too, as far as the byte budgets reach."""


WIDTH: Mapping[Links, int] = MappingProxyType({links: width for width, links in enumerate(Links)})
"""How wide each is."""


@dataclass(frozen=True, slots=True)
class LinkRule:
    """Of a campaign, or of a clip.

    The defaults are a campaign's that says nothing: a field that was forgotten must not run up a bill, and a flat rate
    or the depot's Ethernet need not be waited past.
    """

    links: Links = Links.UNMETERED
    roaming: bool = False
    """Also in another operator's network."""
    urgent: bool = False
    """Goes before every clip that is not, and may use the last part of a byte budget, which others leave."""
    deadline_ns: int | None = None
    """So long after the firing the clip is worth nothing any more; None: never."""


SAYS_NOTHING: Final = LinkRule()
"""Of a campaign that says nothing."""


@dataclass(frozen=True, slots=True)
class Admits:
    """Which clips may go at one moment, as far as their link rules decide."""

    links: frozenset[Links]
    """A clip's must be one of these."""
    roaming_only: bool = False
    """And it must allow roaming."""
    urgent_only: bool = False
    """And it must be urgent."""

    def admits(self, rule: LinkRule) -> bool:
        """Whether a clip of this rule may."""
        is_far_enough = rule.roaming or not self.roaming_only
        return rule.links in self.links and is_far_enough and (rule.urgent or not self.urgent_only)


EVERYTHING: Final = Admits(frozenset(Links))
NOTHING: Final = Admits(frozenset())


def wider(one: LinkRule, other: LinkRule) -> LinkRule:
    """The rule of a clip that two rules are for.

    It may go as soon, as far and as late as either of them allows: each campaign has agreed to what its clip costs, and
    a clip is worth something while it is worth something to one of them.
    """
    return LinkRule(
        links=max(one.links, other.links, key=WIDTH.__getitem__),
        roaming=one.roaming or other.roaming,
        urgent=one.urgent or other.urgent,
        deadline_ns=_later(one.deadline_ns, other.deadline_ns),
    )


def _later(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)
