"""A disk in numbers, and a reserve on it."""

from __future__ import annotations

from fsd_agent.records.room import Amount, DiskLook


class MemoryDisk:
    """See :class:`fsd_agent.ports.disk.Disk`: what is free is what a test says, less what a reserve takes."""

    def __init__(self, free: Amount) -> None:
        self.free = free
        self.is_read_only = False
        self.fault = ""
        """Set to make writes fail."""
        self.write_ns = 1_000_000
        """How long a write takes."""
        self.writes = 0

    def look(self, *, write: bool) -> DiskLook:
        """See the port."""
        if self.is_read_only or not write:
            return DiskLook(self.free, self.is_read_only, write_ns=None)
        self.writes += 1
        if self.fault:
            return DiskLook(self.free, is_read_only=False, write_ns=None, fault=self.fault)
        return DiskLook(self.free, is_read_only=False, write_ns=self.write_ns)


class MemoryReserve:
    """See :class:`fsd_agent.ports.disk.Reserve`: parts come from the disk's free room and go back to it."""

    def __init__(self, disk: MemoryDisk, *, part: Amount, parts: int) -> None:
        self.part = part
        self._disk = disk
        self._parts = parts
        self._kept = 0

    @property
    def held(self) -> Amount:
        """See the port."""
        return self.part.share(self._kept, 1)

    def give_up(self) -> bool:
        """See the port."""
        if not self._kept or self._disk.is_read_only:
            return False
        self._kept -= 1
        self._disk.free = self._disk.free.plus(self.part)
        return True

    def add(self) -> bool:
        """See the port."""
        if self._kept == self._parts or self._disk.is_read_only:
            return False
        left = self._disk.free.beyond(self.part)
        if left.plus(self.part) != self._disk.free:  # It has less than a part
            return False
        self._disk.free = left
        self._kept += 1
        return True
