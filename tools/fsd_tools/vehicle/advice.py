"""What to do about a hold: one line for each reason, for whoever stands beside the vehicle."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fsd_agent.records.region import HoldReason

_R = HoldReason
_NEWER = "have the registration authority sign a document with a greater serial (fsdctl vehicle register), and give it to firmware"
_WHOLE = "give firmware the document again as the registration authority signed it (fsdctl vehicle register)"
_POLICY = "lay a policy that its region signed into policies/ (fsdctl vehicle enrol does)"

ADVICE: Mapping[HoldReason, str] = MappingProxyType(
    {
        _R.NO_REGISTRATION: "register the vehicle: fsdctl vehicle register",
        _R.NO_AUTHORITY: "give the vehicle the authority's public key in trust/registration.pub: fsdctl vehicle register --trust",
        _R.BAD_REGISTRATION: _WHOLE,
        _R.REGISTRATION_TOO_LARGE: _WHOLE,
        _R.REGISTRATION_UNSIGNED: _WHOLE,
        _R.REGISTRATION_UNKNOWN_KEY: "if the authority's key is genuine, trust it: fsdctl vehicle register --trust; else find out who signed",
        _R.REGISTRATION_BAD_SIGNATURE: f"the document was changed after it was signed: {_WHOLE}",
        _R.REGISTRATION_OTHER_VEHICLE: "have the authority sign a document for this vehicle's device key: fsdctl vehicle register",
        _R.REGISTRATION_OLDER: f"a newer document was accepted before: give firmware that one, or {_NEWER}",
        _R.REGISTRATION_CONTRADICTS: f"two documents have the same serial: {_NEWER}",
        _R.REGISTRATION_NOT_YET_VALID: "look at the vehicle's clock; if it is right, wait until the document's time has come",
        _R.REGISTRATION_EXPIRED: f"look at the vehicle's clock; if it is right, {_NEWER}",
        _R.REGISTRATION_NOT_KEPT: "make room on the disk; if the journal or the ledger is damaged, see docs/spool.md and docs/audit.md",
        _R.NO_REGION: "enrol the vehicle with the region that serves its jurisdiction: fsdctl vehicle enrol",
        _R.TWO_REGIONS: "one of the regions must take the jurisdiction out of its policy and sign it: fsdctl region policy sign",
        _R.NO_POLICY: _POLICY,
        _R.POLICY_FORBIDDEN: "the region must correct its policy and sign it: fsdctl region policy check, then sign",
    }
)
