"""What firmware says reaches the loops: told once, asked anew, and put together with configuration and journal."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from fsd_agent.daemon.config import UplinkConfig
from fsd_agent.daemon.link_policy import BURST_NS, LinkPolicy, open_link_policy
from fsd_agent.daemon.parts import Parts
from fsd_agent.pipeline.surroundings import LOOK_EVERY_NS, SurroundingsWatch
from fsd_agent.records.byte_limits import NO_LIMITS
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip
from fsd_agent.records.link_rule import NOTHING, LinkRule, Links
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import Waits
from fsd_agent.records.region import Hold, HoldReason, Route
from fsd_agent.rules.uplink.power import Phase
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.firmware import HOME, ScriptedFirmware
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.regions import sample_region
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.contract import VehicleDescription
from fsd_firmware.surroundings import LinkKind, LinkState, PowerState, unknown

S = 1_000_000_000
OFF = replace(HOME, power=PowerState(ignition_on=False, drain_left_ns=60 * S))
CELLULAR = replace(HOME, link=LinkState(LinkKind.CELLULAR, metered=True, roaming=False))


class Bench:
    def __init__(self, config: UplinkConfig | None = None) -> None:
        self.firmware = ScriptedFirmware(VehicleDescription((), Catalogue(()), None), (), registration=None)
        self.journal, self.clock, self.events = MemoryJournal(), ManualClock(), RememberedEvents()
        self.current: Route | Hold = sample_region().route()
        self.policy = self._open(config or UplinkConfig())

    def _open(self, config: UplinkConfig) -> LinkPolicy:
        parts = SimpleNamespace(
            firmware=self.firmware,
            journal=self.journal,
            clock=self.clock,
            events=self.events,
            residence=self,
        )
        return open_link_policy(config, cast("Parts", parts))

    def add(self, state: ClipState) -> None:
        self.journal.accept(
            (), (ClipRow("0" * 32, "cn", Purpose.SAFETY, ClipState.STAGED, 0, 1, 0, (), (), 0),)
        )
        if state is not ClipState.STAGED:
            self.journal.captured("0" * 32, cut=False)
        if state is ClipState.SEALED:
            self.journal.sealed(SealedClip("0" * 32, "cn", 1, bytes(32)))

    def switch_off(self) -> Phase:
        self.firmware.around = replace(OFF, link=self.firmware.around.link)
        self.clock.advance(LOOK_EVERY_NS)
        return self.policy.power.phase


def test_it_is_asked_twice_a_second_and_what_is_new_is_told_once() -> None:
    clock, events = ManualClock(), RememberedEvents()
    firmware = ScriptedFirmware(VehicleDescription((), Catalogue(()), None), (), registration=None)
    watch = SurroundingsWatch(firmware.surroundings, clock, events)
    assert watch.now == HOME
    firmware.around = unknown("link.json: not JSON")
    clock.advance(LOOK_EVERY_NS - 1)
    assert watch.now == HOME
    clock.advance(1)
    assert watch.now == unknown("link.json: not JSON")
    assert watch.trouble == "link.json: not JSON"
    for _ in range(3):
        clock.advance(LOOK_EVERY_NS)
        assert watch.now.fault
    firmware.around = OFF
    clock.advance(LOOK_EVERY_NS)
    assert (watch.now, watch.trouble) == (OFF, "")
    firmware.around = HOME
    clock.advance(LOOK_EVERY_NS)
    assert watch.now == HOME
    wifi = {"kind": "wifi", "metered": False, "roaming": False, "reason": ""}
    lost = {"kind": "unknown", "metered": True, "roaming": True, "reason": "link.json: not JSON"}
    assert events.of("link") == [wifi, lost, wifi], "the ignition is no news of the link"


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        (None, Phase.ASLEEP),
        (ClipState.STAGED, Phase.DRAINING),
        (ClipState.CAPTURED, Phase.DRAINING),
        (ClipState.SEALED, Phase.DRAINING),
    ],
)
def test_a_window_is_used_while_there_is_something_to_do(state: ClipState | None, phase: Phase) -> None:
    bench = Bench()
    if state is not None:
        bench.add(state)
    assert bench.switch_off() is phase


def test_a_clip_that_may_not_go_keeps_no_window_open() -> None:
    bench = Bench()
    bench.add(ClipState.SEALED)
    bench.firmware.around = CELLULAR
    assert bench.policy.gate.look(NO_LIMITS, 0).links == {Links.ANY}
    assert bench.switch_off() is Phase.ASLEEP


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        (ClipState.STAGED, Phase.DRAINING),
        (ClipState.CAPTURED, Phase.ASLEEP),
        (ClipState.SEALED, Phase.ASLEEP),
    ],
)
def test_on_hold_nothing_is_finished_or_sent(state: ClipState, phase: Phase) -> None:
    bench = Bench()
    bench.add(state)
    bench.current = Hold(HoldReason.NO_REGISTRATION, "")
    assert bench.switch_off() is phase


def test_a_journal_that_cannot_say_what_is_left_uses_the_window() -> None:
    bench = Bench()
    bench.journal.broken = True
    assert bench.switch_off() is Phase.DRAINING


def test_asleep_nothing_may_go() -> None:
    bench = Bench()
    assert bench.switch_off() is Phase.ASLEEP
    assert bench.policy.gate.look(NO_LIMITS, 0) == NOTHING
    assert bench.policy.gate.waits(LinkRule()) is Waits.IGNITION_OFF


def test_the_owners_limits_and_rates_are_those_of_the_configuration() -> None:
    config = UplinkConfig(metered_bytes_per_day=0, wifi_bytes_per_s=0, cellular_bytes_per_s=1000)
    bench = Bench(config)
    gate = bench.policy.gate
    assert gate.look(NO_LIMITS, 0).links == set(Links)
    assert gate.charge(LinkRule(), 5000, 0)
    assert gate.due_ns(small=False) == 0, "Wi-Fi has no rate"
    bench.firmware.around = CELLULAR
    bench.clock.advance(LOOK_EVERY_NS)
    assert gate.look(NO_LIMITS, 0) == NOTHING
    assert gate.waits(LinkRule(Links.ANY, urgent=True)) is Waits.BUDGET_DAY
    for kind in (LinkKind.CELLULAR, LinkKind.UNKNOWN):
        bench.firmware.around = replace(HOME, link=LinkState(kind, metered=False, roaming=False))
        bench.clock.advance(LOOK_EVERY_NS)
        now_ns = bench.clock.monotonic_ns() + 3600 * S
        gate.look(NO_LIMITS, now_ns)
        before = max(gate.due_ns(small=False), now_ns - BURST_NS)
        assert gate.charge(LinkRule(), 5000, now_ns)
        assert gate.due_ns(small=False) == before + 5 * S


def test_faults_of_firmware_and_of_giving_back_are_told() -> None:
    bench = Bench()
    assert bench.policy.trouble == ""
    bench.firmware.around = unknown("link.json: damaged")
    bench.clock.advance(LOOK_EVERY_NS)
    assert bench.policy.trouble == "link.json: damaged"
