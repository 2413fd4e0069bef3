"""Any sequence of records, heads, removals, restarts and power cuts: what was durable stays, and the audit holds.

A power cut takes any part of what was not durable: the newest file ends anywhere behind its durable length, and pages
before that end may be missing. The model is a plain list of facts and what was told of it.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.records.ledger import LAZY, ClipFact, Fact, Head, LiveClip, Repaired, SegmentRemoved, Started
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Examined, examine, told_findings
from fsd_agent.rules.audit.state import clip_after
from fsd_agent.rules.audit.writer import LedgerLimits
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.decisions import Decisions, clip_id_of
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.regions import sample_region
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.ledger import Signed
from fsd_agent.wire.ledger_file import RECORD, read_segment

KEYS = MemoryVehicleKeys()
KNOWN = {KEYS.device_key_id(): KEYS.device_public_key}
DO = Decisions(sample_region("cn"))
LIMITS = LedgerLimits(segment_bytes=3000, keep_bytes=8000, most_bytes=16_000)
CLIPS = st.integers(0, 5)


class LedgerModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = ManualClock()
        self.lives: dict[str, list[Fact]] = {}
        """Facts of each clip that are still to come."""
        self.clips = 0
        self.facts: list[Fact] = []
        """Everything that the ledger should hold, from record 0 on."""
        self.durable = 0
        """How many of them must survive anything."""
        self.medium: dict[int, int] = {}
        """Bytes of each file that were synced, by inode."""
        self.told: list[tuple[str, Signed[Head]]] = []
        self.open()
        self.append(DO.consented())

    def open(self) -> None:
        self.events = RememberedEvents()
        self.real = LedgerFiles(
            self.folder, keys=KEYS, clock=self.clock, events=self.events, limits=LIMITS, datasync=self.sync
        )
        kept = self.real.head().value.size - 1 - len(self.events.of("ledger_repaired"))
        assert self.durable <= kept <= len(self.facts)
        self.lost = self.facts[kept:]
        del self.facts[kept:]
        repaired = [told["cut_bytes"] for told in self.events.of("ledger_repaired")]
        self.facts += [Repaired(int(str(cut))) for cut in repaired]
        self.facts.append(Started(self.version(), KEYS.device_key_id()))
        self.keep()
        self.is_durable()

    def version(self) -> str:
        started = self.examined().records[-1].entry.fact
        assert isinstance(started, Started)
        return started.agent_version

    def keep(self) -> None:
        """Which clips there is a copy of, by all records since the first."""
        clips: dict[str, LiveClip | None] = {}
        for number, fact in enumerate(self.facts):
            if isinstance(fact, ClipFact):
                clips[fact.clip_id] = clip_after(clips.get(fact.clip_id), number, fact)
        self.kept = {clip_id for clip_id, clip in clips.items() if clip is not None}

    def sync(self, descriptor: int) -> None:
        about = os.fstat(descriptor)
        self.medium[about.st_ino] = about.st_size

    def is_durable(self) -> None:
        """Every record so far was promised to be, and every file but a head at its end is."""
        self.durable = len(self.facts)
        for path in segment_paths(self.folder):
            data = path.read_bytes()
            frames = [frame for frame in read_segment(data).frames if frame.kind == RECORD]
            assert not frames or frames[-1].end <= self.medium[path.stat().st_ino]

    def append(self, *facts: Fact) -> None:
        newest = segment_paths(self.folder)[-1]
        self.real.append(*facts)
        if segment_paths(self.folder)[-1] != newest:
            self.durable = len(self.facts)  # A file is whole on the medium before the next one begins
        self.facts += facts
        self.keep()
        if not all(type(fact) in LAZY for fact in facts):
            self.is_durable()

    @rule(clip=CLIPS, many=st.integers(1, 4))
    def live(self, clip: int, many: int) -> None:
        """A clip goes on, or begins."""
        ids = [*self.lives]
        if clip < len(ids):
            clip_id = ids[clip]
        else:
            self.clips += 1
            clip_id = clip_id_of(self.clips)
            self.lives[clip_id] = list(DO.life(clip_id))
        rest = self.lives[clip_id]
        facts, self.lives[clip_id] = rest[:many], rest[many:]
        if not self.lives[clip_id]:
            del self.lives[clip_id]
        self.append(*facts)

    @rule(many=st.integers(1, 70))
    def drop(self, many: int) -> None:
        """Firings that nothing is kept for: none of these records needs to be durable."""
        for number in range(many):
            self.append(DO.firing_dropped(number))

    @rule()
    def tell(self) -> None:
        head = self.real.head()
        self.is_durable()
        assert head.value.size == len(self.facts)
        self.told.append((f"told {len(self.told)}", head))

    @rule(known=st.booleans())
    def trim(self, *, known: bool) -> None:
        acknowledged = max((head.value.size for _, head in self.told), default=0) if known else 0
        size = self.real.head().value.size
        removed = self.real.trim(acknowledged)
        added = [one.entry.fact for one in self.examined().records if one.entry.number >= size]
        assert sum(isinstance(fact, SegmentRemoved) for fact in added) == removed
        assert all(isinstance(fact, SegmentRemoved) for fact in added)
        self.facts += added
        self.is_durable()

    @rule()
    def restart(self) -> None:
        self.real.close()
        self.is_durable()
        self.clock.advance(1)
        self.open()
        assert not self.lost
        assert not self.events.of("ledger_repaired")

    @rule(seed=st.integers(0, 2**32))
    def power_cut(self, seed: int) -> None:
        """The process and the pages that were not durable are gone."""
        chance = random.Random(seed)
        path = segment_paths(self.folder)[-1]
        data = bytearray(path.read_bytes())
        synced = self.medium[path.stat().st_ino]
        end = chance.randint(synced, len(data))
        if end > synced and chance.random() < 0.5:
            start = chance.randrange(synced, end)
            data[start : min(end, start + 64)] = bytes(min(end, start + 64) - start)
        path.write_bytes(data[:end])
        self.open()
        for fact in reversed(self.lost):  # what was not recorded has not happened
            clip_id = getattr(fact, "clip_id", "")
            if clip_id:
                self.lives.setdefault(clip_id, []).insert(0, fact)

    @invariant()
    def the_audit_holds(self) -> None:
        found = self.examined()
        assert not found.findings
        assert not [*told_findings(found, self.told, KNOWN)]
        assert [one.entry.fact for one in found.records] == self.facts[found.first :]
        clips, findings = account(found.records, {}, found.start)
        assert not findings
        here = {clip_id for clip_id, clip in clips.items() if clip.copies}
        assert {clip.clip_id for clip in self.real.live()} == here == self.kept

    @invariant()
    def it_is_bounded(self) -> None:
        assert all(path.stat().st_size < 3000 + 30_000 for path in segment_paths(self.folder))

    def examined(self) -> Examined:
        segments = [(path.name, read_segment(path.read_bytes())) for path in segment_paths(self.folder)]
        return examine(segments, KNOWN)

    def teardown(self) -> None:
        self.real.close()
        shutil.rmtree(self.folder)


LedgerModel.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestLedgerModel = LedgerModel.TestCase
