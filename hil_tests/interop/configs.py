"""The region's access rules (``fsd_tools.region.broker``) in the words of other brokers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from fsd_agent.records.region import RegionPolicy, TransferProfile
from fsd_agent.wire.file_async import RESPONSES, SUBSCRIPTION
from fsd_agent.wire.transfer import ROOT, campaigns_topic, receiver_subscription, status_subscription
from fsd_tools.region.broker import OPERATOR, PACKET_BYTES_MAX, RECEIVER
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy

EJABBERD_HOST = "vehicles.invalid"
"""The domain of its users: common names have none."""


def ejabberd(region: RegionDir, port: int, folder: Path) -> str:
    """``ejabberd.yml`` for mod_mqtt; ``%u`` is the user. JSON is YAML, and it wants topics between double quotes."""
    policy = load_policy(region)
    region_id, files = policy.region_id, policy.transfer is TransferProfile.FILE_ASYNC
    base = f"{ROOT}/{region_id}/vehicles"
    pem = folder / "broker.pem"
    pem.write_bytes(region.broker_cert.read_bytes() + region.broker_key.read_bytes())
    pem.chmod(0o600)
    settings = {
        "hosts": [EJABBERD_HOST],
        "loglevel": "warning",
        "certfiles": [str(pem)],
        "ca_file": str(region.authority_cert),
        "listen": [
            {
                "port": port,
                "ip": "127.0.0.1",
                "module": "mod_mqtt",
                "tls": True,
                "tls_verify": True,
                "max_payload_size": PACKET_BYTES_MAX,
                "backlog": 64,
            }
        ],
        "acl": {
            RECEIVER: {"user": f"{RECEIVER}@{EJABBERD_HOST}"},
            OPERATOR: {"user": f"{OPERATOR}@{EJABBERD_HOST}"},
        },
        "modules": {
            "mod_mqtt": {
                "session_expiry": "14 days",
                "max_topic_depth": 16,
                "max_queue": 100_000,
                "access_publish": {
                    f"{base}/%u/up/#": [{"allow": "all"}],
                    f"{base}/%u/status": [{"allow": "all"}],
                    f"{base}/+/down/#": [{"allow": RECEIVER}],
                    campaigns_topic(region_id): [{"allow": OPERATOR}],
                    **(
                        {SUBSCRIPTION: [{"allow": "all"}], f"{RESPONSES}/+": [{"allow": RECEIVER}]}
                        if files
                        else {}
                    ),
                },
                "access_subscribe": {
                    f"{base}/%u/down/#": [{"allow": "all"}],
                    campaigns_topic(region_id): [{"allow": "all"}],
                    receiver_subscription(region_id): [{"allow": RECEIVER}],
                    status_subscription(region_id): [{"allow": RECEIVER}, {"allow": OPERATOR}],
                    **(
                        {SUBSCRIPTION: [{"allow": RECEIVER}], f"{RESPONSES}/%u": [{"allow": "all"}]}
                        if files
                        else {}
                    ),
                },
            }
        },
    }
    return json.dumps(settings, indent=1)


def nats(region: RegionDir, port: int, folder: Path, vehicles: Sequence[str]) -> str:
    """``nats.conf``: JSON is its configuration language too. Levels of a topic are parts of a subject."""
    policy = load_policy(region)
    settings = {
        "listen": "127.0.0.1:-1",
        "server_name": policy.region_id,
        "max_payload": PACKET_BYTES_MAX,
        "jetstream": {"store_dir": str(folder / "store")},
        "mqtt": {
            "listen": f"127.0.0.1:{port}",
            "max_ack_pending": 64,
            "tls": {
                "cert_file": str(region.broker_cert),
                "key_file": str(region.broker_key),
                "ca_file": str(region.authority_cert),
                "verify_and_map": True,
            },
        },
        "authorization": {"users": list(_nats_users(policy, vehicles))},
    }
    return json.dumps(settings, indent=1)


def _nats_users(policy: RegionPolicy, vehicles: Sequence[str]) -> Iterator[dict[str, object]]:
    region_id, files = policy.region_id, policy.transfer is TransferProfile.FILE_ASYNC
    base = f"{ROOT}/{region_id}/vehicles"
    status, campaigns = status_subscription(region_id), campaigns_topic(region_id)
    for vehicle in vehicles:
        own = f"{base}/{vehicle}"
        writes = [f"{own}/up/#", f"{own}/status", *([SUBSCRIPTION] if files else [])]
        yield _nats_user(
            vehicle,
            writes,
            [f"{own}/down/#", campaigns, *([f"{RESPONSES}/{vehicle}"] if files else [])],
        )
    yield _nats_user(
        RECEIVER,
        [f"{base}/+/down/#", *([f"{RESPONSES}/+"] if files else [])],
        [receiver_subscription(region_id), status, *([SUBSCRIPTION] if files else [])],
    )
    yield _nats_user(OPERATOR, [campaigns], [status, campaigns])


def _nats_user(name: str, publish: list[str], subscribe: list[str]) -> dict[str, object]:
    return {
        "user": f"CN={name}",
        "permissions": {
            "publish": [_subject(topic) for topic in publish],
            # What it delivers to a client at QoS 1 goes through a subject of the client's own.
            # `a/#` is also `a` itself.
            "subscribe": [
                "$MQTT.sub.>",
                *(_subject(topic) for topic in subscribe),
                *(_subject(topic.removesuffix("/#")) for topic in subscribe if topic.endswith("/#")),
            ],
        },
    }


def _subject(topic: str) -> str:
    return topic.replace("/", ".").replace("+", "*").replace("#", ">")
