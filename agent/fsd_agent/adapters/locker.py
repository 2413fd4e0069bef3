"""Secret files under a folder: as they are, or, where the vehicle has a secure element, wrapped by it.

A wrapped file is ``"FSDWRAP1"`` and what the element made of msgpack ``[name, secret]``. The name is the file's path below
the folder, so that one secret can't be laid down in another's place. A wrapped file without an element, and a plain one
with an element, are refused: neither is read as something that it is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from fsd_agent.adapters.private_files import KeyFileError, check_size, read_private, write_private
from fsd_agent.ports.secure_element import SecureElement
from fsd_agent.ports.vehicle_keys import VehicleKeyError

MAGIC = b"FSDWRAP1"


@dataclass(frozen=True, slots=True)
class Locker:
    """See the module."""

    folder: Path
    element: SecureElement | None

    def write(self, path: Path, secret: bytes) -> None:
        """Create a secret file, durably; never replaces one. Raises :class:`VehicleKeyError`."""
        write_private(path, self.locked(path, secret))

    def locked(self, path: Path, secret: bytes) -> bytes:
        """What the file at ``path`` is to hold. Raises :class:`VehicleKeyError`."""
        if self.element is None:
            return secret
        return MAGIC + self.element.wrap(msgspec.msgpack.encode((self._name(path), secret)))

    def read(self, path: Path, size: int) -> bytes:
        """The secret, of ``size`` bytes. Raises :class:`VehicleKeyError`."""
        data = read_private(path)
        if self.element is None:
            if data.startswith(MAGIC):
                raise KeyFileError(
                    f"{path}: is wrapped by a token; name the token that the vehicle's keys are in"
                )
            check_size(path, data, size)
            return data
        if not data.startswith(MAGIC):
            raise KeyFileError(
                f"{path}: is not wrapped by token {self.element.name!r}; with it nothing else is read"
            )
        try:
            name, secret = msgspec.msgpack.decode(
                self.element.unwrap(data[len(MAGIC) :]), type=tuple[str, bytes]
            )
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise KeyFileError(f"{path}: {error}") from error
        except VehicleKeyError as error:
            raise VehicleKeyError(f"{path}: {error}") from error
        if name != self._name(path) or len(secret) != size:
            raise KeyFileError(
                f"{path}: holds {len(secret)} bytes for {name!r}, expected {size} for {self._name(path)!r}"
            )
        return secret

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()
