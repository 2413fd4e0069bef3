"""Puts an agent together: the one place that constructs adapters.

What can't be used is found here, before the first sample: a :class:`StartError` names the file and the reason.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from fsd_agent.adapters.data_lock import DataLock, DataLockedError
from fsd_agent.adapters.durable import make_folder
from fsd_agent.adapters.mqtt import MqttBroker
from fsd_agent.adapters.mqtt_link import MqttOptions
from fsd_agent.adapters.process_memory import give_back_memory, keep_one_heap
from fsd_agent.adapters.software_codec import software_codec
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.daemon.agent import Agent
from fsd_agent.daemon.config import AgentConfig
from fsd_agent.daemon.detectors import Detectors, open_detectors
from fsd_agent.daemon.finishing import open_finishing
from fsd_agent.daemon.link_policy import LinkPolicy, open_link_policy
from fsd_agent.daemon.parts import Parts, StartError, open_firmware, open_parts, ring_ns
from fsd_agent.daemon.tellers import open_local_teller, open_teller
from fsd_agent.daemon.upkeep import open_upkeep
from fsd_agent.pipeline.control import Control
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.faults import FaultLog
from fsd_agent.pipeline.firings import FiringTeller
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.heads import Heads
from fsd_agent.pipeline.holds import Holds
from fsd_agent.pipeline.left import LeftClips
from fsd_agent.pipeline.record import Recorder
from fsd_agent.pipeline.recover import RecoveryRefusedError
from fsd_agent.pipeline.retention import Retention
from fsd_agent.pipeline.room import Room
from fsd_agent.pipeline.sense import Sense
from fsd_agent.pipeline.turns import Turns
from fsd_agent.pipeline.video_work import AtAnyTime, VideoWork, WhenParked
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
    keep_one_heap()
    data = base / config.storage.dir
    make_folder(data)
    lock = DataLock(data)
    codec = software_codec()
    if codec is None:
        _log.warning("no video codec: clips that must be redacted will be dropped; install the 'video' extra")
    detectors = open_detectors(config.perception, base, config.check)
    firmware = open_firmware(config, base, speed or config.firmware.speed, codec)
    faults = FaultLog(events, SystemClock())
    parts = open_parts(config, base, data, firmware, faults)
    give_back_memory()  # Of what was gone over, which may be every clip that the disk has room for
    return _put_together(config, data, parts, faults, codec, detectors, lock.release)


def _put_together(
    config: AgentConfig,
    data: Path,
    parts: Parts,
    faults: FaultLog,
    codec: VideoCodec | None,
    detectors: Detectors,
    release: Callable[[], None],
) -> Agent:
    """The loops, upon the parts."""
    policy = open_link_policy(config.uplink, parts)
    engine = TriggerEngine(parts.description.catalogue, parts.description.picture_sizes())
    heads = Heads(parts.ledger, parts.events)
    give_up = _give_up(parts)
    room, upkeep = open_upkeep(config.storage, data, parts, give_up, lambda: deliverer.sending)
    firings = _firings(parts)
    retention = _retention(parts, give_up)
    video = WhenParked(policy.power, parts.events) if config.video.when == "parked" else AtAnyTime()
    finishing = open_finishing(parts, codec, detectors, policy, video)
    finisher = finishing.finisher
    sense = _sense(config, parts, engine, detectors.sensing, room, policy, video, firings.noted)
    deliverer = _deliverer(
        config,
        parts,
        heads,
        firings,
        lambda: (*retention.step(ClipState.SEALED), *upkeep.step(ClipState.SEALED)),
        policy,
    )

    def trouble() -> str:
        own = heads.trouble or upkeep.trouble or finisher.trouble or deliverer.stats().trouble
        own = own or firings.trouble
        return own or parts.consent.trouble or policy.trouble

    holds = Holds(parts.journal, parts.clock, parts.events)
    models = detectors.sources
    return Agent(
        firmware=parts.firmware,
        sense=sense,
        finisher=finisher,
        valuing=finishing.valuing,
        withdrawn=WithdrawnClips(
            parts.consent, give_up, journal=parts.journal, clock=parts.clock, events=parts.events
        ),
        left=_left(parts, give_up, deliverer),
        retention=retention,
        upkeep=upkeep,
        deliverer=deliverer,
        control=parts.control,
        residence=parts.residence,
        teller=open_teller(
            config,
            parts,
            lambda: {**sense.lost(), **finishing.novelty.counted()},
            engine,
            finishing,
            deliverer,
            heads,
            holds,
            trouble,
            faults,
            models,
            video,
        ),
        local=open_local_teller(
            config, data, parts, deliverer, holds, trouble, faults, models, finishing.valuing, video
        ),
        journal=parts.journal,
        ledger=parts.ledger,
        events=parts.events,
        status_every_s=config.uplink.status_every_s,
        release=release,
    )


def _give_up(parts: Parts) -> GiveUp:
    return GiveUp(
        journal=parts.journal,
        staging=parts.staging,
        spool=parts.spool,
        ledger=parts.ledger,
        events=parts.events,
    )


def _firings(parts: Parts) -> FiringTeller:
    return FiringTeller(
        journal=parts.journal,
        ledger=parts.ledger,
        keys=parts.keys,
        clock=parts.clock,
        random=random.SystemRandom().random,
    )


def _retention(parts: Parts, give_up: GiveUp) -> Retention:
    return Retention(
        journal=parts.journal,
        source=parts.residence,
        give_up=give_up,
        clock=parts.clock,
        events=parts.events,
    )


def _sense(
    config: AgentConfig,
    parts: Parts,
    engine: TriggerEngine,
    detector: Detector | None,
    room: Room,
    policy: LinkPolicy,
    video: VideoWork,
    noted: Callable[[], None],
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
            accepted=noted,
        ),
        control=parts.control,
        residence=parts.residence,
        consent=parts.consent,
        journal=parts.journal,
        events=parts.events,
        new_id=_new_id,
        power=policy.power,
        video=video,
        no_room=room.refuses,
    )


def _deliverer(
    config: AgentConfig,
    parts: Parts,
    heads: Heads,
    firings: FiringTeller,
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
        on_message=_all_of(heads, firings, parts.control),
        random=random.SystemRandom().random,
        overdue=overdue,
        beside=ThreadPoolExecutor(1, "check"),
        gate=policy.gate,
        power=policy.power,
        firings=firings,
    )


def _left(parts: Parts, give_up: GiveUp, deliverer: Deliverer) -> LeftClips:
    return LeftClips(
        journal=parts.journal,
        give_up=give_up,
        residence=parts.residence,
        connected_to=lambda: deliverer.stats().region_id,
        clock=parts.clock,
        events=parts.events,
    )


def _all_of(heads: Heads, firings: FiringTeller, control: Control) -> Callable[[Route, Message], None]:
    """What is not about a clip is about the ledger's head, about a firing or about campaigns."""

    def hear(route: Route, message: Message) -> None:
        if not (heads.heard(route, message) or firings.heard(route, message)):
            control.on_message(route, message)

    return hear


def _new_id() -> str:
    return secrets.token_hex(16)
