"""Memory that was freed goes back to the system, also what lies between blocks that are in use."""

from __future__ import annotations

import platform

import pytest

from fsd_agent.adapters.process_memory import give_back_memory
from fsd_agent.adapters.process_use import process_use

BLOCK_BYTES = 60_000
"""Too small to be mapped by itself, and too large for Python's own allocator."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library holds nothing back")
def test_what_was_freed_between_others_goes_back() -> None:
    blocks = [b"x" * BLOCK_BYTES for _ in range(1000)]
    kept = blocks[::10]
    del blocks
    before = process_use().resident_bytes
    assert give_back_memory()
    assert before - process_use().resident_bytes > 500 * BLOCK_BYTES
    assert all(one == b"x" * BLOCK_BYTES for one in kept)
