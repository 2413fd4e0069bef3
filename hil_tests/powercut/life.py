"""One vehicle whose power is cut again and again while it drives, and the account at its end.

Its directory (keys, compartments' keys, journal, ledger, staging, spool) is on a disk of ``mount.py``; the region's broker and
receiver are not. At each cut nothing that the agent does to its disk is answered any more, it is killed, and it starts
again on what the disk was left with. After the last cut it lives to its end.

Everything is chosen by a seed: at which operation the power is cut, and what survives. Threads and the network are not, so
the same seed cuts at the same operations of lives that are alike, not equal.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from fsd_agent.adapters.compartment_folders import path_in
from fsd_agent.adapters.compartment_keys import KEY_SUFFIX
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.ports.journal import JournalError
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import ALL_PURPOSES, Purpose
from fsd_agent.rules.spool.lifecycle import LIVE
from fsd_agent.rules.spool.names import SEALED_SUFFIX, STAGED_SUFFIX
from fsd_tools.errors import ToolError
from fsd_tools.rig.forks import Fork, Forks
from fsd_tools.rig.processes import wait_until
from fsd_tools.rig.rig import Rig
from fsd_tools.vehicle.consent import change_consent
from hil_tests.account import Account, Starts, Stored, account
from hil_tests.powercut.power import At, Left, PoweredFolder
from hil_tests.powercut.road import CAMPAIGNS
from hil_tests.powercut.terms import Count, Lie


@dataclass(frozen=True, slots=True)
class Aim:
    """How some of the cuts are placed: at one of the first ``up_to`` of ``count``."""

    share: float
    count: Count
    up_to: int


AIMS = (
    Aim(0.2, Count.OPERATIONS, 60),  # a start and its recovery: a short time with many decisions
    Aim(0.3, Count.OPERATIONS, 450),  # about as many as in a whole life on the bench's drive
    Aim(0.5, Count.STEPS, 120),  # the same, with what an earlier life has left to do
)
"""A life with fewer ends by itself, and no cut is counted."""
WITHDRAWING = 1 / 8
"""How often, between two starts."""
LIFE_TIMEOUT_S = 120.0
AGENT = "fsd_agent.daemon.main:main"
"""The agent's command line."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One cut, as it was found."""

    at: At
    live: Counter[str]
    """States of the clips that the journal still owed something."""


@dataclass(slots=True)
class Outcome:
    """What one vehicle came to."""

    seed: int
    cuts: list[Cut] = field(default_factory=list)
    lives: int = 0
    fate: Counter[str] = field(default_factory=Counter)
    """Of what was not certain at the cuts."""
    account: Account = field(default_factory=Account)

    @property
    def wrong(self) -> list[str]:
        """What must not be."""
        return self.account.wrong


class Life:
    """See the module."""

    def __init__(
        self,
        rig: Rig,
        region_id: str,
        vehicle: str,
        stored: Stored,
        forks: Forks,
        *,
        seed: int,
        lie: Lie = Lie.NONE,
    ) -> None:
        """``forks`` has imported the module of :data:`AGENT`."""
        self._rig = rig
        self._region_id = region_id
        self._vehicle = vehicle
        self._stored = stored
        self._forks = forks
        self._random = random.Random(seed)
        self._disk = PoweredFolder(rig.vehicle(vehicle).root, rig.root / "logs", lie=lie)
        self._agent: Fork | None = None
        self._starts = Starts()
        self._withheld: Purpose | None = None
        self._destroyed: frozenset[Purpose] = frozenset()
        """Purposes for which there is no key: the agent has told that there is no consent."""
        self._told: dict[str, ClipState] = {}
        """By clip: the state that the agent has told last."""
        self._outcome = Outcome(seed)

    def play(self, cuts: int) -> Outcome:
        """So many cuts, then a whole life; ends early where something was lost."""
        try:
            while len(self._outcome.cuts) < cuts and not self._outcome.wrong:
                self._cut_once()
            if not self._outcome.wrong:
                self._live()
                self._outcome.account = account(
                    self._rig, self._region_id, self._vehicle, self._starts, self._stored,
                    whole=len(self._starts.fired) - 1,
                )  # fmt: skip
        except (ToolError, JournalError) as error:
            self._outcome.wrong.append(str(error))
        finally:
            if self._disk.is_on:
                self._kill()
        return self._outcome

    def _cut_once(self) -> None:
        """Start, and cut the power at a random operation."""
        before = self._withheld
        self._change_mind()
        aim = self._random.choices(AIMS, [one.share for one in AIMS])[0]
        if self._withheld is not before:  # That is carried out at the start
            aim = AIMS[0]
        cut_at, seed = self._random.randint(1, aim.up_to), self._random.getrandbits(32)
        self._disk.on(stop_at=cut_at, count=aim.count, seed=seed)
        agent = self._start()
        wait_until(
            lambda: self._disk.at() is not None or not agent.running(),
            timeout_s=LIFE_TIMEOUT_S,
            what=f"number {cut_at} of the {aim.count} of {self._vehicle}",
        )
        at = self._disk.at()
        if at is None:
            self._ended(agent)
            return
        self._outcome.fate.update(self._kill().fate)
        where = (
            f"cut {len(self._outcome.cuts) + 1}, {at.kind} {at.path} (operation {at.operation}, seed {seed})"
        )
        self._outcome.cuts.append(Cut(at, self._look(where)))

    def _live(self) -> None:
        """A whole life, with consent to everything."""
        if self._withheld is not None:
            self._give_back(self._withheld)
        self._disk.on()
        self._ended(self._start())

    def _change_mind(self) -> None:
        """The user may withdraw consent, or give it again."""
        if self._withheld is not None:
            if self._random.random() < 0.5:
                self._give_back(self._withheld)
        elif self._random.random() < WITHDRAWING:
            self._withheld = self._random.choice(sorted(CAMPAIGNS.values()))
            change_consent(self._disk.folder, (), (self._withheld,), dt.datetime.now(dt.UTC))

    def _give_back(self, purpose: Purpose) -> None:
        change_consent(self._disk.folder, (purpose,), (), dt.datetime.now(dt.UTC))
        self._withheld = None

    def _kill(self) -> Left:
        """The agent goes with its disk."""
        if self._agent is None:
            return self._disk.off()
        # What waits for the disk dies when the disk's process is gone, and does nothing more until then.
        self._agent.kill()
        left = self._disk.off()
        self._agent.wait(LIFE_TIMEOUT_S)
        return left

    def _start(self) -> Fork:
        self._outcome.lives += 1
        self._starts.begin()
        self._destroyed = frozenset()
        config = str(self._rig.vehicle(self._vehicle).config)
        self._agent = self._forks.start(
            AGENT,
            [
                "run",
                "--config",
                config,
                "--json",
                "--wait-for-campaigns",
                "30",
                "--drain",
                str(LIFE_TIMEOUT_S),
            ],
            log=self._rig.root / "logs" / f"agent-{self._vehicle}.log",
            on_line=self._hear,
        )
        return self._agent

    def _ended(self, agent: Fork) -> None:
        """It lives to its end."""
        code = agent.wait(LIFE_TIMEOUT_S)
        self._disk.end()
        if code != 0:
            raise ToolError(f"start {self._outcome.lives} ended with {code}:\n{agent.log_tail()}")

    def _hear(self, line: bytes) -> None:
        event = json.loads(line)
        self._starts.hear(event)
        if event["event"] == "consent":
            self._destroyed = frozenset(ALL_PURPOSES) - set(event["given"])
        state = _STATES.get(event["event"])
        if state is not None and "clip" in event:
            self._told[event["clip"]] = state

    def _look(self, where: str) -> Counter[str]:
        """States of live clips after a cut, without a change to the disk; notes what ought to be there and is not."""
        data = self._rig.vehicle(self._vehicle).data

        def must(holds: bool, otherwise: str) -> None:
            self._outcome.account.must(holds, f"{where}: {otherwise}")

        for purpose in sorted(self._destroyed):
            key = self._rig.vehicle(self._vehicle).compartments / self._region_id / f"{purpose}{KEY_SUFFIX}"
            must(not key.exists(), f"{key.name} was destroyed, and is there again")
        rows = _rows(data)
        if rows is None:
            must(not self._told, "the journal is gone")
            return Counter(before_the_journal=1)
        states = {row.clip_id: row.state for row in rows}
        live = [row for row in rows if row.state in LIVE]
        # Its row may say so no longer: the move to SEALED is not waited for, and the ledger, which is, makes a start repeat it.
        sealed = {row.clip_id for row in live if _sealed_file(data, row).exists()}
        for clip_id, told in self._told.items():
            state = states.get(clip_id)
            taken_back = (state, told) == (ClipState.CAPTURED, ClipState.SEALED) and clip_id in sealed
            holds = state is not None and (_ORDER[state] >= _ORDER[told] or taken_back)
            must(holds, f"clip {clip_id} was {told}, and is {state or 'unknown'}")
        for row in live:
            staged = path_in(data / "staging", STAGED_SUFFIX, row.compartment, row.clip_id)
            there = row.state is not ClipState.SEALED and staged.exists()
            may_be_sealed = row.state is not ClipState.STAGED and row.clip_id in sealed
            must(there or may_be_sealed, f"clip {row.clip_id} is {row.state}, and its file is gone")
        return Counter(str(row.state) for row in live) or Counter(none=1)


def _sealed_file(data: Path, row: ClipRow) -> Path:
    return path_in(data / "spool", SEALED_SUFFIX, row.compartment, row.clip_id)


def _rows(data: Path) -> tuple[ClipRow, ...] | None:
    """What the journal of a data folder holds; None where there is none. It is opened elsewhere: opening repairs."""
    found = list(data.glob("journal.db*"))
    if not found:
        return None
    with tempfile.TemporaryDirectory(prefix="fsd-powercut-") as folder:
        for path in found:
            shutil.copy(path, folder)
        journal = SqliteJournal(Path(folder) / "journal.db")
        try:
            return journal.clips(set(ClipState))
        finally:
            journal.close()


_STATES = {
    "fired": ClipState.STAGED,
    "captured": ClipState.CAPTURED,
    "sealed": ClipState.SEALED,
    "delivered": ClipState.DELIVERED,
    "dropped": ClipState.DROPPED,
}
_ORDER = {
    ClipState.STAGED: 0,
    ClipState.CAPTURED: 1,
    ClipState.SEALED: 2,
    ClipState.DELIVERED: 3,
    ClipState.DROPPED: 3,
}
