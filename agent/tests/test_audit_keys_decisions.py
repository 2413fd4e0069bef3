"""Where one device key hands over to the next: which records are believed, and who may sign at which place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.ledger import Checkpoint, Entry, Fact, Fired, Head, KeyRotated
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.audit.findings import Finding, FindingKind
from fsd_agent.rules.audit.keys import Signature, key_findings, learned_keys
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.ledger import encode_entry, sign_value
from fsd_agent.wire.ledger_file import (
    HEAD,
    RECORD,
    START_CHAIN,
    Segment,
    encode_frame,
    encode_start,
    read_segment,
)

FIRST = MemoryVehicleKeys("first")
SECOND = FIRST.rotate("second")
THIRD = SECOND.rotate("third")
FOURTH = THIRD.rotate("fourth")
CARS = (FIRST, SECOND, THIRD, FOURTH)
ONE, TWO, THREE, FOUR = IDS = tuple(car.device_key_id() for car in CARS)
KEYS = {car.device_key_id(): car.device_public_key for car in CARS}
HANDED = tuple(KeyRotated(one.old_key_id, one.new_key_id, one.data) for one in FOURTH.rotations())
"""First to second, second to third, third to fourth."""
NOTHING = sign_value(Checkpoint(Head(0, bytes(32), START_CHAIN, 0, ONE), (), (), 0, 0, None, ()), FIRST.sign)


def known(*key_ids: str) -> dict[str, bytes]:
    return {key_id: KEYS[key_id] for key_id in key_ids}


def body(fact: Fact, number: int = 0) -> bytes:
    return encode_entry(Entry(number, 0, 0, fact))


def segment(*frames: tuple[int, bytes]) -> Segment:
    """A file with these frames: kind and body."""
    made = [encode_frame(kind, content, START_CHAIN, 0)[0] for kind, content in frames]
    found = read_segment(encode_start(NOTHING) + b"".join(made))
    assert len(found.frames) == len(frames)
    return found


def learned(
    *frames: tuple[int, bytes], of: dict[str, bytes], former: tuple[str, ...] = ()
) -> dict[str, bytes]:
    return learned_keys([("f", segment(*frames))], of, former)


# Which keys are believed.


def test_a_record_makes_the_key_after_a_known_one_known_and_that_one_the_next() -> None:
    records = [(RECORD, body(one)) for one in HANDED]
    assert learned(*records, of=known(ONE)) == KEYS
    assert learned(*records, of=known(TWO)) == known(TWO, THREE, FOUR)
    one_each = [(f"f{at}", segment(record)) for at, record in enumerate(records)]
    assert learned_keys(one_each, known(ONE), ()) == KEYS, "over several files too"


def test_nobody_is_believed_whose_key_before_is_not_known() -> None:
    stranger = MemoryVehicleKeys("stranger").rotate("accomplice").rotations()[0]
    record = RECORD, body(KeyRotated(stranger.old_key_id, stranger.new_key_id, stranger.data))
    assert learned(record, of=known(ONE)) == known(ONE)
    assert learned(record, of={}) == {}


def test_what_was_given_is_not_changed() -> None:
    given_keys = known(ONE)
    learned((RECORD, body(HANDED[0])), of=given_keys)
    assert given_keys == known(ONE)


def test_a_former_key_hands_over_to_nobody() -> None:
    record = RECORD, body(HANDED[0])
    assert learned(record, of=known(ONE), former=(ONE,)) == known(ONE)
    assert learned(record, of=known(ONE), former=(FOUR,)) == known(ONE, TWO)
    assert learned((RECORD, body(HANDED[1])), of=known(ONE, TWO), former=(ONE,)) == known(ONE, TWO, THREE)


def test_a_record_that_is_not_what_its_statement_says_hands_over_to_nobody() -> None:
    good = HANDED[0]
    for wrong in (
        KeyRotated(ONE, THREE, good.statement),
        KeyRotated(TWO, TWO, good.statement),
        KeyRotated(ONE, TWO, good.statement[:-1]),
    ):
        assert learned((RECORD, body(wrong)), of=known(ONE)) == known(ONE)


def test_only_records_are_believed_and_what_can_not_be_read_is_passed_over() -> None:
    good = RECORD, body(HANDED[0])
    assert learned((HEAD, good[1]), of=known(ONE)) == known(ONE), "under the mark of a head"
    torn = RECORD, good[1][:-1]
    assert learned(torn, of=known(ONE)) == known(ONE)
    assert learned(torn, (HEAD, good[1]), good, of=known(ONE)) == known(ONE, TWO)


def test_another_record_that_says_the_word_is_not_one_that_hands_over() -> None:
    other = Fired("0" * 32, "cn", Purpose.SAFETY, "1" * 32, "KeyRotated", 1)
    assert learned((RECORD, body(other)), (RECORD, body(HANDED[0])), of=known(ONE)) == known(ONE, TWO)


# Who may sign where.


def found(
    rotations: list[tuple[str, int, KeyRotated]], *signatures: Signature, first: str = ONE
) -> list[Finding]:
    return list(key_findings(rotations, signatures, first))


def bad(file: str, number: int, detail: str) -> Finding:
    return Finding(FindingKind.BAD_SIGNATURE, file, number, detail)


def test_records_that_hand_over_one_after_the_other_are_right() -> None:
    rotations = [("f", 4, HANDED[0]), ("g", 9, HANDED[1])]
    signatures = Signature("f", 4, ONE), Signature("f", 5, TWO), Signature("g", 10, THREE)
    assert found(rotations, *signatures) == []


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        (KeyRotated(ONE, THREE, HANDED[0].statement), f"its statement leads from {ONE} to {TWO}"),
        (KeyRotated(THREE, TWO, HANDED[0].statement), f"its statement leads from {ONE} to {TWO}"),
        (
            KeyRotated(ONE, TWO, HANDED[0].statement[:-1]),
            "its statement: not a rotation statement: Input data was truncated",
        ),
        (HANDED[1], f"hands over from device key {TWO}, the ledger was signed by {ONE}"),
    ],
)
def test_a_record_that_hands_over_wrongly_is_named_and_hands_over_to_nobody(
    record: KeyRotated, detail: str
) -> None:
    assert found([("f", 4, record)], Signature("f", 5, ONE)) == [bad("f", 4, detail)]
    after = found([("f", 4, record)], Signature("g", 5, record.new_key_id))
    no_record = f"signed by device key {record.new_key_id}; {ONE} signs there, and no record hands over"
    assert after == [bad("f", 4, detail), bad("g", 4, no_record)]


def test_after_a_record_that_is_wrong_the_next_that_is_right_hands_over() -> None:
    rotations = [("f", 3, HANDED[1]), ("f", 4, HANDED[0])]
    detail = f"hands over from device key {TWO}, the ledger was signed by {ONE}"
    assert found(rotations, Signature("f", 5, TWO)) == [bad("f", 3, detail)]


@pytest.mark.parametrize(
    ("size", "number"),
    [(0, 0), (1, 0), (7, 6)],
)
def test_a_signature_by_another_key_is_named_at_the_last_record_that_it_is_over(
    size: int, number: int
) -> None:
    detail = f"signed by device key {TWO}; {ONE} signs there, and no record hands over"
    assert found([], Signature("f", size, TWO), Signature("f", size, ONE)) == [bad("f", number, detail)]


def test_who_should_have_signed_is_the_last_key_of_a_run() -> None:
    rotations = [("f", 4, HANDED[0]), ("f", 5, HANDED[1])]
    detail = f"signed by device key {ONE}; {THREE} signs there, and no record hands over"
    assert found(rotations, Signature("f", 5, ONE)) == [bad("f", 4, detail)]


@pytest.mark.parametrize(
    ("numbers", "size", "allowed"),
    [
        # Apart: each key signs from its record on, up to the next.
        ((4, 8, 12), 3, [ONE]),
        ((4, 8, 12), 4, [ONE]),
        ((4, 8, 12), 5, [TWO]),
        ((4, 8, 12), 8, [TWO]),
        ((4, 8, 12), 9, [THREE]),
        ((4, 8, 12), 12, [THREE]),
        ((4, 8, 12), 13, [FOUR]),
        # A run: between its records the device has the last of its keys alone.
        ((4, 5, 6), 4, [ONE]),
        ((4, 5, 6), 5, [TWO, THREE, FOUR]),
        ((4, 5, 6), 6, [THREE, FOUR]),
        ((4, 5, 6), 7, [FOUR]),
        # A run ends where another record comes between.
        ((4, 5, 7), 5, [TWO, THREE]),
        ((4, 5, 7), 6, [THREE]),
        ((4, 6, 7), 5, [TWO]),
        ((4, 6, 7), 6, [TWO]),
        # From the first record on.
        ((0, 1, 2), 0, [ONE]),
        ((0, 1, 2), 1, [TWO, THREE, FOUR]),
        ((1, 2, 3), 0, [ONE]),
        ((1, 2, 3), 1, [ONE]),
    ],
)
def test_who_signs_at_a_place(numbers: tuple[int, ...], size: int, allowed: list[str]) -> None:
    rotations = [("f", number, record) for number, record in zip(numbers, HANDED, strict=True)]
    assert [key_id for key_id in IDS if not found(rotations, Signature("f", size, key_id))] == allowed


@given(st.sets(st.integers(0, 12), max_size=3), st.integers(0, 14))
def test_who_signs_is_the_newest_key_or_a_later_one_of_the_same_run(numbers: set[int], size: int) -> None:
    places = sorted(numbers)
    rotations = [("f", number, record) for number, record in zip(places, HANDED, strict=False)]
    newest = sum(number < size for number in places)
    last = newest
    while last < len(places) and places[last] - 1 in places[:last]:
        last += 1
    expected = [IDS[newest]] if not newest or size - 1 not in places else list(IDS[newest : last + 1])
    assert [key_id for key_id in IDS if not found(rotations, Signature("f", size, key_id))] == expected
