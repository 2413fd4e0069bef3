"""Whether a clip may go over this link, now.

    the agent sleeps (ignition off)      no clip
    there is no link                     no clip
    the link is metered                  clips with ``links: any``, while the byte budget reaches
    it is not, and is Wi-Fi or Ethernet  every clip
    it is not, and is anything else      all but those with ``links: wifi``
    it is roaming                        of these, clips that allow roaming

What firmware does not know counts as metered and roaming (``fsd_firmware.surroundings``). Urgency changes the order and how
much of a budget may be used, never the link. A budget is asked for metered links alone: the others cost nothing by the byte.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsd_agent.records.link_rule import NOTHING, Admits, LinkRule, Links
from fsd_agent.records.reasons import Waits
from fsd_firmware.surroundings import LinkKind, LinkState

_FIXED = frozenset({LinkKind.WIFI, LinkKind.ETHERNET})


@dataclass(frozen=True, slots=True)
class Way:
    """Everything that is the same for all clips at one moment."""

    link: LinkState
    asleep: bool
    budget: Waits | None
    """Why clips may not cost anything; None where they may."""
    urgent_budget: Waits | None
    """Why not even urgent ones may."""


def waits(rule: LinkRule, way: Way) -> Waits | None:
    """Why a clip has to wait; None where it may go."""
    if way.asleep:
        return Waits.IGNITION_OFF
    if way.link.kind is LinkKind.NONE:
        return Waits.NO_LINK
    if rule.links not in _links(way.link):
        return Waits.FOR_WIFI if rule.links is Links.WIFI else Waits.FOR_UNMETERED
    if way.link.roaming and not rule.roaming:
        return Waits.ROAMING
    if way.link.metered:
        return way.urgent_budget if rule.urgent else way.budget
    return None


def admits(way: Way) -> Admits:
    """Every rule that does not wait."""
    link = way.link
    if way.asleep or link.kind is LinkKind.NONE or (link.metered and way.urgent_budget):
        return NOTHING
    urgent_only = link.metered and way.budget is not None
    return Admits(_links(link), roaming_only=link.roaming, urgent_only=urgent_only)


def _links(link: LinkState) -> frozenset[Links]:
    """The sets of links that this one is in."""
    if link.metered:
        return frozenset({Links.ANY})
    return frozenset(Links) if link.kind in _FIXED else frozenset({Links.UNMETERED, Links.ANY})
