"""Real trouble for storage tests: a file system that fills, a process that dies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SMALL_DISK_BYTES = 2 << 20
SMALL_DISK_FILES = 500
BALLAST_BYTES = 512 << 10


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[[int, int], Path]]:
    """Makes file systems of their own, of so many bytes and inodes."""
    points: list[Path] = []

    def make(size_bytes: int, files: int) -> Path:
        point = tmp_path / f"disk{len(points) or ''}"
        point.mkdir()
        options = f"size={size_bytes},nr_inodes={files}"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)]
        try:
            done = subprocess.run(mount, capture_output=True, text=True, check=False)
        except OSError as error:
            pytest.skip(f"no mount command: {error}")
        if done.returncode != 0:
            pytest.skip(f"mounting a small disk is not permitted here: {done.stderr.strip()}")
        points.append(point)
        return point

    try:
        yield make
    finally:
        for point in points:
            subprocess.run(["umount", "-l", str(point)], check=True)


@pytest.fixture
def small_disk(make_disk: Callable[[int, int], Path]) -> Path:
    """A file system of 2 MiB and 500 inodes of its own, of which 512 KiB are held by a file named ``ballast``."""
    point = make_disk(SMALL_DISK_BYTES, SMALL_DISK_FILES)
    (point / "ballast").write_bytes(bytes(BALLAST_BYTES))
    return point


@pytest.fixture
def kill_after_lines() -> Callable[..., list[str]]:
    """Runs Python code that prints a line for everything it was promised, and kills it (SIGKILL) in full flight.

    Called with (code, lines, *arguments); returns every line that it got out.
    """

    def run(code: str, lines: int, *arguments: str) -> list[str]:
        with subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            told = [process.stdout.readline() for _ in range(lines)]
            process.kill()
            told += process.stdout.readlines()
        assert all(told), "the process ended by itself"
        return [line.strip() for line in told if line.endswith("\n")]

    return run
