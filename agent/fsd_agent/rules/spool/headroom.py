"""How much room the disk has, as one of five levels, and what goes on at each: the order in which the agent degrades.

| level | entered when the room is less than | left when it is at least | what goes on |
| --- | --- | --- | --- |
| ``ample`` | - | - | everything |
| ``tight`` | reserve + free | reserve + 5/4 free | everything; the least valuable clips go until it is left |
| ``scarce`` | reserve + 1/2 free, or the disk is slow | reserve + 3/4 free | as before, but once there is nothing left that may go, firings of low priority are not taken |
| ``none`` | 1/2 reserve | reserve | once there is nothing left that may go, no firing is taken. Events in progress go on in the reserve; what is on board is sealed as far as it fits, and delivered; journal and ledger go on |
| ``broken`` | the disk is read-only or fails | it was written to three times | nothing is collected, and nothing is given up; what is on board stays, and is delivered once that can be recorded again |

Room is what is free on the disk and what the reserve for staging holds, in bytes and in files: a level is entered
when either has too little, and left when both have enough. Between the two bounds nothing changes, so room that goes up
and down a little changes nothing either.

A disk is slow once :data:`LOOKS` writes in a row took longer than ``slow_ns``, and fast again once as many took at most half
of that. Giving clips up does not make it faster, so firings of low priority are not taken at once.

No input or output; a look at the disk is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

from fsd_agent.records.reasons import DropReason
from fsd_agent.records.room import NOTHING, Amount, DiskLook

LOOKS = 3
"""Writes in a row that show that the disk has become slow, fast again, or sound again: one alone may be chance."""


class Level(IntEnum):
    """From best to worst."""

    AMPLE = auto()
    TIGHT = auto()
    SCARCE = auto()
    NONE = auto()
    BROKEN = auto()


@dataclass(frozen=True, slots=True)
class Band:
    """Where one level begins and ends."""

    enter: Amount
    """With less than this it is entered."""
    leave: Amount
    """With at least this it is left."""


@dataclass(frozen=True, slots=True)
class HeadroomLimits:
    """Bounds of the levels; see :func:`headroom_limits`."""

    tight: Band
    scarce: Band
    none: Band
    slow_ns: int


def headroom_limits(reserve: Amount, free: Amount, *, slow_ns: int) -> HeadroomLimits:
    """``reserve``: what is kept for staging; ``free``: what is to be free beside it; see the module."""
    return HeadroomLimits(
        tight=Band(reserve.plus(free), reserve.plus(free.share(5, 4))),
        scarce=Band(reserve.plus(free.share(1, 2)), reserve.plus(free.share(3, 4))),
        none=Band(reserve.share(1, 2), reserve),
        slow_ns=slow_ns,
    )


@dataclass(frozen=True, slots=True)
class Headroom:
    """What is known of the disk by all looks so far; the first one starts from this."""

    space: Level = Level.AMPLE
    """By its room alone: never ``broken``."""
    is_slow: bool = False
    is_broken: bool = False
    against: int = 0
    """Writes in a row that speak against ``is_slow`` as it is, or where it is broken, for its being sound."""

    @property
    def level(self) -> Level:
        """By all of it."""
        if self.is_broken:
            return Level.BROKEN
        return max(self.space, Level.SCARCE) if self.is_slow else self.space


def follow(before: Headroom, look: DiskLook, reserved: Amount, limits: HeadroomLimits) -> Headroom:
    """What is known after one more look; ``reserved`` is what the reserve for staging holds."""
    space = _space(before.space, look.free.plus(reserved), limits)
    if look.is_read_only or look.fault:
        return Headroom(space, before.is_slow, is_broken=True)
    if look.write_ns is None:
        return Headroom(space, before.is_slow, before.is_broken, before.against)
    if before.is_broken:
        sound = before.against + 1
        if sound < LOOKS:
            return Headroom(space, before.is_slow, is_broken=True, against=sound)
        return Headroom(space, before.is_slow)
    is_other = look.write_ns <= limits.slow_ns // 2 if before.is_slow else look.write_ns > limits.slow_ns
    against = before.against + 1 if is_other else 0
    if against < LOOKS:
        return Headroom(space, before.is_slow, against=against)
    return Headroom(space, not before.is_slow)


def _space(before: Level, room: Amount, limits: HeadroomLimits) -> Level:
    for level, band in (
        (Level.NONE, limits.none),
        (Level.SCARCE, limits.scarce),
        (Level.TIGHT, limits.tight),
    ):
        bound = band.leave if before >= level else band.enter
        if bound.beyond(room) != NOTHING:
            return level
    return Level.AMPLE


def lacks(now: Headroom, look: DiskLook, reserved: Amount, limits: HeadroomLimits) -> Amount:
    """What giving clips up should free on the disk: what it takes to leave ``tight``; nothing where there is no need."""
    if now.space is Level.AMPLE or now.is_broken:
        return NOTHING
    return limits.tight.leave.beyond(look.free.plus(reserved))


def refuses(now: Headroom, *, priority: int, scarce_priority: int, can_make_room: bool) -> DropReason | None:
    """Why a new firing is not taken; None where it is.

    ``scarce_priority``: firings of less than this are of low priority. ``can_make_room``: there is something on board
    that may go for it.
    """
    if now.is_broken:
        return DropReason.DISK_FAILED
    if now.level is Level.NONE and not can_make_room:
        return DropReason.DISK_FULL
    is_short = now.is_slow or (now.level is Level.SCARCE and not can_make_room)
    return DropReason.DISK_SCARCE if is_short and priority < scarce_priority else None
