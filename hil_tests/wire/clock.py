"""A wall clock that can be set, and suspends that did not happen, for one process tree: see ``clock.c``."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

from fsd_tools.errors import ToolError

_OFFSETS = struct.Struct("=qq")
_OFFSET = struct.Struct("=q")


class WallClock:
    """Builds the shim in ``folder``; processes started with :attr:`environment` see real time plus the offset.

    Without a C compiler there is no shim, and the clock stays where it is: :attr:`why_not` says so.
    """

    def __init__(self, folder: Path) -> None:
        """Raises :class:`ToolError` where the shim can't be built."""
        self.environment: dict[str, str] = {}
        self.why_not: str | None = None
        self._fd = -1
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            self.why_not = "no C compiler (apt-get install gcc libc6-dev): the wall clock was left alone"
            return
        self._file = folder / "clock.offset"
        self._file.write_bytes(_OFFSETS.pack(0, 0))
        library = folder / "clock.so"
        source = Path(__file__).with_name("clock.c")
        done = subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", library, source, "-ldl"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ToolError(f"{source.name} does not compile: {done.stderr.strip()}")
        self.environment = {"LD_PRELOAD": str(library), "FSD_CLOCK_OFFSET": str(self._file)}
        self._fd = os.open(self._file, os.O_WRONLY | os.O_CLOEXEC)

    def set(self, offset_s: int) -> int:
        """From now on; the offset that is in force. One write of eight bytes, so nobody reads half of it."""
        if self._fd < 0:
            return 0
        os.pwrite(self._fd, _OFFSET.pack(offset_s), 0)
        return offset_s

    def suspend(self, for_s: int) -> None:
        """From now on as if the machine had been suspended for so long, in all. Needs the shim."""
        if self._fd < 0:
            raise ToolError(f"no suspend: {self.why_not}")
        os.pwrite(self._fd, _OFFSET.pack(for_s), _OFFSET.size)

    def close(self) -> None:
        """No more changes."""
        if self._fd >= 0:
            os.close(self._fd)
