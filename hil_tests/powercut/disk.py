"""A disk in memory that knows what would be left of it if its power went now.

What programs see and what the medium is sure to hold are two accounts, brought to agree by syncing alone:

| what was done | is on the medium for certain |
| --- | --- |
| write, truncate | once the file was synced (fdatasync is as good: it takes the size along, fdatasync(2)) |
| create, link, symlink, mkdir, unlink, rmdir | once the folder was synced; a synced file may lose its name all the same |
| rename in a folder | the same, both names at once |
| rename to another folder | each name with its folder, and never neither of them |
| modes | at once: nothing that is tested depends on when |

That is as strict as POSIX allows a file system to be. Until then each block and each name may be there or not, in any
combination: ``survive.py`` chooses. A node without a name stays for as long as the disk, since a cut may bring its name
back. Nodes are numbered; 1 is the root. Errors are ``OSError`` with the number that a file system would give.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field

ROOT = 1


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes of one call, as the file system got them."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """To another size; what lies beyond it is gone, what is new is zero."""

    size: int


@dataclass(eq=False, slots=True)
class Change:
    """Names of one folder that change together: each to a node, or to nothing."""

    names: dict[str, int | None]
    needs: Change | None = None
    """Not on the medium without this one: the new name of a rename to another folder, for the old one."""
    certain: bool = False


@dataclass(slots=True)
class File:
    """A regular file."""

    mode: int
    content: bytearray = field(default_factory=bytearray)
    certain: bytearray = field(default_factory=bytearray)
    pending: list[Write | Resize] = field(default_factory=list)


@dataclass(slots=True)
class Folder:
    """A folder."""

    mode: int
    names: dict[str, int] = field(default_factory=dict)
    certain: dict[str, int] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


Node = File | Folder | Link


class Disk:
    """See the module. Paths are absolute, ``/`` is the root."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {ROOT: Folder(0o700)}
        self.last_write: tuple[int, Write] | None = None
        """Node and write that the medium got last: a cut may have torn it."""

    def find(self, path: str) -> int:
        """The node at a path."""
        number = ROOT
        for name in _parts(path):
            found = self.folder(number).names.get(name)
            if found is None:
                raise _error(errno.ENOENT)
            number = found
        return number

    def file(self, number: int) -> File:
        """A node that is a file."""
        node = self.nodes[number]
        if isinstance(node, Folder):
            raise _error(errno.EISDIR)
        if not isinstance(node, File):
            raise _error(errno.EINVAL)
        return node

    def folder(self, number: int) -> Folder:
        """A node that is a folder."""
        node = self.nodes[number]
        if not isinstance(node, Folder):
            raise _error(errno.ENOTDIR)
        return node

    def link_at(self, number: int) -> Link:
        """A node that is a symbolic link."""
        node = self.nodes[number]
        if not isinstance(node, Link):
            raise _error(errno.EINVAL)
        return node

    def mode(self, number: int) -> int:
        """Kind and permissions, as ``st_mode``."""
        node = self.nodes[number]
        match node:
            case File():
                return stat.S_IFREG | node.mode
            case Folder():
                return stat.S_IFDIR | node.mode
            case Link():
                return stat.S_IFLNK | 0o777

    def add(self, path: str, node: Node) -> int:
        """A new node at a path: open with O_CREAT, mkdir, symlink."""
        folder, name = self._home(path)
        if name in folder.names:
            raise _error(errno.EEXIST)
        number = len(self.nodes) + 1
        self.nodes[number] = node
        _change(folder, Change({name: number}))
        return number

    def link(self, number: int, path: str) -> None:
        """Another name for a file."""
        folder, name = self._home(path)
        if name in folder.names:
            raise _error(errno.EEXIST)
        if isinstance(self.nodes[number], Folder):
            raise _error(errno.EPERM)
        _change(folder, Change({name: number}))

    def unlink(self, path: str) -> None:
        """Remove the name of whatever is no folder."""
        if isinstance(self.nodes[self.find(path)], Folder):
            raise _error(errno.EISDIR)
        folder, name = self._home(path)
        _change(folder, Change({name: None}))

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder."""
        if self.folder(self.find(path)).names:
            raise _error(errno.ENOTEMPTY)
        folder, name = self._home(path)
        _change(folder, Change({name: None}))

    def rename(self, old: str, new: str) -> None:
        """Move a name onto another, whatever was there. Errors come in the kernel's order."""
        (source, old_name), (target, new_name) = self._home(old), self._home(new)
        number, replaced = source.names.get(old_name), target.names.get(new_name)
        if number is None:
            raise _error(errno.ENOENT)
        if new.startswith(f"{old}/"):
            raise _error(errno.EINVAL)
        if old.startswith(f"{new}/"):
            raise _error(errno.ENOTEMPTY)
        if replaced == number:
            return
        if replaced is not None:
            self._check_replaced(number, replaced)
        if source is target:
            _change(source, Change({old_name: None, new_name: number}))
            return
        arrival = Change({new_name: number})
        _change(target, arrival)
        _change(source, Change({old_name: None}, needs=arrival))

    def write(self, number: int, offset: int, data: bytes) -> None:
        """Bytes at an offset; a gap before them is zero."""
        file, one = self.file(number), Write(offset, data)
        apply(file.content, one)
        file.pending.append(one)
        self.last_write = number, one

    def resize(self, number: int, size: int) -> None:
        """To another size."""
        file, one = self.file(number), Resize(size)
        apply(file.content, one)
        file.pending.append(one)

    def sync(self, number: int) -> None:
        """What was written to a file is on the medium now; its name may not be."""
        file = self.file(number)
        for one in file.pending:
            apply(file.certain, one)
        file.pending.clear()

    def sync_folder(self, number: int) -> None:
        """The names in a folder are on the medium now."""
        folder = self.folder(number)
        for change in folder.pending:
            if change.needs is not None and not change.needs.certain:
                self._make_certain(change.needs)
            bind(folder.certain, change)
            change.certain = True
        folder.pending.clear()

    def sync_all(self) -> None:
        """An orderly end: everything is on the medium."""
        for number, node in self.nodes.items():
            if isinstance(node, File):
                self.sync(number)
            elif isinstance(node, Folder):
                self.sync_folder(number)

    def size_bytes(self) -> int:
        """Of everything that a program could still read."""
        return sum(len(node.content) for node in self.nodes.values() if isinstance(node, File))

    def _home(self, path: str) -> tuple[Folder, str]:
        """The folder of a path, and the name in it."""
        above, _, name = path.rstrip("/").rpartition("/")
        if not name:
            raise _error(errno.EBUSY)
        return self.folder(self.find(above)), name

    def _check_replaced(self, number: int, replaced: int) -> None:
        """rename(2): a folder replaces an empty folder alone, and nothing else does."""
        moved, gone = self.nodes[number], self.nodes[replaced]
        if isinstance(gone, Folder):
            if not isinstance(moved, Folder):
                raise _error(errno.EISDIR)
            if gone.names:
                raise _error(errno.ENOTEMPTY)
        elif isinstance(moved, Folder):
            raise _error(errno.ENOTDIR)

    def _make_certain(self, change: Change) -> None:
        """A change and what came before it in its folder."""
        for node in self.nodes.values():
            while isinstance(node, Folder) and change in node.pending:
                first = node.pending.pop(0)
                bind(node.certain, first)
                first.certain = True


def apply(content: bytearray, one: Write | Resize) -> None:
    """Do it to the bytes of a file."""
    if isinstance(one, Resize):
        del content[one.size :]
        content.extend(bytes(one.size - len(content)))
        return
    content.extend(bytes(max(0, one.offset - len(content))))
    content[one.offset : one.offset + len(one.data)] = one.data


def bind(names: dict[str, int], change: Change) -> None:
    """Do it to the names of a folder."""
    for name, number in change.names.items():
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


def _change(folder: Folder, change: Change) -> None:
    bind(folder.names, change)
    folder.pending.append(change)


def _parts(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
