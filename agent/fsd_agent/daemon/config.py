"""``agent.toml``: the whole configuration of one agent, checked before anything starts.

Relative paths are relative to the file's own folder, so that a configuration can be moved with its vehicle.
Unknown keys are refused: a misspelt limit must not silently become a default.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from fsd_agent.daemon.storage import StorageConfig

Positive = Annotated[int, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class ConfigError(Exception):
    """The configuration can't be used; the message names file, key and reason."""


class FirmwareConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where samples come from."""

    source: Annotated[str, msgspec.Meta(pattern="^drive:.")]
    """``drive:FILE`` replays a recorded drive."""
    registration: str
    """File in which the maker's firmware keeps the vehicle's registration."""
    consent: str = "consent.json"
    """File in which it keeps the user's consent; where there is none, nothing is collected."""
    link: str = "link.json"
    """File in which it keeps which link is up and how long there is power; where there is none, the link counts as metered
    and roaming."""
    speed: Literal["real", "max"] = "real"
    loop: bool = False
    """Start the drive again when it ends; time goes on."""


class TokenConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The PKCS #11 token that holds the vehicle's keys (extra ``pkcs11``)."""

    module: Annotated[str, msgspec.Meta(pattern="^/")]
    """The token's shared library, by its full path: no search path decides what is loaded."""
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    """The token's own name (CKA label of the token)."""
    pin_file: str
    """File with the user PIN, which only its owner can read."""


class VehicleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The vehicle's own keys and region policies, as ``fsdctl vehicle enrol`` lays them down."""

    dir: str
    token: TokenConfig | None = None
    """Leave the table out where the keys are files."""


class SenseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sensing loop."""

    tick_ms: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 12
    """Samples are evaluated in batches of this length: a firing waits for half of it on average and for all of it at
    worst, and half of the CPU time goes by the batch. Not 10, which would alias with CAN periods of 10 ms."""
    ring_seconds: Annotated[int, msgspec.Meta(ge=1, le=120)] = 30
    """How far back a campaign's before-window can reach."""
    ring_max_bytes: Positive = 64_000_000
    """Memory that encoded video may take in the ring."""


class PerceptionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The agent's own detector; leave the table out to use the driving computer's detections alone."""

    package: str
    """A model package folder (``fsdctl model assemble``)."""
    second_package: str | None = None
    """Of another model, that looks at clips beside the first before they are painted: its misses are others."""
    rate_hz: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    min_score: Share = 0.35
    halves: bool = True
    """Look at two half frames: sees smaller persons for twice the time."""
    threads: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1


class VideoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Work on the video of clips: to look who is in it, to paint, to encode."""

    when: Literal["always", "parked"] = "always"
    """``parked``: only while the drive mode is that, or the ignition is off; clips wait until then."""


class CheckConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Models that look at redacted clips before they are sealed; leave the table out for none. Others than those of perception."""

    packages: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=8)]
    """Model package folders: of faces, plates, persons and vehicles."""
    threads: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1


class UplinkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The connection to the region."""

    window: Annotated[int, msgspec.Meta(ge=1, le=100)] = 8
    """Segments that may be unacknowledged."""
    status_every_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """On a metered link statuses come as their own allowance lets them."""
    dscp: Annotated[int, msgspec.Meta(ge=0, le=63)] = 1
    """Marks packets for the car's gateway and the network; 1 is "lower effort" (RFC 8622)."""
    metered_bytes_per_day: Annotated[int, msgspec.Meta(ge=0)] = 100_000_000
    metered_bytes_per_month: Annotated[int, msgspec.Meta(ge=0)] = 1_000_000_000
    """The owner's limits, of days and months of UTC; those of the region's policy count beside them."""
    wifi_bytes_per_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    ethernet_bytes_per_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    cellular_bytes_per_s: Annotated[int, msgspec.Meta(ge=0)] = 500_000
    """How fast clips may go over each kind of link, so that the car's other traffic has room; 0 is as fast as it can. What
    is of no known kind goes as fast as cellular."""


class AgentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module."""

    firmware: FirmwareConfig
    vehicle: VehicleConfig
    storage: StorageConfig
    sense: SenseConfig = SenseConfig()
    perception: PerceptionConfig | None = None
    check: CheckConfig | None = None
    video: VideoConfig = VideoConfig()
    uplink: UplinkConfig = UplinkConfig()


def load_config(path: Path) -> tuple[AgentConfig, Path]:
    """Read and check ``path``; returns the configuration and the folder its relative paths start from.

    Raises :class:`ConfigError`.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    try:
        config = msgspec.convert(raw, AgentConfig, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error
    return config, path.resolve().parent
