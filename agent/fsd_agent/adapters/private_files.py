"""Private key files: made once, durably, for their owner alone, and refused where anybody else could have had them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from fsd_agent.adapters.durable import make_folder, sync_folder
from fsd_agent.ports.spool import SpoolError
from fsd_agent.ports.vehicle_keys import VehicleKeyError

KEY_BYTES = 32
PRIVATE_MODE = 0o600


class KeyFileError(VehicleKeyError):
    """A key can't be used; the message names the file, the reason and what to run."""


def read_private(path: Path, size: int | None = None) -> bytes:
    """A private key file, checked for its owner, modes and (if given) size. Raises :class:`KeyFileError`."""
    try:
        folder = path.parent.stat()
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(16 * 1024)
    except OSError as error:
        raise KeyFileError(f"{path}: can't be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{path}: is not a regular file")
    if status.st_mode & 0o077:
        raise KeyFileError(f"{path}: others may read or change it; run: chmod 600 {path}")
    if folder.st_mode & 0o022:
        raise KeyFileError(f"{path.parent}: others may put keys here; run: chmod 700 {path.parent}")
    if size is not None and len(data) != size:
        raise KeyFileError(f"{path}: {len(data)} bytes, expected {size}")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Create a private key file that only its owner can read, durably; never replaces one.

    Raises :class:`KeyFileError`.
    """
    try:
        make_folder(path.parent)
        # O_EXCL also refuses a link that someone has laid there; the mode holds from the first moment.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        raise KeyFileError(f"{path}: can't be made: {error.strerror}") from error
    except SpoolError as error:
        raise KeyFileError(f"{path}: can't be made: {error}") from error
