"""The short form of ``make powercut``, and the proof that it would notice."""

from __future__ import annotations

import os

import pytest

from hil_tests.powercut.journeys import Fleet, travel
from hil_tests.powercut.show import show
from hil_tests.powercut.terms import Lie

CUTS = int(os.environ.get("FSD_CUTS", "20"))
SEED = int(os.environ.get("FSD_CUT_SEED", "20261130"))
ENOUGH_CUTS = 25
"""Within so many a weaker journal, or names that are not synced, must have cost something: it takes about three."""


@pytest.mark.slow
@pytest.mark.timeout(120 + 15 * CUTS)
def test_nothing_accepted_is_lost_whenever_the_power_is_cut(fleet: Fleet) -> None:
    report = travel(fleet, (SEED, SEED + 1), CUTS, jobs=2, say=print)
    print(show(report))
    assert report.wrong == {}
    assert len(report.cuts) == CUTS
    assert report.firings > CUTS // 4, "a proof over vehicles that fire nothing would prove nothing"
    assert report.fate["blocks lost"] > 0
    assert report.fate["blocks kept"] > 0


@pytest.mark.slow
def test_a_journal_that_does_not_sync_its_commits_loses_firings(fleet: Fleet) -> None:
    """What ``synchronous = NORMAL`` does to the disk; the journal is whole, and forgets what it has confirmed."""
    outcome = fleet.journey(SEED, ENOUGH_CUTS, lie=Lie.COMMITS)
    assert outcome.wrong
    assert all("unknown" in one or " was " in one for one in outcome.wrong), outcome.wrong


@pytest.mark.slow
def test_names_that_are_not_synced_lose_firings(fleet: Fleet) -> None:
    """What leaving out the sync of folders does to the disk."""
    assert fleet.journey(SEED, ENOUGH_CUTS, lie=Lie.FOLDERS).wrong
