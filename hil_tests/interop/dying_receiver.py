"""A region's receiver that is killed (SIGKILL, by itself) after it has stored a clip and before it signs: ``python -m ... DIR``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from fsd_agent.adapters.mqtt_link import MqttLink
from fsd_tools.region.broker import RECEIVER, receiver_subscriptions
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import dial_as, load_policy
from fsd_tools.region.receiver import Receiver
from fsd_tools.region.serve import OPTIONS, Runner


def main(root: Path) -> None:
    """Serve until the first clip is stored."""
    region = RegionDir(root)
    policy = load_policy(region)
    subscriptions = receiver_subscriptions(policy)
    dial = dial_as(policy, RECEIVER, region.receiver_cert, region.receiver_key, subscriptions)

    def tell(name: str, _fields: object) -> None:
        if name == "stored":  # Told when the store is durable; the receipt is signed after it
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "ready":
            sys.stdout.write("ready\n")
            sys.stdout.flush()

    runner = Runner(MqttLink(OPTIONS), lambda: dial, Receiver(region, on_event=tell), tell)
    runner.run(threading.Event(), lambda: None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
