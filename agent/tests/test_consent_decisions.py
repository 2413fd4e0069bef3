"""Where consent turns: revisions to the unit, purposes one by one, reasons word for word."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.consent import ConsentFault, ConsentSetting
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.rules.privacy.consent import ConsentActs, consent_acts
from fsd_agent.rules.trust.consent import HeardConsent, accept_consent, not_kept
from fsd_agent.wire.floors import FloorError, decode_consent_floor, encode_consent_floor

SAFETY, DRIVING, DIAGNOSTICS = Purpose.SAFETY, Purpose.AUTOMATED_DRIVING, Purpose.DIAGNOSTICS
MONITORING = Purpose.OCCUPANT_MONITORING
FLOOR = ConsentSetting(5, frozenset({SAFETY, DIAGNOSTICS}))
OTHER = frozenset({SAFETY, DRIVING})


# Which document counts.


def test_the_first_document_and_a_newer_one_count_as_they_are() -> None:
    for revision, floor in ((1, None), (6, FLOOR)):
        setting = ConsentSetting(revision, OTHER)
        assert accept_consent(setting, floor) == HeardConsent(OTHER, setting, None, "")


def test_the_same_document_counts_and_raises_nothing() -> None:
    assert accept_consent(dataclasses.replace(FLOOR), FLOOR) == HeardConsent(FLOOR.given, FLOOR, None, "")


def test_an_older_one_or_another_of_the_same_revision_gives_what_both_give() -> None:
    assert accept_consent(ConsentSetting(4, OTHER), FLOOR) == HeardConsent(
        frozenset({SAFETY}), FLOOR, ConsentFault.OLDER, "revision: 4, but 5 was accepted before"
    )
    assert accept_consent(ConsentSetting(5, OTHER), FLOOR) == HeardConsent(
        frozenset({SAFETY}),
        FLOOR,
        ConsentFault.CONTRADICTS,
        "revision: 5 was accepted before with other purposes",
    )
    same_but_older = accept_consent(ConsentSetting(4, FLOOR.given), FLOOR)
    assert (same_but_older.given, same_but_older.fault) == (FLOOR.given, ConsentFault.OLDER)


def test_what_can_not_be_kept_gives_what_both_give_and_keeps_the_floor() -> None:
    newer = accept_consent(ConsentSetting(6, OTHER), FLOOR)
    assert not_kept(newer, FLOOR, "disk full") == HeardConsent(
        frozenset({SAFETY}), FLOOR, ConsentFault.NOT_KEPT, "disk full"
    )


def test_a_first_document_that_can_not_be_kept_gives_nothing() -> None:
    first = accept_consent(ConsentSetting(6, OTHER), None)
    assert not_kept(first, None, "disk full") == HeardConsent(
        frozenset(), ConsentSetting(0, frozenset()), ConsentFault.NOT_KEPT, "disk full"
    )


# What a change asks for.


def clip(clip_id: str, purpose: Purpose) -> ClipRow:
    return ClipRow(clip_id, "eu", purpose, ClipState.CAPTURED, 0, 1, 0, (), (), 0)


KEYS = [Compartment(region, purpose) for region in ("eu", "cn") for purpose in (SAFETY, DIAGNOSTICS)]
"""In no order, as a set may have it."""
CLIPS = (clip("b", SAFETY), clip("a", SAFETY), clip("c", DIAGNOSTICS))


def test_nothing_changes_where_everything_is_consented_to() -> None:
    both = frozenset({SAFETY, DIAGNOSTICS})
    assert consent_acts(both, both, clips=CLIPS, keys=KEYS) == ConsentActs((), (), (), ())


def test_a_withdrawal_takes_keys_and_clips_of_that_purpose_in_every_region() -> None:
    acts = consent_acts(frozenset({SAFETY, DIAGNOSTICS}), frozenset({DIAGNOSTICS}), clips=CLIPS, keys=KEYS)
    assert acts == ConsentActs(
        (SAFETY,), (Compartment("cn", SAFETY), Compartment("eu", SAFETY)), ("b", "a"), ()
    )


def test_several_withdrawals_and_new_purposes_come_sorted() -> None:
    everything = frozenset(Purpose)
    assert consent_acts(everything, frozenset(), clips=(), keys=()) == ConsentActs(
        (DRIVING, DIAGNOSTICS, MONITORING, SAFETY), (), (), ()
    )
    assert consent_acts(frozenset(), everything, clips=(), keys=()) == ConsentActs(
        (), (), (), (DRIVING, DIAGNOSTICS, MONITORING, SAFETY)
    )


def test_new_consent_waits_for_a_key_or_a_clip_of_before() -> None:
    wanted = frozenset({SAFETY, DRIVING, DIAGNOSTICS})
    acts = consent_acts(frozenset(), wanted, clips=[clip("a", SAFETY)], keys=[Compartment("eu", DIAGNOSTICS)])
    assert acts == ConsentActs((), (Compartment("eu", DIAGNOSTICS),), ("a",), (DRIVING,))


def test_while_nobody_knows_only_what_was_withdrawn_before_goes_on() -> None:
    acts = consent_acts(frozenset({SAFETY}), None, clips=CLIPS, keys=KEYS)
    assert acts == ConsentActs(
        (), (Compartment("cn", DIAGNOSTICS), Compartment("eu", DIAGNOSTICS)), ("c",), ()
    )


# The floor as bytes.


def test_the_floor_as_bytes_has_its_purposes_sorted() -> None:
    data = encode_consent_floor(ConsentSetting(7, OTHER))
    assert data == b"\x93\x01\x07\x92\xb1automated_driving\xa6safety"
    assert decode_consent_floor(data) == ConsentSetting(7, OTHER)
    every = encode_consent_floor(ConsentSetting(7, frozenset(Purpose)))
    named = b"\xb1automated_driving\xabdiagnostics\xb3occupant_monitoring\xa6safety"
    assert every == b"\x93\x01\x07\x94" + named


def test_the_least_floor_of_consent_is_one() -> None:
    least = ConsentSetting(0, frozenset())
    assert decode_consent_floor(encode_consent_floor(least)) == least


@pytest.mark.parametrize(
    "row",
    [
        (2, 1, []),
        (0, 1, []),
        (1, -1, []),
        (1, "1", []),
        (1, 1, ["hobby"]),
        (1, 1, "safety"),
        (1, 1),
        (1, 1, [], 0),
    ],
)
def test_what_is_no_floor_of_consent_is_refused(row: tuple[object, ...]) -> None:
    with pytest.raises(FloorError):
        decode_consent_floor(msgspec.msgpack.encode(row))


def test_a_kept_setting_that_is_no_text_is_refused() -> None:
    with pytest.raises(FloorError, match="utf-8"):
        decode_consent_floor(b"\x93\x01\x07\x91\xa1\xff")
