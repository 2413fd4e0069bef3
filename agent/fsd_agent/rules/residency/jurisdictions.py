"""What the rules of a jurisdiction forbid a region's policy, whoever signed it.

The table is part of the software, so that no policy, campaign, registration or approval can change it. A policy that
breaks a rule is refused whole. A jurisdiction without a line here has the general rule alone: every endpoint stands in
one of the jurisdictions that the policy itself serves.

These are an engineer's readings of the sources named, and not legal advice. The country of an endpoint is what the
region's signature says; software can't see where a computer stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from fsd_agent.records.region import ExportRule, RegionPolicy


@dataclass(frozen=True, slots=True)
class JurisdictionRule:
    """What holds for every policy that serves a jurisdiction."""

    countries: frozenset[str]
    """Where its endpoints may stand."""
    alone: bool
    """Whether no other jurisdiction may be served by the same policy."""
    exports: frozenset[ExportRule]
    """What the policy may say of data that has arrived."""
    source: str


_ANY_EXPORT: Final = frozenset(ExportRule)
_EEA: Final = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI",
    "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
})  # fmt: skip

RULES: Final[Mapping[str, JurisdictionRule]] = {
    "CN": JurisdictionRule(
        countries=frozenset({"CN"}),
        alone=True,
        exports=frozenset({ExportRule.NEVER, ExportRule.AT_DATA_CENTRE}),
        source="GB/T 44464-2024 and GB 44495-2024 (no direct transfer abroad from the vehicle: approved export "
        "happens at the data centre); CAC Order 7 of 2021 (store in the country)",
    ),
    **dict.fromkeys(
        _EEA,
        JurisdictionRule(
            countries=_EEA,
            alone=False,
            exports=_ANY_EXPORT,
            source="GDPR, articles 1(3) and 44, and EDPB 01/2020 (free movement inside the EEA; a transfer out of it "
            "needs its own ground, which no vehicle can check)",
        ),
    ),
}


def violations(policy: RegionPolicy) -> tuple[str, ...]:
    """Every rule that a policy breaks, each with the field; none for one that may be used."""
    return tuple(_violations(policy))


def _violations(policy: RegionPolicy) -> Iterator[str]:
    for code in policy.jurisdictions:
        rule = RULES.get(code)
        if rule is not None and rule.alone and len(policy.jurisdictions) > 1:
            others = " ".join(one for one in policy.jurisdictions if one != code)
            yield f"jurisdictions: {code} can't be served together with {others} ({rule.source})"
        if rule is not None and policy.export not in rule.exports:
            yield f"export: {policy.export} is not allowed for {code} ({rule.source})"
        allowed = _countries(policy, code)
        for number, endpoint in enumerate(policy.endpoints):
            if endpoint.country not in allowed:
                why = (
                    rule.source if rule is not None else "an endpoint stands in a jurisdiction that is served"
                )
                yield f"endpoints[{number}].country: {endpoint.country} is not allowed for {code} ({why})"


def _countries(policy: RegionPolicy, code: str) -> frozenset[str]:
    rule = RULES.get(code)
    return rule.countries if rule is not None else frozenset(policy.jurisdictions)
