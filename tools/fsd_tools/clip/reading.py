"""Reading clip files for people: our errors become messages that name the file."""

from __future__ import annotations

from pathlib import Path

from fsd_agent.wire.clip import ClipContents, ClipFormatError, decode_clip
from fsd_tools.errors import ToolError


def read_clip(path: Path) -> ClipContents:
    """The clip at ``path``. Raises :class:`ToolError`."""
    try:
        with path.open("rb") as file:
            return decode_clip(file, str(path))
    except FileNotFoundError:
        raise ToolError(f"{path}: no such file") from None
    except OSError as error:
        raise ToolError(f"{path}: {error.strerror or error}") from error
    except ClipFormatError as error:
        raise ToolError(str(error)) from error
