"""Puts together what runs on the sensing loop: triggers, the ring, and the recorder."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from fsd_agent.daemon.config import AgentConfig
from fsd_agent.daemon.link_policy import LinkPolicy
from fsd_agent.daemon.parts import Parts, ring_ns
from fsd_agent.pipeline.record import Recorder
from fsd_agent.pipeline.room import Room
from fsd_agent.pipeline.sense import Sense
from fsd_agent.pipeline.video_work import VideoWork
from fsd_agent.ports.detector import Detector
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.rules.triggers.engine import TriggerEngine


def open_sense(
    config: AgentConfig,
    parts: Parts,
    engine: TriggerEngine,
    detector: Detector | None,
    room: Room,
    policy: LinkPolicy,
    video: VideoWork,
    noted: Callable[[], None],
) -> Sense:
    """``noted`` is called when firings are in the journal."""
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


def _new_id() -> str:
    return secrets.token_hex(16)
