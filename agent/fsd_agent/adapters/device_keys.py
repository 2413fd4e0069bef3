"""The device's signing key, the one that is prepared to come after it, and the statements between them.

A key is a file, or a pair in a secure element of which the file holds the public half. Rotating is three durable steps, each
of which may be cut off and repeated:

1. ``begin``: the next key is made and kept beside the present one; then the statement, signed by both, is kept. From now
   on the vehicle can show the next key to regions and registrars. It signs with the present one.
2. Regions and the registrar are told. The vehicle goes by documents for either key.
3. ``commit``: one rename puts the next key in the place of the present one.

An agent that runs goes on with the key that it started with; what it signs is accepted by regions for as long as they
list that key as a former one. So a pair in an element is destroyed not at the commit but when the next rotation begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fsd_agent.adapters.durable import make_folder, write_file
from fsd_agent.adapters.private_files import (
    KEY_BYTES,
    KeyFileError,
    read_private,
    settle_private,
    write_private,
)
from fsd_agent.adapters.vehicle_dir import VehicleDir
from fsd_agent.ports.secure_element import SecureElement
from fsd_agent.ports.spool import SpoolError
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.rotation import (
    MAX_ROTATION_BYTES,
    Rotation,
    RotationError,
    decode_rotation,
    sign_rotation,
)

SUFFIX = ".rotation"


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A raw Ed25519 public key, and what signs with its private half."""

    public_key: bytes
    sign: Callable[[bytes], bytes]

    @property
    def key_id(self) -> str:
        """Its name everywhere."""
        return key_id_of(self.public_key)


class DeviceKeys:
    """See the module. Any thread may read; one at a time may change. Raises ``VehicleKeyError``."""

    def __init__(self, files: VehicleDir, element: SecureElement | None) -> None:
        self._files = files
        self._element = element
        self._known: dict[str, Rotation] = {}
        self._path = files.device_key if element is None else files.device_token
        self._next = self._path.with_name(f"device.next{self._path.suffix}")

    def current(self) -> DeviceKey:
        """The key that signs."""
        self._check_home()
        return self._load(self._path)

    def following(self) -> DeviceKey | None:
        """The key that is prepared to come after it; None where no rotation is under way."""
        return self._load(self._next) if self._next.exists() and self._statement() is not None else None

    def newest(self) -> DeviceKey:
        """The key that regions and registrars are to know: the next one where it is prepared."""
        return self.following() or self.current()

    def create(self) -> None:
        """Make the first key, where there is none."""
        self._check_home()
        if not self._path.exists():
            self._make(self._path)
        else:
            settle_private(self._files.keys)

    def begin(self, wall_ns: int) -> Rotation:
        """Step 1; again, the same statement."""
        current = self.current()
        if not self._next.exists():
            self._forget_former(current)
            self._make(self._next)
        made = self._statement()
        if made is not None:
            settle_private(self._files.keys)
            settle_private(self._files.rotations)
            return made
        following = self._load(self._next)
        statement = sign_rotation(
            current.public_key, following.public_key, wall_ns, sign_old=current.sign, sign_new=following.sign
        )
        try:
            make_folder(self._files.rotations)
            write_file(self._files.rotations / f"{following.key_id}{SUFFIX}", [statement.data])
        except SpoolError as error:
            raise KeyFileError(str(error)) from error
        return statement

    def commit(self) -> DeviceKey:
        """Step 3; the key that signs from now on. Nothing happens where no rotation is under way."""
        if self.following() is not None:
            try:
                self._next.replace(self._path)
            except OSError as error:
                raise KeyFileError(f"{self._path}: can't be replaced: {error.strerror}") from error
        settle_private(self._path.parent)
        return self.current()

    def rotations(self) -> tuple[Rotation, ...]:
        """Every statement, by the moment it was made. Read anew at each call, verified once."""
        try:
            paths = sorted(self._files.rotations.glob(f"*{SUFFIX}"))
            for path in paths:
                if path.name not in self._known:
                    with path.open("rb") as file:
                        self._known[path.name] = decode_rotation(file.read(MAX_ROTATION_BYTES + 1))
        except OSError as error:
            raise KeyFileError(f"{error.filename}: can't be read: {error.strerror}") from error
        except RotationError as error:
            raise KeyFileError(f"{path}: {error}") from error
        return tuple(sorted((self._known[path.name] for path in paths), key=lambda one: one.wall_ns))

    def _statement(self) -> Rotation | None:
        """The one from the present key to the next."""
        old, new = self._load(self._path).public_key, self._load(self._next).public_key
        return next((one for one in self.rotations() if (one.old_key, one.new_key) == (old, new)), None)

    def _check_home(self) -> None:
        """Files and a token are never taken for each other: a token that was forgotten must not be replaced by a file."""
        if self._element is None and self._files.device_token.exists():
            raise KeyFileError(
                f"{self._files.device_token}: this vehicle's keys are in a token; name it: --token-module, "
                "--token-label and --token-pin-file, or [vehicle.token] in agent.toml"
            )
        if self._element is not None and self._files.device_key.exists():
            raise KeyFileError(
                f"{self._files.device_key}: this vehicle's keys are files, not in token {self._element.name!r}"
            )

    def _make(self, path: Path) -> None:
        if self._element is None:
            write_private(path, Ed25519PrivateKey.generate().private_bytes_raw())
        else:
            write_private(path, self._element.create_device_key())

    def _load(self, path: Path) -> DeviceKey:
        data = read_private(path, KEY_BYTES)
        if self._element is None:
            key = Ed25519PrivateKey.from_private_bytes(data)
            return DeviceKey(key.public_key().public_bytes_raw(), key.sign)
        element = self._element
        if not element.has_device_key(data):
            raise KeyFileError(f"{path}: device key {key_id_of(data)} is not in token {element.name!r}")
        return DeviceKey(data, lambda message: element.sign(data, message))

    def _forget_former(self, current: DeviceKey) -> None:
        if self._element is not None:
            for one in self.rotations():
                if one.old_key != current.public_key:
                    self._element.destroy_device_key(one.old_key)
