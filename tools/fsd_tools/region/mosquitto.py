"""The region's broker: mosquitto on the region's own configuration, as a child process (:mod:`.broker_process`)."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from fsd_tools.errors import ToolError
from fsd_tools.region.broker_process import BrokerProcess, find_broker, listens
from fsd_tools.region.layout import RegionDir


def find_mosquitto() -> str:
    """Path of the binary. Raises :class:`ToolError` saying how to get it."""
    return find_broker(
        "mosquitto",
        "mosquitto is not installed: `make setup`, or `apt-get install mosquitto` (2.0 or newer), gets it",
    )


class Mosquitto:
    """One running broker, as a context manager."""

    def __init__(self, region: RegionDir, host: str, port: int) -> None:
        self._region = region
        self._address = (host, port)
        self._log = region.root / "broker" / "mosquitto.log"
        self._process = BrokerProcess("mosquitto", self._address, self._log)

    def __enter__(self) -> Self:
        """Start it and wait until it takes connections. Raises :class:`ToolError`."""
        if not self._region.broker_conf.is_file():
            raise ToolError(f"{self._region.broker_conf}: missing; make the region with `fsdctl region init`")
        if listens(*self._address):
            host, port = self._address
            raise ToolError(f"{host}:{port}: something listens there already; is the region being served?")
        binary = find_mosquitto()
        self._log.write_bytes(b"")  # Of this run alone
        self._process.start([binary, "-c", str(self._region.broker_conf)])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise :class:`ToolError` with the end of its log if it has ended."""
        self._process.check()

    def stop(self) -> None:
        """Ask it to end, and insist after a while. Safe to call twice."""
        self._process.stop()
