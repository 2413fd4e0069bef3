"""The oracle itself: what counts as secret, and what a capture's bytes become."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil_tests.wire.flows import Packet, Stream, parse
from hil_tests.wire.watch import OFF, ON, REWRITTEN, Phase, Watch


def record(kind: int, body: bytes) -> bytes:
    return bytes([kind, 3, 3]) + len(body).to_bytes(2) + body


HELLO = record(22, b"\x01" + bytes(200))
CHANGE = record(20, b"\x01")
ALERT = record(23, bytes(19))
CERTIFICATE = record(23, bytes(900))
CLEAR_CERTIFICATE = record(22, b"\x0b" + bytes(900))
HARMLESS = st.lists(st.sampled_from([HELLO, CHANGE, record(21, b"\x02\x2a")]), max_size=4).map(b"".join)


def secret(*parts: bytes) -> int:
    stream, at = Stream(7), 7
    for part in parts:
        stream.take(at, part)
        at += len(part)
    return stream.secret_bytes


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ((HELLO,), 0),
        ((HELLO, CHANGE + ALERT), 0),
        ((HELLO, HELLO, CHANGE, ALERT), 0),
        ((HELLO, CHANGE + ALERT, ALERT), len(ALERT)),
        ((HELLO, CHANGE, CERTIFICATE), len(CERTIFICATE)),
        ((HELLO, CHANGE, CERTIFICATE[:9]), 9),
        ((HELLO, CLEAR_CERTIFICATE), len(CLEAR_CERTIFICATE)),
        ((HELLO, record(23, bytes(18))), 23),
        ((b"\x10",), 1),
        ((b"\x10\x0c\x00\x04MQTT",), 8),
        ((HELLO, b"x"), 1),
    ],
)
def test_only_a_hello_and_one_alert_are_harmless(sent: tuple[bytes, ...], expected: int) -> None:
    assert secret(*sent) == expected
    assert secret(b"".join(sent)) == expected


@given(HARMLESS, st.binary(max_size=40), st.data())
def test_neither_cutting_nor_order_nor_repetition_changes_the_count(
    start: bytes, after: bytes, data: st.DataObject
) -> None:
    sent = start + CERTIFICATE + after
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=6)) | {0, len(sent)})
    segments = [(low, sent[low:high]) for low, high in pairwise(cuts)]
    segments = data.draw(st.permutations(segments + segments[:2]))
    stream = Stream(0xFFFFFFF0)
    for at, payload in segments:
        stream.take((0xFFFFFFF0 + at) & 0xFFFFFFFF, payload)
    assert stream.secret_bytes == len(CERTIFICATE) + len(after)
    assert stream.waiting == 0


@given(HARMLESS)
def test_what_is_harmless_is_never_secret(start: bytes) -> None:
    assert secret(start) == 0
    assert secret(start, ALERT) == 0


CAR, CN, EU = "10.77.1.2", "10.77.2.2", "10.77.3.2"
OWN = Phase("cn", frozenset({"cn"}), frozenset({8883}), None)
LISTED = Phase("cn", frozenset({"cn"}), frozenset({8883}), frozenset({(CN, 8883)}))


def packet(target: str, flags: int, payload: bytes = b"", *, port: int = 8883, sequence: int = 1) -> Packet:
    return Packet(CAR, target, 6, 40 + len(payload), 4000, port, flags, sequence, payload)


def connect(watch: Watch, region: str, target: str, phase: Phase, *payloads: bytes, port: int = 8883) -> None:
    watch.arrived(region, packet(target, 2, port=port, sequence=0), phase)
    at = 1
    for payload in payloads:
        watch.arrived(region, packet(target, 16, payload, port=port, sequence=at), phase)
        at += len(payload)


def test_a_secret_byte_elsewhere_is_wrong_and_a_hello_is_counted() -> None:
    watch = Watch(CAR)
    connect(watch, "cn", CN, OWN, HELLO, CERTIFICATE)
    connect(watch, "eu", EU, OWN, HELLO, CHANGE + ALERT)
    assert watch.wrong == []
    assert watch.matrix[OFF, "cn", "eu"].packets == 3
    assert watch.matrix[OFF, "cn", "eu"].secret_bytes == 0
    connect(watch, "eu", EU, OWN, HELLO, CERTIFICATE)
    assert watch.wrong == [f"{len(CERTIFICATE)} secret bytes reached eu port 8883 from a vehicle of cn"]
    assert watch.packets == {"cn": 3, "eu": 6}


def test_a_port_that_is_not_the_broker_is_wrong_in_the_own_region_too() -> None:
    watch = Watch(CAR)
    connect(watch, "cn", CN, OWN, HELLO, CERTIFICATE, port=8901)
    assert watch.wrong == [f"{len(CERTIFICATE)} secret bytes reached cn port 8901, which is not its broker"]


def test_a_connection_that_outlives_its_registration_may_carry_nothing_more() -> None:
    watch = Watch(CAR)
    connect(watch, "cn", CN, OWN, HELLO, CERTIFICATE)
    moved = Phase("eu", frozenset({"eu"}), frozenset({8883}), None)
    moving = replace(moved, lingers=frozenset({"cn"}))
    watch.arrived("cn", packet(CN, 17, sequence=1 + len(HELLO) + len(CERTIFICATE)), moved)
    watch.arrived("cn", packet(CN, 24, b"bye", sequence=1 + len(HELLO) + len(CERTIFICATE)), moving)
    assert watch.wrong == []
    watch.arrived("cn", packet(CN, 24, b"x", sequence=4 + len(HELLO) + len(CERTIFICATE)), moved)
    assert watch.wrong == ["1 secret bytes reached cn port 8883 from a vehicle of eu"]


def test_the_middle_of_a_foreign_connection_is_secret() -> None:
    watch = Watch(CAR)
    watch.arrived("eu", packet(EU, 24, HELLO), OWN)
    watch.arrived("eu", packet(EU, 24, b"", sequence=9), OWN)
    assert watch.wrong == []
    watch.arrived("eu", packet(EU, 24, CERTIFICATE, sequence=1 + len(HELLO)), OWN)
    assert len(watch.wrong) == 1


def test_with_the_list_on_not_even_a_syn_may_leave_for_elsewhere() -> None:
    watch = Watch(CAR)
    watch.left(packet(CN, 2), LISTED)
    watch.left(packet(CN, 16, HELLO), LISTED)
    watch.left(packet(EU, 2), OWN)
    assert watch.wrong == []
    for stray in (packet(EU, 2), packet(CN, 2, port=8884), Packet(CAR, CN, 17, 40)):
        watch = Watch(CAR)
        watch.left(stray, LISTED)
        assert len(watch.wrong) == 1
    watch.arrived("eu", packet(EU, 2), LISTED)
    watch.arrived("cn", packet(CN, 2), LISTED)
    assert watch.matrix[REWRITTEN, "cn", "eu"].packets == watch.matrix[ON, "cn", "cn"].packets == 1


def test_frames_are_read_as_they_are_on_the_wire() -> None:
    payload = b"hello"
    tcp = bytes.fromhex("0fa0 22b3 00000001 00000000 5018 ffff 0000 0000") + payload
    ip = (
        bytes.fromhex("4500")
        + (20 + len(tcp)).to_bytes(2)
        + bytes.fromhex("00000000 4006 0000 0a4d0102 0a4d0202")
    )
    frame = bytes(12) + b"\x08\x00" + ip + tcp + bytes(6)
    assert parse(frame) == Packet(CAR, CN, 6, 45, 4000, 8883, 0x18, 1, payload)
    assert parse(bytes(12) + b"\x08\x06" + bytes(28)) is None
    with pytest.raises(ValueError, match="0x86dd"):
        parse(bytes(12) + b"\x86\xdd" + bytes(40))
