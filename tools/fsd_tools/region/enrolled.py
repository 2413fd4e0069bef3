"""What a region knows of its vehicles: ``vehicles/<id>.toml`` in its directory.

Format 1, unknown keys refused::

    format = 1
    vehicle = "car-1"
    device_key_id = "..."       # first 16 hex digits of the key's SHA-256
    device_key = "..."          # base64 of the raw Ed25519 public key that signs the vehicle's manifests
    enrolled = 2026-11-20T10:00:00Z

    [[former]]                  # none, or keys that came before: what they signed is still taken
    device_key_id = "..."
    device_key = "..."
    until = 2027-02-18T10:00:00Z   # until this moment

A key becomes a former one only by a statement that it signed itself (``wire.rotation``). Clips wait on a vehicle, sealed under
the key of then, and say nothing of when that was; so a former key counts for a time, and not for clips of a time.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from fsd_agent.adapters.durable import write_file
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.registration import RegistrationError, check_vehicle
from fsd_agent.wire.rotation import Rotation, path_between
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir

FORMER_DAYS = 90
"""How long a former key counts: a vehicle that is out of reach for a season still delivers."""

_Key = Annotated[str, msgspec.Meta(min_length=44, max_length=44)]


class _FormerFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    device_key_id: str
    device_key: _Key
    until: Annotated[dt.datetime, msgspec.Meta(tz=True)]


class _VehicleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    vehicle: str
    device_key_id: str
    device_key: _Key
    enrolled: dt.datetime
    former: tuple[_FormerFile, ...] = ()


@dataclass(frozen=True, slots=True)
class FormerKey:
    """Raw public key that a vehicle signed with before."""

    key: bytes
    until: dt.datetime


@dataclass(frozen=True, slots=True)
class EnrolledVehicle:
    """One file."""

    device_key: bytes
    enrolled: dt.datetime
    former: tuple[FormerKey, ...]


def save_vehicle(
    region: RegionDir,
    vehicle: str,
    device_key: bytes,
    now: dt.datetime,
    *,
    rotations: Sequence[Rotation] = (),
    former_days: int = FORMER_DAYS,
) -> None:
    """Enrol a vehicle's raw Ed25519 public key; the same key again changes nothing.

    Another key takes the place of the enrolled one where ``rotations`` lead from that one to it. Raises :class:`ToolError`
    where they don't: two devices must never share a name.
    """
    path = region.vehicle(vehicle)
    known = load_enrolled(path)
    if known is not None and known.device_key == device_key:
        return
    former: tuple[FormerKey, ...] = ()
    if known is not None:
        steps = path_between(rotations, key_id_of(known.device_key), key_id_of(device_key))
        if steps is None or any(one.key == device_key for one in known.former):
            raise ToolError(
                f"{path}: vehicle {vehicle!r} is enrolled with device key {key_id_of(known.device_key)}, this one has "
                f"{key_id_of(device_key)}, and no statement leads from that key to this one; if the vehicle's keys were "
                "replaced, remove that file first"
            )
        until = now + dt.timedelta(days=former_days)
        former = (*known.former, *(FormerKey(one.old_key, until) for one in steps))
    path.parent.mkdir(exist_ok=True)
    write_file(path, [_text(vehicle, device_key, known.enrolled if known else now, former).encode()])


def load_enrolled(path: Path) -> EnrolledVehicle | None:
    """What a vehicle's file says, None where there is no file; raises :class:`ToolError`."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        vehicle = msgspec.convert(raw, _VehicleFile, strict=True)
        entries = [(vehicle.device_key_id, vehicle.device_key)]
        entries += [(one.device_key_id, one.device_key) for one in vehicle.former]
        keys = [base64.b64decode(text, validate=True) for _, text in entries]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ToolError(f"{path}: can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError, binascii.Error) as error:
        raise ToolError(f"{path}: {error}") from error
    if vehicle.vehicle != path.stem or [key_id_of(key) for key in keys] != [key_id for key_id, _ in entries]:
        raise ToolError(
            f"{path}: is not about vehicle {path.stem!r}, or a key is not the one that its id names"
        )
    former = tuple(FormerKey(key, one.until) for key, one in zip(keys[1:], vehicle.former, strict=True))
    return EnrolledVehicle(keys[0], vehicle.enrolled, former)


def load_device_key(path: Path) -> bytes | None:
    """The raw public key that a vehicle signs with now, None where there is no file; raises :class:`ToolError`."""
    known = load_enrolled(path)
    return known.device_key if known is not None else None


def device_keys(region: RegionDir) -> Callable[[str], bytes | None]:
    """Look up the keys that vehicles sign with now."""

    def find(vehicle: str) -> bytes | None:
        return load_device_key(region.vehicle(vehicle)) if is_vehicle(vehicle) else None

    return find


@dataclass(frozen=True, slots=True)
class AcceptedKeys:
    """Device keys as a receiver needs them: read at each call, so that a new vehicle or key counts at once."""

    region: RegionDir
    wall_ns: Callable[[], int]

    def __call__(self, vehicle: str) -> Mapping[str, bytes]:
        """Keys by id whose signatures are taken from ``vehicle``; none where it is not enrolled. Raises :class:`ToolError`."""
        known = load_enrolled(self.region.vehicle(vehicle)) if is_vehicle(vehicle) else None
        if known is None:
            return {}
        keys = [known.device_key]
        if known.former:
            now = dt.datetime.fromtimestamp(self.wall_ns() / 1e9, dt.UTC)
            keys += [one.key for one in known.former if now < one.until]
        return {key_id_of(key): key for key in keys}


def is_vehicle(name: str) -> bool:
    """Whether anything can be stored under a name."""
    try:
        check_vehicle(name)
    except RegistrationError:
        return False
    return True


def _text(vehicle: str, device_key: bytes, enrolled: dt.datetime, former: Sequence[FormerKey]) -> str:
    head = f'format = 1\nvehicle = "{vehicle}"\n{_key_lines(device_key)}enrolled = {_moment(enrolled)}\n'
    tables = [f"\n[[former]]\n{_key_lines(one.key)}until = {_moment(one.until)}\n" for one in former]
    return head + "".join(tables)


def _key_lines(key: bytes) -> str:
    return f'device_key_id = "{key_id_of(key)}"\ndevice_key = "{base64.b64encode(key).decode()}"\n'


def _moment(when: dt.datetime) -> str:
    return f"{when.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
