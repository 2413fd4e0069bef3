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
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB and 500 inodes of its own, of which 512 KiB are held by a file named ``ballast``."""
    point = tmp_path / "disk"
    point.mkdir()
    mount = [
        "mount",
        "-t",
        "tmpfs",
        "-o",
        f"size={SMALL_DISK_BYTES},nr_inodes={SMALL_DISK_FILES}",
        "tmpfs",
        str(point),
    ]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount command: {error}")
    if done.returncode != 0:
        pytest.skip(f"mounting a small disk is not permitted here: {done.stderr.strip()}")
    try:
        (point / "ballast").write_bytes(bytes(BALLAST_BYTES))
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)


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
