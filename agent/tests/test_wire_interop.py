"""What we send is plain msgpack: an independent library reads it, and writes what we read."""

from __future__ import annotations

import msgpack
import pytest

from fsd_agent.records.status import ProcessUse, SpoolLevel, Status
from fsd_agent.wire.envelope import RECEIPT, open_envelope, public_key_of, seal_envelope
from fsd_agent.wire.status import decode_status, encode_status
from fsd_agent.wire.transfer import VERSION, Init, decode, encode

KEY = bytes(range(32))


def test_an_init() -> None:
    init = Init(v=VERSION, ask=7, sha256=bytes(32), size=5_000_000_000 % (1 << 29), segment_bytes=65536)
    read = msgpack.unpackb(encode(init))
    assert read["ask"] == 7
    assert read["sha256"] == bytes(32)
    assert decode(Init, msgpack.packb(read)) == init


def test_an_envelope() -> None:
    envelope = seal_envelope(RECEIPT, b"payload", "0123456789abcdef", KEY)
    read = msgpack.unpackb(envelope)
    assert (read["v"], read["context"], read["payload"]) == (1, RECEIPT, b"payload")
    assert open_envelope(msgpack.packb(read), RECEIPT, public_key_of(KEY)) == b"payload"


def test_a_status() -> None:
    use = ProcessUse(1.5, 80, 4)
    status = Status(
        "car-1", "cn", 1, 2, 1, "0.1.0", 3, (), {}, "", "", {"sealed": SpoolLevel(2, 3, 4)}, {}, use, ""
    )
    version, read = msgpack.unpackb(encode_status(status))
    assert version == 2
    assert read["spool"] == {"sealed": {"clips": 2, "bytes": 3, "oldest_wall_ns": 4}}
    assert decode_status(msgpack.packb([version, read])) == status


@pytest.mark.parametrize("extra", [b"\x00", b"\xc1"])
def test_bytes_after_a_message_are_refused(extra: bytes) -> None:
    init = Init(v=VERSION, ask=7, sha256=bytes(32), size=1, segment_bytes=65536)
    with pytest.raises(ValueError, match="trailing characters"):
        decode(Init, encode(init) + extra)
