"""The SQLite journal against the journal in memory: any sequence of calls, any reopening, the same account.

The two share the table of moves and nothing else; totals are counted anew in memory and kept as running tallies
in SQLite, so that this is also the check of the tallies.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip
from fsd_agent.records.clip_ids import unpack_ids
from fsd_agent.records.firing import Firing, JudgedFiring, Telling
from fsd_agent.records.link_rule import NOTHING, Admits, LinkRule, Links
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.worth import Valued, Worth
from fsd_agent.rules.spool.lifecycle import LIVE
from fsd_agent.testing.journal import MemoryJournal

CLIPS = st.sampled_from([f"{n:032x}" for n in range(5)])
CAMPAIGNS = st.sampled_from(["cyclist", "door", "rain"])
REASONS = st.sampled_from(DropReason)
TELLINGS = st.none() | st.builds(Telling, st.sampled_from(Purpose), st.sampled_from([(), ("S1", "S2")]))

WORTHS = st.builds(
    Worth,
    st.sampled_from([0.0, 0.25, 1.0]),
    st.sampled_from([one for one in Valued if one is not Valued.NOT_YET]),
    st.sampled_from([(), (("motion", 0.5), ("rarity", 0.125))]),
)


class JournalModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "journal.db"
        self.real = SqliteJournal(self.path)
        self.model = MemoryJournal()
        self.serial = 0

    def both(self, call: Callable[[Journal], None]) -> None:
        """The same outcome: done, or refused with the same kind of error."""
        outcomes: list[type[Exception] | None] = []
        for journal in (self.model, self.real):
            try:
                call(journal)
            except JournalError as error:
                outcomes.append(type(error))
            else:
                outcomes.append(None)
        assert outcomes[0] == outcomes[1]

    @rule(
        clip_id=CLIPS,
        campaigns=st.lists(CAMPAIGNS, max_size=3),
        drop=st.none() | REASONS,
        region=st.sampled_from(["eu", "eu", "eu", "cn"]),
        start_ns=st.integers(0, 50),
        priority=st.integers(0, 2),
        link=st.builds(
            LinkRule, st.sampled_from(Links), st.booleans(), st.booleans(), st.none() | st.integers(1, 9)
        ),
        known_again=st.booleans(),
        with_row=st.sampled_from([True, True, False]),
        telling=TELLINGS,
    )
    def accept(
        self,
        clip_id: str,
        campaigns: list[str],
        drop: DropReason | None,
        region: str,
        start_ns: int,
        priority: int,
        link: LinkRule,
        known_again: bool,
        with_row: bool,
        telling: Telling | None,
    ) -> None:
        row = ClipRow(
            clip_id,
            region,
            Purpose.SAFETY,
            ClipState.STAGED,
            start_ns,
            start_ns + 10,
            7,
            ("front",),
            (f"S{priority}",),
            priority,
            link=link,
        )
        firings = []
        for campaign in campaigns:
            self.serial += not (known_again and self.serial % 3 == 0)
            firing = Firing(campaign, 1, start_ns, (("Vehicle.Speed", 3.5), ("Vehicle.Mode", "auto")))
            at = None if drop else clip_id
            firings.append(JudgedFiring(f"f{self.serial}", firing, start_ns + 7, at, drop, region, telling))
        rows = [row] if with_row and not drop else []
        self.both(lambda journal: journal.accept(firings, rows))

    @rule(clip_id=CLIPS, cut=st.booleans())
    def captured(self, clip_id: str, cut: bool) -> None:
        self.both(lambda journal: journal.captured(clip_id, cut=cut))

    @rule(worths=st.dictionaries(CLIPS, WORTHS, max_size=3))
    def valued(self, worths: dict[str, Worth]) -> None:
        self.both(lambda journal: journal.valued(worths))

    @rule(clip_id=CLIPS, size=st.integers(1, 1 << 40))
    def sealed(self, clip_id: str, size: int) -> None:
        self.both(lambda journal: journal.sealed(SealedClip(clip_id, "eu", size, bytes(32))))

    @rule(clip_id=CLIPS)
    def delivered(self, clip_id: str) -> None:
        self.both(lambda journal: journal.delivered(clip_id, receipt=b"signed"))

    @rule(clip_id=CLIPS, reason=REASONS)
    def dropped(self, clip_id: str, reason: DropReason) -> None:
        self.both(lambda journal: journal.dropped(clip_id, reason, "why"))

    @rule(numbers=st.lists(st.integers(0, 9), max_size=3))
    def told(self, numbers: list[int]) -> None:
        self.both(lambda journal: journal.told([f"f{number}" for number in numbers]))

    @rule(
        purposes=st.frozensets(st.sampled_from(Purpose), max_size=2), regions=st.sampled_from([(), ("cn",)])
    )
    def untell(self, purposes: frozenset[Purpose], regions: tuple[str, ...]) -> None:
        self.both(lambda journal: journal.untell(purposes=purposes, region_ids=regions))

    @rule(key=st.sampled_from(["a", "b"]), value=st.binary(max_size=4))
    def set_state(self, key: str, value: bytes) -> None:
        self.both(lambda journal: journal.set_state(key, value))

    @precondition(lambda self: self.serial % 2)
    @rule()
    def reopen(self) -> None:
        self.real.close()
        self.real = SqliteJournal(self.path)

    @invariant()
    def same_account(self) -> None:
        assert self.real.totals() == self.model.totals()
        assert self.real.clips(tuple(ClipState)) == self.model.clips(tuple(ClipState))
        for admits in (NOTHING, Admits(frozenset({Links.ANY}), urgent_only=True)):
            found = self.real.clips({ClipState.SEALED}, admits=admits)
            assert found == self.model.clips({ClipState.SEALED}, admits=admits)
        assert self.real.waiting("eu") == self.model.waiting("eu")
        for limit in (1, 9):
            for regions in ((), ("eu",), ("cn", "us")):
                assert self.real.least(limit, region_ids=regions) == self.model.least(
                    limit, region_ids=regions
                )
            purposes = frozenset({Purpose.SAFETY})
            waiting = self.real.unvalued(limit, purposes=purposes)
            assert waiting == self.model.unvalued(limit, purposes=purposes)
            assert not self.real.unvalued(limit, purposes={Purpose.DIAGNOSTICS})
            for state in ClipState:
                following = [
                    one.following(state, f"{1:032x}", limit=limit) for one in (self.real, self.model)
                ]
                assert following[0] == following[1]
        assert self.real.levels() == self.model.levels()
        sealed = [
            {at: sorted(unpack_ids(ids)) for at, ids in one.sealed_ids().items()}
            for one in (self.real, self.model)
        ]
        assert sealed[0] == sealed[1]
        for region in ("cn", "eu"):
            assert self.real.untold(region, limit=3) == self.model.untold(region, limit=3)
        assert list(self.real.each(LIVE)) == list(self.model.each(LIVE))
        for total in self.real.totals():
            assert total.fired == total.in_progress + total.delivered + sum(n for _, n in total.dropped)
        for clip_id in (f"{n:032x}" for n in range(5)):
            assert self.real.firings_of(clip_id) == self.model.firings_of(clip_id)
        for campaign in ("cyclist", "door", "rain"):
            for region, since in product(("cn", "eu"), (0, 30)):
                expected = self.model.usage(region, campaign, since_wall_ns=since)
                assert self.real.usage(region, campaign, since_wall_ns=since) == expected
        assert [self.real.get_state(key) for key in "ab"] == [self.model.get_state(key) for key in "ab"]

    def teardown(self) -> None:
        self.real.close()
        self.folder.cleanup()


TestJournalModel = JournalModel.TestCase
TestJournalModel.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
