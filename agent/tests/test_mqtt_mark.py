"""Packets to the broker are marked as of lower effort: on the socket, and on the wire."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fsd_agent.adapters.mqtt_dial import LOWER_EFFORT, Dial, dial_tls
from fsd_agent.records.region import Endpoint

ETH_P_ALL = 0x0003


@contextmanager
def listener(host: str) -> Iterator[tuple[int, list[socket.socket]]]:
    """A server that takes one connection and says nothing; its port, and the connection."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken: list[socket.socket] = []
    try:
        server = socket.create_server((host, 0), family=family)
    except OSError as error:
        pytest.skip(f"{host}: {error.strerror}")
    with server:
        thread = threading.Thread(target=lambda: taken.append(server.accept()[0]))
        thread.start()
        try:
            yield server.getsockname()[1], taken
        finally:
            thread.join(5)
            for one in taken:
                one.close()


class Marked(ssl.SSLContext):
    """Notes how the socket is marked that TLS is to be spoken over, and goes no further."""

    found: tuple[int, int] = (0, 0)

    def wrap_socket(self, sock: socket.socket, **_more: object) -> ssl.SSLSocket:  # type: ignore[override]
        if sock.family is socket.AF_INET6:
            self.found = (sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS), 6)
        else:
            self.found = (sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS), 4)
        sock.sendall(b"hello")
        raise ConnectionAbortedError("seen enough")


def dialled(host: str, port: int, **more: int) -> tuple[int, int]:
    context = Marked(ssl.PROTOCOL_TLS_CLIENT)
    dial = Dial(Endpoint(host, (host,), port, "broker.invalid", "CN"), context, "car-1", (), **more)
    with pytest.raises(ConnectionAbortedError):
        dial_tls(dial, 5.0)
    return context.found


@pytest.mark.parametrize(("host", "version"), [("127.0.0.1", 4), ("::1", 6)])
def test_the_socket_is_marked(host: str, version: int) -> None:
    assert LOWER_EFFORT == 0b000001, "RFC 8622"
    for more, mark in (({}, LOWER_EFFORT << 2), ({"dscp": 8}, 8 << 2), ({"dscp": 0}, 0)):
        with listener(host) as (port, _):
            assert dialled(host, port, **more) == (mark, version)


def test_the_packets_are_marked() -> None:
    try:
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    except PermissionError:
        pytest.skip("looking at packets needs CAP_NET_RAW")
    with wire, listener("127.0.0.1") as (port, _):
        wire.bind(("lo", ETH_P_ALL))
        wire.settimeout(5)
        dialled("127.0.0.1", port)
        while True:
            packet = wire.recv(65_536)
            start = (packet[0] & 15) * 4
            is_ours = packet[0] >> 4 == 4 and int.from_bytes(packet[start + 2 : start + 4], "big") == port
            if is_ours and packet.endswith(b"hello"):
                break
    assert packet[1] == LOWER_EFFORT << 2
