"""What every loop of an agent is built on: keys, firmware, the stores on the disk, and what was in force before.

The first half of putting an agent together; ``build.py`` has the loops.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.pkcs11_keys import Pkcs11Element
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.adapters.trust_files import TrustFiles
from fsd_agent.daemon.config import AgentConfig, FirmwareConfig, TokenConfig
from fsd_agent.pipeline.consent import ConsentKeeper
from fsd_agent.pipeline.control import Control
from fsd_agent.pipeline.recover import apply_recovery
from fsd_agent.pipeline.residence import Residence
from fsd_agent.pipeline.whereabouts import RecordedWhereabouts
from fsd_agent.ports.events import EventSink
from fsd_agent.wire.rotation import linked_key_ids
from fsd_firmware.codec import VideoCodec
from fsd_firmware.contract import Firmware, VehicleDescription
from fsd_firmware.drive.replay import DriveReplay

_log = logging.getLogger(__name__)


class StartError(Exception):
    """The agent can't start; the message names the file or key and says what to do."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every loop is built on."""

    keys: KeyFiles
    firmware: Firmware
    description: VehicleDescription
    journal: SqliteJournal
    staging: StagingFiles
    spool: SpoolFiles
    ledger: LedgerFiles
    residence: RecordedWhereabouts
    consent: ConsentKeeper
    control: Control
    clock: SystemClock
    events: EventSink


def open_parts(config: AgentConfig, base: Path, data: Path, firmware: Firmware, events: EventSink) -> Parts:
    """Open the stores, bring them to agree, and take up what was in force before the restart."""
    clock, description, vehicle_dir = SystemClock(), firmware.describe(), base / config.vehicle.dir
    keys = KeyFiles(vehicle_dir, _token(config.vehicle.token, base))
    journal = SqliteJournal(data / "journal.db")
    staging, spool = StagingFiles(data / "staging", keys), SpoolFiles(data / "spool", keys)
    ledger = LedgerFiles(data / "ledger", keys=keys, clock=clock, events=events)
    consent = ConsentKeeper(
        firmware.consent, keys=keys, journal=journal, ledger=ledger, clock=clock, events=events
    )
    recovery = apply_recovery(journal, staging, spool, ledger, keys=keys, consent=consent)
    if recovery.reasons:
        _log.info("recovered: %s", "; ".join(recovery.reasons))
    control = Control(
        journal=journal,
        events=events,
        catalogue=description.catalogue,
        cameras=[camera.name for camera in description.cameras],
        horizon_ns=ring_ns(config),
    )
    residence = Residence(
        firmware.registration,
        TrustFiles(vehicle_dir),
        device_key_ids=lambda: linked_key_ids(keys.rotations(), keys.device_key_id()),
        journal=journal,
        clock=clock,
        events=events,
    )
    for policy in residence.policies:
        control.restore(policy)
    whereabouts = RecordedWhereabouts(residence, ledger, events)
    return Parts(
        keys=keys,
        firmware=firmware,
        description=description,
        journal=journal,
        staging=staging,
        spool=spool,
        ledger=ledger,
        residence=whereabouts,
        consent=consent,
        control=control,
        clock=clock,
        events=events,
    )


def _token(wanted: TokenConfig | None, base: Path) -> Pkcs11Element | None:
    if wanted is None:
        return None
    return Pkcs11Element(Path(wanted.module), wanted.label, base / wanted.pin_file)


def open_firmware(
    config: AgentConfig, base: Path, speed: Literal["real", "max"], codec: VideoCodec | None
) -> Firmware:
    """What the configuration names as the vehicle; raises :class:`StartError` and ``FirmwareError``."""
    wanted: FirmwareConfig = config.firmware
    if config.perception is not None and codec is None:
        raise StartError("[perception] needs a video codec to look at a drive: install the 'video' extra")
    return DriveReplay(
        base / wanted.source.removeprefix("drive:"),
        registration=base / wanted.registration,
        consent=base / wanted.consent,
        link=base / wanted.link,
        speed=speed,
        tick_ns=config.sense.tick_ms * 1_000_000,
        frames_hz=config.perception.rate_hz if config.perception is not None else 0.0,
        codec=codec,
        loop=wanted.loop,
    )


def ring_ns(config: AgentConfig) -> int:
    """How far back the ring reaches."""
    return config.sense.ring_seconds * 1_000_000_000
