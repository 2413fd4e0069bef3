"""What the kernel says of a connection, with real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from fsd_agent.adapters.tcp import TcpProgress, end_when_silent, wait_writable

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far = listener.accept()[0]
    with near, far:
        yield near, far


def fill(sock: socket.socket) -> int:
    """Send until nothing fits any more; how many bytes did."""
    sock.setblocking(False)
    done = 0
    try:
        while True:
            done += sock.send(bytes(1 << 16))
    except BlockingIOError:
        return done


def empty(sock: socket.socket, count: int) -> None:
    while count > 0:
        count -= len(sock.recv(1 << 20))


def test_what_is_acknowledged_is_progress_and_nothing_else_is(pair: Pair) -> None:
    near, far = pair
    progress = TcpProgress(100.0)
    assert progress.still_s(near, 100.0) == 0
    assert progress.still_s(near, 107.0) == 7
    far.sendall(b"what we hear is no sign that we are heard")
    assert progress.still_s(near, 108.0) == 8
    near.sendall(b"heard")
    far.recv(10)
    assert progress.still_s(near, 109.0) == 0
    assert progress.still_s(near, 111.0) == 2


def test_a_full_window_is_no_progress_until_somebody_reads(pair: Pair) -> None:
    near, far = pair
    progress = TcpProgress(0.0)
    sent = fill(near)
    wait_writable(near, 0.2)  # Until the kernel has moved what it can
    progress.still_s(near, 1.0)
    assert progress.still_s(near, 50.0) == 49
    empty(far, sent)
    assert progress.still_s(near, 51.0) == 0


@pytest.mark.parametrize("gone", [True, False])
def test_a_connection_that_is_gone_makes_no_progress(pair: Pair, gone: bool) -> None:
    near, _ = pair
    near.close()
    progress = TcpProgress(5.0)
    assert progress.still_s(None if gone else near, 30.0) == 25


def test_silence_is_ended_by_the_kernel_after_milliseconds_of_what_was_said(pair: Pair) -> None:
    near, _ = pair
    end_when_silent(near, 2.5)
    assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2500


def test_who_waits_for_room_gets_it_or_its_time_is_over(pair: Pair) -> None:
    near, far = pair
    wait_writable(near, 10.0)
    sent = fill(near)
    wait_writable(near, -1.0)
    wait_writable(near, 0.01)
    empty(far, sent)
    wait_writable(near, 10.0)
    assert near.send(b"room") == 4
