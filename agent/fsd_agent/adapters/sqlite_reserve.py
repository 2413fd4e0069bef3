"""Room that the journal keeps for moves after which a file goes: sealed, delivered, dropped. See ``reserve_file.py``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from fsd_agent.adapters.reserve_file import ReserveFile
from fsd_agent.ports.journal import JournalError, StorageFullError
from fsd_agent.ports.spool import SpoolError


class MoveReserve:
    """Of the journal at ``path``; raises :class:`JournalError`."""

    def __init__(self, path: Path) -> None:
        self._file = ReserveFile(path.with_name(f"{path.name}.reserve"))
        with _translated():
            self._file.keep()

    def move(self, act: Callable[[], None]) -> None:
        """Do it, on a full disk too, for a while; ``act`` is one transaction."""
        with _translated():
            self._file.keep()
            try:
                act()
            except StorageFullError:
                if not self._file.give_up():
                    raise
                act()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SpoolError as error:
        raise JournalError(str(error)) from error
