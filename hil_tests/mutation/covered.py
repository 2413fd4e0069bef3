"""Which files are mutated, and which tests must notice: those that are about the file, and are fast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_AGENT = "agent/fsd_agent"

_TESTS: Mapping[str, tuple[str, ...]] = {
    "rules/residency/route.py": ("test_residency_route", "test_residency_decisions"),
    "rules/residency/jurisdictions.py": ("test_jurisdictions", "test_residency_decisions"),
    "rules/residency/zones.py": ("test_sensitive_zones", "test_residency_decisions"),
    "rules/residency/egress.py": ("test_residency_egress", "test_residency_decisions"),
    "rules/residency/holds.py": ("test_holds_decisions", "test_holds"),
    "rules/cabin.py": ("test_cabin",),
    "rules/privacy/account.py": ("test_privacy_account",),
    "rules/privacy/again.py": ("test_privacy_again",),
    "rules/privacy/check.py": ("test_privacy_check",),
    "rules/privacy/counted.py": ("test_privacy_counted",),
    "rules/privacy/plan.py": ("test_privacy_plan", "test_privacy_counted", "test_privacy_decisions"),
    "rules/privacy/strokes.py": ("test_privacy_plan", "test_privacy_counted", "test_privacy_decisions"),
    "rules/privacy/identity.py": ("test_privacy_identity",),
    "rules/privacy/painted.py": ("test_privacy_check",),
    "rules/privacy/location.py": (
        "test_privacy_plan",
        "test_privacy_decisions",
        "test_privacy_location_decisions",
    ),
    "rules/privacy/telling.py": ("test_telling",),
    "rules/privacy/tracks.py": ("test_privacy_tracks",),
    "rules/privacy/zones.py": ("test_privacy_zones", "test_privacy_decisions"),
    "rules/privacy/consent.py": ("test_consent_decisions", "test_consent"),
    "rules/trust/registration.py": ("test_trust_registration", "test_trust_decisions"),
    "rules/trust/policies.py": ("test_trust_decisions",),
    "rules/trust/campaigns.py": ("test_trust_campaigns", "test_trust_decisions"),
    "rules/trust/consent.py": ("test_consent_decisions", "test_consent"),
    "rules/trust/certificates.py": ("test_certificate_decisions", "test_certificates"),
    "rules/trust/enrolment.py": ("test_enrolment_decisions",),
    "rules/audit/keys.py": ("test_audit_keys_decisions",),
    "rules/uplink/versions.py": ("test_uplink_versions",),
    "rules/uplink/file_transfer.py": ("test_file_async",),
    "rules/spool/retention.py": ("test_spool_retention_decisions", "test_spool_retention"),
    "rules/uplink/links.py": ("test_uplink_links",),
    "rules/uplink/budget.py": ("test_uplink_budget_decisions", "test_uplink_budget"),
    "rules/uplink/rate.py": ("test_uplink_rate",),
    "rules/uplink/power.py": ("test_uplink_power",),
    "records/link_rule.py": ("test_link_rule",),
    "rules/spool/evict.py": ("test_spool_evict",),
    "rules/spool/headroom.py": ("test_spool_headroom",),
    "rules/selection/span.py": ("test_selection_span", "test_keep"),
    "pipeline/consent.py": ("test_consent_keeper_decisions",),
    "pipeline/turns.py": ("test_turns_decisions",),
    "pipeline/faults.py": ("test_faults",),
    "pipeline/retention.py": ("test_retention_decisions",),
    "rules/spool/held.py": ("test_held_clips",),
    "rules/spool/at_rest.py": ("test_spool_at_rest",),
    "pipeline/quarantine.py": ("test_quarantine_decisions",),
    "pipeline/certificates.py": ("test_certificate_watch_decisions",),
    "pipeline/holds.py": ("test_holds_keeper_decisions",),
    "pipeline/withdrawn.py": ("test_withdrawn_decisions",),
    "pipeline/residence.py": ("test_belonging_decisions",),
    "pipeline/registrar.py": ("test_registrar_decisions",),
    "pipeline/policies.py": ("test_policy_shelf_decisions",),
    "pipeline/whereabouts.py": ("test_whereabouts_decisions",),
    "pipeline/left.py": ("test_left_decisions",),
    "wire/box_counts.py": ("test_box_counts",),
    "wire/spent.py": ("test_uplink_budget",),
    "wire/floors.py": ("test_trust_decisions", "test_consent_decisions"),
    "wire/curve.py": ("test_curve", "test_wire_decisions"),
    "wire/envelope.py": ("test_envelope", "test_wire_decisions"),
    "wire/registration.py": ("test_registration", "test_wire_decisions"),
    "wire/policy_file.py": ("test_policy_decisions",),
    "wire/policy_parts.py": ("test_policy_decisions", "test_policy"),
    "wire/policy.py": ("test_policy_decisions", "test_policy"),
    "wire/compartment.py": ("test_compartment_decisions",),
    "wire/pieces.py": ("test_wire_pieces",),
    "wire/spool_head.py": ("test_spool_head", "test_spool_container"),
    "wire/spool_file.py": ("test_spool_container", "test_spool_before"),
    "wire/spool_file_before.py": ("test_spool_container", "test_spool_before"),
    "wire/holds.py": ("test_holds_kept_decisions",),
    "wire/consent.py": ("test_consent_document_decisions",),
    "wire/rotation.py": ("test_rotation_decisions",),
    "wire/enrolment.py": ("test_enrolment_wire_decisions",),
    "adapters/tls.py": ("test_tls_decisions",),
}

COVERED: Mapping[str, tuple[str, ...]] = {
    f"{_AGENT}/{file}": tuple(f"agent/tests/{test}.py" for test in tests) for file, tests in _TESTS.items()
}
"""Paths from the root of the repository; files under ``rules/`` come first."""


def module_of(file: str) -> str:
    """The import name of a covered file."""
    return file.removeprefix("agent/").removesuffix(".py").replace("/", ".")


def sources_of_enums() -> list[bytes]:
    """Every source that may define an enumeration that a covered file names."""
    roots = (ROOT / _AGENT, ROOT / "firmware_bindings/fsd_firmware")
    return [path.read_bytes() for root in roots for path in sorted(root.rglob("*.py"))]
