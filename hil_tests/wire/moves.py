"""Schedules: what may happen to a vehicle, drawn from a seed.

A schedule is plain data, so that it can be printed, cut down and played again; its seed alone gives it again. Every
move makes sense in any state (a copy of a clip that isn't there does nothing), so that any part of a schedule is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from hil_tests.wire import fleet
from hil_tests.wire.brokers import Fault, port_of

Move = tuple[str | int, ...]
REGIONS: Final = tuple(fleet.REGIONS)
CODES: Final = (*fleet.REGIONS.values(), fleet.UNSERVED)
DAY_S: Final = 86_400
CLOCKS_S: Final = (0, -30 * DAY_S, -DAY_S // 24, DAY_S, 4 * 365 * DAY_S, 20 * 365 * DAY_S)
"""Before every certificate; within an hour's slack; tomorrow; after the brokers' but within the authorities'; after
everything."""
AHEAD_S: Final = (0, 2, 45, 4000)
"""Within what the registration is looked at anew; the first retries; a refused peer's first; its longest."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One run of a vehicle, from its first start to the end."""

    seed: int
    egress: bool
    """The egress list is on, and follows the registration as an integrator's unit would make it."""
    named: bool
    """Policies name their broker; without that they give its address."""
    moves: tuple[Move, ...]

    def without(self, at: int, count: int) -> Schedule:
        """A shorter one."""
        return replace(self, moves=self.moves[:at] + self.moves[at + count :])


def schedule(seed: int) -> Schedule:
    """The schedule of a seed."""
    random = Random(seed)
    egress = random.random() < 0.5
    named = not egress and random.random() < 0.5
    code = random.choice(CODES[:3])
    moves: list[Move] = [("register", code)]
    if random.random() < 0.8:
        moves += [("deliver", 0), ("collect",)]
    for _ in range(random.randint(5, 12)):
        move = _move(random, str(code), named=named)
        if move[0] == "register":
            code = str(move[1])
        moves += [move, *_then(random, str(move[0]))]
    if random.random() < 0.5:
        moves += [("heal",), ("deliver", AHEAD_S[-1])]
    return Schedule(seed, egress, named, tuple(_without_stolen_keys(moves)))


def _without_stolen_keys(moves: list[Move]) -> list[Move]:
    """Where a region serves another one's certificate and key, nobody is led there by anything else.

    Whoever has a region's broker key is that region's broker for TLS: a vehicle of *that* region must not come by, or
    it would rightly talk. What is left then is sealing and the egress list, and ``test_walls.py`` shows both.
    """
    if not any(_serves_stolen_key(move) for move in moves):
        return moves
    return [move for move in moves if _serves_stolen_key(move) or not _leads_astray(move)]


def _serves_stolen_key(move: Move) -> bool:
    return move[0] == "hijack" and move[4] == port_of(Fault.SWAPPED)


def _leads_astray(move: Move) -> bool:
    return move[0] in ("hijack", "names") or move[:2] == ("policy", "address")


def _then(random: Random, kind: str) -> list[Move]:
    """What often follows: a fault that nobody runs into shows nothing."""
    deliver = ("deliver", random.choice(AHEAD_S))
    if kind == "register" and random.random() < 0.5:
        return [("deliver", 0), ("collect",)]
    if kind in ("hijack", "names") and random.random() < 0.7:
        # An open connection goes on as it was; the next one is led astray.
        return [("kill",), ("deliver", 0)]
    return [deliver] if random.random() < 0.6 else []


def _move(random: Random, code: str, *, named: bool) -> Move:
    kinds = {
        "collect": 4,
        "register": 4,
        "unregister": 1,
        "rollback": 1,
        "policy": 2,
        "hijack": 6,
        "names": 3 if named else 0,
        "heal": 3,
        "clock": 2,
        "kill": 2,
        "restart": 1,
        "copy": 2,
        "campaigns": 1,
    }
    kind = random.choices(list(kinds), list(kinds.values()))[0]
    return (kind, *_details(random, kind, code))


def _details(random: Random, kind: str, code: str) -> Move:
    """What a move is about."""
    details: dict[str, Callable[[], Move]] = {
        "register": lambda: (random.choice(CODES),),
        "unregister": lambda: (random.choice(("missing", "garbage", "cut", "vin", "unsigned", "forged", "expired")),),
        "policy": lambda: (random.choice(fleet.FAULTS), *random.sample(REGIONS, 2)),
        "hijack": lambda: (random.choice(("car", "net")), *_detour(random, code)),
        "names": lambda: _two(random, _victim(random, code)),
        "clock": lambda: (random.choice(CLOCKS_S),),
        "copy": lambda: (
            random.choice(("same name", "over another")), random.randrange(4), random.choice(REGIONS),
        ),
        "campaigns": lambda: tuple(random.choice(REGIONS) for _ in range(3)),
    }  # fmt: skip
    return details[kind]() if kind in details else ()


def _two(random: Random, victim: str) -> Move:
    return victim, random.choice([region for region in REGIONS if region != victim])


def _victim(random: Random, code: str) -> str:
    """Mostly the region that the vehicle talks to."""
    served = {served: region for region, served in fleet.REGIONS.items()}
    return served[code] if code in served and random.random() < 0.7 else random.choice(REGIONS)


def _detour(random: Random, code: str) -> tuple[str, str, int]:
    """Victim, and the region and port where its packets go; see :func:`_without_stolen_keys`."""
    while True:
        victim, target = _victim(random, code), random.choice(REGIONS)
        fault = random.choice((None, *Fault))
        if fault is None and victim == target:
            continue
        if fault is Fault.SWAPPED and target != victim:
            continue
        return victim, target, fleet.PORT if fault is None else port_of(fault)
