"""Room that the journal keeps for being opened, and for moves after which a file goes: sealed, delivered, dropped.

So a full disk keeps no vehicle from starting, nor from giving room. See ``reserve_file.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from fsd_agent.adapters.reserve_file import ReserveFile
from fsd_agent.ports.journal import JournalError, StorageFullError
from fsd_agent.ports.spool import SpoolError

_T = TypeVar("_T")


class MoveReserve:
    """Of the journal at ``path``; raises :class:`JournalError`."""

    def __init__(self, path: Path) -> None:
        self._file = ReserveFile(path.with_name(f"{path.name}.reserve"))

    def open(self, act: Callable[[], _T]) -> _T:
        """Do it, on a full disk too; afterwards the room is kept again, if there is any."""
        with _translated():
            opened = self._insist(act)
            self._file.keep()
            return opened

    def move(self, act: Callable[[], None]) -> None:
        """Do it, on a full disk too, for a while; ``act`` is one transaction."""
        with _translated():
            self._file.keep()
            self._insist(act)

    def _insist(self, act: Callable[[], _T]) -> _T:
        try:
            return act()
        except StorageFullError:
            if not self._file.give_up():
                raise
            return act()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SpoolError as error:
        raise JournalError(str(error)) from error
