"""The folder that copies are put into: new or empty, for its owner alone, each file whole and durable or not there.

``catalogue.json`` comes last, so a folder that has one is complete. Where copying is cut off by a full disk or by who
started it, what was written is removed again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from fsd_agent.adapters.durable import make_folder, write_file
from fsd_agent.ports.spool import SpoolError
from fsd_tools.errors import ToolError

CATALOGUE = "catalogue.json"


class CopyFolder:
    """See the module; made by :func:`copy_folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: list[Path] = []

    def put(self, name: str, parts: Iterable[bytes]) -> int:
        """Write one file; its size in bytes. ``SpoolError``, and whatever ``parts`` raises, pass through: it is not there then."""
        path = self._folder / name
        size = write_file(path, parts)
        self._written.append(path)
        return size

    def remove_all(self) -> None:
        """What was written so far."""
        for path in self._written:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def copy_folder(folder: Path) -> Iterator[CopyFolder]:
    """Raises :class:`ToolError` where ``folder`` holds something, or can't be made or written."""
    is_new = not folder.exists()
    try:
        if not is_new and (not folder.is_dir() or any(folder.iterdir())):
            raise ToolError(f"{folder}: holds something already; give a new folder, or an empty one")
        make_folder(folder)
    except SpoolError as error:
        raise ToolError(f"{error}; copies need a folder that can be written to") from error
    copies = CopyFolder(folder)
    try:
        yield copies
    except BaseException as error:
        with contextlib.suppress(OSError):  # what stopped it is the reason that is told
            copies.remove_all()
            if is_new:
                folder.rmdir()
        if isinstance(error, SpoolError):
            raise ToolError(f"{error}; nothing was left in {folder}") from error
        raise
