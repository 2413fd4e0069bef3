"""Whole files are checked beside the delivering loop: what waits for the answer, and what doesn't."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.segments import BLOCK_BYTES
from fsd_agent.pipeline.soundness import AtOnce, Soundness
from fsd_agent.ports.broker import Message
from fsd_agent.ports.spool import CompartmentKeyError, RegionSpool, SpoolDamagedError, SpoolError
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import Route
from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.testing.broker import MemoryBroker, MemoryConnection
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.consent import PlainConsent
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.region import MemoryRegion
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.unlimited import AlwaysOn, OpenGate
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.pieces import FileIdentity
from fsd_agent.wire.spool_head import Version
from fsd_agent.wire.transfer import SEGMENT_BYTES, Topics, receiver_subscription

SIZE = BLOCK_BYTES + 1000


class WhenTold(Executor):
    """Runs what it was given, oldest first, when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.waiting.append((Future(), partial(fn, *args, **kwargs)))
        return self.waiting[-1][0]

    def run_one(self) -> None:
        future, act = self.waiting.pop(0)
        try:
            future.set_result(act())
        except SpoolError as error:
            future.set_exception(error)


class Bench:
    """A vehicle with sealed clips whose files don't say what they are, and a region that takes them."""

    def __init__(self, beside: Executor) -> None:
        self.region, self.server = MemoryRegion("cn", port=8883), MemoryBroker()
        self.server.listen(receiver_subscription("cn"), self.region.handle)
        self.keys = keyed("cn")
        self.spool, self.journal = MemorySpool(self.keys), MemoryJournal()
        self.spool.version = 1
        self.clock, self.events = ManualClock(), RememberedEvents()
        route = self.region.route()

        def ignore(_route: Route, _message: Message) -> None:
            return

        self.deliverer = Deliverer(
            broker=MemoryConnection({("127.0.0.1", 8883): self.server}),
            journal=self.journal,
            spool=self.spool,
            ledger=MemoryLedger(keys=MemoryVehicleKeys(), clock=self.clock),
            consent=PlainConsent(),
            clock=self.clock,
            events=self.events,
            route_source=lambda: route,
            on_message=ignore,
            random=random.Random(1).random,
            limits=UplinkLimits(segment_bytes=1 << 16),
            gate=OpenGate(),
            power=AlwaysOn(),
            beside=beside,
        )

    def add(self, number: int) -> ClipRow:
        clip_id, data = f"{number:032x}", random.Random(number).randbytes(SIZE)
        row = ClipRow(clip_id, "cn", Purpose.SAFETY, ClipState.STAGED, number, number + 1, 0, (), (), 0)
        self.journal.accept((), (row,))
        self.journal.captured(clip_id, cut=False)
        self.journal.sealed(self.spool.put(at("cn"), clip_id, as_file(data)))
        found = self.journal.clip(clip_id)
        assert found is not None
        return found

    def steps(self, count: int = 40) -> None:
        for _ in range(count):
            self.deliverer.step(0)

    def about(self, row: ClipRow) -> list[str]:
        """Topics of what was said about a clip."""
        return [one.topic for one in self.server.published if row.clip_id in one.topic]

    def state(self, row: ClipRow) -> ClipState:
        found = self.journal.clip(row.clip_id)
        assert found is not None
        return found.state


def test_nothing_is_said_of_a_clip_before_its_file_is_known_to_be_sound_and_others_do_not_wait() -> None:
    beside = WhenTold()
    bench = Bench(beside)
    first, second = bench.add(1), bench.add(2)
    bench.steps()
    assert bench.about(first) == bench.about(second) == []
    assert len(beside.waiting) == 2, "each is checked once, however often it is asked"
    bench.deliverer.post(Topics("cn", "car-1").status, b"status", retain=True)
    bench.steps()
    assert [one.payload for one in bench.server.published] == [b"status"]
    beside.waiting.reverse()
    beside.run_one()
    bench.steps()
    assert (bench.state(first), bench.state(second)) == (ClipState.SEALED, ClipState.DELIVERED)
    beside.run_one()
    bench.steps()
    assert bench.state(first) is ClipState.DELIVERED


def test_a_loop_that_waits_is_woken_by_the_answer() -> None:
    with ThreadPoolExecutor(1) as beside:
        bench = Bench(beside)
        row = bench.add(1)
        for _ in range(100):
            bench.deliverer.step(10.0)
            if bench.state(row) is ClipState.DELIVERED:
                break
        assert bench.state(row) is ClipState.DELIVERED


def test_each_attempt_is_checked_anew_and_a_file_that_went_bad_is_dropped() -> None:
    beside = WhenTold()
    bench = Bench(beside)
    row = bench.add(1)
    bench.steps()
    beside.run_one()
    bench.server.silent = True
    bench.steps()
    bench.server.cut()
    bench.server.silent = False
    bench.spool.put(at("cn"), row.clip_id, as_file(bytes(SIZE)))
    bench.steps()
    bench.clock.advance(60_000_000_000)
    bench.steps()
    assert len(beside.waiting) == 1
    said = len(bench.about(row))
    beside.run_one()
    bench.steps()
    assert bench.state(row) is ClipState.DROPPED
    assert len(bench.about(row)) == said
    assert "SHA-256" in str(bench.events.of("dropped")[0]["detail"])


def test_a_file_that_says_what_it_is_is_read_whole_after_an_attempt_that_got_nowhere() -> None:
    beside = WhenTold()
    bench = Bench(beside)
    bench.spool.version = 4
    row = bench.add(1)
    bench.server.forget = lambda topic: row.clip_id in topic
    bench.steps()
    assert len(bench.about(row)) == 1
    assert beside.waiting == [], "its own word was enough"
    for _ in range(2):
        bench.clock.advance(60_000_000_000)
        bench.steps()
    assert len(beside.waiting) == 1
    assert len(bench.about(row)) == 1
    bench.server.forget = lambda _topic: False
    beside.run_one()
    bench.steps()
    assert bench.state(row) is ClipState.DELIVERED


class Files:
    """One sealed file, and whether it is sound."""

    def __init__(self, beside: Executor, done: Callable[[], None] = lambda: None) -> None:
        self.keys = keyed("cn")
        self.spool = MemorySpool(self.keys)
        self.data = random.Random(1).randbytes(SIZE)
        sealed = self.spool.put(at("cn"), "0" * 32, as_file(self.data))
        self.row = ClipRow(
            "0" * 32, "cn", Purpose.SAFETY, ClipState.SEALED, 0, 1, 0, (), (), 0,
            size_bytes=SIZE, sha256=sealed.sha256,
        )  # fmt: skip
        self.soundness = Soundness(self.spool.region("cn"), beside, done, SEGMENT_BYTES)


def test_an_answer_counts_once() -> None:
    beside = WhenTold()
    files = Files(beside)
    assert files.soundness.outline(files.row) is None
    assert files.soundness.unknown == {files.row.clip_id}
    beside.run_one()
    assert files.soundness.unknown == frozenset()
    found = files.soundness.outline(files.row)
    assert found is not None
    assert found.segments() == FileIdentity.of(files.data).pieces
    assert files.soundness.outline(files.row) is None


def test_an_answer_about_another_file_of_the_clip_is_none() -> None:
    beside = WhenTold()
    files = Files(beside)
    assert files.soundness.outline(files.row) is None
    beside.run_one()
    sealed = files.spool.put(at("cn"), "0" * 32, as_file(bytes(SIZE)))
    assert files.soundness.outline(replace(files.row, sha256=sealed.sha256)) is None
    beside.run_one()
    found = files.soundness.outline(replace(files.row, sha256=sealed.sha256))
    assert found is not None
    assert found.segments() == FileIdentity.of(bytes(SIZE)).pieces


@pytest.mark.parametrize("segment_bytes", [1000, SEGMENT_BYTES, BLOCK_BYTES, SIZE, SIZE + 1])
@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_the_outline_has_the_hash_of_each_segment_and_of_the_whole(
    segment_bytes: int, version: Version
) -> None:
    files = Files(AtOnce())
    files.spool.version = version
    sealed = files.spool.put(at("cn"), "0" * 32, as_file(files.data))
    soundness = Soundness(files.spool.region("cn"), AtOnce(), lambda: None, segment_bytes)
    found = soundness.outline(replace(files.row, sha256=sealed.sha256))
    segments = [files.data[low : low + segment_bytes] for low in range(0, SIZE, segment_bytes)]
    assert found is not None
    assert found.segments() == b"".join(hashlib.sha256(segment).digest() for segment in segments)
    assert found.whole() == hashlib.sha256(files.data).digest()


@pytest.mark.parametrize("forget", ["one", "all"])
def test_what_was_found_of_a_file_that_is_gone_is_forgotten(forget: str) -> None:
    beside = WhenTold()
    files = Files(beside)
    assert files.soundness.outline(files.row) is None
    beside.run_one()
    if forget == "one":
        files.soundness.forget(files.row.clip_id)
    else:
        files.soundness.forget_all()
    assert files.soundness.outline(files.row) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bytes(SIZE), "SHA-256 of the file is not that of what was sealed"),
        (bytes(SIZE - 1), f"{SIZE - 1} bytes on disk, {SIZE} were sealed"),
        (bytes(SIZE + 1), f"{SIZE + 1} bytes on disk, {SIZE} were sealed"),
    ],
)
def test_what_is_not_what_was_sealed_is_told_by_name(content: bytes, reason: str) -> None:
    files = Files(AtOnce())
    files.spool.put(at("cn"), "0" * 32, as_file(content))
    with pytest.raises(SpoolDamagedError, match=f"clip {'0' * 32}: {reason}"):
        files.soundness.outline(files.row)
    files.spool.erase(at("cn"), "0" * 32)
    with pytest.raises(SpoolError, match="no such file"):
        files.soundness.outline(files.row)
    files.keys.destroy_compartment("cn", Purpose.SAFETY)
    with pytest.raises(CompartmentKeyError):
        files.soundness.outline(files.row)


def test_a_check_that_nobody_wants_any_more_ends_between_two_blocks() -> None:
    begun, go_on, reads = threading.Event(), threading.Event(), []

    class Slow:
        """A spool whose first read takes until it is told."""

        def __init__(self, inner: RegionSpool) -> None:
            self.read, self.erase, self.identity = inner.read, inner.erase, inner.identity
            self._parts = inner.parts

        def parts(self, purpose: Purpose, clip_id: str, offset: int, length: int) -> tuple[bytes, ...]:
            reads.append(offset)
            begun.set()
            assert go_on.wait(10)
            return self._parts(purpose, clip_id, offset, length)

    files = Files(AtOnce())
    with ThreadPoolExecutor(1) as beside:
        soundness = Soundness(Slow(files.spool.region("cn")), beside, lambda: None, SEGMENT_BYTES)
        assert soundness.outline(files.row) is None
        assert begun.wait(10)
        soundness.forget_all()
        go_on.set()
    assert reads == [0]
    assert files.spool.region("cn").read(Purpose.SAFETY, "0" * 32, 0, SIZE) == files.data


def test_a_loop_that_ends_waits_for_no_check_and_begins_anew_when_it_goes_on() -> None:
    beside = WhenTold()
    bench = Bench(beside)
    row = bench.add(1)
    bench.steps()
    bench.deliverer.close()
    beside.run_one()
    bench.steps()
    assert bench.about(row) == []
    assert len(beside.waiting) == 1
    beside.run_one()
    bench.steps()
    assert bench.state(row) is ClipState.DELIVERED
