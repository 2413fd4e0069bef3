"""A disk as FUSE asks for it. A handle is the number of its node; locks and the cache are the kernel's own.

Operations that change or sync something are counted, noted and, at one of them, not answered.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")  # mfusepy would take libfuse 2 where it finds one
import mfusepy

from hil_tests.powercut.disk import ROOT, Disk, File, Folder, Link
from hil_tests.powercut.terms import Count, Lie

DISK_BYTES = 1 << 30
BLOCK_BYTES = 4096
WAL = "-wal"
HIDDEN = ".fuse_hidden"


def tell(event: str, **fields: Any) -> None:
    """One JSON line on stdout."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class CuttableDisk(mfusepy.Operations):
    """See the module. One thread serves."""

    use_ns = True

    def __init__(self, disk: Disk, *, stop_at: int, count: Count, lie: Lie, log: IO[str]) -> None:
        """``stop_at``: which operation or step is not answered, from 1 on; 0 for none."""
        self.disk = disk
        self.counts = dict.fromkeys(Count, 0)
        self.serving = threading.Lock()
        """Held while an operation is served; whoever takes it ends the serving."""
        self.stopped = threading.Event()
        """It holds ``serving``, and waits for :attr:`go_on`."""
        self.go_on = threading.Event()
        self._stop_at = stop_at
        self._count = count
        self._lie = lie
        self._log = log
        self._names: dict[int, str] = {ROOT: "/"}
        """Where each node was opened."""
        self._hidden: dict[str, int] = {}
        """Nodes that were unlinked while they were open, under the names that libfuse has given them."""

    def init(self, path: str) -> None:
        """Mounted."""
        tell("ready")

    def getattr(self, path: str | None, fh: int | None = None) -> dict[str, int]:
        """Kind, permissions and size; times are not kept."""
        with self.serving:
            number = self._number(path, fh)
            node = self.disk.nodes[number]
            size = len(node.content) if isinstance(node, File) else 0
            return {
                "st_ino": number,
                "st_mode": self.disk.mode(number),
                "st_size": size,
                "st_nlink": 2 if isinstance(node, Folder) else 1,
                "st_uid": os.getuid(),
                "st_gid": os.getgid(),
                "st_blocks": -(-size // 512),
            }

    def statfs(self, path: str) -> dict[str, int]:
        """Room: of :data:`DISK_BYTES` in all."""
        with self.serving:
            free = max(0, DISK_BYTES - self.disk.size_bytes()) // BLOCK_BYTES
        blocks = DISK_BYTES // BLOCK_BYTES
        return {
            "f_bsize": BLOCK_BYTES,
            "f_frsize": BLOCK_BYTES,
            "f_blocks": blocks,
            "f_bfree": free,
            "f_bavail": free,
            "f_files": 1 << 20,
            "f_ffree": 1 << 19,
            "f_favail": 1 << 19,
            "f_namemax": 255,
        }

    def readdir(self, path: str | None, fh: int) -> Iterator[str]:
        """Names in a folder."""
        with self.serving:
            return iter([".", "..", *self.disk.folder(fh).names])

    def opendir(self, path: str) -> int:
        """A handle of a folder."""
        with self.serving:
            return self._opened(self.disk.find(path), path)

    def open(self, path: str, flags: int) -> int:
        """A handle of a file; the kernel leaves O_TRUNC to us."""
        with self.serving:
            number = self.disk.find(path)
            if flags & os.O_TRUNC:
                self.disk.resize(number, 0)
                self._done("truncate", path)
            return self._opened(number, path)

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        """A new file."""
        with self.serving:
            number = self.disk.add(path, File(stat.S_IMODE(mode)))
            self._done("create", path)
            return self._opened(number, path)

    def read(self, path: str | None, size: int, offset: int, fh: int) -> bytes:
        """Bytes of a file."""
        with self.serving:
            return bytes(self.disk.file(fh).content[offset : offset + size])

    def write(self, path: str | None, data: bytes, offset: int, fh: int) -> int:
        """Bytes to a file."""
        with self.serving:
            if self._lie is Lie.COMMITS:
                self._before_checkpoint(self._names[fh])
            self.disk.write(fh, offset, data)
            self._done("write", self._names[fh], f"{offset}+{len(data)}")
            return len(data)

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> int:
        """To another size."""
        with self.serving:
            number = self._number(path, fh)
            self.disk.resize(number, length)
            self._done("truncate", self._names.get(number, path), str(length))
            return 0

    def fsync(self, path: str | None, datasync: int, fh: int) -> int:
        """A file to the medium; for who was stopped here it has not come to that."""
        with self.serving:
            name = self._names[fh]
            stopped = self._done("fsync", name)
            if not stopped and (self._lie is not Lie.COMMITS or not name.endswith(WAL)):
                self.disk.sync(fh)
            return 0

    def fsyncdir(self, path: str | None, datasync: int, fh: int) -> int:
        """The names in a folder to the medium; for who was stopped here it has not come to that."""
        with self.serving:
            stopped = self._done("fsync of a folder", self._names[fh])
            if not stopped and self._lie is not Lie.FOLDERS:
                self.disk.sync_folder(fh)
            return 0

    def mkdir(self, path: str, mode: int) -> int:
        """A new folder."""
        with self.serving:
            self.disk.add(path, Folder(stat.S_IMODE(mode)))
            self._done("mkdir", path)
            return 0

    def symlink(self, target: str, source: str) -> int:
        """A new link at ``target`` that leads to ``source``: mfusepy's names."""
        with self.serving:
            self.disk.add(target, Link(source))
            self._done("symlink", target)
            return 0

    def readlink(self, path: str) -> str:
        """Where a link leads."""
        with self.serving:
            return self.disk.link_at(self.disk.find(path)).target

    def link(self, target: str, source: str) -> int:
        """A further name, ``target``, of ``source``: mfusepy's names."""
        with self.serving:
            self.disk.link(self.disk.find(source), target)
            self._done("link", target)
            return 0

    def unlink(self, path: str) -> int:
        """Remove a name."""
        with self.serving:
            if self._hidden.pop(path, None) is None:
                self.disk.unlink(path)
                self._done("unlink", path)
            return 0

    def rmdir(self, path: str) -> int:
        """Remove an empty folder."""
        with self.serving:
            self.disk.remove_folder(path)
            self._done("rmdir", path)
            return 0

    def rename(self, old: str, new: str) -> int:
        """Move a name. libfuse renames what is unlinked while it is open, and unlinks it later: for the disk it is gone now."""
        with self.serving:
            if new.rpartition("/")[2].startswith(HIDDEN):
                self._hidden[new] = self.disk.find(old)
                self.disk.unlink(old)
                self._done("unlink", old)
            else:
                self.disk.rename(old, new)
                self._done("rename", old, new)
            return 0

    def chmod(self, path: str, mode: int) -> int:
        """Permissions."""
        with self.serving:
            node = self.disk.nodes[self.disk.find(path)]
            if not isinstance(node, Link):
                node.mode = stat.S_IMODE(mode)
            return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        """Everything belongs to whoever mounted."""
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        """Times are not kept."""
        return 0

    def _number(self, path: str | None, fh: int | None) -> int:
        return fh or self._hidden.get(path or "") or self.disk.find(path or "/")

    def _opened(self, number: int, path: str) -> int:
        self._names[number] = path
        return number

    def _done(self, kind: str, path: str | None, detail: str = "") -> bool:
        """One operation more; where it is the one to stop at, it is not answered before somebody says so: True then."""
        self.counts[Count.OPERATIONS] += 1
        self.counts[Count.STEPS] += kind != "write"
        self._log.write(f"{self.counts[Count.OPERATIONS]}\t{kind}\t{path}\t{detail}\n")
        if self.counts[self._count] == self._stop_at:
            self._log.flush()
            self.stopped.set()
            tell("stopped", operation=self.counts[Count.OPERATIONS], kind=kind, path=path or "")
            self.go_on.wait()
            self.stopped.clear()
            return True
        return False

    def _before_checkpoint(self, database: str) -> None:
        """Pages are copied into a database only after its log was synced, also with synchronous = NORMAL."""
        wal = self.disk.folder(self.disk.find(database.rpartition("/")[0])).names.get(
            database.rpartition("/")[2] + WAL
        )
        if wal is not None:
            self.disk.sync(wal)


def mount(served: CuttableDisk, folder: Path) -> None:
    """Serve it at ``folder``, in this thread, until it is unmounted."""
    mfusepy.FUSE(served, str(folder), foreground=True, nothreads=True, fsname="powercut")
