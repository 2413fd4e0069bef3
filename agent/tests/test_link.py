"""The connection, kept up: pauses that grow only while it is of no use, and what follows where the vehicle slept."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.pipeline.link import Link, LinkLimits
from fsd_agent.ports.broker import Acked, Connected, Disconnected
from fsd_agent.testing.broker import MemoryBroker, MemoryConnection
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.region import MemoryRegion

SECOND = 1_000_000_000
LIMITS = LinkLimits()


@dataclass
class Bench:
    """A link to one broker, and a clock that moves when it is told to."""

    server: MemoryBroker = field(default_factory=MemoryBroker)
    clock: ManualClock = field(default_factory=ManualClock)
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection = MemoryConnection({("127.0.0.1", 8883): self.server})
        self.link: Link[str] = Link(self.connection, LIMITS, lambda: 0.999)
        self.route = MemoryRegion("cn", port=8883).route()

    @property
    def dialled(self) -> int:
        return len(self.connection.dialled)

    def step(self) -> None:
        """One turn of the delivering loop; no time passes."""
        now_ns = self.clock.monotonic_ns()
        dead = self.link.keep(self.route, (), now_ns, self.clock.suspended_ns())
        for event in ((dead,) if dead is not None else ()) + self.connection.events(0):
            match event:
                case Connected():
                    self.link.on_connected(event, now_ns)
                case Disconnected():
                    self.reasons.append(event.reason)
                    self.link.on_disconnected(event, now_ns)
                case Acked():
                    self.link.on_acked(event, now_ns)

    def due_in_s(self) -> float:
        return (self.link.next_due_ns(self.clock.monotonic_ns()) - self.clock.monotonic_ns()) / SECOND


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.step()
    return made


def pauses_of(bench: Bench, *, messages: int, connections: int) -> list[float]:
    """Seconds that are waited after each of so many connections, over which the broker takes so many messages each."""
    found = []
    for _ in range(connections):
        for _ in range(messages):
            bench.link.publish("a", "t", b"", retain=False, now_ns=bench.clock.monotonic_ns())
            bench.step()
        bench.server.cut()
        bench.step()
        found.append(bench.due_in_s())
        bench.clock.advance(int(found[-1] * SECOND) + 1)
        bench.step()
        assert bench.link.connected
    return found


def test_short_connections_that_carry_something_are_made_anew_at_once(bench: Bench) -> None:
    first_s = LIMITS.network_retry.first_ns / SECOND
    assert max(pauses_of(bench, messages=LIMITS.useful, connections=12)) <= first_s


def test_short_connections_that_carry_next_to_nothing_are_failing_ones(bench: Bench) -> None:
    pauses = pauses_of(bench, messages=LIMITS.useful - 1, connections=12)
    assert pauses == sorted(pauses)
    assert pauses[-1] > 30
    first_s = LIMITS.network_retry.first_ns / SECOND
    assert pauses_of(bench, messages=LIMITS.useful, connections=1)[0] <= first_s, "and one of use ends that"


def test_a_broker_that_refuses_what_it_is_given_is_a_failing_one(bench: Bench) -> None:
    bench.server.forbid = lambda _topic: True
    pauses = pauses_of(bench, messages=LIMITS.useful, connections=12)
    assert pauses == sorted(pauses)
    assert pauses[-1] > 30


def test_after_a_suspend_it_is_dialled_anew_before_any_time_passes(bench: Bench) -> None:
    bench.server.silent = True
    bench.link.publish("status", "t", b"", retain=False, now_ns=0)
    bench.clock.suspend(LIMITS.suspend_ns)
    bench.step()
    assert (bench.reasons, bench.link.connected, bench.link.in_flight) == (
        ["the vehicle was suspended"],
        False,
        0,
    )
    assert bench.due_in_s() == 0
    bench.step()
    assert (bench.dialled, bench.link.connected) == (2, True)
    bench.step()
    assert bench.dialled == 2, "one suspend is one new connection"


def test_what_is_too_short_to_count_changes_nothing(bench: Bench) -> None:
    for _ in range(3):
        bench.clock.suspend(LIMITS.suspend_ns - 1)
        bench.step()
    assert (bench.dialled, bench.reasons) == (1, [])


def test_what_was_slept_before_the_first_look_does_not_count() -> None:
    bench = Bench()
    bench.clock.suspend(3600 * SECOND)
    bench.step()
    bench.step()
    assert (bench.dialled, bench.reasons) == (1, [])


@pytest.mark.parametrize("refuse", ["", "a stranger"])
def test_a_pause_from_before_the_suspend_is_not_waited_for(bench: Bench, refuse: str) -> None:
    bench.server.refuse, bench.server.unreachable = refuse, True
    bench.server.cut()
    for _ in range(12):
        bench.step()
        bench.clock.advance(int(bench.due_in_s() * SECOND))
    bench.step()
    assert bench.due_in_s() > 30
    bench.server.refuse, bench.server.unreachable = "", False
    bench.clock.suspend(60 * SECOND)
    bench.step()
    assert bench.link.connected


def test_while_a_modem_comes_back_the_pauses_stay_short(bench: Bench) -> None:
    bench.server.unreachable = True
    bench.clock.suspend(60 * SECOND)
    awake_ns = bench.clock.monotonic_ns()
    bench.step()
    pauses = []
    while bench.clock.monotonic_ns() - awake_ns < LIMITS.awake_ns + 10 * SECOND:
        bench.step()
        pauses.append((bench.clock.monotonic_ns() - awake_ns, bench.due_in_s()))
        bench.clock.advance(int(bench.due_in_s() * SECOND))
    early = [pause for at, pause in pauses if at < LIMITS.awake_ns]
    late = [pause for at, pause in pauses if at >= LIMITS.awake_ns]
    assert max(early) <= LIMITS.network_retry.first_ns / SECOND
    assert late == sorted(late)
    assert late[-1] > LIMITS.network_retry.first_ns / SECOND, "and then they grow as ever"


def test_a_broker_that_refuses_us_is_not_asked_every_second_because_we_slept(bench: Bench) -> None:
    bench.clock.suspend(60 * SECOND)
    bench.server.refuse = "a stranger"
    bench.step()
    bench.step()
    assert bench.due_in_s() >= LIMITS.refused_retry.first_ns / 2 / SECOND


def test_the_machines_own_clock_tells_a_suspend_and_no_time_that_was_awake() -> None:
    clock = SystemClock()
    first = clock.suspended_ns()
    assert first >= 0
    for _ in range(1000):
        assert abs(clock.suspended_ns() - first) < LIMITS.suspend_ns
