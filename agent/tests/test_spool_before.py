"""Spool files of versions 1 to 3, which earlier agents wrote: what is theirs alone. What holds of every version is in
``test_spool_container``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec
import pytest

from fsd_agent.records.clip import SealedFile
from fsd_agent.records.purpose import Compartment
from fsd_agent.testing.compartments import at
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.spool_before import Before, encode_as_before, identity_before
from fsd_agent.wire.pieces import PIECE_BYTES
from fsd_agent.wire.spool_file import SpoolFile
from fsd_agent.wire.spool_head import SpoolFileError

CLIP, OTHER = "ab" * 16, "cd" * 16
EU = at("eu")
KEY, SALT = bytes(range(32)), bytes(range(32, 64))
LONG = hashlib.shake_128(b"long").digest(2 * PIECE_BYTES + 100)


def encode(file: SealedFile, compartment: Compartment = EU, clip_id: str = CLIP, key: bytes = KEY) -> bytes:
    return encode_as_before(file, compartment, clip_id, key=key, salt=SALT, version=1)


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]


def opened(data: bytes, compartment: Compartment = EU, clip_id: str = CLIP, key: bytes = KEY) -> SpoolFile:
    return SpoolFile.open(reader(data), compartment, clip_id, key=key)


def whole(data: bytes, *where: object) -> bytes:
    file = opened(data, *where)  # type: ignore[arg-type] # compartment and clip id
    assert file.content_key() == bytes(32)
    return file.read(0, file.header.size + 1)


DATA = encode(as_file(LONG))


def test_the_bytes_are_what_they_were() -> None:
    """A vehicle is updated with files on board."""
    data = encode(as_file(b"golden", bytes(range(100, 132))))
    assert hashlib.sha256(data).hexdigest() == (
        "fc25877d6a1a9123cdd1833da5678867ffd23620dafd7de322636c92d3be82bd"
    )
    header = {"v": 1, "region_id": "eu", "purpose": "safety", "clip_id": CLIP, "size": 6, "salt": SALT}
    body = msgspec.msgpack.encode(header)
    assert data.startswith(b"FSDSPOL1" + len(body).to_bytes(4, "big") + body)
    assert len(data) == 12 + len(body) + 48 + 6 + 16
    assert opened(data).content_key() == bytes(range(100, 132))


def with_hash(content: bytes, salt: bytes = SALT, version: Before = 3) -> bytes:
    return encode_as_before(as_file(content), EU, CLIP, key=KEY, salt=salt, version=version)


@pytest.mark.parametrize(
    ("version", "golden"),
    [
        (2, "98c9b870719a9f794f2d5d4b5f71289e14180efd3c0929748ad71daa3984c8fb"),
        (3, "8c90a2c878c7242f4a2bfddd5d9837feae0b516a482558346b2f4b3dbd91015c"),
    ],
)
def test_the_bytes_of_later_versions_are_what_they_were(version: Before, golden: str) -> None:
    data = with_hash(b"golden", version=version)
    assert hashlib.sha256(data).hexdigest() == golden
    header = {"v": version, "region_id": "eu", "purpose": "safety", "clip_id": CLIP, "size": 6, "salt": SALT}
    body = msgspec.msgpack.encode(header)
    assert data.startswith(b"FSDSPOL1" + len(body).to_bytes(4, "big") + body)
    assert len(data) == 12 + len(body) + 48 + 6 + 16 + 48
    assert opened(data).identity() == identity_before(b"golden", version)
    assert whole(data) == b"golden"


def test_version_1_says_nothing() -> None:
    before = encode(as_file(b"golden"))
    assert opened(before).identity() is None
    assert opened(before + with_hash(b"golden")[-48:]).identity() is None


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 9 * PIECE_BYTES])
def test_a_file_says_what_it_is_known_by_whatever_its_size(size: int, version: Before) -> None:
    content = hashlib.shake_128(b"content").digest(size)
    data = with_hash(content, version=version)
    assert opened(data).identity() == identity_before(content, version)
    assert whole(data) == content


@pytest.mark.parametrize("version", [2, 3])
def test_hashes_that_were_changed_or_cut_are_refused(version: Before) -> None:
    data, size = with_hash(b"small", version=version), len(encode(as_file(b"small")))
    for bit in range(size * 8, len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(SpoolFileError, match="its hashes are damaged"):
            opened(bytes(damaged)).identity()
        assert whole(bytes(damaged)) == b"small"
    for length in range(size, len(data)):
        with pytest.raises(SpoolFileError, match=r"^its hashes are damaged, cut short, or another file's$"):
            opened(data[:length]).identity()


@pytest.mark.parametrize("size", [2**48, 70_000, 0])
def test_a_header_whose_size_was_damaged_costs_no_memory(size: int) -> None:
    """Nothing of it is proved yet, and a bit of it may say that there are hashes of a hundred gigabytes."""
    data, asked = with_hash(b"golden"), list[int]()
    head = msgspec.msgpack.encode(
        {"v": 3, "region_id": "eu", "purpose": "safety", "clip_id": CLIP, "size": size, "salt": SALT}
    )
    length = int.from_bytes(data[8:12], "big")
    damaged = data[:8] + len(head).to_bytes(4, "big") + head + data[12 + length :]

    def noted(offset: int, count: int) -> bytes:
        asked.append(count)
        return damaged[offset : offset + count]

    with pytest.raises(SpoolFileError, match="its hashes are damaged, cut short"):
        SpoolFile.open(noted, EU, CLIP, key=KEY).identity()
    assert max(asked) < 2000


def test_one_files_hashes_are_not_anothers() -> None:
    """Not even of the same clip, sealed twice to the same size."""
    one, other = with_hash(b"first"), with_hash(b"again", bytes(32))
    with pytest.raises(SpoolFileError, match="another file's"):
        opened(one[:-48] + other[-48:]).identity()


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES])
def test_at_the_edges_of_chunks(size: int) -> None:
    parts = [LONG[start : min(start + 1000, size)] for start in range(0, size, 1000)]
    data = encode(SealedFile(size, bytes(32), parts))
    assert whole(data) == LONG[:size]
    assert len(data) == len(encode(as_file(b""))) - 16 + size + 16 * max(1, -(-size // PIECE_BYTES)) + (
        len(msgspec.msgpack.encode(size)) - 1
    )


def test_chunks_do_not_change_places() -> None:
    begin = len(DATA) - len(LONG) - 3 * 16
    size = PIECE_BYTES + 16
    first, second = DATA[begin : begin + size], DATA[begin + size : begin + 2 * size]
    swapped = DATA[:begin] + second + first + DATA[begin + 2 * size :]
    with pytest.raises(SpoolFileError, match="chunk 0"):
        opened(swapped).read(0, 1)
