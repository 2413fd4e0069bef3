"""Durable ingest: sealed clips through the agent's own stores, against a plain write and fsync of the same bytes.

Both work on the same disk, clip by clip in turns, in wall time: the disk is what is waited for.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fsd_tools.bench.spool_stores import Stores, sealed_file

MIB = 1 << 20
SIZES_BYTES: Mapping[str, int] = {"0.5 MiB": MIB // 2, "2 MiB": 2 * MIB, "8 MiB": 8 * MIB}
MIX = "a mix"
MIXED = ("0.5 MiB", "2 MiB", "0.5 MiB", "0.5 MiB", "8 MiB", "0.5 MiB", "2 MiB", "0.5 MiB")
"""A few seconds of signals and one camera, several cameras, a long clip of many; 14.5 MiB."""
PAIRS = {"0.5 MiB": 12, "2 MiB": 6, "8 MiB": 3}
"""Clips of a size in one round, each written both ways."""
MIXES = 3
Call = Callable[[], None]


class Ingest:
    """One folder with an agent's stores and a plain folder beside them."""

    def __init__(
        self, stores: Stores, folder: Path, *, pairs: Mapping[str, int] = PAIRS, mixes: int = MIXES
    ) -> None:
        """``pairs``: by size, how many clips a round; ``mixes``: how many mixes."""
        self._pairs = pairs
        self._mixes = mixes
        self._stores = stores
        self._plain = folder / "plain"
        self._plain.mkdir()

    def round(self, seconds: dict[str, list[float]], *, turned: bool) -> None:
        """Write clips of each size, and mixes, both ways; adds the seconds of each call by its name.

        ``turned``: who is second goes first.
        """
        for size, pairs in self._pairs.items():
            for number in range(pairs):
                self._turn(size, (size,), seconds, turned=turned != bool(number % 2))
        for number in range(self._mixes):
            self._turn(MIX, MIXED, seconds, turned=turned != bool(number % 2))

    def _turn(
        self, name: str, sizes: Sequence[str], seconds: dict[str, list[float]], *, turned: bool
    ) -> None:
        contents = [os.urandom(SIZES_BYTES[size]) for size in sizes]
        files = [sealed_file(content) for content in contents]
        put_clips, taken_clips = self._stores.captured(len(files)), self._stores.captured(len(files))
        paths = [self._plain / f"{number}" for number in range(len(files))]

        def put() -> None:
            for clip, file in zip(put_clips, files, strict=True):
                self._stores.put(clip, file)

        def take() -> None:
            for clip, file in zip(taken_clips, files, strict=True):
                self._stores.take(clip, file)

        def plain() -> None:
            for path, content in zip(paths, contents, strict=True):
                write_plainly(path, content)

        calls: dict[str, Call] = {"put": put, "plain": plain, "take": take}
        for which in reversed(calls) if turned else calls:
            seconds.setdefault(f"{which} {name}", []).append(_timed(calls[which]))
        for clip in (*put_clips, *taken_clips):
            self._stores.erase(clip)
        for path in paths:
            path.unlink()


def write_plainly(path: Path, content: bytes) -> None:
    """The peer: open, write, fsync, close, and the folder's fsync. No name in between, no key, no hash, no account."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def megabytes_a_second(seconds: Mapping[str, Sequence[float]], call: str, name: str) -> float:
    """Of the median turn, in 10^6 bytes."""
    sizes = MIXED if name == MIX else (name,)
    return sum(SIZES_BYTES[size] for size in sizes) / 1e6 / statistics.median(seconds[f"{call} {name}"])


def _timed(call: Call) -> float:
    with _no_collection():
        begin = time.perf_counter()
        call()
        return time.perf_counter() - begin


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
