"""Upkeep of the disk: room is kept on it (``room.py``), and damage is looked for (``scrub.py``), a moment at a time.

Threads: one, of the lowest priority; it only decides, and what is decided is done by the loops that clips belong to.
"""

from __future__ import annotations

from fsd_agent.pipeline.quarantine import Quarantine
from fsd_agent.pipeline.room import Room
from fsd_agent.pipeline.scrub import Scrub
from fsd_agent.records.clip import ClipState


class Upkeep:
    """See the module."""

    def __init__(self, room: Room, scrub: Scrub, quarantine: Quarantine) -> None:
        self._room = room
        self._scrub = scrub
        self._quarantine = quarantine

    @property
    def trouble(self) -> str:
        """What a person should look at; empty where nothing is wrong."""
        return self._room.trouble or self._scrub.trouble

    def look(self) -> None:
        """Decide what is to be decided now; for the loop of upkeep."""
        self._room.look()
        self._scrub.look()

    def step(self, state: ClipState) -> tuple[str, ...]:
        """Give up what was decided of the clips in ``state``; their ids. For the loop that they belong to."""
        if state is ClipState.CAPTURED:
            self._quarantine.step()
        return (*self._scrub.step(state), *self._room.step(state))
