"""Region policy: everything a vehicle must know of a region, signed by the region's root key.

A vehicle gets a signed envelope (:mod:`fsd_agent.wire.envelope`, context ``policy``). Its payload is the text that the
region's operator edits: format 2, TOML, unknown keys refused; keys are base64 of the raw 32 bytes::

    format = 2
    region = "cn"                          # 1 to 32 of [a-z0-9-]
    version = 1                            # grows with every change
    issued = "2026-11-20T10:00:00Z"        # when it was signed
    jurisdictions = ["CN"]                 # ISO 3166-1 alpha-2
    identity_uri = "urn:fsd:region:cn"     # ends in the region's id; in the SAN of the broker's certificate
    data_classes = ["detections", "exterior_video", "location", "signals"]   # also: cabin_video, audio
    retention_days = 365                   # how long the region keeps a clip
    export = "never"                       # or at_data_centre_after_approval
    left_clips = "deliver"                 # or erase: clips of this region when the vehicle belongs elsewhere
    metered_bytes_per_day = 50_000_000     # most that a vehicle may send it over metered links; left out: no limit
    metered_bytes_per_month = 500_000_000  # the same of a month, of UTC; the vehicle's owner has limits beside it
    transfer = "vehicle_topics"            # or file_async: how clips travel; left out: vehicle_topics
    broker_pins = []                       # SHA-256 of the keys that brokers may have, base64; none: any certified
    authority = '''-----BEGIN CERTIFICATE-----...'''   # exactly one, of a certificate authority

    [[endpoints]]                          # in the order in which they are tried
    host = "203.0.113.7"                   # a DNS name or an address
    addresses = ["203.0.113.7"]            # all that a name may turn out to be; no other is dialled
    port = 8883
    server_name = "broker.cn.fsd.invalid"  # a DNS name, no wildcard
    country = "CN"                         # where it stands

    [keys]
    seal_to = "0123456789abcdef"           # the sealing key that clips are sealed to
    [keys.sealing]                         # X25519, by id; the others still open what was sealed to them
    [keys.receipt]                         # Ed25519, by id; each may sign receipts
    [keys.campaigns]                       # Ed25519, by id; each may sign campaign sets

    [redaction]                            # faces, plates, hold_ms, max_gap_ms, location, location_grid_deg
    strictness = "standard"                # or strict; left out: standard
    fill = "solid"                         # or pixelate; left out: solid

    [[zones]]                              # nothing is collected inside; any number, also none
    name = "harbour"
    type = "Polygon"                       # or MultiPolygon
    coordinates = [[[121.5, 31.2], [121.6, 31.2], [121.6, 31.3], [121.5, 31.2]]]   # GeoJSON: longitude first

An id is the first 16 hex digits of its key's SHA-256, so a key pasted wrongly is noticed here and not by a
receiver that can't open what was sealed to it. A key of small order is refused: what is sealed to it, anyone opens, and
what is checked with it, anyone signs.

Whether a policy may serve its jurisdictions at all is decided by ``rules.residency.jurisdictions``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Hashable, Sequence

import msgspec

from fsd_agent.records.byte_limits import ByteLimits
from fsd_agent.records.region import RedactionRules, RegionPolicy
from fsd_agent.wire.envelope import (
    POLICY,
    EnvelopeError,
    key_id_of,
    open_envelope,
    public_key_of,
    seal_envelope,
)
from fsd_agent.wire.moments import MomentError, decode_moment
from fsd_agent.wire.policy_file import PolicyFile
from fsd_agent.wire.policy_parts import (
    FieldError,
    authority_of,
    decode_key,
    endpoint_of,
    sealing_keys,
    signing_keys,
    zone_of,
)
from fsd_agent.wire.policy_text import NS_PER_MS, write_policy

MAX_POLICY_BYTES = 256 * 1024
"""A policy with one certificate is about 3 KiB; the rest is for zones, about 10,000 corners."""
MAX_SIGNED_POLICY_BYTES = MAX_POLICY_BYTES + 512
"""With its envelope."""


class PolicyError(Exception):
    """The policy can't be used; the message names the file, the field and the reason."""


def sign_policy(text: bytes, private_key: bytes, name: str) -> bytes:
    """The signed policy, by the region's raw Ed25519 root key; raises :class:`PolicyError` if it would be refused."""
    decode_policy(text, name)
    return seal_envelope(POLICY, text, key_id_of(public_key_of(private_key)), private_key)


def open_policy(signed: bytes, root: bytes, name: str) -> bytes:
    """The text of a policy that ``root`` (raw Ed25519) signed; raises :class:`PolicyError`."""
    if len(signed) > MAX_SIGNED_POLICY_BYTES:
        raise PolicyError(f"{name}: more than {MAX_SIGNED_POLICY_BYTES} bytes")
    try:
        return open_envelope(signed, POLICY, root)
    except EnvelopeError as error:
        raise PolicyError(f"{name}: {error}") from error


def decode_policy(data: bytes, name: str) -> RegionPolicy:
    """Read the text of a policy; ``name`` is how errors call it. Raises :class:`PolicyError`."""
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyError(f"{name}: {len(data)} bytes, at most {MAX_POLICY_BYTES}")
    try:
        raw = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # TOML and UTF-8 errors are ValueErrors
        raise PolicyError(f"{name}: not TOML: {error}") from error
    try:
        return _to_record(msgspec.convert(raw, PolicyFile))
    except (msgspec.ValidationError, FieldError) as error:
        raise PolicyError(f"{name}: {error}") from error


def encode_policy(policy: RegionPolicy) -> bytes:
    """Write the text of a policy; raises :class:`PolicyError` if it would be refused."""
    name = f"policy of region {policy.region_id!r}"
    try:
        data = write_policy(policy).encode()
    except ValueError as error:
        raise PolicyError(f"{name}: {error}") from error
    decode_policy(data, name)
    return data


def _to_record(file: PolicyFile) -> RegionPolicy:
    _once("jurisdictions", file.jurisdictions)
    _once("data_classes", file.data_classes)
    _once("zones", [zone.name for zone in file.zones])
    if file.identity_uri.rpartition(":")[2] != file.region:
        raise FieldError("identity_uri", f"must end in ':{file.region}', the region it identifies")
    try:
        issued = decode_moment(file.issued)
    except MomentError as error:
        raise FieldError("issued", str(error)) from error
    endpoints = tuple(endpoint_of(number, one) for number, one in enumerate(file.endpoints))
    _once("endpoints", [(one.host, one.port) for one in endpoints])
    rules = file.redaction
    return RegionPolicy(
        region_id=file.region,
        version=file.version,
        issued_wall_ns=issued,
        jurisdictions=file.jurisdictions,
        endpoints=endpoints,
        authority_pem=authority_of(file.authority),
        broker_pins=tuple(decode_key("broker_pins", pin) for pin in file.broker_pins),
        identity_uri=file.identity_uri,
        sealing_keys=sealing_keys(file.keys),
        receipt_keys=signing_keys("keys.receipt", file.keys.receipt),
        campaign_keys=signing_keys("keys.campaigns", file.keys.campaigns),
        redaction=RedactionRules(
            faces=rules.faces,
            plates=rules.plates,
            hold_ns=rules.hold_ms * NS_PER_MS,
            max_gap_ns=rules.max_gap_ms * NS_PER_MS,
            location=rules.location,
            location_grid_deg=rules.location_grid_deg,
            strictness=rules.strictness,
            fill=rules.fill,
        ),
        zones=tuple(zone_of(number, zone) for number, zone in enumerate(file.zones)),
        data_classes=frozenset(file.data_classes),
        retention_days=file.retention_days,
        export=file.export,
        left_clips=file.left_clips,
        metered=ByteLimits(file.metered_bytes_per_day, file.metered_bytes_per_month),
        transfer=file.transfer,
    )


def _once(field: str, values: Sequence[Hashable]) -> None:
    if len(set(values)) != len(values):
        raise FieldError(field, "one of them is given twice")
