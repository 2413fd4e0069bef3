"""Private key files: made once, durably, for their owner alone, and refused where anybody else could have had them.

A key is at its name only when it is whole and durable: tmp, fsync, link, unlink, fsync of the folder. A link, since that
never replaces a key that is there.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from fsd_agent.adapters.durable import make_folder, settle, sync_folder, write_all
from fsd_agent.ports.spool import SpoolError
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.rules.spool.names import TMP_SUFFIX

KEY_BYTES = 32
PRIVATE_MODE = 0o600


class KeyFileError(VehicleKeyError):
    """A key can't be used; the message names the file, the reason and what to run."""


class NoKeyFileError(KeyFileError):
    """There is no file of that name."""


def read_private(path: Path, size: int | None = None) -> bytes:
    """A private key file, checked for its owner, modes and (if given) size.

    Raises :class:`KeyFileError`: :class:`NoKeyFileError` where there is none. By descriptor, without a file object: a key is read
    for each clip.
    """
    try:
        folder = path.parent.stat()
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            data = os.read(descriptor, 16 * 1024)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise NoKeyFileError(f"{path}: can't be read: {error.strerror}") from error
    except OSError as error:
        raise KeyFileError(f"{path}: can't be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{path}: is not a regular file")
    if status.st_mode & 0o077:
        raise KeyFileError(f"{path}: others may read or change it; run: chmod 600 {path}")
    if folder.st_mode & 0o022:
        raise KeyFileError(f"{path.parent}: others may put keys here; run: chmod 700 {path.parent}")
    if size is not None:
        check_size(path, data, size)
    return data


def check_size(path: Path, data: bytes, size: int) -> None:
    """Raise :class:`KeyFileError` for a key of another length."""
    if len(data) != size:
        raise KeyFileError(f"{path}: {len(data)} bytes, expected {size}")


def write_private(path: Path, data: bytes) -> None:
    """Create a private key file that only its owner can read, durably; never replaces one.

    Raises :class:`KeyFileError`.
    """
    tmp = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TMP_SUFFIX}")
    try:
        make_folder(path.parent)
        for left in path.parent.glob(
            f".{path.name}.*{TMP_SUFFIX}"
        ):  # of a making that was cut off: nobody's key
            left.unlink(missing_ok=True)
        # O_EXCL also refuses a link that someone has laid there; the mode holds from the first moment.
        descriptor = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_MODE)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(tmp, path)
        finally:
            tmp.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise KeyFileError(f"{path}: can't be made: {error.strerror}") from error
    except SpoolError as error:
        raise KeyFileError(f"{path}: can't be made: {error}") from error


def settle_private(folder: Path) -> None:
    """Keys that are in ``folder`` are durable when this returns: a process that was killed may have left them otherwise.

    Raises :class:`KeyFileError`.
    """
    try:
        settle(folder)
    except SpoolError as error:
        raise KeyFileError(str(error)) from error
