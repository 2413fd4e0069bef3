"""A region's policy from draft to signed: the operator edits ``region.toml``, the root key signs ``region.signed``.

The version is not the operator's to remember: signing a changed draft takes one more than the newest signed version,
and writes it and the moment into the draft. A draft that vehicles would refuse is not signed.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from fsd_agent.adapters.durable import write_file
from fsd_agent.adapters.key_files import KeyFileError, read_private
from fsd_agent.adapters.trust_files import read_public_keys
from fsd_agent.ports.spool import SpoolError
from fsd_agent.ports.trust_store import TrustError
from fsd_agent.records.region import RegionPolicy
from fsd_agent.rules.residency.jurisdictions import violations
from fsd_agent.wire.envelope import public_key_of
from fsd_agent.wire.moments import NS_PER_S, encode_moment
from fsd_agent.wire.policy import (
    MAX_SIGNED_POLICY_BYTES,
    PolicyError,
    decode_policy,
    open_policy,
    sign_policy,
)
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir

_VERSION = re.compile(r"^version[ \t]*=.*$", re.MULTILINE)
_ISSUED = re.compile(r"^issued[ \t]*=.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Signed:
    """What signing did."""

    policy: RegionPolicy
    changed: bool
    """False where the draft is what was signed already."""


def read_signed_text(region: RegionDir) -> bytes:
    """The text of the newest signed policy, verified with the region's own root. ``PolicyError``, ``OSError``."""
    with region.signed_policy.open("rb") as file:
        signed = file.read(MAX_SIGNED_POLICY_BYTES + 1)
    try:
        root, *more = read_public_keys(region.root_public)
    except TrustError as error:
        raise PolicyError(str(error)) from error
    if more:
        raise PolicyError(f"{region.root_public}: {len(more) + 1} keys, a region has one root")
    return open_policy(signed, root, str(region.signed_policy))


def read_signed(region: RegionDir) -> RegionPolicy:
    """The newest signed policy. Raises ``PolicyError`` and ``OSError``."""
    return decode_policy(read_signed_text(region), str(region.signed_policy))


def read_draft(region: RegionDir) -> tuple[bytes, RegionPolicy]:
    """The draft's text and what it says; raises :class:`ToolError` for one that vehicles would refuse."""
    try:
        text = region.policy.read_bytes()
        policy = decode_policy(text, str(region.policy))
    except OSError as error:
        raise ToolError(f"{region.policy}: {error.strerror}") from None
    except PolicyError as error:
        raise ToolError(str(error)) from None
    broken = violations(policy)
    if broken:
        raise ToolError("\n".join(f"{region.policy}: {one}" for one in broken))
    return text, policy


def sign_draft(region: RegionDir, now: dt.datetime) -> Signed:
    """Sign the draft as the next version, if it says anything new; raises :class:`ToolError`."""
    text, draft = read_draft(region)
    try:
        before = read_signed_text(region) if region.signed_policy.exists() else b""
        signed = decode_policy(before, str(region.signed_policy)) if before else None
        if text == before:
            return Signed(draft, changed=False)
        if signed is not None and signed.region_id != draft.region_id:
            raise ToolError(f"{region.policy}: region: {draft.region_id!r}, but this is {signed.region_id!r}")
        version = max(draft.version, signed.version + 1 if signed is not None else 1)
        text = _stamped(region, text.decode(), version, now).encode()
        key = read_private(region.root_key, 32)
        if public_key_of(key) not in read_public_keys(region.root_public):
            raise ToolError(f"{region.root_key}: is not the key that {region.root_public} shows")
        envelope = sign_policy(text, key, str(region.policy))
        write_file(region.policy, [text])
        write_file(region.signed_policy, [envelope])
    except (PolicyError, KeyFileError, TrustError, SpoolError) as error:
        raise ToolError(str(error)) from None
    except OSError as error:
        raise ToolError(f"{error.filename}: {error.strerror}") from None
    return Signed(decode_policy(text, str(region.policy)), changed=True)


def _stamped(region: RegionDir, text: str, version: int, now: dt.datetime) -> str:
    """The draft with its new version and moment; everything else, comments too, stays as it was written."""
    for field, pattern, line in (
        ("version", _VERSION, f"version = {version}"),
        ("issued", _ISSUED, f'issued = "{encode_moment(int(now.timestamp()) * NS_PER_S)}"'),
    ):
        text, count = pattern.subn(line, text, count=1)
        if count != 1:
            raise ToolError(f"{region.policy}: {field}: must stand in a line of its own")
    return text
