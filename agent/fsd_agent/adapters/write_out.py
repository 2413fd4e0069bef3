"""Telling the kernel to begin writing pages to the medium, without waiting for it: sync_file_range(2).

It is a hint. Nothing is durable by it, so where there is none of it, or it fails, nothing is lost: the fsync that comes does
the work, and tells what the medium had to say. ``posix_fadvise`` with ``DONTNEED`` begins the same, but then waits until every
processor has given up its list of recent pages, to throw away what it can't throw away while it is being written.
"""

from __future__ import annotations

import ctypes
from typing import Final

_WRITE: Final = 2
"""SYNC_FILE_RANGE_WRITE of <fcntl.h>."""
_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def begin_write_out(fd: int, offset: int, length: int) -> None:
    """Let the medium begin with these bytes of a file."""
    if _sync_file_range is not None and length > 0:  # 0 would be everything up to the end
        _sync_file_range(fd, offset, length, _WRITE)
