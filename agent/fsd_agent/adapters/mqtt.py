"""The broker port over MQTT 5: the route says where to, the vehicle's keys say who we are.

The TLS context is made from the route's own policy for every connection: it trusts that region's authority alone
and asks for the name and the identity that only that region's broker has (:mod:`.tls`).
"""

from __future__ import annotations

from fsd_agent.adapters.key_files import KeyFileError
from fsd_agent.adapters.mqtt_dial import Dial
from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.adapters.tls import region_context
from fsd_agent.ports.broker import BrokerEvent
from fsd_agent.ports.vehicle_keys import VehicleKeys
from fsd_agent.records.region import Endpoint, Route

__all__ = ["MqttBroker", "MqttOptions"]

OPTIONS = MqttOptions()


class MqttBroker:
    """See :class:`fsd_agent.ports.broker.Broker`."""

    def __init__(self, keys: VehicleKeys, options: MqttOptions = OPTIONS) -> None:
        self._keys = keys
        self._link = MqttLink(options)

    def connect(self, route: Route, endpoint: Endpoint, subscriptions: tuple[str, ...]) -> None:
        """See the port; the client id is the vehicle's pseudonym, so that it has one session."""
        if endpoint not in route.policy.endpoints:
            raise AssertionError(f"{endpoint.host}:{endpoint.port} is not an endpoint of the route's region")
        try:
            certificate, key = self._keys.tls_certificate(route.policy.region_id)
            context = region_context(route.policy, endpoint, certificate, key)
        except (KeyFileError, OSError) as error:
            self._link.fail(f"this vehicle's certificate can't be used: {error}", refused=True)
            return
        client_id = route.registration.vehicle
        self._link.connect(Dial(endpoint, context, client_id, subscriptions))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """See the port."""
        return self._link.publish(topic, payload, retain=retain)

    def events(self, timeout_s: float) -> tuple[BrokerEvent, ...]:
        """See the port."""
        return self._link.events(timeout_s)

    def wake(self) -> None:
        """See the port."""
        self._link.wake()

    def close(self) -> None:
        """See the port."""
        self._link.close()
