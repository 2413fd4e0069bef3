"""The peers of ``fsdctl bench uplink``: our C program over libmosquitto, or ``mosquitto_pub -l`` where it can't be built.

The C program says itself what it took, from its first message on. ``mosquitto_pub`` is timed from outside, and once more with one
message alone, which is taken off; its messages come through a pipe.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fsd_agent.wire.transfer import SEGMENT_BYTES
from fsd_tools.errors import ToolError

SOURCE = Path(__file__).with_name("uplink_peer.c")
TIMEOUT_S = 120.0
HOW = "`apt-get install gcc libc6-dev libmosquitto-dev`"


class Spent(msgspec.Struct, frozen=True):
    """What a peer took from its first message to the last acknowledgement."""

    seconds: float
    cpu_s: float

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.seconds - other.seconds, self.cpu_s - other.cpu_s)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a peer sends to, and as whom."""

    host: str
    port: int
    authority: Path
    certificate: Path
    key: Path
    client_id: str
    topic: str
    """Without the offset of a segment."""
    window: int


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that sends segments of nothing; made by :func:`find_peer`."""

    name: str
    send: Callable[[Target, int, Callable[..., list[str]]], Spent]
    """To where, how many, and what makes a command line one that runs where the vehicle is. Raises :class:`ToolError`."""


def find_peer(folder: Path) -> Peer:
    """The C program, built in ``folder``, else mosquitto_pub; raises :class:`ToolError` where there is neither."""
    try:
        program = build(folder)
    except ToolError as error:
        found = shutil.which("mosquitto_pub")
        if found is None:
            raise ToolError(f"{error}; or `apt-get install mosquitto-clients` for a weaker peer") from None
        return Peer("mosquitto_pub -l", lambda target, count, place: _pub(Path(found), target, count, place))
    return Peer("libmosquitto in C", lambda target, count, place: _c(program, target, count, place))


def build(folder: Path) -> Path:
    """Compile the C program; raises :class:`ToolError` saying what is missing and how to get it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise ToolError(f"bench uplink: its peer is written in C, and there is no compiler: {HOW}")
    program = folder / "uplink_peer"
    done = subprocess.run(  # noqa: S603 - our own source
        [compiler, "-O2", "-Wall", "-o", str(program), str(SOURCE), "-lmosquitto"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ToolError(f"bench uplink: its peer does not compile ({lines[0]}): {HOW}")
    return program


def _c(program: Path, target: Target, count: int, place: Callable[..., list[str]]) -> Spent:
    argv = place(
        program, target.host, target.port, target.authority, target.certificate, target.key,
        target.client_id, target.topic, target.window, count, SEGMENT_BYTES,
    )  # fmt: skip
    return spent(argv)


def spent(argv: list[str]) -> Spent:
    """What a program says that it spent. Raises :class:`ToolError`."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603 - our own programs
    if done.returncode:
        raise ToolError(f"bench uplink: {argv[-1]}: {done.stderr.strip() or done.returncode}")
    return msgspec.json.decode(done.stdout, type=Spent)


def _pub(program: Path, target: Target, count: int, place: Callable[..., list[str]]) -> Spent:
    argv = place(
        program, "-V", "5", "-h", target.host, "-p", target.port, "--cafile", target.authority,
        "--cert", target.certificate, "--key", target.key, "--tls-version", "tlsv1.3", "--insecure",
        "-i", target.client_id, "-t", f"{target.topic}/0/{'0' * 64}", "-q", "1", "-M", target.window, "-l",
    )  # fmt: skip
    return _piped(argv, count + 1) - _piped(argv, 1)


def _piped(argv: list[str], count: int) -> Spent:
    line = b"z" * SEGMENT_BYTES + b"\n"
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:  # noqa: S603 - see above
        if child.stdin is None:
            raise AssertionError("stdin is a pipe")
        for _ in range(count):
            child.stdin.write(line)
        said = child.communicate(timeout=TIMEOUT_S)[1]
    took_s, after = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    if child.returncode:
        raise ToolError(f"bench uplink: {argv[0]}: {said.decode(errors='replace').strip()}")
    return Spent(took_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
