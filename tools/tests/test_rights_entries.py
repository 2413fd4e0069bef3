"""From what ledger, journal and folders say to the catalogue: every clip once, the furthest word counts, and no copy too many."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.ledger import Cause, Copy, Entry, Fact
from fsd_agent.records.purpose import ALL_PURPOSES, Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Located
from fsd_agent.testing.decisions import Decisions, clip_id_of
from fsd_agent.testing.regions import sample_region
from fsd_tools.rights.entries import CopyState, FiringFact, Known, State, catalogue, copy_state, totals
from fsd_tools.rights.words import REASONS, classes_in, reason_in_words, removed_in_words

DO = Decisions(sample_region())
IDS = [clip_id_of(number) for number in range(4)]
PLACES = [Compartment(region, purpose) for region in ("cn", "eu") for purpose in sorted(ALL_PURPOSES)]


@st.composite
def rows(draw: st.DrawFn) -> dict[str, ClipRow]:
    found = {}
    for clip_id in draw(st.sets(st.sampled_from(IDS))):
        state = draw(st.sampled_from(ClipState))
        drop = draw(st.sampled_from(DropReason)) if state is ClipState.DROPPED else None
        sealed = state in (ClipState.SEALED, ClipState.DELIVERED)
        found[clip_id] = ClipRow(
            clip_id, "cn", Purpose.SAFETY, state, 0, 1, 0, ("front",), (), 0,
            size_bytes=draw(st.integers(1, 9)) if sealed else 0, sha256=bytes(32) if sealed else b"", drop=drop,
        )  # fmt: skip
    return found


@st.composite
def lives(draw: st.DrawFn) -> list[Fact]:
    """Clips' records, each up to some moment of its life, some given up then; some lost from the middle, as by damage."""
    facts: list[Fact] = []
    for clip_id in draw(st.sets(st.sampled_from(IDS))):
        life = list(DO.life(clip_id))[: draw(st.integers(1, 9))]
        if draw(st.booleans()):
            life += [DO.dropped(clip_id), DO.erased(clip_id, Copy.STAGED, Cause.DROPPED)]
        lost = draw(st.sets(st.integers(0, len(life) - 1), max_size=2))
        facts += [fact for at, fact in enumerate(life) if at not in lost]
    return facts


@st.composite
def knowns(draw: st.DrawFn) -> Known:
    records = [Located(Entry(at, at, at, fact), "f") for at, fact in enumerate(draw(lives()))]
    files = st.dictionaries(st.sampled_from(IDS), st.sampled_from(PLACES))
    firing = st.builds(FiringFact, st.just("f"), st.just("crossing"), st.just(1), st.integers(0, 9))
    return Known(
        accounts=account(records, {}, None)[0],
        rows=draw(rows()),
        firings=draw(st.dictionaries(st.sampled_from(IDS), st.lists(firing, min_size=1, max_size=2))),
        sealed=draw(files),
        staged=draw(files),
        keys=draw(st.frozensets(st.sampled_from(PLACES))),
    )


@given(knowns())
def test_whatever_is_known_every_clip_is_there_once(known: Known) -> None:
    entries = catalogue(known)
    sources = (known.accounts, known.rows, known.firings, known.sealed, known.staged)
    assert sorted(one.clip_id for one in entries) == sorted(
        {clip_id for source in sources for clip_id in source}
    )
    when = [min((firing.wall_ns for firing in one.firings), default=0) for one in entries]
    assert when == sorted(when)
    assert sum(one.clips for one in totals(entries)) == len(entries)
    assert sum(one.size_bytes for one in totals(entries)) == sum(one.size_bytes for one in entries)
    assert all(sum(one.states.values()) == one.clips for one in totals(entries))


@given(knowns())
def test_a_copy_is_given_of_what_is_sealed_here_under_a_key_and_of_nothing_else(known: Known) -> None:
    for one in catalogue(known):
        is_sealed = known.sealed.get(one.clip_id) in known.keys
        is_here = is_sealed and one.state is not State.GIVEN_UP
        assert (one.copy is CopyState.HERE) == is_here
        assert one.on_board == (one.clip_id in known.sealed or one.clip_id in known.staged)


@given(knowns())
def test_the_source_that_is_further_along_counts(known: Known) -> None:
    for one in catalogue(known):
        row, account_ = known.rows.get(one.clip_id), known.accounts.get(one.clip_id)
        receipted = (row is not None and row.state is ClipState.DELIVERED) or (
            account_ is not None and account_.got_receipt
        )
        given_up = (row is not None and row.state is ClipState.DROPPED) or (
            account_ is not None and account_.was_dropped
        )
        assert (one.state is State.DELIVERED) == receipted
        assert (one.state is State.GIVEN_UP) == (given_up and not receipted)
        assert bool(one.reason) == (one.state is State.GIVEN_UP)


@given(knowns(), st.sampled_from(IDS))
def test_a_source_that_is_lost_moves_no_clip_on(known: Known, clip_id: str) -> None:
    """What can't be read any more may hide something, and never makes a clip seem further than it is."""
    order = list(State)
    whole = {one.clip_id: one for one in catalogue(known)}
    less = replace(known, rows={key: row for key, row in known.rows.items() if key != clip_id})
    for one in catalogue(less):
        before = whole[one.clip_id].state
        closed = (before, one.state) == (State.RECORDING, State.NOT_REDACTED)
        assert closed or order.index(one.state) <= order.index(before)


@pytest.mark.parametrize(
    ("state", "is_sealed", "is_staged", "has_key", "copy"),
    [
        (State.RECORDING, False, True, True, CopyState.NOT_REDACTED_YET),
        (State.NOT_REDACTED, False, True, False, CopyState.KEY_DESTROYED),
        (State.WAITS, True, False, True, CopyState.HERE),
        (State.SENT, True, True, True, CopyState.HERE),
        (State.WAITS, True, False, False, CopyState.KEY_DESTROYED),
        (State.WAITS, False, False, False, CopyState.MISSING),
        (State.DELIVERED, True, False, True, CopyState.HERE),
        (State.DELIVERED, True, False, False, CopyState.AT_REGION),
        (State.DELIVERED, False, False, True, CopyState.AT_REGION),
        (State.GIVEN_UP, True, True, True, CopyState.GIVEN_UP),
        (State.UNKNOWN, False, False, True, CopyState.MISSING),
    ],
)
def test_copies(state: State, *, is_sealed: bool, is_staged: bool, has_key: bool, copy: CopyState) -> None:
    assert copy_state(state, is_sealed=is_sealed, is_staged=is_staged, has_key=has_key) is copy


def test_every_reason_has_words_and_one_that_is_not_known_stays() -> None:
    assert set(REASONS) == set(DropReason)
    assert len(set(REASONS.values())) == len(REASONS)
    assert reason_in_words("disk_full") == "the disk was full"
    assert reason_in_words("a_newer_one") == "a_newer_one"


def test_rules_in_words() -> None:
    rules = ("faces=none", "plates=plate_band", "windows=all", "location=drop", "classes=location+signals")
    assert removed_in_words(rules, "dropped") == (
        "number plates' part of vehicles painted over",
        "windows=all",
        "positions",
    )
    assert removed_in_words((), "kept") == removed_in_words((), "") == ()
    assert removed_in_words((), "other") == ("positions: other",)
    assert classes_in(rules) == ("location", "signals")
    assert classes_in(()) == ()
