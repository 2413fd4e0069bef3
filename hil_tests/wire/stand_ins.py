"""What is not real in a stepped life: its samples, its clock, and, where a wall is down, a careless part."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fsd_agent.adapters.key_files import KeyFiles, VehicleDir
from fsd_agent.adapters.mqtt_dial import Dial
from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.pipeline.whereabouts import Whereabouts
from fsd_agent.ports.broker import Broker, BrokerEvent, Connected, Disconnected
from fsd_agent.records.region import Endpoint, Hold, RegionPolicy, Route
from fsd_firmware.can_frames import empty_can
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.contract import VehicleDescription
from fsd_firmware.samples import SensedBatch, Signals, empty_gnss
from fsd_firmware.surroundings import POWERED, LinkKind, LinkState, Surroundings

S = 1_000_000_000
CATALOGUE = Catalogue((CatalogueEntry("Vehicle.Speed", "double", "km/h", 0, 300, "speed"),))
VEHICLE = VehicleDescription((), CATALOGUE, None)
OPTIONS = MqttOptions(connect_timeout_s=1.0, close_timeout_s=0.2)


class LeapClock:
    """The machine's clocks; the monotonic one can be made to leap forward."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def monotonic_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`."""
        return time.monotonic_ns() + self.ahead_ns

    def wall_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`."""
        return time.time_ns()

    def suspended_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`: never."""
        return 0


class Speeds:
    """Firmware: files of a registration and of consent, and batches of one second each at a given speed."""

    def __init__(self, files: VehicleDir, start_ns: int) -> None:
        self._files = files
        self._next_ns = start_ns
        self._speeds: list[float] = []

    def describe(self) -> VehicleDescription:
        """See :class:`fsd_firmware.contract.Firmware`."""
        return VEHICLE

    def registration(self) -> bytes | None:
        """See :class:`fsd_firmware.contract.Firmware`."""
        return _document(self._files.registration)

    def consent(self) -> bytes | None:
        """See :class:`fsd_firmware.contract.Firmware`."""
        return _document(self._files.consent)

    def surroundings(self) -> Surroundings:
        """Parked at home. See :class:`fsd_firmware.contract.Firmware`."""
        return Surroundings(LinkState(LinkKind.WIFI, metered=False, roaming=False), POWERED)

    def give_back(self) -> None:
        """See :class:`fsd_firmware.contract.Firmware`."""
        return

    def drive(self, *speeds: float) -> int:
        """Have these speeds in the next batches, one second each; how many."""
        self._speeds += speeds
        return len(speeds)

    def poll(self) -> SensedBatch | None:
        """See :class:`fsd_firmware.contract.Firmware`."""
        start, until = self._next_ns, self._next_ns + S
        self._next_ns = until
        times = np.arange(start, until, S // 4)
        values = np.full(len(times), self._speeds.pop(0))
        return SensedBatch(
            until_ns=until,
            wall_minus_mono_ns=time.time_ns() - until,
            can=empty_can(),
            signals=Signals(times, np.zeros(len(times), np.int32), values),
            packets=(),
            frames=(),
            detections=(),
            gnss=empty_gnss(),
            modes=(),
        )

    def close(self) -> None:
        """See :class:`fsd_firmware.contract.Firmware`."""
        return


def _document(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


class TrustingBroker:
    """What a careless client does: dials, presents its certificate and talks, whoever answers."""

    def __init__(self, keys: KeyFiles) -> None:
        self._keys = keys
        self._link = MqttLink(OPTIONS)

    def connect(self, route: Route, endpoint: Endpoint, subscriptions: tuple[str, ...]) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(*self._keys.tls_certificate(route.policy.region_id))
        self._link.connect(Dial(endpoint, context, route.registration.vehicle, subscriptions))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        return self._link.publish(topic, payload, retain=retain)

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        return self._link.publish_all(messages)

    def events(self, timeout_s: float) -> tuple[BrokerEvent, ...]:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        return self._link.events(timeout_s)

    def wake(self) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self._link.wake()

    def abandon(self) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self._link.abandon()

    def close(self) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self._link.close()


class NotedBroker:
    """Notes attempts, so that one that is under way can be told from one that is not due yet."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.dialling = False

    def connect(self, route: Route, endpoint: Endpoint, subscriptions: tuple[str, ...]) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self.dialling = True
        self._broker.connect(route, endpoint, subscriptions)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        return self._broker.publish(topic, payload, retain=retain)

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        return self._broker.publish_all(messages)

    def events(self, timeout_s: float) -> tuple[BrokerEvent, ...]:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        events = self._broker.events(timeout_s)
        self.dialling &= not any(isinstance(event, Connected | Disconnected) for event in events)
        return events

    def wake(self) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self._broker.wake()

    def abandon(self) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self._broker.abandon()

    def close(self) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self.dialling = False
        self._broker.close()


class WrongSeal:
    """A residence whose routes carry another region's sealing key."""

    def __init__(self, residence: Whereabouts, policies: Sequence[RegionPolicy]) -> None:
        self._residence = residence
        self._policies = policies

    @property
    def current(self) -> Route | Hold:
        """See :class:`fsd_agent.pipeline.whereabouts.Whereabouts`, like the others."""
        where = self._residence.current
        return where if isinstance(where, Hold) else self._wrong(where)

    @property
    def left(self) -> tuple[Route, ...]:
        """Wrong too."""
        return tuple(map(self._wrong, self._residence.left))

    @property
    def erased(self) -> frozenset[str]:
        """As it is."""
        return self._residence.erased

    @property
    def refused_policies(self) -> Mapping[str, str]:
        """As it is."""
        return self._residence.refused_policies

    def _wrong(self, where: Route) -> Route:
        other = next(one for one in self._policies if one.region_id != where.policy.region_id)
        return replace(where, policy=replace(where.policy, sealing_keys=other.sealing_keys))
