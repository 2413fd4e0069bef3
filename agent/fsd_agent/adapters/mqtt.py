"""The broker port over MQTT 5: the route says where to, the vehicle's keys say who we are.

The TLS context is made from the route's own policy for every connection: it trusts that region's authority alone
and asks for the name and the identity that only that region's broker has (:mod:`.tls`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from fsd_agent.adapters.mqtt_dial import Dial
from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.adapters.tls import region_context
from fsd_agent.ports.broker import BrokerEvent
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.records.region import Endpoint, Route
from fsd_agent.rules.trust.certificates import CertificateState, certificate_life

__all__ = ["MqttBroker", "MqttOptions"]

OPTIONS = MqttOptions()


class MqttBroker:
    """See :class:`fsd_agent.ports.broker.Broker`."""

    def __init__(
        self,
        keys: VehicleKeys,
        options: MqttOptions = OPTIONS,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._keys = keys
        self._wall_ns = wall_ns
        self._dscp = options.dscp
        self._link = MqttLink(options)

    def connect(self, route: Route, endpoint: Endpoint, subscriptions: tuple[str, ...]) -> None:
        """See the port; the client id is the vehicle's pseudonym, so that it has one session.

        A certificate of our own that can't be used, or has expired, dials nobody. It is looked at again as soon as after
        a fault of the network: that costs nothing, and a renewed one is to count at once.
        """
        if endpoint not in route.policy.endpoints:
            raise AssertionError(f"{endpoint.host}:{endpoint.port} is not an endpoint of the route's region")
        region_id = route.policy.region_id
        try:
            until_ns = self._keys.certificate_until_ns(region_id)
            life = certificate_life(region_id, until_wall_ns=until_ns, now_wall_ns=self._wall_ns())
            if life.state is CertificateState.EXPIRED:
                self._link.fail(life.detail, refused=False)
                return
            certificate, key = self._keys.tls_certificate(region_id)
            context = region_context(route.policy, endpoint, certificate, key)
        except (VehicleKeyError, OSError) as error:
            self._link.fail(f"this vehicle's certificate can't be used: {error}", refused=False)
            return
        client_id = route.registration.vehicle
        self._link.connect(Dial(endpoint, context, client_id, subscriptions, self._dscp))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """See the port."""
        return self._link.publish(topic, payload, retain=retain)

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        """See the port."""
        return self._link.publish_all(messages)

    def events(self, timeout_s: float) -> tuple[BrokerEvent, ...]:
        """See the port."""
        return self._link.events(timeout_s)

    def wake(self) -> None:
        """See the port."""
        self._link.wake()

    def abandon(self) -> None:
        """See the port."""
        self._link.abandon()

    def close(self) -> None:
        """See the port."""
        self._link.close()
