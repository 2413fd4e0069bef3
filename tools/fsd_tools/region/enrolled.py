"""What a region knows of its vehicles: ``vehicles/<id>.toml`` in its directory.

Format 1, unknown keys refused::

    format = 1
    vehicle = "car-1"
    device_key_id = "..."       # first 16 hex digits of the key's SHA-256
    device_key = "..."          # base64 of the raw Ed25519 public key that signs the vehicle's manifests
    enrolled = 2026-11-20T10:00:00Z
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from fsd_agent.adapters.durable import write_file
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.registration import RegistrationError, check_vehicle
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir


class EnrolledVehicle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file."""

    format: Literal[1]
    vehicle: str
    device_key_id: str
    device_key: Annotated[str, msgspec.Meta(min_length=44, max_length=44)]
    enrolled: dt.datetime


def save_vehicle(region: RegionDir, vehicle: str, device_key: bytes, now: dt.datetime) -> None:
    """Enrol a vehicle's raw Ed25519 public key; the same key again changes nothing.

    Raises :class:`ToolError` where another key is enrolled under this name: two devices must never share one.
    """
    path = region.vehicle(vehicle)
    known = load_device_key(path)
    if known == device_key:
        return
    if known is not None:
        raise ToolError(
            f"{path}: vehicle {vehicle!r} is enrolled with device key {key_id_of(known)}, this one has "
            f"{key_id_of(device_key)}; if the vehicle's keys were replaced, remove that file first"
        )
    text = (
        f'format = 1\nvehicle = "{vehicle}"\n'
        f'device_key_id = "{key_id_of(device_key)}"\n'
        f'device_key = "{base64.b64encode(device_key).decode()}"\n'
        f"enrolled = {now.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}\n"
    )
    path.parent.mkdir(exist_ok=True)
    write_file(path, [text.encode()])


def load_device_key(path: Path) -> bytes | None:
    """The raw public key in a vehicle's file, None where there is no file; raises :class:`ToolError`."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        vehicle = msgspec.convert(raw, EnrolledVehicle, strict=True)
        key = base64.b64decode(vehicle.device_key, validate=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ToolError(f"{path}: can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError, binascii.Error) as error:
        raise ToolError(f"{path}: {error}") from error
    if vehicle.vehicle != path.stem or key_id_of(key) != vehicle.device_key_id:
        raise ToolError(
            f"{path}: is not about vehicle {path.stem!r}, or its key is not the one that its id names"
        )
    return key


def device_keys(region: RegionDir) -> Callable[[str], bytes | None]:
    """Look up enrolled device keys as receivers need them: read at each call, so a new vehicle counts at once."""

    def find(vehicle: str) -> bytes | None:
        try:
            check_vehicle(vehicle)
        except RegistrationError:
            return None
        return load_device_key(region.vehicle(vehicle))

    return find
