"""What a vehicle was given to trust, as files in its directory (names: :mod:`.key_files`).

A file of public keys is text: one key a line, base64 of the raw 32 bytes; empty lines and what follows a ``#`` do not
count. ``trust/registration.pub`` may have several, so that an authority can change its key; a region's root has one.

These files decide whom the vehicle believes. One that others may change, or that lies in a folder in which others may put
files, is refused: somebody else could have chosen the key.

They are asked for every second, so a file that did not change is not read again: :mod:`.unchanged_files` says when that is.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from fsd_agent.adapters.key_files import VehicleDir
from fsd_agent.adapters.unchanged_files import UnchangedFiles
from fsd_agent.ports.trust_store import LaidPolicy, TrustError
from fsd_agent.wire.curve import ed25519_fault
from fsd_agent.wire.policy import MAX_SIGNED_POLICY_BYTES

MAX_KEYS = 16
MAX_KEY_FILE_BYTES = 8192
MAX_REGIONS = 64
"""Of one vehicle; more files are no region's policies but a mistake, and each is looked at every second."""
_REGION_ID = re.compile(r"[a-z0-9-]{1,32}\Z")

_T = TypeVar("_T")


class TrustFiles:
    """Implements :class:`fsd_agent.ports.trust_store.TrustStore` on a vehicle directory."""

    def __init__(self, directory: Path) -> None:
        self._files = VehicleDir(directory)
        self._authorities = UnchangedFiles(read_public_keys)
        self._roots = UnchangedFiles(_read_root)
        self._policies = UnchangedFiles(_read_policy)

    def authorities(self) -> tuple[bytes, ...]:
        """See the port."""
        return self._authorities.get(self._files.authorities)

    def roots(self) -> Mapping[str, bytes | TrustError]:
        """See the port."""
        return _each(self._roots, self._files.trust, ".root")

    def policies(self) -> Mapping[str, LaidPolicy | TrustError]:
        """See the port."""
        return _each(self._policies, self._files.policies, ".signed")


def read_public_keys(path: Path) -> tuple[bytes, ...]:
    """The raw Ed25519 keys of a file, at least one; raises :class:`TrustError`."""
    text = _read(path, MAX_KEY_FILE_BYTES, guarded=True)
    if len(text) > MAX_KEY_FILE_BYTES:
        raise TrustError(f"{path}: more than {MAX_KEY_FILE_BYTES} bytes")
    keys = tuple(_keys(path, text.decode("ascii", errors="replace")))
    if not keys:
        raise TrustError(f"{path}: holds no key")
    if len(keys) > MAX_KEYS:
        raise TrustError(f"{path}: {len(keys)} keys, at most {MAX_KEYS}")
    return keys


def public_key_text(public_key: bytes, comment: str) -> str:
    """One line of such a file."""
    return f"{base64.b64encode(public_key).decode('ascii')}  # {comment}\n"


def _keys(path: Path, text: str) -> Iterator[bytes]:
    for number, line in enumerate(text.splitlines(), 1):
        spelled = line.partition("#")[0].strip()
        if not spelled:
            continue
        try:
            key = base64.b64decode(spelled, validate=True)
        except (binascii.Error, ValueError) as error:
            raise TrustError(f"{path}: line {number}: not base64: {error}") from error
        fault = ed25519_fault(key)
        if fault is not None:
            raise TrustError(f"{path}: line {number}: {fault}")
        yield key


def _read_root(path: Path) -> bytes:
    keys = read_public_keys(path)
    if len(keys) != 1:
        raise TrustError(f"{path}: {len(keys)} keys, a region has one root")
    return keys[0]


def _read_policy(path: Path) -> LaidPolicy:
    return LaidPolicy(str(path), _read(path, MAX_SIGNED_POLICY_BYTES, guarded=False))


def _each(files: UnchangedFiles[_T], folder: Path, suffix: str) -> dict[str, _T | TrustError]:
    """Of the files that are named after a region, the first :data:`MAX_REGIONS` by name; by region id."""
    found: dict[str, _T | TrustError] = {}
    for region_id in _regions_in(folder, suffix):
        try:
            found[region_id] = files.get(folder / f"{region_id}{suffix}")
        except TrustError as error:
            found[region_id] = error
    return found


def _regions_in(folder: Path, suffix: str) -> list[str]:
    try:
        with os.scandir(folder) as found:
            names = [entry.name for entry in found]
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # Nothing is laid down, nobody trusted
        return []
    stems = (name.removesuffix(suffix) for name in names if name.endswith(suffix))
    return sorted(stem for stem in stems if _REGION_ID.match(stem))[:MAX_REGIONS]


def _read(path: Path, most: int, *, guarded: bool) -> bytes:
    """The file, cut off one byte beyond ``most``; ``guarded``: refused where others may change it."""
    try:
        folder = path.parent.stat()
        # Opening a pipe would wait for its writer, for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise TrustError(f"{path}: is not a regular file")
            data = file.read(most + 1)
    except OSError as error:
        raise TrustError(f"{path}: can't be read: {error.strerror}") from error
    if guarded and status.st_mode & 0o022:
        raise TrustError(f"{path}: others may change it; run: chmod 644 {path}")
    if guarded and folder.st_mode & 0o022:
        raise TrustError(f"{path.parent}: others may put keys here; run: chmod 700 {path.parent}")
    return data
