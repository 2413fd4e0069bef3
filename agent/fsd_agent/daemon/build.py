"""Puts an agent together: the one place that constructs adapters.

What can't be used is found here, before the first sample: a :class:`StartError` names the file and the reason.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from fsd_agent.adapters.data_lock import DataLock, DataLockedError
from fsd_agent.adapters.durable import make_folder
from fsd_agent.adapters.mqtt import MqttBroker
from fsd_agent.adapters.mqtt_link import MqttOptions
from fsd_agent.adapters.process_use import process_use
from fsd_agent.adapters.software_codec import software_codec
from fsd_agent.adapters.status_file import STATUS_FILE, StatusFile, boot_id
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.daemon.agent import Agent
from fsd_agent.daemon.config import AgentConfig
from fsd_agent.daemon.detectors import open_detectors
from fsd_agent.daemon.link_policy import LinkPolicy, open_link_policy
from fsd_agent.daemon.parts import Parts, StartError, open_firmware, open_parts, ring_ns
from fsd_agent.daemon.upkeep import open_upkeep
from fsd_agent.pipeline.certificates import CertificateWatch
from fsd_agent.pipeline.control import Control
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.faults import FaultLog
from fsd_agent.pipeline.finish import Finisher
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.heads import Heads
from fsd_agent.pipeline.holds import Holds
from fsd_agent.pipeline.left import LeftClips
from fsd_agent.pipeline.record import Recorder
from fsd_agent.pipeline.recover import RecoveryRefusedError
from fsd_agent.pipeline.retention import Retention
from fsd_agent.pipeline.room import Room
from fsd_agent.pipeline.sense import Sense
from fsd_agent.pipeline.tell import Teller
from fsd_agent.pipeline.tell_locally import LocalTeller
from fsd_agent.pipeline.turns import Turns
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
from fsd_firmware.codec import VideoCodec
from fsd_firmware.contract import FirmwareError

_log = logging.getLogger(__name__)


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


def _build(
    config: AgentConfig, base: Path, *, events: EventSink, speed: Literal["real", "max"] | None
) -> Agent:
    data = base / config.storage.dir
    make_folder(data)
    lock = DataLock(data)
    codec = software_codec()
    if codec is None:
        _log.warning("no video codec: clips that must be redacted will be dropped; install the 'video' extra")
    detectors = open_detectors(config.perception, base)
    firmware = open_firmware(config, base, speed or config.firmware.speed, codec)
    events = faults = FaultLog(events, SystemClock())
    parts = open_parts(config, base, data, firmware, events)
    policy = open_link_policy(config.uplink, parts)
    engine = TriggerEngine(parts.description.catalogue, parts.description.picture_sizes())
    finisher = _finisher(parts, codec, detectors.redaction, policy)
    heads = Heads(parts.ledger, events)
    give_up = GiveUp(
        journal=parts.journal, staging=parts.staging, spool=parts.spool, ledger=parts.ledger, events=events
    )
    room, upkeep = open_upkeep(config.storage, data, parts, give_up, lambda: deliverer.sending)
    sense = _sense(config, parts, engine, detectors.sensing, room, policy)
    retention = Retention(
        journal=parts.journal, source=parts.residence, give_up=give_up, clock=parts.clock, events=events
    )
    deliverer = _deliverer(
        config,
        parts,
        heads,
        lambda: (*retention.step(ClipState.SEALED), *upkeep.step(ClipState.SEALED)),
        policy,
    )

    def trouble() -> str:
        own = heads.trouble or upkeep.trouble or finisher.trouble or deliverer.stats().trouble
        return own or parts.consent.trouble or policy.trouble

    def waits(region_id: str) -> Mapping[str, int]:
        stats = deliverer.stats()
        return stats.waits if stats.region_id == region_id else {}

    holds = Holds(parts.journal, parts.clock, events)
    models = detectors.sources
    local = _local_teller(config, data, parts, deliverer, holds, trouble, faults, models)
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
        waits=waits,
        faults=faults,
        sent=lambda: deliverer.stats().sent,
        models=models,
        every_s=config.uplink.status_every_s,
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
        upkeep=upkeep,
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


def _sense(
    config: AgentConfig,
    parts: Parts,
    engine: TriggerEngine,
    detector: Detector | None,
    room: Room,
    policy: LinkPolicy,
) -> Sense:
    ring = Ring(
        parts.description.catalogue, horizon_ns=ring_ns(config), max_bytes=config.sense.ring_max_bytes
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
            room=room,
        ),
        control=parts.control,
        residence=parts.residence,
        consent=parts.consent,
        journal=parts.journal,
        events=parts.events,
        new_id=_new_id,
        power=policy.power,
        no_room=room.refuses,
    )


def _finisher(
    parts: Parts, codec: VideoCodec | None, detectors: Sequence[Detector], policy: LinkPolicy
) -> Finisher:
    return Finisher(
        journal=parts.journal,
        staging=parts.staging,
        spool=parts.spool,
        ledger=parts.ledger,
        residence=parts.residence,
        consent=parts.consent,
        codec=codec,
        detectors=detectors,
        sizes=parts.description.picture_sizes(),
        keys=parts.keys,
        clock=parts.clock,
        events=parts.events,
        power=policy.power,
    )


def _deliverer(
    config: AgentConfig,
    parts: Parts,
    heads: Heads,
    overdue: Callable[[], Sequence[str]],
    policy: LinkPolicy,
) -> Deliverer:
    options = MqttOptions(window=config.uplink.window, dscp=config.uplink.dscp)
    return Deliverer(
        broker=MqttBroker(parts.keys, options),
        journal=parts.journal,
        spool=parts.spool,
        ledger=parts.ledger,
        consent=parts.consent,
        clock=parts.clock,
        events=parts.events,
        route_source=Turns(parts.residence, parts.journal, parts.clock).current,
        on_message=_both(heads, parts.control),
        random=random.SystemRandom().random,
        overdue=overdue,
        beside=ThreadPoolExecutor(1, "check"),
        gate=policy.gate,
        power=policy.power,
    )


def _local_teller(
    config: AgentConfig,
    data: Path,
    parts: Parts,
    deliverer: Deliverer,
    holds: Holds,
    trouble: Callable[[], str],
    faults: FaultLog,
    models: tuple[str, ...],
) -> LocalTeller:
    return LocalTeller(
        store=StatusFile(data / STATUS_FILE),
        known=parts.residence,
        holds=holds,
        journal=parts.journal,
        ledger=parts.ledger,
        stats=deliverer.stats,
        trouble=trouble,
        use=process_use,
        clock=parts.clock,
        boot_id=boot_id(),
        every_s=config.uplink.status_every_s,
        faults=faults.all,
        models=models,
        events=parts.events,
    )


def _both(heads: Heads, control: Control) -> Callable[[Route, Message], None]:
    """What is not about a clip is about the ledger's head or about campaigns."""

    def hear(route: Route, message: Message) -> None:
        if not heads.heard(route, message):
            control.on_message(route, message)

    return hear


def _new_id() -> str:
    return secrets.token_hex(16)
