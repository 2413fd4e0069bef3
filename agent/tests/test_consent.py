"""Consent: which document counts, what a change asks for, and that it is carried out in that order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.pipeline.consent import LOOK_EVERY_NS, LOST_NS, STATE_KEY, ConsentKeeper
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.consent import ConsentFault, ConsentSetting
from fsd_agent.records.ledger import ConsentChanged
from fsd_agent.records.purpose import ALL_PURPOSES, MEANINGS, Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.privacy.consent import ConsentActs, consent_acts
from fsd_agent.rules.trust.consent import accept_consent, not_kept
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at
from fsd_agent.testing.consent import consent_document
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.consent import MAX_CONSENT_BYTES, ConsentError, decode_consent, encode_consent
from fsd_agent.wire.floors import FloorError, decode_consent_floor, encode_consent_floor
from fsd_firmware.contract import FirmwareError

SAFETY, DRIVING, DIAGNOSTICS = Purpose.SAFETY, Purpose.AUTOMATED_DRIVING, Purpose.DIAGNOSTICS
PURPOSES = st.frozensets(st.sampled_from(Purpose))
REVISIONS = st.integers(1, 2**53 - 1)
SETTINGS = st.builds(ConsentSetting, REVISIONS, PURPOSES)


# The document


@given(SETTINGS)
def test_what_is_written_is_read(setting: ConsentSetting) -> None:
    assert decode_consent(encode_consent(setting)) == setting
    assert decode_consent_floor(encode_consent_floor(setting)) == setting


def test_the_bytes_are_what_they_were() -> None:
    assert decode_consent(b'{"v":1,"revision":7,"given":["safety"]}') == ConsentSetting(
        7, frozenset({SAFETY})
    )
    assert encode_consent_floor(ConsentSetting(7, frozenset({SAFETY}))) == b"\x93\x01\x07\x91\xa6safety"
    with pytest.raises(FloorError):
        decode_consent_floor(b"\x93\x01\x07\x91\xa5hobby")


@pytest.mark.parametrize(
    ("document", "fault", "says"),
    [
        (b"", ConsentFault.BAD, "not JSON"),
        (b"\xff", ConsentFault.BAD, "not JSON"),
        (b"[" * 4000, ConsentFault.BAD, "not JSON"),
        (b"[]", ConsentFault.BAD, "object"),
        (b'{"v": 1, "revision": 1}', ConsentFault.BAD, "given"),
        (b'{"v": 2, "revision": 1, "given": []}', ConsentFault.BAD, "v"),
        (b'{"v": 1, "revision": 0, "given": []}', ConsentFault.BAD, "revision"),
        (b'{"v": 1, "revision": true, "given": []}', ConsentFault.BAD, "revision"),
        (b'{"v": 1, "revision": 9007199254740992, "given": []}', ConsentFault.BAD, "revision"),
        (b'{"v": 1, "revision": 1, "given": ["hobby"]}', ConsentFault.BAD, "hobby"),
        (b'{"v": 1, "revision": 1, "given": ["safety", "safety"]}', ConsentFault.BAD, "named twice"),
        (b'{"v": 1, "revision": 1, "given": [], "all": true}', ConsentFault.BAD, "all"),
        (b'{"v": 1, "revision": 1, "given": [], "given": ["safety"]}', ConsentFault.BAD, "given twice"),
        (
            b'{"v": 1, "revision": 1, "given": []}'.ljust(MAX_CONSENT_BYTES + 1),
            ConsentFault.TOO_LARGE,
            "more",
        ),
    ],
)
def test_what_is_no_document(document: bytes, fault: ConsentFault, says: str) -> None:
    with pytest.raises(ConsentError, match=says) as error:
        decode_consent(document)
    assert error.value.fault is fault


def test_purposes_are_ids_with_a_meaning() -> None:
    assert all(
        purpose == "".join(c for c in purpose if c in "abcdefghijklmnopqrstuvwxyz0123456789_")
        for purpose in Purpose
    )
    assert all(purpose[0].isalpha() and len(purpose) <= 32 for purpose in Purpose)
    assert MEANINGS.keys() == ALL_PURPOSES


# Which document counts


@given(SETTINGS, st.none() | SETTINGS)
def test_never_more_than_both_unless_it_is_newer(
    setting: ConsentSetting, floor: ConsentSetting | None
) -> None:
    heard = accept_consent(setting, floor)
    if floor is None or setting.revision > floor.revision:
        assert (heard.given, heard.floor, heard.fault) == (setting.given, setting, None)
        assert not_kept(heard, floor, "full").given <= (floor.given if floor is not None else frozenset())
        return
    assert heard.floor == floor
    assert heard.given == setting.given & floor.given
    assert (heard.fault is None) == (setting == floor)
    assert accept_consent(setting, heard.floor) == heard


# What a change asks for


def row(clip_id: str, compartment: Compartment) -> ClipRow:
    return ClipRow(clip_id, *compartment, ClipState.CAPTURED, 0, 1, 0, (), (), 0)


COMPARTMENTS = st.builds(Compartment, st.sampled_from(["cn", "eu"]), st.sampled_from(Purpose))
CLIPS = st.lists(COMPARTMENTS, max_size=6).map(
    lambda found: [row(f"{number:032x}", one) for number, one in enumerate(found)]
)


@given(PURPOSES, st.none() | PURPOSES, CLIPS, st.frozensets(COMPARTMENTS))
def test_the_acts_of_a_change(
    before: frozenset[Purpose],
    after: frozenset[Purpose] | None,
    clips: list[ClipRow],
    keys: frozenset[Compartment],
) -> None:
    acts = consent_acts(before, after, clips=clips, keys=keys)
    stays = before if after is None else before & after
    assert set(acts.withdraw) == before - stays
    assert set(acts.destroy) == {key for key in keys if key.purpose not in stays}
    assert set(acts.give_up) == {one.clip_id for one in clips if one.purpose not in stays}
    assert not set(acts.give) & (before | {key.purpose for key in acts.destroy})
    assert not {one.purpose for one in clips if one.clip_id in acts.give_up} & set(acts.give)
    if after is None:
        assert not acts.withdraw
        assert not acts.give


@given(PURPOSES, PURPOSES, CLIPS, st.frozensets(COMPARTMENTS), st.data())
def test_cut_off_anywhere_and_decided_again_it_comes_to_the_same(
    before: frozenset[Purpose],
    after: frozenset[Purpose],
    clips: list[ClipRow],
    keys: frozenset[Compartment],
    data: st.DataObject,
) -> None:
    in_force, left, there = before, {one.clip_id: one for one in clips}, set(keys)
    for _ in range(6):
        acts = consent_acts(in_force, after, clips=left.values(), keys=there)
        steps: list[tuple[str, object]] = [
            *(("withdraw", one) for one in acts.withdraw),
            *(("destroy", one) for one in acts.destroy),
            *(("give up", one) for one in acts.give_up),
            *(("give", one) for one in acts.give),
        ]
        for kind, one in steps[: data.draw(st.integers(0, len(steps)))]:
            if kind == "withdraw":
                in_force -= {one}
            elif kind == "destroy":
                assert isinstance(one, Compartment)
                assert one.purpose not in in_force, "destroyed before it was recorded as withdrawn"
                there.discard(one)
            elif kind == "give up":
                assert isinstance(one, str)
                assert left[one].purpose not in in_force
                del left[one]
            else:
                assert isinstance(one, Purpose)
                assert not [key for key in there if key.purpose is one]
                assert not [clip for clip in left.values() if clip.purpose is one]
                in_force |= {one}
    kept = [clip for clip in clips if clip.purpose in before & after]
    for _ in range(2):
        acts = consent_acts(in_force, after, clips=left.values(), keys=there)
        in_force = (in_force - set(acts.withdraw)) | set(acts.give)
        there -= set(acts.destroy)
        left = {one: clip for one, clip in left.items() if one not in acts.give_up}
    assert consent_acts(in_force, after, clips=left.values(), keys=there) == ConsentActs((), (), (), ())
    assert in_force == after
    assert list(left.values()) == kept
    assert there == {key for key in keys if key.purpose in before & after}


# Carried out


class Bench:
    def __init__(self) -> None:
        self.clock, self.events = ManualClock(), RememberedEvents()
        self.keys, self.journal = MemoryVehicleKeys(), MemoryJournal()
        self.ledger = MemoryLedger(keys=self.keys, clock=self.clock)
        self.document: bytes | FirmwareError | None = None
        self.start()

    def start(self) -> None:
        self.keeper = ConsentKeeper(
            self.firmware,
            keys=self.keys,
            journal=self.journal,
            ledger=self.ledger,
            clock=self.clock,
            events=self.events,
        )

    def firmware(self) -> bytes | None:
        if isinstance(self.document, FirmwareError):
            raise self.document
        return self.document

    def hear(
        self, document: bytes | FirmwareError | None, after_ns: int = LOOK_EVERY_NS
    ) -> frozenset[Purpose]:
        self.document = document
        self.clock.advance(after_ns)
        return self.keeper.now.given

    def said(self) -> list[tuple[str, bool]]:
        facts = [entry.fact for entry in self.ledger.entries]
        return [(str(one.purpose), one.given) for one in facts if isinstance(one, ConsentChanged)]

    def clip(self, purpose: Purpose) -> str:
        """One with a key, in the journal."""
        self.keys.compartment_key("eu", purpose, make=True)
        clip_id = f"{len(self.journal.clips(set(ClipState))):032x}"
        self.journal.accept((), [replace(row(clip_id, at("eu", purpose)), state=ClipState.STAGED)])
        return clip_id


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_off_by_default(bench: Bench) -> None:
    assert bench.keeper.now.given == frozenset()
    assert bench.said() == []
    assert bench.events.of("consent") == [
        {"given": [], "reason": "no_consent_document", "detail": "firmware has no consent document"}
    ]
    assert bench.keeper.trouble


def test_given_kept_and_recorded_before_it_counts(bench: Bench) -> None:
    assert bench.hear(consent_document(SAFETY)) == {SAFETY}
    assert bench.said() == [("safety", True)]
    assert bench.journal.get_state(STATE_KEY) is not None
    assert bench.keeper.trouble == ""
    bench.ledger.broken = True
    assert bench.hear(consent_document(SAFETY, DRIVING, revision=2)) == {SAFETY}
    assert bench.events.of("ledger_failed")
    bench.ledger.broken = False
    assert bench.hear(consent_document(SAFETY, DRIVING, revision=2)) == {SAFETY, DRIVING}


def test_asked_again_within_the_second_it_is_as_it_was(bench: Bench) -> None:
    assert bench.hear(consent_document(SAFETY)) == {SAFETY}
    assert bench.hear(consent_document(revision=2), LOOK_EVERY_NS - 1) == {SAFETY}
    assert bench.hear(consent_document(revision=2), 1) == frozenset()


def test_a_withdrawal_is_recorded_then_its_keys_go(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY, DIAGNOSTICS))
    for region in ("cn", "eu"):
        bench.keys.compartment_key(region, SAFETY, make=True)
        bench.keys.compartment_key(region, DIAGNOSTICS, make=True)
    before = bench.keeper.now.withdrawals
    assert bench.hear(consent_document(DIAGNOSTICS, revision=2)) == {DIAGNOSTICS}
    assert bench.said()[-1] == ("safety", False)
    assert bench.keys.compartments() == {at("cn", DIAGNOSTICS), at("eu", DIAGNOSTICS)}
    assert bench.keeper.now.withdrawals == before + 1


def test_a_withdrawal_that_can_not_be_recorded_stops_everything_and_destroys_nothing_yet(
    bench: Bench,
) -> None:
    bench.hear(consent_document(SAFETY))
    bench.clip(SAFETY)
    bench.ledger.broken = True
    assert bench.hear(consent_document(revision=2)) == frozenset()
    assert bench.keys.compartments() == {at("eu")}
    assert len(bench.events.of("ledger_failed")) == 1
    bench.ledger.broken = False
    assert bench.hear(consent_document(revision=2)) == frozenset()
    assert bench.keys.compartments() == frozenset()
    assert bench.said()[-1] == ("safety", False)


def test_a_key_that_can_not_be_destroyed_is_tried_again(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    bench.clip(SAFETY)
    bench.keys.broken = "keys/compartments/eu/safety.key: Read-only file system"
    assert bench.hear(consent_document(revision=2)) == frozenset()
    assert bench.events.of("disk_failed")
    bench.keys.broken = ""
    bench.hear(consent_document(revision=2))
    assert bench.keys.compartments() == frozenset()


def test_given_again_it_counts_once_nothing_of_before_is_left(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    clip = bench.clip(SAFETY)
    bench.hear(consent_document(revision=2))
    assert bench.hear(consent_document(SAFETY, revision=3)) == frozenset()
    bench.journal.dropped(clip, DropReason.CONSENT_WITHDRAWN, "")
    assert bench.hear(consent_document(SAFETY, revision=3)) == {SAFETY}
    assert bench.said() == [("safety", True), ("safety", False), ("safety", True)]


def test_a_document_that_is_lost_holds_and_comes_back(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    bench.clip(SAFETY)
    for lost in (None, b"{", FirmwareError("consent.json: consent can't be read: Is a directory")):
        assert bench.hear(lost) == frozenset()
        assert bench.keeper.now.in_force == {SAFETY}
        assert bench.hear(lost, LOST_NS - LOOK_EVERY_NS - 1) == frozenset()
        assert bench.keys.compartments() == {at("eu")}, "what is being replaced must not erase"
        assert bench.hear(consent_document(SAFETY)) == {SAFETY}
    assert [told["reason"] for told in bench.events.of("consent")] == [
        "", "no_consent_document", "", "bad_consent", "", "consent_unreadable", "",
    ]  # fmt: skip
    assert bench.said() == [("safety", True)]


def test_a_document_that_stays_lost_is_a_withdrawal(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    bench.clip(SAFETY)
    bench.hear(None)
    bench.hear(None, LOST_NS)
    assert bench.said()[-1] == ("safety", False)
    assert bench.keys.compartments() == frozenset()


@pytest.mark.parametrize("revision", [1, 2])
def test_an_older_document_takes_away_and_never_gives(bench: Bench, revision: int) -> None:
    bench.hear(consent_document(SAFETY, DIAGNOSTICS, revision=2))
    assert bench.hear(consent_document(SAFETY, DRIVING, revision=revision)) == {SAFETY}
    told = bench.events.of("consent")[-1]
    assert told["reason"] == ("consent_older" if revision == 1 else "consent_contradicts")
    assert bench.said()[-1] == ("diagnostics", False)
    assert bench.hear(consent_document(SAFETY, DRIVING, revision=3)) == {SAFETY, DRIVING}


def test_what_can_not_be_kept_gives_nothing_new(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY, DIAGNOSTICS))
    bench.journal.full = True
    assert bench.hear(consent_document(SAFETY, DRIVING, revision=2)) == {SAFETY}
    assert bench.events.of("consent")[-1]["reason"] == "consent_not_kept"
    bench.journal.full = False
    assert bench.hear(consent_document(SAFETY, DRIVING, revision=2)) == {SAFETY, DRIVING}


def test_a_floor_that_can_not_be_read_is_consent_to_nothing(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    bench.journal.set_state(STATE_KEY, b"damaged")
    assert bench.hear(consent_document(SAFETY)) == frozenset()
    assert bench.events.of("consent")[-1]["reason"] == "consent_not_kept"
    with pytest.raises(FloorError):
        decode_consent_floor(b"damaged")


def test_a_ledger_that_is_begun_anew_takes_over_what_was_in_force(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    bench.clip(SAFETY)
    bench.ledger = MemoryLedger(keys=bench.keys, clock=bench.clock)
    bench.start()
    assert bench.keeper.now.given == {SAFETY}
    assert bench.keys.compartments() == {at("eu")}
    assert bench.said() == [("safety", True)]


def test_a_new_agent_destroys_the_keys_of_what_nobody_consented_to(bench: Bench) -> None:
    bench.clip(SAFETY)
    bench.keeper.look()
    assert bench.keys.compartments() == frozenset()


def test_inside_steady_nothing_changes(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    noticed: list[frozenset[Purpose]] = []
    with bench.keeper.steady() as consented:
        bench.document = consent_document(revision=2)
        bench.clock.advance(LOOK_EVERY_NS)
        other = _in_thread(lambda: noticed.append(bench.keeper.now.given))
        other.join(0.05)
        assert other.is_alive(), "who asks meanwhile waits"
        assert consented.given == {SAFETY}
        assert bench.said() == [("safety", True)]
    other.join(5)
    assert noticed == [frozenset()]


def _in_thread(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread
