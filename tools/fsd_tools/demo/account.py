"""The demo's account: what every vehicle fired, where every byte went, and what does not add up.

Three sources that do not depend on each other are compared: the events that the agents told while running, the
journals on the vehicles, and what the regions' receivers counted and stored. Where regions and vehicles ran in network
namespaces there is a fourth, which asks none of them: the packets that each region's kernel counted from each vehicle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.ports.journal import CampaignTotals
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.wire.clip import ClipFormatError, decode_clip
from fsd_tools.demo.ledgers import LedgerAccount
from fsd_tools.rig.namespaces import Count


@dataclass(slots=True)
class Heard:
    """What one vehicle's agent told."""

    fired: Counter[str] = field(default_factory=Counter)
    """By campaign."""
    stages: dict[str, set[str]] = field(default_factory=dict)
    """Clip ids by stage: ``sealed``, ``sent``, ``delivered``."""
    sensed_s: float = 0.0
    ended: bool = False
    holds: list[str] = field(default_factory=list)

    def take(self, event: Mapping[str, Any]) -> None:
        """Count one event."""
        name = event.get("event")
        if name == "fired":
            self.fired[event["campaign"]] += 1
        elif name in ("sealed", "sent", "delivered"):
            self.stages.setdefault(str(name), set()).add(event["clip"])
        elif name == "progress":
            self.sensed_s = float(event["sensed_s"])
        elif name == "ended":
            self.ended = True
        elif name == "hold":
            self.holds.append(f"{event['reason']}: {event['detail']}")

    def count(self, stage: str) -> int:
        """Clips that reached ``stage``."""
        return len(self.stages.get(stage, ()))


@dataclass(frozen=True, slots=True)
class CampaignAccount:
    """One row of the table."""

    vehicle: str
    campaign: str
    fired: int
    dropped: dict[str, int]
    redacted: int
    sent: int
    receipted: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """One clip in a region's store."""

    clip_id: str
    vehicle: str
    region: str
    path: Path
    campaigns: tuple[str, ...]
    frames: int


@dataclass(frozen=True, slots=True)
class Account:
    """Everything the demo ends with."""

    campaigns: tuple[CampaignAccount, ...]
    bytes_matrix: dict[str, dict[str, int]]
    """Bytes that each region's receiver took from each vehicle: ``[vehicle][region]``."""
    wire: dict[str, dict[str, Count]] | None
    """Packets that reached each region from each vehicle, by the kernel's counters; None where there were none."""
    arrived: tuple[Arrived, ...]
    complaints: tuple[str, ...]
    """What does not add up; empty when the demo succeeded."""
    ledgers: tuple[LedgerAccount, ...] = ()


def settle(
    journals: Mapping[str, Path],
    stores: Mapping[str, Path],
    home: Mapping[str, str],
    heard: Mapping[str, Heard],
    received: Mapping[str, Mapping[str, int]],
    wire: Mapping[str, Mapping[str, Count]] | None = None,
) -> Account:
    """Compare the sources.

    ``journals`` by vehicle, ``stores`` by region, ``home`` is each vehicle's own region, ``received`` the
    receivers' byte counts and ``wire`` the kernels' packet counts as ``[region][vehicle]``.
    """
    complaints: list[str] = []
    rows: list[CampaignAccount] = []
    arrived: list[Arrived] = []
    for vehicle, path in journals.items():
        journal = SqliteJournal(path)
        try:
            complaints += _check_firings(vehicle, journal.totals(), heard[vehicle])
            rows += _rows(vehicle, journal, heard[vehicle])
            took, wrong = _check_clips(vehicle, journal, stores[home[vehicle]], home[vehicle])
        finally:
            journal.close()
        arrived += took
        complaints += wrong
        if not took:
            complaints.append(f"{vehicle}: nothing arrived")
    matrix = {
        vehicle: {region: received.get(region, {}).get(vehicle, 0) for region in stores}
        for vehicle in journals
    }
    complaints += _check_diagonal(matrix, stores, home, arrived)
    counted = None
    if wire is not None:
        counted = {vehicle: {region: wire[region][vehicle] for region in stores} for vehicle in journals}
        complaints += _check_wire(counted, matrix, home)
    return Account(tuple(rows), matrix, counted, tuple(arrived), tuple(complaints))


def _check_wire(
    wire: Mapping[str, Mapping[str, Count]], matrix: Mapping[str, Mapping[str, int]], home: Mapping[str, str]
) -> list[str]:
    """Not a packet off the diagonal, and on it at least what the receiver says it got."""
    complaints = []
    for vehicle, regions in wire.items():
        for region, count in regions.items():
            if region != home[vehicle] and count.packets:
                complaints.append(
                    f"{count.packets} packets of {vehicle} reached {region}, which is not its region"
                )
            if count.bytes < matrix[vehicle][region]:
                complaints.append(
                    f"{vehicle}: {region} received {matrix[vehicle][region]} bytes, but {count.bytes} were on the wire"
                )
    return complaints


def _check_firings(vehicle: str, totals: Sequence[CampaignTotals], heard: Heard) -> list[str]:
    complaints = []
    for one in totals:
        dropped = sum(count for _, count in one.dropped)
        if one.fired != one.delivered + dropped:
            complaints.append(
                f"{vehicle}: {one.campaign_id}: {one.fired} fired, but {one.delivered} delivered, {dropped} dropped "
                f"and {one.in_progress} still in progress"
            )
        if heard.fired[one.campaign_id] != one.fired:
            complaints.append(
                f"{vehicle}: {one.campaign_id}: the agent told of {heard.fired[one.campaign_id]} firings, "
                f"its journal holds {one.fired}"
            )
    complaints += [
        f"{vehicle}: {campaign}: fired but not in the journal"
        for campaign in heard.fired.keys() - {one.campaign_id for one in totals}
    ]
    complaints += [f"{vehicle}: on hold: {hold}" for hold in heard.holds]
    return complaints


def _rows(vehicle: str, journal: SqliteJournal, heard: Heard) -> list[CampaignAccount]:
    campaigns_of = {
        row.clip_id: {judged.firing.campaign_id for judged in journal.firings_of(row.clip_id)}
        for row in journal.clips(set(ClipState))
    }

    def reached(stage: str, campaign: str) -> int:
        return sum(campaign in campaigns_of.get(clip, ()) for clip in heard.stages.get(stage, ()))

    return [
        CampaignAccount(
            vehicle=vehicle,
            campaign=one.campaign_id,
            fired=one.fired,
            dropped={str(reason): count for reason, count in one.dropped},
            redacted=reached("sealed", one.campaign_id),
            sent=reached("sent", one.campaign_id),
            receipted=one.delivered_clips,
            size_bytes=one.delivered_bytes,
        )
        for one in journal.totals()
    ]


def _check_clips(
    vehicle: str, journal: SqliteJournal, store: Path, region: str
) -> tuple[list[Arrived], list[str]]:
    """Every delivered clip must lie in its region's store and open there."""
    arrived: list[Arrived] = []
    complaints: list[str] = []
    for row in journal.clips({ClipState.DELIVERED}):
        path = store / vehicle / f"{row.clip_id}.mcap"
        try:
            frames = _frames(path, row)
        except (OSError, ClipFormatError, ValueError) as error:
            complaints.append(
                f"{vehicle}: clip {row.clip_id} was receipted by {region} but does not open: {error}"
            )
            continue
        campaigns = tuple(sorted({judged.firing.campaign_id for judged in journal.firings_of(row.clip_id)}))
        arrived.append(Arrived(row.clip_id, vehicle, region, path, campaigns, frames))
    return arrived, complaints


def _frames(path: Path, row: ClipRow) -> int:
    """Video frames of a clip that opens; raises ``ValueError`` when a camera has none."""
    with path.open("rb") as file:
        contents = decode_clip(file, str(path))
    by_camera = Counter(packet.camera for packet in contents.packets)
    empty = [camera for camera in row.cameras if not by_camera[camera]]
    if empty:
        raise ValueError(f"no video of {', '.join(empty)}")
    return by_camera.total()


def _check_diagonal(
    matrix: Mapping[str, Mapping[str, int]],
    stores: Mapping[str, Path],
    home: Mapping[str, str],
    arrived: Sequence[Arrived],
) -> list[str]:
    complaints = [
        f"{size} bytes of {vehicle} reached {region}, which is not its region"
        for vehicle, regions in matrix.items()
        for region, size in regions.items()
        if region != home[vehicle] and size
    ]
    complaints += [
        f"{vehicle}: its region {home[vehicle]} counted no bytes"
        for vehicle, regions in matrix.items()
        if not regions[home[vehicle]]
    ]
    stored = {path for store in stores.values() for path in store.rglob("*.mcap")}
    known = {one.path for one in arrived}
    complaints += [
        f"{path} is in a store, but no vehicle delivered it there" for path in sorted(stored - known)
    ]
    return complaints
