"""Reads what the catalogue of a vehicle is made of: ledger, journal, names of files, and which keys are there.

Nothing is changed, no network and no token is needed, and the agent may run. Ledger, then journal, then files: a clip
moves on in this order, so what a later source says is never older. Whatever can't be read is said in ``not_read``, and the
rest is shown. The agent's files are read as the user that they belong to (:mod:`fsd_tools.vehicle.belonging`).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fsd_agent.adapters.compartment_folders import entries_in
from fsd_agent.adapters.compartment_keys import CompartmentKeys
from fsd_agent.adapters.device_keys import DeviceKeys
from fsd_agent.adapters.key_files import VehicleDir, read_private
from fsd_agent.adapters.locker import Locker
from fsd_agent.adapters.sqlite_reader import CollectedReading
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.ports.spool import SpoolError
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.ledger import Fired, FiringDropped, Registered, Sealed
from fsd_agent.records.purpose import Compartment
from fsd_agent.records.region import RegionPolicy
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Examined, Located, examine
from fsd_agent.rules.audit.clip_account import ClipAccount
from fsd_agent.rules.audit.findings import Finding, FindingKind
from fsd_agent.rules.spool.names import SEALED_SUFFIX, STAGED_SUFFIX
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.ledger_file import Segment
from fsd_agent.wire.receipt import verify_receipt
from fsd_agent.wire.rotation import linked_key_ids
from fsd_agent.wire.verdict import VerdictError
from fsd_tools.audit.sources import read_ledger
from fsd_tools.errors import ToolError
from fsd_tools.rights.entries import Delivery, Entry, FiringFact, Known, catalogue
from fsd_tools.vehicle.belonging import FRESH, as_owner, belonging_of, read_all_collected, read_kept
from fsd_tools.vehicle.identity import enrolled_as, plain_errors

Dropped = tuple[tuple[str, str, int], ...]
"""(campaign, reason, how many firings)."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What was collected from a vehicle, as far as it could be read."""

    vehicle: str
    """Its pseudonym; empty where nothing names it."""
    entries: tuple[Entry, ...]
    dropped: Dropped
    sealed: Mapping[str, Compartment]
    """Files in the spool, by clip id."""
    policies: Mapping[str, RegionPolicy]
    """In force on the vehicle, by region."""
    not_read: tuple[str, ...]
    """What could not be read or does not hold, in words."""


def read_vehicle(vehicle_dir: Path, data_dir: Path) -> Collected:
    """Look at everything once. Raises :class:`ToolError` only where ``vehicle_dir`` is none."""
    if not vehicle_dir.is_dir():
        raise ToolError(f"{vehicle_dir}: is not a vehicle's directory")
    said: list[str] = []
    examined, accounts = _ledger(vehicle_dir, data_dir, said)
    journal = _journal(data_dir, said)
    sealed = _files(data_dir / "spool", SEALED_SUFFIX, said)
    staged = _files(data_dir / "staging", STAGED_SUFFIX, said)
    rows = {row.clip_id: row for row in journal.clips}
    policies = _policies(vehicle_dir, data_dir, said)
    vehicle = _pseudonym(vehicle_dir, examined.records, said)
    known = Known(
        accounts=accounts,
        rows=rows,
        firings=_firings(examined.records, journal),
        deliveries=_deliveries(vehicle, accounts, rows, journal.receipts, policies),
        sealed=sealed,
        staged=staged,
        keys=_keys(vehicle_dir, said),
    )
    dropped = _dropped(examined.records, journal)
    return Collected(vehicle, catalogue(known), dropped, sealed, policies, tuple(dict.fromkeys(said)))


def _ledger(vehicle_dir: Path, data_dir: Path, said: list[str]) -> tuple[Examined, dict[str, ClipAccount]]:
    """What stands in the ledger, checked with the vehicle's own keys; damage is said, the readable rest is used.

    A torn end is none: the agent may just be writing.
    """
    folder = data_dir / "ledger"
    try:
        with as_owner(data_dir):
            if not {path.name for path in data_dir.iterdir()} - FRESH:
                return Examined(), {}
            segments, unreadable = _segments(folder)
    except (ToolError, OSError) as error:
        said.append(f"ledger: {_words(folder, error)}")
        return Examined(), {}
    keys, former = _device_keys(vehicle_dir, said)
    examined = examine(segments, keys, former=former)
    accounts, wrong = account(examined.records, {}, examined.start)
    findings = [*unreadable, *examined.findings, *wrong]
    said += [f"ledger: {one}" for one in findings if one.kind is not FindingKind.TORN]
    return examined, accounts


def _segments(folder: Path) -> tuple[list[tuple[str, Segment]], list[Finding]]:
    """Once more where a file has gone in between: an agent that runs has just removed its oldest."""
    try:
        return read_ledger(folder)
    except FileNotFoundError:
        return read_ledger(folder)


def _device_keys(vehicle_dir: Path, said: list[str]) -> tuple[dict[str, bytes], frozenset[str]]:
    """(the device's public keys by id, ids of the former ones); of a token the public half is a file."""
    files = VehicleDir(vehicle_dir)
    devices = DeviceKeys(files, None)
    try:
        in_token = files.device_token.exists()
        own = read_private(files.device_token, 32) if in_token else devices.current().public_key
        rotations = devices.rotations()
    except VehicleKeyError as error:
        said.append(f"device key: {error}")
        return {}, frozenset()
    own_ids = linked_key_ids(rotations, key_id_of(own))
    mine = [one for one in rotations if one.old_key_id in own_ids]
    keys = [own, *(key for one in mine for key in (one.old_key, one.new_key))]
    return {key_id_of(key): key for key in keys}, frozenset(one.old_key_id for one in mine)


def _journal(data_dir: Path, said: list[str]) -> CollectedReading:
    reading = read_all_collected(data_dir)
    if isinstance(reading, str):
        said.append(f"journal: {reading}")
        return CollectedReading()
    said += reading.damaged
    return reading


def _files(folder: Path, suffix: str, said: list[str]) -> dict[str, Compartment]:
    """Clips with a file in ``folder``; none where there is no such folder yet."""
    try:
        with as_owner(folder.parent):
            if not folder.exists():
                return {}
            return {clip_id: compartment for compartment, clip_id in entries_in(folder, suffix)}
    except (SpoolError, OSError) as error:
        said.append(_words(folder, error))
        return {}


def _keys(vehicle_dir: Path, said: list[str]) -> frozenset[Compartment]:
    """Which compartments have a key; the keys themselves are not read."""
    files = VehicleDir(vehicle_dir)
    try:
        return CompartmentKeys(files.compartments, Locker(files.keys, None)).all()
    except VehicleKeyError as error:
        said.append(str(error))
        return frozenset()


def _policies(vehicle_dir: Path, data_dir: Path, said: list[str]) -> dict[str, RegionPolicy]:
    """For the regions' receipt keys."""
    try:
        belonging = belonging_of(vehicle_dir, read_kept(data_dir), SystemClock())
    except ToolError as error:
        said.append(str(error))
        return {}
    return {policy.region_id: policy for policy in belonging.policies}


def _pseudonym(vehicle_dir: Path, records: Iterable[Located], said: list[str]) -> str:
    """As the newest record names it, else the certificates."""
    names = [one.entry.fact.vehicle for one in records if isinstance(one.entry.fact, Registered | Sealed)]
    if names:
        return names[-1]
    try:
        with plain_errors("certificate"):
            return enrolled_as(VehicleDir(vehicle_dir)) or ""
    except ToolError as error:
        said.append(str(error))
        return ""


def _firings(records: Iterable[Located], journal: CollectedReading) -> dict[str, tuple[FiringFact, ...]]:
    """By clip. The journal knows what the condition saw; the ledger knows firings that the journal lost."""
    found: defaultdict[str, dict[str, FiringFact]] = defaultdict(dict)
    for one in records:
        fact = one.entry.fact
        if isinstance(fact, Fired):
            found[fact.clip_id][fact.firing_id] = FiringFact(
                fact.firing_id, fact.campaign_id, fact.campaign_version, one.entry.wall_ns
            )
    for judged in journal.firings:
        firing = judged.firing
        found[judged.clip_id or ""][judged.firing_id] = FiringFact(
            judged.firing_id, firing.campaign_id, firing.campaign_version, judged.wall_ns, firing.evidence
        )
    return {clip_id: tuple(sorted(by_id.values(), key=_when)) for clip_id, by_id in found.items()}


def _when(firing: FiringFact) -> tuple[int, str]:
    return firing.wall_ns, firing.firing_id


def _dropped(records: Iterable[Located], journal: CollectedReading) -> Dropped:
    """As the journal counts them for its whole life; where it can't be read, as the ledger still has them."""
    if journal.dropped:
        return tuple((campaign, str(reason), count) for campaign, reason, count in journal.dropped)
    facts = [one.entry.fact for one in records]
    counted = Counter((one.campaign_id, str(one.reason)) for one in facts if isinstance(one, FiringDropped))
    return tuple((campaign, reason, count) for (campaign, reason), count in sorted(counted.items()))


def _deliveries(
    vehicle: str,
    accounts: Mapping[str, ClipAccount],
    rows: Mapping[str, ClipRow],
    receipts: Mapping[str, bytes],
    policies: Mapping[str, RegionPolicy],
) -> dict[str, Delivery]:
    """Every receipt that ledger or journal holds, verified where the region's policy is in force here."""
    kept = {clip_id: one.receipted.receipt for clip_id, one in accounts.items() if one.receipted is not None}
    found = {}
    for clip_id, receipt in (dict(receipts) | kept).items():
        one, row = accounts.get(clip_id), rows.get(clip_id)
        file = one.file if one is not None else None
        region_id = row.region_id if row is not None else one.region_id if one is not None else ""
        sha256 = file[1] if file is not None else row.sha256 if row is not None else b""
        about = (clip_id, region_id, file[0] if file is not None else vehicle, sha256)
        found[clip_id] = _delivery(receipt, about, policies.get(region_id))
    return found


def _delivery(receipt: bytes, about: tuple[str, str, str, bytes], policy: RegionPolicy | None) -> Delivery:
    clip_id, region_id, vehicle, sha256 = about
    digest = hashlib.sha256(receipt).hexdigest()
    if policy is None:
        return Delivery(region_id, digest, None, f"no policy of region {region_id} is in force here")
    try:
        said = verify_receipt(
            receipt,
            policy.receipt_public_keys,
            clip_id=clip_id,
            region_id=region_id,
            vehicle=vehicle,
            sha256=sha256,
        )
    except VerdictError as error:
        return Delivery(region_id, digest, None, str(error))
    return Delivery(region_id, digest, said.stored_wall_ns)


def _words(path: Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{path}: can't be read: {error.strerror}"
    return str(error)
