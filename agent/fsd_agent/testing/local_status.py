"""A status store in memory. Set ``full`` to make every write fail."""

from __future__ import annotations

from fsd_agent.ports.local_status import StatusStoreError
from fsd_agent.records.local_status import LocalStatus


class MemoryStatusStore:
    """Implements :class:`fsd_agent.ports.local_status.StatusStore`, and remembers how often it was written."""

    def __init__(self, newest: LocalStatus | None = None) -> None:
        self.full = False
        self.puts = 0
        self._newest = newest

    def put(self, status: LocalStatus) -> None:
        """See the port."""
        if self.full:
            raise StatusStoreError("status.json: no space left on device")
        self.puts += 1
        self._newest = status

    def newest(self) -> LocalStatus | None:
        """See the port."""
        return self._newest
