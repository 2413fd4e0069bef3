"""Of clips at rest a start has nothing to do: whether they are gone over or not, it decides the same."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.clip import ClipPlace, ClipState
from fsd_agent.records.clip_ids import pack_ids, unpack_ids
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.rules.spool.at_rest import at_rest
from fsd_agent.rules.spool.recover import Place, recover

PURPOSES = [Purpose.SAFETY, Purpose.DIAGNOSTICS]
AT = [Compartment(region_id, purpose) for region_id in ("cn", "eu") for purpose in PURPOSES]
IDS = [f"{number:032x}" for number in range(4)]
ROWS = st.dictionaries(
    st.sampled_from(IDS), st.tuples(st.sampled_from(AT), st.sampled_from([ClipState.SEALED, *ClipState]))
)
FILES = st.frozensets(st.tuples(st.sampled_from(AT), st.sampled_from(IDS)), max_size=6)
ACCOUNTS = st.dictionaries(st.sampled_from(IDS), st.sampled_from(["cn", "eu"]))
"""Of these clips the ledger says that there is the sealed copy alone: in this region."""


def packed(places: Iterable[Place]) -> dict[Compartment, bytes]:
    found: dict[Compartment, bytes] = {}
    for at, clip_id in places:
        found[at] = found.get(at, b"") + pack_ids([clip_id])
    return found


@given(
    ROWS, FILES, FILES, ACCOUNTS, st.frozensets(st.sampled_from(AT)), st.frozensets(st.sampled_from(PURPOSES))
)
def test_recovery_decides_the_same_without_them(
    known: dict[str, tuple[Compartment, ClipState]],
    sealed: frozenset[Place],
    staged: frozenset[Place],
    accounts: dict[str, str],
    keys: frozenset[Compartment],
    consented: frozenset[Purpose],
) -> None:
    rows = [ClipPlace(one, at.region_id, at.purpose, state, None) for one, (at, state) in known.items()]
    by_region = {
        region_id: pack_ids(one for one, its in accounts.items() if its == region_id)
        for region_id in set(accounts.values())
    }
    waiting = packed((row.compartment, row.clip_id) for row in rows if row.state is ClipState.SEALED)
    resting = at_rest(waiting, by_region, packed(sealed), pack_ids(one for _, one in staged))
    assert set(resting) == set(waiting)
    peaceful = {
        (at, one)
        for at, ids in resting.items()
        for one in unpack_ids(ids)
        if at in keys and at.purpose in consented
    }
    every = recover(rows, staged, sealed, keys=keys, consented=consented)
    others = [row for row in rows if (row.compartment, row.clip_id) not in peaceful]
    assert recover(others, staged, sealed - peaceful, keys=keys, consented=consented) == every
    assert not {action.clip_id for action in every} & {one for _, one in peaceful}


@given(ROWS, FILES, FILES, ACCOUNTS)
def test_who_is_at_rest(
    known: dict[str, tuple[Compartment, ClipState]],
    sealed: frozenset[Place],
    staged: frozenset[Place],
    accounts: dict[str, str],
) -> None:
    waiting = packed((at, one) for one, (at, state) in known.items() if state is ClipState.SEALED)
    by_region = {
        region_id: pack_ids(one for one, its in accounts.items() if its == region_id)
        for region_id in ("cn", "eu")
    }
    resting = at_rest(waiting, by_region, packed(sealed), pack_ids(one for _, one in staged))
    wanted = {
        one
        for one, (at, state) in known.items()
        if state is ClipState.SEALED
        and [(place, each) for place, each in (*sealed, *staged) if each == one] == [(at, one)]
        and (at, one) in sealed
        and accounts.get(one) == at.region_id
    }
    assert {one for ids in resting.values() for one in unpack_ids(ids)} == wanted


def test_one_is_at_rest_and_what_it_takes() -> None:
    at, ids = AT[0], [pack_ids([one]) for one in IDS]
    rows, accounts, files = {at: b"".join(ids)}, {at.region_id: b"".join(ids)}, {at: b"".join(ids)}
    assert set(unpack_ids(at_rest(rows, accounts, files, b"")[at])) == set(IDS)
    assert set(unpack_ids(at_rest(rows, accounts, files, ids[0])[at])) == set(IDS[1:])
    assert set(unpack_ids(at_rest(rows, accounts, files | {AT[1]: ids[1]}, b"")[at])) == {*IDS} - {IDS[1]}
    assert at_rest({at: ids[0]}, accounts, {AT[1]: ids[0]}, b"") == {at: b""}
    assert at_rest({at: ids[0]}, {"eu": ids[0]}, files, b"") == {at: b""}
    assert at_rest({}, accounts, files, b"") == {}
