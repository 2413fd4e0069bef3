"""Where the agent writes down what it says of itself.

Threads: any.
"""

from __future__ import annotations

from typing import Protocol

from fsd_agent.records.local_status import LocalStatus


class StatusStoreError(Exception):
    """It can't be written; the message names the file and the reason. Nothing else depends on it."""


class StatusStore(Protocol):
    """Holds the newest status alone."""

    def put(self, status: LocalStatus) -> None:
        """Replace the one before, whole or not at all. Raises :class:`StatusStoreError`."""
        ...

    def newest(self) -> LocalStatus | None:
        """The newest one, also of an earlier run; None where there is none that can be read."""
        ...
