"""The region's side of ``fsdctl bench uplink`` where only the vehicle is measured: the region's broker, and who says "everything".

``python -m fsd_tools.bench.uplink_region REGION_DIR``. It answers each first question about a clip with "all of it is missing"
and listens to nothing else: the broker acknowledges segments and has nobody to give them to. So neither a receiver nor the
broker's way to one takes time from what is compared. Prints ``{"event": "ready"}``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.ports.broker import Connected, Disconnected, Message
from fsd_agent.wire.transfer import DownKind, Have, Init, Topics, UpKind, decode, encode, parse_up
from fsd_tools.errors import ToolError
from fsd_tools.region.broker import RECEIVER
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.mosquitto import Mosquitto
from fsd_tools.region.operator import dial_as, load_policy


def main(argv: list[str]) -> None:
    """Until the process is ended."""
    region = RegionDir(Path(argv[0]))
    policy = load_policy(region)
    asked = f"{Topics(policy.region_id, '-').base.removesuffix('-/')}+/up/{UpKind.INIT}/+"
    link = MqttLink(MqttOptions())
    with Mosquitto(region, policy.endpoints[0].host, policy.endpoints[0].port) as broker:
        link.connect(dial_as(policy, RECEIVER, region.receiver_cert, region.receiver_key, (asked,)))
        while True:
            broker.check()
            for event in link.events(1.0):
                match event:
                    case Connected():
                        print('{"event": "ready"}', flush=True)
                    case Message():
                        link.publish(*_everything(policy.region_id, event))
                    case Disconnected():
                        raise ToolError(f"region {policy.region_id}: {event.reason}")


def _everything(region_id: str, message: Message) -> tuple[str, bytes]:
    address, init = parse_up(region_id, message.topic), decode(Init, message.payload)
    have = Have(v=1, ask=init.ask, sha256=init.sha256, missing=((0, init.size),))
    return Topics(region_id, address.vehicle).down(DownKind.HAVE, address.clip_id), encode(have)


if __name__ == "__main__":
    main(sys.argv[1:])
