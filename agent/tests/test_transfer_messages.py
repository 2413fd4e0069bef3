"""Topics and messages of the uplink: golden bytes, round trips, and everything that must be refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.wire.transfer import (
    MESSAGE_BYTES_MAX,
    RANGES_MAX,
    DownAddress,
    DownKind,
    Fin,
    Have,
    Init,
    Topics,
    TransferError,
    UpAddress,
    UpKind,
    decode,
    encode,
    parse_up,
    receiver_subscription,
)

CLIP = "0123456789abcdef0123456789abcdef"
TOPICS = Topics("cn", "car-1")
HASH = "5f" * 32


def test_topics_are_what_the_format_says() -> None:
    assert TOPICS.init(CLIP) == f"fsd/1/cn/vehicles/car-1/up/init/{CLIP}"
    segment = TOPICS.segment(CLIP, 65536, bytes.fromhex(HASH))
    assert segment == f"fsd/1/cn/vehicles/car-1/up/seg/{CLIP}/65536/{HASH}"
    assert TOPICS.fin(CLIP) == f"fsd/1/cn/vehicles/car-1/up/fin/{CLIP}"
    assert TOPICS.down(DownKind.HAVE, CLIP) == f"fsd/1/cn/vehicles/car-1/down/have/{CLIP}"
    assert TOPICS.status == "fsd/1/cn/vehicles/car-1/status"
    assert TOPICS.subscriptions == ("fsd/1/cn/vehicles/car-1/down/#", "fsd/1/cn/campaigns")
    assert receiver_subscription("cn") == "fsd/1/cn/vehicles/+/up/#"


@pytest.mark.parametrize("bad", ["", "CN", "a/b", "+", "#", "x" * 33, "cn\n"])
def test_an_id_that_could_change_the_topic_is_refused(bad: str) -> None:
    with pytest.raises(TransferError):
        Topics(bad, "car-1")


@given(st.integers(0, 10**12 - 1), st.binary(min_size=32, max_size=32))
def test_a_segment_topic_parses_to_what_built_it(offset: int, sha256: bytes) -> None:
    address = UpAddress("car-1", UpKind.SEGMENT, CLIP, offset, sha256)
    assert parse_up("cn", TOPICS.segment(CLIP, offset, sha256)) == address


def test_other_topics_parse_to_what_built_them() -> None:
    assert parse_up("cn", TOPICS.init(CLIP)) == UpAddress("car-1", UpKind.INIT, CLIP, 0)
    assert parse_up("cn", TOPICS.fin(CLIP)) == UpAddress("car-1", UpKind.FIN, CLIP, 0)
    assert TOPICS.parse_down(TOPICS.down(DownKind.RECEIPT, CLIP)) == DownAddress(DownKind.RECEIPT, CLIP)


@pytest.mark.parametrize(
    "topic",
    [
        f"fsd/1/eu/vehicles/car-1/up/init/{CLIP}",
        f"fsd/2/cn/vehicles/car-1/up/init/{CLIP}",
        f"fsd/1/cn/vehicles/../up/init/{CLIP}",
        "fsd/1/cn/vehicles/car-1/up/init/../../../etc/passwd",
        f"fsd/1/cn/vehicles/car-1/up/init/{CLIP.upper()}",
        f"fsd/1/cn/vehicles/car-1/up/init/{CLIP}/0",
        f"fsd/1/cn/vehicles/car-1/up/seg/{CLIP}",
        f"fsd/1/cn/vehicles/car-1/up/seg/{CLIP}/-1/{HASH}",
        f"fsd/1/cn/vehicles/car-1/up/seg/{CLIP}/01/{HASH}",
        f"fsd/1/cn/vehicles/car-1/up/seg/{CLIP}/٣/{HASH}",
        f"fsd/1/cn/vehicles/car-1/up/seg/{CLIP}/0",
        f"fsd/1/cn/vehicles/car-1/up/seg/{CLIP}/0/{HASH.upper()}",
        f"fsd/1/cn/vehicles/car-1/up/seg/{CLIP}/0/{HASH[2:]}",
        f"fsd/1/cn/vehicles/car-1/up/seg/{CLIP}/0/{HASH}/more",
        f"fsd/1/cn/vehicles/car-1/up/fin/{CLIP}/0/{HASH}",
        f"fsd/1/cn/vehicles/car-1/down/have/{CLIP}",
        f"fsd/1/cn/vehicles/car-1/up/nothing/{CLIP}",
    ],
)
def test_a_topic_that_is_not_of_the_format_is_refused(topic: str) -> None:
    with pytest.raises(TransferError):
        parse_up("cn", topic)


@pytest.mark.parametrize(
    "topic",
    [
        f"fsd/1/cn/vehicles/car-2/down/have/{CLIP}",
        f"fsd/1/cn/vehicles/car-1/down/have/{CLIP}/x",
        "fsd/1/cn/vehicles/car-1/down/have/short",
        f"fsd/1/cn/vehicles/car-1/down/other/{CLIP}",
        "fsd/1/cn/campaigns",
    ],
)
def test_an_answer_that_is_not_for_this_vehicle_is_none(topic: str) -> None:
    assert TOPICS.parse_down(topic) is None


def test_golden_bytes() -> None:
    init = Init(v=1, ask=7, size=100, sha256=bytes(range(32)), segment_bytes=65536)
    assert encode(init).hex() == (
        "85a17601a361736b07a473697a6564a6736861323536c420"
        + bytes(range(32)).hex()
        + "ad7365676d656e745f6279746573ce00010000"
    )
    have = Have(v=1, ask=7, sha256=bytes(32), missing=((0, 10), (20, 300)))
    assert encode(have).hex() == (
        "84a17601a361736b07a6736861323536c420" + "00" * 32 + "a76d697373696e67929200" + "0a9214cd012c"
    )


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 2**48),
    st.binary(min_size=32, max_size=32),
    st.integers(1024, 262144),
)
def test_questions_round_trip(ask: int, size: int, sha256: bytes, segment_bytes: int) -> None:
    for kind in (Init, Fin):
        message = kind(v=1, ask=ask, size=size, sha256=sha256, segment_bytes=segment_bytes)
        assert decode(kind, encode(message)) == message


@given(st.lists(st.integers(0, 2**40), unique=True, max_size=2 * RANGES_MAX))
def test_answers_round_trip(edges: list[int]) -> None:
    ordered = sorted(edges)
    missing = tuple(zip(ordered[::2], ordered[1::2], strict=False))
    have = Have(v=1, ask=1, sha256=bytes(32), missing=missing)
    assert decode(Have, encode(have)) == have


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"v": 2}, "v"),
        ({"ask": -1}, "ask"),
        ({"sha256": b"short"}, "sha256"),
        ({"missing": [[5, 5]]}, "range"),
        ({"missing": [[5, 9], [8, 12]]}, "range"),
        ({"missing": [[5, 9], [1, 2]]}, "range"),
        ({"missing": [[-1, 2]]}, "missing"),
        ({"missing": [[3 * i, 3 * i + 1] for i in range(RANGES_MAX + 1)]}, "missing"),
        ({"missing": "all"}, "missing"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_bad_answer_is_refused_and_the_field_named(change: dict[str, object], named: str) -> None:
    good: dict[str, object] = {"v": 1, "ask": 1, "sha256": bytes(32), "missing": []}
    with pytest.raises(TransferError, match=named):
        decode(Have, msgspec.msgpack.encode(good | change))


@given(st.binary(max_size=200))
def test_noise_is_refused_as_noise(payload: bytes) -> None:
    with pytest.raises(TransferError):
        decode(Init, payload)


def test_a_message_without_a_version_and_a_huge_one_are_refused() -> None:
    with pytest.raises(TransferError, match="v"):
        decode(Have, msgspec.msgpack.encode({"ask": 1, "sha256": bytes(32), "missing": []}))
    with pytest.raises(TransferError, match="at most"):
        decode(Have, bytes(MESSAGE_BYTES_MAX + 1))
