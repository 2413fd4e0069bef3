"""The one home of durable files.

Invariants
- A file is at its final name only when all of it is on the medium: tmp, write, fsync, rename, fsync of the folder. But for
  those of :func:`lay_file`, each of which somebody else knows by its hash.
- When :func:`write_file`, :func:`remove` or :func:`make_folder` returns, a power cut can't undo it.
- What a process that was killed has left is seen by the next one, and may not be on the medium: who builds upon a name that
  was there already calls :func:`settle` first.
- A write that fails leaves nothing half-written and the earlier file of that name intact.

"Full" is ENOSPC (space or inodes), EDQUOT (quota) and EFBIG (a process' file size limit): freeing something
helps against each. It becomes :class:`SpoolFullError`; every other fault :class:`SpoolError`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from fsd_agent.adapters.write_out import begin_write_out
from fsd_agent.ports.spool import SpoolError, SpoolFullError
from fsd_agent.rules.spool.names import TMP_SUFFIX, is_tmp

FILE_MODE = 0o600
FOLDER_MODE = 0o700
GATHER_BYTES = 512 << 10
"""Of a file's parts are written at a time: few system calls, and still in the cache of whoever made them."""
GATHER_PARTS = 512
"""At most, whatever their size: the kernel takes 1,024 in one call."""
_Part = bytes | memoryview
_Parts = Sequence[_Part]
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn ``OSError`` about ``path`` into the port's errors."""
    try:
        yield
    except OSError as error:
        kind = SpoolFullError if error.errno in _FULL else SpoolError
        raise kind(f"{path}: {error.strerror or error}") from error


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Every byte of ``data``; the kernel may take less at a time, above all on a full disk."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_at(fd: int, offset: int, length: int) -> bytes:
    """``length`` bytes from ``offset``; fewer only at the end of the file."""
    parts: list[bytes] = []
    while length > 0 and (part := os.pread(fd, length, offset)):
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def write_file(path: Path, chunks: Iterable[_Part]) -> int:
    """Put ``chunks`` at ``path`` durably, replacing what was there; size in bytes.

    The folder must exist. Raises :class:`SpoolFullError`, :class:`SpoolError`, and whatever ``chunks`` raises;
    then only the earlier file, if any, is there.
    """
    fd, size = _place(path, _gathered(chunks), sync=True)
    os.close(fd)
    sync_folder(path.parent)
    return size


def lay_file(path: Path, chunks: Iterable[_Part]) -> int:
    """Put ``chunks`` at ``path``, whole, but not durably yet; a descriptor for :func:`sync_laid`. Raises as :func:`write_file`.

    Renamed before the first sync, so that the medium is waited for once: with the contents of a file that is new, file systems
    make its name durable too. A power cut may leave a part of it under this name, so that has to mean nothing by itself.
    """
    return _place(path, _gathered(chunks), sync=False)[0]


def sync_laid(path: Path, fd: int) -> None:
    """When this returns, what :func:`lay_file` has laid at ``path`` survives a power cut. Closes ``fd`` in any case."""
    with translated(path):
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    sync_folder(path.parent)


def settle_file(path: Path) -> None:
    """When this returns, what is at ``path`` is durable, and is read from the medium; nothing happens where nothing is.

    From the medium, because after an fsync that failed the kernel may keep in memory, as clean, what the medium never got.
    """
    with translated(path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
    sync_folder(path.parent)


def _place(path: Path, batches: Iterable[_Parts], *, sync: bool) -> tuple[int, int]:
    """(open descriptor, size in bytes) of a file that is whole at its name; its folder is not synced."""
    tmp = f"{path.parent}/.{path.name}.{secrets.token_hex(4)}{TMP_SUFFIX}"
    with translated(path):
        fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        size = _fill(fd, path, batches)
        with translated(path):
            if sync:
                os.fsync(fd)
            os.replace(tmp, path)  # noqa: PTH105 - by text, as it was made: a path is made for each clip
    except BaseException:
        # Also for a cancelled or interrupted put: the space is wanted now, not at the next start.
        os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(tmp)  # noqa: PTH108 - see above
        raise
    return fd, size


def _fill(fd: int, path: Path, batches: Iterable[_Parts]) -> int:
    """Write. Errors of ``batches`` itself are the caller's and pass as they are."""
    size = 0
    for parts in batches:
        with translated(path):
            written = _write_parts(fd, parts)
        # The medium works on these while the next ones are made, and the fsync finds little left to do.
        begin_write_out(fd, size, written)
        size += written
    return size


def _gathered(chunks: Iterable[_Part]) -> Iterator[list[_Part]]:
    parts: list[_Part] = []
    count = 0
    for chunk in chunks:
        parts.append(chunk)
        count += len(chunk)
        if count >= GATHER_BYTES or len(parts) >= GATHER_PARTS:
            yield parts
            parts, count = [], 0
    if parts:
        yield parts


def _write_parts(fd: int, parts: _Parts) -> int:
    """Every byte of them; how many."""
    written = os.writev(fd, parts)
    count = sum(map(len, parts))
    if written < count:
        write_all(fd, b"".join(parts)[written:])
    return count


def remove(path: Path) -> bool:
    """Unlink durably; False when there was nothing."""
    with translated(path):
        try:
            path.unlink()
        except FileNotFoundError:
            return False
    sync_folder(path.parent)
    return True


def make_folder(path: Path) -> None:
    """Create ``path`` and its missing parents durably.

    Folders that are there are made durable all the same, as far up as we could have made them: whoever did may have been
    killed before the sync.
    """
    if not path.parent.is_dir() or _could_have_made(path.parent):
        make_folder(path.parent)
    try:
        with translated(path):
            path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except SpoolError:
        if path.exists():
            raise SpoolError(f"{path}: is not a folder") from None
        raise
    sync_folder(path.parent)


def _could_have_made(path: Path) -> bool:
    """Not where we can't write, and not where a file system is mounted: that is no name on its own medium."""
    above = path.parent
    return path != above and os.access(above, os.W_OK) and path.stat().st_dev == above.stat().st_dev


def settle(folder: Path) -> None:
    """When this returns, every name that is in ``folder`` is durable, and the folder itself; it is made where it is missing."""
    make_folder(folder)
    sync_folder(folder)


def sync_folder(path: Path) -> None:
    """When this returns, names made, changed and removed in ``path`` survive a power cut."""
    with translated(path):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def sweep(folder: Path) -> int:
    """Remove what interrupted writes left in ``folder``; how many. Only while nobody writes there."""
    with translated(folder):
        with os.scandir(folder) as found:
            names = [entry.name for entry in found if is_tmp(entry.name)]
        for name in names:
            (folder / name).unlink(missing_ok=True)
    if names:
        sync_folder(folder)
    return len(names)
