"""Small files that people carry between machines: read whole but not without end, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from fsd_agent.adapters.durable import write_file
from fsd_agent.ports.spool import SpoolError
from fsd_tools.errors import ToolError


def read_input(path: Path, most: int) -> bytes:
    """The file, cut off one byte beyond ``most``, so that it is refused as too large; raises :class:`ToolError`."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise ToolError(f"{path}: {error.strerror}") from error


def write_output(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``, replacing what was there; raises :class:`ToolError`."""
    try:
        write_file(path, [data])
    except SpoolError as error:
        raise ToolError(str(error)) from error
