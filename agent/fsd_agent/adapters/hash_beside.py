"""Hashes of the pieces of what passes through (:mod:`fsd_agent.wire.pieces`), worked out beside what else is done with it.

Hashing is most of the processor's work for a durable file. On a thread of its own it goes on while the same bytes are
encrypted and written; what it has not begun when all has passed, whoever waits for the result hashes itself. Memory is bounded: at
most :data:`AHEAD` batches wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from fsd_agent.wire.pieces import PIECE_BYTES, FileIdentity, hash_pieces, identity_of

BATCH_BYTES = 16 * PIECE_BYTES
"""Hashed at a time: with less, taking turns between threads costs more than what is left at the end."""
AHEAD = 2
"""Batches that may wait; then whoever brings more waits for the oldest. With more, memory is taken that was not used before."""


class Hasher:
    """Has one thread, begun with the first batch. Any thread may call; each hash is independent of the others."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hash")

    def begin(self) -> Hashing:
        """A new hash, of nothing yet."""
        return Hashing(self._pool)


class Hashing:
    """Of one file; made by :meth:`Hasher.begin`. One thread."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._size = 0
        self._pieces: list[bytes] = []
        self._waiting: deque[tuple[bytes, Future[bytes]]] = deque()

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes in the same order, in batches of :data:`BATCH_BYTES`; the last may be small."""
        for batch in _batches(chunks):
            if len(self._waiting) == AHEAD:
                self._pieces.append(self._waiting.popleft()[1].result())
            self._size += len(batch)
            self._waiting.append((batch, self._pool.submit(hash_pieces, batch)))
            yield batch

    def identity(self) -> FileIdentity:
        """Of all that went through."""
        newest: list[bytes] = []
        while self._waiting:
            batch, hashing = self._waiting.pop()
            # From the end, where the thread comes last
            newest.append(hash_pieces(batch) if hashing.cancel() else hashing.result())
        self._pieces += reversed(newest)
        pieces = b"".join(self._pieces) or hash_pieces(b"")
        return FileIdentity(identity_of(self._size, pieces), pieces)


def _batches(chunks: Iterable[bytes]) -> Iterator[bytes]:
    parts: list[memoryview] = []
    count = 0
    for chunk in chunks:
        rest = memoryview(chunk)
        while count + len(rest) >= BATCH_BYTES:
            parts.append(rest[: BATCH_BYTES - count])
            yield b"".join(parts)
            rest, parts, count = rest[BATCH_BYTES - count :], [], 0
        if rest:
            parts.append(rest)
            count += len(rest)
    if parts:
        yield b"".join(parts)
