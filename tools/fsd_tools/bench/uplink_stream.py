"""What the shaped link carries at best, for ``fsdctl bench uplink``: one TLS stream of the same bytes, and nothing else.

``python -m fsd_tools.bench.uplink_stream serve REGION_DIR HOST PORT`` takes a stream and answers one byte when its announced
length is there; ``... send REGION_DIR VEHICLE_DIR PORT BYTES`` prints what sending took, until that byte was read. The TLS is
that of the region's broker and of its vehicle.
"""

from __future__ import annotations

import socket
import ssl
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.adapters.mqtt_dial import Dial, dial_tls
from fsd_agent.adapters.tls import region_context
from fsd_agent.wire.transfer import SEGMENT_BYTES
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy

_LENGTH = struct.Struct(">Q")
TIMEOUT_S = 60.0


def main(argv: list[str]) -> None:
    """See the module."""
    region = RegionDir(Path(argv[1]))
    if argv[0] == "serve":
        _serve(region, argv[2], int(argv[3]))
    else:
        _send(region, Path(argv[2]), int(argv[3]), int(argv[4]))


def _serve(region: RegionDir, host: str, port: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(region.broker_cert, region.broker_key)
    context.load_verify_locations(region.authority_cert)
    context.verify_mode = ssl.CERT_REQUIRED
    buffer = bytearray(SEGMENT_BYTES)
    with socket.create_server((host, port)) as listener:
        print('{"event": "ready"}', flush=True)
        while True:
            with context.wrap_socket(listener.accept()[0], server_side=True) as peer:
                (left,) = _LENGTH.unpack(peer.recv(_LENGTH.size))
                while left > 0 and (count := peer.recv_into(buffer)):
                    left -= count
                peer.sendall(b"\0")


def _send(region: RegionDir, vehicle: Path, port: int, count: int) -> None:
    policy = load_policy(region)
    endpoint = replace(policy.endpoints[0], port=port)
    context = region_context(policy, endpoint, *KeyFiles(vehicle).tls_certificate(policy.region_id))
    payload = bytes(SEGMENT_BYTES)
    with dial_tls(Dial(endpoint, context, "", ()), TIMEOUT_S) as peer:
        peer.sendall(_LENGTH.pack(count))
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        for _ in range(count // SEGMENT_BYTES):
            peer.sendall(payload)
        if peer.recv(1) != b"\0":
            raise ConnectionError("the stream ended before its answer")
        took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    print(f'{{"seconds": {took_s:.6f}, "cpu_s": {cpu_s:.6f}}}')


if __name__ == "__main__":
    main(sys.argv[1:])
