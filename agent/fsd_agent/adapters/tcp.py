"""What the kernel knows of a connection, and does about it: see tcp(7).

Whether what we send still gets through is seen by what the peer's TCP has acknowledged. On a slow link a segment takes longer
than any answer to a ping may, and bytes are acknowledged all the time; on a dead one none are, however much is in flight.
"""

from __future__ import annotations

import select
import socket
import struct
from typing import Any

_TCP_INFO_BYTES = 128
_BYTES_ACKED = struct.Struct("=120xQ")
"""``tcpi_bytes_acked`` in ``struct tcp_info``, since Linux 4.1; the layout only grows."""


class TcpProgress:
    """Of one connection. Times are monotonic seconds."""

    def __init__(self, now_s: float) -> None:
        self._acked = -1
        self._since_s = now_s

    def still_s(self, sock: Any, now_s: float) -> float:
        """How long, as far as we have looked, nothing new was acknowledged. ``sock`` is the connection's, or None."""
        acked = _acked_bytes(sock)
        if acked != self._acked:
            self._acked, self._since_s = acked, now_s
        return now_s - self._since_s


def _acked_bytes(sock: Any) -> int:
    if sock is None or sock.fileno() < 0:
        return -1
    (acked,) = _BYTES_ACKED.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES))
    return int(acked)


def end_when_silent(sock: socket.socket, silence_s: float) -> None:
    """End the connection where what was sent has not been acknowledged for so long; else it takes a quarter of an hour."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(silence_s * 1000))


def wait_writable(sock: Any, wait_s: float) -> None:
    """Until there is room to write, something is wrong with it, or the time is over."""
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    poll.poll(1000 * max(0.0, wait_s))
