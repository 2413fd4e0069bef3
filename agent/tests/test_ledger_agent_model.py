"""Any interleaving of capture, sealing, sending, consent, full disks, kills and starts leaves a ledger that the audit accepts.

The loops are the real ones, on a ledger of real files. A kill strikes at any durable step of any loop, and of the recovery
after it: before the step, or behind it. Then what was not synced is gone: staged parts, and the ledger's end anywhere
behind what was made durable, with holes in it.

After each start, and when everything has come to its end, the ledger agrees with journal, spool, staging and the
region: who has which copy, what was receipted, what was given up. There is a key and a file only of what is consented to.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.pipeline.attempts import MOST_NS
from fsd_agent.pipeline.book import holds
from fsd_agent.pipeline.check import Means
from fsd_agent.pipeline.consent import ConsentKeeper
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.finish import Finisher
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.heads import Heads
from fsd_agent.pipeline.record import Recorder
from fsd_agent.pipeline.recover import apply_recovery
from fsd_agent.pipeline.residence import Belonging
from fsd_agent.pipeline.video_work import AtAnyTime
from fsd_agent.pipeline.whereabouts import RecordedWhereabouts
from fsd_agent.pipeline.withdrawn import WithdrawnClips
from fsd_agent.ports.broker import Message
from fsd_agent.ports.ledger import LedgerFullError
from fsd_agent.records.campaign import CaptureSpec
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip, SealedFile
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.ledger import FREEING, LAZY, Copy, Fact, Fired, Head, LiveClip, Receipted
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Route
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Examined, examine, told_findings
from fsd_agent.rules.audit.clip_account import AtRegion, ClipAccount, RegionView
from fsd_agent.rules.audit.writer import LedgerLimits
from fsd_agent.rules.capture.plan import KeptFiring
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.testing.broker import MemoryBroker, MemoryConnection
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.codec import PictureCodec
from fsd_agent.testing.compartments import at
from fsd_agent.testing.consent import consent_document
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.region import MemoryRegion
from fsd_agent.testing.spool import MemoryLanding, MemorySpool
from fsd_agent.testing.staging import MemoryStaging, MemoryStagingWriter
from fsd_agent.testing.unlimited import (
    AlwaysOn,
    EverythingIsNew,
    KeepsEverything,
    KeepsWhole,
    NoReserve,
    OpenGate,
)
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.head_ack import encode_head_ack
from fsd_agent.wire.ledger import Signed, decode_entry, decode_head
from fsd_agent.wire.ledger_file import RECORD, read_segment
from fsd_agent.wire.pieces import FileIdentity
from fsd_agent.wire.transfer import Topics, parse_up, receiver_subscription
from fsd_firmware.can_frames import empty_can
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.samples import SensedBatch, Signals, empty_gnss

KEYS = MemoryVehicleKeys()
KNOWN = {KEYS.device_key_id(): KEYS.device_public_key}
CATALOGUE = Catalogue((CatalogueEntry("Vehicle.Speed", "double", "km/h", 0, 300, "speed"),))
SPEC = CaptureSpec(before_ns=20, after_ns=15, cameras=(), signals=("Vehicle.Speed",))
LIMITS = LedgerLimits(segment_bytes=6000, keep_bytes=12_000, most_bytes=40_000)
MEMORY = Path("/dev/shm")
"""Where there is one: what is durable is the model's business here, not the disk's."""
PURPOSES = (Purpose.SAFETY, Purpose.DIAGNOSTICS)
PURPOSE_OF = {"c0": Purpose.SAFETY, "c1": Purpose.DIAGNOSTICS}
TICK = 5
WALL_NS = 1_780_000_000_000_000_000
SECOND = 1_000_000_000
_T = TypeVar("_T")


class KilledError(BaseException):
    """Not an ``Exception``: nobody may catch what a SIGKILL is."""


class Fuse:
    """Kills before or behind the n-th durable step."""

    def __init__(self) -> None:
        self.left: int | None = None

    def around(self, act: Callable[[], _T]) -> _T:
        self._burn()
        done = act()
        self._burn()
        return done

    def _burn(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            raise KilledError


class Recorded:
    """What the ledger says at this moment: every act looks whether its record is there, and durable, before it."""

    def __init__(self) -> None:
        self.ledger: LedgerFiles | None = None
        self.durable: Callable[[], bool] = lambda: True
        self.is_afloat: Callable[[Compartment, str], bool] = lambda _, __: False
        self.wrong: list[str] = []
        """What the loops must not have done: they catch what is unforeseen, an assertion too."""

    def must(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)

    def of(self, clip_id: str) -> LiveClip | None:
        self.must(self.durable(), "an act whose record a power cut could take")
        return self.ledger.clip(clip_id) if self.ledger is not None else None


class Keys(MemoryVehicleKeys):
    def __init__(self, fuse: Fuse, recorded: Recorded) -> None:
        super().__init__()
        self.fuse, self.recorded = fuse, recorded

    def compartment_key(self, region_id: str, purpose: Purpose, *, make: bool = False) -> bytes:
        if make and self.recorded.ledger is not None:
            assert purpose in (self.recorded.ledger.consent() or ()), "a key without consent"
        return self.fuse.around(lambda: super(Keys, self).compartment_key(region_id, purpose, make=make))

    def destroy_compartment(self, region_id: str, purpose: Purpose) -> None:
        assert self.recorded.ledger is not None
        assert purpose not in (self.recorded.ledger.consent() or ()), "destroyed without the record of why"
        assert self.recorded.durable()
        self.fuse.around(lambda: super(Keys, self).destroy_compartment(region_id, purpose))


class Journal(MemoryJournal):
    def __init__(self, fuse: Fuse, recorded: Recorded) -> None:
        super().__init__()
        self.fuse, self.recorded = fuse, recorded

    def accept(self, firings: Sequence[JudgedFiring], clips: Sequence[ClipRow]) -> None:
        for row in clips:
            assert holds(self.recorded.of(row.clip_id), Copy.STAGED)
        self.fuse.around(lambda: super(Journal, self).accept(firings, clips))

    def captured(self, clip_id: str, *, cut: bool) -> None:
        self.fuse.around(lambda: super(Journal, self).captured(clip_id, cut=cut))

    def sealed(self, sealed: SealedClip) -> None:
        known = self.recorded.of(sealed.clip_id)
        assert known is not None
        self.recorded.must(known.sealed and known.sha256 == sealed.sha256, "sealed as another than recorded")
        is_afloat = self.recorded.is_afloat(at("cn", known.purpose), sealed.clip_id)
        self.recorded.must(not is_afloat, "sealed with a file that a power cut could take")
        self.fuse.around(lambda: super(Journal, self).sealed(sealed))

    def delivered(self, clip_id: str, *, receipt: bytes) -> None:
        known = self.recorded.of(clip_id)
        assert known is not None
        assert known.receipted
        self.fuse.around(lambda: super(Journal, self).delivered(clip_id, receipt=receipt))

    def dropped(self, clip_id: str, reason: DropReason, detail: str) -> None:
        known = self.recorded.of(clip_id)
        assert known is not None
        assert known.dropped == reason
        self.fuse.around(lambda: super(Journal, self).dropped(clip_id, reason, detail))


class Staging(MemoryStaging):
    def __init__(self, keys: Keys) -> None:
        super().__init__(keys)
        self.fuse, self.recorded = keys.fuse, keys.recorded

    def open(self, compartment: Compartment, clip_id: str) -> MemoryStagingWriter:
        return self.fuse.around(lambda: super(Staging, self).open(compartment, clip_id))

    def sync(self, place: tuple[Compartment, str]) -> None:
        self.fuse.around(lambda: super(Staging, self).sync(place))

    def erase(self, compartment: Compartment, clip_id: str) -> None:
        assert not holds(self.recorded.of(clip_id), Copy.STAGED)
        self.fuse.around(lambda: super(Staging, self).erase(compartment, clip_id))


class Spool(MemorySpool):
    def __init__(self, keys: Keys) -> None:
        super().__init__(keys)
        self.fuse, self.recorded = keys.fuse, keys.recorded

    def begin(self, compartment: Compartment, clip_id: str, file: SealedFile) -> MemoryLanding:
        return self.fuse.around(lambda: super(Spool, self).begin(compartment, clip_id, file))

    def settle(self, compartment: Compartment, clip_id: str) -> None:
        self.fuse.around(lambda: super(Spool, self).settle(compartment, clip_id))

    def erase(self, compartment: Compartment, clip_id: str) -> None:
        assert not holds(self.recorded.of(clip_id), Copy.SEALED)
        self.fuse.around(lambda: super(Spool, self).erase(compartment, clip_id))


class Ledger(LedgerFiles):
    """On a disk that may be full: only what frees room finds some."""

    fuse: Fuse
    full = False

    def append(self, *facts: Fact) -> None:
        if self.full and not all(type(fact) in FREEING for fact in facts):
            raise LedgerFullError("ledger: no space left")
        if not hasattr(self, "fuse"):  # Opening: killed there, it is as if it had not been opened
            super().append(*facts)
            return
        self.fuse.around(lambda: super(Ledger, self).append(*facts))


class Always:
    """The vehicle stays where it is."""

    def __init__(self, route: Route) -> None:
        self.now = Belonging(route, (route.policy,), {})


class AgentModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.fuse = Fuse()
        self.again: int | None = None
        """Steps after which the recovery is killed too."""
        self.recorded = Recorded()
        self.journal = Journal(self.fuse, self.recorded)
        self.keys = Keys(self.fuse, self.recorded)
        self.staging, self.spool = Staging(self.keys), Spool(self.keys)
        self.recorded.is_afloat = self.spool.is_afloat
        self.document: bytes | None = consent_document(*PURPOSES)
        self.revision = 1
        self.clock, self.events = ManualClock(), RememberedEvents()
        self.region = MemoryRegion("cn")
        endpoint = self.region.sample.policy.endpoints[0]
        self.broker = MemoryBroker()
        self.broker.listen(receiver_subscription("cn"), self._arrived)
        self.servers = {(endpoint.host, endpoint.port): self.broker}
        self.topics = Topics("cn", "car-1")
        self.ids = itertools.count(1)
        self.chance = random.Random(1)
        self.medium: dict[int, int] = {}
        """Bytes of each ledger file that were synced, by inode."""
        self.told: list[tuple[str, Signed[Head]]] = []
        self.start()

    def start(self) -> None:
        """A new process on the same disk; it may be killed while it recovers, and is started again then."""
        while True:
            try:
                self._start()
            except KilledError:
                self._lose()
            else:
                break
        self.agrees()

    def _start(self) -> None:
        self.clock.advance(1)
        self.ledger = Ledger(
            self.folder, keys=KEYS, clock=self.clock, events=self.events, limits=LIMITS, datasync=self._sync
        )
        self.ledger.fuse = self.fuse
        self.recorded.ledger, self.recorded.durable = self.ledger, self._is_durable
        self.consent = ConsentKeeper(
            lambda: self.document,
            keys=self.keys,
            journal=self.journal,
            ledger=self.ledger,
            clock=self.clock,
            events=self.events,
        )
        apply_recovery(
            self.journal, self.staging, self.spool, self.ledger, keys=self.keys, consent=self.consent
        )
        where = RecordedWhereabouts(Always(self.region.route()), self.ledger, self.events)
        self.now = 0
        self.ring = Ring(CATALOGUE, horizon_ns=60, max_bytes=1 << 20)
        self.recorder = Recorder(
            ring=self.ring,
            staging=self.staging,
            journal=self.journal,
            ledger=self.ledger,
            events=self.events,
            new_id=lambda: f"{next(self.ids):032x}",
            room=NoReserve(),
        )
        give_up = GiveUp(
            journal=self.journal,
            staging=self.staging,
            spool=self.spool,
            ledger=self.ledger,
            events=self.events,
        )
        self.withdrawn = WithdrawnClips(
            self.consent, give_up, journal=self.journal, clock=self.clock, events=self.events
        )
        self.finisher = Finisher(
            journal=self.journal,
            staging=self.staging,
            spool=self.spool,
            ledger=self.ledger,
            residence=where,
            consent=self.consent,
            means=Means(PictureCodec(), (), (), {}),
            keep=KeepsWhole(),
            select=KeepsEverything(),
            novelty=EverythingIsNew(),
            keys=KEYS,
            clock=self.clock,
            events=self.events,
            power=AlwaysOn(),
            video=AtAnyTime(),
        )
        self.heads = Heads(self.ledger, self.events)
        self.deliverer = Deliverer(
            broker=MemoryConnection(self.servers),
            journal=self.journal,
            spool=self.spool,
            ledger=self.ledger,
            consent=self.consent,
            clock=self.clock,
            events=self.events,
            route_source=lambda: where.current,
            on_message=self.heads.heard,
            random=self.chance.random,
            limits=UplinkLimits(segment_bytes=1024),
            gate=OpenGate(),
            power=AlwaysOn(),
        )
        assert isinstance(where.current, Route)

    def _arrived(self, topic: str, payload: bytes) -> list[tuple[str, bytes]]:
        """Whatever arrives of a clip was recorded as sent before, and is consented to at that moment."""
        known = self.recorded.of(parse_up("cn", topic).clip_id)
        assert known is not None
        assert known.sent
        assert known.purpose in (self.ledger.consent() or ())
        return self.region.handle(topic, payload)

    def _is_durable(self) -> bool:
        """Of the records of the newest file, all but those that may be lost are on the medium."""
        path = segment_paths(self.folder)[-1]
        synced = self.medium.get(path.stat().st_ino, 0)
        frames = [
            one for one in read_segment(path.read_bytes()).frames if one.kind == RECORD and one.end > synced
        ]
        return all(type(decode_entry(one.body).fact) in LAZY for one in frames)

    def _sync(self, descriptor: int) -> None:
        about = os.fstat(descriptor)
        self.medium[about.st_ino] = about.st_size

    def _lose(self) -> None:
        """The process and what was not synced are gone. Of sealed files it may be the process alone."""
        self.broker.cut()
        self.staging.power_cut()
        if self.chance.random() < 0.5:
            self.spool.power_cut(self.chance)
            self.journal.power_cut(self.chance)
        self.journal.full = False
        path = segment_paths(self.folder)[-1]
        data = bytearray(path.read_bytes())
        synced = self.medium.get(path.stat().st_ino, len(data))
        end = self.chance.randint(synced, max(synced, len(data)))
        if end > synced and self.chance.random() < 0.5:
            hole = self.chance.randrange(synced, end)
            data[hole : min(end, hole + 64)] = bytes(min(end, hole + 64) - hole)
        path.write_bytes(data[:end])

    def _do(self, act: Callable[[], object]) -> None:
        try:
            act()
        except KilledError:
            self._lose()
            self.fuse.left, self.again = self.again, None
            self.start()

    # What happens

    @rule(firings=st.lists(st.sampled_from(["none", "one", "two", "dropped"]), min_size=1, max_size=8))
    def drive(self, firings: list[str]) -> None:
        self._do(lambda: [self._tick(one) for one in firings])

    def _tick(self, what: str) -> None:
        until = self.now + TICK
        signals = Signals(np.array([self.now]), np.zeros(1, np.int32), np.array([1.0]))
        batch = SensedBatch(until, WALL_NS, empty_can(), signals, (), (), (), empty_gnss(), ())
        self.ring.append(batch, signals, ())
        moment, self.now = self.now + 1, until
        kept = tuple(self._firing(f"c{n}", moment) for n in range({"one": 1, "two": 2}.get(what, 0)))
        dropped = ()
        if what == "dropped":
            one = self._firing("c0", moment)
            dropped = (JudgedFiring(one.firing_id, one.firing, moment, None, DropReason.SAMPLED_OUT),)
        with self.consent.steady() as consented:
            self.recorder.step(
                tuple(one for one in kept if one.purpose in consented.given),
                dropped,
                until_ns=until,
                region_id="cn",
                given=consented.given,
                wall_minus_mono_ns=WALL_NS,
            )

    def _firing(self, campaign: str, moment: int) -> KeptFiring:
        firing = Firing(campaign, 1, moment, ())
        return KeptFiring(f"f{next(self.ids)}", firing, moment, SPEC, 1, PURPOSE_OF[campaign])

    @rule(times=st.integers(1, 3))
    def finish(self, times: int) -> None:
        self._do(lambda: self._finish(times))

    def _finish(self, times: int) -> None:
        for _ in range(times):
            self.withdrawn.step()
            self.finisher.step()

    @rule(given=st.sets(st.sampled_from(PURPOSES)), look=st.booleans())
    def the_user_changes_their_mind(self, *, given: set[Purpose], look: bool) -> None:
        """Noticed at once by whoever asks next, or by whoever asks a second later."""
        self.revision += 1
        self.document = consent_document(*given, revision=self.revision)
        if look:
            self.clock.advance(SECOND)

    @rule(document=st.sampled_from([None, b"", b"{}"]))
    def the_document_is_lost(self, document: bytes | None) -> None:
        self.document = document
        self.clock.advance(SECOND)

    @rule(given=st.sampled_from(PURPOSES))
    def an_old_document_is_laid_down(self, given: Purpose) -> None:
        self.document = consent_document(given, revision=1)
        self.clock.advance(SECOND)

    @rule(steps=st.integers(0, 40), recovery=st.integers(0, 12))
    def a_withdrawal_with_a_kill_in_it(self, steps: int, recovery: int) -> None:
        self.fuse.left, self.again = steps, recovery
        self._do(lambda: self._withdraw(*PURPOSES))

    def _withdraw(self, *purposes: Purpose) -> None:
        """And everybody notices."""
        self.revision += 1
        left = set(PURPOSES) - set(purposes)
        self.document = consent_document(*left, revision=self.revision)
        self.clock.advance(SECOND)
        self._tick("none")
        self._finish(2)
        self._deliver(2)
        self.clock.advance(SECOND)
        self._finish(1)

    @rule(steps=st.integers(1, 12))
    def deliver(self, steps: int) -> None:
        self._do(lambda: self._deliver(steps))

    def _deliver(self, steps: int) -> None:
        self.deliverer.notify()
        for _ in range(steps):
            self.deliverer.step(0)
            self.clock.advance(SECOND // 100)

    @rule(steps=st.integers(0, 60), recovery=st.integers(0, 12))
    def a_life_with_a_kill_in_it(self, steps: int, recovery: int) -> None:
        """From a firing to the receipt, killed at any step, and perhaps once more in the recovery."""
        self.fuse.left, self.again = steps, recovery
        self._do(lambda: [self._tick(one) for one in ("one", *6 * ("none",))])
        self._do(lambda: self._finish(2))
        self._do(lambda: self._deliver(12))

    @rule()
    def wait(self) -> None:
        """Long enough that everything is tried again, and somebody has made room."""
        self.clock.advance(MOST_NS)
        self.ledger.full = self.journal.full = False

    @rule()
    def the_connection_breaks(self) -> None:
        self.broker.cut()

    @rule(number=st.integers(1, 40))
    def the_region_will_refuse(self, number: int) -> None:
        self.region.refuses.add(f"{number:032x}")

    @rule(full=st.booleans())
    def the_journal_is_full(self, *, full: bool) -> None:
        self.journal.full = full

    @rule(full=st.booleans())
    def the_ledger_is_full(self, *, full: bool) -> None:
        self.ledger.full = full

    @rule(number=st.integers(1, 40))
    def the_disk_loses_a_sealed_file(self, number: int) -> None:
        for purpose in PURPOSES:
            MemorySpool.erase(self.spool, at("cn", purpose), f"{number:032x}")

    @rule()
    def tell_and_acknowledge(self) -> None:
        self._do(self._tell)

    def _tell(self) -> None:
        data = self.heads.tell()
        head = decode_head(data)
        self.told.append((f"told {len(self.told)}", head))
        ack = encode_head_ack(
            region_id="cn",
            vehicle="car-1",
            size=head.value.size,
            root=head.value.root,
            private_key=self.region.sample.receipt_key,
        )
        assert self.heads.heard(self.region.route(), Message(self.topics.head_ack, ack, retained=False))
        assert self.heads.acknowledged == head.value.size

    @rule(seed=st.integers(0, 2**32), recovery=st.one_of(st.none(), st.integers(0, 12)))
    def a_kill(self, seed: int, recovery: int | None) -> None:
        self.chance.seed(seed)
        self._lose()
        self.fuse.left = recovery
        self.start()

    @rule()
    def a_clean_stop(self) -> None:
        self.fuse.left = None
        self.ledger.full = self.journal.full = False
        self.recorder.close_all()
        self.deliverer.close()
        self.ledger.close()
        self.start()

    # What must hold

    @invariant()
    def the_audit_holds(self) -> None:
        self.audit()

    def audit(self) -> tuple[Examined, dict[str, ClipAccount]]:
        assert not self.recorded.wrong
        segments = [(path.name, read_segment(path.read_bytes())) for path in segment_paths(self.folder)]
        found = examine(segments, KNOWN)
        assert not found.findings
        assert not [*told_findings(found, self.told, KNOWN)]
        stored = {
            clip_id: AtRegion(vehicle, FileIdentity.of(data).sha256, "region")
            for (vehicle, clip_id), data in self.region.stored.items()
        }
        policy = self.region.sample.policy
        view = RegionView("cn", policy.identity_uri, policy.receipt_public_keys, stored)
        clips, findings = account(found.records, {"cn": view}, found.start)
        assert not findings
        return found, clips

    def agrees(self) -> None:
        """Right after a start nothing is in between."""
        found, clips = self.audit()
        copies = {(clip.clip_id, copy) for clip in clips.values() for copy in clip.copies}
        staged, sealed = self.staging.entries(), self.spool.entries()
        files = {(clip_id, Copy.STAGED) for _, clip_id in staged}
        files |= {(clip_id, Copy.SEALED) for _, clip_id in sealed}
        assert copies == files
        consented = self.ledger.consent() or frozenset()
        assert {one.purpose for one in self.keys.compartments()} <= consented
        assert {one.purpose for one, _ in staged | sealed} <= consented
        receipts = {
            one.entry.fact.clip_id: one.entry.fact.receipt
            for one in found.records
            if isinstance(one.entry.fact, Receipted)
        }
        fired = {one.entry.fact.firing_id for one in found.records if isinstance(one.entry.fact, Fired)}
        for row in self.journal.clips(set(ClipState)):
            clip = clips.get(row.clip_id)
            if clip is None:
                assert found.first, "a clip of the journal is not in the ledger"
                assert row.state in {ClipState.DELIVERED, ClipState.DROPPED}
                continue
            assert clip.copies == _COPIES[row.state]
            assert clip.was_dropped == (row.state is ClipState.DROPPED)
            if row.state is ClipState.DELIVERED:
                assert (
                    receipts.get(row.clip_id, self.journal.receipts[row.clip_id])
                    == (self.journal.receipts[row.clip_id])
                )
                assert clip.got_receipt
            if row.state is ClipState.SEALED:
                assert clip.file == ("car-1", row.sha256)
            if clip.before is None:
                assert {judged.firing_id for judged in self.journal.firings_of(row.clip_id)} <= fired

    def teardown(self) -> None:
        """Without further trouble everything comes to its end, and the ledger says so of every clip."""
        try:
            self.revision += 1
            self.document = consent_document(*PURPOSES, revision=self.revision)
            self.a_clean_stop()
            for _ in range(200):
                if not self.journal.clips({ClipState.STAGED, ClipState.CAPTURED, ClipState.SEALED}):
                    break
                self.finisher.step()
                self._deliver(10)
                self.clock.advance(MOST_NS)
            self.a_clean_stop()
            _, clips = self.audit()
            assert not any(clip.copies for clip in clips.values())
            assert not self.staging.entries()
            assert not self.spool.entries()
            self.ledger.close()
        finally:
            shutil.rmtree(self.folder)


_COPIES = {
    ClipState.STAGED: {Copy.STAGED},
    ClipState.CAPTURED: {Copy.STAGED},
    ClipState.SEALED: {Copy.SEALED},
    ClipState.DELIVERED: set(),
    ClipState.DROPPED: set(),
}

AgentModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAgentModel = AgentModel.TestCase


def killed_in(model: AgentModel, act: Callable[[], object], steps: int) -> bool:
    """Do something, with a kill at a step; whether it came to it."""
    model.fuse.left = steps
    try:
        act()
    except KilledError:
        model._lose()
        return True
    model.fuse.left = None
    return False


def a_life(model: AgentModel) -> None:
    """From a firing to the receipt."""
    for what in ("one", *6 * ("none",)):
        model._tick(what)
    model._finish(1)
    model._deliver(12)


def a_withdrawal(model: AgentModel) -> None:
    """With clips of the purpose open, captured, sealed, half sent and delivered, and others of another purpose."""
    for what in ("two", *6 * ("none",)):
        model._tick(what)
    model._finish(2)
    model._deliver(1)
    for what in ("two", *6 * ("none",), "two"):
        model._tick(what)
    model._withdraw(Purpose.SAFETY)
    assert {one.purpose for one in model.keys.compartments()} <= {Purpose.DIAGNOSTICS}
    left = {
        row.purpose for row in model.journal.clips({ClipState.STAGED, ClipState.CAPTURED, ClipState.SEALED})
    }
    assert left <= {Purpose.DIAGNOSTICS}
    model.revision += 1
    model.document = consent_document(*PURPOSES, revision=model.revision)
    model.clock.advance(SECOND)
    model._tick("one")


def a_refusal(model: AgentModel) -> None:
    model.region.refuses.update(f"{number:032x}" for number in range(100))
    a_life(model)


def a_full_journal(model: AgentModel) -> None:
    """It has no room at the moment of the receipt, and again at that of a refusal; then the connection breaks."""
    for refuses in (False, True):
        if refuses:
            model.region.refuses.update(f"{number:032x}" for number in range(100))
        for what in ("one", *6 * ("none",)):
            model._tick(what)
        model._finish(1)
        model.journal.full = True
        model._deliver(12)
        model.journal.full = False
        model.broker.cut()
        for _ in range(2):  # The loss is noticed, and then it is time to connect again
            model._deliver(3)
            model.wait()
        model._deliver(12)
    assert not model.journal.clips({ClipState.SEALED})


@pytest.mark.parametrize(
    ("life", "recovery"),
    [
        *((a_life, recovery) for recovery in (None, 0, 1, 3, 6)),
        *((a_withdrawal, recovery) for recovery in (None, 4)),
        (a_refusal, None),
        (a_full_journal, None),
    ],
)
def test_killed_at_every_step(life: Callable[[AgentModel], None], recovery: int | None) -> None:
    """And the recovery after it at a step as well."""
    for steps in range(500):
        model = AgentModel()
        killed = killed_in(model, lambda: life(model), steps)  # noqa: B023 - called at once
        if killed:
            model.fuse.left = recovery
            model.start()
        model.audit()
        model.teardown()
        if not killed:
            assert steps > 20
            return
    raise AssertionError("it never came to its end")
