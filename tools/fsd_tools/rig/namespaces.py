"""A small internet of network namespaces: a router, and members that reach each other only through it.

    car-a 10.77.1.2 ---- 10.77.1.1 +--------+ 10.77.2.1 ---- 10.77.2.2 cn
    car-b 10.77.3.2 ---- 10.77.3.1 | router | 10.77.4.1 ---- 10.77.4.2 eu

Nothing in it has a way out. Every namespace is held by one sleeping process of ours, and nothing has a name in the
file system: when the holders end, the kernel removes namespaces, links, rules and all. Holders and everything started
inside get SIGKILL when the thread that started them ends (``prctl(2)``, PR_SET_PDEATHSIG), so nothing is left behind,
not even after a SIGKILL of ours.

Needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN), ``ip``, ``nft`` and util-linux; :func:`why_not` says what is missing.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from fsd_tools.errors import ToolError

T = TypeVar("T")
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_NEEDED = ("ip", "nft", "unshare", "nsenter", "setpriv", "mount", "sleep")
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
START_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 20.0
ETH_P_ALL = 3
CAPTURE_BYTES = 64 << 20
"""Socket buffer of a capture: a whole schedule fits, so nothing is lost while nobody reads."""


def why_not() -> str | None:
    """Why namespaces can't be made here; None where they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [name for name in _NEEDED if _find(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        with Network() as network:
            network.add("probe").nft("table inet probe {\ncounter c { }\n}\n")
    except ToolError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True)
class Count:
    """One named counter."""

    packets: int
    bytes: int

    def __sub__(self, before: Count) -> Count:
        return Count(self.packets - before.packets, self.bytes - before.bytes)


class Namespace:
    """One machine of the small internet: its own network, and its own mounts."""

    def __init__(self, name: str, address: str) -> None:
        """Start the holder and wait until it is inside. Raises :class:`ToolError`."""
        self.name = name
        self.address = address
        self._holder = subprocess.Popen(  # noqa: S603 - argv is ours, no shell
            [*_dies_with_us(), _path("unshare"), "--net", "--mount", _path("sleep"), "infinity"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._inside():
            if self._holder.poll() is not None or time.monotonic() > deadline:
                said = self.close().decode(errors="replace").strip()
                raise ToolError(f"namespace {name} can't be made: {said or 'no answer'}")
            time.sleep(0.002)

    @property
    def pid(self) -> int:
        """Of the holder."""
        return self._holder.pid

    def argv(self, *command: str | Path) -> list[str]:
        """``command`` inside, in the present working directory."""
        enter = [_path("nsenter"), f"--net=/proc/{self.pid}/ns/net", f"--mount=/proc/{self.pid}/ns/mnt"]
        return [*_dies_with_us(), *enter, f"--wdns={Path.cwd()}", "--", *map(str, command)]

    def run(self, *command: str | Path, text: str | None = None) -> str:
        """Run a command inside to its end and return its stdout; raises :class:`ToolError`."""
        done = subprocess.run(  # noqa: S603 - argv is ours, no shell
            self.argv(*command),
            input=text if text is not None else "",
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise ToolError(f"in {self.name}: {' '.join(map(str, command))}: {done.stderr.strip()}")
        return done.stdout

    def nft(self, ruleset: str) -> None:
        """Load rules."""
        self.run(_path("nft"), "-f", "-", text=ruleset)

    def counters(self) -> dict[str, Count]:
        """Every named counter, by name."""
        found: Any = json.loads(self.run(_path("nft"), "-j", "list", "counters"))
        return {
            one["counter"]["name"]: Count(one["counter"]["packets"], one["counter"]["bytes"])
            for one in found["nftables"]
            if "counter" in one
        }

    def counted(self, *members: Namespace) -> dict[str, Count]:
        """What arrived from each member, by its name; see :func:`count_from`."""
        counters = self.counters()
        return {one.name: counters[_counter(one)] for one in members}

    def capture(self, interface: str) -> socket.socket:
        """A packet socket on an interface inside, readable from here: whole frames, both directions."""

        def take() -> socket.socket:
            packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            packets.setsockopt(socket.SOL_SOCKET, 33, CAPTURE_BYTES)  # SO_RCVBUFFORCE
            packets.bind((interface, ETH_P_ALL))
            packets.setblocking(False)
            return packets

        try:
            return self.inside(take)
        except OSError as error:
            raise ToolError(f"in {self.name}: can't capture on {interface}: {error.strerror}") from error

    def inside(self, act: Callable[[], T]) -> T:
        """Call ``act`` in a thread of its own, whose new sockets are in here; what it raises is raised."""

        def enter() -> T:
            # setns(2) moves one thread; this one ends with the namespace it took.
            with Path(f"/proc/{self.pid}/ns/net").open("rb") as target:
                if _LIBC.setns(target.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
            return act()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(enter).result()

    def close(self) -> bytes:
        """End the holder: the kernel removes the rest when nothing runs inside any more. What it said is returned."""
        self._holder.kill()
        return self._holder.communicate()[1]

    def _inside(self) -> bool:
        ours = Path("/proc/self/ns")
        theirs = Path(f"/proc/{self.pid}/ns")
        try:
            return all((theirs / kind).readlink() != (ours / kind).readlink() for kind in ("net", "mnt"))
        except OSError:
            return False


class Network:
    """The router and its members. Close it to remove everything."""

    def __init__(self) -> None:
        self.router = Namespace("router", "")
        self._members: dict[str, Namespace] = {}
        try:
            self.router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        except ToolError:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove everything."""
        self.close()

    @property
    def members(self) -> Mapping[str, Namespace]:
        """By name."""
        return self._members

    def add(self, name: str) -> Namespace:
        """A further member, linked to the router."""
        number = len(self._members) + 1
        member = Namespace(name, f"10.77.{number}.2")
        self._members[name] = member
        link = port_of(number)
        # No IPv6: its neighbour discovery would count as packets that nobody sent.
        quiet = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $f; done"
        self.router.run(
            _path("ip"), "-batch", "-",
            text=f"link add {link} type veth peer name eth0 netns {member.pid}\n"
            f"addr add 10.77.{number}.1/24 dev {link}\n",
        )  # fmt: skip
        self.router.run("sh", "-c", quiet)
        self.router.run(_path("ip"), "link", "set", link, "up")
        member.run("sh", "-c", quiet)
        member.run(
            _path("ip"), "-batch", "-",
            text=f"link set lo up\naddr add {member.address}/24 dev eth0\nlink set eth0 up\n"
            f"route add default via 10.77.{number}.1\n",
        )  # fmt: skip
        return member

    def port(self, name: str) -> str:
        """The router's interface that a member is linked to."""
        return port_of(list(self._members).index(name) + 1)

    def close(self) -> None:
        """Remove every namespace."""
        for member in self._members.values():
            member.close()
        self.router.close()


def port_of(number: int) -> str:
    """Name of the router's interface to the member of this number."""
    return f"port{number}"


def count_from(members: Sequence[Namespace]) -> str:
    """Rules that count what arrives from each member, in a counter of its own: for :meth:`Namespace.counted`.

    Before anything else has seen the packet (priority -300), whatever it is for.
    """
    names = [(_counter(one), one.address) for one in members]
    return "\n".join([
        "table inet arrived {",
        *(f"counter {name} {{ }}" for name, _ in names),
        "chain prerouting {",
        "type filter hook prerouting priority -300;",
        *(f"ip saddr {address} counter name {name}" for name, address in names),
        "}\n}\n",
    ])  # fmt: skip


def _counter(member: Namespace) -> str:
    return "from_" + member.name.replace("-", "_")


def _dies_with_us() -> list[str]:
    return [_path("setpriv"), "--pdeathsig", "KILL"]


def _path(name: str) -> str:
    found = _find(name)
    if found is None:
        raise ToolError(f"{name} is not installed; `make setup` gets what the project needs")
    return found


def _find(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_SBIN)
