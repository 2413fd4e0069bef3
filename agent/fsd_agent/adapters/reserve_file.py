"""Room that journal and ledger each keep for what frees room.

A full disk must not keep the vehicle from recording that it erases something, which is what gives room again. So a file of
:data:`RESERVE_BYTES` lies beside each of the two. It is given up when such a record finds no room, and made anew when
there is room.
"""

from __future__ import annotations

import os
from pathlib import Path

from fsd_agent.adapters import durable
from fsd_agent.ports.spool import SpoolFullError

RESERVE_BYTES = 256 << 10
"""About 1,000 records of the ledger: 500 clips dropped and erased. Ten moves of the journal: each is followed by an erasure
that gives more."""


class ReserveFile:
    """See the module."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> bool:
        """Make it where it is missing; whether it is there. Raises ``SpoolError`` but for a full disk."""
        if self._path.exists():
            return True
        try:
            # Random: a file system that compresses would keep no room for zeros.
            durable.write_file(self._path, (os.urandom(RESERVE_BYTES),))
        except SpoolFullError:
            return False
        return True

    def give_up(self) -> bool:
        """Free its room; whether there was any. Raises ``SpoolError``."""
        return self._path.exists() and durable.remove(self._path)
