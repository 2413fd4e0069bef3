"""What went wrong lately: bounded, counted, and told to each region as far as it is the region's business."""

from __future__ import annotations

import threading

import pytest

from fsd_agent.pipeline.faults import FAULTS_MAX, TEXT_MAX, FaultLog
from fsd_agent.ports.events import EventName
from fsd_agent.ports.journal import JournalError
from fsd_agent.records.status import Fault
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents

S = 1_000_000_000
REGIONS = {"of-cn": "cn", "of-eu": "eu"}


class Bench:
    def __init__(self) -> None:
        self.clock, self.events = ManualClock(), RememberedEvents()
        self.log = FaultLog(self.events, self.clock)

    def told(self, region_id: str) -> list[tuple[str, str]]:
        return [(one.where, one.what) for one in self.log.of_region(region_id, REGIONS.get)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_events_go_on_as_they_are_and_faults_are_kept(bench: Bench) -> None:
    bench.log.emit("connected", region="cn")
    bench.log.emit("disk_failed", clip="of-cn", what="no such device")
    assert bench.events.of("connected") == [{"region": "cn"}]
    assert bench.events.of("disk_failed") == [{"clip": "of-cn", "what": "no such device"}]
    assert bench.log.all() == (Fault(bench.clock.wall_ns(), "disk_failed", "no such device"),)


def test_the_same_again_is_counted_and_is_the_newest(bench: Bench) -> None:
    for _ in range(3):
        bench.clock.advance(S)
        bench.log.emit("disconnected", region="cn", reason="timed out")
        bench.log.emit("source_failed", what="unplugged")
    bench.log.emit("disconnected", region="cn", reason="timed out")
    now_ns = bench.clock.wall_ns()
    assert bench.log.all() == (
        Fault(now_ns, "source_failed", "unplugged", 3),
        Fault(now_ns, "disconnected", "timed out", 4),
    )


@pytest.mark.parametrize(
    "other",
    [
        {"region": "eu", "reason": "timed out"},
        {"region": "cn", "reason": "refused"},
        {"region": "cn", "reason": "timed out", "clip": "of-cn"},
    ],
)
def test_what_differs_is_another_fault(bench: Bench, other: dict[str, str]) -> None:
    bench.log.emit("disconnected", region="cn", reason="timed out")
    bench.log.emit("disconnected", **other)
    assert [one.times for one in bench.log.all()] == [1, 1]


def test_the_oldest_is_forgotten_and_long_texts_are_cut(bench: Bench) -> None:
    for number in range(FAULTS_MAX + 2):
        bench.log.emit("detector_failed", what=f"{number}" + "x" * 1000)
    found = bench.log.all()
    assert [one.what[0] for one in found] == [str(number) for number in range(2, FAULTS_MAX + 2)][:8]
    assert {len(one.what) for one in found} == {TEXT_MAX}


def test_a_region_is_told_of_its_own_connection_and_clips_alone(bench: Bench) -> None:
    bench.log.emit("disconnected", region="cn", reason="cn is away")
    bench.log.emit("refused", region="eu", reason="eu does not know us")
    bench.log.emit("disk_failed", clip="of-cn", what="cn/safety/of-cn.sealed: damaged")
    bench.log.emit("postponed", clip="of-eu", reason="staging_lost", detail="eu/safety/of-eu.staged: damaged")
    bench.log.emit("disk_failed", clip="of-nobody", what="??/of-nobody.sealed")
    assert bench.told("cn") == [
        ("disconnected", "cn is away"),
        ("disk_failed", "cn/safety/of-cn.sealed: damaged"),
    ]
    assert bench.told("eu") == [
        ("refused", "eu does not know us"),
        ("postponed", "eu/safety/of-eu.staged: damaged"),
    ]
    assert len(bench.log.all()) == 5


def test_what_is_of_no_region_is_told_without_a_text_that_could_name_one(bench: Bench) -> None:
    bench.log.emit("disk_failed", clip="", what="keys/compartments/eu/safety.key: can't be destroyed")
    bench.log.emit("source_failed", what="the camera bus is gone")
    bench.log.emit("loop_failed", loop="finish")
    assert bench.told("cn") == [
        ("disk_failed", ""),
        ("source_failed", "the camera bus is gone"),
        ("loop_failed", "finish"),
    ]


TEXTS: dict[EventName, str] = {
    "disk_full": "what",
    "disk_failed": "what",
    "journal_failed": "what",
    "ledger_failed": "what",
    "ledger_repaired": "what",
    "keys_failed": "what",
    "detector_failed": "what",
    "source_failed": "what",
    "loop_failed": "loop",
    "postponed": "detail",
    "refused": "reason",
    "disconnected": "reason",
    "publish_refused": "reason",
    "campaigns_refused": "reason",
    "policy_refused": "reason",
    "certificate_expired": "what",
}


@pytest.mark.parametrize(("event", "field"), TEXTS.items())
def test_each_fault_says_what_it_was(bench: Bench, event: EventName, field: str) -> None:
    bench.log.emit(
        event, **{name: f"the {name}" for name in ("what", "loop", "detail", "reason", "file", "cut")}
    )
    (found,) = bench.log.all()
    assert (found.where, found.what, found.times) == (event, f"the {field}", 1)
    tells_anybody = event in {"detector_failed", "source_failed", "loop_failed"}
    assert bench.told("cn") == [(event, f"the {field}" if tells_anybody else "")]


def test_a_fault_without_a_word_is_told_as_that(bench: Bench) -> None:
    bench.log.emit("source_failed")
    bench.log.emit("loop_failed", loop=None)
    assert [(one.where, one.what) for one in bench.log.all()] == [("source_failed", ""), ("loop_failed", "")]


def test_eight_are_kept_and_two_hundred_characters_of_each() -> None:
    assert (FAULTS_MAX, TEXT_MAX) == (8, 200)


@pytest.mark.parametrize("event", ["fired", "sealed", "dropped", "progress", "connected", "undelivered"])
def test_what_is_no_fault_is_not_kept(bench: Bench, event: EventName) -> None:
    bench.log.emit(event, what="x", reason="y", region="cn")
    assert bench.log.all() == ()


def test_a_journal_that_can_not_say_whose_clip_it_is_tells_nobody(bench: Bench) -> None:
    def broken(_clip: str) -> str | None:
        raise JournalError("can't be read")

    bench.log.emit("disk_failed", clip="of-cn", what="x")
    with pytest.raises(JournalError):
        bench.log.of_region("cn", broken)


def test_many_threads_lose_nothing(bench: Bench) -> None:
    def tell() -> None:
        for _ in range(200):
            bench.log.emit("keys_failed", clip="", what="away")

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.times for one in bench.log.all()] == [800]
