"""Ledger records, heads and checkpoints: one spelling each, known bytes, and nothing else is read."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.ledger import (
    LAZY,
    Cause,
    Checkpoint,
    ConsentChanged,
    Copy,
    Entry,
    Fact,
    Head,
    Held,
    KeyRotated,
    LiveClip,
    PolicyRefused,
    Receipted,
    Redacted,
    Repaired,
    SegmentRemoved,
    Started,
)
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import HoldReason
from fsd_agent.testing.decisions import Decisions, clip_id_of
from fsd_agent.testing.regions import sample_region
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.ledger import (
    KINDS,
    MAX_CHECKPOINT_BYTES,
    LedgerFormatError,
    LedgerSignatureError,
    Signed,
    decode_checkpoint,
    decode_checkpoint_apart,
    decode_entry,
    decode_head,
    encode_entry,
    sign_checkpoint,
    sign_value,
)
from fsd_agent.wire.ledger_file import RECORD, encode_frame

KEYS = MemoryVehicleKeys()
AFTER = KEYS.rotate("car-1 later", wall_ns=1_800_000_000_000_000_000)
DO = Decisions(sample_region("cn"))
CLIP = clip_id_of(7)
FACTS: list[Fact] = [
    Started("0.1.0", KEYS.device_key_id()),
    Repaired(37),
    DO.registered(),
    Held(HoldReason.NO_REGION),
    ConsentChanged(Purpose.SAFETY, given=False),
    DO.firing_dropped(),
    *DO.life(CLIP),
    DO.dropped(CLIP),
    SegmentRemoved(0, 4000, bytes(32), acknowledged=True),
    PolicyRefused("cn", 3),
    KeyRotated(KEYS.device_key_id(), AFTER.device_key_id(), AFTER.rotations()[0].data),
    DO.firing_sent(),
]
HEAD = Head(7, b"\x01" * 32, b"\x02" * 32, 1_800_000_000_000_000_000, KEYS.device_key_id())
EVERYTHING = "d2826e158e6c5828543c120001d9e6c5da902533406c2ead319c42122050f767"
"""SHA-256 over the records of FACTS, numbered from 0."""
CHECKPOINT = Checkpoint(
    HEAD,
    (b"\x03" * 32,) * 3,
    (("Fired", "cn", 7),),
    1,
    2,
    (Purpose.SAFETY,),
    (LiveClip(CLIP, "cn", Purpose.SAFETY, 3, redacted=True),),
)


@given(st.sampled_from(FACTS), st.integers(0, 2**63 - 1), st.integers(0, 2**62), st.integers(0, 2**62))
def test_what_is_written_is_read(fact: Fact, number: int, wall_ns: int, mono_ns: int) -> None:
    entry = Entry(number, wall_ns, mono_ns, fact)
    assert decode_entry(encode_entry(entry)) == entry


def test_every_kind_is_here_and_in_no_other_spelling() -> None:
    assert {type(fact) for fact in FACTS} == set(get_args(Fact)) == set(KINDS.values())
    assert set(get_args(Fact)) > LAZY


def test_the_bytes_are_what_they_were() -> None:
    """Ledgers outlive software: what was hashed and signed years ago must be read the same way."""
    entry = Entry(5, 6, 7, DO.erased(CLIP, Copy.SEALED, Cause.RECEIPTED))
    members = {"clip_id": CLIP, "region_id": "cn", "copy": "sealed", "cause": "receipted"}
    body = encode_entry(entry)
    assert body == msgspec.msgpack.encode([2, 5, 6, 7, "Erased", members])
    everything = b"".join(encode_entry(Entry(n, 6, 7, fact)) for n, fact in enumerate(FACTS))
    assert hashlib.sha256(everything).hexdigest() == EVERYTHING
    frame, check = encode_frame(RECORD, body, bytes(32), 4)
    assert frame.hex() == f"f51ed6e701{len(body):06x}0000000000000004" + body.hex() + check.hex()
    assert check == hashlib.sha256(b"fsd-ledger-1 record\0" + bytes(32) + frame[:-32]).digest()
    signed = sign_value(HEAD, KEYS.sign)
    members_of_head = msgspec.msgpack.encode(dataclasses.asdict(HEAD))
    assert signed.signature == KEYS.sign(b"fsd-ledger-1 head\0" + members_of_head)
    assert signed.encode() == b"\x93\x02" + members_of_head + b"\xc4\x40" + signed.signature


@pytest.mark.parametrize("clips", [0, 1, 15, 16, 70_000])
def test_a_checkpoint_is_the_same_however_its_clips_are_given(clips: int) -> None:
    live = tuple(LiveClip(f"{number:032x}", "cn", Purpose.SAFETY, number) for number in range(clips))
    whole = sign_value(dataclasses.replace(CHECKPOINT, live=live), KEYS.sign)
    assert sign_checkpoint(dataclasses.replace(CHECKPOINT, live=()), iter(live), KEYS.sign) == whole.encode()


def apart(data: bytes) -> Signed[Checkpoint]:
    signed, clips = decode_checkpoint_apart(data)
    assert signed.value.live == ()
    return Signed(dataclasses.replace(signed.value, live=tuple(clips)), signed.signature)


@pytest.mark.parametrize("clips", [0, 1, 15, 16])
def test_a_checkpoint_whose_clips_are_read_apart_is_the_same(clips: int) -> None:
    live = tuple(LiveClip(f"{number:032x}", "cn", Purpose.SAFETY, number) for number in range(clips))
    whole = sign_value(dataclasses.replace(CHECKPOINT, live=live), KEYS.sign)
    assert apart(whole.encode()) == decode_checkpoint(whole.encode()) == whole


def read_or_not(read: Callable[[bytes], Signed[Checkpoint]], data: bytes) -> Signed[Checkpoint] | None:
    try:
        return read(data)
    except LedgerFormatError:
        return None


@given(st.data())
def test_what_is_no_checkpoint_is_none_apart_either(data: st.DataObject) -> None:
    """Whatever bytes are changed, put in or left out: the one way reads what the other does, and nothing else."""
    good = sign_value(CHECKPOINT, KEYS.sign).encode()
    at, end = (data.draw(st.integers(0, len(good))) for _ in range(2))
    bad = good[:at] + data.draw(st.binary(max_size=3)) + good[max(at, min(end, at + 3)) :]
    assert read_or_not(apart, bad) == read_or_not(decode_checkpoint, bad)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        (b"\xa4live\x91", b"\xa4live\xdc\x00\x01"),
        (b"\xa4live\x91", b"\xa4live\xdd\x00\x00\x00\x01"),
        (b"\xd9\x20" + CLIP.encode(), b"\xda\x00\x20" + CLIP.encode()),
        (b"\xa5peaks\x93", b"\xa5peaks\xdc\x00\x03"),
        (b"\xa4head", b"\xd9\x04head"),
    ],
)
def test_another_spelling_of_a_checkpoint_is_refused(written: bytes, instead: bytes) -> None:
    good = sign_value(CHECKPOINT, KEYS.sign).encode()
    assert good.count(written) == 1
    for read in (apart, decode_checkpoint):
        with pytest.raises(LedgerFormatError, match="not the canonical encoding"):
            read(good.replace(written, instead))


def test_a_checkpoint_of_more_bytes_than_any_has_is_refused() -> None:
    for read in (apart, decode_checkpoint):
        with pytest.raises(LedgerFormatError, match="at most"):
            read(bytes(MAX_CHECKPOINT_BYTES + 1))


def test_signatures() -> None:
    head, checkpoint = sign_value(HEAD, KEYS.sign), sign_value(CHECKPOINT, KEYS.sign)
    assert decode_head(head.encode()) == head
    assert decode_checkpoint(checkpoint.encode()) == checkpoint
    head.verify(KEYS.device_public_key)
    checkpoint.verify(KEYS.device_public_key)
    for bad in (
        Signed(dataclasses.replace(HEAD, size=8), head.signature),
        Signed(HEAD, checkpoint.signature),
        Signed(HEAD, KEYS.sign(msgspec.msgpack.encode(HEAD))),
    ):
        with pytest.raises(LedgerSignatureError, match=KEYS.device_key_id()):
            bad.verify(KEYS.device_public_key)
    with pytest.raises(LedgerSignatureError):
        head.verify(MemoryVehicleKeys("another").device_public_key)


def test_every_flipped_bit_of_a_head_is_refused() -> None:
    data = sign_value(HEAD, KEYS.sign).encode()
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises((LedgerFormatError, LedgerSignatureError)):
            decode_head(bytes(damaged)).verify(KEYS.device_public_key)


ERASED = {"clip_id": CLIP, "region_id": "cn", "copy": "sealed", "cause": "receipted"}


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ([1, 0, 0, 0, "Erased", ERASED], "version 1"),
        ([2, 0, 0, 0, "Vanished", ERASED], "kind 'Vanished'"),
        ([2, -1, 0, 0, "Erased", ERASED], "-1|>= 0"),
        ([2, 0, 0, 0, "Erased", ERASED | {"clip_id": "../etc"}], "clip_id"),
        ([2, 0, 0, 0, "Erased", ERASED | {"copy": "third"}], "copy"),
        ([2, 0, 0, 0, "Erased", ERASED | {"more": 1}], "canonical"),
        ([2, 0, 0, 0, "Erased", dict(reversed(ERASED.items()))], "canonical"),
        ([2, 0, 0, 0, "Erased", {"clip_id": CLIP}], "region_id"),
        ([2, 0, 0, 0, "Erased", ERASED, 1], "record"),
        ([2, 0, 0, 0, "Receipted", {"clip_id": CLIP, "region_id": "cn", "receipt": bytes(1025)}], "receipt"),
    ],
)
def test_other_records_are_refused(form: list[object], says: str) -> None:
    with pytest.raises(LedgerFormatError, match=says):
        decode_entry(msgspec.msgpack.encode(form))


def test_bytes_that_are_none_are_refused() -> None:
    for data in (b"", b"\xc1", b"\x90", bytes(5000)):
        for decode in (decode_entry, decode_head, decode_checkpoint):
            with pytest.raises(LedgerFormatError):
                decode(data)
    with pytest.raises(LedgerFormatError, match="at most"):
        decode_head(bytes(3000))
    with pytest.raises(LedgerFormatError, match="version 1"):
        decode_head(msgspec.msgpack.encode((1, HEAD, bytes(64))))


def test_a_sentence_has_no_place_in_a_record() -> None:
    with pytest.raises(LedgerFormatError, match="sources"):
        encode_entry(Entry(0, 0, 0, Redacted(CLIP, "cn", (), ("a man in a red coat",), 1, 1, "kept")))
    with pytest.raises(LedgerFormatError, match="receipt"):
        encode_entry(Entry(0, 0, 0, Receipted(CLIP, "cn", b"")))
