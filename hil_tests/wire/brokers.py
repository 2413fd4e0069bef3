"""Brokers that a vehicle must not talk to, in every region: one mosquitto, a listener for each fault.

Each of them asks for a client certificate, takes one from any region, and lets everybody do everything: where the
vehicle did not refuse, they would have its certificate and its data.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fsd_agent.adapters.key_files import write_private
from fsd_agent.records.region import RegionPolicy
from fsd_tools.region.authority import Authority, certificate_pem, key_pem, new_authority, new_key
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.mosquitto import find_mosquitto

FIRST_PORT = 8900
DAY = dt.timedelta(days=1)


class Fault(StrEnum):
    """What is wrong with a listener."""

    OPEN = "open"
    """Nothing but that it takes everybody: the region's own certificate, another configuration."""
    EXPIRED = "expired"
    FUTURE = "future"
    """Valid from three to five years from now."""
    NO_IDENTITY = "no_identity"
    TWO_IDENTITIES = "two_identities"
    WILDCARD = "wildcard"
    CLIENT_USAGE = "client_usage"
    """A vehicle's kind of certificate, posing as a broker."""
    STRANGER = "stranger"
    """The right names, from an authority that nobody knows."""
    IMPOSTOR = "impostor"
    """The names of the next region, from this region's authority."""
    SWAPPED = "swapped"
    """The next region's own certificate and key, served here: its operator copied them."""


FUTURE_FROM, FUTURE_UNTIL = 3 * 365 * DAY, 5 * 365 * DAY


def port_of(fault: Fault) -> int:
    """The listener's port, the same in every region."""
    return FIRST_PORT + list(Fault).index(fault)


def next_of(region_id: str, regions: Sequence[str]) -> str:
    """The region that :attr:`Fault.IMPOSTOR` and :attr:`Fault.SWAPPED` pose as."""
    return regions[(regions.index(region_id) + 1) % len(regions)]


@dataclass(frozen=True, slots=True)
class _Shape:
    """A broker's certificate, right in everything but what differs."""

    names: tuple[str, ...]
    uris: tuple[str, ...]
    begin: dt.datetime
    end: dt.datetime
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH


def write_brokers(
    folder: Path, region_id: str, regions: Mapping[str, RegionDir], policies: Mapping[str, RegionPolicy]
) -> list[str]:
    """Certificates and configuration for one region's faulty listeners; the command that serves them."""
    folder.mkdir(mode=0o700)
    bundle = folder / "everybody.pem"
    bundle.write_bytes(b"".join(region.authority_cert.read_bytes() for region in regions.values()))
    lines = ["per_listener_settings true", "log_dest stderr", "user root"]
    for fault in Fault:
        certificate, key = _files(folder, fault, region_id, regions, policies)
        lines += [
            f"listener {port_of(fault)} {policies[region_id].endpoints[0].host}",
            f"cafile {bundle}",
            f"certfile {certificate}",
            f"keyfile {key}",
            "require_certificate true",
            "allow_anonymous true",
            "max_packet_size 1000000",
        ]
    conf = folder / "faulty.conf"
    conf.write_text("\n".join(lines) + "\n")
    return [find_mosquitto(), "-c", str(conf)]


def _files(
    folder: Path,
    fault: Fault,
    region_id: str,
    regions: Mapping[str, RegionDir],
    policies: Mapping[str, RegionPolicy],
) -> tuple[Path, Path]:
    other = next_of(region_id, list(regions))
    if fault is Fault.OPEN:
        return regions[region_id].broker_cert, regions[region_id].broker_key
    if fault is Fault.SWAPPED:
        return regions[other].broker_cert, regions[other].broker_key
    certificate, key = folder / f"{fault}.pem", folder / f"{fault}.key"
    home = regions[region_id]
    authority = Authority.load(home.authority_cert.read_bytes(), home.authority_key.read_bytes())
    if fault is Fault.STRANGER:
        authority = new_authority(region_id, dt.datetime.now(dt.UTC))
    private = new_key()
    shape = _shape(fault, policies[region_id], policies[other])
    certificate.write_bytes(certificate_pem(_issue(authority, private.public_key(), shape)))
    write_private(key, key_pem(private))
    return certificate, key


def _shape(fault: Fault, own: RegionPolicy, other: RegionPolicy) -> _Shape:
    now = dt.datetime.now(dt.UTC)
    name, uri = own.endpoints[0].server_name, own.identity_uri
    begin, end = now - DAY / 24, now + 700 * DAY
    right = _Shape((name,), (uri,), begin, end)
    shapes = {
        Fault.EXPIRED: replace(right, begin=now - 30 * DAY, end=now - DAY),
        Fault.FUTURE: replace(right, begin=now + FUTURE_FROM, end=now + FUTURE_UNTIL),
        Fault.NO_IDENTITY: replace(right, uris=()),
        Fault.TWO_IDENTITIES: replace(right, uris=(uri, other.identity_uri)),
        Fault.WILDCARD: replace(right, names=("*." + name.partition(".")[2],)),
        Fault.CLIENT_USAGE: replace(right, usage=ExtendedKeyUsageOID.CLIENT_AUTH),
        Fault.IMPOSTOR: replace(right, names=(other.endpoints[0].server_name,), uris=(other.identity_uri,)),
    }
    return shapes.get(fault, right)


def _issue(authority: Authority, key: object, shape: _Shape) -> x509.Certificate:
    names = [*map(x509.DNSName, shape.names), *map(x509.UniformResourceIdentifier, shape.uris)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(shape.begin)
        .not_valid_after(shape.end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([shape.usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return builder.sign(authority.key, hashes.SHA256())
