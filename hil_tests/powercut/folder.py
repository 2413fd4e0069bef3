"""A disk from a plain folder, and what survived back into one."""

from __future__ import annotations

import stat
from pathlib import Path

from hil_tests.powercut.disk import ROOT, Disk, File, Folder, Link
from hil_tests.powercut.survive import KeptFile, KeptFolder, Survivors


def load(folder: Path) -> Disk:
    """A disk that is sure to hold what is in ``folder``: files, folders and symbolic links."""
    disk = Disk()
    disk.folder(ROOT).mode = stat.S_IMODE(folder.stat().st_mode)
    for path in sorted(folder.rglob("*")):  # a folder sorts before what is in it
        where, status = f"/{path.relative_to(folder)}", path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            disk.add(where, Link(str(path.readlink())))
        elif stat.S_ISDIR(status.st_mode):
            disk.add(where, Folder(mode))
        elif stat.S_ISREG(status.st_mode):
            disk.write(disk.add(where, File(mode)), 0, path.read_bytes())
        else:
            raise ValueError(f"{path}: neither a file, a folder nor a link")
    disk.sync_all()
    disk.last_write = None
    return disk


def save(survived: Survivors, folder: Path) -> None:
    """Lay it down in ``folder``, which is there and empty."""
    for where, kept in survived.tree.items():
        path = folder / where.lstrip("/")
        if isinstance(kept, KeptFolder):
            path.mkdir()
        elif isinstance(kept, KeptFile):
            path.write_bytes(kept.content)
        else:
            path.symlink_to(kept.target)
        if not isinstance(kept, Link):
            path.chmod(kept.mode)
