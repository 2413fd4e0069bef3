"""Merkle tree over the ledger's records, as RFC 6962, section 2.1, defines it with SHA-256.

``leaf = SHA-256(00 || record)``, ``node = SHA-256(01 || left || right)``: the prefixes keep a node from being passed off as
a record. The left subtree of n leaves holds the largest power of two below n.

The vehicle keeps a :class:`Frontier`, O(log n) hashes from which the root follows and to which a record is added. Proofs
are made from the records (:class:`Tree`), also where the oldest are gone and only their frontier is left, and checked with
two functions that need nothing but the proof (RFC 9162, sections 2.1.3.2 and 2.1.4.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

EMPTY_ROOT = hashlib.sha256().digest()


def leaf_hash(record: bytes) -> bytes:
    """Of one record's bytes."""
    return hashlib.sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The complete subtrees of the first ``size`` leaves, largest first: one for every 1 in ``size``."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError unless there are as many peaks as ``size`` has ones."""
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise ValueError(f"{len(self.peaks)} subtrees can't hold {self.size} records")

    def add(self, leaf: bytes) -> Frontier:
        """With one more leaf hash."""
        peaks, rest = list(self.peaks), self.size
        while rest & 1:
            leaf = node_hash(peaks.pop(), leaf)
            rest >>= 1
        return Frontier(self.size + 1, (*peaks, leaf))

    def root(self) -> bytes:
        """The tree hash of these leaves."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


class Tree:
    """Roots and proofs from leaf hashes; those before ``before.size`` may be gone."""

    def __init__(self, leaves: Sequence[bytes], before: Frontier | None = None) -> None:
        """``leaves`` are the hashes of the records from number ``before.size`` on."""
        self._before = before or Frontier()
        self._leaves = leaves
        self._known: dict[tuple[int, int], bytes] = {}
        start, step = 0, 1 << self._before.size.bit_length()
        for peak in self._before.peaks:
            while not self._before.size & step:
                step >>= 1
            self._known[start, start + step] = peak
            start, step = start + step, step >> 1

    @property
    def size(self) -> int:
        """Leaves, those that are gone included."""
        return self._before.size + len(self._leaves)

    def root(self, size: int) -> bytes:
        """Of the first ``size`` leaves. Raises ValueError where that needs a record that is gone."""
        self._check(size, 0, size)
        return self._hash(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Audit path of leaf ``index`` in the tree of ``size`` leaves, nearest first (RFC 6962, 2.1.1)."""
        self._check(size, index, size - 1)
        path, start, end = [], 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._hash(middle, end))
                end = middle
            else:
                path.append(self._hash(start, middle))
                start = middle
        return tuple(reversed(path))

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """That the tree of ``old`` leaves is the beginning of that of ``new`` (RFC 6962, 2.1.2)."""
        self._check(new, old, new)
        path, start, end, whole = [], 0, new, True
        while old not in (start, end):
            middle = start + _split(end - start)
            if old <= middle:
                path.append(self._hash(middle, end))
                end = middle
            else:
                path.append(self._hash(start, middle))
                start, whole = middle, False
        if not whole:
            path.append(self._hash(start, end))
        return tuple(reversed(path))

    def _check(self, size: int, at: int, most: int) -> None:
        if not 0 <= at <= most or not 0 <= size <= self.size:
            raise ValueError(f"record {at} and a tree of {size} records: this ledger has {self.size}")

    def _hash(self, start: int, end: int) -> bytes:
        """MTH(D[start:end])."""
        known = self._known.get((start, end))
        if known is not None:
            return known
        if end - start == 1:
            if start < self._before.size:
                raise ValueError(f"record {start} is needed and was removed")
            return self._leaves[start - self._before.size]
        middle = start + _split(end - start)
        made = node_hash(self._hash(start, middle), self._hash(middle, end))
        if (end - start).bit_count() == 1:
            self._known[start, end] = made
        return made


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether ``path`` shows that ``leaf`` is number ``index`` of the ``size`` leaves under ``root``."""
    if not 0 <= index < size:
        return False
    at, last, made = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            made = node_hash(step, made)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            made = node_hash(made, step)
        at, last = at >> 1, last >> 1
    return last == 0 and made == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether ``path`` shows that the tree under ``new_root`` begins with the one under ``old_root``."""
    if not 0 <= old <= new:
        return False
    if old in (0, new):
        known = EMPTY_ROOT if old == 0 else new_root
        return not path and old_root == known
    steps = list(path) if old.bit_count() > 1 else [old_root, *path]
    if not steps:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_made = new_made = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old_made, new_made = node_hash(step, old_made), node_hash(step, new_made)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new_made = node_hash(new_made, step)
        at, last = at >> 1, last >> 1
    return last == 0 and old_made == old_root and new_made == new_root


def _split(count: int) -> int:
    """The largest power of two below ``count``, for ``count`` of 2 or more."""
    return 1 << (count - 1).bit_length() - 1
