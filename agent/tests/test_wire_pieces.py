"""What a sealed file is known by: the same however its bytes come, and by nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fsd_agent.wire.pieces import (
    HASH_BYTES,
    PIECE_BYTES,
    FileIdentity,
    PieceHashes,
    count_pieces,
    digest_like,
    hash_pieces,
    identity_of,
    is_known_by,
)

CONTENT = hashlib.shake_128(b"content").digest(3 * PIECE_BYTES + 10)

GOLDEN = (
    "46bf373bc671f43227eb2b591674fb7b6ce5db62ece7f24d6dca7eb6decd94e7",
    "3c87124d2e6d26c8da7ee3a2544bc225730acb6db84878aae9c01f30bba42e35",
    "fd54dbc8af3d1e55baf0de77c0d3a011f0760724a81de127ba3cb77ac2d37f2c",
)


def defined(content: bytes) -> FileIdentity:
    """As the module's text has it, word by word."""
    pieces = [content[:PIECE_BYTES]]
    while rest := content[len(pieces) * PIECE_BYTES :]:
        pieces.append(rest[:PIECE_BYTES])
    hashes = b"".join(hashlib.sha256(piece).digest() for piece in pieces)
    size = len(content).to_bytes(8, "big")
    return FileIdentity(hashlib.sha256(b"fsd pieces 1\0" + size + hashes).digest(), hashes)


def test_the_values_are_what_they_were() -> None:
    """Journals, ledgers and receipts have them."""
    assert FileIdentity.of(b"").sha256.hex() == GOLDEN[0]
    assert FileIdentity.of(b"golden").sha256.hex() == GOLDEN[1]
    assert FileIdentity.of(bytes(PIECE_BYTES + 1)).sha256.hex() == GOLDEN[2]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, len(CONTENT)]),
    st.lists(st.integers(0, len(CONTENT)), max_size=6),
)
@example(2 * PIECE_BYTES, [PIECE_BYTES])
def test_it_is_the_same_however_the_bytes_come(size: int, cuts: list[int]) -> None:
    content, hashes = CONTENT[:size], PieceHashes()
    for low, high in pairwise([0, *sorted(min(cut, size) for cut in cuts), size]):
        hashes.update(memoryview(content)[low:high])
    assert FileIdentity(hashes.digest(), hashes.pieces()) == defined(content) == FileIdentity.of(content)
    assert hash_pieces(content) == defined(content).pieces
    assert len(defined(content).pieces) == count_pieces(size) * HASH_BYTES


def test_a_digest_can_be_asked_for_in_the_middle() -> None:
    hashes = PieceHashes()
    for number in range(3):
        assert hashes.digest() == defined(CONTENT[: number * PIECE_BYTES]).sha256
        hashes.update(CONTENT[number * PIECE_BYTES :][:PIECE_BYTES])


def test_size_and_each_piece_are_in_it() -> None:
    pieces = FileIdentity.of(CONTENT).pieces
    known = identity_of(len(CONTENT), pieces)
    others = [identity_of(len(CONTENT) - 1, pieces), identity_of(len(CONTENT), pieces[HASH_BYTES:])]
    others += [
        identity_of(len(CONTENT), pieces[:at] + bytes([pieces[at] ^ 1]) + pieces[at + 1 :])
        for at in range(len(pieces))
    ]
    assert known not in others
    assert len(set(others)) == len(others)


@pytest.mark.parametrize("size", [0, 5, PIECE_BYTES, len(CONTENT)])
def test_a_file_is_known_in_either_way_and_in_no_other(size: int) -> None:
    content = CONTENT[:size]

    def read() -> Iterator[bytes]:
        yield from (content[:3], content[3:])

    assert is_known_by(FileIdentity.of(content).sha256, read)
    assert is_known_by(hashlib.sha256(content).digest(), read)
    assert not is_known_by(FileIdentity.of(content + b"\0").sha256, read)
    assert not is_known_by(hashlib.sha256(content + b"\0").digest(), read)
    assert not is_known_by(bytes(32), read)


def test_the_way_is_that_of_the_file() -> None:
    plain, pieces = hashlib.sha256(CONTENT).digest(), FileIdentity.of(CONTENT)
    for says, expected in ((None, plain), (FileIdentity(plain), plain), (pieces, pieces.sha256)):
        digest = digest_like(says)
        digest.update(CONTENT)
        assert digest.digest() == expected
