"""Reads what an audit is made of: ledger files, regions' directories, heads that were told. Judges nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.ledger import Head
from fsd_agent.rules.audit.clip_account import AtRegion, GoneAtRegion, RegionView
from fsd_agent.rules.audit.findings import Finding, FindingKind
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.ledger import LedgerFormatError, Signed, decode_head
from fsd_agent.wire.ledger_file import Segment, read_segment
from fsd_tools.errors import ToolError, UsageError
from fsd_tools.region.enrolled import is_vehicle, load_enrolled
from fsd_tools.region.expired import Expired, read_expiry
from fsd_tools.region.heads import HeadStore
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy
from fsd_tools.region.store import StoredClip, StoreError


def read_ledger(folder: Path) -> tuple[list[tuple[str, Segment]], list[Finding]]:
    """(name, content) of every file, oldest first, and those that are none. Raises :class:`ToolError`."""
    try:
        paths = segment_paths(folder)
    except SpoolError as error:
        raise ToolError(str(error)) from None
    segments, findings = [], []
    for path in paths:
        try:
            segments.append((path.name, read_segment(path.read_bytes())))
        except LedgerFormatError as error:
            findings.append(Finding(FindingKind.BAD_FILE, path.name, None, str(error)))
    return segments, findings


def parse_device_keys(texts: Sequence[str]) -> dict[str, bytes]:
    """Base64 of raw Ed25519 public keys, by key id; raises :class:`UsageError`."""
    keys = {}
    for text in texts:
        try:
            key = base64.b64decode(text, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != 32:
            raise UsageError(f"--device-key {text!r} is not the base64 of 32 bytes.")
        keys[key_id_of(key)] = key
    return keys


def enrolled_keys(region: RegionDir) -> dict[str, tuple[str, bytes]]:
    """(vehicle, device key) of every vehicle enrolled with a region, by key id; former keys too, however long ago.

    Raises :class:`ToolError`.
    """
    found = {}
    for path in sorted(region.vehicle("any").parent.glob("*.toml")):
        known = load_enrolled(path)
        if known is not None:
            keys = (known.device_key, *(former.key for former in known.former))
            found.update({key_id_of(key): (path.stem, key) for key in keys})
    return found


def former_keys(region_dirs: Sequence[Path]) -> frozenset[str]:
    """Ids of keys that a region lists as former ones: it knows what came after them. Raises :class:`ToolError`."""
    known = [
        load_enrolled(path)
        for one in region_dirs
        for path in RegionDir(one).vehicle("any").parent.glob("*.toml")
    ]
    return frozenset(key_id_of(former.key) for one in known if one is not None for former in one.former)


def known_keys(region_dirs: Sequence[Path], given: Mapping[str, bytes]) -> dict[str, bytes]:
    """Device public keys by key id: those given, and those enrolled with regions. Raises :class:`ToolError`."""
    enrolled = [enrolled_keys(RegionDir(path)) for path in region_dirs]
    return dict(given) | {key_id: key for one in enrolled for key_id, (_, key) in one.items()}


def read_region(region: RegionDir, vehicles: Collection[str]) -> RegionView:
    """A region's policy, and the clips that it holds of these vehicles. Raises :class:`ToolError`."""
    policy = load_policy(region)
    clips: dict[str, AtRegion] = {}
    for vehicle in sorted(set(vehicles)):
        if not is_vehicle(vehicle):
            continue
        for path in sorted(path for root in region.holding for path in (root / vehicle).glob("*.json")):
            try:
                stored = msgspec.json.decode(path.read_bytes(), type=StoredClip)
                clips[stored.clip_id] = AtRegion(
                    stored.vehicle, bytes.fromhex(stored.sealed_sha256), str(path)
                )
            except (msgspec.DecodeError, ValueError) as error:
                raise ToolError(f"{path}: {error}") from error
    expired = _expired(region, vehicles)
    return RegionView(policy.region_id, policy.identity_uri, policy.receipt_public_keys, clips, expired)


def _expired(region: RegionDir, vehicles: Iterable[str]) -> dict[str, GoneAtRegion]:
    found: dict[str, GoneAtRegion] = {}
    records = Expired(region.expired)
    for vehicle in sorted(set(vehicles)):
        for path in records.files(vehicle) if is_vehicle(vehicle) else ():
            try:
                one = read_expiry(path)
                held = AtRegion(one.vehicle, bytes.fromhex(one.sealed_sha256), str(path))
                found[one.clip_id] = GoneAtRegion(one.envelope, held)
            except (StoreError, ValueError) as error:
                raise ToolError(f"{path}: {error}") from error
    return found


def told_heads(region: RegionDir, vehicles: Iterable[str]) -> list[tuple[str, Signed[Head]]]:
    """What these vehicles told a region of their ledgers. Raises :class:`ToolError`."""
    store = HeadStore(region.heads)
    checked = [vehicle for vehicle in sorted(set(vehicles)) if is_vehicle(vehicle)]
    return read_heads([path for vehicle in checked for path in store.files(vehicle)])


def read_heads(paths: Sequence[Path]) -> list[tuple[str, Signed[Head]]]:
    """Signed heads, one a file, as vehicles told them. Raises :class:`ToolError`."""
    found = []
    for path in paths:
        try:
            found.append((str(path), decode_head(path.read_bytes())))
        except LedgerFormatError as error:
            raise ToolError(f"{path}: {error}") from error
    return found
