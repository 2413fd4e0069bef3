"""Puts together what keeps disk and memory in order: room, scrub, quarantine, and what is given back."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from fsd_agent.adapters.data_disk import DataDisk
from fsd_agent.adapters.process_memory import give_back_memory
from fsd_agent.adapters.reserve_files import ReserveFiles
from fsd_agent.daemon.parts import Parts
from fsd_agent.daemon.storage import RESERVE_PARTS, StorageConfig
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.quarantine import Quarantine
from fsd_agent.pipeline.room import Room
from fsd_agent.pipeline.scrub import Scrub
from fsd_agent.pipeline.spare_memory import SpareMemory
from fsd_agent.pipeline.upkeep import Upkeep
from fsd_agent.records.purpose import Compartment


def open_upkeep(
    config: StorageConfig, data: Path, parts: Parts, give_up: GiveUp, sending: Callable[[], Collection[str]]
) -> tuple[Room, Upkeep]:
    """``sending``: clips that are being sent. Raises ``SpoolError``."""
    part_bytes = config.reserve_bytes // RESERVE_PARTS
    room = Room(
        config.policy(),
        disk=DataDisk(data),
        reserve=ReserveFiles(data / "reserve", part_bytes=part_bytes, parts=RESERVE_PARTS),
        journal=parts.journal,
        staging=parts.staging,
        give_up=give_up,
        sending=sending,
        clock=parts.clock,
        events=parts.events,
    )
    scrub = Scrub(
        journal=parts.journal,
        staging=parts.staging,
        spool=parts.spool,
        give_up=give_up,
        clock=parts.clock,
        events=parts.events,
        bytes_per_s=config.scrub_bytes_per_s,
    )

    def unwanted(compartment: Compartment) -> bool:
        withdrawn = compartment.purpose not in parts.consent.now.in_force
        return withdrawn or compartment.region_id in parts.residence.erased

    quarantine = Quarantine(
        spool=parts.spool,
        journal=parts.journal,
        ledger=parts.ledger,
        unwanted=unwanted,
        clock=parts.clock,
        events=parts.events,
    )
    return room, Upkeep(room, scrub, quarantine, parts.ledger, SpareMemory(give_back_memory, parts.clock))
