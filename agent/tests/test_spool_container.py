"""A spool file opens at any place in its own compartment, and is noise everywhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.clip import SealedFile
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.testing.compartments import at
from fsd_agent.testing.regions import sample_redacted_clip, sample_region
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.compartment import use_key
from fsd_agent.wire.pieces import FileIdentity
from fsd_agent.wire.sealed import SealedError, seal_clip
from fsd_agent.wire.spool_file import (
    BLOCK_BYTES,
    CHUNK_BYTES,
    SpoolFile,
    SpoolFileError,
    Version,
    encode_spool_blocks,
    encode_spool_file,
    open_own_clip,
    read_header,
)

CLIP, OTHER = "ab" * 16, "cd" * 16
EU = at("eu")
KEY, SALT = bytes(range(32)), bytes(range(32, 64))
LONG = hashlib.shake_128(b"long").digest(2 * CHUNK_BYTES + 100)


def encode(file: SealedFile, compartment: Compartment = EU, clip_id: str = CLIP, key: bytes = KEY) -> bytes:
    return b"".join(encode_spool_file(file, compartment, clip_id, key=key, salt=SALT))


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
    assert (
        use_key(KEY, EU, "spool").hex() == "3945753044e0067fd5f42ddb9ed80d601b59bb92932a1cd768e7248a4e14c681"
    )


def identity_in(version: Version, content: bytes) -> FileIdentity:
    return FileIdentity.of(content) if version == 3 else FileIdentity(hashlib.sha256(content).digest())


def with_hash(content: bytes, salt: bytes = SALT, version: Version = 3) -> bytes:
    room, identity = bytearray(BLOCK_BYTES), identity_in(version, content)
    blocks = encode_spool_blocks(
        as_file(content), EU, CLIP, key=KEY, salt=salt, room=room, identity=lambda: identity, version=version
    )
    return b"".join(map(bytes, blocks))


@pytest.mark.parametrize(
    ("version", "golden"),
    [
        (2, "98c9b870719a9f794f2d5d4b5f71289e14180efd3c0929748ad71daa3984c8fb"),
        (3, "8c90a2c878c7242f4a2bfddd5d9837feae0b516a482558346b2f4b3dbd91015c"),
    ],
)
def test_the_bytes_of_later_versions_are_what_they_were(version: Version, golden: str) -> None:
    data = with_hash(b"golden", version=version)
    assert hashlib.sha256(data).hexdigest() == golden
    header = {"v": version, "region_id": "eu", "purpose": "safety", "clip_id": CLIP, "size": 6, "salt": SALT}
    body = msgspec.msgpack.encode(header)
    assert data.startswith(b"FSDSPOL1" + len(body).to_bytes(4, "big") + body)
    assert len(data) == 12 + len(body) + 48 + 6 + 16 + 48
    assert opened(data).identity() == identity_in(version, b"golden")
    assert whole(data) == b"golden"


def test_version_1_says_nothing() -> None:
    before = encode(as_file(b"golden"))
    assert opened(before).identity() is None
    assert opened(before + with_hash(b"golden")[-48:]).identity() is None


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 9 * CHUNK_BYTES])
def test_a_file_says_what_it_is_known_by_whatever_its_size(size: int, version: Version) -> None:
    content = hashlib.shake_128(b"content").digest(size)
    data = with_hash(content, version=version)
    assert opened(data).identity() == identity_in(version, content)
    assert whole(data) == content


@pytest.mark.parametrize("version", [2, 3])
def test_hashes_that_were_changed_or_cut_are_refused(version: Version) -> None:
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


def test_hashes_are_asked_for_when_all_was_read() -> None:
    read: list[int] = []

    def parts() -> Iterator[bytes]:
        for number in range(40):
            read.append(number)
            yield bytes(CHUNK_BYTES)

    def identity() -> FileIdentity:
        assert len(read) == 40
        return FileIdentity.of(bytes(40 * CHUNK_BYTES))

    file = SealedFile(40 * CHUNK_BYTES, bytes(32), parts())
    room = bytearray(BLOCK_BYTES)
    blocks = list(
        map(bytes, encode_spool_blocks(file, EU, CLIP, key=KEY, salt=SALT, room=room, identity=identity))
    )
    assert opened(b"".join(blocks)).identity() == identity()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 17), st.integers(-1, 1), st.integers(1, 3 * CHUNK_BYTES))
def test_blocks_that_are_made_in_one_place_are_the_file(chunks: int, more: int, part_bytes: int) -> None:
    size = max(0, chunks * CHUNK_BYTES + more)
    content = hashlib.shake_128(b"content").digest(size)
    parts = tuple(content[start : start + part_bytes] for start in range(0, size, part_bytes))
    room = bytearray(b"of the file before" * 40_000)[:BLOCK_BYTES]
    file = SealedFile(size, bytes(32), parts)
    blocks = [bytes(one) for one in encode_spool_blocks(file, EU, CLIP, key=KEY, salt=SALT, room=room)]
    assert b"".join(blocks) == encode(as_file(content))
    assert all(8 * CHUNK_BYTES < len(block) <= BLOCK_BYTES for block in blocks[:-1])
    assert whole(b"".join(blocks)) == content


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(LONG) + 10), st.integers(0, CHUNK_BYTES * 3))
def test_any_place_reads_as_the_sealed_file_has_it(offset: int, length: int) -> None:
    assert opened(DATA).read(offset, length) == LONG[offset : offset + length]
    at = offset
    for part in (parts := opened(DATA).parts(offset, length)):
        assert part
        assert part == LONG[at : at + len(part)]
        at += len(part)
        assert at % CHUNK_BYTES == 0 or part is parts[-1]
    assert at == max(offset, min(offset + length, len(LONG)))


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_at_the_edges_of_chunks(size: int) -> None:
    parts = [LONG[start : min(start + 1000, size)] for start in range(0, size, 1000)]
    data = encode(SealedFile(size, bytes(32), parts))
    assert whole(data) == LONG[:size]
    assert len(data) == len(encode(as_file(b""))) - 16 + size + 16 * max(1, -(-size // CHUNK_BYTES)) + (
        len(msgspec.msgpack.encode(size)) - 1
    )


def test_a_read_touches_no_more_than_it_needs() -> None:
    read: list[tuple[int, int]] = []

    def noted(offset: int, length: int) -> bytes:
        read.append((offset, length))
        return DATA[offset : offset + length]

    SpoolFile.open(noted, EU, CLIP, key=KEY).read(CHUNK_BYTES + 5, 10)
    assert sum(length for _, length in read) < CHUNK_BYTES + 2000


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
    for use in (file.content_key, lambda: file.read(0, 1), lambda: file.read(CHUNK_BYTES, 1)):
        with pytest.raises(SpoolFileError, match="another"):
            use()


def test_a_key_that_is_laid_into_another_compartment_opens_nothing_there() -> None:
    made = encode(as_file(LONG), at("cn"), key=KEY)
    start = read_header(made)
    for compartment in (EU, at("cn", Purpose.DIAGNOSTICS)):
        assert use_key(KEY, compartment, "spool") != use_key(KEY, at("cn"), "spool")
    assert use_key(KEY, EU, "spool") != use_key(KEY, EU, "staging")
    assert (start.region_id, start.purpose, start.size) == ("cn", Purpose.SAFETY, len(LONG))
    with pytest.raises(ValueError, match="16 bytes, not 32"):
        use_key(bytes(16), EU, "spool")


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
    size = CHUNK_BYTES + 16
    first, second = DATA[begin : begin + size], DATA[begin + size : begin + 2 * size]
    swapped = DATA[:begin] + second + first + DATA[begin + 2 * size :]
    with pytest.raises(SpoolFileError, match="chunk 0"):
        opened(swapped).read(0, 1)


@pytest.mark.parametrize("said", [0, 4, 6, CHUNK_BYTES + 1])
def test_a_sealed_file_of_another_size_than_announced_is_not_written(said: int) -> None:
    with pytest.raises(SpoolFileError, match=f"{said} were announced"):
        encode(SealedFile(said, bytes(32), (b"small",)))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "a spool file with"),
        (b"FSDSEAL1" + bytes(100), "a spool file with"),
        (b"FSDSPOL1\0", "ends in its header"),
        (b"FSDSPOL1\0\0\x02\x01" + bytes(600), "a header of 513 bytes"),
        (b"FSDSPOL1\0\0\0\x01\xc1", "header: "),
    ],
)
def test_what_is_no_spool_file(data: bytes, says: str) -> None:
    with pytest.raises(SpoolFileError, match=says):
        opened(data)


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
