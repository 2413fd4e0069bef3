"""Plays schedules in a world and says what was wrong with each.

What a vehicle may do is modelled here from the moves alone: the region that serves the jurisdiction of the document
that firmware holds, by the policies as their operators made them. That the agent thinks so too is not assumed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fsd_agent.rules.residency.egress import Destination
from hil_tests.wire import fleet
from hil_tests.wire.at_rest import wrong_in_spool, wrong_in_stores, wrong_in_told
from hil_tests.wire.brokers import FUTURE_FROM, FUTURE_UNTIL, Fault, port_of
from hil_tests.wire.cars import Car
from hil_tests.wire.moves import Move, Schedule
from hil_tests.wire.watch import Phase, Watch
from hil_tests.wire.world import World

DELIVER_S = 2.0
"""The most that one move spends on delivery; a healthy one needs a twentieth."""
HOLDS = "holds"


@dataclass(slots=True)
class Outcome:
    """What a schedule came to."""

    wrong: list[str] = field(default_factory=list)
    clips: int = 0
    delivered: int = 0
    told: int = 0
    """Firings that regions were told of by themselves."""
    connections: int = 0
    log: list[str] = field(default_factory=list)
    """What was done and what the vehicle said."""


class Player:
    """Plays one schedule."""

    def __init__(
        self, world: World, car: Car, watch: Watch, plan: Schedule, *, broken: str, knocked: bool
    ) -> None:
        """``broken``: see :mod:`.life`. ``knocked``: the egress list is said to be on and isn't."""
        self._world, self._car, self._watch, self._plan = world, car, watch, plan
        self._broken, self._knocked = broken, knocked
        self._data = car.data
        self._outcome = Outcome()
        self._documents: list[tuple[bytes | None, frozenset[str], int]] = [(None, frozenset(), 0)]
        self._accepted = 0
        """The newest serial that the vehicle has seen."""
        self._versions = dict.fromkeys(fleet.REGIONS, fleet.FIRST_VERSION)
        self._right: dict[str, bytes] = {}
        """By region, the policy file as its operator wants it."""
        self._may: frozenset[str] = frozenset()
        self._lingers: frozenset[str] = frozenset()
        self._in_force: tuple[tuple[str, int], ...] | None = None
        self._serial = 0
        self._hijacks: dict[str, dict[str, tuple[str, int]]] = {"car": {}, "net": {}}
        self._names: dict[str, str] = {}
        self._offset_s = 0
        self._clips: dict[str, tuple[str, str]] = {}
        self._checked: set[str] = set()

    def play(self) -> Outcome:
        """From a clean vehicle to the end."""
        already = len(self._watch.wrong)
        self._reset()
        self._start()
        for move in self._plan.moves:
            self._do(move)
            self._look()
            self._outcome.wrong += wrong_in_spool(self._world, self._data, self._own(), self._checked)
            if len(self._watch.wrong) > already or self._outcome.wrong:
                break
        self._end()
        self._outcome.wrong += wrong_in_stores(self._world, self._own())
        self._outcome.told, wrong = wrong_in_told(self._world, self._own())
        self._outcome.wrong += wrong
        self._outcome.wrong += self._watch.wrong[already:]
        self._outcome.clips = len(self._clips)
        self._outcome.delivered = sum(state == "delivered" for _, state in self._clips.values())
        return self._outcome

    # The vehicle

    def _reset(self) -> None:
        world = self._world
        shutil.rmtree(self._data, ignore_errors=True)
        world.clock.set(0)
        world.vehicle.registration.unlink(missing_ok=True)
        for region in fleet.REGIONS:
            self._restore(region)
        self._heal()
        self._world.egress(None)
        self._follow()

    def _start(self) -> None:
        self._hear(self._car.start(self._data, self._broken))

    def _end(self) -> None:
        if self._car.pid:
            self._car.stop()
        self._look()

    def _hear(self, answer: dict[str, Any]) -> None:
        if "failed" in answer:
            self._outcome.log.append(f"  refuses to start: {answer['failed']}")
            return
        self._outcome.log.append(f"  {answer['where']}; {answer['trouble'] or 'no trouble'}")
        self._outcome.connections += answer["connections"]
        for clip_id, (region, state) in answer["clips"].items():
            if clip_id not in self._clips and region not in self._may:
                self._outcome.wrong.append(
                    f"clip {clip_id} was bound to {region}, the vehicle may be of {self._row()}"
                )
            elif clip_id in self._clips and self._clips[clip_id][0] != region:
                self._outcome.wrong.append(f"clip {clip_id} was re-routed to {region}")
            self._clips[clip_id] = (region, state)

    # Moves

    def _do(self, move: Move) -> None:
        self._outcome.log.append(" ".join(map(str, move)))
        kind, *rest = move
        {
            "collect": self._collect,
            "deliver": self._deliver,
            "register": self._register,
            "unregister": self._unregister,
            "rollback": self._rollback,
            "policy": self._policy,
            "hijack": self._hijack,
            "names": self._rename,
            "heal": self._set_right,
            "clock": self._clock,
            "kill": self._kill,
            "restart": self._restart,
            "copy": self._copy,
            "campaigns": self._campaigns,
        }[str(kind)](*rest)  # type: ignore[operator]

    def _collect(self) -> None:
        if self._car.pid:
            self._hear(self._car.ask(do="collect"))

    def _deliver(self, ahead_s: int) -> None:
        if self._car.pid:
            self._hear(self._car.ask(do="deliver", budget_s=DELIVER_S, ahead_s=ahead_s))

    def _register(self, code: str) -> None:
        self._serial += 1
        may = frozenset(region for region, served in fleet.REGIONS.items() if served == code)
        self._document(fleet.registration(self._world.rig, code, self._serial), may, self._serial)

    def _unregister(self, how: str) -> None:
        """What is no document for this vehicle now; each is above every serial before."""
        rig, serial = self._world.rig, self._serial + 1
        good = fleet.registration(rig, "CN", serial)
        text = {
            "missing": None,
            "garbage": b"\xff\x00" * 40,
            "cut": good[: len(good) // 2],
            "vin": good.replace(fleet.CAR.encode(), b"wvwzzz1jz3w386752"),
            "unsigned": fleet.registration(rig, "CN", serial, "unsigned"),
            "forged": fleet.registration(rig, "CN", serial, "forged"),
            "expired": fleet.registration(rig, "CN", serial, "expired"),
        }[how]
        self._document(text, frozenset(), 0)

    def _rollback(self) -> None:
        """The document before comes back: one with a lower serial than the vehicle has seen counts for nothing."""
        self._document(*self._documents[0])

    def _document(self, text: bytes | None, served: frozenset[str], serial: int) -> None:
        """Firmware changes the registration, and the integrator's unit the list; the agent has a second to notice.

        The stepped car is not looked at before it has noticed, so all that its old connection may do is end.
        """
        before, may = self._may, served if serial >= self._accepted else frozenset()
        self._may = may if self._car.at_once else before | may
        self._lingers = before
        path = self._world.vehicle.registration
        if text is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(text)
        self._documents = [*self._documents[-1:], (text, served, serial)]
        if self._car.at_once:
            self._follow()
        if self._car.pid:
            self._hear(self._car.ask(do="deliver", budget_s=0.02, ahead_s=2))
            self._accepted = max(self._accepted, serial)
        self._look()
        self._may, self._lingers = may, frozenset()
        self._follow()

    def _policy(self, fault: str, region: str, other: str) -> None:
        """A push of policy files; the agent looks at them every second, and when it starts."""
        world = self._world
        self._versions[region] += 1
        fleet.push_policy(
            world.vehicle,
            fault,
            (world.regions[region], world.regions[other]),
            (self._policy_text(region), self._policy_text(other)),
            world.addresses[other],
            self._versions[region],
        )
        self._restart()

    def _policy_text(self, region: str) -> bytes:
        text = self._world.policy_texts[region]
        return fleet.policy_at(text, fleet.name_of(region)) if self._plan.named else text

    def _restore(self, region: str) -> None:
        """The operator signs the right policy again, above all that were signed."""
        signed = fleet.signed_policy(
            self._world.regions[region], self._policy_text(region), self._versions[region]
        )
        self._right[region] = signed
        self._world.vehicle.policy(region).write_bytes(signed)

    def _hijack(self, place: str, victim: str, target: str, port: int) -> None:
        self._hijacks[place][victim] = (target, port)
        self._world.hijack(place, self._hijacks[place])

    def _rename(self, victim: str, target: str) -> None:
        self._names[victim] = target
        self._world.names(self._names)

    def _set_right(self) -> None:
        """Addresses, names and policies are as their operators want them again."""
        self._heal()
        changed = [region for region in fleet.REGIONS if not self._is_pristine(region)]
        for region in changed:
            self._versions[region] += 1
            self._restore(region)
        if changed:
            self._restart()

    def _is_pristine(self, region: str) -> bool:
        path = self._world.vehicle.policy(region)
        return path.exists() and path.read_bytes() == self._right[region]

    def _heal(self) -> None:
        self._names.clear()
        self._world.names({})
        for place, where in self._hijacks.items():
            where.clear()
            self._world.hijack(place, {})

    def _clock(self, offset_s: int) -> None:
        self._offset_s = self._world.clock.set(offset_s)

    def _kill(self) -> None:
        if self._car.pid:
            self._car.kill()
        self._start()

    def _restart(self) -> None:
        if self._car.pid:
            self._car.stop()
        self._start()

    def _copy(self, how: str, which: int, region: str) -> None:
        """A sealed file is laid into another compartment, under its own name or over another clip's file."""
        files = fleet.sealed_files(self._data)
        if not files:
            return
        source = files[which % len(files)]
        folder = self._data / "spool" / region / fleet.PURPOSE
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = sorted(folder.glob("*.sealed"))
        target = folder / source.name if how == "same name" or not there else there[which % len(there)]
        if target != source:
            target.write_bytes(source.read_bytes())

    def _campaigns(self, signer: str, region: str, topic: str) -> None:
        """A set for one region, signed by one, published in one; all three alike would be an ordinary push."""
        if len({signer, region, topic}) > 1:
            payload = fleet.signed_campaigns(self._world.regions[signer], region, 2)
            self._world.publish(topic, payload, retain=False)

    # What is allowed, and whether it was kept

    def _follow(self) -> None:
        """The integrator's unit: a new list whenever the registration has changed, from the operators' policies."""
        wanted = tuple(self._listed()) if self._plan.egress and not self._knocked else None
        if wanted == self._in_force:
            return
        self._in_force = wanted
        if wanted is not None:
            self._world.egress(tuple(Destination(*one) for one in wanted))
        else:
            self._world.egress(None)

    def _listed(self) -> Iterable[tuple[str, int]]:
        return [(self._world.addresses[region], fleet.PORT) for region in sorted(self._may)]

    def _own(self) -> dict[str, str]:
        return {clip_id: region for clip_id, (region, _) in self._clips.items()}

    def _row(self) -> str:
        return " or ".join(sorted(self._may)) or HOLDS

    def _left(self) -> frozenset[str]:
        """Regions that the real agent may still bring their own clips to, while it belongs somewhere."""
        if self._car.at_once or not self._may:
            return frozenset()
        return frozenset(region for region, state in self._clips.values() if state != "delivered")

    def _phase(self) -> Phase:
        ports = {fleet.PORT, port_of(Fault.OPEN)}
        if FUTURE_FROM.total_seconds() <= self._offset_s <= FUTURE_UNTIL.total_seconds():
            ports.add(port_of(Fault.FUTURE))
        listed = frozenset(self._listed()) if self._plan.egress else None
        return Phase(self._row(), self._may | self._left(), frozenset(ports), listed, lingers=self._lingers)

    def _look(self) -> None:
        look(self._world, self._watch, self._phase())


def look(world: World, watch: Watch, phase: Phase) -> None:
    """Show the watch what was captured since the last look."""
    for region, packet in world.packets():
        if region:
            watch.arrived(region, packet, phase)
        else:
            watch.left(packet, phase)


def play(
    world: World,
    watch: Watch,
    plan: Schedule,
    *,
    car: Car | None = None,
    broken: str = "",
    knocked: bool = False,
) -> Outcome:
    """Play one schedule, with the world's stepped car unless another is given."""
    return Player(world, car or world, watch, plan, broken=broken, knocked=knocked).play()
