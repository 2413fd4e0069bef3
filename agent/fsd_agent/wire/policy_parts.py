"""From the members of a policy file to values: what has the right type is checked for its meaning."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Mapping

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fsd_agent.records.region import Endpoint, RegionKey, SensitiveZone
from fsd_agent.records.zone import Zone, ZoneError
from fsd_agent.wire.curve import ed25519_fault
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.policy_file import EndpointFile, KeysFile, MultiPolygonFile, PolygonFile, Rings

_DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?\Z"
)


class FieldError(Exception):
    """A field that has the right type and the wrong value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{reason} - at `$.{field}`")


def endpoint_of(number: int, file: EndpointFile) -> Endpoint:
    """An endpoint with every address that may be dialled for it."""
    field = f"endpoints[{number}]"
    if not _DNS_NAME.match(file.server_name):
        raise FieldError(f"{field}.server_name", "must be a DNS name in lower case, without wildcards")
    addresses = tuple(_address(f"{field}.addresses[{at}]", text) for at, text in enumerate(file.addresses))
    if len(set(addresses)) != len(addresses):
        raise FieldError(f"{field}.addresses", "an address is given twice")
    own = _ip(file.host)
    if own is not None and addresses not in {(), (own,)}:
        raise FieldError(f"{field}.addresses", f"the host is the address {own}: give that one or none")
    if own is None and not addresses:
        raise FieldError(
            f"{field}.addresses", f"{file.host!r} is a name: give every address that it may turn out to be"
        )
    return Endpoint(file.host, addresses or (str(own),), file.port, file.server_name, file.country)


def _address(field: str, text: str) -> str:
    """In its one spelling, so that two lists can be compared."""
    found = _ip(text)
    if found is None:
        raise FieldError(field, f"{text[:60]!r} is not an IP address")
    if found != text:
        raise FieldError(field, f"{text[:60]!r} is usually written {found}")
    address = ipaddress.ip_address(found)
    if address.is_multicast or address.is_unspecified or getattr(address, "ipv4_mapped", None):
        raise FieldError(field, f"{found} is not the address of one host")
    return found


def _ip(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def sealing_keys(file: KeysFile) -> tuple[RegionKey, ...]:
    """The sealing keys, the one that clips are sealed to first."""
    keys = _keys("keys.sealing", file.sealing, _x25519_fault)
    current = [key for key in keys if key.key_id == file.seal_to]
    if not current:
        raise FieldError("keys.seal_to", f"{file.seal_to[:40]!r} is the id of none of the sealing keys")
    return (*current, *(key for key in keys if key.key_id != file.seal_to))


def signing_keys(field: str, keys: Mapping[str, str]) -> tuple[RegionKey, ...]:
    """Keys that signatures are checked with."""
    return _keys(field, keys, ed25519_fault)


def _keys(
    field: str, keys: Mapping[str, str], fault_of: Callable[[bytes], str | None]
) -> tuple[RegionKey, ...]:
    found = []
    for key_id, text in keys.items():
        key = decode_key(f"{field}.{key_id[:40]}", text)
        if key_id != key_id_of(key):
            raise FieldError(field, f"{key_id[:40]!r} is not this key's id {key_id_of(key)!r}")
        fault = fault_of(key)
        if fault is not None:
            raise FieldError(f"{field}.{key_id}", fault)
        found.append(RegionKey(key_id, key))
    return tuple(found)


def decode_key(field: str, text: str) -> bytes:
    """32 bytes out of base64."""
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise FieldError(field, f"not base64: {error}") from error
    if len(key) != 32:
        raise FieldError(field, f"{len(key)} bytes, expected 32")
    return key


def _x25519_fault(key: bytes) -> str | None:
    """A point of small order makes every shared secret zero (RFC 7748, section 6.1)."""
    probe = X25519PrivateKey.from_private_bytes(bytes(31) + b"\x40")
    try:
        probe.exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError:
        return "not a usable X25519 public key (small order)"
    return None


def authority_of(pem: str) -> bytes:
    """One certificate that may sign others. More would widen whom the vehicle trusts without anyone noticing."""
    try:
        certificates = x509.load_pem_x509_certificates(pem.encode())
        constraints = certificates[0].extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise FieldError("authority", f"not a certificate of an authority: {error}") from error
    if len(certificates) != 1:
        raise FieldError("authority", f"{len(certificates)} certificates, exactly one is trusted")
    if not constraints.ca:
        raise FieldError("authority", "the certificate is not an authority's (basicConstraints CA is false)")
    return pem.strip().encode() + b"\n"


def zone_of(number: int, file: PolygonFile | MultiPolygonFile) -> SensitiveZone:
    """GeoJSON (RFC 7946, sections 3.1.6 and 3.1.7): rings are closed, the first of a polygon is its outline."""
    field = f"zones[{number}].coordinates"
    outlines = [file.coordinates] if isinstance(file, PolygonFile) else file.coordinates
    if not outlines:
        raise FieldError(field, "no polygon")
    return SensitiveZone(file.name, tuple(_polygon(field, file.name, rings) for rings in outlines))


def _polygon(field: str, name: str, rings: Rings) -> tuple[Zone, ...]:
    if not rings:
        raise FieldError(field, "a polygon without an outline")
    found = []
    for ring in rings:
        if len(ring) < 4 or ring[0] != ring[-1]:
            raise FieldError(field, "a ring has at least four positions, and ends where it begins")
        corners = tuple((latitude, longitude) for longitude, latitude in ring[:-1])
        try:
            found.append(Zone(name, corners))
        except ZoneError as error:
            raise FieldError(field, f"{error} (GeoJSON gives longitude first)") from error
    return tuple(found)
