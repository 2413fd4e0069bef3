"""What a vehicle is taken to consent to: when it is asked, what counts at once and what waits, and what is told, word for word."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from fsd_agent.pipeline.consent import ConsentKeeper
from fsd_agent.ports.journal import JournalError
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.consent import Consented, ConsentSetting
from fsd_agent.records.firing import Firing, JudgedFiring, Telling
from fsd_agent.records.ledger import ConsentChanged
from fsd_agent.records.purpose import ALL_PURPOSES, Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at
from fsd_agent.testing.consent import consent_document
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.floors import encode_consent_floor
from fsd_firmware.contract import FirmwareError

S, NS = 1_000_000_000, 1
SAFETY, DRIVING, DIAGNOSTICS = Purpose.SAFETY, Purpose.AUTOMATED_DRIVING, Purpose.DIAGNOSTICS
NOTHING = frozenset[Purpose]()
MISSING = "firmware has no consent document"


class Journal(MemoryJournal):
    """Whose clips can't be read while ``torn``."""

    torn = False

    def clips(self, states: Collection[ClipState], *, limit: int | None = None) -> tuple[ClipRow, ...]:
        if self.torn:
            raise JournalError("memory journal: its clips can't be read")
        return super().clips(states, limit=limit)


class Keys(MemoryVehicleKeys):
    """With which something happens that nobody foresaw, while ``odd``."""

    odd = False

    def destroy_compartment(self, region_id: str, purpose: Purpose) -> None:
        if self.odd:
            raise RuntimeError("nobody foresaw this")
        super().destroy_compartment(region_id, purpose)


class Bench:
    """A vehicle whose clock says 100 s, before anybody has asked."""

    def __init__(self) -> None:
        self.clock, self.events = ManualClock(monotonic_ns=100 * S), RememberedEvents()
        self.keys, self.journal = Keys(), Journal()
        self.ledger = MemoryLedger(keys=self.keys, clock=self.clock)
        self.document: bytes | FirmwareError | None = None
        self.start()

    def start(self) -> None:
        self.keeper = ConsentKeeper(
            self._firmware,
            keys=self.keys,
            journal=self.journal,
            ledger=self.ledger,
            clock=self.clock,
            events=self.events,
        )

    def _firmware(self) -> bytes | None:
        if isinstance(self.document, FirmwareError):
            raise self.document
        return self.document

    def hear(self, document: bytes | FirmwareError | None, after_ns: int = S) -> frozenset[Purpose]:
        """What is given after some time with another document."""
        self.document = document
        self.clock.advance(after_ns)
        return self.keeper.now.given

    def said(self) -> list[str]:
        """Changes of consent in the ledger, in its order."""
        facts = [entry.fact for entry in self.ledger.entries]
        return [
            f"{'+' if fact.given else '-'}{fact.purpose}"
            for fact in facts
            if isinstance(fact, ConsentChanged)
        ]

    def told(self) -> list[tuple[object, object, object]]:
        return [tuple(fields[name] for name in ("given", "reason", "detail")) for fields in self._told()]  # type: ignore[misc]

    def _told(self) -> list[dict[str, object]]:
        found = [dict(fields) for fields in self.events.of("consent")]
        assert all(fields.keys() == {"given", "reason", "detail"} for fields in found)
        return found

    def faults(self, *names: str) -> list[dict[str, object]]:
        every = ("ledger_failed", "journal_failed", "disk_failed")
        return [dict(fields) for name in every if name in (names or every) for fields in self.events.of(name)]  # type: ignore[arg-type]

    def key(self, purpose: Purpose, region_id: str = "eu") -> Compartment:
        self.keys.compartment_key(region_id, purpose, make=True)
        return at(region_id, purpose)

    def clip(self, purpose: Purpose) -> str:
        clip_id = f"{len(self.journal.clips(set(ClipState))):032x}"
        row = ClipRow(clip_id, "eu", purpose, ClipState.STAGED, 0, 1, 0, (), (), 0)
        self.journal.accept((), [row])
        return clip_id


@pytest.fixture
def bench() -> Bench:
    return Bench()


# When it is looked at


def test_nobody_has_looked_before_somebody_asks(bench: Bench) -> None:
    bench.document = consent_document(SAFETY)
    assert (bench.events.of("consent"), bench.said(), bench.keeper.trouble) == ([], [], "")
    assert bench.keeper.now == Consented(frozenset({SAFETY}), frozenset({SAFETY}), 0)


def test_an_answer_is_at_most_a_second_old(bench: Bench) -> None:
    assert bench.hear(consent_document(SAFETY)) == {SAFETY}
    assert bench.hear(consent_document(revision=2), S - NS) == {SAFETY}
    assert bench.hear(consent_document(revision=2), NS) == NOTHING
    assert bench.hear(consent_document(SAFETY, revision=3), S) == {SAFETY}


def test_who_looks_gets_the_answer_of_now(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    bench.document = consent_document(DRIVING, revision=2)
    changed = Consented(frozenset({DRIVING}), frozenset({DRIVING}), 1)
    assert bench.keeper.look() == changed
    assert bench.keeper.now == changed
    with bench.keeper.steady() as steady:
        assert steady == changed


def test_a_look_counts_as_one_for_who_asks_afterwards(bench: Bench) -> None:
    bench.document = consent_document(SAFETY)
    bench.keeper.look()
    assert bench.hear(consent_document(revision=2), S - NS) == {SAFETY}


# Given


def test_given_is_kept_and_recorded_by_name(bench: Bench) -> None:
    assert bench.hear(consent_document(*Purpose)) == ALL_PURPOSES
    assert bench.said() == ["+automated_driving", "+diagnostics", "+occupant_monitoring", "+safety"]
    assert bench.journal.state == {"consent": encode_consent_floor(ConsentSetting(1, ALL_PURPOSES))}
    assert bench.told() == [(["automated_driving", "diagnostics", "occupant_monitoring", "safety"], "", "")]
    assert bench.keeper.trouble == ""
    assert bench.faults() == []


def test_what_the_ledger_can_not_record_does_not_count_yet_and_is_tried_at_each_look(bench: Bench) -> None:
    assert bench.hear(consent_document(SAFETY)) == {SAFETY}
    bench.ledger.broken = True
    more = consent_document(SAFETY, DRIVING, revision=2)
    assert [bench.hear(more) for _ in range(3)] == [{SAFETY}] * 3
    assert bench.faults() == [{"clip": "", "what": "ledger: an fsync failed earlier"}]
    assert bench.keeper.now == Consented(frozenset({SAFETY}), frozenset({SAFETY}), 0)
    bench.ledger.broken = False
    assert bench.hear(more) == {SAFETY, DRIVING}
    bench.ledger.broken = True
    bench.hear(consent_document(*Purpose, revision=3))
    assert len(bench.faults("ledger_failed")) == 2, "another time is told again"


def test_what_the_journal_can_not_keep_gives_nothing_new(bench: Bench) -> None:
    assert bench.hear(consent_document(SAFETY, DIAGNOSTICS)) == {SAFETY, DIAGNOSTICS}
    bench.journal.full = True
    assert bench.hear(consent_document(SAFETY, DIAGNOSTICS)) == {SAFETY, DIAGNOSTICS}
    assert bench.keeper.trouble == "", "what is kept needs no room"
    assert bench.hear(consent_document(SAFETY, DRIVING, revision=2)) == {SAFETY}
    assert bench.told()[-1] == (["safety"], "consent_not_kept", "memory journal: no space left")
    assert bench.keeper.trouble == "consent_not_kept: memory journal: no space left"
    bench.journal.full = False
    assert bench.hear(consent_document(SAFETY, DRIVING, revision=2)) == {SAFETY, DRIVING}
    assert bench.told()[-1] == (["automated_driving", "safety"], "", "")
    assert bench.keeper.trouble == ""


def test_given_again_it_waits_for_the_last_clip_of_before(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    clip = bench.clip(SAFETY)
    bench.hear(consent_document(revision=2))
    assert [bench.hear(consent_document(SAFETY, revision=3)) for _ in range(2)] == [NOTHING, NOTHING]
    bench.journal.dropped(clip, DropReason.CONSENT_WITHDRAWN, "")
    assert bench.hear(consent_document(SAFETY, revision=3)) == {SAFETY}
    assert bench.said() == ["+safety", "-safety", "+safety"]
    assert bench.faults() == []


def test_where_nobody_can_tell_whether_a_clip_of_before_is_left_nothing_new_counts(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    bench.journal.torn = True
    more = consent_document(SAFETY, DRIVING, revision=2)
    assert [bench.hear(more) for _ in range(2)] == [{SAFETY}] * 2
    assert bench.faults() == [{"clip": "", "what": "memory journal: its clips can't be read"}]
    assert bench.faults("journal_failed") == bench.faults()
    bench.journal.torn = False
    assert bench.hear(more) == {SAFETY, DRIVING}


# Withdrawn


def test_a_withdrawal_is_recorded_and_counted_and_its_keys_are_gone(bench: Bench) -> None:
    bench.hear(consent_document(*Purpose))
    for purpose in Purpose:
        bench.key(purpose)
        bench.key(purpose, "cn")
    left = consent_document(SAFETY, revision=2)
    assert bench.hear(left) == {SAFETY}
    assert bench.keeper.now == Consented(frozenset({SAFETY}), frozenset({SAFETY}), 1)
    assert bench.said()[4:] == ["-automated_driving", "-diagnostics", "-occupant_monitoring"]
    assert bench.keys.compartments() == {at("cn", SAFETY), at("eu", SAFETY)}
    assert bench.told()[-1] == (["safety"], "", "")
    assert bench.hear(left) == {SAFETY}
    assert bench.hear(consent_document(revision=3)) == NOTHING
    assert bench.keeper.now == Consented(NOTHING, NOTHING, 2)


def test_a_withdrawal_asks_for_no_clips(bench: Bench) -> None:
    """There may be thousands, and they are given up by who works on them."""
    bench.hear(consent_document(SAFETY, DRIVING))
    bench.key(DRIVING)
    bench.journal.torn = True
    assert bench.hear(consent_document(SAFETY, revision=2)) == {SAFETY}
    assert (bench.keys.compartments(), bench.faults()) == (frozenset(), [])


def test_where_it_can_not_be_recorded_everything_stops_and_nothing_is_destroyed(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    key = bench.key(SAFETY)
    bench.ledger.broken = True
    assert [bench.hear(consent_document(revision=2)) for _ in range(2)] == [NOTHING, NOTHING]
    assert bench.keeper.now == Consented(NOTHING, frozenset({SAFETY}), 0)
    assert bench.keys.compartments() == {key}
    assert bench.faults() == [{"clip": "", "what": "ledger: an fsync failed earlier"}]
    bench.ledger.broken = False
    assert bench.hear(consent_document(revision=2)) == NOTHING
    assert bench.keeper.now == Consented(NOTHING, NOTHING, 1)
    assert (bench.keys.compartments(), bench.said()) == (frozenset(), ["+safety", "-safety"])


def test_a_key_that_can_not_be_destroyed_is_tried_until_it_is_gone(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    bench.hear(consent_document(SAFETY))
    bench.key(SAFETY)
    bench.keys.broken = "safety.key: Read-only file system"
    nothing = consent_document(revision=2)
    assert [bench.hear(nothing) for _ in range(3)] == [NOTHING] * 3
    assert bench.faults() == [{"clip": "", "what": "safety.key: Read-only file system"}]
    assert bench.faults("disk_failed") == bench.faults()
    bench.keys.broken = "safety.key: Input/output error"
    bench.hear(nothing)
    assert [fault["what"] for fault in bench.faults()][1:] == ["safety.key: Input/output error"]
    bench.keys.broken = ""
    assert bench.hear(nothing) == NOTHING
    assert (bench.keys.compartments(), bench.said()) == (frozenset(), ["+safety", "-safety"])


def test_after_keys_were_destroyed_it_is_looked_once_more_and_then_no_more(bench: Bench) -> None:
    """One may have been made by who was just then at work."""
    bench.hear(consent_document(SAFETY))
    bench.key(SAFETY)
    nothing = consent_document(revision=2)
    bench.hear(nothing)
    bench.key(SAFETY)
    bench.hear(nothing)
    assert bench.keys.compartments() == frozenset()
    bench.hear(nothing)
    bench.keys.broken = "the token is not there"
    assert bench.hear(nothing) == NOTHING
    assert bench.hear(None) == NOTHING
    assert bench.faults() == [], "what is settled needs no key"


def test_what_nobody_foresaw_leaves_nothing_given(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY, DRIVING))
    bench.key(DRIVING)
    bench.keys.odd = True
    with pytest.raises(RuntimeError, match="foresaw"):
        bench.hear(consent_document(SAFETY, revision=2))
    assert bench.keeper.now == Consented(NOTHING, frozenset({SAFETY}), 1)
    bench.keys.odd = False
    assert bench.hear(consent_document(SAFETY, revision=2)) == {SAFETY}
    assert bench.keys.compartments() == frozenset()


def test_a_new_agent_destroys_what_nobody_consents_to_also_without_a_document(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    kept = bench.key(SAFETY)
    bench.key(DRIVING)
    bench.start()
    bench.journal.torn = bench.ledger.broken = True
    assert bench.hear(None) == NOTHING
    assert bench.keys.compartments() == {kept}
    assert bench.faults() == [], "nothing is to be recorded, and no clip is asked for"


# Documents that are lost


@pytest.mark.parametrize(
    ("lost", "reason", "detail"),
    [
        (None, "no_consent_document", MISSING),
        (FirmwareError("consent.json: Is a directory"), "consent_unreadable", "consent.json: Is a directory"),
        (b"[]", "bad_consent", "Expected `object`, got `array`"),
        (b" " * 4097, "consent_too_large", "more than 4096 bytes"),
    ],
)
def test_a_document_that_is_lost_holds_everything_and_for_ten_minutes_erases_nothing(
    bench: Bench, lost: bytes | FirmwareError | None, reason: str, detail: str
) -> None:
    bench.hear(consent_document(SAFETY))
    key = bench.key(SAFETY)
    assert bench.hear(lost) == NOTHING
    assert bench.keeper.now == Consented(NOTHING, frozenset({SAFETY}), 0)
    assert bench.told() == [(["safety"], "", ""), ([], reason, detail)]
    assert bench.keeper.trouble == f"{reason}: {detail}"
    assert bench.hear(lost, 600 * S - NS) == NOTHING
    assert bench.keys.compartments() == {key}
    assert bench.hear(lost) == NOTHING
    assert bench.keeper.now == Consented(NOTHING, NOTHING, 1)
    assert (bench.keys.compartments(), bench.said()) == (frozenset(), ["+safety", "-safety"])
    assert len(bench.told()) == 2, "told once"


def test_to_the_nanosecond(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    bench.hear(None)
    bench.hear(None, 600 * S)
    assert bench.said() == ["+safety", "-safety"]


def test_one_that_comes_back_begins_its_ten_minutes_anew(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    for _ in range(2):
        bench.hear(None)
        assert bench.hear(None, 600 * S - NS) == NOTHING
        assert bench.hear(consent_document(SAFETY)) == {SAFETY}
    assert bench.said() == ["+safety"]
    assert [reason for _, reason, _ in bench.told()] == ["", *("no_consent_document", "") * 2]


def test_the_same_fault_in_other_words_is_not_told_again(bench: Bench) -> None:
    bench.hear(b"[]")
    bench.hear(b"{}")
    assert bench.told() == [([], "bad_consent", "Expected `object`, got `array`")]
    assert bench.keeper.trouble == "bad_consent: Object missing required field `v`"
    bench.hear(None)
    assert bench.told()[1:] == [([], "no_consent_document", MISSING)]


@pytest.mark.parametrize(
    ("revision", "reason", "detail"),
    [
        (1, "consent_older", "revision: 1, but 2 was accepted before"),
        (2, "consent_contradicts", "revision: 2 was accepted before with other purposes"),
    ],
)
def test_a_document_of_before_takes_away_and_never_gives(
    bench: Bench, revision: int, reason: str, detail: str
) -> None:
    bench.hear(consent_document(SAFETY, DIAGNOSTICS, revision=2))
    assert bench.hear(consent_document(SAFETY, DRIVING, revision=revision)) == {SAFETY}
    assert bench.told()[-1] == (["safety"], reason, detail)
    assert bench.said() == ["+diagnostics", "+safety", "-diagnostics"]


# What was kept


def test_a_journal_that_can_not_be_read_is_consent_to_nothing(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    key = bench.key(SAFETY)
    bench.journal.close()
    assert bench.hear(consent_document(SAFETY)) == NOTHING
    assert bench.told()[-1] == ([], "consent_not_kept", "memory journal: closed")
    assert bench.keys.compartments() == {key}


def test_a_note_that_can_not_be_read_is_consent_to_nothing(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    bench.journal.set_state("consent", b"\x93")
    assert bench.hear(consent_document(SAFETY)) == NOTHING
    assert bench.told()[-1][:2] == ([], "consent_not_kept")
    assert bench.keeper.now.in_force == {SAFETY}


def test_a_ledger_that_was_begun_anew_takes_over_what_was_given(bench: Bench) -> None:
    bench.hear(consent_document(DRIVING, DIAGNOSTICS))
    bench.ledger = MemoryLedger(keys=bench.keys, clock=bench.clock)
    bench.start()
    assert bench.said() == ["+automated_driving", "+diagnostics"]
    assert bench.hear(consent_document(DRIVING, DIAGNOSTICS)) == {DRIVING, DIAGNOSTICS}
    assert bench.keeper.now.withdrawals == 0


def test_one_that_knows_better_than_the_journal_takes_nothing_over(bench: Bench) -> None:
    """The journal had kept what the ledger could not record any more."""
    bench.hear(consent_document(SAFETY))
    bench.hear(consent_document(revision=2))
    bench.ledger.broken = True
    bench.hear(consent_document(DRIVING, revision=3))
    bench.ledger.broken = False
    bench.start()
    assert bench.said() == ["+safety", "-safety"]


@pytest.mark.parametrize("kept", [None, encode_consent_floor(ConsentSetting(4, NOTHING))])
def test_where_nothing_was_given_there_is_nothing_to_take_over(bench: Bench, kept: bytes | None) -> None:
    if kept is not None:
        bench.journal.set_state("consent", kept)
    bench.ledger.broken = True
    bench.start()
    bench.ledger.broken = False
    assert bench.said() == []


# Firings that nobody was told of yet


def untold(bench: Bench, purpose: Purpose, number: int) -> str:
    firing_id = f"u{number}"
    telling = Telling(purpose, ())
    judged = JudgedFiring(firing_id, Firing("c", 1, 0, ()), 0, None, DropReason.SAMPLED_OUT, "eu", telling)
    bench.journal.accept([judged], ())
    return firing_id


def left(bench: Bench) -> list[str]:
    return [one.judged.firing_id for one in bench.journal.untold("eu", limit=9)]


def test_a_withdrawal_leaves_nothing_to_tell_of_its_purpose(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY, DRIVING))
    untold(bench, SAFETY, 1)
    other = untold(bench, DRIVING, 2)
    bench.hear(consent_document(DRIVING, revision=2))
    assert left(bench) == [other]


def test_consent_that_comes_back_does_not_bring_back_what_was_to_be_told(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    untold(bench, SAFETY, 1)
    bench.journal.read_only = True
    bench.hear(consent_document(revision=2))
    assert left(bench) == ["u1"], "it could not be forgotten"
    assert bench.hear(consent_document(SAFETY, revision=3)) == NOTHING, "so nothing counts yet"
    bench.journal.read_only = False
    assert bench.hear(consent_document(SAFETY, revision=3)) == {SAFETY}
    assert left(bench) == []


def test_what_a_stop_left_to_tell_is_forgotten_at_the_next_look(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    untold(bench, SAFETY, 1)
    bench.ledger.append(ConsentChanged(SAFETY, given=False))
    bench.start()
    bench.hear(consent_document(revision=2))
    assert left(bench) == []


def test_while_nobody_can_say_it_stays(bench: Bench) -> None:
    bench.hear(consent_document(SAFETY))
    one = untold(bench, SAFETY, 1)
    bench.hear(None)
    bench.start()
    bench.hear(None)
    assert left(bench) == [one]
