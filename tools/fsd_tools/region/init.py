"""Make a region: root, authority, broker, receiver, operator, observer, signed policy. All of it or nothing.

Everything is made in a folder beside the target, which then gets its name in one step; a folder that has anything in
it is never touched.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fsd_agent.adapters.key_files import KeyFileError, write_private
from fsd_agent.adapters.trust_files import public_key_text
from fsd_agent.records.region import Endpoint, RegionPolicy, TransferProfile
from fsd_agent.rules.residency.jurisdictions import violations
from fsd_agent.wire.moments import NS_PER_S
from fsd_agent.wire.policy import PolicyError, encode_policy, sign_policy
from fsd_tools.errors import ToolError
from fsd_tools.region.authority import (
    Authority,
    certificate_pem,
    issue_broker,
    issue_client,
    key_pem,
    new_authority,
    new_key,
    request_client,
)
from fsd_tools.region.broker import OBSERVER, OPERATOR, RECEIVER, broker_acl, broker_conf
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.policy import PublicKeys, RedactionChoice, identity_uri, new_policy, server_name


def init_region(
    root: Path,
    region_id: str,
    jurisdictions: Sequence[str],
    *,
    endpoint: Endpoint,
    redaction: RedactionChoice,
    now: dt.datetime,
    transfer: TransferProfile = TransferProfile.VEHICLE_TOPICS,
) -> RegionPolicy:
    """Make a region's directory at ``root``; raises :class:`ToolError`."""
    if root.is_symlink() or (root.exists() and not (root.is_dir() and not any(root.iterdir()))):
        raise ToolError(f"{root}: exists and is not an empty folder; a region is never overwritten")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.", suffix=".partial") as work:
            made = RegionDir(Path(work) / "region")
            policy = _make(
                made, RegionDir(root), region_id, jurisdictions, endpoint, redaction, now, transfer
            )
            made.root.rename(root)
    except (PolicyError, KeyFileError) as error:
        raise ToolError(str(error)) from error
    except OSError as error:
        raise ToolError(f"{error.filename or root}: {error.strerror}") from error
    return policy


def write_broker_files(region: RegionDir, final: RegionDir, policy: RegionPolicy) -> None:
    """Write mosquitto's configuration and ACL into ``region``, with the paths of ``final``."""
    region.broker_data.mkdir(parents=True, exist_ok=True)
    region.broker_acl.write_text(broker_acl(policy), encoding="utf-8")
    region.broker_acl.chmod(0o600)
    region.broker_conf.write_text(broker_conf(final, policy.endpoints[0]), encoding="utf-8")


def _make(
    region: RegionDir,
    final: RegionDir,
    region_id: str,
    jurisdictions: Sequence[str],
    endpoint: Endpoint,
    redaction: RedactionChoice,
    now: dt.datetime,
    transfer: TransferProfile,
) -> RegionPolicy:
    authority = new_authority(region_id, now)
    sealing = X25519PrivateKey.generate()
    root, receipt, campaigns = (Ed25519PrivateKey.generate() for _ in range(3))
    policy = new_policy(
        region_id,
        jurisdictions,
        endpoint=endpoint,
        redaction=redaction,
        authority_pem=certificate_pem(authority.certificate),
        keys=PublicKeys(
            sealing.public_key().public_bytes_raw(),
            receipt.public_key().public_bytes_raw(),
            campaigns.public_key().public_bytes_raw(),
        ),
        now_ns=int(now.timestamp()) * NS_PER_S,
        transfer=transfer,
    )
    text = encode_policy(policy)
    broken = violations(policy)
    if broken:
        raise ToolError(f"region {region_id!r}: {'; '.join(broken)}")
    region.root.mkdir(mode=0o700)
    write_private(region.authority_key, key_pem(authority.key))
    region.authority_cert.write_bytes(certificate_pem(authority.certificate))
    for path, key in (
        (region.root_key, root),
        (region.sealing_key, sealing),
        (region.receipt_key, receipt),
        (region.campaign_key, campaigns),
    ):
        write_private(path, key.private_bytes_raw())
    _certify(region, authority, region_id, now)
    write_broker_files(region, final, policy)
    for folder in (region.store, region.incoming, region.root / "vehicles"):
        folder.mkdir(mode=0o700)
    public = root.public_key().public_bytes_raw()
    region.root_public.write_text(public_key_text(public, f"root of region {region_id}"), encoding="ascii")
    region.policy.write_bytes(text)
    region.signed_policy.write_bytes(sign_policy(text, root.private_bytes_raw(), str(final.policy)))
    return policy


def _certify(region: RegionDir, authority: Authority, region_id: str, now: dt.datetime) -> None:
    """Keys and certificates of the broker, the receiver, the operator and the observer."""
    key = new_key()
    broker = issue_broker(
        authority,
        key.public_key(),
        server_name=server_name(region_id),
        identity_uri=identity_uri(region_id),
        now=now,
    )
    write_private(region.broker_key, key_pem(key))
    region.broker_cert.write_bytes(certificate_pem(broker))
    for name, certificate_file, key_file in (
        (RECEIVER, region.receiver_cert, region.receiver_key),
        (OPERATOR, region.operator_cert, region.operator_key),
        (OBSERVER, region.observer_cert, region.observer_key),
    ):
        key = new_key()
        client = issue_client(authority, request_client(name, key), common_name=name, now=now)
        write_private(key_file, key_pem(key))
        certificate_file.write_bytes(certificate_pem(client))
