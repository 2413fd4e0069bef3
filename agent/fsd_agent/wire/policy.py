"""Region policy: the file that tells a vehicle everything it must know of a region.

Format 1, TOML, unknown keys refused; keys are base64 of the raw 32 bytes::

    format = 1
    region = "cn"                          # 1 to 32 of [a-z0-9-]
    version = 1                            # grows with every change
    jurisdictions = ["CN"]                 # ISO 3166-1 alpha-2
    identity_uri = "urn:fsd:region:cn"     # ends in the region's id; in the SAN of the broker's certificate
    authority = '''-----BEGIN CERTIFICATE-----...'''   # exactly one, of a certificate authority

    [endpoint]                             # host, port, server_name (a DNS name, no wildcard)
    [keys]                                 # sealing_id, sealing (X25519), receipt (Ed25519), campaigns (Ed25519)
    [redaction]                            # faces, plates, hold_ms, max_gap_ms, location, location_grid_deg

``sealing_id`` is the first 16 hex digits of the key's SHA-256, so a key pasted wrongly is noticed here and not by a
receiver that can't open what was sealed to it. A key of small order is refused: what is sealed to it, anyone opens.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import tomllib
from typing import Annotated, Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fsd_agent.records.region import (
    Endpoint,
    FaceRule,
    LocationRule,
    PlateRule,
    RedactionRules,
    RegionPolicy,
)
from fsd_agent.wire.envelope import key_id_of

FORMAT = 1
MAX_POLICY_BYTES = 64 * 1024
"""A policy with one certificate is about 2 KiB."""
NS_PER_MS = 1_000_000

_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=60_000)]
_DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?\Z"
)


class PolicyError(Exception):
    """The policy can't be used; the message names the file, the field and the reason."""


class _Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:-]+\Z")]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    server_name: str


class _Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sealing_id: str
    sealing: str
    receipt: str
    campaigns: str


class _Redaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    faces: FaceRule
    plates: PlateRule
    hold_ms: _Milliseconds
    max_gap_ms: _Milliseconds
    location: LocationRule
    location_grid_deg: Annotated[float, msgspec.Meta(gt=0, le=10)]
    """Also where it is not used: a rule changed to ``coarse`` later has no hidden default."""


class _Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    region: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    version: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    jurisdictions: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")], ...],
        msgspec.Meta(min_length=1, max_length=250),
    ]
    identity_uri: Annotated[str, msgspec.Meta(pattern=r"^urn:[a-z0-9][a-z0-9:.-]*\Z", max_length=128)]
    authority: str
    endpoint: _Endpoint
    keys: _Keys
    redaction: _Redaction


def decode_policy(data: bytes, name: str) -> RegionPolicy:
    """Read a policy file; ``name`` is how errors call it. Raises :class:`PolicyError`."""
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyError(f"{name}: {len(data)} bytes, at most {MAX_POLICY_BYTES}")
    try:
        raw = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # TOML and UTF-8 errors are ValueErrors
        raise PolicyError(f"{name}: not TOML: {error}") from error
    try:
        return _to_record(msgspec.convert(raw, _Policy, strict=True))
    except (msgspec.ValidationError, _FieldError) as error:
        raise PolicyError(f"{name}: {error}") from error


def encode_policy(policy: RegionPolicy) -> bytes:
    """Write a policy file; raises :class:`PolicyError` if it would be refused."""
    rules, endpoint = policy.redaction, policy.endpoint
    head = {
        "format": FORMAT,
        "region": policy.region_id,
        "version": policy.version,
        "jurisdictions": list(policy.jurisdictions),
        "identity_uri": policy.identity_uri,
    }
    tables: dict[str, dict[str, str | int | float]] = {
        "endpoint": {"host": endpoint.host, "port": endpoint.port, "server_name": endpoint.server_name},
        "keys": {
            "sealing_id": policy.sealing_key_id,
            "sealing": _base64(policy.sealing_public_key),
            "receipt": _base64(policy.receipt_public_key),
            "campaigns": _base64(policy.campaign_public_key),
        },
        "redaction": {
            "faces": str(rules.faces),
            "plates": str(rules.plates),
            "hold_ms": _whole_ms("hold_ns", rules.hold_ns),
            "max_gap_ms": _whole_ms("max_gap_ns", rules.max_gap_ns),
            "location": str(rules.location),
            "location_grid_deg": rules.location_grid_deg,
        },
    }
    pem = policy.authority_pem.decode("ascii", errors="replace").strip()
    lines = [f"# Policy of region {policy.region_id}: public, given to every vehicle that it serves."]
    # A JSON string, number or array of strings is also a TOML value.
    lines += [f"{key} = {json.dumps(value)}" for key, value in head.items()]
    lines.append(f"authority = '''\n{pem}\n'''")
    for table, values in tables.items():
        lines += ["", f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    data = ("\n".join(lines) + "\n").encode()
    decode_policy(data, f"policy of region {policy.region_id!r}")
    return data


class _FieldError(Exception):
    """A field that has the right type and the wrong value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{reason} - at `$.{field}`")


def _to_record(file: _Policy) -> RegionPolicy:
    if len(set(file.jurisdictions)) != len(file.jurisdictions):
        raise _FieldError("jurisdictions", "a jurisdiction is given twice")
    if file.identity_uri.rpartition(":")[2] != file.region:
        raise _FieldError("identity_uri", f"must end in ':{file.region}', the region it identifies")
    if not _DNS_NAME.match(file.endpoint.server_name):
        raise _FieldError("endpoint.server_name", "must be a DNS name in lower case, without wildcards")
    sealing = _key("keys.sealing", file.keys.sealing)
    if file.keys.sealing_id != key_id_of(sealing):
        raise _FieldError(
            "keys.sealing_id", f"{file.keys.sealing_id!r} is not this key's id {key_id_of(sealing)!r}"
        )
    _check_x25519("keys.sealing", sealing)
    rules = file.redaction
    return RegionPolicy(
        region_id=file.region,
        version=file.version,
        jurisdictions=file.jurisdictions,
        endpoint=Endpoint(file.endpoint.host, file.endpoint.port, file.endpoint.server_name),
        authority_pem=_authority(file.authority),
        identity_uri=file.identity_uri,
        sealing_key_id=file.keys.sealing_id,
        sealing_public_key=sealing,
        receipt_public_key=_key("keys.receipt", file.keys.receipt),
        campaign_public_key=_key("keys.campaigns", file.keys.campaigns),
        redaction=RedactionRules(
            faces=rules.faces,
            plates=rules.plates,
            hold_ns=rules.hold_ms * NS_PER_MS,
            max_gap_ns=rules.max_gap_ms * NS_PER_MS,
            location=rules.location,
            location_grid_deg=rules.location_grid_deg,
        ),
    )


def _key(field: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _FieldError(field, f"not base64: {error}") from error
    if len(key) != 32:
        raise _FieldError(field, f"{len(key)} bytes, a raw key has 32")
    return key


def _check_x25519(field: str, key: bytes) -> None:
    """A point of small order makes every shared secret zero (RFC 7748, section 6.1)."""
    probe = X25519PrivateKey.from_private_bytes(bytes(31) + b"\x40")
    try:
        probe.exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError as error:
        raise _FieldError(field, "not a usable X25519 public key (small order)") from error


def _authority(pem: str) -> bytes:
    """One certificate that may sign others. More would widen whom the vehicle trusts without anyone noticing."""
    try:
        certificates = x509.load_pem_x509_certificates(pem.encode())
        constraints = certificates[0].extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise _FieldError("authority", f"not a certificate of an authority: {error}") from error
    if len(certificates) != 1:
        raise _FieldError("authority", f"{len(certificates)} certificates, exactly one is trusted")
    if not constraints.ca:
        raise _FieldError("authority", "the certificate is not an authority's (basicConstraints CA is false)")
    return pem.strip().encode() + b"\n"


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode("ascii")


def _whole_ms(field: str, ns: int) -> int:
    if ns % NS_PER_MS:
        raise PolicyError(f"{field}: {ns} is not a whole number of milliseconds")
    return ns // NS_PER_MS
