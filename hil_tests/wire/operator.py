"""A region's operator as a process: publishes what it is told, one JSON line each, and answers when it is taken."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.ports.broker import Acked, Connected, Disconnected
from fsd_agent.records.region import RegionPolicy
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import OPERATOR, dial_as, load_policy


def main() -> None:
    """Until stdin ends."""
    region = RegionDir(Path(sys.argv[1]))
    policy = load_policy(region)
    for line in sys.stdin:
        command = json.loads(line)
        _publish(region, policy, command["topic"], bytes.fromhex(command["payload"]), command["retain"])
        print("taken", flush=True)


def _publish(region: RegionDir, policy: RegionPolicy, topic: str, payload: bytes, retain: bool) -> None:
    link = MqttLink(MqttOptions())
    link.connect(dial_as(policy, OPERATOR, region.operator_cert, region.operator_key, ()))
    try:
        while True:
            for event in link.events(10.0):
                if isinstance(event, Disconnected):
                    sys.exit(f"operator: {event.reason}")
                if isinstance(event, Connected):
                    link.publish(topic, payload, retain=retain)
                if isinstance(event, Acked):
                    return
    finally:
        link.close()


if __name__ == "__main__":
    main()
