"""Two members that are far from each other: everything arrives, whole and later."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path

import pytest

from fsd_tools.rig.far import Far
from fsd_tools.rig.namespaces import Namespace, Network, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

ROUND_TRIP_S = 0.05


def exchange(here: Namespace, there: Namespace, data: bytes) -> float:
    """Send it there and back over one connection; how long connecting took, in seconds."""
    with there.inside(lambda: socket.create_server((there.address, 9000))) as listener:
        began_s = time.monotonic()
        client = here.inside(lambda: socket.create_connection((there.address, 9000), timeout=20))
        took_s = time.monotonic() - began_s
        server = listener.accept()[0]
        server.settimeout(20)
        with client, server:
            client.sendall(data)
            assert read(server, len(data)) == data
            server.sendall(data[::-1])
            assert read(client, len(data)) == data[::-1]
    return took_s


def read(sock: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count and (part := sock.recv(count - len(found))):
        found += part
    return bytes(found)


def test_what_is_sent_arrives_whole_and_not_before_its_time(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(100_000)
    with Network() as network:
        here, there = network.add("here"), network.add("there")
        with Far(
            network, "here", "there", round_trip_s=ROUND_TRIP_S, rate_bps=20_000_000, log=tmp_path / "far.log"
        ) as far:
            assert exchange(here, there, data) >= ROUND_TRIP_S
            far.close()
        exchange(here, there, data)
