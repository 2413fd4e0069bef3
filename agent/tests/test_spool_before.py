"""Spool files that earlier agents wrote open as they did, and are noise everywhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.clip import SealedFile
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.testing.compartments import at
from fsd_agent.testing.regions import sample_redacted_clip, sample_region
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.spool_before import Before, encode_as_before, identity_before
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.pieces import PIECE_BYTES
from fsd_agent.wire.sealed import SealedError, seal_clip
from fsd_agent.wire.spool_file import SpoolFile, open_own_clip
from fsd_agent.wire.spool_head import SpoolFileError, read_header

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
        with pytest.raises(SpoolFileError, match="its hashes are damaged, cut short"):
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


@pytest.mark.parametrize("made", [with_hash, lambda content: encode(as_file(content))])
def test_nothing_may_follow(made: Callable[[bytes], bytes]) -> None:
    file = opened(made(b"small") + b"\0")
    with pytest.raises(SpoolFileError):
        file.read(0, 5), file.identity()


def test_one_files_hashes_are_not_anothers() -> None:
    """Not even of the same clip, sealed twice to the same size."""
    one, other = with_hash(b"first"), with_hash(b"again", bytes(32))
    with pytest.raises(SpoolFileError, match="another file's"):
        opened(one[:-48] + other[-48:]).identity()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(LONG) + 10), st.integers(0, PIECE_BYTES * 3))
def test_any_place_reads_as_the_sealed_file_has_it(offset: int, length: int) -> None:
    assert opened(DATA).read(offset, length) == LONG[offset : offset + length]
    at = offset
    for part in (parts := opened(DATA).parts(offset, length)):
        assert part
        assert part == LONG[at : at + len(part)]
        at += len(part)
        assert at % PIECE_BYTES == 0 or part is parts[-1]
    assert at == max(offset, min(offset + length, len(LONG)))


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES])
def test_at_the_edges_of_chunks(size: int) -> None:
    parts = [LONG[start : min(start + 1000, size)] for start in range(0, size, 1000)]
    data = encode(SealedFile(size, bytes(32), parts))
    assert whole(data) == LONG[:size]
    assert len(data) == len(encode(as_file(b""))) - 16 + size + 16 * max(1, -(-size // PIECE_BYTES)) + (
        len(msgspec.msgpack.encode(size)) - 1
    )


def test_a_read_touches_no_more_than_it_needs() -> None:
    read: list[tuple[int, int]] = []

    def noted(offset: int, length: int) -> bytes:
        read.append((offset, length))
        return DATA[offset : offset + length]

    SpoolFile.open(noted, EU, CLIP, key=KEY).read(PIECE_BYTES + 5, 10)
    assert sum(length for _, length in read) < PIECE_BYTES + 2000


@pytest.mark.parametrize(
    ("compartment", "clip_id", "key"),
    [
        (at("cn"), CLIP, KEY),
        (at("eu", Purpose.DIAGNOSTICS), CLIP, KEY),
        (EU, OTHER, KEY),
        (EU, CLIP, bytes(32)),
    ],
)
def test_elsewhere_it_is_noise_even_if_its_header_is_made_to_fit(
    compartment: Compartment, clip_id: str, key: bytes
) -> None:
    """A file that was copied or renamed; then with a header that says it belongs there."""
    if key == KEY:
        with pytest.raises(SpoolFileError, match=f"is clip {CLIP} of compartment eu/safety"):
            opened(DATA, compartment, clip_id, key)
    start = read_header(DATA)
    length = 12 + len(msgspec.msgpack.encode(start))
    forged = msgspec.structs.replace(
        start, region_id=compartment.region_id, purpose=compartment.purpose, clip_id=clip_id
    )
    body = msgspec.msgpack.encode(forged)
    file = opened(
        b"FSDSPOL1" + len(body).to_bytes(4, "big") + body + DATA[length:], compartment, clip_id, key
    )
    for use in (file.content_key, lambda: file.read(0, 1), lambda: file.read(PIECE_BYTES, 1)):
        with pytest.raises(SpoolFileError, match="another"):
            use()


def test_every_flipped_bit_is_refused() -> None:
    data = encode(as_file(b"small"))
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(SpoolFileError):
            whole(bytes(damaged))


def test_every_cut_is_refused() -> None:
    data = encode(as_file(b"small"))
    for length in range(len(data)):
        with pytest.raises(SpoolFileError):
            whole(data[:length])
    with pytest.raises(SpoolFileError, match="cut short"):
        opened(DATA[:-1]).read(0, len(LONG))


def test_chunks_do_not_change_places() -> None:
    begin = len(DATA) - len(LONG) - 3 * 16
    size = PIECE_BYTES + 16
    first, second = DATA[begin : begin + size], DATA[begin + size : begin + 2 * size]
    swapped = DATA[:begin] + second + first + DATA[begin + 2 * size :]
    with pytest.raises(SpoolFileError, match="chunk 0"):
        opened(swapped).read(0, 1)


def test_the_vehicle_opens_the_clip_for_its_owner() -> None:
    keys, route = MemoryVehicleKeys(), sample_region("eu", ("DE",)).route()
    clip = sample_redacted_clip(CLIP, "eu")
    sealed = seal_clip(clip, LONG, route=route, sign=keys.sign, device_key_id=keys.device_key_id())
    data = encode(sealed)
    manifest, parts = open_own_clip(reader(data), EU, CLIP, key=KEY)
    assert (manifest.clip_id, manifest.region_id, b"".join(parts)) == (CLIP, "eu", LONG)
    with pytest.raises(SpoolFileError):
        open_own_clip(reader(data), EU, CLIP, key=bytes(32))
    cut = data[: len(data) - 5]
    with pytest.raises((SpoolFileError, SealedError)):
        b"".join(open_own_clip(reader(cut), EU, CLIP, key=KEY)[1])
