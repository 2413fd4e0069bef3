"""The region's broker as a child process: mosquitto on the region's own configuration.

It is up when its port takes a connection, and it never outlives us: the kernel sends it SIGTERM when our thread that
started it ends, however that comes about (``prctl(2)``, PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
"""It writes its database before it ends."""
LOG_LINES = 8
"""Of its log, in an error message."""
_SBIN = "/usr/local/sbin:/usr/sbin"
"""Where Debian installs it; not on a user's PATH."""
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def find_mosquitto() -> str:
    """Path of the binary. Raises :class:`ToolError` saying how to get it."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path=_SBIN)
    if found is None:
        raise ToolError(
            "mosquitto is not installed: `make setup`, or `apt-get install mosquitto` (2.0 or newer), gets it"
        )
    return found


class Mosquitto:
    """One running broker, as a context manager."""

    def __init__(self, region: RegionDir, host: str, port: int) -> None:
        self._region = region
        self._address = (host, port)
        self._log_path = region.root / "broker" / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it takes connections. Raises :class:`ToolError`."""
        if not self._region.broker_conf.is_file():
            raise ToolError(f"{self._region.broker_conf}: missing; make the region with `fsdctl region init`")
        if _answers(self._address):
            host, port = self._address
            raise ToolError(f"{host}:{port}: something listens there already; is the region being served?")
        binary = find_mosquitto()
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - both arguments are ours
                [binary, "-c", str(self._region.broker_conf)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call; we have no threads yet
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._process is None:
            raise AssertionError("not started")
        return self._process.pid

    def check(self) -> None:
        """Raise :class:`ToolError` with the end of its log if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise ToolError(f"mosquitto ended with exit code {self._process.returncode}:\n{self._log_tail()}")

    def stop(self) -> None:
        """Ask it to end, and insist after a while. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(self._address):
            self.check()
            if time.monotonic() > deadline:
                raise ToolError(
                    f"mosquitto takes no connections after {START_TIMEOUT_S:.0f} s:\n{self._log_tail()}"
                )
            time.sleep(0.02)
        self.check()

    def _log_tail(self) -> str:
        return "\n".join(_read(self._log_path).splitlines()[-LOG_LINES:])


def _end_with_parent() -> None:
    """In the child, before mosquitto runs."""
    parent = os.getppid()
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # The parent ended before the call


def _answers(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1.0).close()
    except OSError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
