"""A spool in memory, with a bound."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable

from fsd_agent.ports.spool import SpoolError, SpoolFullError
from fsd_agent.records.clip import SealedClip
from fsd_agent.rules.spool.names import is_clip_id, is_region_id


class MemorySpool:
    """See :class:`fsd_agent.ports.spool.SpoolStore`. ``capacity_bytes`` bounds all files together."""

    def __init__(self, *, capacity_bytes: int = 1 << 40) -> None:
        self.capacity_bytes = capacity_bytes
        self._files: dict[tuple[str, str], bytes] = {}
        self._lock = threading.RLock()

    def put(self, region_id: str, clip_id: str, chunks: Iterable[bytes]) -> SealedClip:
        """See the port."""
        key = _key(region_id, clip_id)
        content = b"".join(chunks)
        with self._lock:
            if len(content) > self.capacity_bytes - sum(map(len, self._files.values())):
                raise SpoolFullError(f"spool {region_id}/{clip_id}: no space left")
            self._files[key] = content
        return SealedClip(clip_id, region_id, len(content), hashlib.sha256(content).digest())

    def read(self, region_id: str, clip_id: str, offset: int, length: int) -> bytes:
        """See the port."""
        key = _key(region_id, clip_id)
        with self._lock:
            if key not in self._files:
                raise SpoolError(f"spool {region_id}/{clip_id}: no such file")
            return self._files[key][offset : offset + length]

    def erase(self, region_id: str, clip_id: str) -> None:
        """See the port."""
        with self._lock:
            self._files.pop(_key(region_id, clip_id), None)

    def entries(self) -> frozenset[tuple[str, str]]:
        """See the port."""
        with self._lock:
            return frozenset(self._files)

    def sweep(self) -> int:
        """See the port; a put here is never half done."""
        return 0


def _key(region_id: str, clip_id: str) -> tuple[str, str]:
    if not is_region_id(region_id):
        raise SpoolError(f"region id {region_id!r}: not 1 to 32 of [a-z0-9-]")
    if not is_clip_id(clip_id):
        raise SpoolError(f"clip id {clip_id!r}: not 32 lower-case hex digits")
    return region_id, clip_id
