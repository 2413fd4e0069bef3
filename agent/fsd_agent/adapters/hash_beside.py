"""SHA-256 of what passes through, worked out beside what else is done with it.

Hashing is most of the processor's work for a durable file. On a thread of its own it goes on while the same bytes are
encrypted and written, and while the medium is waited for. Memory is bounded: at most :data:`AHEAD` batches wait.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

BATCH_BYTES = 512 << 10
"""Hashed at a time: long enough that taking turns between threads costs nothing."""
AHEAD = 4
"""Batches that may wait; then whoever brings more waits for the oldest."""


class Hasher:
    """Has one thread, begun with the first batch. Any thread may call; each hash is independent of the others."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hash")

    def begin(self) -> Hashing:
        """A new hash, of nothing yet."""
        return Hashing(self._pool)


class Hashing:
    """One hash; made by :meth:`Hasher.begin`. One thread."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._hash = hashlib.sha256()
        self._waiting: deque[Future[None]] = deque()

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes in the same order, in batches of :data:`BATCH_BYTES` or a little more; the last may be small."""
        for batch in _batches(chunks):
            if len(self._waiting) == AHEAD:
                self._waiting.popleft().result()
            self._waiting.append(self._pool.submit(self._hash.update, batch))
            yield batch

    def digest(self) -> bytes:
        """Of all that went through."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._hash.digest()


def _batches(chunks: Iterable[bytes]) -> Iterator[bytes]:
    parts: list[bytes] = []
    count = 0
    for chunk in chunks:
        parts.append(chunk)
        count += len(chunk)
        if count >= BATCH_BYTES:
            yield b"".join(parts)
            parts, count = [], 0
    if parts:
        yield b"".join(parts)
