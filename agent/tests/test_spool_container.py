"""A spool file opens at any place in its own compartment, and is noise everywhere else, to its own region too."""

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
from fsd_agent.testing.spool_before import encode_as_before
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.compartment import use_key
from fsd_agent.wire.pieces import PIECE_BYTES, FileIdentity
from fsd_agent.wire.sealed import HEADER_BYTES_MAX, SealedError, seal_clip
from fsd_agent.wire.spool_file import SpoolFile, encode_spool_file, open_own_clip
from fsd_agent.wire.spool_head import SpoolFileError, Version, read_header

CLIP, OTHER = "ab" * 16, "cd" * 16
EU = at("eu")
KEY, SALT = bytes(range(32)), bytes(range(32, 64))
LONG = hashlib.shake_128(b"long").digest(2 * PIECE_BYTES + 100)
SIZES = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 9 * PIECE_BYTES + 5]


def encode(
    file: SealedFile,
    compartment: Compartment = EU,
    clip_id: str = CLIP,
    key: bytes = KEY,
    salt: bytes = SALT,
    version: Version = 4,
) -> bytes:
    content = b"".join(file.chunks)
    file = SealedFile(file.size_bytes, file.content_key, (content,))
    if version < 4:
        return encode_as_before(file, compartment, clip_id, key=key, salt=salt, version=version)
    identity = FileIdentity.of(content)
    return b"".join(
        encode_spool_file(file, compartment, clip_id, key=key, salt=salt, identity=lambda: identity)
    )


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]


def opened(data: bytes, compartment: Compartment = EU, clip_id: str = CLIP, key: bytes = KEY) -> SpoolFile:
    return SpoolFile.open(reader(data), compartment, clip_id, key=key)


def whole(data: bytes) -> bytes:
    file = opened(data)
    assert file.content_key() == bytes(32)
    file.identity()
    return file.read(0, file.header.size + 1)


def body_of(data: bytes) -> int:
    """Where the sealed file begins: behind header and content key."""
    return 12 + int.from_bytes(data[8:12], "big") + 48


DATA = encode(as_file(LONG))
VERSIONS: tuple[Version, ...] = (1, 2, 3, 4)
LONG_IN = {version: encode(as_file(LONG), version=version) for version in VERSIONS}
of_every_version = pytest.mark.parametrize("version", VERSIONS)


def test_the_bytes_are_what_they_were() -> None:
    """A vehicle is updated with files on board."""
    data = encode(as_file(b"golden", bytes(range(100, 132))))
    assert hashlib.sha256(data).hexdigest() == (
        "a1a2853177a714c1aaff5416f830b405097bec07cbfb24d51afe68161dd34949"
    )
    header = {"v": 4, "region_id": "eu", "purpose": "safety", "clip_id": CLIP, "size": 6, "salt": SALT}
    body = msgspec.msgpack.encode(header)
    assert data.startswith(b"FSDSPOL1" + len(body).to_bytes(4, "big") + body)
    assert len(data) == 12 + len(body) + 48 + 6 + 16 + 32 + 16
    assert opened(data).content_key() == bytes(range(100, 132))
    assert (
        use_key(KEY, EU, "spool").hex() == "3945753044e0067fd5f42ddb9ed80d601b59bb92932a1cd768e7248a4e14c681"
    )
    assert hashlib.sha256(DATA).hexdigest() == (
        "5a1693a72c22ec4c553600bba9eae8bcefd57c99d07708c90f2fa3f112934af0"
    )


def test_the_first_piece_is_closed_and_the_others_are_as_they_were_sealed() -> None:
    at_byte = body_of(DATA)
    assert len(DATA) == at_byte + 16 + len(LONG) + 3 * 32 + 16
    first = DATA[at_byte : at_byte + PIECE_BYTES + 16]
    assert DATA[at_byte + PIECE_BYTES + 16 :].startswith(LONG[PIECE_BYTES:])
    assert all(LONG[start : start + 16] not in first for start in range(0, PIECE_BYTES, 4096))


def test_the_first_piece_has_all_that_says_what_opens_the_clip() -> None:
    """What is closed under the compartment's key is as large as a manifest can be; its largest is tried in ``test_sealed``."""
    assert HEADER_BYTES_MAX <= PIECE_BYTES
    keys, route = MemoryVehicleKeys(), sample_region("eu", ("DE",)).route()
    sealed = seal_clip(
        sample_redacted_clip(CLIP, "eu"),
        bytes(200_000),
        route=route,
        sign=keys.sign,
        device_key_id=keys.device_key_id(),
    )
    content = b"".join(sealed.chunks)
    data = encode(SealedFile(sealed.size_bytes, sealed.content_key, (content,)))
    kept = data[body_of(data) :]
    assert content[PIECE_BYTES:] in kept
    assert b"wrapped_key" in content[:PIECE_BYTES]
    assert all(word not in kept for word in (b"wrapped_key", b"redaction", sealed.content_key, CLIP.encode()))


@pytest.mark.parametrize("size", SIZES)
def test_a_file_says_what_it_is_known_by_whatever_its_size(size: int) -> None:
    content = hashlib.shake_128(b"content").digest(size)
    data = encode(as_file(content))
    assert opened(data).identity() == FileIdentity.of(content)
    assert whole(data) == content


@pytest.mark.parametrize("size", [2**48, 70_000, 0])
def test_a_header_whose_size_was_damaged_costs_no_memory(size: int) -> None:
    """Nothing of it is proved yet, and a bit of it may say that there are hashes of a hundred gigabytes."""
    data, asked = encode(as_file(b"golden")), list[int]()
    head = msgspec.msgpack.encode(
        {"v": 4, "region_id": "eu", "purpose": "safety", "clip_id": CLIP, "size": size, "salt": SALT}
    )
    length = int.from_bytes(data[8:12], "big")
    damaged = data[:8] + len(head).to_bytes(4, "big") + head + data[12 + length :]

    def noted(offset: int, count: int) -> bytes:
        asked.append(count)
        return damaged[offset : offset + count]

    file = SpoolFile.open(noted, EU, CLIP, key=KEY)
    with pytest.raises(
        SpoolFileError, match=r"^its hashes are damaged, cut short, or another clip's or compartment's$"
    ):
        file.identity()
    if size:
        with pytest.raises(SpoolFileError, match="its hashes are damaged, cut short"):
            file.read(0, 1)
    assert max(asked) < 2000


@of_every_version
def test_nothing_may_follow(version: Version) -> None:
    file = opened(encode(as_file(b"small"), version=version) + b"\0")
    with pytest.raises(SpoolFileError):
        file.read(0, 5), file.identity()


def test_one_files_parts_are_not_anothers() -> None:
    """Not even of the same clip, sealed twice to the same size: neither what is closed nor what is not."""
    one, other = encode(as_file(LONG)), encode(as_file(LONG[::-1]), salt=bytes(32))
    assert len(one) == len(other)
    hashes = 3 * 32 + 16
    with pytest.raises(SpoolFileError, match="another clip's"):
        opened(one[:-hashes] + other[-hashes:]).identity()
    begin = body_of(one)
    first, second = begin + PIECE_BYTES + 16, begin + 2 * PIECE_BYTES + 16
    with pytest.raises(SpoolFileError, match="piece 0"):
        opened(one[:begin] + other[begin:first] + one[first:]).read(0, 1)
    swapped = opened(one[:first] + other[first:second] + one[second:])
    with pytest.raises(SpoolFileError, match="piece 1"):
        swapped.read(PIECE_BYTES, 1)
    assert swapped.read(2 * PIECE_BYTES, 100) == LONG[2 * PIECE_BYTES :], "others can be read"


def test_hashes_are_asked_for_when_all_was_read() -> None:
    read: list[int] = []

    def parts() -> Iterator[bytes]:
        for number in range(40):
            read.append(number)
            yield bytes(PIECE_BYTES)

    def identity() -> FileIdentity:
        assert len(read) == 40
        return FileIdentity.of(bytes(40 * PIECE_BYTES))

    file = SealedFile(40 * PIECE_BYTES, bytes(32), parts())
    data = b"".join(encode_spool_file(file, EU, CLIP, key=KEY, salt=SALT, identity=identity))
    assert opened(data).identity() == identity()


def test_what_is_not_encrypted_is_passed_on_and_not_copied() -> None:
    """A clip is as large as memory allows."""
    chunks = [
        LONG[:10],
        b"",
        LONG[10:PIECE_BYTES],
        LONG[PIECE_BYTES : PIECE_BYTES + 50],
        LONG[PIECE_BYTES + 50 :],
    ]
    file = SealedFile(len(LONG), bytes(32), chunks)
    made = list(encode_spool_file(file, EU, CLIP, key=KEY, salt=SALT, identity=lambda: FileIdentity.of(LONG)))
    assert all(made), "no part is empty"
    views = [part for part in made if isinstance(part, memoryview)]
    assert [id(view.obj) for view in views] == [id(chunk) for chunk in chunks[3:]]


def test_of_more_than_was_announced_nothing_is_passed_on() -> None:
    chunks = (LONG[:PIECE_BYTES], LONG[PIECE_BYTES : 2 * PIECE_BYTES], b"too much", b"and more")
    file = SealedFile(2 * PIECE_BYTES, bytes(32), chunks)
    made, passed = (
        encode_spool_file(file, EU, CLIP, key=KEY, salt=SALT, identity=lambda: FileIdentity.of(b"")),
        [],
    )
    with pytest.raises(
        SpoolFileError,
        match=rf"^clip {CLIP}: sealed to {2 * PIECE_BYTES + 8} bytes or more, {2 * PIECE_BYTES} ",
    ):
        passed.extend(made)
    assert passed[-1] == chunks[1]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 4), st.integers(-1, 1), st.integers(1, 3 * PIECE_BYTES))
def test_parts_of_any_size_are_the_same_file(pieces: int, more: int, part_bytes: int) -> None:
    size = max(0, pieces * PIECE_BYTES + more)
    content = hashlib.shake_128(b"content").digest(size)
    parts = tuple(content[start : start + part_bytes] for start in range(0, size, part_bytes))
    made = encode_spool_file(
        SealedFile(size, bytes(32), parts),
        EU,
        CLIP,
        key=KEY,
        salt=SALT,
        identity=lambda: FileIdentity.of(content),
    )
    data = b"".join(made)
    assert data == encode(as_file(content))
    assert whole(data) == content


@of_every_version
@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(LONG) + 10), st.integers(0, PIECE_BYTES * 3))
def test_any_place_reads_as_the_sealed_file_has_it(version: Version, offset: int, length: int) -> None:
    assert opened(LONG_IN[version]).read(offset, length) == LONG[offset : offset + length]
    at_byte = offset
    for part in (parts := opened(LONG_IN[version]).parts(offset, length)):
        assert part
        assert part == LONG[at_byte : at_byte + len(part)]
        at_byte += len(part)
        assert at_byte % PIECE_BYTES == 0 or part is parts[-1]
    assert at_byte == max(offset, min(offset + length, len(LONG)))


@of_every_version
def test_a_read_touches_no_more_than_it_needs(version: Version) -> None:
    read: list[tuple[int, int]] = []

    def noted(offset: int, length: int) -> bytes:
        read.append((offset, length))
        return LONG_IN[version][offset : offset + length]

    SpoolFile.open(noted, EU, CLIP, key=KEY).read(PIECE_BYTES + 5, 10)
    assert sum(length for _, length in read) < PIECE_BYTES + 2000


@of_every_version
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
    compartment: Compartment, clip_id: str, key: bytes, version: Version
) -> None:
    """A file that was copied or renamed; then with a header that says it belongs there."""
    data = LONG_IN[version]
    if key == KEY:
        with pytest.raises(SpoolFileError, match=f"is clip {CLIP} of compartment eu/safety"):
            opened(data, compartment, clip_id, key)
    forged = msgspec.structs.replace(
        read_header(data), region_id=compartment.region_id, purpose=compartment.purpose, clip_id=clip_id
    )
    body = msgspec.msgpack.encode(forged)
    file = opened(
        b"FSDSPOL1" + len(body).to_bytes(4, "big") + body + data[body_of(data) - 48 :],
        compartment,
        clip_id,
        key,
    )
    for use in (file.content_key, lambda: file.read(0, 1), lambda: file.read(PIECE_BYTES, 1)):
        with pytest.raises(SpoolFileError, match="another"):
            use()
    if version > 1:
        with pytest.raises(SpoolFileError, match="another"):
            file.identity()


def test_a_key_that_is_laid_into_another_compartment_opens_nothing_there() -> None:
    made = encode(as_file(LONG), at("cn"), key=KEY)
    start = read_header(made)
    for compartment in (EU, at("cn", Purpose.DIAGNOSTICS)):
        assert use_key(KEY, compartment, "spool") != use_key(KEY, at("cn"), "spool")
    assert use_key(KEY, EU, "spool") != use_key(KEY, EU, "staging")
    assert (start.region_id, start.purpose, start.size) == ("cn", Purpose.SAFETY, len(LONG))
    with pytest.raises(ValueError, match="16 bytes, not 32"):
        use_key(bytes(16), EU, "spool")


@of_every_version
def test_every_flipped_bit_is_refused(version: Version) -> None:
    data = encode(as_file(b"small"), version=version)
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(SpoolFileError):
            whole(bytes(damaged))


@pytest.mark.parametrize(
    "where", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES - 1, 2 * PIECE_BYTES, -1]
)
def test_a_flipped_bit_in_a_large_file_costs_the_piece_that_it_is_in(where: int) -> None:
    where %= len(LONG)
    damaged = bytearray(DATA)
    damaged[body_of(DATA) + where + (16 if where >= PIECE_BYTES else 0)] ^= 1
    file = opened(bytes(damaged))
    for number, start in enumerate(range(0, len(LONG), PIECE_BYTES)):
        if number == where // PIECE_BYTES:
            with pytest.raises(SpoolFileError, match=f"piece {number} is damaged"):
                file.read(start, 1)
        else:
            assert file.read(start, PIECE_BYTES) == LONG[start : start + PIECE_BYTES]


@of_every_version
def test_every_cut_is_refused(version: Version) -> None:
    data = encode(as_file(b"small"), version=version)
    for length in range(len(data)):
        with pytest.raises(SpoolFileError):
            whole(data[:length])
    long = LONG_IN[version]
    with pytest.raises(SpoolFileError, match="cut short"):
        opened(long[: body_of(long) + 2 * PIECE_BYTES]).read(0, len(LONG))


def test_a_file_that_was_cut_short_gives_nothing_not_even_what_is_left() -> None:
    for short in (DATA[:-1], DATA[: body_of(DATA) + PIECE_BYTES + 100]):
        with pytest.raises(SpoolFileError, match="cut short"):
            opened(short).read(0, 1)


def test_pieces_do_not_change_places() -> None:
    content = hashlib.shake_128(b"three").digest(3 * PIECE_BYTES)
    data = encode(as_file(content))
    begin = body_of(data) + PIECE_BYTES + 16
    second, third = data[begin : begin + PIECE_BYTES], data[begin + PIECE_BYTES : begin + 2 * PIECE_BYTES]
    swapped = data[:begin] + third + second + data[begin + 2 * PIECE_BYTES :]
    with pytest.raises(SpoolFileError, match="piece 1"):
        opened(swapped).read(PIECE_BYTES, 1)


@pytest.mark.parametrize("said", [0, 4, 6, PIECE_BYTES + 1])
@pytest.mark.parametrize("parts", [(b"small",), (b"s", b"", b"mall")])
def test_a_sealed_file_of_another_size_than_announced_is_not_written(
    said: int, parts: tuple[bytes, ...]
) -> None:
    made = encode_spool_file(
        SealedFile(said, bytes(32), parts),
        EU,
        CLIP,
        key=KEY,
        salt=SALT,
        identity=lambda: FileIdentity.of(b"small"),
    )
    with pytest.raises(SpoolFileError, match=f"{said} were announced"):
        list(made)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "a spool file with"),
        (b"FSDSEAL1" + bytes(100), "a spool file with"),
        (b"FSDSPOL1\0", "ends in its header"),
        (b"FSDSPOL1\0\0\x02\x01" + bytes(600), "a header of 513 bytes"),
        (b"FSDSPOL1\0\0\0\x01\xc1", "header: "),
        (DATA.replace(b"\xa1v\x04", b"\xa1v\x05", 1), "header: "),
    ],
)
def test_what_is_no_spool_file(data: bytes, says: str) -> None:
    with pytest.raises(SpoolFileError, match=says):
        opened(data)


@of_every_version
def test_the_vehicle_opens_the_clip_for_its_owner(version: Version) -> None:
    keys, route = MemoryVehicleKeys(), sample_region("eu", ("DE",)).route()
    clip = sample_redacted_clip(CLIP, "eu")
    sealed = seal_clip(clip, LONG, route=route, sign=keys.sign, device_key_id=keys.device_key_id())
    data = encode(sealed, version=version)
    manifest, parts = open_own_clip(reader(data), EU, CLIP, key=KEY)
    assert (manifest.clip_id, manifest.region_id, b"".join(parts)) == (CLIP, "eu", LONG)
    with pytest.raises(SpoolFileError):
        open_own_clip(reader(data), EU, CLIP, key=bytes(32))
    cut = data[: body_of(data) + len(LONG)]
    with pytest.raises((SpoolFileError, SealedError)):
        b"".join(open_own_clip(reader(cut), EU, CLIP, key=KEY)[1])
