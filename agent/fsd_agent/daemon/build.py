"""Puts an agent together: the one place that constructs adapters.

What can't be used is found here, before the first sample: a :class:`StartError` names the file and the reason.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fsd_agent.adapters.data_lock import DataLock, DataLockedError
from fsd_agent.adapters.durable import make_folder
from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.mqtt import MqttBroker
from fsd_agent.adapters.mqtt_link import MqttOptions
from fsd_agent.adapters.pkcs11_keys import Pkcs11Element
from fsd_agent.adapters.process_use import process_use
from fsd_agent.adapters.software_codec import software_codec
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.adapters.status_file import STATUS_FILE, StatusFile, boot_id
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.adapters.trust_files import TrustFiles
from fsd_agent.daemon.agent import Agent
from fsd_agent.daemon.config import AgentConfig, FirmwareConfig, PerceptionConfig, TokenConfig
from fsd_agent.pipeline.certificates import CertificateWatch
from fsd_agent.pipeline.consent import ConsentKeeper
from fsd_agent.pipeline.control import Control
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.finish import Finisher
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.heads import Heads
from fsd_agent.pipeline.holds import Holds
from fsd_agent.pipeline.left import LeftClips
from fsd_agent.pipeline.record import Recorder
from fsd_agent.pipeline.recover import RecoveryRefusedError, apply_recovery
from fsd_agent.pipeline.residence import Residence
from fsd_agent.pipeline.retention import Retention
from fsd_agent.pipeline.sense import Sense
from fsd_agent.pipeline.tell import Teller
from fsd_agent.pipeline.tell_locally import LocalTeller
from fsd_agent.pipeline.turns import Turns
from fsd_agent.pipeline.whereabouts import RecordedWhereabouts
from fsd_agent.pipeline.withdrawn import WithdrawnClips
from fsd_agent.ports.broker import Message
from fsd_agent.ports.detector import Detector, DetectorError
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import JournalError
from fsd_agent.ports.ledger import LedgerError
from fsd_agent.ports.spool import SpoolError
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.records.clip import ClipState
from fsd_agent.records.region import Route
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.wire.floors import FloorError
from fsd_agent.wire.rotation import linked_key_ids
from fsd_firmware.codec import VideoCodec
from fsd_firmware.contract import Firmware, FirmwareError, VehicleDescription
from fsd_firmware.drive.replay import DriveReplay

_log = logging.getLogger(__name__)


class StartError(Exception):
    """The agent can't start; the message names the file or key and says what to do."""


def build_agent(
    config: AgentConfig, base: Path, *, events: EventSink, speed: Literal["real", "max"] | None
) -> Agent:
    """Construct everything and bring the disk to order; raises :class:`StartError`.

    ``base`` is where relative paths of ``config`` start; ``speed`` overrides the configured one.
    """
    try:
        return _build(config, base, events=events, speed=speed)
    except (
        DataLockedError,
        FirmwareError,
        VehicleKeyError,
        FloorError,
        JournalError,
        SpoolError,
        LedgerError,
        DetectorError,
        RecoveryRefusedError,
    ) as error:
        raise StartError(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Parts:
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


def _build(
    config: AgentConfig, base: Path, *, events: EventSink, speed: Literal["real", "max"] | None
) -> Agent:
    data = base / config.storage.dir
    make_folder(data)
    lock = DataLock(data)
    codec = software_codec()
    if codec is None:
        _log.warning("no video codec: clips that must be redacted will be dropped; install the 'video' extra")
    detector, redactor = _detectors(config.perception, base)
    firmware = _firmware(config, base, speed or config.firmware.speed, codec)
    parts = _parts(config, base, data, firmware, events)
    engine = TriggerEngine(parts.description.catalogue, parts.description.picture_sizes())
    sense = _sense(config, parts, engine, detector)
    finisher = _finisher(parts, codec, redactor)
    heads = Heads(parts.ledger, events)
    give_up = GiveUp(
        journal=parts.journal, staging=parts.staging, spool=parts.spool, ledger=parts.ledger, events=events
    )
    retention = Retention(
        journal=parts.journal, source=parts.residence, give_up=give_up, clock=parts.clock, events=events
    )
    deliverer = Deliverer(
        broker=MqttBroker(parts.keys, MqttOptions(window=config.uplink.window)),
        journal=parts.journal,
        spool=parts.spool,
        ledger=parts.ledger,
        consent=parts.consent,
        clock=parts.clock,
        events=events,
        route_source=Turns(parts.residence, parts.journal, parts.clock).current,
        on_message=_both(heads, parts.control),
        random=random.SystemRandom().random,
        overdue=lambda: retention.step(ClipState.SEALED),
    )
    holds = Holds(parts.journal, parts.clock, events)

    def trouble() -> str:
        return heads.trouble or finisher.trouble or deliverer.stats().trouble or parts.consent.trouble

    local = LocalTeller(
        store=StatusFile(data / STATUS_FILE),
        known=parts.residence,
        holds=holds,
        ledger=parts.ledger,
        stats=deliverer.stats,
        trouble=trouble,
        use=process_use,
        clock=parts.clock,
        boot_id=boot_id(),
        every_s=config.uplink.status_every_s,
        events=events,
    )
    teller = Teller(
        journal=parts.journal,
        control=parts.control,
        refused_policies=lambda: parts.residence.refused_policies,
        clock=parts.clock,
        lost=sense.lost,
        suspended=engine.suspended,
        use=process_use,
        trouble=trouble,
        head=heads.tell,
        holds=holds.look,
        certificate_until_ns=CertificateWatch(parts.keys, parts.clock, events).look,
    )
    return Agent(
        firmware=firmware,
        sense=sense,
        finisher=finisher,
        withdrawn=WithdrawnClips(
            parts.consent, give_up, journal=parts.journal, clock=parts.clock, events=parts.events
        ),
        left=LeftClips(
            journal=parts.journal,
            give_up=give_up,
            residence=parts.residence,
            connected_to=lambda: deliverer.stats().region_id,
            clock=parts.clock,
            events=events,
        ),
        retention=retention,
        deliverer=deliverer,
        control=parts.control,
        residence=parts.residence,
        teller=teller,
        local=local,
        journal=parts.journal,
        ledger=parts.ledger,
        events=events,
        status_every_s=config.uplink.status_every_s,
        release=lock.release,
    )


def _parts(config: AgentConfig, base: Path, data: Path, firmware: Firmware, events: EventSink) -> _Parts:
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
        horizon_ns=_ring_ns(config),
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
    return _Parts(
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


def _sense(config: AgentConfig, parts: _Parts, engine: TriggerEngine, detector: Detector | None) -> Sense:
    ring = Ring(
        parts.description.catalogue, horizon_ns=_ring_ns(config), max_bytes=config.sense.ring_max_bytes
    )
    return Sense(
        firmware=parts.firmware,
        detector=detector,
        min_score=config.perception.min_score if config.perception is not None else 0.0,
        engine=engine,
        ring=ring,
        recorder=Recorder(
            ring=ring,
            staging=parts.staging,
            journal=parts.journal,
            ledger=parts.ledger,
            events=parts.events,
            new_id=_new_id,
        ),
        control=parts.control,
        residence=parts.residence,
        consent=parts.consent,
        journal=parts.journal,
        events=parts.events,
        new_id=_new_id,
    )


def _finisher(parts: _Parts, codec: VideoCodec | None, detector: Detector | None) -> Finisher:
    return Finisher(
        journal=parts.journal,
        staging=parts.staging,
        spool=parts.spool,
        ledger=parts.ledger,
        residence=parts.residence,
        consent=parts.consent,
        codec=codec,
        detector=detector,
        sizes=parts.description.picture_sizes(),
        keys=parts.keys,
        clock=parts.clock,
        events=parts.events,
    )


def _both(heads: Heads, control: Control) -> Callable[[Route, Message], None]:
    """What is not about a clip is about the ledger's head or about campaigns."""

    def hear(route: Route, message: Message) -> None:
        if not heads.heard(route, message):
            control.on_message(route, message)

    return hear


def _ring_ns(config: AgentConfig) -> int:
    return config.sense.ring_seconds * 1_000_000_000


def _new_id() -> str:
    return secrets.token_hex(16)


def _detectors(perception: PerceptionConfig | None, base: Path) -> tuple[Detector | None, Detector | None]:
    """One detector for the sensing loop and one for redaction: each is used by one thread."""
    if perception is None:
        return None, None
    from fsd_agent.adapters.onnx_detector import OnnxDetector

    package = base / perception.package

    def load() -> Detector:
        return OnnxDetector(package, halves=perception.halves, threads=perception.threads)

    return load(), load()


def _firmware(
    config: AgentConfig, base: Path, speed: Literal["real", "max"], codec: VideoCodec | None
) -> Firmware:
    wanted: FirmwareConfig = config.firmware
    if config.perception is not None and codec is None:
        raise StartError("[perception] needs a video codec to look at a drive: install the 'video' extra")
    return DriveReplay(
        base / wanted.source.removeprefix("drive:"),
        registration=base / wanted.registration,
        consent=base / wanted.consent,
        speed=speed,
        tick_ns=config.sense.tick_ms * 1_000_000,
        frames_hz=config.perception.rate_hz if config.perception is not None else 0.0,
        codec=codec,
        loop=wanted.loop,
    )
