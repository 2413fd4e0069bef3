"""Hashes of the pieces of what passes through (:mod:`fsd_agent.wire.pieces`), worked out beside what else is done with it.

Hashing is most of the processor's work for a durable file. On a thread of its own it goes on while the same bytes are
written; what it has not begun when all has passed, whoever waits for the result hashes itself. Memory is bounded: at
most :data:`AHEAD` batches wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from fsd_agent.wire.pieces import PIECE_BYTES, FileIdentity, PieceHashes, hash_pieces, identity_of

BATCH_BYTES = 8 * PIECE_BYTES
"""Hashed at a time: with less, taking turns between threads costs more than what is left at the end."""
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
    """Of one file; made by :meth:`Hasher.begin`. One thread."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._size = 0
        self._pieces: list[bytes] = []
        self._waiting: deque[tuple[_Batch, Future[bytes]]] = deque()

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same, as it comes."""
        batch: _Batch = []
        room = BATCH_BYTES
        for chunk in chunks:
            self._size += len(chunk)
            rest = memoryview(chunk)
            while len(rest) >= room:
                batch.append(rest[:room])
                self._submit(batch)
                rest, batch, room = rest[room:], [], BATCH_BYTES
            if rest:
                batch.append(rest)
                room -= len(rest)
            yield chunk
        if batch:
            self._submit(batch)

    def identity(self) -> FileIdentity:
        """Of all that went through."""
        newest: list[bytes] = []
        while self._waiting:
            batch, hashing = self._waiting.pop()
            # From the end, where the thread comes last
            newest.append(_hashes(batch) if hashing.cancel() else hashing.result())
        self._pieces += reversed(newest)
        pieces = b"".join(self._pieces) or hash_pieces(b"")
        return FileIdentity(identity_of(self._size, pieces), pieces)

    def _submit(self, batch: _Batch) -> None:
        if len(self._waiting) == AHEAD:
            self._pieces.append(self._waiting.popleft()[1].result())
        self._waiting.append((batch, self._pool.submit(_hashes, batch)))


_Batch = list[memoryview]


def _hashes(batch: Sequence[memoryview]) -> bytes:
    pieces = PieceHashes()
    for part in batch:
        pieces.update(part)
    return pieces.pieces()
