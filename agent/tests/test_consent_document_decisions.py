"""Which bytes are a consent document: sizes to the byte, revisions to the unit, and what is said of every other one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.consent import ConsentFault, ConsentSetting
from fsd_agent.records.purpose import Purpose
from fsd_agent.wire.consent import (
    MAX_CONSENT_BYTES,
    MAX_REVISION,
    ConsentError,
    decode_consent,
    encode_consent,
)

SAFETY, DRIVING, DIAGNOSTICS = Purpose.SAFETY, Purpose.AUTOMATED_DRIVING, Purpose.DIAGNOSTICS
TEXT = b"""{
  "v": 1,
  "revision": 7,
  "given": [
    "automated_driving",
    "diagnostics",
    "safety"
  ]
}
"""


def document(v: str = "1", revision: str = "1", given: str = "[]", more: str = "") -> bytes:
    return f'{{"v": {v}, "revision": {revision}, "given": {given}{more}}}'.encode()


def refused(data: bytes) -> tuple[ConsentFault, str]:
    with pytest.raises(ConsentError) as caught:
        decode_consent(data)
    return caught.value.fault, str(caught.value)


@given(st.integers(1, MAX_REVISION), st.frozensets(st.sampled_from(Purpose)))
def test_what_is_written_is_read(revision: int, given: frozenset[Purpose]) -> None:
    setting = ConsentSetting(revision, given)
    assert decode_consent(encode_consent(setting)) == setting


def test_the_bytes_are_what_they_were() -> None:
    given = frozenset({SAFETY, DRIVING, DIAGNOSTICS})
    assert encode_consent(ConsentSetting(7, given)) == TEXT
    assert decode_consent(TEXT) == ConsentSetting(7, given)
    every = TEXT.replace(b'    "safety"', b'    "occupant_monitoring",\n    "safety"')
    assert encode_consent(ConsentSetting(7, frozenset(Purpose))) == every
    assert decode_consent(document(given='["safety", "diagnostics"]')) == ConsentSetting(
        1, frozenset({SAFETY, DIAGNOSTICS})
    )
    assert decode_consent(document()) == ConsentSetting(1, frozenset())


def test_a_document_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert MAX_CONSENT_BYTES == 4096
    assert decode_consent(TEXT.ljust(4096)).revision == 7
    assert refused(TEXT.ljust(4097)) == (ConsentFault.TOO_LARGE, "more than 4096 bytes")


def test_the_first_and_the_last_revision() -> None:
    assert MAX_REVISION == 9_007_199_254_740_991
    for revision in (1, MAX_REVISION):
        assert decode_consent(document(revision=str(revision))).revision == revision
        assert decode_consent(encode_consent(ConsentSetting(revision, frozenset()))).revision == revision
    for revision, says in (
        (0, "Expected `int` >= 1 - at `$.revision`"),
        (MAX_REVISION + 1, "Expected `int` <= 9007199254740991 - at `$.revision`"),
    ):
        assert refused(document(revision=str(revision))) == (ConsentFault.BAD, says)
        with pytest.raises(ConsentError, match="revision"):
            encode_consent(ConsentSetting(revision, frozenset()))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff{}", "not JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (TEXT[:-4], "not JSON: Expecting ',' delimiter: line 8 column 3 (char 101)"),
        (b"[]", "Expected `object`, got `array`"),
        (document(v="0"), "Invalid enum value 0 - at `$.v`"),
        (document(v="2"), "Invalid enum value 2 - at `$.v`"),
        (document(revision='"7"'), "Expected `int`, got `str` - at `$.revision`"),
        (document(revision="7.0"), "Expected `int`, got `float` - at `$.revision`"),
        (document(revision="true"), "Expected `int`, got `bool` - at `$.revision`"),
        (document(given='"safety"'), "Expected `array`, got `str` - at `$.given`"),
        (document(given='["hobby"]'), "Invalid enum value 'hobby' - at `$.given[0]`"),
        (document(given='["safety", "hobby"]'), "Invalid enum value 'hobby' - at `$.given[1]`"),
        (document(given='["safety", "safety"]'), "given: a purpose is named twice"),
        (document(given='["safety", "diagnostics", "safety"]'), "given: a purpose is named twice"),
        (
            document(given='["safety", "diagnostics", "automated_driving", "safety"]'),
            "given: a purpose is named twice",
        ),
        (document(more=', "all": true'), "Object contains unknown field `all`"),
        (document(more=', "v": 1'), "a member is given twice"),
        (b'{"v": 1, "revision": 1}', "Object missing required field `given`"),
        (b'{"v": 1, "given": []}', "Object missing required field `revision`"),
        (b'{"revision": 1, "given": []}', "Object missing required field `v`"),
    ],
)
def test_what_is_no_document_is_named(data: bytes, says: str) -> None:
    assert refused(data) == (ConsentFault.BAD, says)


@pytest.mark.parametrize("half", [document(given='["\\ud800"]'), document(more=', "\\ud800": 1')])
def test_half_a_character_is_a_document_that_is_refused_and_nothing_worse(half: bytes) -> None:
    """JSON can spell a surrogate that no UTF-8 text has."""
    fault, says = refused(half)
    assert (fault, says) == (
        ConsentFault.BAD,
        "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed",
    )


def test_json_that_is_too_deep_is_refused() -> None:
    fault, says = refused(b"[" * 4000)
    assert fault is ConsentFault.BAD
    assert says.startswith("not JSON: ")


def test_a_fault_is_bad_where_none_is_said() -> None:
    assert ConsentError("x").fault is ConsentFault.BAD
    assert ConsentError("x", ConsentFault.MISSING).fault is ConsentFault.MISSING
