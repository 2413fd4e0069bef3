"""A connection on a slow link: acknowledgements are acted on together, and nothing that is to be sent waits for them."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd_agent.adapters.mqtt_dial import Dial
from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.ports.broker import Acked, Connected, Disconnected
from fsd_agent.records.region import Endpoint
from fsd_tools.region import authority as ca

NAME = "broker.cn.fsd.invalid"
WINDOW = 8
CONNACK = bytes([0x20, 3, 0, 0, 0])
SEGMENT = bytes(40_000)
PUBLISH, DISCONNECT = 3, 14


class SlowBroker(threading.Thread):
    """Takes one connection, and acknowledges one message each time that the link would have carried it."""

    def __init__(self, folder: Path, gap_s: float) -> None:
        super().__init__()
        now = dt.datetime.now(dt.UTC)
        authority, key = ca.new_authority("cn", now), ca.new_key()
        certificate = ca.issue_broker(
            authority, key.public_key(), server_name=NAME, identity_uri="urn:fsd:region:cn", now=now
        )
        (folder / "broker.pem").write_bytes(ca.certificate_pem(certificate) + ca.key_pem(key))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "broker.pem")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._gap_s = gap_s
        self.numbers: list[int] = []
        """Of the messages that came, in order."""
        self.hang_up = threading.Event()
        """Set: it goes away at the next message, without a word."""
        self.acknowledges = True
        self.said_goodbye = False
        self.trusted = ssl.create_default_context(cadata=ca.certificate_pem(authority.certificate).decode())
        self.start()

    @property
    def dial(self) -> Dial:
        endpoint = Endpoint("127.0.0.1", ("127.0.0.1",), self._listener.getsockname()[1], NAME, "CN")
        return Dial(endpoint, self.trusted, "car-1", ())

    def run(self) -> None:
        try:
            self._serve()
        except OSError:
            return  # The vehicle went away while something was to be told to it

    def _serve(self) -> None:
        with self._listener, self._context.wrap_socket(self._listener.accept()[0], server_side=True) as peer:
            self._packet(peer)
            peer.sendall(CONNACK)
            while True:
                kind, body = self._packet(peer)
                if kind == DISCONNECT:
                    self.said_goodbye = True
                    return
                if self.hang_up.wait(self._gap_s):
                    return
                assert kind == PUBLISH
                at = 2 + int.from_bytes(body[:2], "big")
                self.numbers.append(int.from_bytes(body[at : at + 2], "big"))
                if self.acknowledges:
                    peer.sendall(bytes([0x40, 2]) + body[at : at + 2])

    def _packet(self, peer: ssl.SSLSocket) -> tuple[int, bytes]:
        kind, length, shift = self._read(peer, 1)[0] >> 4, 0, 0
        while (byte := self._read(peer, 1)[0]) & 0x80:
            length, shift = length | (byte & 0x7F) << shift, shift + 7
        return kind, self._read(peer, length | byte << shift)

    def _read(self, peer: ssl.SSLSocket, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = peer.recv(count - len(found))
            if not part:
                raise ConnectionError("the vehicle went away")
            found += part
        return found


class Road:
    """A connection to such a broker, up."""

    def __init__(self, folder: Path) -> None:
        self.broker = SlowBroker(folder, gap_s=0.02)
        self.link = MqttLink(MqttOptions(window=WINDOW))
        self.link.connect(self.broker.dial)
        self.given: set[int] = set()
        self.taken: list[int] = []
        (event,) = self.link.events(10)
        assert isinstance(event, Connected)

    def fill(self) -> None:
        while len(self.given) < WINDOW:
            self.given.add(self.link.publish("a", SEGMENT))

    def hear(self) -> tuple[object, ...]:
        events = self.link.events(10)
        for event in events:
            if isinstance(event, Acked):
                self.given.remove(event.token)
                self.taken.append(event.token)
        return events


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    made = Road(tmp_path)
    yield made
    made.link.close()
    made.broker.join(10)
    assert not made.broker.is_alive()


def test_acknowledgements_that_come_one_by_one_wake_the_loop_for_several(road: Road) -> None:
    woken = []
    while len(road.taken) < 100:
        road.fill()
        road.hear()
        woken.append(len(road.taken))
    late = [count for count in woken if count >= 40]
    assert (late[-1] - late[0]) >= 2 * (len(late) - 1)
    assert road.taken == sorted(road.taken), "each once, in the order in which they were published"
    assert road.broker.numbers[:100] == road.taken[:100]


def test_what_was_published_leaves_before_the_last_word(road: Road) -> None:
    road.broker.acknowledges = False
    road.fill()
    road.link.close()
    road.broker.join(10)
    assert road.broker.said_goodbye
    assert road.broker.numbers == sorted(road.given)


def test_a_broker_that_goes_away_in_a_pause_is_noticed(road: Road) -> None:
    while len(road.taken) < 40:
        road.fill()
        road.hear()
    road.broker.hang_up.set()
    road.fill()
    while not any(isinstance(event, Disconnected) for event in road.hear()):
        road.fill()
    assert road.link.publish("a", b"") < 0, "as lost as the others"
