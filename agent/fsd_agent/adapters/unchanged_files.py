"""What was made of a file is kept for as long as nothing says that the file has changed.

A file counts as unchanged while it and its folder are the same ones (device and inode), with the same modes and owners, and
the file has the size and both times that it had when it was read. All of that is asked at each call, so a mode that lets others
in, another file under the name, and one that is gone count at once. Two things make it safe to go by times:

- What was changed less than :data:`SETTLED_NS` before it was read is not kept: within the granularity of a file's time (4 ms
  on most file systems, 2 s on FAT) it may be written again and look the same. Nor is what seems to come from the future.
- Nothing is kept for longer than :data:`KEPT_NS`, or over a wall clock that went back: what is written through a mapping
  shows late, and a clock that is set can give two contents one time.

A fault is never kept. What time alone decides about the content is not for here: who asks decides that each time anew.

Threads: any. Two that ask at once may both read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

SETTLED_NS: Final = 5_000_000_000
KEPT_NS: Final = 60_000_000_000
MOST_FILES: Final = 256
"""Beyond this everything is forgotten, and read again when it is asked for: names may come and go."""

T = TypeVar("T")


class _Look(NamedTuple):
    """What the kernel says of a file and of the folder that it is in."""

    device: int
    inode: int
    mode: int
    owner: int
    group: int
    size: int
    modified_ns: int
    changed_ns: int
    folder: tuple[int, int, int, int, int]

    def settled(self, wall_ns: int) -> bool:
        """Whether a change from this moment on would show."""
        return max(self.modified_ns, self.changed_ns) <= wall_ns - SETTLED_NS


class _Known(NamedTuple, Generic[T]):
    look: _Look
    read_ns: int
    """By the monotonic clock."""
    value: T


class UnchangedFiles(Generic[T]):
    """Files of one kind; see the module."""

    def __init__(
        self,
        read: Callable[[Path], T],
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``read`` makes something of a file, and of nothing but the file and its folder.

        ``wall_ns`` is the clock that files get their times from.
        """
        self._read = read
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._newest_wall_ns = 0
        self._known: dict[Path, _Known[T]] = {}

    def get(self, path: Path) -> T:
        """What there is to make of the file as it is now; raises what ``read`` raises."""
        wall_ns, now_ns = self._wall_ns(), self._monotonic_ns()
        if wall_ns < self._newest_wall_ns:
            self._known.clear()
        self._newest_wall_ns = wall_ns
        before, known = _look_at(path), self._known.get(path)
        if known is not None and known.look == before and now_ns - known.read_ns < KEPT_NS:
            return known.value
        self._known.pop(path, None)
        value = self._read(path)
        if before is not None and before.settled(wall_ns) and _look_at(path) == before:
            if len(self._known) >= MOST_FILES:
                self._known.clear()
            self._known[path] = _Known(before, now_ns, value)
        return value


def _look_at(path: Path) -> _Look | None:
    """Now; None where nobody can say."""
    try:
        file, folder = path.stat(), path.parent.stat()
    except OSError:  # Who reads it meets the same fault, and has the words for it
        return None
    return _Look(
        file.st_dev,
        file.st_ino,
        file.st_mode,
        file.st_uid,
        file.st_gid,
        file.st_size,
        file.st_mtime_ns,
        file.st_ctime_ns,
        (folder.st_dev, folder.st_ino, folder.st_mode, folder.st_uid, folder.st_gid),
    )
