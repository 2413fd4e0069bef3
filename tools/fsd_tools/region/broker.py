"""Mosquitto's configuration and access rules for one region.

Who may do what, by the common name of the client's certificate (below ``fsd/1/<region>/``):

=========== =============================== ==============================
client      writes                          reads
=========== =============================== ==============================
a vehicle   vehicles/<itself>/up/#,         vehicles/<itself>/down/#,
            vehicles/<itself>/status        campaigns
receiver    vehicles/+/down/#               vehicles/+/up/#,
                                            vehicles/+/status, campaigns
operator    campaigns                       vehicles/+/status, campaigns
observer    -                               vehicles/+/status, campaigns
=========== =============================== ==============================

Where clips go by the public file convention, every vehicle also writes ``$file-async/#``, which the receiver reads, and reads
``$file-response/<itself>``, which the receiver writes. Those topics name no vehicle, so a broker can't keep vehicles apart
there; the receiver does (``file_transfers``).

The common name is also the MQTT client id, whatever a client asks for: otherwise one vehicle could end another's
session by connecting under its id. So each certificate has one connection at a time; a second one ends the first.

Nothing is dropped in silence: queues have no limit in messages, and where memory reaches its limit the publisher is
disconnected and sends again later.
"""

from __future__ import annotations

import getpass

from fsd_agent.records.region import Endpoint, RegionPolicy, TransferProfile
from fsd_agent.wire.envelope import MAX_ENVELOPE_BYTES
from fsd_agent.wire.file_async import RESPONSES, SUBSCRIPTION
from fsd_agent.wire.transfer import (
    ROOT,
    SEGMENT_BYTES_MAX,
    campaigns_topic,
    receiver_subscription,
    status_subscription,
)
from fsd_tools.region.layout import RegionDir

RECEIVER = "receiver"
OPERATOR = "operator"
OBSERVER = "observer"
"""Watches what vehicles say of themselves. Not the operator, whose connection every push would take over."""

PACKET_BYTES_MAX = max(MAX_ENVELOPE_BYTES, SEGMENT_BYTES_MAX) + 1024
"""A campaign set in its envelope is the largest message; the rest is for the topic. Larger ones end the connection."""
MEMORY_BYTES_MAX = 1 << 30
"""Of the broker's heap: what an absent receiver may leave waiting here; the rest waits in the vehicles."""
SESSION_LIFE = "14d"
"""A vehicle that was parked longer than this starts a new session; it asks for what it needs anyway."""


def broker_conf(region: RegionDir, endpoint: Endpoint) -> str:
    """``mosquitto.conf`` for mosquitto 2.0; paths are absolute, so that it does not matter where it is started."""
    root = RegionDir(region.root.resolve())
    lines = [
        "# Made by `fsdctl region init`; see docs/residency.md.",
        f"listener {endpoint.port} {endpoint.host}",
        f"cafile {root.authority_cert}",
        f"certfile {root.broker_cert}",
        f"keyfile {root.broker_key}",
        "tls_version tlsv1.3",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "allow_anonymous false",
        f"acl_file {root.broker_acl}",
        "set_tcp_nodelay true",
        "",
        "persistence true",
        f"persistence_location {root.broker_data}/",
        "autosave_interval 60",
        f"persistent_client_expiration {SESSION_LIFE}",
        "",
        "max_queued_messages 0",
        "max_queued_bytes 0",
        "max_inflight_messages 20",
        f"max_packet_size {PACKET_BYTES_MAX}",
        f"memory_limit {MEMORY_BYTES_MAX}",
        "",
        # Started as root, mosquitto would become another user, who can't read keys of mode 0600.
        f"user {getpass.getuser()}",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
    ]
    return "\n".join(lines) + "\n"


def receiver_subscriptions(policy: RegionPolicy) -> tuple[str, ...]:
    """What the region's receiver listens to."""
    own = (receiver_subscription(policy.region_id), status_subscription(policy.region_id))
    return (*own, SUBSCRIPTION) if policy.transfer is TransferProfile.FILE_ASYNC else own


def broker_acl(policy: RegionPolicy) -> str:
    """Mosquitto's ACL: what is not allowed here is forbidden."""
    region_id, files = policy.region_id, policy.transfer is TransferProfile.FILE_ASYNC
    own = f"{ROOT}/{region_id}/vehicles/%u"
    lines = [
        f"user {RECEIVER}",
        *(f"topic read {topic}" for topic in receiver_subscriptions(policy)),
        f"topic write {ROOT}/{region_id}/vehicles/+/down/#",
        *([f"topic write {RESPONSES}/+"] if files else []),
        "",
        f"user {OPERATOR}",
        f"topic write {campaigns_topic(region_id)}",
        f"topic read {status_subscription(region_id)}",
        "",
        f"user {OBSERVER}",
        f"topic read {status_subscription(region_id)}",
        "",
        "# Every client; %u is the common name of its certificate.",
        f"pattern write {own}/up/#",
        f"pattern write {own}/status",
        f"pattern read {own}/down/#",
        f"pattern read {campaigns_topic(region_id)}",
        *([f"pattern write {SUBSCRIPTION}", f"pattern read {RESPONSES}/%u"] if files else []),
    ]
    return "\n".join(lines) + "\n"
