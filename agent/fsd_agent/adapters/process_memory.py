"""Gives memory that this process has freed back to the computer that it must not disturb."""

from __future__ import annotations

import ctypes


def give_back_memory() -> bool:
    """Give back what the C library holds free between what is in use; whether there was any.

    A start goes over everything that is on board, and what it freed would stay this process' for good. Only glibc holds
    so much, and only there it can be told to let go (malloc_trim(3)); elsewhere nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(ctypes.c_size_t(0)))
