"""The parts of ``fsdctl bench uplink`` on a slow link: what it carries, and what cuts cost."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from fsd_agent.wire.transfer import SEGMENT_BYTES
from fsd_tools.bench.frame import Figure, Goal, Progress, figure
from fsd_tools.bench.uplink_car import Measured
from fsd_tools.bench.uplink_peers import Peer, Spent
from fsd_tools.bench.uplink_place import (
    REGION,
    VEHICLE,
    WINDOW,
    Place,
    in_turns,
    median_cpu_s,
    median_s,
)
from fsd_tools.errors import ToolError
from fsd_tools.rig.far import Far
from fsd_tools.rig.namespaces import Namespace, Network

STREAM: Final = "one TLS stream"
RATE_BPS, ROUND_TRIP_S = 20_000_000, 0.05
CLIPS, CLIP_BYTES = 4, 12 << 20
"""Twenty seconds: what beginning and end take, half a dozen round trips, is not what a link carries."""
CUTS: Final = 30
CUT_CLIPS, CUT_CLIP_BYTES = 24, 3 << 20
CUT_AFTER_S: Final = (0.2, 1.2)
"""From a connection to the next cut, at random."""
RESET_S: Final = 5.0
"""A connection that sends all the time meets the cut long before."""
_REJECT: Final = """\
table inet cut {
chain input {
type filter hook input priority 0;
iifname eth0 tcp dport 8883 reject with tcp reset
}
}
"""


def bench_slow_link(root: Path, c: Peer, rounds: int, progress: Progress) -> list[Figure]:
    """Goodput and processor time at 20 Mbit/s and 50 ms."""
    ours: list[Measured] = []
    peer: list[Spent] = []
    stream: list[Spent] = []
    count = CLIPS * CLIP_BYTES
    with far_place(root, "slow") as (place, _):
        place.fill(CLIPS, CLIP_BYTES, real=False)
        place.count()
        place.listen()
        for number in in_turns(
            rounds,
            lambda: ours.append(place.car("taken")),
            lambda: peer.append(place.peer(c, count // SEGMENT_BYTES)),
            lambda: stream.append(place.stream(count)),
        ):
            progress(f"20 Mbit/s and 50 ms, {number} of {rounds}")
    mbit = 8 * count / 1e6
    rate, carried = mbit / median_s(ours), mbit / median_s(stream)
    name = "20 Mbit/s, 50 ms"
    return [
        figure(f"{name}, goodput", rate, "Mbit/s", peer=STREAM, peer_value=carried, goal=Goal(">=", 0.95)),
        figure(
            f"{name}, goodput beside a client in C",
            rate,
            "Mbit/s",
            peer=c.name,
            peer_value=mbit / median_s(peer),
        ),
        figure(f"{name}, goodput of the rate", rate, "Mbit/s", peer="the rate", peer_value=RATE_BPS / 1e6),
        figure(
            f"{name}, processor time",
            100 * median_cpu_s(ours) / median_s(ours),
            "% of a core",
            peer=c.name,
            peer_value=100 * median_cpu_s(peer) / median_s(peer),
            goal=Goal("<=", 5, of="value"),
        ),
    ]


def bench_cuts(root: Path, progress: Progress) -> list[Figure]:
    """What thirty cuts add."""
    with far_place(root, "cuts") as (place, network):
        place.serve()
        place.fill(CUT_CLIPS, CUT_CLIP_BYTES, real=True)
        cutter = Cutter(network.members[REGION], progress)
        cutter.start()
        try:
            sent = place.car("delivered", cutter.hear)
        finally:
            cutter.stop()
    if cutter.done < CUTS:
        raise ToolError(f"bench uplink: everything was delivered after {cutter.done} of {CUTS} cuts")
    added = sent.given_bytes - sent.clip_bytes
    window = WINDOW * SEGMENT_BYTES
    return [
        figure(
            f"{cutter.done} cuts, added by each",
            added / cutter.done / 1e3,
            "kB",
            peer="the window",
            peer_value=window / 1e3,
            goal=Goal("<=", 1),
        ),
        figure(
            f"{cutter.done} cuts, clips with a receipt",
            sent.delivered_clips,
            "clips",
            peer="clips",
            peer_value=CUT_CLIPS,
            goal=Goal(">=", 1),
        ),
    ]


class Cutter(threading.Thread):
    """Cuts the vehicle's connection again and again, each time a random while after it has come up."""

    def __init__(self, region: Namespace, progress: Progress) -> None:
        super().__init__(name="cutter")
        self.done = 0
        self._region = region
        self._progress = progress
        self._up, self._down, self._over = threading.Event(), threading.Event(), threading.Event()
        self._random = random.Random(5)  # noqa: S311 - moments, no secrets

    def hear(self, event: Mapping[str, Any]) -> None:
        """What the vehicle's side tells. Any thread."""
        if event["event"] == "connected":
            self._down.clear()
            self._up.set()
        elif event["event"] == "disconnected":
            self._up.clear()
            self._down.set()

    def stop(self) -> None:
        """No more cuts."""
        self._over.set()
        self._up.set()
        self._down.set()
        self.join()

    def run(self) -> None:
        """See the class."""
        while self.done < CUTS:
            self._up.wait()
            if self._over.wait(self._random.uniform(*CUT_AFTER_S)):
                return
            self._region.nft(_REJECT)
            met = self._down.wait(RESET_S)
            self._region.nft("delete table inet cut\n")
            self.done += met and not self._over.is_set()
            self._progress(f"cuts, {self.done} of {CUTS}")


@contextlib.contextmanager
def far_place(root: Path, name: str) -> Iterator[tuple[Place, Network]]:
    """A region and a vehicle at both ends of the slow link."""
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network())
        for member in (VEHICLE, REGION):
            network.add(member)
        log = root / f"{name}-far.log"
        stack.enter_context(
            Far(network, VEHICLE, REGION, round_trip_s=ROUND_TRIP_S, rate_bps=RATE_BPS, log=log)
        )
        yield stack.enter_context(contextlib.closing(Place(root / name, network))), network
