"""``fsdctl bench uplink``: clips to the region, against a C client, over a slow link, and through cuts."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Final

from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.wire.transfer import SEGMENT_BYTES
from fsd_tools.bench.frame import BenchResult, Figure, Goal, Progress, figure, this_machine
from fsd_tools.bench.uplink_car import Measured
from fsd_tools.bench.uplink_far import bench_cuts, bench_slow_link
from fsd_tools.bench.uplink_faults import bench_faults
from fsd_tools.bench.uplink_peers import Peer, Spent, find_peer
from fsd_tools.bench.uplink_place import Place, in_turns, median_cpu_s, median_s
from fsd_tools.errors import ToolError
from fsd_tools.rig.namespaces import why_not

CLIPS: Final = UplinkLimits().active_clips
"""No more than are sent at a time: nobody signs for one, so none would make room for another."""
CLIP_BYTES: Final = 64 << 20
LOOPBACK_TURNS: Final = 4
"""Each round: one is over in a second, in which somebody else may have had the processor."""
RECEIPT_CLIPS, RECEIPT_BYTES = 8, 4 << 20


def bench_uplink(rounds: int, progress: Progress) -> BenchResult:
    """Send sealed clips with the agent's delivering loop, from real spool files under keys, with journal, ledger and consent.

    Everything goes over mutual TLS 1.3 to a mosquitto with the configuration of a region. The peer is a C program over
    libmosquitto: one thread, the same 64 KiB messages at QoS 1, to the same topics, with the same window; its payload
    is one block of memory, and it reads, decrypts, hashes and records nothing. (Without a C compiler or libmosquitto-dev it is
    `mosquitto_pub -l`, timed from outside.) Ours and the peer take turns, every
    second round in reverse; one round is not counted.

    *Loopback*: from the first connection to the last PUBACK. Nobody subscribes to the segments, so neither a receiver nor the
    broker's way to one limits what is compared; a process answers the questions. *To the receipt* is with the region's
    real receiver, which assembles, opens, checks and stores each clip; without a peer.

    *Slow link*: network namespaces, 20 Mbit/s by a token bucket (counted in Ethernet frames), 50 ms of round trip by a relay of
    packets, so TCP sees both. Goodput is bytes of clips. What such a link can carry is measured in the same turns with one
    plain TLS stream of the same bytes; headers of Ethernet, IP, TCP and TLS are 4.7 % of the rate.

    *Cuts*: on that link, with the real receiver, the region's side answers with a TCP reset at random moments, 0.2 to 1.2 s after
    each connection. What segments were given to the connections beyond those of the clips is what cuts cost. Pauses before
    reconnecting are shortened to 0.1 s.

    *Dead link*: from the moment that every packet of the vehicle vanishes. *Suspend*: from the moment that the clocks tell of one,
    with packets of the connection from before vanishing; a machine that measures can't sleep meanwhile.
    """
    reason = why_not()
    if reason is not None:
        raise ToolError(f"bench uplink: the slow link can't be made: {reason}")
    with tempfile.TemporaryDirectory(prefix="fsd-bench-") as folder:
        root = Path(folder)
        c = find_peer(root)
        figures = [
            *_loopback(root, c, rounds, progress),
            *_receipts(root, rounds, progress),
            *bench_slow_link(root, c, rounds, progress),
            *bench_cuts(root, progress),
            *bench_faults(root, progress),
        ]
    return BenchResult("uplink", this_machine(), tuple(figures))


def _loopback(root: Path, c: Peer, rounds: int, progress: Progress) -> list[Figure]:
    ours: list[Measured] = []
    peer: list[Spent] = []
    count = CLIPS * CLIP_BYTES // SEGMENT_BYTES
    with contextlib.closing(Place(root / "loopback")) as place:
        place.fill(CLIPS, CLIP_BYTES, real=False)
        place.count()
        turns = LOOPBACK_TURNS * rounds
        for turn in in_turns(
            turns, lambda: ours.append(place.car("taken")), lambda: peer.append(place.peer(c, count))
        ):
            progress(f"loopback, {turn} of {turns}")
    mb = CLIPS * CLIP_BYTES / 1e6
    return [
        figure(
            "loopback, to the last PUBACK",
            mb / median_s(ours),
            "MB/s",
            peer=c.name,
            peer_value=mb / median_s(peer),
            goal=Goal(">=", 0.5),
        ),
        figure(
            "loopback, processor time",
            1000 * median_cpu_s(ours) / mb,
            "ms/MB",
            peer=c.name,
            peer_value=1000 * median_cpu_s(peer) / mb,
        ),
    ]


def _receipts(root: Path, rounds: int, progress: Progress) -> list[Figure]:
    ours: list[Measured] = []
    with contextlib.closing(Place(root / "receipts")) as place:
        place.serve()

        def turn() -> None:
            place.fill(RECEIPT_CLIPS, RECEIPT_BYTES, real=True)
            ours.append(place.car("delivered"))

        for number in in_turns(rounds, turn):
            progress(f"loopback, to the receipt, {number} of {rounds}")
    mb = ours[-1].clip_bytes / 1e6
    return [
        figure("loopback, to the last receipt", mb / median_s(ours), "MB/s"),
        figure("loopback, memory of the process", max(one.peak_mb for one in ours), "MB"),
    ]
