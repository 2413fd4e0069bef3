"""Puts together what tells of the vehicle: to its region, and in a file beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from fsd_agent.pipeline.valuing import Valuing
from fsd_agent.pipeline.video_work import VideoWork
from fsd_agent.rules.triggers.engine import TriggerEngine


def open_teller(
    config: AgentConfig,
    parts: Parts,
    lost: Callable[[], Mapping[str, int]],
    engine: TriggerEngine,
    finishing: Finishing,
    deliverer: Deliverer,
    heads: Heads,
    holds: Holds,
    trouble: Callable[[], str],
    faults: FaultLog,
    models: tuple[str, ...],
    video: VideoWork,
) -> Teller:
    """Of the status that a region gets."""

    def waits(region_id: str) -> Mapping[str, int]:
        stats = deliverer.stats()
        return stats.waits if stats.region_id == region_id else {}

    return Teller(
        journal=parts.journal,
        control=parts.control,
        refused_policies=lambda: parts.residence.refused_policies,
        clock=parts.clock,
        lost=lost,
        suspended=engine.suspended,
        use=process_use,
        trouble=trouble,
        head=heads.tell,
        holds=holds.look,
        certificate_until_ns=CertificateWatch(parts.keys, parts.clock, parts.events).look,
        waits=waits,
        unjudged=finishing.selector.missed,
        kept=finishing.keeper.counted,
        faults=faults,
        sent=lambda: deliverer.stats().sent,
        models=models,
        every_s=config.uplink.status_every_s,
        video=video,
    )


def open_local_teller(
    config: AgentConfig,
    data: Path,
    parts: Parts,
    deliverer: Deliverer,
    holds: Holds,
    trouble: Callable[[], str],
    faults: FaultLog,
    models: tuple[str, ...],
    valuing: Valuing,
    video: VideoWork,
) -> LocalTeller:
    """Of the status that stays on the vehicle."""
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
        valued=lambda: valuing.counts,
        video=video,
        events=parts.events,
    )
