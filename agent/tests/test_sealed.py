"""A sealed clip opens whole in its own region, and nothing else opens at all."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from typing import cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.redaction import (
    CameraRecord,
    CheckRecord,
    RedactionRecord,
    ScoreRecord,
    SourceRecord,
)
from fsd_agent.testing.regions import SampleRegion, sample_redacted_clip, sample_region
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire import sealed
from fsd_agent.wire.sealed import (
    CHUNK_BYTES,
    NotForThisRegionError,
    SealedDamagedError,
    SealedError,
    SealedFormatError,
    SealedManifest,
    SealedMismatchError,
    SealedSignatureError,
    SealedTruncatedError,
    SealError,
    open_sealed,
    open_with_content_key,
    read_manifest,
    seal_clip,
)

KEYS = MemoryVehicleKeys()
CN = sample_region("cn")
EU = sample_region("eu", ("DE",))
CLIP_ID = "0123456789abcdef" * 2
CIPHER_CHUNK = CHUNK_BYTES + 16


def seal(content: bytes, region: SampleRegion = CN, clip_id: str = CLIP_ID) -> bytes:
    clip = sample_redacted_clip(clip_id, region.policy.region_id)
    route = region.route()
    file = seal_clip(clip, content, route=route, sign=KEYS.sign, device_key_id=KEYS.device_key_id())
    data = b"".join(file.chunks)
    assert len(data) == file.size_bytes
    return data


def device_key(vehicle: str) -> bytes | None:
    return KEYS.device_public_key if vehicle == "car-1" else None


def unseal(
    data: bytes, region: SampleRegion = CN, vehicle: str | None = None, clip_id: str | None = None
) -> tuple[SealedManifest, bytes]:
    manifest, parts = open_sealed(
        io.BytesIO(data),
        region_id=region.policy.region_id,
        private_key=region.sealing_key,
        device_public_key=device_key,
        vehicle=vehicle,
        clip_id=clip_id,
    )
    return manifest, b"".join(parts)


def header_bytes(data: bytes) -> int:
    """Magic, length, manifest and signature."""
    return 12 + int.from_bytes(data[8:12], "big") + 64


GOLDEN = bytes.fromhex(
    "4653445345414c31000001ac8ca17601a57375697465bc7832353531392d686b64665f7368613235362d616573323536"
    "67636da7636c69705f6964d9203031323334353637383961626364656630313233343536373839616263646566a97265"
    "67696f6e5f6964a2636ea776656869636c65a56361722d31ac6a7572697364696374696f6ea2434eb372656769737472"
    "6174696f6e5f73657269616c01ae706f6c6963795f76657273696f6e01ad6465766963655f6b65795f6964b032623965"
    "663532366437626337353464ae7365616c696e675f6b65795f6964b062613361623337363634353063356161ab777261"
    "707065645f6b6579c450c8c578b09833ca6e0c3d12206386b4f6fd56113867f5f9cc7c5878b0b9a9fc7c882735e5c5ae"
    "97247ba44409be2c3724e84783b73ed1ac715af99c103a74eb86dd0369c6f41c0ea41deaef5d720e08a1a97265646163"
    "74696f6e86a572756c657391af66616365733d686561645f7a6f6e65a7736f757263657391a86669726d77617265a666"
    "72616d657301a5626f78657302ac66696c6c65645f7368617265cb3fd0000000000000a86c6f636174696f6eab636f61"
    "7273653a302e3035f5cfedfd0389467c3ba12199552e1b3049ed184fec5dda3087abd8b20d1aa7d8e9c8d4676ce5e50d"
    "df32a9fcd917d8366cde41aa58e1814c2aa9917d4850340f00c910b374ebb5de3ddb462fe4ebbf490a6a0208f134c428"
    "2c9ddd"
)


def test_a_file_of_the_first_version_still_opens() -> None:
    manifest, content = unseal(GOLDEN)
    assert content == b"golden clip"
    assert (manifest.clip_id, manifest.region_id, manifest.vehicle) == (CLIP_ID, "cn", "car-1")
    assert (manifest.jurisdiction, manifest.registration_serial, manifest.policy_version) == ("CN", 1, 1)
    assert manifest.redaction == sample_redacted_clip().redaction
    assert read_manifest(io.BytesIO(GOLDEN)) == manifest


RECORD = RedactionRecord(
    ("faces=head_zone", "strictness=strict"),
    ("nanodet@1",),
    3,
    5,
    0.25,
    "dropped",
    version=2,
    models=(SourceRecord("nanodet@1", "ab" * 32, 2, (ScoreRecord("head", 0.5, 0.25),)),),
    cameras=(CameraRecord("front", 640, 480, 3, 0.25, 1, "2x2,1"),),
    check=CheckRecord(("yunet@1",), ("cd" * 32,), 3, "a face"),
    looked_again=2,
)
GOLDEN_RECORD = bytes.fromhex(
    "8ba572756c657392af66616365733d686561645f7a6f6e65b17374726963746e6573733d737472696374a7736f757263"
    "657391a96e616e6f6465744031a66672616d657303a5626f78657305ac66696c6c65645f7368617265cb3fd000000000"
    "0000a86c6f636174696f6ea764726f70706564a776657273696f6e02a66d6f64656c739184a6736f75726365a96e616e"
    "6f6465744031a6646967657374d940616261626162616261626162616261626162616261626162616261626162616261"
    "62616261626162616261626162616261626162616261626162616261626162a56c6f6f6b7302a673636f7265739183a5"
    "73686f7773a468656164a5616c6f6e65cb3fe0000000000000a9636f6e6669726d6564cb3fd0000000000000a763616d"
    "657261739187a663616d657261a566726f6e74a57769647468cd0280a6686569676874cd01e0a66672616d657303ac66"
    "696c6c65645f7368617265cb3fd0000000000000ad636f756e7465645f657665727901a6636f756e7473a53278322c31"
    "a5636865636b84a7736f757263657391a779756e65744031a76469676573747391d94063646364636463646364636463"
    "646364636463646364636463646364636463646364636463646364636463646364636463646364636463646364636463"
    "646364a66672616d657303a5616761696ea6612066616365ac6c6f6f6b65645f616761696e02"
)


GOLDEN_ZONED = b"\x8c" + GOLDEN_RECORD[1:] + b"\xacutc_offset_h" + b"\xfb"
"""With the time zone that agents add since: -5."""


def test_a_record_of_the_second_version_has_one_encoding() -> None:
    zoned = replace(RECORD, utc_offset_h=-5)
    assert msgspec.msgpack.encode(zoned) == GOLDEN_ZONED
    assert msgspec.msgpack.decode(GOLDEN_ZONED, type=RedactionRecord) == zoned


def test_a_record_from_before_time_zones_says_none() -> None:
    assert msgspec.msgpack.decode(GOLDEN_RECORD, type=RedactionRecord) == RECORD
    assert RECORD.utc_offset_h is None


def test_the_manifest_which_anybody_can_read_tells_no_time_zone() -> None:
    redacted = replace(sample_redacted_clip(), redaction=replace(RECORD, utc_offset_h=8))
    file = seal_clip(redacted, b"clip", route=CN.route(), sign=KEYS.sign, device_key_id=KEYS.device_key_id())
    assert unseal(b"".join(file.chunks))[0].redaction == RECORD


def test_the_record_is_signed_and_comes_back_whole() -> None:
    redacted = replace(sample_redacted_clip(), redaction=RECORD)
    file = seal_clip(redacted, b"clip", route=CN.route(), sign=KEYS.sign, device_key_id=KEYS.device_key_id())
    data = b"".join(file.chunks)
    assert unseal(data)[0].redaction == RECORD
    at = data.index(b"2x2,1")
    with pytest.raises(SealedSignatureError):
        unseal(data[:at] + b"1x2,1" + data[at + 5 :])


def test_what_a_later_version_adds_to_the_record_is_passed_over() -> None:
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(sample_redacted_clip().redaction))
    later = resigned(GOLDEN, redaction={**fields, "unheard_of": 1})
    assert b"unheard_of" in later
    assert read_manifest(io.BytesIO(later)) == read_manifest(io.BytesIO(GOLDEN))


def test_a_file_of_the_first_version_has_a_record_of_the_first() -> None:
    record = unseal(GOLDEN)[0].redaction
    assert (record.version, record.models, record.cameras, record.check) == (1, (), (), None)


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 7]
)
def test_round_trip_at_the_edges_of_chunks(size: int) -> None:
    content = hashlib.shake_128(b"content").digest(size)
    data = seal(content)
    assert unseal(data, vehicle="car-1", clip_id=CLIP_ID)[1] == content
    chunks = max(1, -(-size // CHUNK_BYTES))
    assert len(data) == header_bytes(data) + size + 16 * chunks


def test_the_content_key_opens_the_clip_and_no_other_key_does() -> None:
    content = hashlib.shake_128(b"content").digest(CHUNK_BYTES + 9)
    clip, route = sample_redacted_clip(CLIP_ID, "cn"), CN.route()
    file = seal_clip(clip, content, route=route, sign=KEYS.sign, device_key_id=KEYS.device_key_id())
    data = b"".join(file.chunks)
    manifest, parts = open_with_content_key(io.BytesIO(data), file.content_key)
    assert (manifest.clip_id, b"".join(parts)) == (CLIP_ID, content)
    assert file.content_key not in data
    with pytest.raises(SealedDamagedError):
        list(open_with_content_key(io.BytesIO(data), bytes(32))[1])


def test_what_is_sealed_can_not_be_read_and_is_never_the_same_twice() -> None:
    content = b"a face and a number plate " * 20
    first, second = seal(content), seal(content)
    assert b"face and a number" not in first
    assert first[header_bytes(first) :] != second[header_bytes(second) :]


def test_every_flipped_bit_is_refused() -> None:
    for bit in range(len(GOLDEN) * 8):
        damaged = bytearray(GOLDEN)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(SealedError):
            unseal(bytes(damaged))


@settings(max_examples=40)
@given(position=st.integers(0, 3 * CIPHER_CHUNK), mask=st.integers(1, 255))
def test_a_flipped_byte_anywhere_in_a_long_file_is_refused(position: int, mask: int) -> None:
    damaged = bytearray(LONG)
    damaged[position % len(LONG)] ^= mask
    with pytest.raises(SealedError):
        unseal(bytes(damaged))


LONG = seal(hashlib.shake_128(b"long").digest(3 * CHUNK_BYTES - 5))
BODY = header_bytes(LONG)


def test_every_truncation_is_refused() -> None:
    for end in range(len(GOLDEN)):
        with pytest.raises(SealedError) as caught:
            unseal(GOLDEN[:end])
        assert isinstance(caught.value, SealedTruncatedError | SealedDamagedError)
    for end in (BODY - 1, BODY, BODY + 15, BODY + CIPHER_CHUNK, BODY + 2 * CIPHER_CHUNK):
        with pytest.raises(SealedTruncatedError):
            unseal(LONG[:end])


def test_swapped_dropped_repeated_and_appended_chunks_are_refused() -> None:
    head, tail = LONG[:BODY], LONG[BODY:]
    first, second, last = tail[:CIPHER_CHUNK], tail[CIPHER_CHUNK : 2 * CIPHER_CHUNK], tail[2 * CIPHER_CHUNK :]
    for body in (
        second + first + last,
        first + last,
        first + first + second + last,
        first + second + last + b"x",
    ):
        with pytest.raises(SealedDamagedError):
            unseal(head + body)
    full = seal(bytes(2 * CHUNK_BYTES))
    with pytest.raises(SealedDamagedError, match="follows chunk 1"):
        unseal(full + full[-CIPHER_CHUNK:])


def test_a_chunk_of_another_file_is_refused() -> None:
    other = seal(b"other clip!", clip_id="f" * 32)
    with pytest.raises(SealedDamagedError):
        unseal(GOLDEN[: header_bytes(GOLDEN)] + other[header_bytes(other) :])


def test_another_region_can_not_open_it() -> None:
    data = seal(b"x", EU)
    with pytest.raises(NotForThisRegionError, match="region 'eu'"):
        unseal(data, CN)
    for region_id, key in (("eu", CN.sealing_key), ("cn", EU.sealing_key)):
        with pytest.raises(NotForThisRegionError):
            open_sealed(io.BytesIO(data), region_id=region_id, private_key=key, device_public_key=device_key)


def resigned(data: bytes, **changes: object) -> bytes:
    """The file as a device that lies about these fields would write it: genuinely signed."""
    length = int.from_bytes(data[8:12], "big")
    fields = msgspec.msgpack.decode(data[12 : 12 + length]) | changes
    body = msgspec.msgpack.encode(fields)
    header = data[:8] + len(body).to_bytes(4, "big") + body
    return header + KEYS.sign(sealed._SIGNED_DOMAIN + header) + data[12 + length + 64 :]


def test_the_wrapped_key_opens_for_no_other_clip_region_or_key_name() -> None:
    assert unseal(resigned(GOLDEN))[1] == b"golden clip"
    with pytest.raises(NotForThisRegionError, match="unwrap"):
        unseal(resigned(GOLDEN, clip_id="f" * 32))
    relabelled = resigned(seal(b"x", EU), region_id="cn", sealing_key_id=CN.policy.sealing_key_id)
    with pytest.raises(NotForThisRegionError, match="unwrap"):
        unseal(relabelled)


def test_chunks_belong_to_every_field_of_their_manifest() -> None:
    with pytest.raises(SealedDamagedError):
        unseal(resigned(GOLDEN, jurisdiction="DE"))


def test_a_device_that_is_not_enrolled_or_not_this_one_is_refused() -> None:
    for enrolled in ({}, {"car-1": MemoryVehicleKeys("car-2").device_public_key}):
        with pytest.raises(SealedSignatureError):
            open_sealed(
                io.BytesIO(GOLDEN), region_id="cn", private_key=CN.sealing_key, device_public_key=enrolled.get
            )
    damaged = bytearray(GOLDEN)
    damaged[header_bytes(GOLDEN) - 1] ^= 1
    with pytest.raises(SealedSignatureError, match="not signed"):
        unseal(bytes(damaged))


def test_a_genuine_file_under_another_name_is_refused() -> None:
    with pytest.raises(SealedMismatchError, match="clip_id"):
        unseal(GOLDEN, clip_id="f" * 32)
    with pytest.raises(SealedMismatchError, match="vehicle"):
        unseal(GOLDEN, vehicle="car-2")


def test_other_files_and_later_versions_say_so() -> None:
    with pytest.raises(SealedFormatError, match="starts with"):
        unseal(b"\x89MCAP0\r\n and more than a header")
    with pytest.raises(SealedFormatError, match="manifest of"):
        unseal(b"FSDSEAL1\xff\xff\xff\xff")
    with pytest.raises(SealedFormatError, match="suite"):
        unseal(resigned(GOLDEN, suite="sm2-sm4"))
    with pytest.raises(SealedFormatError, match="extra"):
        unseal(resigned(GOLDEN, extra="field"))


def test_a_clip_is_sealed_only_to_the_region_it_belongs_to() -> None:
    clip = sample_redacted_clip(region_id="eu")
    with pytest.raises(SealError, match="belongs to region 'eu'"):
        seal_clip(clip, b"x", route=CN.route(), sign=KEYS.sign, device_key_id=KEYS.device_key_id())


def test_a_raw_stream_that_gives_little_at_a_time_reads_the_same() -> None:
    class Trickle(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._rest = io.BytesIO(data)

        def read(self, size: int = -1) -> bytes:
            return self._rest.read(min(size, 1000))

    stream = cast("io.BytesIO", Trickle(LONG))
    _, parts = open_sealed(stream, region_id="cn", private_key=CN.sealing_key, device_public_key=device_key)
    assert b"".join(parts) == unseal(LONG)[1]
