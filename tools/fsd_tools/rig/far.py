"""Distance between two members of a network: every packet arrives later, and over a bottleneck where one is wanted.

The kernel here need not have ``netem``. In place of the router's own forwarding, a process of ours inside the router takes
whole frames from one port and puts them out at the other port after half of the round trip. Frames wait in memory,
nothing is reordered or changed but the addresses of the next hop. The bottleneck is the kernel's token bucket
(``tbf``, tc(8)) on the way out of each port, with a queue behind it that drops at its end, as in a modem.

``python -m fsd_tools.rig.far DELAY_S PORT HARDWARE_ADDRESS PORT HARDWARE_ADDRESS`` is that process: each port with the address
of who is behind it.
"""

from __future__ import annotations

import errno
import json
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from fsd_tools.errors import ToolError
from fsd_tools.rig.namespaces import ETH_P_ALL, Namespace, Network
from fsd_tools.rig.processes import Child, wait_until

ETH_P_IP = b"\x08\x00"
QUEUE_S = 0.1
"""Of the bottleneck: what it holds before it drops."""
BURST_BYTES = 16 << 10
START_TIMEOUT_S = 10.0
BUFFER_BYTES = 16 << 20
_SOL_PACKET, _PACKET_VNET_HDR, _PACKET_OUTGOING = 263, 15, 4
_SO_RCVBUFFORCE, _SO_SNDBUFFORCE = 33, 32
_VNET_HEADER_BYTES = 10
"""``struct virtio_net_hdr`` (packet(7), PACKET_VNET_HDR): what a veth leaves undone, checksums above all, stays noted."""
_FRAME_BYTES = 1 << 17


class Far:
    """Two members that are far from each other. Close it to have them near again."""

    def __init__(
        self, network: Network, one: str, other: str, *, round_trip_s: float, rate_bps: int, log: Path
    ) -> None:
        """``rate_bps``: bits of Ethernet frames a second, each way. Raises :class:`ToolError`."""
        self._network = network
        self._ports = [network.port(name) for name in (one, other)]
        self._child: Child | None = None
        # Else a packet would go twice: by the kernel at once, and by us later.
        network.router.nft(
            "table inet far {\nchain forward {\ntype filter hook forward priority 0; policy drop;\n}\n}\n"
        )
        for name in (one, other):
            member = network.members[name]
            # One packet, one frame: a burst of 64 KiB passes no real link as one.
            member.run("ip", "link", "set", "eth0", "gso_max_size", "1514", "gso_max_segs", "1")
            self._shape(network.port(name), rate_bps)
        argv = [sys.executable, "-m", "fsd_tools.rig.far", str(round_trip_s / 2)]
        for name, port in zip((one, other), self._ports, strict=True):
            argv += [port, _hardware_address(network.members[name], "eth0")]
        ready: list[bool] = []
        child = Child("far", network.router.argv(*argv), log=log, on_event=lambda _: ready.append(True))
        self._child = child
        wait_until(lambda: bool(ready) or not child.running(), timeout_s=START_TIMEOUT_S, what="a far link")
        if not ready:
            raise ToolError(f"the far link did not start:\n{child.log_tail()}")

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Have them near again."""
        self.close()

    def close(self) -> None:
        """Have them near again. Safe to call twice."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()
            self._network.router.nft("delete table inet far\n")
            for port in self._ports:
                self._network.router.run("tc", "qdisc", "del", "dev", port, "root")

    def _shape(self, port: str, rate_bps: int) -> None:
        limit = int(rate_bps / 8 * QUEUE_S)
        self._network.router.run(
            "tc", "qdisc", "replace", "dev", port, "root", "tbf", "rate", f"{rate_bps}bit",
            "burst", str(BURST_BYTES), "limit", str(limit),
        )  # fmt: skip


def _hardware_address(member: Namespace, interface: str) -> str:
    found: list[dict[str, str]] = json.loads(member.run("ip", "-j", "link", "show", interface))
    return found[0]["address"]


@dataclass(slots=True)
class _Port:
    """One side."""

    packets: socket.socket
    ours: bytes
    """Hardware address of the router's port."""
    theirs: bytes
    """Hardware address of who is behind it."""
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    """(when it is due, frame), to go out here."""

    @classmethod
    def open(cls, interface: str, theirs: str) -> Self:
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        packets.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
        packets.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, BUFFER_BYTES)
        packets.bind((interface, ETH_P_ALL))
        packets.setblocking(False)
        return cls(packets, packets.getsockname()[4], bytes.fromhex(theirs.replace(":", "")))

    def take(self) -> list[bytes]:
        """IP packets that have arrived for us to pass on, as they go out elsewhere but for the addresses."""
        found: list[bytes] = []
        while True:
            try:
                data, address = self.packets.recvfrom(_FRAME_BYTES)
            except BlockingIOError:
                return found
            start = _VNET_HEADER_BYTES
            passing = data[start : start + 6] == self.ours and data[start + 12 : start + 14] == ETH_P_IP
            if address[2] != _PACKET_OUTGOING and passing:
                found.append(data)

    def put(self, now_s: float) -> None:
        """What is due. What the bottleneck has no room for is lost, as it would be there."""
        while self.waiting and self.waiting[0][0] <= now_s:
            data = self.waiting.popleft()[1]
            header, rest = data[:_VNET_HEADER_BYTES], data[_VNET_HEADER_BYTES + 12 :]
            try:
                self.packets.send(header + self.theirs + self.ours + rest)
            except OSError as error:
                if error.errno not in {errno.ENOBUFS, errno.EAGAIN, errno.ENETDOWN}:
                    raise


def main(argv: list[str]) -> None:
    """Pass frames on until the process is ended."""
    delay_s, ports = float(argv[0]), [_Port.open(argv[1], argv[2]), _Port.open(argv[3], argv[4])]
    print('{"event": "ready"}', flush=True)
    while True:
        due_s = min((port.waiting[0][0] for port in ports if port.waiting), default=None)
        wait_s = None if due_s is None else max(0.0, due_s - time.monotonic())
        select.select([port.packets for port in ports], [], [], wait_s)
        now_s = time.monotonic()
        for port, other in zip(ports, reversed(ports), strict=True):
            other.waiting.extend((now_s + delay_s, data) for data in port.take())
        for port in ports:
            port.put(time.monotonic())


if __name__ == "__main__":
    main(sys.argv[1:])
