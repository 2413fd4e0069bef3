"""New keys for a region, so that no clip is lost on the way.

The new key joins the draft policy beside those that are there; nothing counts before the draft is signed and given to
vehicles. What was sealed to the key before is still opened, because the receiver keeps it. Until a vehicle has the new
policy it does not believe receipts of the new key: it keeps its clips and asks again.
"""

from __future__ import annotations

import base64
import re
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fsd_agent.adapters.durable import write_file
from fsd_agent.adapters.key_files import KeyFileError, read_private, write_private
from fsd_agent.ports.spool import SpoolError
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.policy import PolicyError, decode_policy
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.signing import read_draft


class KeyPurpose(StrEnum):
    """What a key of a region is for."""

    SEALING = "sealing"
    RECEIPT = "receipt"
    CAMPAIGNS = "campaigns"


def rotate_key(region: RegionDir, purpose: KeyPurpose) -> str:
    """Make a new key, put it to use here and into the draft; returns its id. Raises :class:`ToolError`."""
    text, _ = read_draft(region)
    key = X25519PrivateKey.generate() if purpose is KeyPurpose.SEALING else Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    draft = _with_key(region, text.decode(), purpose, public)
    try:
        decode_policy(draft.encode(), str(region.policy))
        _replace(region, purpose, key.private_bytes_raw())
        write_file(region.policy, [draft.encode()])
    except (KeyFileError, PolicyError, SpoolError) as error:
        raise ToolError(str(error)) from None
    except OSError as error:
        raise ToolError(f"{error.filename}: {error.strerror}") from None
    return key_id_of(public)


def _with_key(region: RegionDir, text: str, purpose: KeyPurpose, public: bytes) -> str:
    """The draft with one more key; clips are sealed to a new sealing key from then on."""
    line = f'{key_id_of(public)} = "{base64.b64encode(public).decode("ascii")}"'
    header = re.compile(rf"^\[keys\.{purpose}\][ \t]*$", re.MULTILINE)
    text, count = header.subn(f"[keys.{purpose}]\n{line}", text, count=1)
    if purpose is KeyPurpose.SEALING:
        text, more = re.subn(
            r"^seal_to[ \t]*=.*$", f'seal_to = "{key_id_of(public)}"', text, count=1, flags=re.MULTILINE
        )
        count = min(count, more)
    if count != 1:
        raise ToolError(f"{region.policy}: the table [keys.{purpose}] does not stand in a line of its own")
    return text


def _replace(region: RegionDir, purpose: KeyPurpose, private: bytes) -> None:
    """The new private key in the place of the old one. Only a sealing key is of use afterwards, and kept."""
    path = {
        KeyPurpose.SEALING: region.sealing_key,
        KeyPurpose.RECEIPT: region.receipt_key,
        KeyPurpose.CAMPAIGNS: region.campaign_key,
    }[purpose]
    old = read_private(path, 32)
    if purpose is KeyPurpose.SEALING:
        public = X25519PrivateKey.from_private_bytes(old).public_key().public_bytes_raw()
        path.rename(region.retired_sealing_key(key_id_of(public)))
    else:
        path.unlink()
    write_private(path, private)
