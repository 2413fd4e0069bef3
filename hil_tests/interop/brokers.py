"""The brokers that the uplink is tried on, as Debian packages them: mutual TLS from the region's authority, one ACL.

Each is configured as an operator would who replaces mosquitto: the same certificates, users from the certificates'
common names, and the access rules of ``fsd_tools.region.broker``. Where a broker can't be told something, its
:class:`Traits` say so, the tests hold it to them, and ``docs/uplink.md`` has the table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fsd_agent.rules.uplink.versions import MqttVersion
from fsd_tools.region.broker_process import BrokerProcess as Process
from fsd_tools.region.broker_process import Patience, find_broker
from fsd_tools.region.layout import RegionDir
from hil_tests.interop import configs

PATIENCE = Patience(start_s=60.0, stop_s=20.0)
"""Two of them start a virtual machine of their own."""
LOG_LINES = 25


class Told(StrEnum):
    """What a vehicle hears of a publish that the broker's rules forbid."""

    REFUSAL = "refusal"
    """In the acknowledgement."""
    NOTHING = "nothing"
    """It is acknowledged like any other, and goes nowhere."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What was measured of a broker; every line is held by a test."""

    package: str
    program: str
    version: MqttVersion
    """What the agent ends up speaking with it."""
    forbidden: Told
    forbidden_cuts: bool
    """The connection is closed after it, too."""
    forbidden_says: str
    """What the agent's status says, in part, where all its topics are forbidden."""
    takes_any_client_id: bool
    """A vehicle that asks for another's client id is connected, as itself or not."""
    retained_survive: bool
    """Retained messages are there again after the broker's restart."""
    sessions_survive: bool
    """So is what was kept for a client that was away."""
    dollar_topics: bool
    """It relays ``$file-async/...``, so that clips can go by the file convention to a receiver behind it."""
    only: MqttVersion | None = None
    """Forced on the agent, where the broker would speak both."""


class BrokerProcess(ABC):
    """One broker on loopback. It ends with us, however we end."""

    traits: Traits

    def __init__(self, region: RegionDir, port: int, folder: Path, vehicles: Sequence[str]) -> None:
        self.region = region
        self.port = port
        self.folder = folder
        self.vehicles = vehicles
        folder.mkdir()
        self._process = Process(self.traits.package, ("127.0.0.1", port), folder / "log", PATIENCE)
        self.configure()

    @abstractmethod
    def configure(self) -> None:
        """Write its files below :attr:`folder`."""

    @abstractmethod
    def argv(self) -> list[str]:
        """What runs it in the foreground."""

    def environment(self) -> Mapping[str, str] | None:
        """Its whole environment; None for ours."""
        return None

    @property
    def program(self) -> str:
        """Path of its binary. Raises ``ToolError`` when it is not installed."""
        return find(self.traits)

    def start(self) -> None:
        """Start it and wait until it takes connections. Raises ``ToolError`` with the end of its log."""
        self._process.start(self.argv(), env=self.environment(), cwd=self.folder)

    def stop(self) -> None:
        """Ask it to end, as a service manager does, and insist after a while."""
        self._process.stop()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._process.kill()

    def log_tail(self, lines: int = LOG_LINES) -> str:
        """The end of what it said."""
        return self._process.log_tail(lines)


def find(traits: Traits) -> str:
    """Path of the binary. Raises ``ToolError`` saying how to get it."""
    advice = f"{traits.package} is not installed: `make interop`, or `apt-get install {traits.package}`"
    return find_broker(traits.program, advice)


class MosquittoProcess(BrokerProcess):
    """The region's own broker on the region's own configuration."""

    traits = Traits(
        package="mosquitto",
        program="mosquitto",
        version=MqttVersion.V5,
        forbidden=Told.REFUSAL,
        forbidden_cuts=True,
        forbidden_says="the broker refused a publish: Not authorized",
        takes_any_client_id=True,
        retained_survive=True,
        sessions_survive=True,
        dollar_topics=True,
    )

    def configure(self) -> None:
        """`fsdctl region init` has done it."""

    def argv(self) -> list[str]:
        """See the base class."""
        return [self.program, "-c", str(self.region.broker_conf)]


class PlainMosquittoProcess(MosquittoProcess):
    """The same, spoken to in 3.1.1."""

    traits = Traits(
        package="mosquitto",
        program="mosquitto",
        version=MqttVersion.V311,
        forbidden=Told.NOTHING,
        forbidden_cuts=True,
        forbidden_says="connection lost",
        takes_any_client_id=True,
        retained_survive=True,
        sessions_survive=True,
        dollar_topics=True,
        only=MqttVersion.V311,
    )


class EjabberdProcess(BrokerProcess):
    """ejabberd's mod_mqtt; a client's common name is its user."""

    traits = Traits(
        package="ejabberd",
        program="ejabberdctl",
        version=MqttVersion.V5,
        forbidden=Told.REFUSAL,
        forbidden_cuts=False,
        forbidden_says="the broker refused the connection: Not authorized",
        takes_any_client_id=False,
        retained_survive=True,
        sessions_survive=False,
        dollar_topics=False,
    )

    def configure(self) -> None:
        """See the base class."""
        (self.folder / "ejabberd.yml").write_text(configs.ejabberd(self.region, self.port, self.folder))

    def argv(self) -> list[str]:
        """Without distribution: no other node, no port mapper."""
        database = f'"{self.folder}/database"'
        erlang = ["erl", "-noinput", "-mnesia", "dir", database, "-s", "ejabberd"]
        return ["env", "ERL_LIBS=/usr/lib/x86_64-linux-gnu", *erlang]

    def environment(self) -> Mapping[str, str]:
        """See the base class."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin",
            "HOME": str(self.folder),
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"),
            "ERL_CRASH_DUMP_BYTES": "0",
            # It verifies clients against OpenSSL's own list, whatever `ca_file` says.
            "SSL_CERT_FILE": str(self.region.authority_cert),
            "SSL_CERT_DIR": str(self.folder / "none"),
        }


class NatsProcess(BrokerProcess):
    """nats-server's MQTT gateway; a client's subject is its user, and users are listed one by one."""

    traits = Traits(
        package="nats-server",
        program="nats-server",
        version=MqttVersion.V311,
        forbidden=Told.NOTHING,
        forbidden_cuts=False,
        forbidden_says="the broker refused a subscription",
        takes_any_client_id=True,
        retained_survive=True,
        sessions_survive=True,
        dollar_topics=True,
    )

    def configure(self) -> None:
        """See the base class."""
        (self.folder / "nats.conf").write_text(
            configs.nats(self.region, self.port, self.folder, self.vehicles)
        )

    def argv(self) -> list[str]:
        """See the base class."""
        return [self.program, "-c", str(self.folder / "nats.conf")]


KINDS: Mapping[str, type[BrokerProcess]] = {
    "mosquitto-5": MosquittoProcess,
    "mosquitto-3.1.1": PlainMosquittoProcess,
    "ejabberd": EjabberdProcess,
    "nats": NatsProcess,
}
