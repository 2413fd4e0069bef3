"""What becomes of captured clips: who values them, who says which are not worth it, and who finishes the others."""

from __future__ import annotations

from dataclasses import dataclass

from fsd_agent.adapters.shipped_head import shipped_head
from fsd_agent.daemon.detectors import Detectors
from fsd_agent.daemon.link_policy import LinkPolicy
from fsd_agent.daemon.parts import Parts
from fsd_agent.pipeline.check import Means
from fsd_agent.pipeline.finish import Finisher
from fsd_agent.pipeline.keep import Keeper
from fsd_agent.pipeline.novelty import Novelty
from fsd_agent.pipeline.select import Selector
from fsd_agent.pipeline.valuing import Valuing
from fsd_agent.pipeline.video_work import VideoWork
from fsd_firmware.codec import VideoCodec


@dataclass(frozen=True, slots=True)
class Finishing:
    """All of it runs on the thread that finishes clips."""

    valuing: Valuing
    keeper: Keeper
    selector: Selector
    novelty: Novelty
    finisher: Finisher


def open_finishing(
    parts: Parts, codec: VideoCodec | None, detectors: Detectors, policy: LinkPolicy, video: VideoWork
) -> Finishing:
    """Nothing is opened here that could fail: detectors and codec are those that the agent was started with."""
    sizes = parts.description.picture_sizes()
    valuing = Valuing(
        shipped_head(),
        journal=parts.journal,
        staging=parts.staging,
        campaigns=parts.control,
        consent=parts.consent,
        sizes=sizes,
        power=policy.power,
        clock=parts.clock,
        events=parts.events,
    )
    keeper = Keeper(parts.control.in_force)
    selector = Selector(
        in_force=parts.control.in_force, codec=codec, detectors=detectors.redaction, sizes=sizes
    )
    novelty = Novelty(
        in_force=parts.control.in_force,
        journal=parts.journal,
        keys=parts.keys,
        codec=codec,
        detectors=detectors.redaction,
        sizes=sizes,
        events=parts.events,
    )
    finisher = Finisher(
        journal=parts.journal,
        staging=parts.staging,
        spool=parts.spool,
        ledger=parts.ledger,
        residence=parts.residence,
        consent=parts.consent,
        means=Means(codec, detectors.redaction, detectors.checkers, sizes),
        keep=keeper,
        select=selector,
        novelty=novelty,
        keys=parts.keys,
        clock=parts.clock,
        events=parts.events,
        power=policy.power,
        video=video,
    )
    return Finishing(valuing, keeper, selector, novelty, finisher)
