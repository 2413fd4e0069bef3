"""Gives memory that this process has freed back to the computer that it must not disturb.

Only glibc's allocator holds much of it, and can be told to let go; with another C library nothing happens here.
"""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
"""<malloc.h>"""


def keep_one_heap() -> bool:
    """One heap for all threads, in place of one for each; whether that was understood. Before the first thread begins.

    What a thread has freed at the end of a heap of its own stays with that heap for good (glibc trims that end of the main heap
    alone), so that each thread would hold the most that it ever needed for a moment. Python's lock keeps threads apart anyway.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_ARENA_MAX, 1))


def give_back_memory() -> bool:
    """Give back whole pages that are free between what is in use; whether there were any. See malloc_trim(3)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(ctypes.c_size_t(0)))
