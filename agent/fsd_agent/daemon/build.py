"""Puts an agent together. Only this folder constructs adapters.

What can't be used is found here, before the first sample: a :class:`StartError` names the file and the reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from fsd_agent.adapters.data_lock import DataLock, DataLockedError
from fsd_agent.adapters.durable import make_folder
from fsd_agent.adapters.process_memory import give_back_memory, keep_one_heap
from fsd_agent.adapters.software_codec import software_codec
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.daemon.agent import Agent
from fsd_agent.daemon.config import AgentConfig
from fsd_agent.daemon.delivering import open_deliverer, open_firings, open_left
from fsd_agent.daemon.detectors import Detectors, open_detectors
from fsd_agent.daemon.finishing import open_finishing
from fsd_agent.daemon.link_policy import open_link_policy
from fsd_agent.daemon.parts import Parts, StartError, open_firmware, open_parts
from fsd_agent.daemon.sensing import open_sense
from fsd_agent.daemon.tellers import Told, open_local_teller, open_teller
from fsd_agent.daemon.upkeep import open_upkeep
from fsd_agent.pipeline.faults import FaultLog
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.heads import Heads
from fsd_agent.pipeline.holds import Holds
from fsd_agent.pipeline.recover import RecoveryRefusedError
from fsd_agent.pipeline.retention import Retention
from fsd_agent.pipeline.video_work import AtAnyTime, WhenParked
from fsd_agent.pipeline.withdrawn import WithdrawnClips
from fsd_agent.ports.detector import DetectorError
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import JournalError
from fsd_agent.ports.ledger import LedgerError
from fsd_agent.ports.spool import SpoolError
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.records.clip import ClipState
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
    firings = open_firings(parts)
    retention = _retention(parts, give_up)
    video = WhenParked(policy.power, parts.events) if config.video.when == "parked" else AtAnyTime()
    finishing = open_finishing(parts, codec, detectors, policy, video)
    sense = open_sense(config, parts, engine, detectors.sensing, room, policy, video, firings.noted)
    deliverer = open_deliverer(
        config,
        parts,
        heads,
        firings,
        lambda: (*retention.step(ClipState.SEALED), *upkeep.step(ClipState.SEALED)),
        policy,
    )

    def trouble() -> str:
        """The first of what a person should look at."""
        own = heads.trouble or upkeep.trouble or finishing.finisher.trouble or deliverer.stats().trouble
        return own or firings.trouble or parts.consent.trouble or policy.trouble

    holds = Holds(parts.journal, parts.clock, parts.events)
    told = Told(deliverer, finishing, holds, trouble, faults, detectors.sources, video)
    return Agent(
        firmware=parts.firmware,
        sense=sense,
        finisher=finishing.finisher,
        valuing=finishing.valuing,
        withdrawn=WithdrawnClips(
            parts.consent, give_up, journal=parts.journal, clock=parts.clock, events=parts.events
        ),
        left=open_left(parts, give_up, deliverer),
        retention=retention,
        upkeep=upkeep,
        deliverer=deliverer,
        control=parts.control,
        residence=parts.residence,
        teller=open_teller(
            config, parts, told, heads, engine, lambda: {**sense.lost(), **finishing.novelty.counted()}
        ),
        local=open_local_teller(config, data, parts, told),
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


def _retention(parts: Parts, give_up: GiveUp) -> Retention:
    return Retention(
        journal=parts.journal,
        source=parts.residence,
        give_up=give_up,
        clock=parts.clock,
        events=parts.events,
    )
