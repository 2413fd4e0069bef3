"""Hashes that are worked out beside what else is done with the bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.adapters.hash_beside import AHEAD, BATCH_BYTES, Hasher
from fsd_agent.wire.pieces import FileIdentity

HASHER = Hasher()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, BATCH_BYTES + 10), max_size=6))
def test_the_same_bytes_pass_and_their_hash_is_known(sizes: list[int]) -> None:
    chunks = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    hashing = HASHER.begin()
    passed = list(hashing.through(chunks))
    assert all(one is other for one, other in zip(passed, chunks, strict=True))  # Nothing is copied
    assert hashing.identity() == FileIdentity.of(b"".join(chunks))
    assert hashing.identity() == FileIdentity.of(b"".join(chunks))  # It may be asked again


def test_nothing_has_one_piece() -> None:
    hashing = HASHER.begin()
    assert list(hashing.through(())) == []
    assert hashing.identity() == FileIdentity.of(b"")


def test_hashes_that_take_turns_do_not_mix() -> None:
    one, other = HASHER.begin(), HASHER.begin()
    ones, others = one.through([b"a" * BATCH_BYTES] * 3), other.through([b"b" * BATCH_BYTES] * 3)
    for _ in range(3):
        next(ones)
        next(others)
    assert one.identity() == FileIdentity.of(b"a" * BATCH_BYTES * 3)
    assert other.identity() == FileIdentity.of(b"b" * BATCH_BYTES * 3)


def test_memory_is_bounded_while_the_hash_is_slow() -> None:
    """Who brings bytes waits once enough of them wait: the thread that hashes is held here."""
    hasher, held, made = Hasher(), threading.Event(), list[int]()
    hasher.begin()
    hasher._pool.submit(held.wait)

    def chunks() -> Iterator[bytes]:
        for number in range(AHEAD + 3):
            made.append(number)
            yield bytes(BATCH_BYTES)

    hashing = hasher.begin()
    passing = threading.Thread(target=lambda: list(hashing.through(chunks())))
    passing.start()
    passing.join(0.3)
    assert passing.is_alive()
    assert len(made) == AHEAD + 1
    held.set()
    passing.join()
    assert len(made) == AHEAD + 3
    assert hashing.identity() == FileIdentity.of(bytes(BATCH_BYTES * (AHEAD + 3)))


def test_what_the_thread_has_not_begun_is_hashed_by_who_waits_for_it() -> None:
    hasher, held = Hasher(), threading.Event()
    hasher._pool.submit(held.wait)
    hashing = hasher.begin()
    content = bytes(range(256)) * (AHEAD * BATCH_BYTES // 256)
    passed = b"".join(hashing.through([content]))
    assert hashing.identity() == FileIdentity.of(passed)
    held.set()
