"""Upkeep: room is kept on the disk (``room.py``), and damage is looked for (``scrub.py``), a moment at a time.

Memory that nobody uses any more is given back (``spare_memory.py``).

After a disk that could not be written to, the ledger may refuse everything: it can't tell what the disk has of its last write.
Then upkeep fails once the disk is sound again, so that the agent ends and is started anew, which finds out.

Threads: one, of the lowest priority; it only decides, and what is decided is done by the loops that clips belong to.
"""

from __future__ import annotations

from fsd_agent.pipeline.quarantine import Quarantine
from fsd_agent.pipeline.room import Room
from fsd_agent.pipeline.scrub import Scrub
from fsd_agent.pipeline.spare_memory import SpareMemory
from fsd_agent.ports.ledger import Ledger
from fsd_agent.records.clip import ClipState


class Upkeep:
    """See the module."""

    def __init__(
        self, room: Room, scrub: Scrub, quarantine: Quarantine, ledger: Ledger, memory: SpareMemory
    ) -> None:
        self._room = room
        self._ledger = ledger
        self._scrub = scrub
        self._quarantine = quarantine
        self._memory = memory

    @property
    def trouble(self) -> str:
        """What a person should look at; empty where nothing is wrong."""
        return self._room.trouble or self._scrub.trouble

    def look(self) -> None:
        """Decide what is to be decided now; for the loop of upkeep. Raises ``LedgerError``: see the module."""
        was_broken = self._room.is_broken
        self._room.look()
        if was_broken and not self._room.is_broken:
            self._ledger.append()
        self._scrub.look()
        self._memory.look()

    def step(self, state: ClipState) -> tuple[str, ...]:
        """Give up what was decided of the clips in ``state``; their ids. For the loop that they belong to."""
        if state is ClipState.CAPTURED:
            self._quarantine.step()
        return (*self._scrub.step(state), *self._room.step(state))
