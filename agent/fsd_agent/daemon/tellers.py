"""Puts together what tells of the vehicle: to its region, and in a file beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fsd_agent.adapters.process_use import process_use
from fsd_agent.adapters.status_file import STATUS_FILE, StatusFile, boot_id
from fsd_agent.daemon.config import AgentConfig
from fsd_agent.daemon.finishing import Finishing
from fsd_agent.daemon.parts import Parts
from fsd_agent.pipeline.certificates import CertificateWatch
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.faults import FaultLog
from fsd_agent.pipeline.heads import Heads
from fsd_agent.pipeline.holds import Holds
from fsd_agent.pipeline.tell import Teller
from fsd_agent.pipeline.tell_locally import LocalTeller
from fsd_agent.pipeline.video_work import VideoWork
from fsd_agent.rules.triggers.engine import TriggerEngine


@dataclass(frozen=True, slots=True)
class Told:
    """What both statuses tell of."""

    deliverer: Deliverer
    finishing: Finishing
    holds: Holds
    trouble: Callable[[], str]
    faults: FaultLog
    models: tuple[str, ...]
    video: VideoWork


def open_teller(
    config: AgentConfig,
    parts: Parts,
    told: Told,
    heads: Heads,
    engine: TriggerEngine,
    lost: Callable[[], Mapping[str, int]],
) -> Teller:
    """Of the status that a region gets."""

    def waits(region_id: str) -> Mapping[str, int]:
        stats = told.deliverer.stats()
        return stats.waits if stats.region_id == region_id else {}

    return Teller(
        journal=parts.journal,
        control=parts.control,
        refused_policies=lambda: parts.residence.refused_policies,
        clock=parts.clock,
        lost=lost,
        suspended=engine.suspended,
        use=process_use,
        trouble=told.trouble,
        head=heads.tell,
        holds=told.holds.look,
        certificate_until_ns=CertificateWatch(parts.keys, parts.clock, parts.events).look,
        waits=waits,
        unjudged=told.finishing.selector.missed,
        kept=told.finishing.keeper.counted,
        faults=told.faults,
        sent=lambda: told.deliverer.stats().sent,
        models=told.models,
        every_s=config.uplink.status_every_s,
        video=told.video,
    )


def open_local_teller(config: AgentConfig, data: Path, parts: Parts, told: Told) -> LocalTeller:
    """Of the status that stays on the vehicle."""
    return LocalTeller(
        store=StatusFile(data / STATUS_FILE),
        known=parts.residence,
        holds=told.holds,
        journal=parts.journal,
        ledger=parts.ledger,
        stats=told.deliverer.stats,
        trouble=told.trouble,
        use=process_use,
        clock=parts.clock,
        boot_id=boot_id(),
        every_s=config.uplink.status_every_s,
        faults=told.faults.all,
        models=told.models,
        valued=lambda: told.finishing.valuing.counts,
        video=told.video,
        events=parts.events,
    )
