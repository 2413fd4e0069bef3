"""The table of moves, widening, and recovery over every combination of row and files."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.spool import lifecycle, names
from fsd_agent.rules.spool.recover import Action, CloseCut, Drop, EraseSealed, EraseStaging, Place, recover
from fsd_agent.testing.compartments import at

CLIP = "0" * 31 + "1"
S, C, E, D, X = ClipState  # staged, captured, sealed, delivered, dropped


def row(state: ClipState, clip_id: str = CLIP, region: str = "eu", **changes: Any) -> ClipRow:
    made = ClipRow(
        clip_id=clip_id,
        region_id=region,
        purpose=Purpose.SAFETY,
        state=state,
        start_ns=10,
        end_ns=20,
        wall_minus_mono_ns=5,
        cameras=("front",),
        signals=("Vehicle.Speed",),
        priority=1,
        drop=DropReason.SEAL_FAILED if state is X else None,
    )
    return replace(made, **changes)


def test_the_table_has_exactly_these_steps() -> None:
    allowed = {(a, b) for a, b in itertools.product(ClipState, ClipState) if lifecycle.may_move(a, b)}
    assert allowed == {(S, C), (C, E), (E, D), (S, X), (C, X), (E, X)}
    assert {S, C, E} == lifecycle.LIVE


def test_a_refused_move_says_from_where_to_where() -> None:
    assert lifecycle.refuse_move(CLIP, S, C) is None
    assert lifecycle.refuse_move(CLIP, D, X) == f"clip {CLIP}: is delivered, can't become dropped"
    assert lifecycle.refuse_move(CLIP, None, C) == f"clip {CLIP}: unknown, can't become captured"


def test_widening_is_a_union_and_keeps_the_region() -> None:
    wider = row(S, start_ns=5, end_ns=15, cameras=("left", "front"), signals=("A",), priority=9)
    merged = lifecycle.widen(row(S), wider)
    assert (merged.start_ns, merged.end_ns, merged.priority) == (5, 20, 9)
    assert (merged.cameras, merged.signals) == (("front", "left"), ("Vehicle.Speed", "A"))
    with pytest.raises(ValueError, match="belongs to eu/safety for good, not to cn/safety"):
        lifecycle.widen(row(S), row(S, region="cn"))
    with pytest.raises(ValueError, match="belongs to eu/safety for good, not to eu/diagnostics"):
        lifecycle.widen(row(S), row(S, purpose=Purpose.DIAGNOSTICS))


@pytest.mark.parametrize(
    "text", ["", "A" * 32, "0" * 31, "0" * 33, "../" + "0" * 29, "0" * 31 + "\n", "0" * 31 + "/", "é" * 32]
)
def test_what_is_no_clip_id(text: str) -> None:
    assert not names.is_clip_id(text)


@pytest.mark.parametrize("text", ["", "..", "a/b", "CN", "a" * 33, "cn\n", "cn\0", "c.n"])
def test_what_is_no_region_id(text: str) -> None:
    assert not names.is_region_id(text)


# state, staging, sealed in own region -> what happens to the row, and which files go
EXPECTED = {
    (S, True, True): (CloseCut, {"sealed"}),
    (S, True, False): (CloseCut, set()),
    (S, False, True): (DropReason.STAGING_LOST, {"sealed"}),
    (S, False, False): (DropReason.STAGING_LOST, set()),
    (C, True, True): (None, {"sealed"}),
    (C, True, False): (None, set()),
    (C, False, True): (DropReason.STAGING_LOST, {"sealed"}),
    (C, False, False): (DropReason.STAGING_LOST, set()),
    (E, True, True): (None, {"staging"}),
    (E, True, False): (DropReason.SPOOL_DAMAGED, {"staging"}),
    (E, False, True): (None, set()),
    (E, False, False): (DropReason.SPOOL_DAMAGED, set()),
}


def finished_cases() -> dict[tuple[ClipState | None, bool, bool], tuple[None, set[str]]]:
    """Whatever a finished or unknown clip left behind goes."""
    return {
        (state, staging, sealed): (
            None,
            {name for name, there in (("staging", staging), ("sealed", sealed)) if there},
        )
        for state, staging, sealed in itertools.product((D, X, None), (True, False), (True, False))
    }


KEYS = (at("eu"), at("cn"))


def recovered(
    rows: Iterable[ClipRow],
    staged: Iterable[Place],
    sealed: Iterable[Place],
    *,
    keys: Iterable[Compartment] = KEYS,
    consented: Iterable[Purpose] = (Purpose.SAFETY,),
) -> tuple[Action, ...]:
    return recover(
        rows, frozenset(staged), frozenset(sealed), keys=frozenset(keys), consented=frozenset(consented)
    )


def summary(actions: tuple[Action, ...]) -> tuple[object, set[str]]:
    decision: object = None
    files = set()
    for action in actions:
        if isinstance(action, Drop):
            decision = action.reason
        elif isinstance(action, CloseCut):
            decision = CloseCut
        else:
            files.add("staging" if isinstance(action, EraseStaging) else "sealed")
    return decision, files


@pytest.mark.parametrize(("case", "expected"), [*EXPECTED.items(), *finished_cases().items()])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_recovery_of_every_combination(
    case: tuple[ClipState | None, bool, bool], expected: tuple[object, set[str]], elsewhere: bool
) -> None:
    state, staging, sealed = case
    rows = [] if state is None else [row(state)]
    strays = [(at("cn"), CLIP), (at("eu", Purpose.DIAGNOSTICS), CLIP)] if elsewhere else []
    own = [(at("eu"), CLIP)]
    actions = recovered(rows, [*own, *strays] if staging else strays, [*own, *strays] if sealed else strays)
    bare = [replace(a, why="") for a in actions]
    for stray in strays:
        assert EraseSealed(*stray, "") in bare
        assert EraseStaging(*stray, "") in bare
    mine = tuple(
        a for a in actions if not (isinstance(a, EraseSealed | EraseStaging) and a.compartment != at("eu"))
    )
    assert summary(mine) == expected
    assert len(mine) == len(expected[1]) + (expected[0] is not None)
    assert all(action.why for action in actions)


@pytest.mark.parametrize(("case", "expected"), EXPECTED.items())
def test_without_its_key_a_file_is_as_good_as_gone(
    case: tuple[ClipState, bool, bool], expected: tuple[object, set[str]]
) -> None:
    state, staging, sealed = case
    own = [(at("eu"), CLIP)]
    decision, files = summary(
        recovered([row(state)], own if staging else [], own if sealed else [], keys=[at("cn")])
    )
    assert decision == EXPECTED[state, False, False][0]
    assert files == {name for name, there in (("staging", staging), ("sealed", sealed)) if there}


@pytest.mark.parametrize("keys", [[], [at("eu")]])
@pytest.mark.parametrize(("staging", "sealed"), list(itertools.product((True, False), (True, False))))
@pytest.mark.parametrize("state", [S, C, E])
def test_a_withdrawn_clip_is_dropped_as_that_whatever_is_left_of_it(
    state: ClipState, staging: bool, sealed: bool, keys: list[Compartment]
) -> None:
    own = [(at("eu"), CLIP)]
    decision, files = summary(
        recovered([row(state)], own if staging else [], own if sealed else [], keys=keys, consented=())
    )
    assert decision is DropReason.CONSENT_WITHDRAWN
    assert files == {name for name, there in (("staging", staging), ("sealed", sealed)) if there}


def test_every_combination_is_in_the_table() -> None:
    assert set(EXPECTED) | set(finished_cases()) == set(
        itertools.product((*ClipState, None), (True, False), (True, False))
    )


IDS = tuple(f"{n:032x}" for n in range(6))


PLACES = st.tuples(
    st.builds(Compartment, st.sampled_from(["cn", "eu"]), st.sampled_from(Purpose)), st.sampled_from(IDS)
)


@st.composite
def disks(draw: st.DrawFn) -> tuple[dict[str, ClipRow], set[Place], set[Place]]:
    chosen = draw(st.lists(st.sampled_from(IDS), unique=True))
    rows = {
        clip_id: row(
            draw(st.sampled_from(ClipState)),
            clip_id,
            draw(st.sampled_from(["cn", "eu"])),
            purpose=draw(st.sampled_from(Purpose)),
        )
        for clip_id in chosen
    }
    own = [(one.compartment, one.clip_id) for one in rows.values()]
    places = st.one_of(PLACES, st.sampled_from(own)) if own else PLACES
    return rows, draw(st.sets(places)), draw(st.sets(places))


@settings(max_examples=150, deadline=None)
@given(disks(), st.sets(PLACES.map(lambda place: place[0])), st.sets(st.sampled_from(Purpose)))
def test_acting_on_recovery_leaves_nothing_to_recover(
    disk: tuple[dict[str, ClipRow], set[Place], set[Place]], keys: set[Compartment], consented: set[Purpose]
) -> None:
    rows, staged, sealed = disk

    def decide(given: Iterable[ClipRow]) -> tuple[Action, ...]:
        return recovered(given, staged, sealed, keys=keys, consented=consented)

    for action in decide(rows.values()):
        if isinstance(action, CloseCut):
            assert lifecycle.may_move(rows[action.clip_id].state, C)
            rows[action.clip_id] = replace(rows[action.clip_id], state=C, cut=True)
        elif isinstance(action, Drop):
            assert lifecycle.may_move(rows[action.clip_id].state, X)
            rows[action.clip_id] = replace(rows[action.clip_id], state=X, drop=action.reason)
        elif isinstance(action, EraseStaging):
            staged.remove((action.compartment, action.clip_id))
        else:
            sealed.remove((action.compartment, action.clip_id))
    assert decide(rows.values()) == ()
    assert decide([each for each in rows.values() if each.state in lifecycle.LIVE]) == ()
    for each in rows.values():  # what is still owed has the file that it needs, its key, and consent
        place = (each.compartment, each.clip_id)
        assert each.state is not S
        assert each.state is not C or place in staged
        assert each.state is not E or place in sealed
        if each.state in lifecycle.LIVE:
            assert each.compartment in keys
            assert each.purpose in consented
