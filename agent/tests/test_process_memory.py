"""Memory that was freed goes back to the system, also what lies between blocks that are in use."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from fsd_agent.adapters.process_memory import give_back_memory
from fsd_agent.adapters.process_use import process_use

BLOCK_BYTES = 60_000
"""Too small to be mapped by itself, and too large for Python's own allocator."""


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library holds nothing back")


@glibc
def test_what_was_freed_between_others_goes_back() -> None:
    blocks = [b"x" * BLOCK_BYTES for _ in range(1000)]
    kept = blocks[::10]
    del blocks
    before = process_use().resident_bytes
    assert give_back_memory()
    assert before - process_use().resident_bytes > 500 * BLOCK_BYTES
    assert all(one == b"x" * BLOCK_BYTES for one in kept)


THREADS = """
import threading
from fsd_agent.adapters.process_memory import give_back_memory, keep_one_heap
from fsd_agent.adapters.process_use import process_use

assert keep_one_heap()

def use():
    blocks = [b"x" * 60_000 for _ in range(500)]
    together.wait()

together = threading.Barrier(4)
before = process_use().resident_bytes
threads = [threading.Thread(target=use) for _ in range(4)]
for one in threads:
    one.start()
for one in threads:
    one.join()
give_back_memory()
print(process_use().resident_bytes - before)
"""


@glibc
def test_what_threads_have_freed_goes_back_too() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20_000_000, "of 120 MB"
