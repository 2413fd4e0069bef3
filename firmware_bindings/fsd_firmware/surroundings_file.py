"""The surroundings as a file that a bench's firmware writes: JSON (RFC 8259), at most 4 KiB, replaced whole.

Version 1, unknown members refused::

    {"v": 1,
     "link": {"kind": "cellular", "metered": true, "roaming": false},
     "power": {"ignition": "off", "since_boot_s": 5234.5, "drain_s": 120}}

What is left out is taken carefully: a link that does not say is metered, and roaming where it is cellular or of no known
kind; without ``power`` the ignition is on. ``since_boot_s`` is on the clock of the computer's start that also counts
while it is suspended (CLOCK_BOOTTIME). A time on it that has not come yet is of an earlier start: then nothing that the
file says counts.

When the agent gives the drain window back, ``{"v": 1, "since_boot_s": 5234.5}`` is written beside it, as
``<name>.given-back``: it names the window that it is about.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from fsd_firmware.surroundings import POWERED, LinkKind, LinkState, PowerState, Surroundings, unknown

MAX_BYTES: Final = 4096
_S: Final = 1_000_000_000
_MAY_ROAM: Final = frozenset({LinkKind.CELLULAR, LinkKind.UNKNOWN})
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=2**31)]


class SurroundingsError(ValueError):
    """Bytes that are no such document; the message names the member and the reason."""


class LinkFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``link``."""

    kind: LinkKind = LinkKind.UNKNOWN
    metered: bool = True
    roaming: bool | None = None


class PowerFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``power``."""

    ignition: Literal["on", "off"]
    since_boot_s: _Seconds = 0.0
    """Of the ignition being off."""
    drain_s: _Seconds = 0.0
    """How long from then on the agent may go on."""


class SurroundingsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole file."""

    v: Literal[1]
    link: LinkFile = LinkFile()
    power: PowerFile | None = None


class _GivenBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: Literal[1]
    since_boot_s: float


def boot_ns() -> int:
    """Nanoseconds since the computer was started, suspended or not."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def encode_surroundings(file: SurroundingsFile) -> bytes:
    """The document; raises :class:`SurroundingsError` if it would be refused."""
    data = msgspec.json.encode(file) + b"\n"
    _decode(data)
    return data


def decode_surroundings(data: bytes, now_boot_ns: int) -> Surroundings:
    """What the document says at a moment of the boot clock; raises :class:`SurroundingsError`."""
    file = _decode(data)
    link = file.link
    roaming = link.roaming if link.roaming is not None else link.kind in _MAY_ROAM
    return Surroundings(LinkState(link.kind, link.metered, roaming), _power(file.power, now_boot_ns))


def read_surroundings(path: Path) -> Surroundings:
    """The file as it is now; the careful answer, with the reason, where it can't be used."""
    try:
        with path.open("rb") as file:
            return decode_surroundings(file.read(MAX_BYTES + 1), boot_ns())
    except OSError as error:
        return unknown(f"{path}: {error.strerror}")
    except SurroundingsError as error:
        return unknown(f"{path}: {error}")


def given_back_path(path: Path) -> Path:
    """Where it is written that the window of the file at ``path`` was given back."""
    return path.with_name(f"{path.name}.given-back")


def write_given_back(path: Path) -> None:
    """Write that the window which the file at ``path`` speaks of is not needed any more. Raises ``OSError``.

    A file that speaks of none has nothing to be given back.
    """
    with path.open("rb") as file:
        try:
            power = _decode(file.read(MAX_BYTES + 1)).power
        except SurroundingsError:
            return
    if power is None or power.ignition == "on":
        return
    target = given_back_path(path)
    new = target.with_name(f".{target.name}.new")
    new.write_bytes(msgspec.json.encode(_GivenBack(1, power.since_boot_s)) + b"\n")
    new.replace(target)


def _decode(data: bytes) -> SurroundingsFile:
    if len(data) > MAX_BYTES:
        raise SurroundingsError(f"more than {MAX_BYTES} bytes")
    try:
        return msgspec.json.decode(data, type=SurroundingsFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SurroundingsError(str(error)) from error


def _power(power: PowerFile | None, now_boot_ns: int) -> PowerState:
    if power is None or power.ignition == "on":
        return POWERED
    since_ns = round(power.since_boot_s * _S)
    if since_ns > now_boot_ns:
        raise SurroundingsError("power.since_boot_s: has not come yet; the file is of an earlier start")
    left_ns = since_ns + round(power.drain_s * _S) - now_boot_ns
    return PowerState(ignition_on=False, drain_left_ns=max(0, left_ns))
