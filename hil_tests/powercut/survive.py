"""What a cut leaves of a disk: one of the many states that it may leave, chosen by a seed.

What is certain (``disk.py``) is always there. Beyond that, independently of everything else:

- each block of a file holds what it held after any of the writes since the last sync, or what it held at that sync;
- the size of a file is any that it had since the last sync; what is within it and was never written is zero;
- each change of names is there or not, and those that are there are in their order;
- the last write of all may be torn inside one block: some of its bytes, and behind them what was there before.

Blocks are 512 or 4096 bytes. One cut in four leaves nothing that is not certain, one in four everything; in the others each
file and each folder has a rate of its own, so that what was lost in one place meets what was kept in another.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from hil_tests.powercut.disk import ROOT, Change, Disk, File, Folder, Link, Write, apply, bind

BLOCKS_BYTES = (512, 4096)
RATES = (0.0, 0.2, 0.5, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A regular file."""

    mode: int
    content: bytes


@dataclass(frozen=True, slots=True)
class KeptFolder:
    """A folder; what is in it has entries of its own."""

    mode: int


Kept = KeptFile | KeptFolder | Link


@dataclass(slots=True)
class Survivors:
    """What is there when the power comes back."""

    tree: dict[str, Kept] = field(default_factory=dict)
    """By path from the root; a folder comes before what is in it."""
    fate: Counter[str] = field(default_factory=Counter)
    """Of what was not certain: blocks and names kept and lost, sizes, torn writes."""


def survivors(disk: Disk, seed: int) -> Survivors:
    """One state that a cut now may leave; the same seed leaves the same."""
    return _Cut(disk, seed).leave()


def everything(disk: Disk) -> Survivors:
    """What an orderly end leaves."""
    found = Survivors()
    folders = {number: node.names for number, node in disk.nodes.items() if isinstance(node, Folder)}
    files = {number: bytes(node.content) for number, node in disk.nodes.items() if isinstance(node, File)}
    _walk(disk, folders, files, found.tree)
    return found


class _Cut:
    """One choice."""

    def __init__(self, disk: Disk, seed: int) -> None:
        self._disk = disk
        self._random = random.Random(seed)
        self._block = self._random.choice(BLOCKS_BYTES)
        mood = self._random.random()
        self._rate: float | None = 0.0 if mood < 0.25 else 1.0 if mood < 0.5 else None
        self._torn = self._tear()
        self._fate: Counter[str] = Counter()

    def leave(self) -> Survivors:
        folders = self._names()
        files = {
            number: self._content(number, node)
            for number, node in self._disk.nodes.items()
            if isinstance(node, File)
        }
        found = Survivors(fate=self._fate)
        _walk(self._disk, folders, files, found.tree)
        return found

    def _names(self) -> dict[int, dict[str, int]]:
        """The names in each folder. A change of names comes after what it needs: nodes are looked at twice."""
        kept: set[Change] = set()
        changes = [
            (change, rate)
            for node in self._disk.nodes.values()
            if isinstance(node, Folder)
            for rate in (self._a_rate(),)
            for change in node.pending
        ]
        for change, rate in sorted(changes, key=lambda one: one[0].needs is not None):
            free = change.needs is None or change.needs.certain or change.needs in kept
            if free and self._random.random() < rate:
                kept.add(change)
        self._fate["names kept"] += len(kept)
        self._fate["names lost"] += len(changes) - len(kept)
        folders = {}
        for number, node in self._disk.nodes.items():
            if isinstance(node, Folder):
                folders[number] = dict(node.certain)
                for change in node.pending:
                    if change in kept:
                        bind(folders[number], change)
        return folders

    def _content(self, number: int, file: File) -> bytes:
        if not file.pending:
            return bytes(file.certain)
        rate = self._a_rate()
        sizes, blocks = _versions(file, self._block)
        size = sizes[self._choose(len(sizes), rate)]
        self._fate["sizes old" if size != sizes[-1] else "sizes new"] += len(set(sizes)) > 1
        result = file.certain.ljust(max(sizes), b"\0")
        for block, versions in blocks.items():
            which = self._choose(len(versions), rate)
            self._fate["blocks kept" if which else "blocks lost"] += len(versions) > 1
            chosen = versions[which]
            if self._torn is not None and self._torn[:2] == (number, block):
                end, before = self._torn[2], versions[max(0, len(versions) - 2)]
                chosen = versions[-1][:end] + before[end:]
                self._fate["torn"] += 1
            start = block * self._block
            result[start : start + self._block] = chosen
        return bytes(result[:size])

    def _choose(self, versions: int, rate: float) -> int:
        """Which of so many: the first, which is certain, or with ``rate`` a later one, every other time the last."""
        if versions == 1 or self._random.random() >= rate:
            return 0
        return versions - 1 if self._random.random() < 0.5 else self._random.randrange(1, versions)

    def _tear(self) -> tuple[int, int, int] | None:
        """Node, block and bytes of it that the medium got of the last write; None where that is whole, or certain."""
        if self._disk.last_write is None or self._rate == 0.0 or self._random.random() < 0.5:
            return None
        number, one = self._disk.last_write
        pending = self._disk.file(number).pending
        if not one.data or not any(other is one for other in pending):
            return None
        first, last = one.offset // self._block, (one.offset + len(one.data) - 1) // self._block
        return number, self._random.randint(first, last), self._random.randrange(1, self._block)

    def _a_rate(self) -> float:
        return self._random.choice(RATES) if self._rate is None else self._rate


def _versions(file: File, block_bytes: int) -> tuple[list[int], dict[int, list[bytes]]]:
    """Sizes since the last sync, and what each block that was touched held, padded with zeros: what is certain comes first."""
    content = bytearray(file.certain)
    sizes, blocks = [len(content)], dict[int, list[bytes]]()
    for one in file.pending:
        if isinstance(one, Write):
            touched = range(min(one.offset, len(content)), one.offset + len(one.data))
        else:
            touched = range(min(one.size, len(content)), max(one.size, len(content)))
        span = range(touched.start // block_bytes, -(-touched.stop // block_bytes)) if touched else range(0)
        before = {block: _block(content, block, block_bytes) for block in span if block not in blocks}
        apply(content, one)
        sizes.append(len(content))
        for block in span:
            versions = blocks.setdefault(block, [before[block]] if block in before else [])
            versions.append(_block(content, block, block_bytes))
    return sizes, blocks


def _block(content: bytearray, block: int, size: int) -> bytes:
    return bytes(content[block * size : (block + 1) * size]).ljust(size, b"\0")


def _walk(
    disk: Disk, folders: dict[int, dict[str, int]], files: dict[int, bytes], tree: dict[str, Kept]
) -> None:
    """Everything that has a name from the root on. A folder that two renames left in two places is in one."""
    seen = {ROOT}
    waiting = [("", ROOT)]
    while waiting:
        path, number = waiting.pop()
        for name, inside in sorted(folders[number].items()):
            node, below = disk.nodes[inside], f"{path}/{name}"
            if isinstance(node, Folder):
                if inside not in seen:
                    seen.add(inside)
                    tree[below] = KeptFolder(node.mode)
                    waiting.append((below, inside))
            elif isinstance(node, File):
                tree[below] = KeptFile(node.mode, files[inside])
            else:
                tree[below] = node
